//! Ranges, and the rounds of `for`, `prod`, `sum`, families and comprehensions.

use super::value::Value;
use super::{Elab, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic};

impl Elab<'_> {
    /// The ends of a range.
    pub fn range(&mut self, lo: &Expr, hi: &Expr) -> Res<(i64, i64)> {
        let (a, b) = (self.structural_int(lo)?, self.structural_int(hi)?);
        if b < a {
            let span = lo.span.to(hi.span);
            let d = Diagnostic::error(
                Code::BadRange,
                span,
                format!("the range `{a}..{b}` ends before it begins"),
            );
            return Err(self.report(d.with_help("`a..b` is half-open: from a to b − 1, and b = a is empty")));
        }
        Ok((a, b))
    }

    /// Runs `f` for every combination of the binders' values, last fastest.
    pub fn for_each(&mut self, binders: &[Binder], f: &mut dyn FnMut(&mut Self) -> Res<()>) -> Res<()> {
        let ranges: Vec<_> = binders.iter().map(|b| (b.name.clone(), &b.lo, &b.hi)).collect();
        self.rounds(&ranges)?;
        self.each(binders, f)
    }

    /// Whether there is room for all rounds of some nested ranges, before the first one runs.
    pub fn rounds(&mut self, ranges: &[(Ident, &Expr, &Expr)]) -> Res<()> {
        let items = self.items;
        let fits = self.count_rounds(ranges);
        if fits.is_ok() {
            // counting has evaluated what the loop will evaluate again
            self.items = items;
        }
        fits
    }

    fn count_rounds(&mut self, ranges: &[(Ident, &Expr, &Expr)]) -> Res<()> {
        let Some(((name, lo, hi), rest)) = ranges.split_first() else { return Ok(()) };
        let (a, z) = self.range(lo, hi)?;
        let rounds = z.abs_diff(a);
        self.room(rounds, lo.span.to(hi.span))?;
        if rest.is_empty() {
            return self.spend(rounds, lo.span.to(hi.span));
        }
        for k in a..z {
            self.spend(1, name.span)?;
            self.scope().bind(name, Value::int(k));
            let done = self.count_rounds(rest);
            self.scope().pop();
            done?;
        }
        Ok(())
    }

    fn each(&mut self, binders: &[Binder], f: &mut dyn FnMut(&mut Self) -> Res<()>) -> Res<()> {
        let Some((first, rest)) = binders.split_first() else { return f(self) };
        let (lo, hi) = self.range(&first.lo, &first.hi)?;
        for k in lo..hi {
            self.spend(1, first.span)?;
            self.scope().bind(&first.name, Value::int(k));
            let done = self.each(rest, f);
            self.scope().pop();
            done?;
        }
        Ok(())
    }
}

//! Brackets: subscripts, legs, folds.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::lex::Tok;

impl Parser {
    /// `[ … ]`
    pub(super) fn bracket(&mut self) -> Parsed<Bracket> {
        let open = self.expect("[", "and a list of legs or subscripts")?;
        let items = self.nested(|p| p.leg_items("]"))?;
        self.close("]", open)?;
        Ok(Bracket { items, span: self.since(open) })
    }

    fn leg_items(&mut self, end: &str) -> Parsed<Vec<LegItem>> {
        let mut items = vec![];
        while !self.is(end) {
            items.push(self.leg_item()?);
            if !self.eat(",") {
                break;
            }
        }
        Ok(items)
    }

    fn leg_item(&mut self) -> Parsed<LegItem> {
        let start = self.here();
        let kind = self.leg_kind()?;
        Ok(LegItem { kind, span: self.since(start) })
    }

    fn leg_kind(&mut self) -> Parsed<LegKind> {
        if self.eat_word("for") {
            let binders = self.binders()?;
            let open = self.expect("{", "and the repeated legs")?;
            let items = self.nested(|p| p.leg_items("}"))?;
            self.close("}", open)?;
            return Ok(LegKind::For { binders, items });
        }
        if self.is("(") && self.is_fold() {
            let open = self.bump().span;
            let items = self.nested(|p| p.leg_items(")"))?;
            self.close(")", open)?;
            self.expect_word("as", "and a label, as in `(s[0..12]) as rows`")?;
            return Ok(LegKind::Fold { items, label: self.ident("the label of the fold")? });
        }
        if self.eat("..") {
            let hi = if self.ends_leg() { None } else { Some(self.expr()?) };
            return Ok(LegKind::Range { lo: None, hi });
        }
        if self.word_at(1) == Some("in") && matches!(self.peek(), Tok::Word(_)) {
            return Ok(LegKind::Binder(self.binder()?));
        }
        let first = self.expr()?;
        if self.eat("..") {
            let hi = if self.ends_leg() { None } else { Some(self.expr()?) };
            return Ok(LegKind::Range { lo: Some(first), hi });
        }
        Ok(if self.eat("?") { LegKind::Optional(first) } else { LegKind::Expr(first) })
    }

    fn ends_leg(&self) -> bool {
        matches!(self.peek(), Tok::Punct("]" | "," | ")" | "}") | Tok::End)
    }

    /// Whether the parenthesis here is closed by `) as`.
    fn is_fold(&self) -> bool {
        let close = self.closes[self.index_of(0)] as usize;
        matches!(self.tokens.get(close.saturating_add(1)).map(|t| &t.kind), Some(Tok::Word(w)) if w == "as")
    }

    /// `k in a..b`
    pub(super) fn binder(&mut self) -> Parsed<Binder> {
        let start = self.here();
        let name = self.ident("a variable")?;
        self.expect_word("in", "and a range, as in `k in 0..n`")?;
        let lo = self.expr()?;
        self.expect("..", "in the range")?;
        let hi = self.expr()?;
        Ok(Binder { name, lo, hi, span: self.since(start) })
    }

    /// `x in 0..a, y in 0..b`
    pub(super) fn binders(&mut self) -> Parsed<Vec<Binder>> {
        let mut binders = vec![self.binder()?];
        while self.eat(",") {
            binders.push(self.binder()?);
        }
        Ok(binders)
    }
}

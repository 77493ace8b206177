//! Brackets: which indices (or entries) they name.

use super::scope::{Entity, Family};
use super::value::Value;
use super::{Elab, Failed, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted, did_you_mean};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use tn_ir::program::{FoldAxis, IndexId};
use tn_ir::span::Span;

/// What stands in a leg's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LegRef {
    /// An index.
    Index(IndexId),
    /// One entry.
    Entry(i64),
}

/// A bracket's legs, flat, with the outside axes that its folds make.
#[derive(Debug, Default)]
pub struct Legs {
    /// Flat legs with their places in the text.
    pub refs: Vec<(LegRef, Span)>,
    /// Outside axes, where folds may stand.
    pub axes: Vec<FoldAxis>,
    /// The labels of folds among them.
    pub labels: Vec<Ident>,
}

impl Elab<'_> {
    /// The legs of a bracket; `folds` says whether `(…) as name` may stand in it.
    pub fn legs(&mut self, b: &Bracket, folds: bool) -> Res<Legs> {
        let mut out = Legs::default();
        self.leg_items(&b.items, folds, false, &mut out)?;
        let mut count: HashMap<&str, usize> = HashMap::new();
        if !out.labels.is_empty() {
            out.axes.iter().for_each(|a| *count.entry(a.label.as_str()).or_default() += 1);
        }
        if let Some(twice) = out.labels.iter().find(|l| count.get(l.name.as_str()).is_some_and(|&n| n > 1)) {
            let message = format!("another axis of the tensor is called `{}` too", twice.name);
            let d = Diagnostic::error(Code::DuplicateName, twice.span, message);
            return Err(self.report(d.with_help("give the fold another label")));
        }
        Ok(out)
    }

    fn leg_items(&mut self, items: &[LegItem], folds: bool, inside: bool, out: &mut Legs) -> Res<()> {
        for item in items {
            let before = out.refs.len();
            match &item.kind {
                LegKind::Expr(e) => self.leg_expr(e, false, out)?,
                LegKind::Optional(e) => self.leg_expr(e, true, out)?,
                LegKind::For { binders, items } => {
                    self.for_each(binders, &mut |s: &mut Self| s.leg_items(items, folds, inside, out))?;
                    continue;
                }
                LegKind::Fold { items, label } => {
                    if inside {
                        return Err(self.error(Code::BadFold, item.span, "folds do not nest"));
                    }
                    if !folds {
                        let d = Diagnostic::error(
                            Code::BadFold,
                            item.span,
                            "a fold stands on inputs, outputs, params and consts only",
                        );
                        return Err(self.report(d.with_help("write the legs without `( … ) as …`")));
                    }
                    let mut inner = Legs::default();
                    self.leg_items(items, true, true, &mut inner)?;
                    let dynamic = inner.refs.iter().filter(|r| self.is_dyn(r.0)).count();
                    if dynamic > 1 {
                        return Err(self.error(
                            Code::BadFold,
                            item.span,
                            "at most one `dyn` index in a fold",
                        ));
                    }
                    out.labels.push(label.clone());
                    out.axes.push(FoldAxis { label: label.name.clone(), legs: inner.refs.len() as u32 });
                    out.refs.extend(inner.refs);
                    continue;
                }
                LegKind::Range { .. } | LegKind::Binder(_) => {
                    let d = Diagnostic::error(Code::BadSubscript, item.span, "a range does not name a leg");
                    return Err(self.report(d.with_help("write a family and its range: `s[0..4]`, `s[..]`")));
                }
            }
            // only declarations have outside axes
            if folds && !inside {
                for k in before..out.refs.len() {
                    let label = match out.refs[k].0 {
                        LegRef::Index(i) => self.program.indices[i].name.clone(),
                        LegRef::Entry(v) => v.to_string(),
                    };
                    out.axes.push(FoldAxis { label, legs: 1 });
                }
            }
        }
        Ok(())
    }

    /// Whether a leg has a run-time size.
    pub fn is_dyn(&self, leg: LegRef) -> bool {
        matches!(leg, LegRef::Index(i) if self.program.indices[i].size.dynamic.is_some())
    }

    fn leg_expr(&mut self, e: &Expr, optional: bool, out: &mut Legs) -> Res<()> {
        let entity = |s: &Self, n: &Ident| s.frames.last().and_then(|f| f.scope.get(&n.name)).cloned();
        match &e.kind {
            ExprKind::Name(n) => match entity(self, n) {
                Some(Entity::Index(_)) if optional => {
                    let message = format!("`{}` is a single index, which never lies outside", n.name);
                    let d = Diagnostic::error(Code::BadSubscript, e.span, message);
                    return Err(self.report(
                        d.with_help("leave out the `?`: it drops a leg of a family, as in `s[k-1]?`"),
                    ));
                }
                Some(Entity::Index(i)) => {
                    out.refs.push((LegRef::Index(i), e.span));
                    return Ok(());
                }
                Some(Entity::IndexFamily(_)) => {
                    let d = Diagnostic::error(
                        Code::BadSubscript,
                        e.span,
                        format!("`{}` is a family of indices", n.name),
                    );
                    return Err(self.report(
                        d.with_help(format!("write `{}[..]` for all of it, or `{}[k]`", n.name, n.name)),
                    ));
                }
                Some(Entity::Poison) => return Err(Failed),
                Some(Entity::Value(Value::Int(v, _))) => {
                    out.refs.push((LegRef::Entry(v), e.span));
                    return Ok(());
                }
                Some(other) => {
                    let message = format!("`{}` is {}, not an index", n.name, other.describe());
                    return Err(self.error(Code::NotAnIndex, e.span, message));
                }
                None if self.global(&n.name).is_none() => {
                    let d =
                        Diagnostic::error(Code::UnknownName, e.span, format!("unknown index `{}`", n.name));
                    if self.full() {
                        return Err(Failed);
                    }
                    let most = super::eval::MAX_CANDIDATES;
                    let scope = self.frames.last().map(|f| &f.scope);
                    let is_leg = |n: &&str| {
                        let what = scope.and_then(|s| s.get(n));
                        matches!(
                            what,
                            Some(Entity::Index(_) | Entity::IndexFamily(_) | Entity::Value(Value::Int(..)))
                        )
                    };
                    let names = scope.into_iter().flat_map(|s| s.names()).take(most).filter(is_leg);
                    let help =
                        match (self.declared_later(n), did_you_mean(&n.name, names.collect::<Vec<_>>())) {
                            (Some(later), _) => later,
                            (None, Some(near)) => format!("did you mean `{near}`?"),
                            (None, None) => format!("declare it: `index {}: 2`", n.name),
                        };
                    return Err(self.report(d.with_help(help)));
                }
                None => {}
            },
            ExprKind::Index { base, brackets } => {
                if let ExprKind::Name(n) = &base.kind {
                    match entity(self, n) {
                        Some(Entity::IndexFamily(f)) => {
                            let [b] = brackets.as_slice() else {
                                return Err(self.error(
                                    Code::BadSubscript,
                                    e.span,
                                    "an index family takes one bracket",
                                ));
                            };
                            let picked = self.family_items(&f, b, optional, &n.name, false)?;
                            self.spend(picked.len() as u64, e.span)?;
                            out.refs.extend(picked.into_iter().map(|i| (LegRef::Index(i), e.span)));
                            return Ok(());
                        }
                        Some(Entity::Index(_)) => {
                            let d = Diagnostic::error(
                                Code::BadSubscript,
                                e.span,
                                format!("`{}` is a single index", n.name),
                            );
                            return Err(self.report(d.with_help(format!(
                                "write `{}`, or declare a family: `index {}[0..n]: 2`",
                                n.name, n.name
                            ))));
                        }
                        Some(Entity::Poison) => return Err(Failed),
                        Some(Entity::Tensor { .. } | Entity::TensorFamily(_)) => {
                            return Err(self.error(
                                Code::NotAnIndex,
                                e.span,
                                format!("`{}` is a tensor, not an index", n.name),
                            ));
                        }
                        None if self.global(&n.name).is_none() => {
                            let name = n.clone();
                            return Err(self.unknown(&name));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        let v = self.int(e)?;
        out.refs.push((LegRef::Entry(v), e.span));
        Ok(())
    }

    /// The items of a family that a bracket names, in family order. With `optional`, an item outside the family is dropped; `legs` says that a bracket
    /// of legs follows.
    pub fn family_items<T: Copy>(
        &mut self,
        family: &Rc<Family<T>>,
        b: &Bracket,
        optional: bool,
        name: &str,
        legs: bool,
    ) -> Res<Vec<T>> {
        if let [LegItem { kind: LegKind::Range { lo: None, hi: None }, .. }] = b.items.as_slice() {
            return Ok(family.values().copied().collect());
        }
        let rank = family.keys().next().map_or(b.items.len(), Vec::len);
        if b.items.len() != rank {
            let message =
                format!("family `{name}` takes {}, {}", counted(rank, "subscript"), but_given(b.items.len()));
            let shown = ["k", "j", "l"].iter().cycle().take(rank).copied().collect::<Vec<_>>().join(", ");
            let d = Diagnostic::error(Code::BadSubscript, b.span, message);
            let legs = if legs { "; the legs stand in a second bracket" } else { "" };
            return Err(self.report(d.with_help(format!("write `{name}[{shown}]`{legs}"))));
        }
        let mut prefixes: Vec<Vec<i64>> = vec![vec![]];
        for item in &b.items {
            let mut next = vec![];
            match &item.kind {
                LegKind::Expr(e) => {
                    let k = self.int(e)?;
                    prefixes.iter_mut().for_each(|p| p.push(k));
                    continue;
                }
                LegKind::Range { lo: Some(lo), hi: Some(hi) } => {
                    let (a, z) = self.range(lo, hi)?;
                    self.room(z.abs_diff(a).saturating_mul(prefixes.len() as u64), item.span)?;
                    for p in &prefixes {
                        for k in a..z {
                            self.spend(1, item.span)?;
                            next.push([p.as_slice(), &[k]].concat());
                        }
                    }
                }
                LegKind::Range { lo, hi } => {
                    let a = lo.as_ref().map(|e| self.int(e)).transpose()?;
                    let z = hi.as_ref().map(|e| self.int(e)).transpose()?;
                    for p in &prefixes {
                        for k in subscripts_after(family, p) {
                            if a.is_none_or(|a| k >= a) && z.is_none_or(|z| k < z) {
                                next.push([p.as_slice(), &[k]].concat());
                            }
                        }
                    }
                }
                _ => {
                    return Err(self.error(Code::BadSubscript, item.span, "expected a subscript or a range"));
                }
            }
            prefixes = next;
        }
        let mut out = Vec::with_capacity(prefixes.len());
        for p in prefixes {
            match family.get(&p) {
                Some(&item) => out.push(item),
                None if optional => {}
                None => {
                    let shown = p.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
                    let d = Diagnostic::error(
                        Code::OutsideFamily,
                        b.span,
                        format!("`{name}[{shown}]` lies outside its family"),
                    );
                    let help = match (family.keys().next(), family.keys().next_back()) {
                        (Some(a), Some(z)) => {
                            format!("it goes from {a:?} to {z:?}; `?` after a leg drops it there")
                        }
                        _ => "the family is empty; `?` after a leg drops it there".into(),
                    };
                    return Err(self.report(d.with_help(help)));
                }
            }
        }
        Ok(out)
    }

    /// The indices of a left side: no entries, none twice.
    pub fn left_legs(&mut self, b: &Bracket, folds: bool) -> Res<(Vec<IndexId>, Vec<FoldAxis>)> {
        let legs = self.legs(b, folds)?;
        let mut seen = HashSet::new();
        let mut out = Vec::with_capacity(legs.refs.len());
        for (r, span) in legs.refs {
            match r {
                LegRef::Entry(_) => {
                    return Err(self.error(Code::BadLeftSide, span, "a number cannot stand on a left side"));
                }
                LegRef::Index(i) => {
                    if !seen.insert(i) {
                        let name = self.program.indices[i].name.clone();
                        let d = Diagnostic::error(
                            Code::BadLeftSide,
                            span,
                            format!("index `{name}` stands twice on a left side"),
                        );
                        return Err(self.report(d.with_help("use two indices and a `const D[i, j] = delta`")));
                    }
                    out.push(i);
                }
            }
        }
        Ok((out, legs.axes))
    }

    /// Runs `f` for every item of a family bracket (`k in 0..n`, or `0..n`), with its variables bound.
    pub fn for_family(&mut self, b: &Bracket, f: &mut dyn FnMut(&mut Self, Vec<i64>) -> Res<()>) -> Res<()> {
        let anonymous = |item: &LegItem| Ident { name: String::new(), span: item.span };
        let ranges: Vec<_> = b
            .items
            .iter()
            .map_while(|item| match &item.kind {
                LegKind::Binder(b) => Some((b.name.clone(), &b.lo, &b.hi)),
                LegKind::Range { lo: Some(lo), hi: Some(hi) } => Some((anonymous(item), lo, hi)),
                _ => None,
            })
            .collect();
        self.rounds(&ranges)?;
        self.family_level(&b.items, vec![], f)
    }

    fn family_level(
        &mut self,
        items: &[LegItem],
        subs: Vec<i64>,
        f: &mut dyn FnMut(&mut Self, Vec<i64>) -> Res<()>,
    ) -> Res<()> {
        let Some((first, rest)) = items.split_first() else { return f(self, subs) };
        let (name, lo, hi) = match &first.kind {
            LegKind::Binder(b) => (b.name.clone(), &b.lo, &b.hi),
            LegKind::Range { lo: Some(lo), hi: Some(hi) } => {
                (Ident { name: String::new(), span: first.span }, lo, hi)
            }
            _ => {
                return Err(self.error(
                    Code::BadSubscript,
                    first.span,
                    "a family is declared by ranges, as in `k in 0..n`",
                ));
            }
        };
        let (a, z) = self.range(lo, hi)?;
        for k in a..z {
            self.spend(1, first.span)?;
            self.scope().bind(&name, Value::int(k));
            let mut below = subs.clone();
            below.push(k);
            let done = self.family_level(rest, below, f);
            self.scope().pop();
            done?;
        }
        Ok(())
    }
}

/// The next subscripts that occur after a prefix, in order.
fn subscripts_after<T>(family: &Family<T>, prefix: &[i64]) -> Vec<i64> {
    let mut out: Vec<i64> = vec![];
    for key in family.range(prefix.to_vec()..).map(|(k, _)| k).take_while(|k| k.starts_with(prefix)) {
        if let Some(&k) = key.get(prefix.len())
            && out.last() != Some(&k)
        {
            out.push(k);
        }
    }
    out
}

//! The verifier of L5.
//!
//! Invariants, checked at several values of the run-time sizes (1, 2, a prime, the hint, the maximum where one is declared):
//!
//! 1. Variables, registers, views and arrays are bound before their use, in an enclosing block, and registers once.
//! 2. Every view lies within its operand or array, every load and store within its view, operand or array. Operands other than the last are
//!    not written; `Join` and `First` stand in a kernel that is started by blocks.
//! 3. Every operand of every call lies within its array in every round of every loop, and a writable one is in a slot that may be written.
//! 4. No call reads elements that it writes.
//!
//! Offsets inside loops are bounded by intervals, which is exact here because all strides are nonnegative.

use crate::ir::*;
use crate::module::*;
use std::collections::HashMap;
use tn_ir::ids::Id;
use tn_ir::size::{Poly, SymbolId, SymbolKind};

/// Checks all invariants.
///
/// # Errors
/// The first violation, as a sentence.
pub fn verify(m: &Module) -> Result<(), String> {
    for sizes in samples(m) {
        let value_of = |s: SymbolId| sizes.get(s.index()).copied().unwrap_or(1);
        for (id, k) in m.kernels.enumerate() {
            let mut check = KernelCheck { k, value_of: &value_of, scope: Scope::default() };
            check
                .block(&k.body)
                .map_err(|e| format!("kernel {}_{} ({}): {e}", k.what, id.0, m.uses[id.index()].0))?;
        }
        for entry in &m.entries {
            let check = EntryCheck { m, entry, value_of: &value_of };
            check.items(&entry.body, &mut HashMap::new())?;
        }
    }
    Ok(())
}

/// Assignments of the run-time sizes.
fn samples(m: &Module) -> Vec<Vec<i64>> {
    let pick = |f: &dyn Fn(u64, Option<u64>) -> u64| -> Vec<i64> {
        m.symbols
            .iter()
            .map(|s| match s.kind {
                SymbolKind::Dyn { hint, max } => {
                    let v = f(hint, max);
                    i64::try_from(max.map_or(v, |m| v.min(m)).max(1)).unwrap_or(i64::MAX)
                }
                SymbolKind::Param { value } => value,
            })
            .collect()
    };
    let mut all = vec![pick(&|hint, _| hint)];
    if !m.sizes.is_empty() {
        all.extend([
            pick(&|_, _| 1),
            pick(&|_, _| 2),
            pick(&|_, _| 37),
            pick(&|hint, max| max.unwrap_or(hint)),
        ]);
    }
    all
}

type Range = (i128, i128);

#[derive(Clone, Default)]
struct Scope {
    /// The range of a variable, and what all its values are multiples of.
    vars: HashMap<Var, (Range, i128)>,
    regs: HashMap<Reg, ()>,
    views: HashMap<View, (Whole, i128)>,
    arrays: HashMap<ArrayId, ()>,
}

struct KernelCheck<'a> {
    k: &'a Kernel,
    value_of: &'a dyn Fn(SymbolId) -> i64,
    scope: Scope,
}

impl KernelCheck<'_> {
    fn eval(&self, p: &Poly) -> i128 {
        p.eval(self.value_of)
    }

    fn range(&self, i: &Index) -> Result<Range, String> {
        let base = self.eval(&i.base);
        let (mut low, mut high) = (base, base);
        for (v, stride) in &i.terms {
            let &((a, b), _) =
                self.scope.vars.get(v).ok_or_else(|| format!("variable i{} is not bound", v.0))?;
            let s = self.eval(stride);
            if s < 0 {
                return Err("a stride is negative".into());
            }
            low += a * s;
            high += b * s;
        }
        Ok((low, high))
    }

    /// The elements of what a view is a window of.
    fn whole_len(&self, whole: Whole) -> Result<i128, String> {
        match whole {
            Whole::Operand(o) => {
                Ok(self.eval(self.k.operands.get(o as usize).ok_or("there is no such operand")?))
            }
            Whole::Array(a) | Whole::ArrayMut(a) => {
                self.scope.arrays.get(&a).ok_or_else(|| format!("array acc{} is not declared", a.0))?;
                Ok(i128::from(self.k.arrays.get(a.0 as usize).copied().unwrap_or(0)))
            }
        }
    }

    /// What an access is in, after a check that it lies within.
    fn place(&self, p: &Place) -> Result<Whole, String> {
        let (index, len, whole, name) = match p {
            Place::Operand(o, i) => {
                let whole = Whole::Operand(*o);
                (i, self.whole_len(whole)?, whole, format!("operand {o}"))
            }
            Place::View(v, i) => {
                let &(whole, len) =
                    self.scope.views.get(v).ok_or_else(|| format!("view v{} is not bound", v.0))?;
                (i, len, whole, format!("view v{}", v.0))
            }
            Place::Array(a, i) => {
                let whole = Whole::ArrayMut(*a);
                (i, self.whole_len(whole)?, whole, format!("array acc{}", a.0))
            }
        };
        let (low, high) = self.range(index)?;
        if low < 0 || high >= len {
            return Err(format!("elements {low}..={high} of {name} of length {len}"));
        }
        Ok(whole)
    }

    fn reg(&self, r: u32) -> Result<(), String> {
        self.scope.regs.get(&Reg(r)).copied().ok_or_else(|| format!("register r{r} is not bound"))
    }

    fn define(&mut self, r: Reg) -> Result<(), String> {
        match self.scope.regs.insert(r, ()) {
            None => Ok(()),
            Some(()) => Err(format!("register r{} is bound twice", r.0)),
        }
    }

    fn block(&mut self, body: &[Stmt]) -> Result<(), String> {
        let by_blocks = matches!(self.k.launch, Launch::Blocks { .. });
        for s in body {
            match s {
                Stmt::Loop { var, from, to, step, body, .. } => {
                    let (a, b) = (from.eval(self.value_of), to.eval(self.value_of));
                    let step = i128::from(*step);
                    if step < 1 || a < 0 {
                        return Err("a loop does not advance".into());
                    }
                    if a >= b {
                        continue;
                    }
                    let before = self.scope.clone();
                    let range = (a, a + (b - 1 - a) / step * step);
                    self.scope.vars.insert(*var, (range, gcd(a, step)));
                    self.block(body)?;
                    self.scope = before;
                }
                Stmt::Decode { flat, parts } => {
                    let &(_, multiple) = self.scope.vars.get(flat).ok_or("the flat variable is not bound")?;
                    for (i, (v, extent)) in parts.iter().enumerate() {
                        let n = self.eval(extent);
                        // The fastest part of a multiple of what divides its extent is one too.
                        let multiple = if i + 1 == parts.len() { gcd(multiple, n) } else { 1 };
                        self.scope.vars.insert(*v, ((0, (n - 1) / multiple * multiple), multiple));
                    }
                }
                Stmt::Piece { var, within, from, width, to, step, body } => {
                    let to = self.eval(to);
                    let begin = self.scope.vars.get(from).ok_or("the begin of a block is not bound")?;
                    let &((low, high), multiple) = begin;
                    let (width, step) = (i128::from(*width), i128::from(*step));
                    if step < 1 || width < 1 || high >= to {
                        return Err("a block begins behind the end of its range".into());
                    }
                    let before = self.scope.clone();
                    let last = (width.min(to - low) - 1) / step * step;
                    let multiple = gcd(multiple, step);
                    let range = (low, (high + last).min(to - 1) / multiple * multiple);
                    self.scope.vars.insert(*var, (range, multiple));
                    self.scope.vars.insert(*within, ((0, last), step));
                    self.block(body)?;
                    self.scope = before;
                }
                Stmt::View { view, of, base, len } => {
                    let (all, len) = (self.whole_len(*of)?, self.eval(len));
                    let (low, high) = self.range(base)?;
                    if low < 0 || high + len > all {
                        return Err(format!("view v{} of {len} from {high}, {of:?} has {all}", view.0));
                    }
                    self.scope.views.insert(*view, (*of, len));
                }
                Stmt::Array(a) => {
                    self.scope.arrays.insert(*a, ());
                }
                Stmt::Load { dst, from } => {
                    self.place(from)?;
                    self.define(*dst)?;
                }
                Stmt::Op { dst, op } => {
                    for a in op.args() {
                        self.reg(a)?;
                    }
                    self.define(*dst)?;
                }
                Stmt::Store { to, value, .. } => {
                    self.reg(value.0)?;
                    let last = self.k.operands.len() as u32 - 1;
                    match self.place(to)? {
                        Whole::Operand(o) if o != last => {
                            return Err("a store to an operand that is only read".into());
                        }
                        Whole::Array(_) => return Err("a store to a view that is only read".into()),
                        _ => {}
                    }
                }
                Stmt::Settle(array) => {
                    self.scope.arrays.get(array).ok_or("an undeclared array is settled")?;
                }
                Stmt::Join { array, .. } => {
                    self.scope.arrays.get(array).ok_or("a join of an undeclared array")?;
                    if !by_blocks {
                        return Err("a join outside a block of threads".into());
                    }
                }
                Stmt::First { body } => {
                    if !by_blocks {
                        return Err("`first` outside a block of threads".into());
                    }
                    let before = self.scope.clone();
                    self.block(body)?;
                    self.scope = before;
                }
            }
        }
        Ok(())
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

struct EntryCheck<'a> {
    m: &'a Module,
    entry: &'a ModuleEntry,
    value_of: &'a dyn Fn(SymbolId) -> i64,
}

impl EntryCheck<'_> {
    fn items(&self, items: &[CallItem], trips: &mut HashMap<u32, i128>) -> Result<(), String> {
        for item in items {
            match item {
                CallItem::Call(c) => self.call(c, 0, &[], trips)?,
                CallItem::Zero { at, len } => {
                    let (low, high) = self.range(at, 0, &[], trips)?;
                    self.inside(at, 0, &[], low, high + len.eval(self.value_of), true)?;
                }
                CallItem::Loop { var, trip, body } => {
                    let n = trip.poly().eval(self.value_of);
                    if n > 0 {
                        let before = trips.insert(*var, n);
                        if before.is_some() {
                            return Err(format!("loop variable {var} is bound twice"));
                        }
                        self.items(body, trips)?;
                        trips.remove(var);
                    }
                }
                CallItem::Repeat { rounds, table, calls } => {
                    for round in 0..*rounds {
                        for c in calls {
                            self.call(c, round, table, trips)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn range(
        &self,
        o: &Operand,
        round: u32,
        table: &[Vec<u64>],
        trips: &HashMap<u32, i128>,
    ) -> Result<Range, String> {
        let (mut low, mut high) = (0i128, 0i128);
        // Signs are settled for a variable as a whole: `(b − 1)·var` has a negative term but does not move back.
        let mut by_var: HashMap<u32, i128> = HashMap::new();
        for t in &o.offset {
            let product = t.monomial.iter().fold(t.factor.value(round, table), |p, &(s, e)| {
                p.saturating_mul(i128::from((self.value_of)(s)).saturating_pow(e))
            });
            match t.var {
                None => {
                    low += product;
                    high += product;
                }
                Some(v) => *by_var.entry(v).or_insert(0) += product,
            }
        }
        let mut vars: Vec<_> = by_var.into_iter().collect();
        vars.sort_unstable();
        for (v, step) in vars {
            let n = trips.get(&v).ok_or_else(|| format!("loop variable {v} is not bound"))?;
            low += (step * (n - 1)).min(0);
            high += (step * (n - 1)).max(0);
        }
        Ok((low, high))
    }

    fn inside(
        &self,
        o: &Operand,
        round: u32,
        table: &[Vec<u64>],
        low: i128,
        end: i128,
        written: bool,
    ) -> Result<(), String> {
        let member = usize::try_from(o.member.value(round, table)).map_err(|_| "a member is negative")?;
        let len = self.m.slot_len(self.entry, o.slot, member).eval(self.value_of);
        if low < 0 || end > len {
            return Err(format!(
                "{:?}: elements {low}..{end} of {:?} of length {len}",
                self.entry.kind, o.slot
            ));
        }
        let saved_is_read = o.slot == Slot::Saved && self.entry.kind == tn_plan::ir::EntryKind::Vjp;
        if written && (!o.is_writable() || saved_is_read) {
            return Err(format!("{:?}: {:?} is only read", self.entry.kind, o.slot));
        }
        Ok(())
    }

    fn call(
        &self,
        c: &Call,
        round: u32,
        table: &[Vec<u64>],
        trips: &HashMap<u32, i128>,
    ) -> Result<(), String> {
        let k = self.m.kernels.get(c.kernel).ok_or("a call of no kernel")?;
        if k.operands.len() != c.operands.len() {
            return Err("a call with the wrong number of operands".into());
        }
        let mut at = Vec::with_capacity(c.operands.len());
        for (o, len) in c.operands.iter().zip(&k.operands) {
            let (low, high) = self.range(o, round, table, trips)?;
            at.push((low, high, len.eval(self.value_of)));
        }
        let (last, &(out_low, out_high, out_len)) = match (c.operands.last(), at.last()) {
            (Some(o), Some(r)) => (o, r),
            _ => return Err("a call without operands".into()),
        };
        for (i, (o, &(low, high, len))) in c.operands.iter().zip(&at).enumerate() {
            let is_out = i + 1 == at.len();
            self.inside(o, round, table, low, high + len, is_out)?;
            let same = o.slot == last.slot && o.member.value(round, table) == last.member.value(round, table);
            if is_out || !same {
                continue;
            }
            let apart = if moves(o) == moves(last) {
                low + len <= out_low || out_low + out_len <= low
            } else {
                high + len <= out_low || out_high + out_len <= low
            };
            if !apart {
                let text = &self.m.uses[c.kernel.index()].0;
                return Err(format!("{:?}: `{text}` reads elements that it writes", self.entry.kind));
            }
        }
        Ok(())
    }
}

fn moves(o: &Operand) -> Vec<&OffsetTerm> {
    o.offset.iter().filter(|t| t.var.is_some()).collect()
}

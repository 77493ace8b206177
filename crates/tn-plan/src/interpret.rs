//! The meaning of a plan, step by step, as simply as it can be said: a witness for tests, not for speed.

use crate::ir::*;
use std::collections::BTreeMap;
use tn_ir::Complex64;
use tn_ir::size::{Dim, Poly, SymbolId};

/// Row-major arrays by owner.
pub type Arrays = BTreeMap<Class, Vec<Complex64>>;

/// Runs one entry. `given` holds leaves, cotangents and tangents; `saved` is read by `vjp` and written by `forward_saving`; `size` gives
/// the run-time sizes. The results are the arrays of the other classes. Workspace begins as NaN, so that reading what was never written
/// shows. Errors are accesses out of bounds and missing arrays.
pub fn interpret(
    plan: &Plan,
    entry: &Entry,
    size: &dyn Fn(SymbolId) -> u64,
    given: &Arrays,
    saved: &mut Vec<Complex64>,
) -> Result<Arrays, String> {
    interpret_watched(plan, entry, size, given, saved).map(|(arrays, _)| arrays)
}

/// The same, and the largest modulus of all numbers on the way, infinite where one was none. Where it is large, two ways to compute the same
/// may have little in common: the sine of 10^15 has no digit that a rounding leaves.
pub fn interpret_watched(
    plan: &Plan,
    entry: &Entry,
    size: &dyn Fn(SymbolId) -> u64,
    given: &Arrays,
    saved: &mut Vec<Complex64>,
) -> Result<(Arrays, f64), String> {
    let eval = |p: &Poly| p.eval(|s| size(s) as i64);
    let nan = Complex64::new(f64::NAN, f64::NAN);
    let vars = vec![0; entry.vars.len()];
    let mut run = Run { plan, entry, size, vars, memory: vec![], place: vec![], largest: 0.0 };
    run.memory.push(vec![nan; usize::try_from(eval(&entry.workspace_len)).map_err(|e| e.to_string())?]);
    if entry.kind == EntryKind::ForwardSaving {
        *saved = vec![nan; usize::try_from(eval(&entry.saved_len)).map_err(|e| e.to_string())?];
    }
    run.memory.push(std::mem::take(saved));
    let mut homes: BTreeMap<Class, usize> = BTreeMap::new();
    for b in entry.buffers.iter() {
        let (memory, offset) = match b.class {
            Class::Workspace => (0, eval(&b.offset)),
            Class::Saved => (1, eval(&b.offset)),
            _ => {
                let known = homes.get(&b.class).copied();
                let at = match known {
                    Some(at) => at,
                    None => {
                        run.memory.push(match (&b.class, given.get(&b.class)) {
                            (Class::Output(_) | Class::Grad(_) | Class::Jvp(_), _) => {
                                vec![nan; eval(&b.len).max(0) as usize]
                            }
                            (_, Some(values)) => values.clone(),
                            (_, None) => return Err(format!("no values for `{}`", b.name)),
                        });
                        homes.insert(b.class.clone(), run.memory.len() - 1);
                        run.memory.len() - 1
                    }
                };
                (at, 0)
            }
        };
        run.place.push((memory, offset, eval(&b.len)));
    }
    run.items(&entry.body)?;
    *saved = std::mem::take(&mut run.memory[1]);
    let results = |c: &Class| matches!(c, Class::Output(_) | Class::Grad(_) | Class::Jvp(_));
    let arrays = homes
        .into_iter()
        .filter(|(c, _)| results(c))
        .map(|(c, at)| (c, std::mem::take(&mut run.memory[at])))
        .collect();
    Ok((arrays, run.largest))
}

struct Run<'a> {
    plan: &'a Plan,
    entry: &'a Entry,
    size: &'a dyn Fn(SymbolId) -> u64,
    vars: Vec<u64>,
    /// Workspace, saved, then the caller's arrays.
    memory: Vec<Vec<Complex64>>,
    /// Memory, offset and length of each buffer.
    place: Vec<(usize, i128, i128)>,
    /// The largest modulus so far.
    largest: f64,
}

impl Run<'_> {
    /// Recursion is as deep as loops are nested.
    fn items(&mut self, items: &[Item]) -> Result<(), String> {
        for item in items {
            match item {
                Item::Loop(l) => {
                    for round in 0..self.dim(l.trip) {
                        *self.vars.get_mut(l.var as usize).ok_or("no such loop variable")? = round;
                        self.items(&l.body)?;
                    }
                }
                Item::Zero { buffer } => {
                    let (memory, offset, len) = self.place[buffer.0 as usize];
                    for i in offset..offset + len {
                        *self.memory[memory].get_mut(i as usize).ok_or("zero out of bounds")? =
                            Complex64::default();
                    }
                }
                Item::Step(s) => self.step(s)?,
            }
        }
        Ok(())
    }

    fn dim(&self, d: Dim) -> u64 {
        d.eval(|s| (self.size)(s))
    }

    fn eval(&self, p: &Poly) -> i128 {
        p.eval(|s| (self.size)(s) as i64)
    }

    /// Offset and strides of an access now.
    fn walk(&self, a: &Access) -> (BufferId, i128, Vec<i128>) {
        let at = a.moves.iter().fold(self.eval(&a.offset), |o, (v, p)| {
            o + self.vars.get(*v as usize).map_or(0, |&x| i128::from(x)) * self.eval(p)
        });
        (a.buffer, at, a.strides.iter().map(|s| self.eval(s)).collect())
    }

    fn index(
        &self,
        walk: &(BufferId, i128, Vec<i128>),
        point: &[u64],
        step: &Step,
    ) -> Result<(usize, usize), String> {
        let (buffer, at, strides) = walk;
        let i = strides.iter().zip(point).fold(*at, |i, (s, &p)| i + s * i128::from(p));
        let (memory, offset, len) = self.place[buffer.0 as usize];
        if i < 0 || i >= len || (offset + i) as usize >= self.memory[memory].len() {
            let name = &self.entry.buffers[*buffer].name;
            return Err(format!("`{}` leaves buffer `{name}` of {len} at {i}", step.text));
        }
        Ok((memory, (offset + i) as usize))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let sizes: Vec<u64> = step.space.iter().map(|a| self.dim(a.size)).collect();
        let kept: Vec<usize> = (0..sizes.len()).filter(|&i| !step.space[i].reduce).collect();
        let folded: Vec<usize> = (0..sizes.len()).filter(|&i| step.space[i].reduce).collect();
        let ins: Vec<_> = step.ins.iter().map(|a| self.walk(a)).collect();
        let out = self.walk(&step.out);
        let body = self.plan.bodies.get(step.body.0 as usize).ok_or("no such function")?.clone();
        let mut point = vec![0u64; sizes.len()];
        let mut args = vec![Complex64::default(); ins.len()];
        if kept.iter().any(|&i| sizes[i] == 0) {
            return Ok(());
        }
        loop {
            let mut acc = Complex64::default();
            let mut left = !folded.iter().any(|&i| sizes[i] == 0);
            while left {
                for (k, walk) in ins.iter().enumerate() {
                    let (memory, i) = self.index(walk, &point, step)?;
                    args[k] = self.memory[memory][i];
                }
                let value = body.eval(&args);
                let modulus = if value.is_finite() { value.norm() } else { f64::INFINITY };
                self.largest = self.largest.max(modulus);
                match step.fold {
                    Fold::Sum => acc += value,
                    Fold::MaxAbs => acc = Complex64::new(acc.re.max(value.norm()), 0.0),
                }
                left = advance(&mut point, &folded, &sizes);
            }
            if step.fold == Fold::MaxAbs && (acc.re == 0.0 || !acc.re.is_finite()) {
                acc = Complex64::new(1.0, 0.0);
            }
            let (memory, i) = self.index(&out, &point, step)?;
            let cell = &mut self.memory[memory][i];
            match step.write {
                Write::Set => *cell = acc,
                Write::Accumulate => *cell += acc,
            }
            if !advance(&mut point, &kept, &sizes) {
                return Ok(());
            }
        }
    }
}

/// The next point along `axes`, last fastest; false (and back at 0) after the last.
fn advance(point: &mut [u64], axes: &[usize], sizes: &[u64]) -> bool {
    for &i in axes.iter().rev() {
        point[i] += 1;
        if point[i] < sizes[i] {
            return true;
        }
        point[i] = 0;
    }
    false
}

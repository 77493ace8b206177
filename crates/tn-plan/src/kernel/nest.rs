//! A step without its buffers: the loop nest in normal form.
//!
//! Axes of length 1 are dropped, and two axes are merged where every operand walks them as one. So a gate on one qubit of twenty
//! becomes a nest of four axes, and steps that differ only in how their axes are cut share a kernel.

use crate::ir::{Fold, Step, Write};
use tn_ir::size::{Dim, Poly};

/// An axis of a nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NestAxis {
    /// Its length.
    pub size: Poly,
    /// Folded away.
    pub reduce: bool,
    /// One stride for each operand, the result last.
    pub strides: Vec<Poly>,
    /// The length at the hints of run-time sizes, for decisions.
    pub hint: u64,
}

/// A step's loop nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nest {
    /// Kept axes by falling stride of the result, then reduce axes in the step's order.
    pub axes: Vec<NestAxis>,
    /// Number of operands, the result included.
    pub operands: usize,
    /// How reduce axes are folded.
    pub fold: Fold,
    /// Overwrite or add.
    pub write: Write,
}

impl Nest {
    /// The normal form of a step's nest; `hint` evaluates a length at the hints.
    ///
    /// Operands that are read exactly where the result is written (`in_place`) are left out.
    pub fn of(step: &Step, in_place: &[bool], hint: impl Fn(&Poly) -> u64) -> Nest {
        let ins = step.ins.iter().zip(in_place).filter(|(_, same)| !**same).map(|(a, _)| a);
        let operands: Vec<&[Poly]> = ins.chain([&step.out]).map(|a| &a.strides[..]).collect();
        let mut walks: Vec<Walk> = Vec::with_capacity(step.space.len());
        for (i, axis) in step.space.iter().enumerate().filter(|(_, axis)| axis.size != Dim::Const(1)) {
            let next = Walk { size: axis.size.poly(), reduce: axis.reduce, inner: i };
            // most axes that walk as one are neighbours
            match walks.last_mut().filter(|last| continues(last, &next, &operands)) {
                Some(last) => *last = Walk { size: &last.size * &next.size, ..next },
                None => walks.push(next),
            }
        }
        walks.sort_by_cached_key(|w| (w.reduce, std::cmp::Reverse(hint(&step.out.strides[w.inner]))));
        merge(&mut walks, &operands, &hint);
        let axis = |w: Walk| NestAxis {
            strides: operands.iter().map(|o| o[w.inner].clone()).collect(),
            hint: hint(&w.size),
            size: w.size,
            reduce: w.reduce,
        };
        let operands = operands.len();
        let axes = walks.into_iter().map(axis).collect();
        Nest { axes, operands, fold: step.fold, write: step.write }
    }

    /// Elements of operand `o` between the first and the last that the nest touches, both included.
    pub fn span(&self, o: usize) -> Poly {
        self.axes.iter().fold(Poly::one(), |sum, a| {
            let last = &a.size - &Poly::one();
            &sum + &(&last * &a.strides[o])
        })
    }

    /// The axes that are kept (or folded), by position.
    pub fn positions(&self, reduce: bool) -> Vec<usize> {
        (0..self.axes.len()).filter(|&i| self.axes[i].reduce == reduce).collect()
    }
}

/// The operands of a step that read each element just before it is overwritten: a step that folds nothing may do so.
pub fn in_place(step: &Step) -> Vec<bool> {
    let may = step.write == Write::Set && step.space.iter().all(|a| !a.reduce);
    step.ins.iter().map(|a| may && *a == step.out).collect()
}

/// Axes of a step that are walked as one: they step as the innermost of them does.
struct Walk {
    size: Poly,
    reduce: bool,
    /// The innermost of them.
    inner: usize,
}

/// Merges axes until no two can be; of each operand the strides are given. An axis that none of the others continued finds none later either: what
/// is merged steps as its inner part, and ends where its outer part does.
fn merge(walks: &mut Vec<Walk>, operands: &[&[Poly]], hint: &impl Fn(&Poly) -> u64) {
    // what walks as one has equal numbers here, so that the few pairs that do are found among the many that do not
    let number = |w: &Walk| {
        let weight = |o: usize| (2 * o as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let strides = operands.iter().map(|o| &o[w.inner]).enumerate();
        strides.fold(0u64, |n, (o, s)| n.wrapping_add(hint(s).wrapping_mul(weight(o))))
    };
    let mut steps: Vec<u64> = walks.iter().map(number).collect();
    let mut ends: Vec<u64> = walks.iter().zip(&steps).map(|(w, n)| n.wrapping_mul(hint(&w.size))).collect();
    let mut outer = 0;
    while outer < walks.len() {
        let fits = |inner: &usize| {
            ends[*inner] == steps[outer]
                && *inner != outer
                && continues(&walks[outer], &walks[*inner], operands)
        };
        let Some(inner) = (0..walks.len()).find(fits) else {
            outer += 1;
            continue;
        };
        let size = &walks[outer].size * &walks[inner].size;
        ends[inner] = steps[inner].wrapping_mul(hint(&size));
        walks[inner].size = size;
        walks.remove(outer);
        steps.remove(outer);
        ends.remove(outer);
    }
}

/// Whether one step along `outer` moves every operand as far as all of `inner`.
fn continues(outer: &Walk, inner: &Walk, operands: &[&[Poly]]) -> bool {
    outer.reduce == inner.reduce
        && operands.iter().all(|strides| strides[outer.inner].is_product(&strides[inner.inner], &inner.size))
}

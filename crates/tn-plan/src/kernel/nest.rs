//! A step without its buffers: the loop nest in normal form.
//!
//! Axes of length 1 are dropped, and two axes are merged where every operand walks them as one. So a gate on one qubit of twenty
//! becomes a nest of four axes, and steps that differ only in how their axes are cut share a kernel.

use crate::ir::{Fold, Step, Write};
use tn_ir::size::Poly;

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
        let ins = || step.ins.iter().zip(in_place).filter(|(_, same)| !**same).map(|(a, _)| a);
        let mut axes: Vec<NestAxis> = Vec::new();
        for (i, axis) in step.space.iter().enumerate() {
            let size = axis.size.poly();
            if size.as_constant() == Some(1) {
                continue;
            }
            let strides = ins().chain([&step.out]).map(|a| a.strides[i].clone()).collect();
            axes.push(NestAxis { hint: hint(&size), size, reduce: axis.reduce, strides });
        }
        let operands = ins().count() + 1;
        let out_stride = |a: &NestAxis| a.strides.last().map_or(0, &hint);
        axes.sort_by_key(|a| (a.reduce, std::cmp::Reverse(out_stride(a))));
        merge(&mut axes, &hint);
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

/// Merges axes until no two can be. An axis that none of the others continued finds none later either: what is merged steps as its inner
/// part, and ends where its outer part does.
fn merge(axes: &mut Vec<NestAxis>, hint: &impl Fn(&Poly) -> u64) {
    // what walks as one has equal numbers here, so that the few pairs that do are found among the many that do not
    let number = |a: &NestAxis, times: u64| {
        let weight = |o: usize| (2 * o as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let strides = a.strides.iter().enumerate();
        strides.fold(0u64, |n, (o, s)| n.wrapping_add(hint(s).wrapping_mul(times).wrapping_mul(weight(o))))
    };
    let mut steps: Vec<u64> = axes.iter().map(|a| number(a, 1)).collect();
    let mut ends: Vec<u64> = axes.iter().map(|a| number(a, a.hint)).collect();
    let mut outer = 0;
    while outer < axes.len() {
        let fits = |inner: &usize| {
            ends[*inner] == steps[outer]
                && *inner != outer
                && axes[*inner].reduce == axes[outer].reduce
                && walks_as_one(&axes[outer], &axes[*inner])
        };
        let Some(inner) = (0..axes.len()).find(fits) else {
            outer += 1;
            continue;
        };
        let size = &axes[outer].size * &axes[inner].size;
        axes[inner].hint = hint(&size);
        axes[inner].size = size;
        ends[inner] = number(&axes[inner], axes[inner].hint);
        axes.remove(outer);
        steps.remove(outer);
        ends.remove(outer);
    }
}

/// Whether one step along `outer` moves every operand as far as all of `inner`.
fn walks_as_one(outer: &NestAxis, inner: &NestAxis) -> bool {
    outer.strides.iter().zip(&inner.strides).all(|(o, i)| {
        match (o.as_constant(), i.as_constant(), inner.size.as_constant()) {
            (Some(o), Some(i), Some(n)) => i.checked_mul(n) == Some(o),
            _ => *o == i * &inner.size,
        }
    })
}

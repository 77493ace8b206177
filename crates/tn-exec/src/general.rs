//! Any step: a function of the operands at every point, folded over the reduce axes. One axis is walked in blocks of lanes, so that each
//! operation of the function is a loop over a block.

use crate::element::Element;
use crate::prepare::NestAxis;
use crate::walk::{Pointer, share};
use tn_ir::Complex64;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_plan::ir::{Fold, Write};

/// Lanes of a block.
const LANES: usize = 32;
/// Operations whose values lie on the stack; longer functions have theirs on the heap.
const REGISTERS: usize = 24;
/// From this number of operations on, threads are worth starting.
const WORTH_THREADS: i64 = 1 << 17;

/// Operands of a step; few on the stack would be enough, the order is that of the function's arguments.
pub(crate) type Operands<T> = Vec<Pointer<T>>;

/// A step made ready.
pub(crate) struct General<T> {
    ops: Vec<Op<T>>,
    fold: Fold,
    accumulate: bool,
    /// Kept axes but for the lanes', outermost first; then reduce axes but for the lanes'.
    kept: Vec<NestAxis>,
    reduce: Vec<NestAxis>,
    lanes: NestAxis,
    empty: bool,
    /// Nothing to fold over: the sum is zero.
    nothing: bool,
    sequential: bool,
}

enum Op<T> {
    Load(usize),
    Number(T),
    Compute(ScalarOp),
}

impl<T: Element> General<T> {
    /// Chooses the axis of lanes. `operands` counts the result.
    pub fn new(
        axes: &[NestAxis],
        operands: usize,
        body: &ScalarFn,
        fold: Fold,
        write: Write,
        overlaps: bool,
    ) -> Self {
        let ops = body
            .ops
            .iter()
            .map(|op| match *op {
                ScalarOp::Arg(i) => Op::Load(i as usize),
                ScalarOp::Const(re, im) => {
                    Op::Number(T::from_complex(Complex64::new(f64::from_bits(re), f64::from_bits(im))))
                }
                op => Op::Compute(op),
            })
            .collect();
        let empty = axes.iter().any(|a| !a.reduce && a.len < 1);
        let nothing = axes.iter().any(|a| a.reduce && a.len < 1);
        let mut live: Vec<NestAxis> = axes.iter().filter(|a| a.len != 1).cloned().collect();
        // Long axes of neighbours first; a fold's axis only if it is much longer.
        let value = |a: &NestAxis| {
            let stride_one = a.strides.iter().filter(|&&s| s == 1).count() as i64;
            a.len.min(LANES as i64) * if a.reduce { 1 } else { 4 } * (2 + stride_one)
        };
        let best = (0..live.len()).max_by_key(|&i| (value(&live[i]), i));
        let lanes = match best {
            Some(i) => live.remove(i),
            None => NestAxis { len: 1, reduce: false, strides: vec![0; operands] },
        };
        let (kept, reduce): (Vec<_>, Vec<_>) = live.into_iter().partition(|a| !a.reduce);
        let mut reach = 0;
        let mut strides: Vec<(i64, i64)> = kept
            .iter()
            .chain((!lanes.reduce).then_some(&lanes))
            .map(|a| (a.strides.last().map_or(0, |s| s.abs()), a.len))
            .collect();
        strides.sort_unstable();
        let mut injective = true;
        for (stride, len) in strides.into_iter().filter(|s| s.1 > 1) {
            injective &= stride > reach;
            reach += stride * (len - 1);
        }
        General {
            ops,
            fold,
            accumulate: write == Write::Accumulate,
            kept,
            reduce,
            lanes,
            empty,
            nothing,
            sequential: overlaps || !injective,
        }
    }
}

/// Moves to the next point of `axes` (the last fastest) and moves `at` along; false after the last point, back at the first.
fn advance(point: &mut [i64], axes: &[NestAxis], at: &mut [i64]) -> bool {
    for (p, a) in point.iter_mut().zip(axes).rev() {
        *p += 1;
        if *p < a.len {
            at.iter_mut().zip(&a.strides).for_each(|(o, s)| *o += s);
            return true;
        }
        at.iter_mut().zip(&a.strides).for_each(|(o, s)| *o -= s * (a.len - 1));
        *p = 0;
    }
    false
}

/// Runs a step.
pub(crate) fn run<T: Element>(g: &General<T>, ins: &[Pointer<T>], out: Pointer<T>, threads: usize) {
    if g.empty {
        return;
    }
    let folded = g.lanes.reduce;
    let blocks = if folded { 1 } else { (g.lanes.len + LANES as i64 - 1) / LANES as i64 };
    let outer: i64 = g.kept.iter().map(|a| a.len).product();
    let points = outer * g.lanes.len * g.reduce.iter().map(|a| a.len).product::<i64>();
    let worth = points.saturating_mul(g.ops.len() as i64) >= WORTH_THREADS;
    let threads = if worth && !g.sequential { threads } else { 1 };
    // A task is a run of blocks, so that scratch memory and positions are set up seldom.
    let total = outer * blocks;
    let per_task = if threads == 1 { total } else { (total / (8 * threads as i64)).max(1) };
    share((total + per_task - 1) / per_task.max(1), threads, |task| {
        let (from, to) = (task * per_task, total.min((task + 1) * per_task));
        if g.ops.len() <= REGISTERS {
            let mut registers = [[T::default(); LANES]; REGISTERS];
            part(g, ins, out, (from, to), blocks, &mut registers);
        } else {
            let mut registers = vec![[T::default(); LANES]; g.ops.len()];
            part(g, ins, out, (from, to), blocks, &mut registers);
        }
    });
}

fn part<T: Element>(
    g: &General<T>,
    ins: &[Pointer<T>],
    out: Pointer<T>,
    (from, to): (i64, i64),
    blocks: i64,
    registers: &mut [[T; LANES]],
) {
    let operands = g.lanes.strides.len();
    let mut at = vec![0i64; operands];
    let mut base = vec![0i64; operands];
    let mut point = vec![0i64; g.kept.len()];
    let mut inner = vec![0i64; g.reduce.len()];
    let mut flat = from / blocks;
    for (p, a) in point.iter_mut().zip(&g.kept).rev() {
        *p = flat % a.len;
        flat /= a.len;
        base.iter_mut().zip(&a.strides).for_each(|(o, s)| *o += *p * s);
    }
    let mut block = from % blocks;
    for _ in from..to {
        let first = block * LANES as i64;
        if g.lanes.reduce {
            let mut acc = [T::default(); LANES];
            if !g.nothing {
                let mut first = 0;
                while first < g.lanes.len {
                    let width = (g.lanes.len - first).min(LANES as i64) as usize;
                    fold(g, ins, &base, (first, width), (&mut at, &mut inner), registers, &mut acc);
                    first += LANES as i64;
                }
            }
            let joined = acc.iter().fold(T::default(), |x, &y| match g.fold {
                Fold::Sum => x + y,
                Fold::MaxAbs => x.larger(y),
            });
            store(g, out, base[operands - 1], joined);
        } else {
            let width = (g.lanes.len - first).min(LANES as i64) as usize;
            let mut acc = [T::default(); LANES];
            if !g.nothing {
                fold(g, ins, &base, (first, width), (&mut at, &mut inner), registers, &mut acc);
            }
            let stride = g.lanes.strides[operands - 1];
            for (l, &x) in acc.iter().enumerate().take(width) {
                store(g, out, base[operands - 1] + (first + l as i64) * stride, x);
            }
        }
        block += 1;
        if block == blocks {
            block = 0;
            advance(&mut point, &g.kept, &mut base);
        }
    }
}

fn store<T: Element>(g: &General<T>, out: Pointer<T>, at: i64, x: T) {
    let one = T::from_complex(Complex64::new(1.0, 0.0));
    let x = if g.fold == Fold::MaxAbs && !x.usable() { one } else { x };
    // SAFETY: the access is bounded for all values of the axes; tasks have different results, or run one after the other.
    unsafe { out.write(at, if g.accumulate { out.read(at) + x } else { x }) }
}

/// Folds over the reduce axes (but for the lanes') for `width` lanes from `first`.
fn fold<T: Element>(
    g: &General<T>,
    ins: &[Pointer<T>],
    base: &[i64],
    (first, width): (i64, usize),
    (at, inner): (&mut [i64], &mut [i64]),
    registers: &mut [[T; LANES]],
    acc: &mut [T; LANES],
) {
    at.copy_from_slice(base);
    loop {
        for (r, op) in g.ops.iter().enumerate() {
            let (before, rest) = registers.split_at_mut(r);
            let Some(dst) = rest.first_mut() else { return };
            match op {
                Op::Number(x) => dst[..width].fill(*x),
                Op::Load(i) => {
                    let (p, stride) =
                        (ins[*i].moved(at[*i] + first * g.lanes.strides[*i]), g.lanes.strides[*i]);
                    for (l, cell) in dst[..width].iter_mut().enumerate() {
                        // SAFETY: the access is bounded for all values of the axes.
                        *cell = unsafe { p.read(l as i64 * stride) };
                    }
                }
                Op::Compute(op) => {
                    for (l, cell) in dst[..width].iter_mut().enumerate() {
                        *cell = T::op(*op, |r| before[r as usize][l]);
                    }
                }
            }
        }
        let Some(value) = g.ops.len().checked_sub(1).map(|r| &registers[r]) else { return };
        match g.fold {
            Fold::Sum => acc[..width].iter_mut().zip(value).for_each(|(a, &v)| *a += v),
            Fold::MaxAbs => acc[..width].iter_mut().zip(value).for_each(|(a, &v)| *a = a.larger(v.modulus())),
        }
        if !advance(inner, &g.reduce, at) {
            return;
        }
    }
}

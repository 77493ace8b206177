//! Contractions: a product of two operands, summed over the reduce axes.
//!
//! The axes fall into four groups: those of the left operand alone, those of the right alone, those of both that are kept (a batch), and
//! reduce axes. Each group is one flat axis; panels of [`ROWS`] × `COLUMNS` results are computed from packed pieces of both operands of at
//! most [`DEPTH`] summands, which lie on the stack (Goto, van de Geijn, *Anatomy of high-performance matrix multiplication*, 2008, on one
//! level).

use crate::element::Element;
use crate::prepare::NestAxis;
use crate::walk::{Pointer, Span, coalesce, count, offsets, share};
use tn_ir::Complex64;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_plan::ir::{Fold, Write};

/// Results of a panel along the left operand's axes.
const ROWS: usize = 4;
/// Results of a panel along the right operand's axes.
const COLUMNS: usize = 8;
/// Summands that are packed at once.
const DEPTH: usize = 128;
/// Panels of rows that one task goes through with the same packed piece of the right operand.
const ROW_PANELS: i64 = 32;
/// From this number of multiply-adds on, threads are worth starting.
const WORTH_THREADS: i64 = 1 << 19;

/// A contraction made ready.
pub(crate) struct Contract<T> {
    /// Whether operand 0 is the right one.
    swapped: bool,
    conj_left: bool,
    conj_right: bool,
    scale: Option<T>,
    accumulate: bool,
    /// Strides of left, right, result.
    batch: Vec<Span<3>>,
    rows: Vec<Span<3>>,
    columns: Vec<Span<3>>,
    sum: Vec<Span<3>>,
    sequential: bool,
}

/// The parts of `scale · a · b`: which argument comes first does not matter.
fn product(body: &ScalarFn) -> Option<(Complex64, [bool; 2])> {
    let last = body.ops.len().checked_sub(1)? as u32;
    // A chain of products, each factor an argument, its conjugate or a number.
    let (mut scale, mut conj, mut seen) = (Complex64::new(1.0, 0.0), [false; 2], [0u32; 2]);
    let mut todo = vec![(last, false)];
    while let Some((r, c)) = todo.pop() {
        match body.ops[r as usize] {
            ScalarOp::Mul(a, b) => todo.extend([(a, c), (b, c)]),
            ScalarOp::Conj(a) => todo.push((a, !c)),
            ScalarOp::Neg(a) => {
                scale = -scale;
                todo.push((a, c));
            }
            ScalarOp::Const(re, im) => {
                let z = Complex64::new(f64::from_bits(re), f64::from_bits(im));
                scale *= if c { z.conj() } else { z };
            }
            ScalarOp::Arg(i) if i < 2 => {
                seen[i as usize] += 1;
                conj[i as usize] = c;
            }
            _ => return None,
        }
        if seen.iter().any(|&n| n > 1) {
            return None;
        }
    }
    (seen == [1, 1]).then_some((scale, conj))
}

/// The contraction that a step is, if it is one worth this way of walking.
pub(crate) fn recognise<T: Element>(
    axes: &[NestAxis],
    body: &ScalarFn,
    fold: Fold,
    write: Write,
    overlaps: bool,
) -> Option<Contract<T>> {
    if fold != Fold::Sum || overlaps || body.arity != 2 || axes.iter().any(|a| a.len < 1) {
        return None;
    }
    let (scale, conj) = product(body)?;
    let span = |a: &NestAxis, swapped: bool| {
        let (l, r) = if swapped { (a.strides[1], a.strides[0]) } else { (a.strides[0], a.strides[1]) };
        Span { len: a.len, strides: [l, r, a.strides[2]] }
    };
    let group = |swapped: bool, want: &dyn Fn(&NestAxis, &Span<3>) -> bool| {
        let all = axes.iter().filter(|a| a.len != 1).map(|a| (a, span(a, swapped)));
        coalesce(all.filter(|(a, s)| want(a, s)).map(|(_, s)| s).collect())
    };
    let kept = |a: &NestAxis| !a.reduce;
    let rows_of = |swapped| group(swapped, &|a, s| kept(a) && s.strides[0] != 0 && s.strides[1] == 0);
    let columns_of = |swapped| group(swapped, &|a, s| kept(a) && s.strides[0] == 0 && s.strides[1] != 0);
    // The result's neighbours are best the columns.
    let unit = |g: &[Span<3>]| g.iter().any(|s| s.strides[2] == 1);
    let (c0, c1) = (columns_of(false), columns_of(true));
    let swapped = count(&c0) < 4 && count(&c1) > count(&c0) || unit(&c1) && count(&c1) >= 4;
    let columns = if swapped { c1 } else { c0 };
    let rows = rows_of(swapped);
    if count(&columns) < 2 {
        return None;
    }
    let batch = group(swapped, &|a, s| kept(a) && (s.strides[0] == 0) == (s.strides[1] == 0));
    let mut sum = group(swapped, &|a, _| a.reduce);
    // The innermost summands should lie close together.
    sum.sort_by_key(|s| std::cmp::Reverse(s.strides[0].abs().max(s.strides[1].abs())));
    let (conj_left, conj_right) = if swapped { (conj[1], conj[0]) } else { (conj[0], conj[1]) };
    let sequential = !injective([&batch, &rows, &columns]);
    Some(Contract {
        swapped,
        conj_left,
        conj_right,
        scale: (scale != Complex64::new(1.0, 0.0)).then(|| T::from_complex(scale)),
        accumulate: write == Write::Accumulate,
        batch,
        rows,
        columns,
        sum,
        sequential,
    })
}

/// Whether different points have different results: strides grow faster than the axes below them reach.
fn injective(groups: [&Vec<Span<3>>; 3]) -> bool {
    let mut all: Vec<(i64, i64)> =
        groups.into_iter().flatten().map(|s| (s.strides[2].abs(), s.len)).collect();
    all.sort_unstable();
    let mut reach = 0;
    for (stride, len) in all {
        if stride <= reach {
            return false;
        }
        reach += stride * (len - 1);
    }
    true
}

/// Runs a contraction of operands 0 and 1.
pub(crate) fn run<T: Element>(
    c: &Contract<T>,
    a: Pointer<T>,
    b: Pointer<T>,
    out: Pointer<T>,
    threads: usize,
) {
    let (left, right) = if c.swapped { (b, a) } else { (a, b) };
    let (batch, rows, columns, depth) = (count(&c.batch), count(&c.rows), count(&c.columns), count(&c.sum));
    let column_panels = (columns + COLUMNS as i64 - 1) / COLUMNS as i64;
    let row_panels = (rows + ROWS as i64 - 1) / ROWS as i64;
    let row_chunks = (row_panels + ROW_PANELS - 1) / ROW_PANELS;
    let worth = batch.saturating_mul(rows).saturating_mul(columns).saturating_mul(depth) >= WORTH_THREADS;
    let threads = if worth && !c.sequential { threads } else { 1 };
    share(batch * column_panels * row_chunks, threads, |task| {
        let (rest, chunk) = (task / row_chunks, task % row_chunks);
        let (at, panel) = (rest / column_panels, rest % column_panels);
        let base = offsets(&c.batch, at);
        let first = panel * COLUMNS as i64;
        let width = (columns - first).min(COLUMNS as i64) as usize;
        let from = chunk * ROW_PANELS * ROWS as i64;
        let to = rows.min(from + ROW_PANELS * ROWS as i64);
        let [l, r, y] = base;
        let at = Task { first, width, from, to, depth };
        block(c, left.moved(l), right.moved(r), out.moved(y), at);
    });
}

#[derive(Clone, Copy)]
struct Task {
    first: i64,
    width: usize,
    from: i64,
    to: i64,
    depth: i64,
}

/// One panel of columns times a range of rows.
fn block<T: Element>(c: &Contract<T>, left: Pointer<T>, right: Pointer<T>, out: Pointer<T>, t: Task) {
    let mut packed_right = [[T::default(); COLUMNS]; DEPTH];
    let mut packed_left = [[T::default(); ROWS]; DEPTH];
    let mut summands = [[0i64; 3]; DEPTH];
    let mut column_at = [[0i64; 3]; COLUMNS];
    for (j, at) in column_at.iter_mut().enumerate().take(t.width) {
        *at = offsets(&c.columns, t.first + j as i64);
    }
    let mut done = 0;
    while done < t.depth {
        let deep = (t.depth - done).min(DEPTH as i64) as usize;
        for (k, at) in summands.iter_mut().enumerate().take(deep) {
            *at = offsets(&c.sum, done + k as i64);
        }
        for (row, at) in packed_right.iter_mut().zip(&summands).take(deep) {
            for (cell, column) in row.iter_mut().zip(&column_at).take(t.width) {
                // SAFETY: the access is bounded for all values of the axes.
                let x = unsafe { right.read(at[1] + column[1]) };
                *cell = if c.conj_right { x.conj() } else { x };
            }
        }
        let mut m = t.from;
        while m < t.to {
            let high = (t.to - m).min(ROWS as i64) as usize;
            let mut row_at = [[0i64; 3]; ROWS];
            for (i, at) in row_at.iter_mut().enumerate().take(high) {
                *at = offsets(&c.rows, m + i as i64);
            }
            for (row, at) in packed_left.iter_mut().zip(&summands).take(deep) {
                for (cell, r) in row.iter_mut().zip(&row_at).take(high) {
                    // SAFETY: the access is bounded for all values of the axes.
                    let x = unsafe { left.read(at[0] + r[0]) };
                    *cell = if c.conj_left { x.conj() } else { x };
                }
            }
            let acc = panel(&packed_left[..deep], &packed_right[..deep]);
            for (row, r) in acc.iter().zip(&row_at).take(high) {
                for (&sum, column) in row.iter().zip(&column_at).take(t.width) {
                    let sum = c.scale.map_or(sum, |s| s * sum);
                    let at = r[2] + column[2];
                    // SAFETY: bounded as above; tasks have different results, or run one after the other.
                    unsafe {
                        if c.accumulate || done > 0 {
                            out.write(at, out.read(at) + sum);
                        } else {
                            out.write(at, sum);
                        }
                    }
                }
            }
            m += ROWS as i64;
        }
        done += deep as i64;
    }
}

#[inline(always)]
fn panel_plain<T: Element>(left: &[[T; ROWS]], right: &[[T; COLUMNS]]) -> [[T; COLUMNS]; ROWS] {
    let mut acc = [[T::default(); COLUMNS]; ROWS];
    for (l, r) in left.iter().zip(right) {
        for (row, &a) in acc.iter_mut().zip(l) {
            for (cell, &b) in row.iter_mut().zip(r) {
                *cell += a * b;
            }
        }
    }
    acc
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn panel_avx2<T: Element>(left: &[[T; ROWS]], right: &[[T; COLUMNS]]) -> [[T; COLUMNS]; ROWS] {
    panel_plain(left, right)
}

/// Sums of products, with wider vectors where the machine has them: the same operations in the same order.
#[inline]
fn panel<T: Element>(left: &[[T; ROWS]], right: &[[T; COLUMNS]]) -> [[T; COLUMNS]; ROWS] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the feature was detected.
        return unsafe { panel_avx2(left, right) };
    }
    panel_plain(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_recognised_with_their_factor() {
        assert_eq!(product(&ScalarFn::product(true, false)), Some((Complex64::new(1.0, 0.0), [true, false])));
        assert_eq!(product(&ScalarFn::identity()), None);
        let mut b = tn_ir::scalar::ScalarBuilder::new();
        let x = b.push(ScalarOp::Arg(0));
        let y = b.push(ScalarOp::Arg(1));
        let s = b.real(2.5);
        let p = b.push(ScalarOp::Mul(x, y));
        let n = b.push(ScalarOp::Neg(p));
        let r = b.push(ScalarOp::Mul(s, n));
        assert_eq!(product(&b.finish(2, r)), Some((Complex64::new(-2.5, 0.0), [false, false])));
    }
}

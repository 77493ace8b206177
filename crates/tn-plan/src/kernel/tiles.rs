//! Which axis of a nest is vectorised, which is tiled, and in which order the rest is walked.
//!
//! The model counts, for one vector of multiply-adds, the operations and the loads that feed it: a load with stride 1 is one
//! vector, a strided one is as many scalars as there are lanes, and a load is shared by the rows of a tile that do not move its operand.

use super::macs_of_an_operation;
use super::nest::Nest;
use tn_ir::dtype::DType;

/// How a nest is walked tile by tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// The axis whose neighbours are computed side by side; a kept one (its results are neighbours), or a reduce one (lanes of partial
    /// folds). None for a nest without axes.
    pub vector: Option<usize>,
    /// Elements computed side by side; 0 for the whole axis at once (only where nothing is folded).
    pub width: u32,
    /// A kept axis of which `rows` are computed together, so that loads are shared.
    pub rows: Option<(usize, u32)>,
    /// The other kept axes, outermost first.
    pub outer: Vec<usize>,
    /// Reduce axes, outermost first. If the vector axis is a reduce axis it is the last.
    pub reduce: Vec<usize>,
    /// Whether the loop over the vector axis's tiles stands outside the loop over the rows' tiles.
    pub vector_outside: bool,
}

/// Elements of a tile's row: two to four registers of common machines.
pub fn tile_width(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 16,
        DType::F64 | DType::C64 => 8,
        DType::C128 => 4,
    }
}

/// Rows of a tile.
const ROWS: u32 = 4;
/// Rows of a tile that only moves data across: a cache line of f32 in 8 pieces.
const COPY_ROWS: u32 = 8;
/// Bytes of the first-level cache that a panel may take.
const PANEL_BYTES: u64 = 24 << 10;

/// Operations for a vector of multiply-adds of the best tile.
const BEST: f64 = 1.43;
/// A strided access of a lane, and the code of a fold along the lanes, compared with an operation on a whole vector.
const STRIDED: f64 = 2.5;
const STRIDED_STORE: f64 = 6.0;
const FOLDED_LANES: f64 = 7.0;

/// Steps of a multiple of so many bytes meet few sets of a first-level cache, and from so many lines on they conflict; how much that costs.
const FAR_BYTES: i128 = 2048;
const MANY_LINES: u64 = 512;
const CONFLICT: f64 = 1.45;

/// How much slower a fold over several axes is whose innermost has no more than so many elements.
const SHORT: u64 = 2;
const NESTED: f64 = 1.5;

/// Bytes of an operand that the caches keep, and multiply-adds of f32 in the time that a byte takes from memory.
const CACHE_BYTES: f64 = (1 << 20) as f64;
const FROM_MEMORY: f64 = 3.3;

/// Chooses how to walk `nest` tile by tile, and what that costs for each point of
/// the nest, where 1 is a multiply-add at the machine's rate.
pub fn choose(nest: &Nest, dtype: DType) -> (Tiles, f64) {
    let (kept, reduce) = (nest.positions(false), nest.positions(true));
    let lanes = tile_width(dtype);
    let folded: f64 = reduce.iter().map(|&r| nest.axes[r].hint as f64).product();
    let mut best: Option<(f64, usize, Option<usize>)> = None;
    let candidates = kept.iter().rev().chain(reduce.iter().rev());
    for &v in candidates {
        let rows = std::iter::once(None).chain(kept.iter().rev().filter(|&&m| m != v).map(|&m| Some(m)));
        for m in rows {
            let cost = cost(nest, v, m, lanes, folded, reduce.is_empty());
            if best.is_none_or(|(c, _, _)| cost < c) {
                best = Some((cost, v, m));
            }
        }
    }
    let Some((cost, v, m)) = best else {
        let nothing = Tiles {
            vector: None,
            width: 1,
            rows: None,
            outer: vec![],
            reduce: vec![],
            vector_outside: false,
        };
        return (nothing, 1.0);
    };
    let whole = reduce.is_empty() && m.is_none();
    let fixed = |axis: usize, most: u32| match nest.axes[axis].size.as_constant() {
        Some(n) if n < i128::from(most) => n as u32,
        _ => most,
    };
    let width = if whole { 0 } else { fixed(v, lanes) };
    let rows = m.map(|m| (m, fixed(m, if reduce.is_empty() { COPY_ROWS } else { ROWS })));
    let outer: Vec<usize> = kept.iter().copied().filter(|&a| a != v && Some(a) != m).collect();
    let mut order: Vec<usize> = reduce.iter().copied().filter(|&a| a != v).collect();
    // The innermost fold should walk the operands that every lane shares in small steps.
    order.sort_by_key(|&r| std::cmp::Reverse(reduce_stride(nest, r, v)));
    if nest.axes[v].reduce {
        order.push(v);
    }
    let panel = |columns: u64| folded * columns as f64 * dtype.bytes() as f64;
    let vector_outside = !nest.axes[v].reduce
        && m.is_some()
        && panel(nest.axes[v].hint) > PANEL_BYTES as f64
        && panel(u64::from(lanes)) <= PANEL_BYTES as f64;
    // Numbers in pairs do not become vectors here.
    let apart = if dtype.is_complex() { 2.5 } else { 1.0 };
    // A nest of short loops in place of one that is unrolled.
    let inner = order.last().map_or(u64::MAX, |&r| nest.axes[r].hint);
    let nested = if order.len() > 1 && inner <= SHORT { NESTED } else { 1.0 };
    let mut relative = cost * f64::from(lanes) / BEST * apart * nested * conflicts(nest, v, dtype);
    relative += (0..nest.operands - 1).map(|o| read_again(nest, o, &outer, dtype)).sum::<f64>();
    (Tiles { vector: Some(v), width, rows, outer, reduce: order, vector_outside }, relative)
}

/// The smallest nonzero stride along reduce axis `r` among operands that do not move along `v`.
fn reduce_stride(nest: &Nest, r: usize, v: usize) -> i128 {
    let ins = nest.operands - 1;
    (0..ins)
        .filter(|&o| nest.axes[v].strides[o].is_zero())
        .filter_map(|o| nest.axes[r].strides[o].as_constant())
        .filter(|&s| s != 0)
        .min()
        .unwrap_or(i128::MAX)
}

/// Time for each point that goes into reading an operand again and again: an outer loop that does not move it, around more of it than the
/// caches hold.
fn read_again(nest: &Nest, o: usize, outer: &[usize], dtype: DType) -> f64 {
    let moves = |a: usize| !nest.axes[a].strides[o].is_zero();
    let size = |a: usize| nest.axes[a].hint.max(1) as f64;
    let all: f64 = (0..nest.axes.len()).filter(|&a| moves(a)).map(size).product();
    let points: f64 = (0..nest.axes.len()).map(size).product();
    let (mut inside, mut times) = (all, 1.0);
    for &a in outer {
        if moves(a) {
            inside /= size(a);
        } else if inside * dtype.bytes() as f64 > CACHE_BYTES {
            times *= size(a);
        }
    }
    let element =
        dtype.bytes() as f64 * FROM_MEMORY * macs_of_an_operation(dtype) / macs_of_an_operation(DType::F32);
    all * (times - 1.0) * element / points
}

/// Lines that a fold walks in steps of many sets of a cache evict each other before their neighbours are read.
fn conflicts(nest: &Nest, v: usize, dtype: DType) -> f64 {
    let steps = |o: usize| {
        let walked = nest.positions(true).into_iter().filter(|&r| r != v && nest.axes[r].hint >= MANY_LINES);
        walked.filter_map(move |r| nest.axes[r].strides[o].as_constant())
    };
    let far = |o: &usize| steps(*o).any(|s| s != 0 && s * i128::from(dtype.bytes()) % FAR_BYTES == 0);
    CONFLICT.powi((0..nest.operands - 1).filter(far).count() as i32)
}

fn cost(nest: &Nest, v: usize, m: Option<usize>, lanes: u32, folded: f64, plain: bool) -> f64 {
    let axis = &nest.axes[v];
    let used = (axis.hint as f64).min(f64::from(lanes)).max(1.0);
    let rows = m.map_or(1.0, |m| (nest.axes[m].hint as f64).min(f64::from(ROWS)).max(1.0));
    let (out, ins) = (nest.operands - 1, nest.operands - 1);
    let mut total = 1.0;
    for o in 0..ins {
        let shared = match m {
            Some(m) if nest.axes[m].strides[o].is_zero() => rows,
            _ => 1.0,
        };
        total += if axis.strides[o].is_zero() {
            0.25 / shared
        } else if axis.strides[o].as_constant() == Some(1) {
            0.5 / shared
        } else if plain && m.is_some_and(|m| nest.axes[m].strides[o].as_constant() == Some(1)) {
            // A tile that crosses: strided, but every cache line is used up at once.
            used * 0.6
        } else {
            STRIDED * used / shared
        };
    }
    total += if axis.reduce {
        FOLDED_LANES + 40.0 * f64::from(lanes) / folded
    } else if axis.strides[out].as_constant() == Some(1) {
        0.5 / folded
    } else {
        STRIDED_STORE * used / folded
    };
    // A tile costs code; without something to share it is not worth it.
    total += if m.is_some() { 0.05 } else { 0.0 };
    total / used
}

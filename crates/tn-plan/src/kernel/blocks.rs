//! Contractions as matrix products: which axes are rows, columns and summed, and how they are cut into blocks.
//!
//! The loops are those of Goto and van de Geijn (Anatomy of high-performance matrix multiplication, 2008): a block of the column operand
//! and a strip of the row operand are packed, so that whatever the strides of the operands are, the innermost loops read two short
//! arrays in order and keep a tile of the result in registers. Axes are packed as they come: groups of several axes are walked by one flat
//! position (Matthews, High-performance tensor contraction without transposition, 2018).

use super::macs_of_an_operation;
use super::nest::Nest;
use crate::ir::Fold;
use tn_ir::dtype::DType;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::Poly;

/// How a contraction of two operands is multiplied in blocks. Axes are positions in the nest, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Axes of both operands and of the result.
    pub batch: Vec<usize>,
    /// Axes of the row operand and of the result.
    pub rows: Vec<usize>,
    /// Axes of the column operand and of the result.
    pub columns: Vec<usize>,
    /// Axes of both operands that are summed.
    pub summed: Vec<usize>,
    /// The operand with the rows, 0 or 1; the other one has the columns.
    pub row_operand: usize,
    /// Rows and columns of a tile of the result.
    pub tile: (u32, u32),
    /// Summed positions of a block.
    pub depth: u32,
    /// Columns of a block, a multiple of the tile's.
    pub width: u32,
    /// Whether columns are read where they are and all rows are packed beforehand: for few rows, which would not pay for packing the columns.
    pub direct: bool,
}

/// Rows and columns of a tile: what keeps the registers of common machines busy without spilling. Complex numbers are held as two planes.
fn tile(dtype: DType) -> (u32, u32) {
    match dtype {
        DType::F32 => (4, 16),
        DType::F64 => (4, 8),
        DType::C64 | DType::C128 => (2, 16),
    }
}

/// Summed positions of a block: a strip of columns of f32 is half of a common first-level cache.
const DEPTH: u64 = 256;
/// Bytes of a packed block of columns, on the stack: a part of a common second-level cache.
const BLOCK_BYTES: u64 = 128 << 10;

/// Rows that make packing the columns worth it.
const MANY_ROWS: u64 = 64;
/// Bytes of packed rows, and of the columns that they meet in the first-level cache, where columns are read where they are.
const DIRECT_BYTES: u64 = 16 << 10;

/// Which operands each operation of a function depends on, as bits.
fn dependences(body: &ScalarFn) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::with_capacity(body.ops.len());
    for op in &body.ops {
        let own = if let ScalarOp::Arg(i) = op { 1 << i } else { 0 };
        all.push(op.args().iter().fold(own, |d, &a| d | all[a as usize]));
    }
    all
}

/// The two factors of a function of two arguments that is a product of a function of each: positions of the factor of the first argument and
/// of the second.
pub fn factors(body: &ScalarFn) -> Option<[u32; 2]> {
    let Some(&ScalarOp::Mul(a, b)) = body.ops.last() else { return None };
    let depends = dependences(body);
    match (depends[a as usize], depends[b as usize]) {
        (1, 2) => Some([a, b]),
        (2, 1) => Some([b, a]),
        _ => None,
    }
}

/// The axes of a product of two operands, by the operands that they move, outermost first.
pub(super) struct Groups {
    /// Kept axes of both.
    pub batch: Vec<usize>,
    /// Kept axes of one.
    pub own: [Vec<usize>; 2],
    /// Summed axes of both.
    pub summed: Vec<usize>,
}

impl Groups {
    /// None where an axis is of another kind: kept and moving neither, or summed over one operand alone.
    pub fn of(nest: &Nest) -> Option<Groups> {
        let mut groups = Groups { batch: vec![], own: [vec![], vec![]], summed: vec![] };
        for (i, axis) in nest.axes.iter().enumerate() {
            let moves = |o: usize| !axis.strides[o].is_zero();
            match (moves(0), moves(1), axis.reduce) {
                (true, true, true) => groups.summed.push(i),
                (true, true, false) => groups.batch.push(i),
                (true, false, false) => groups.own[0].push(i),
                (false, true, false) => groups.own[1].push(i),
                _ => return None,
            }
        }
        Some(groups)
    }
}

fn round_up(n: u64, multiple: u64) -> u64 {
    n.div_ceil(multiple).saturating_mul(multiple)
}

impl Blocks {
    /// The matrix product that a nest is: a sum over products of two operands, each axis of one of the four kinds.
    pub fn of(nest: &Nest, body: &ScalarFn, dtype: DType) -> Option<Blocks> {
        if nest.operands != 3 || nest.fold != Fold::Sum || body.arity != 2 || factors(body).is_none() {
            return None;
        }
        let Groups { batch, own, mut summed } = Groups::of(nest)?;
        if own.iter().any(|o| o.is_empty()) || summed.is_empty() {
            return None;
        }
        let size = |axes: &[usize]| size(nest, axes);
        let (tile_rows, tile_columns) = tile(dtype);
        // Neighbours in the result are the lanes, unless there are few of them.
        let last = |o: usize| own[o].last().and_then(|&a| nest.axes[a].strides[2].as_constant());
        let contiguous = |o: usize| last(o) == Some(1) && size(&own[o]) * 2 > u64::from(tile_columns);
        let row_operand = match (contiguous(0), contiguous(1)) {
            (true, false) => 1,
            (false, true) => 0,
            _ => usize::from(size(&own[0]) > size(&own[1])),
        };
        let [first, second] = own;
        let (rows, columns) = if row_operand == 0 { (first, second) } else { (second, first) };
        // The fastest loop over what is summed walks the operand of the columns in the smallest steps.
        let step = |a: usize| nest.axes[a].strides[1 - row_operand].as_constant().unwrap_or(i128::MAX);
        summed.sort_by_key(|&a| std::cmp::Reverse(step(a)));
        let constant = |axes: &[usize]| axes.iter().all(|&a| nest.axes[a].size.as_constant().is_some());
        let total = size(&summed).max(1);
        let depth = if constant(&summed) { total.div_ceil(total.div_ceil(DEPTH)) } else { DEPTH };
        let tile_columns = u64::from(tile_columns);
        let most = BLOCK_BYTES / dtype.bytes() / depth / tile_columns * tile_columns;
        let width = match constant(&columns) {
            true => round_up(size(&columns), tile_columns).min(most.max(tile_columns)),
            false => most.max(tile_columns),
        };
        let packed_rows = round_up(size(&rows), u64::from(tile_rows)) * depth * dtype.bytes();
        let (o, whole) = (1 - row_operand, constant(&columns) && size(&columns).is_multiple_of(tile_columns));
        let direct = !dtype.is_complex()
            && constant(&rows)
            && size(&rows) <= MANY_ROWS
            && constant(&summed)
            && total == depth
            && packed_rows <= DIRECT_BYTES
            && whole
            && is_line(nest, o, &columns)
            && step_of(nest, o, &columns) == Some(1);
        let width = match direct {
            true => {
                let fitting = DIRECT_BYTES / dtype.bytes() / depth / tile_columns * tile_columns;
                width_dividing(size(&columns), fitting.max(tile_columns), tile_columns)
            }
            false => width,
        };
        let tile = (tile_rows, tile_columns as u32);
        let (depth, width) = (depth as u32, width as u32);
        Some(Blocks { batch, rows, columns, summed, row_operand, tile, depth, width, direct })
    }

    /// Whether the result is summed in several passes, so that it must begin as zero.
    pub fn several_passes(&self, nest: &Nest) -> bool {
        match total(nest, &self.summed).as_constant() {
            Some(n) => n > i128::from(self.depth),
            None => true,
        }
    }

    /// Time for each point of the nest, where 1 is a multiply-add at the machine's rate.
    pub fn cost(&self, nest: &Nest, dtype: DType) -> f64 {
        let size = |axes: &[usize]| size(nest, axes).max(1) as f64;
        let (m, n, k) = (size(&self.rows), size(&self.columns), size(&self.summed));
        let (tile_m, tile_n) = (f64::from(self.tile.0), f64::from(self.tile.1));
        let tiles = (m / tile_m).ceil() * (n / tile_n).ceil();
        let passes = (k / f64::from(self.depth)).ceil();
        let blocks = (n / f64::from(self.width)).ceil();
        // Whether positions of a span are found without divisions: it is the whole group, or a part of its fastest axis.
        let found = |axes: &[usize], of: f64, o: usize| {
            let last = axes.last().map_or(1, |&a| nest.axes[a].hint) as f64;
            size(axes) == of || last % of == 0.0 || is_line(nest, o, axes) && size(axes) % of == 0.0
        };
        // Moving an element, in vector operations.
        let moving = |axes: &[usize], of: f64, o: usize| -> f64 {
            match (found(axes, of, o), step_of(nest, o, axes) == Some(1)) {
                (true, true) => 0.3,
                (true, false) => 1.0,
                (false, _) if is_line(nest, o, axes) => 1.2,
                (false, _) => 8.0,
            }
        };
        // What is walked along the summed axes is transposed on the way.
        let pack = |axes: &[usize], of: f64, o: usize| {
            let along = moving(&self.summed, f64::from(self.depth), o).max(1.2);
            moving(axes, of, o).min(along)
        };
        let rows = m * k * pack(&self.rows, tile_m, self.row_operand);
        let packed = match self.direct {
            true => rows,
            false => rows * blocks + n * k * pack(&self.columns, tile_n, 1 - self.row_operand),
        };
        let stored = passes * m * n * moving(&self.columns, tile_n, 2);
        let products = tiles * tile_m * tile_n * k * 1.15;
        (products + (packed + stored) * macs_of_an_operation(dtype)) / (m * n * k)
    }
}

/// Whether an operand walks a group of axes as one.
pub fn is_line(nest: &Nest, operand: usize, group: &[usize]) -> bool {
    group.windows(2).all(|pair| {
        let (outer, inner) = (&nest.axes[pair[0]], &nest.axes[pair[1]]);
        outer.strides[operand] == &inner.strides[operand] * &inner.size
    })
}

/// The step of an operand along the fastest axis of a group, if it is known.
fn step_of(nest: &Nest, operand: usize, group: &[usize]) -> Option<i128> {
    group.last().and_then(|&a| nest.axes[a].strides[operand].as_constant())
}

/// The largest multiple of `unit` up to `most` that divides `n`, itself a multiple of `unit`.
fn width_dividing(n: u64, most: u64, unit: u64) -> u64 {
    (1..=most / unit).rev().map(|k| k * unit).find(|w| n.is_multiple_of(*w)).unwrap_or(unit)
}

fn size(nest: &Nest, axes: &[usize]) -> u64 {
    axes.iter().fold(1u64, |n, &a| n.saturating_mul(nest.axes[a].hint))
}

/// Positions of a group of axes.
pub fn total(nest: &Nest, axes: &[usize]) -> Poly {
    axes.iter().fold(Poly::one(), |n, &a| &n * &nest.axes[a].size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Write;
    use crate::kernel::nest::NestAxis;
    use crate::kernel::{Schedule, choose};
    use tn_ir::scalar::ScalarBuilder;

    /// `(size, reduce, strides of both operands and of the result)`, with kept axes first.
    fn nest(axes: &[(u64, bool, [u64; 3])]) -> Nest {
        let axes = axes.iter().map(|&(n, reduce, strides)| NestAxis {
            size: n.into(),
            reduce,
            strides: strides.iter().map(|&s| s.into()).collect(),
            hint: n,
        });
        Nest { axes: axes.collect(), operands: 3, fold: Fold::Sum, write: Write::Set }
    }

    fn product() -> ScalarFn {
        ScalarFn::product(false, false)
    }

    #[test]
    fn axes_are_sorted_by_the_operands_that_they_move() {
        // y[z, a, c] = Σ_k x[z, a, k] w[z, c, k]
        let n = nest(&[
            (3, false, [640, 1280, 512]),
            (16, false, [40, 0, 32]),
            (32, false, [0, 40, 1]),
            (40, true, [1, 1, 0]),
        ]);
        let b = Blocks::of(&n, &product(), DType::F32).unwrap();
        assert_eq!((b.batch, b.rows, b.columns, b.summed), (vec![0], vec![1], vec![2], vec![3]));
        assert_eq!((b.row_operand, b.tile, b.depth, b.width), (0, (4, 16), 40, 32));
    }

    #[test]
    fn what_is_no_matrix_product_is_left_to_tiles() {
        let plain = [(16, false, [16, 0, 16]), (16, false, [0, 1, 1]), (16, true, [1, 16, 0])];
        assert!(Blocks::of(&nest(&plain), &product(), DType::F64).is_some());
        let mut broadcast = plain;
        broadcast[0].2[0] = 0;
        assert!(Blocks::of(&nest(&broadcast), &product(), DType::F64).is_none());
        let mut b = ScalarBuilder::new();
        let (l, r) = (b.push(ScalarOp::Arg(0)), b.push(ScalarOp::Arg(1)));
        let sum = b.push(ScalarOp::Add(l, r));
        assert!(Blocks::of(&nest(&plain), &b.finish(2, sum), DType::F64).is_none());
    }

    #[test]
    fn a_block_stays_within_its_bytes() {
        for (k, c) in [(10, 5000), (300, 300), (5000, 16), (1, 1), (257, 4096)] {
            let n = nest(&[(64, false, [k, 0, c]), (c, false, [0, 1, 1]), (k, true, [1, c, 0])]);
            for dtype in [DType::F32, DType::F64, DType::C64, DType::C128] {
                let Some(b) = Blocks::of(&n, &product(), dtype) else { continue };
                assert!(u64::from(b.depth) <= DEPTH && b.width.is_multiple_of(b.tile.1));
                let bytes = u64::from(b.depth) * u64::from(b.width) * dtype.bytes();
                assert!(bytes <= BLOCK_BYTES, "{k} {c} {dtype:?}: {bytes}");
            }
        }
    }

    #[test]
    fn strides_decide() {
        // Contiguous operands are read where they are; a transposed product of the same size is packed.
        let direct = nest(&[(64, false, [64, 0, 64]), (64, false, [0, 1, 1]), (64, true, [1, 64, 0])]);
        let across = nest(&[(64, false, [64, 0, 64]), (64, false, [0, 64, 1]), (64, true, [1, 1, 0])]);
        let (chosen, cost) = choose(&direct, &product(), DType::F32);
        assert!(matches!(chosen, Schedule::Tiles(_)) && cost < 1.1, "{chosen:?} {cost}");
        let (chosen, dearer) = choose(&across, &product(), DType::F32);
        assert!(matches!(chosen, Schedule::Blocks(_)) && dearer > cost, "{chosen:?} {dearer}");
    }
}

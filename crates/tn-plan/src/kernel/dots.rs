//! Contractions as scalar products: long sums of two operands that both walk in neighbours.
//!
//! A gradient of a small tensor is a sum over all that it touched. Both operands are read in vectors along the sum, and a tile of results keeps
//! a vector of partial sums each, so that nothing is transposed. A piece of the sum of a block of rows and of columns is copied first: what
//! lies a power of two apart in the operands would share few sets of the caches.

use super::blocks::{Groups, factors};
use super::macs_of_an_operation;
use super::nest::Nest;
use crate::ir::Fold;
use tn_ir::dtype::DType;
use tn_ir::scalar::ScalarFn;

/// How a contraction is computed as scalar products. Axes are positions in the nest, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dots {
    /// Axes of both operands and of the result.
    pub batch: Vec<usize>,
    /// Axes of the first operand and of the result.
    pub rows: Vec<usize>,
    /// Axes of the second operand and of the result.
    pub columns: Vec<usize>,
    /// Summed axes but the last one.
    pub summed: Vec<usize>,
    /// The summed axis along which both operands are contiguous, a multiple of the lanes.
    pub along: usize,
    /// Elements that are summed side by side.
    pub lanes: u32,
    /// Elements of `along` in a piece, a multiple of the lanes.
    pub depth: u32,
    /// Rows and columns of a tile: each result of it has a vector of partial sums.
    pub tile: (u32, u32),
    /// Rows and columns of a block, multiples of the tile's.
    pub block: (u32, u32),
}

const TILE: (u32, u32) = (2, 4);
/// Most rows and columns of a block.
const BLOCK: (u32, u32) = (16, 32);
/// Bytes of the copied piece of one row or column.
const PIECE_BYTES: u64 = 4 << 10;
/// Time of a multiply-add, compared with the machine's rate, of folding a result's lanes, and of adding a piece's.
const PRODUCT: f64 = 2.2;
const FOLD: f64 = 250.0;
const ADDED: f64 = 20.0;

impl Dots {
    /// The scalar products that a nest is, where both operands are contiguous along a long sum.
    pub fn of(nest: &Nest, body: &ScalarFn, dtype: DType) -> Option<Dots> {
        let lanes = super::tiles::tile_width(dtype);
        if nest.operands != 3 || nest.fold != Fold::Sum || dtype.is_complex() || body.arity != 2 {
            return None;
        }
        factors(body)?;
        let one = |a: usize, o: usize| nest.axes[a].strides[o].as_constant() == Some(1);
        let Groups { batch, own, mut summed } = Groups::of(nest)?;
        let along = *summed.iter().find(|&&a| one(a, 0) && one(a, 1))?;
        let n = u64::try_from(nest.axes[along].size.as_constant()?).ok()?;
        let [rows, columns] = own;
        if n == 0 || !n.is_multiple_of(u64::from(lanes)) || rows.is_empty() || columns.is_empty() {
            return None;
        }
        summed.retain(|&a| a != along);
        let depth = n.min(PIECE_BYTES / dtype.bytes());
        let block = |axes: &[usize], tile: u32, most: u32| {
            let n = axes.iter().fold(1u64, |n, &a| n.saturating_mul(nest.axes[a].hint.max(1)));
            n.min(u64::from(most)).next_multiple_of(u64::from(tile)) as u32
        };
        let block = (block(&rows, TILE.0, BLOCK.0), block(&columns, TILE.1, BLOCK.1));
        Some(Dots { batch, rows, columns, summed, along, lanes, depth: depth as u32, tile: TILE, block })
    }

    /// Time for each point of the nest, where 1 is a multiply-add at the machine's rate.
    pub fn cost(&self, nest: &Nest, dtype: DType) -> f64 {
        let size = |axes: &[usize]| axes.iter().map(|&a| nest.axes[a].hint.max(1) as f64).product::<f64>();
        let (m, n) = (size(&self.rows), size(&self.columns));
        let (tile_m, tile_n) = (f64::from(self.tile.0), f64::from(self.tile.1));
        let wasted = (m / tile_m).ceil() * tile_m * (n / tile_n).ceil() * tile_n / (m * n);
        let operation = macs_of_an_operation(dtype) / f64::from(self.lanes);
        // Rows are copied for each block of columns, and columns for each block of rows.
        let (block_m, block_n) = (f64::from(self.block.0), f64::from(self.block.1));
        let copied = 2.0 * operation * (1.0 / m.min(block_m) + 1.0 / n.min(block_n));
        let k = size(&self.summed) * nest.axes[self.along].hint.max(1) as f64;
        PRODUCT * wasted + copied + FOLD / k + ADDED / k.min(f64::from(self.depth))
    }
}

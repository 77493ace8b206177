//! How the loop nest of a step is walked on a CPU: what the cost model counts and what `tn-kernel` lowers.
//!
//! No schedule changes what a step means.

pub mod blocks;
pub mod dots;
pub mod nest;
pub mod tiles;

pub use blocks::Blocks;
pub use dots::Dots;
pub use nest::Nest;
pub use tiles::Tiles;

use crate::ir::Step;
use tn_ir::dtype::DType;
use tn_ir::scalar::ScalarFn;
use tn_ir::size::Poly;

/// How a nest is walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Tile by tile, straight from the operands.
    Tiles(Tiles),
    /// As a matrix product of packed blocks.
    Blocks(Blocks),
    /// As scalar products.
    Dots(Dots),
}

/// Multiply-adds at the machine's rate in the time of one vector operation; measured with emitted kernels.
pub(crate) fn macs_of_an_operation(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 11.0,
        DType::F64 => 5.6,
        DType::C64 => 2.7,
        DType::C128 => 1.5,
    }
}

/// Chooses how to walk `nest`, whose points are computed by `body`. The number is the time for each point of the nest, where 1 is a multiply-add
/// at the machine's rate.
pub fn choose(nest: &Nest, body: &ScalarFn, dtype: DType) -> (Schedule, f64) {
    let (tiles, cost) = tiles::choose(nest, dtype);
    let mut best = (Schedule::Tiles(tiles), cost);
    if let Some(blocks) = Blocks::of(nest, body, dtype) {
        let cost = blocks.cost(nest, dtype);
        if cost < best.1 {
            best = (Schedule::Blocks(blocks), cost);
        }
    }
    if let Some(dots) = Dots::of(nest, body, dtype) {
        let cost = dots.cost(nest, dtype);
        if cost < best.1 {
            best = (Schedule::Dots(dots), cost);
        }
    }
    best
}

/// Nests with fewer points are over before their shape matters.
const SMALL: f64 = 1024.0;

/// Time for each point of a step's nest, where 1 is a multiply-add at the machine's rate; `hint` evaluates a length.
pub fn cost(step: &Step, body: &ScalarFn, dtype: DType, hint: impl Fn(&Poly) -> u64) -> f64 {
    let points: f64 = step.space.iter().map(|a| hint(&a.size.poly()) as f64).product();
    if points < SMALL {
        return 1.0;
    }
    choose(&Nest::of(step, &nest::in_place(step), hint), body, dtype).1
}

//! A nest as a grid of threads.
//!
//! Many results: one thread each, neighbours in the result side by side, folds inside the thread. Few results over long folds: one
//! block each, whose threads share the fold and join their parts in a fixed order.

use crate::build::{Builder, FoldWalk, Point, Roles, Tile};
use crate::ir::{Bound, Kernel, Launch, Stmt, Walk};
use tn_ir::dtype::DType;
use tn_ir::scalar::ScalarFn;
use tn_ir::size::Poly;
use tn_plan::kernel::Nest;

/// Up to this many results a block shares one fold …
const FEW_RESULTS: u64 = 2048;
/// … if the fold is at least this long.
const LONG_FOLD: u64 = 256;

/// Lowers a nest for a GPU.
pub fn lower(nest: &Nest, body: &ScalarFn, dtype: DType) -> Kernel {
    let (kept, reduce) = (nest.positions(false), nest.positions(true));
    let count = |axes: &[usize]| axes.iter().fold(1u64, |n, &a| n.saturating_mul(nest.axes[a].hint));
    let by_block = count(&kept) <= FEW_RESULTS && count(&reduce) >= LONG_FOLD;
    let work = kept.iter().fold(Poly::one(), |n, &a| &n * &nest.axes[a].size);
    let mut b = Builder::new(nest, body, Roles { vector: None, rows: None, reduce });
    let flat = b.var();
    let mut point = Point::origin(nest.axes.len());
    let mut parts = Vec::new();
    for &axis in &kept {
        let v = b.var();
        point = point.with_var(axis, v);
        parts.push((v, nest.axes[axis].size.clone()));
    }
    let mut stmts = if parts.is_empty() { vec![] } else { vec![Stmt::Decode { flat, parts }] };
    let fold = if by_block { FoldWalk::Threads } else { FoldWalk::Loops };
    stmts.extend(b.tile(&point, Tile { width: 1, rows: 1 }, fold));
    let (walk, launch) = if by_block {
        (Walk::Blocks, Launch::Blocks { work: work.clone() })
    } else {
        (Walk::Grid, Launch::Threads { work: work.clone() })
    };
    let all = vec![Stmt::Loop {
        var: flat,
        from: Bound::zero(),
        to: Bound::exact(work),
        step: 1,
        walk,
        body: stmts,
    }];
    crate::lower::kernel(nest, body, dtype, b.arrays, launch, all)
}

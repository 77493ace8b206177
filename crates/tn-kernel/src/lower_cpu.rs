//! A nest as one plain function: loops over tiles.

use crate::build::{Builder, FoldWalk, Point, Roles, Tile};
use crate::ir::{Bound, Kernel, Launch, Stmt, Walk};
use tn_ir::dtype::DType;
use tn_ir::scalar::ScalarFn;
use tn_plan::kernel::{Nest, Tiles};

/// Lowers a nest by a schedule for its axes.
pub fn lower(nest: &Nest, body: &ScalarFn, dtype: DType, schedule: &Tiles) -> Kernel {
    let roles = Roles {
        vector: schedule.vector,
        rows: schedule.rows.map(|(m, _)| m),
        reduce: schedule.reduce.clone(),
    };
    let mut b = Builder::new(nest, body, roles);
    let stmts = outer(&mut b, schedule, &schedule.outer, &Point::origin(nest.axes.len()));
    crate::lower::kernel(nest, body, dtype, b.arrays, Launch::Serial, stmts)
}

fn outer(b: &mut Builder<'_>, schedule: &Tiles, axes: &[usize], point: &Point) -> Vec<Stmt> {
    let Some((&axis, rest)) = axes.split_first() else { return tiles(b, schedule, point) };
    let var = b.var();
    let body = outer(b, schedule, rest, &point.with_var(axis, var));
    let to = Bound::exact(b.nest.axes[axis].size.clone());
    vec![Stmt::Loop { var, from: Bound::zero(), to, step: 1, walk: Walk::Serial, body }]
}

/// The loops over tiles: along the rows' axis and along the vector axis, if that is a kept one.
fn tiles(b: &mut Builder<'_>, schedule: &Tiles, point: &Point) -> Vec<Stmt> {
    let vector = schedule.vector.filter(|&v| !b.nest.axes[v].reduce && schedule.width > 0);
    let width = schedule.width;
    let one = |b: &mut Builder<'_>, p: &Point, rows: u32, width: u32| {
        b.tile(p, Tile { width, rows }, FoldWalk::Loops)
    };
    match (schedule.rows, vector) {
        (None, None) => one(b, point, 1, width),
        (None, Some(v)) => b.pieces(v, width, point, &mut |b, p, w| one(b, p, 1, w)),
        (Some((m, rows)), None) => b.pieces(m, rows, point, &mut |b, p, r| one(b, p, r, width)),
        (Some((m, rows)), Some(v)) if schedule.vector_outside => {
            b.pieces(v, width, point, &mut |b, p, w| b.pieces(m, rows, p, &mut |b, p, r| one(b, p, r, w)))
        }
        (Some((m, rows)), Some(v)) => {
            b.pieces(m, rows, point, &mut |b, p, r| b.pieces(v, width, p, &mut |b, p, w| one(b, p, r, w)))
        }
    }
}

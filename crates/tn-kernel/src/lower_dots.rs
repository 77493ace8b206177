//! A contraction as scalar products, by the schedule of [`tn_plan::kernel::dots`].
//!
//! ```text
//! for each batch, j0 in columns and i0 in rows by the block's
//!   lanes[row][column][lane] = 0
//!   for each other summed axis, and k0 in the long one by depth
//!     copy the pieces of rows i0.. and of columns j0..     rows[row][k], columns[column][k]
//!     for each tile of the block
//!       acc[row, column][lane] += rows[row][k ..] · columns[column][k ..]     for k in the piece, lanes at a time
//!       lanes[row][column] += acc
//!   y[row, column] = Σ lanes[row][column]     where the row and the column exist
//! ```

use crate::build::{Builder, Point, Roles};
use crate::ir::*;
use crate::spans::*;
use tn_ir::dtype::DType;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::Poly;
use tn_plan::ir::Write;
use tn_plan::kernel::dots::Dots;
use tn_plan::kernel::nest::Nest;

/// Lowers a nest by a schedule of scalar products for it.
pub fn lower(nest: &Nest, body: &ScalarFn, dtype: DType, dots: &Dots) -> Kernel {
    let mut d = Lowering { b: Builder::new(nest, body, Roles::default()), dots };
    let stmts = d.kernel();
    crate::lower::kernel(nest, body, dtype, d.b.arrays, Launch::Serial, stmts)
}

struct Lowering<'a> {
    b: Builder<'a>,
    dots: &'a Dots,
}

impl<'a> Spans<'a> for Lowering<'a> {
    fn b(&self) -> &Builder<'a> {
        &self.b
    }
    fn b_mut(&mut self) -> &mut Builder<'a> {
        &mut self.b
    }
}

/// The arrays of a kernel: copied pieces of rows and of columns, and the lanes of a block's results.
#[derive(Clone, Copy)]
struct Arrays {
    rows: ArrayId,
    columns: ArrayId,
    lanes: ArrayId,
}

impl Lowering<'_> {
    fn kernel(&mut self) -> Vec<Stmt> {
        let dots = self.dots;
        let (block_rows, block_columns) = dots.block;
        let arrays = Arrays {
            rows: self.b.array(block_rows * dots.depth),
            columns: self.b.array(block_columns * dots.depth),
            lanes: self.b.array(block_rows * block_columns * dots.lanes),
        };
        let mut out = vec![Stmt::Array(arrays.rows), Stmt::Array(arrays.columns)];
        let point = Point::origin(self.b.nest.axes.len());
        out.extend(self.loops(&dots.batch, &point, &mut |d, p| d.block(p, arrays)));
        out
    }

    /// A loop for each of some axes.
    fn loops(
        &mut self,
        axes: &[usize],
        point: &Point,
        inside: &mut dyn FnMut(&mut Self, &Point) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let Some((&axis, rest)) = axes.split_first() else { return inside(self, point) };
        let var = self.b.var();
        let body = self.loops(rest, &point.with_var(axis, var), inside);
        vec![serial(var, self.b.nest.axes[axis].size.clone(), 1, body)]
    }

    /// The blocks of a matrix of results.
    fn block(&mut self, point: &Point, arrays: Arrays) -> Vec<Stmt> {
        let dots = self.dots;
        let (k0, j0, i0) = (self.b.var(), self.b.var(), self.b.var());
        let along = [dots.along];
        let deep = Span::new(&along, k0, dots.depth);
        let rows = Span::new(&dots.rows, i0, dots.block.0);
        let columns = Span::new(&dots.columns, j0, dots.block.1);
        let mut body = vec![Stmt::Array(arrays.lanes)];
        body.extend(self.loops(&dots.summed, point, &mut |d, p| {
            let mut piece = d.copy(0, p, rows, deep, arrays.rows);
            piece.extend(d.copy(1, p, columns, deep, arrays.columns));
            piece.push(d.tiles(rows, columns, deep, arrays));
            vec![serial(k0, d.total(deep.group), deep.width, piece)]
        }));
        body.extend(self.fold(point, rows, columns, arrays.lanes));
        let by_rows = serial(i0, self.total(rows.group), rows.width, body);
        vec![serial(j0, self.total(columns.group), columns.width, vec![by_rows])]
    }

    /// Sums the lanes of a block's results and stores them.
    fn fold(&mut self, point: &Point, rows: Span<'_>, columns: Span<'_>, lanes: ArrayId) -> Vec<Stmt> {
        let o = self.b.result();
        let put = if self.b.nest.write == Write::Accumulate { Put::Add } else { Put::Set };
        let (height, width) = (columns.width, self.dots.lanes);
        self.each(self.seen(o, rows), point, |d, p, row| {
            d.along(o, d.seen(o, columns), p, |d, to, column| {
                let (lane, part, value, sum) = (d.b.var(), d.b.reg(), d.b.reg(), d.b.array(1));
                let cell = plus(column, row, &Poly::from(u64::from(height)));
                let from = plus(&single(lane), &cell, &Poly::from(u64::from(width)));
                let first = || Place::Array(sum, Index::default());
                let add = vec![
                    Stmt::Load { dst: part, from: Place::Array(lanes, from) },
                    Stmt::Store { to: first(), value: part, put: Put::Add },
                ];
                vec![
                    Stmt::Array(sum),
                    counted(lane, width, Walk::Unrolled, add),
                    Stmt::Load { dst: value, from: first() },
                    Stmt::Store { to, value, put },
                ]
            })
        })
    }

    /// Copies a block of operand `o`: its piece of the sum for each of its positions.
    fn copy(
        &mut self,
        o: usize,
        point: &Point,
        block: Span<'_>,
        deep: Span<'_>,
        array: ArrayId,
    ) -> Vec<Stmt> {
        let depth = Poly::from(u64::from(deep.width));
        self.each(self.seen(o, block), point, |d, p, row| {
            let (mut out, at) = (Vec::new(), plus(&Index::default(), row, &depth));
            let to = d.b.view(&mut out, Whole::ArrayMut(array), at, depth.clone());
            let copies = d.along(o, deep, p, |d, from, k| {
                let mut body = Vec::new();
                let value = factor(&mut d.b, &mut body, o, &from);
                body.push(Stmt::Store { to: Place::View(to, k.clone()), value, put: Put::Set });
                body
            });
            out.extend(copies);
            out
        })
    }

    /// The tiles of a block.
    fn tiles(&mut self, rows: Span<'_>, columns: Span<'_>, deep: Span<'_>, arrays: Arrays) -> Stmt {
        let tile = self.dots.tile;
        let [(i, row), (j, column)] = [0; 2].map(|_| (self.b.var(), self.b.var()));
        let body = self.tile((row, column), columns.width, deep, arrays);
        let piece = |var, within, span: Span<'_>, step, to, body| Stmt::Piece {
            var,
            within,
            from: span.from,
            width: span.width,
            to,
            step,
            body,
        };
        let by_columns = piece(j, column, columns, tile.1, self.total(columns.group), body);
        piece(i, row, rows, tile.0, self.total(rows.group), vec![by_columns])
    }

    /// Adds a piece's sums to the lanes of a tile, whose first row and column are at these positions of the block.
    fn tile(&mut self, at: (Var, Var), height: u32, deep: Span<'_>, arrays: Arrays) -> Vec<Stmt> {
        let (tile, lanes) = (self.dots.tile, self.dots.lanes);
        let cells: Vec<(u32, u32)> = (0..tile.0).flat_map(|r| (0..tile.1).map(move |c| (r, c))).collect();
        let accs: Vec<ArrayId> = cells.iter().map(|_| self.b.array(lanes)).collect();
        let (k, within, mut body) = (self.b.var(), self.b.var(), Vec::new());
        let left = self.windows(&mut body, arrays.rows, at.0, within, tile.0);
        let right = self.windows(&mut body, arrays.columns, at.1, within, tile.1);
        for (&(r, c), &acc) in cells.iter().zip(&accs) {
            let lane = self.b.var();
            let [x, w, value] = [0; 3].map(|_| self.b.reg());
            let load = |dst, view: View| Stmt::Load { dst, from: Place::View(view, single(lane)) };
            let inner = vec![
                load(x, left[r as usize]),
                load(w, right[c as usize]),
                Stmt::Op { dst: value, op: ScalarOp::Mul(x.0, w.0) },
                Stmt::Store { to: Place::Array(acc, single(lane)), value, put: Put::Add },
            ];
            body.push(counted(lane, lanes, Walk::Unrolled, inner));
        }
        let mut out: Vec<Stmt> = accs.iter().map(|&a| Stmt::Array(a)).collect();
        let (width, to) = (deep.width, self.total(deep.group));
        out.push(Stmt::Piece { var: k, within, from: deep.from, width, to, step: lanes, body });
        out.extend(accs.iter().map(|&a| Stmt::Settle(a)));
        for (&(r, c), acc) in cells.iter().zip(accs) {
            let (lane, part) = (self.b.var(), self.b.reg());
            let mut base = Index::fixed(Poly::from(u64::from(r * height + c) * u64::from(lanes)));
            base.add(at.0, &Poly::from(u64::from(height) * u64::from(lanes)));
            base.add(at.1, &Poly::from(u64::from(lanes)));
            let to = self.b.view(&mut out, Whole::ArrayMut(arrays.lanes), base, Poly::from(u64::from(lanes)));
            let add = vec![
                Stmt::Load { dst: part, from: Place::Array(acc, single(lane)) },
                Stmt::Store { to: Place::View(to, single(lane)), value: part, put: Put::Add },
            ];
            out.push(counted(lane, lanes, Walk::Unrolled, add));
        }
        out
    }

    /// Windows of `lanes` elements at `within` of some neighbouring positions of a copy, from `first` on.
    fn windows(
        &mut self,
        out: &mut Vec<Stmt>,
        copy: ArrayId,
        first: Var,
        within: Var,
        count: u32,
    ) -> Vec<View> {
        let depth = u64::from(self.dots.depth);
        let window = |t: u32| {
            let mut base = single(within);
            base.base = Poly::from(u64::from(t) * depth);
            base.add(first, &Poly::from(depth));
            self.b.view(out, Whole::Array(copy), base, Poly::from(u64::from(self.dots.lanes)))
        };
        (0..count).map(window).collect()
    }
}

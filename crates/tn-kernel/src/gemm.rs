//! A contraction as a matrix product of packed blocks, by the schedule of [`tn_plan::kernel::blocks`].
//!
//! ```text
//! for each batch
//!   for j0 in columns by width
//!     for k0 in summed by depth
//!       pack columns j0.. of the one operand, strip by strip     columns[strip][k][tile columns]
//!       for i0 in rows by the tile's
//!         pack rows i0.. of the other                            strip[k][tile rows]
//!         for each strip of columns
//!           acc[tile rows][tile columns] = Σ_k strip · columns   registers
//!           store (or add) what of the tile is in the result
//! ```

use crate::build::{Builder, Point, Roles};
use crate::ir::*;
use crate::spans::*;
use tn_ir::dtype::DType;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::Poly;
use tn_plan::ir::Write;
use tn_plan::kernel::blocks::Blocks;
use tn_plan::kernel::nest::Nest;

/// Elements between rows that are near: a page of `f64`.
const NEAR: i128 = 512;

/// Lowers a nest by a blocked schedule for it; `streams` if the result is written past the caches, once.
pub fn lower(nest: &Nest, body: &ScalarFn, dtype: DType, blocks: &Blocks, streams: bool) -> Kernel {
    let b = Builder::new(nest, body, Roles::default());
    let mut g = Gemm { b, blocks, is_complex: dtype.is_complex(), streams };
    let stmts = g.kernel();
    crate::lower::kernel(nest, body, dtype, g.b.arrays, Launch::Serial, stmts)
}

impl<'a> Spans<'a> for Gemm<'a> {
    fn b(&self) -> &Builder<'a> {
        &self.b
    }
    fn b_mut(&mut self) -> &mut Builder<'a> {
        &mut self.b
    }
}

struct Gemm<'a> {
    b: Builder<'a>,
    blocks: &'a Blocks,
    is_complex: bool,
    streams: bool,
}

/// The product of tile and strips: packed arrays and where in them.
#[derive(Clone, Copy)]
struct Packed {
    rows: ArrayId,
    columns: ArrayId,
}

impl Gemm<'_> {
    fn kernel(&mut self) -> Vec<Stmt> {
        let blocks = self.blocks;
        let (tile_rows, _) = blocks.tile;
        let packed = match blocks.direct {
            true => {
                let rows = self.total(&blocks.rows).as_constant().and_then(|n| u32::try_from(n).ok());
                let rows = rows.unwrap_or(tile_rows).next_multiple_of(tile_rows);
                Packed { rows: self.b.array(blocks.depth * rows), columns: ArrayId(0) }
            }
            false => Packed {
                rows: self.b.array(blocks.depth * tile_rows),
                columns: self.b.array(blocks.depth * blocks.width),
            },
        };
        let mut out = Vec::new();
        let adds = self.b.nest.write == Write::Accumulate;
        let several = blocks.several_passes(self.b.nest);
        if several && !adds {
            out.extend(zeroed(&mut self.b));
        }
        let put = match self.streams && self.rows_are_near() {
            _ if several || adds => Put::Add,
            true => Put::Stream,
            false => Put::Set,
        };
        out.push(Stmt::Array(packed.rows));
        if !blocks.direct {
            out.push(Stmt::Array(packed.columns));
        }
        let point = Point::origin(self.b.nest.axes.len());
        out.extend(self.batches(&blocks.batch, &point, packed, put));
        out
    }

    /// Whether the rows of a tile are so near each other in the result that what streams of one is soon followed by its neighbour: with rows far apart,
    /// the buffers that gather whole lines give up halfway.
    fn rows_are_near(&self) -> bool {
        let near = |&a: &usize| self.b.stride(self.b.result(), a).as_constant().is_some_and(|s| s <= NEAR);
        self.blocks.rows.last().is_some_and(near)
    }

    fn batches(&mut self, batch: &[usize], point: &Point, packed: Packed, put: Put) -> Vec<Stmt> {
        let Some((&axis, rest)) = batch.split_first() else { return self.product(point, packed, put) };
        let var = self.b.var();
        let body = self.batches(rest, &point.with_var(axis, var), packed, put);
        vec![serial(var, self.b.nest.axes[axis].size.clone(), 1, body)]
    }

    fn product(&mut self, point: &Point, packed: Packed, put: Put) -> Vec<Stmt> {
        let blocks = self.blocks;
        let (j0, k0, i0) = (self.b.var(), self.b.var(), self.b.var());
        let deep = Span::new(&blocks.summed, k0, blocks.depth);
        let wide = Span::new(&blocks.columns, j0, blocks.width);
        let rows = Span::new(&blocks.rows, i0, blocks.tile.0);
        let (row_total, column_total) = (self.total(rows.group), self.total(wide.group));
        if blocks.direct {
            let mut at = Index::default();
            at.add(i0, &Poly::from(u64::from(blocks.depth)));
            let pack = self.pack(blocks.row_operand, point, deep, rows, packed.rows, at.clone());
            let tiles = self.tiles(point, deep, rows, wide, (packed, at), put);
            let all_rows = serial(i0, row_total.clone(), rows.width, vec![tiles]);
            return vec![
                serial(i0, row_total, rows.width, pack),
                serial(j0, column_total, blocks.width, vec![all_rows]),
            ];
        }
        let mut block = self.pack_columns(point, deep, wide, packed.columns);
        let mut for_rows = self.pack(blocks.row_operand, point, deep, rows, packed.rows, Index::default());
        for_rows.push(self.tiles(point, deep, rows, wide, (packed, Index::default()), put));
        block.push(serial(i0, row_total, rows.width, for_rows));
        let depths = serial(k0, self.total(deep.group), blocks.depth, block);
        vec![serial(j0, column_total, blocks.width, vec![depths])]
    }

    /// The tiles of one strip of rows, which is packed at `strip`, in a block of columns.
    fn tiles(
        &mut self,
        point: &Point,
        deep: Span<'_>,
        rows: Span<'_>,
        wide: Span<'_>,
        strip: (Packed, Index),
        put: Put,
    ) -> Stmt {
        let width = self.blocks.tile.1;
        self.strips(wide, |g, from, at| {
            g.tile(point, deep, rows, Span::new(wide.group, from, width), &strip, at, put)
        })
    }

    /// The strips of a block of columns: `inside` gets the first column of the strip and where the strip begins in the packed block.
    fn strips(&mut self, wide: Span<'_>, inside: impl FnOnce(&mut Self, Var, Index) -> Vec<Stmt>) -> Stmt {
        let (strip, within) = (self.b.var(), self.b.var());
        let mut at = Index::default();
        at.add(within, &Poly::from(u64::from(self.blocks.depth)));
        let body = inside(self, strip, at);
        let (from, width, to) = (wide.from, wide.width, self.total(wide.group));
        Stmt::Piece { var: strip, within, from, width, to, step: self.blocks.tile.1, body }
    }

    /// Whether operand `o` is walked lane by lane within each k: if that is in smaller steps, and positions are not looked for in every step.
    fn lanes_inside(&self, o: usize, lanes: Span<'_>, deep: Span<'_>) -> bool {
        if self.form(lanes) == Form::Flat && lanes.axes.len() > 1 && self.form(deep) != Form::Flat {
            return false;
        }
        let step = |s: Span<'_>| s.group.last().and_then(|&a| self.b.stride(o, a).as_constant());
        step(lanes).unwrap_or(i128::MAX) <= step(deep).unwrap_or(i128::MAX)
    }

    /// Copies a block of columns, strip by strip, or k by k where that walks the operand in smaller steps.
    fn pack_columns(&mut self, point: &Point, deep: Span<'_>, wide: Span<'_>, array: ArrayId) -> Vec<Stmt> {
        let (o, width) = (1 - self.blocks.row_operand, self.blocks.tile.1);
        let deep = self.seen(o, deep);
        let axes = self.seen(o, wide).axes;
        let strip = |from: Var| Span { axes, ..Span::new(wide.group, from, width) };
        if !self.lanes_inside(o, strip(wide.from), deep) {
            return vec![self.strips(wide, |g, from, at| g.pack(o, point, deep, strip(from), array, at))];
        }
        self.each(deep, point, |g, p, k| {
            vec![g.strips(wide, |g, from, at| g.pack_lanes(o, p, k, strip(from), array, at))]
        })
    }

    /// Copies a strip of operand `o`, `lanes` by `deep`, to `array[at + k·lanes + lane]`, each element through its factor of the product.
    fn pack(
        &mut self,
        o: usize,
        point: &Point,
        deep: Span<'_>,
        lanes: Span<'_>,
        array: ArrayId,
        at: Index,
    ) -> Vec<Stmt> {
        let (deep, lanes) = (self.seen(o, deep), self.seen(o, lanes));
        if self.lanes_inside(o, lanes, deep) {
            return self.each(deep, point, |g, p, k| g.pack_lanes(o, p, k, lanes, array, at));
        }
        let width = Poly::from(u64::from(lanes.width));
        let whole = &width * &Poly::from(u64::from(deep.width));
        let mut out = Vec::new();
        let to = self.b.view(&mut out, Whole::ArrayMut(array), at, whole);
        let loops = self.each(lanes, point, |g, p, lane| {
            g.along(o, deep, p, |g, place, k| {
                let index = plus(lane, k, &width);
                g.copy(o, place, Place::View(to, index))
            })
        });
        out.extend(loops);
        out
    }

    /// The lanes of a strip for one k.
    fn pack_lanes(
        &mut self,
        o: usize,
        point: &Point,
        k: &Index,
        lanes: Span<'_>,
        array: ArrayId,
        at: Index,
    ) -> Vec<Stmt> {
        let width = Poly::from(u64::from(lanes.width));
        let at = plus(&at, k, &width);
        let mut out = Vec::new();
        let to = self.b.view(&mut out, Whole::ArrayMut(array), at, width);
        out.extend(
            self.along(o, lanes, point, |g, place, lane| g.copy(o, place, Place::View(to, lane.clone()))),
        );
        out
    }

    /// Reads an element of operand `o` and writes its factor.
    fn copy(&mut self, o: usize, from: Place, to: Place) -> Vec<Stmt> {
        let mut out = Vec::new();
        let value = factor(&mut self.b, &mut out, o, &from);
        out.push(Stmt::Store { to, value, put: Put::Set });
        out
    }

    /// One tile of the result: its sum over a block, and its store. `at` is where the strip of columns is packed.
    #[allow(clippy::too_many_arguments)]
    fn tile(
        &mut self,
        point: &Point,
        deep: Span<'_>,
        rows: Span<'_>,
        columns: Span<'_>,
        strip: &(Packed, Index),
        at: Index,
        put: Put,
    ) -> Vec<Stmt> {
        let acc = self.b.array(rows.width * columns.width);
        let mut out = vec![Stmt::Array(acc)];
        out.extend(match self.blocks.direct {
            true => self.multiply_direct(point, deep, rows.width, columns, strip, acc),
            false => self.multiply(deep, (rows.width, columns.width), strip, at, acc),
        });
        out.push(Stmt::Settle(acc));
        let o = self.b.result();
        let height = Poly::from(u64::from(columns.width));
        let stores = self.each(self.seen(o, rows), point, |g, p, row| {
            g.along(o, g.seen(o, columns), p, |g, place, column| {
                let value = g.b.reg();
                let from = Place::Array(acc, plus(column, row, &height));
                vec![Stmt::Load { dst: value, from }, Stmt::Store { to: place, value, put }]
            })
        });
        out.extend(stores);
        out
    }

    /// A tile's products for one k, each row a loop of its own: the form of real tiles that becomes plain vector code.
    fn rows_apart(&mut self, strip: View, block: View, acc: ArrayId, tile: (u32, u32)) -> Vec<Stmt> {
        let left: Vec<Reg> = (0..tile.0).map(|_| self.b.reg()).collect();
        let loads = left.iter().enumerate().map(|(t, &dst)| {
            let at = Index::fixed(Poly::from(t as u64));
            Stmt::Load { dst, from: Place::View(strip, at) }
        });
        let mut out: Vec<Stmt> = loads.collect();
        for (t, left) in left.into_iter().enumerate() {
            let j = self.b.var();
            let mut at = single(j);
            at.base = Poly::from(t as u64 * u64::from(tile.1));
            let inner = self.product_of(left, Place::View(block, single(j)), Place::Array(acc, at));
            out.push(counted(j, tile.1, Walk::Unrolled, inner));
        }
        out
    }

    /// The same with the rows in a loop: the form of complex tiles, whose planes are vectors then.
    fn rows_in_a_loop(&mut self, strip: View, block: View, acc: ArrayId, tile: (u32, u32)) -> Vec<Stmt> {
        let (i, j, left) = (self.b.var(), self.b.var(), self.b.reg());
        let to = Place::Array(acc, plus(&single(j), &single(i), &Poly::from(u64::from(tile.1))));
        let inner = self.product_of(left, Place::View(block, single(j)), to);
        let of_row = vec![
            Stmt::Load { dst: left, from: Place::View(strip, single(i)) },
            counted(j, tile.1, Walk::Unrolled, inner),
        ];
        vec![counted(i, tile.0, Walk::Unrolled, of_row)]
    }

    fn product_of(&mut self, left: Reg, right: Place, to: Place) -> Vec<Stmt> {
        let (loaded, value) = (self.b.reg(), self.b.reg());
        vec![
            Stmt::Load { dst: loaded, from: right },
            Stmt::Op { dst: value, op: ScalarOp::Mul(left.0, loaded.0) },
            Stmt::Store { to, value, put: Put::Add },
        ]
    }

    /// `acc[i, j] += strip[k, i] · columns[k, j]` over a block's k, both packed.
    fn multiply(
        &mut self,
        deep: Span<'_>,
        tile: (u32, u32),
        strip: &(Packed, Index),
        at: Index,
        acc: ArrayId,
    ) -> Vec<Stmt> {
        let k = self.b.var();
        let width = Poly::from(u64::from(tile.1));
        let mut body = Vec::new();
        let left = self.row_view(&mut body, strip, &single(k), tile.0);
        let from = plus(&at, &single(k), &width);
        let right = self.b.view(&mut body, Whole::Array(strip.0.columns), from, width);
        body.extend(self.products(left, right, acc, tile));
        let total = self.total(deep.group);
        if total.as_constant().is_some_and(|n| n % i128::from(deep.width) == 0) {
            return vec![counted(k, deep.width, Walk::Serial, body)];
        }
        let var = self.b.var();
        vec![Stmt::Piece { var, within: k, from: deep.from, width: deep.width, to: total, step: 1, body }]
    }

    /// The same with the columns where they are.
    fn multiply_direct(
        &mut self,
        point: &Point,
        deep: Span<'_>,
        rows: u32,
        columns: Span<'_>,
        strip: &(Packed, Index),
        acc: ArrayId,
    ) -> Vec<Stmt> {
        let o = 1 - self.blocks.row_operand;
        let (deep, columns) = (self.seen(o, deep), self.seen(o, columns));
        self.each(deep, point, |g, p, k| {
            let mut body = Vec::new();
            let left = g.row_view(&mut body, strip, k, rows);
            let lines = g.lines(columns, p, |g, begin, _, _, length| {
                let (mut out, base) = (Vec::new(), g.b.index(o, begin));
                let len = Poly::from(u64::from(length));
                let right = g.b.view(&mut out, Whole::Operand(o as u32), base, len);
                out.extend(g.products(left, right, acc, (rows, length)));
                out
            });
            body.extend(lines);
            body
        })
    }

    /// The rows of a packed strip at one k.
    fn row_view(&mut self, out: &mut Vec<Stmt>, strip: &(Packed, Index), k: &Index, rows: u32) -> View {
        let height = Poly::from(u64::from(rows));
        let from = plus(&strip.1, k, &height);
        self.b.view(out, Whole::Array(strip.0.rows), from, height)
    }

    /// A tile's products for one k.
    fn products(&mut self, left: View, right: View, acc: ArrayId, tile: (u32, u32)) -> Vec<Stmt> {
        if self.is_complex {
            self.rows_in_a_loop(left, right, acc, tile)
        } else {
            self.rows_apart(left, right, acc, tile)
        }
    }
}

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
use tn_ir::dtype::DType;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::Poly;
use tn_plan::ir::Write;
use tn_plan::kernel::blocks::{Blocks, factors, total};
use tn_plan::kernel::nest::Nest;

/// Lowers a nest by a blocked schedule for it.
pub fn lower(nest: &Nest, body: &ScalarFn, dtype: DType, blocks: &Blocks) -> Kernel {
    let mut g =
        Gemm { b: Builder::new(nest, body, Roles::default()), blocks, is_complex: dtype.is_complex() };
    let stmts = g.kernel();
    crate::lower::kernel(nest, body, dtype, g.b.arrays, Launch::Serial, stmts)
}

struct Gemm<'a> {
    b: Builder<'a>,
    blocks: &'a Blocks,
    is_complex: bool,
}

/// A part of a group of axes: `width` positions from the flat position `from`.
#[derive(Clone, Copy)]
struct Span<'g> {
    group: &'g [usize],
    from: Var,
    width: u32,
}

/// How the positions of a span are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is the whole group: a loop for each axis.
    Nested,
    /// It lies within the fastest axis, which it divides: where it begins is found once.
    Line,
    /// Each position is found by itself, and the last span may be shorter.
    Flat,
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
        let packed = Packed {
            rows: self.b.array(blocks.depth * tile_rows),
            columns: self.b.array(blocks.depth * blocks.width),
        };
        let mut out = Vec::new();
        let adds = self.b.nest.write == Write::Accumulate;
        let several = blocks.several_passes(self.b.nest);
        if several && !adds {
            out.extend(self.zero());
        }
        let put = if several || adds { Put::Add } else { Put::Set };
        out.extend([Stmt::Array(packed.rows), Stmt::Array(packed.columns)]);
        let point = Point::origin(self.b.nest.axes.len());
        out.extend(self.batches(&blocks.batch, &point, packed, put));
        out
    }

    /// Sets the whole result to zero.
    fn zero(&mut self) -> Vec<Stmt> {
        let kept = self.b.nest.positions(false);
        let mut point = Point::origin(self.b.nest.axes.len());
        let vars: Vec<Var> = kept.iter().map(|_| self.b.var()).collect();
        for (&axis, &var) in kept.iter().zip(&vars) {
            point = point.with_var(axis, var);
        }
        let (value, o) = (self.b.reg(), self.b.result());
        let to = Place::Operand(o as u32, self.b.index(o, &point));
        let mut body = vec![
            Stmt::Op { dst: value, op: ScalarOp::Const(0.0f64.to_bits(), 0.0f64.to_bits()) },
            Stmt::Store { to, value, put: Put::Set },
        ];
        for (&axis, &var) in kept.iter().zip(&vars).rev() {
            body = vec![serial(var, self.b.nest.axes[axis].size.clone(), 1, body)];
        }
        body
    }

    fn batches(&mut self, batch: &[usize], point: &Point, packed: Packed, put: Put) -> Vec<Stmt> {
        let Some((&axis, rest)) = batch.split_first() else { return vec![self.product(point, packed, put)] };
        let var = self.b.var();
        let body = self.batches(rest, &point.with_var(axis, var), packed, put);
        vec![serial(var, self.b.nest.axes[axis].size.clone(), 1, body)]
    }

    fn product(&mut self, point: &Point, packed: Packed, put: Put) -> Stmt {
        let blocks = self.blocks;
        let (tile_rows, tile_columns) = blocks.tile;
        let (j0, k0, i0) = (self.b.var(), self.b.var(), self.b.var());
        let deep = Span { group: &blocks.summed, from: k0, width: blocks.depth };
        let wide = Span { group: &blocks.columns, from: j0, width: blocks.width };
        let mut block = self.pack_columns(point, deep, wide, packed.columns);
        let tile_span = Span { group: &blocks.rows, from: i0, width: tile_rows };
        let mut for_rows =
            self.pack(blocks.row_operand, point, deep, tile_span, packed.rows, Index::default());
        let tiles = self.strips(wide, |g, strip, at| {
            let columns = Span { group: &blocks.columns, from: strip, width: tile_columns };
            g.tile(point, deep, tile_span, columns, packed, at, put)
        });
        for_rows.push(tiles);
        let rows = serial(i0, self.total(&blocks.rows), tile_rows, for_rows);
        block.push(rows);
        let depths = serial(k0, self.total(&blocks.summed), blocks.depth, block);
        serial(j0, self.total(&blocks.columns), blocks.width, vec![depths])
    }

    fn total(&self, group: &[usize]) -> Poly {
        total(self.b.nest, group)
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

    /// How the positions of a span are found.
    fn form(&self, span: Span<'_>) -> Form {
        let size = |a: usize| self.b.nest.axes[a].size.as_constant();
        let width = i128::from(span.width);
        if self.total(span.group).as_constant() == Some(width) {
            return Form::Nested;
        }
        match span.group.last().and_then(|&a| size(a)) {
            Some(n) if n % width == 0 => Form::Line,
            _ => Form::Flat,
        }
    }

    /// Variables for the axes of a group at a flat position, and the point there.
    fn decoded(&mut self, group: &[usize], flat: Var, point: &Point) -> (Vec<Stmt>, Point) {
        if let [axis] = group {
            return (vec![], point.with_var(*axis, flat));
        }
        let vars: Vec<Var> = group.iter().map(|_| self.b.var()).collect();
        let sizes = group.iter().map(|&a| self.b.nest.axes[a].size.clone());
        let decode = Stmt::Decode { flat, parts: vars.iter().copied().zip(sizes).collect() };
        let at = group.iter().zip(&vars).fold(point.clone(), |p, (&axis, &v)| p.with_var(axis, v));
        (vec![decode], at)
    }

    /// The lines of a span that is not flat: `inside` gets where a line begins, the position of that within the span, the line's axis and its
    /// length.
    fn lines(
        &mut self,
        span: Span<'_>,
        point: &Point,
        inside: impl FnOnce(&mut Self, &Point, &Index, usize, u32) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let Some((&last, outer)) = span.group.split_last() else { return vec![] };
        if self.form(span) == Form::Line {
            let (mut out, begin) = self.decoded(span.group, span.from, point);
            out.extend(inside(self, &begin, &Index::default(), last, span.width));
            return out;
        }
        let size = |g: &Self, a: usize| {
            g.b.nest.axes[a].size.as_constant().and_then(|n| u32::try_from(n).ok()).unwrap_or(span.width)
        };
        let length = size(self, last);
        let (mut within, mut begin, mut stride) = (Index::default(), point.clone(), length);
        let mut loops = Vec::new();
        for &axis in outer.iter().rev() {
            let (var, n) = (self.b.var(), size(self, axis));
            within.add(var, &Poly::from(u64::from(stride)));
            begin = begin.with_var(axis, var);
            stride = stride.saturating_mul(n);
            loops.push((var, n));
        }
        let body = inside(self, &begin, &within, last, length);
        loops.into_iter().fold(body, |body, (var, n)| vec![counted(var, n, Walk::Serial, body)])
    }

    /// A loop over the positions of a span; `inside` gets the point and the position within the span.
    fn each(
        &mut self,
        span: Span<'_>,
        point: &Point,
        inside: impl FnOnce(&mut Self, &Point, &Index) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let lane = self.b.var();
        if self.form(span) == Form::Flat {
            let var = self.b.var();
            let (mut body, at) = self.decoded(span.group, var, point);
            body.extend(inside(self, &at, &single(lane)));
            let (from, width, to) = (span.from, span.width, self.total(span.group));
            return vec![Stmt::Piece { var, within: lane, from, width, to, step: 1, body }];
        }
        self.lines(span, point, |g, begin, within, axis, length| {
            let mut within = within.clone();
            within.add(lane, &Poly::one());
            let body = inside(g, &begin.with_var(axis, lane), &within);
            vec![counted(lane, length, Walk::Serial, body)]
        })
    }

    /// The same with the element of operand `o` there instead of the point. Neighbours in memory are a view, so that nothing is checked inside
    /// the loop over them.
    fn along(
        &mut self,
        o: usize,
        span: Span<'_>,
        point: &Point,
        inside: impl FnOnce(&mut Self, Place, &Index) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let neighbours = span.group.last().and_then(|&a| self.b.stride(o, a).as_constant()) == Some(1);
        if self.form(span) == Form::Flat || !neighbours {
            return self.each(span, point, |g, p, within| {
                let place = Place::Operand(o as u32, g.b.index(o, p));
                inside(g, place, within)
            });
        }
        self.lines(span, point, |g, begin, within, _, length| {
            let (lane, mut out, mut within) = (g.b.var(), Vec::new(), within.clone());
            within.add(lane, &Poly::one());
            let (base, len) = (g.b.index(o, begin), Poly::from(u64::from(length)));
            let view = g.b.view(&mut out, Whole::Operand(o as u32), base, len);
            let body = inside(g, Place::View(view, single(lane)), &within);
            out.push(counted(lane, length, Walk::Serial, body));
            out
        })
    }

    /// Whether operand `o` is walked lane by lane within each k: if that is in smaller steps, and positions are not looked for in every step.
    fn lanes_inside(&self, o: usize, lanes: Span<'_>, deep: Span<'_>) -> bool {
        if self.form(lanes) == Form::Flat && lanes.group.len() > 1 && self.form(deep) != Form::Flat {
            return false;
        }
        let step = |s: Span<'_>| s.group.last().and_then(|&a| self.b.stride(o, a).as_constant());
        step(lanes).unwrap_or(i128::MAX) <= step(deep).unwrap_or(i128::MAX)
    }

    /// Copies a block of columns, strip by strip, or k by k where that walks the operand in smaller steps.
    fn pack_columns(&mut self, point: &Point, deep: Span<'_>, wide: Span<'_>, array: ArrayId) -> Vec<Stmt> {
        let (o, width) = (1 - self.blocks.row_operand, self.blocks.tile.1);
        let strip = |from: Var| Span { group: wide.group, from, width };
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
        let root = factors(self.b.body).map_or(0, |f| f[o]);
        let mut out = Vec::new();
        let value = self.factor(&mut out, root, &from);
        out.push(Stmt::Store { to, value, put: Put::Set });
        out
    }

    /// The value of an operation that depends on one operand.
    fn factor(&mut self, out: &mut Vec<Stmt>, root: u32, from: &Place) -> Reg {
        let ops = &self.b.body.ops;
        let mut need = vec![false; root as usize + 1];
        need[root as usize] = true;
        for i in (0..=root as usize).rev() {
            if need[i] {
                ops[i].args().iter().for_each(|&a| need[a as usize] = true);
            }
        }
        let mut regs = vec![Reg(0); need.len()];
        for i in (0..need.len()).filter(|&i| need[i]) {
            let dst = self.b.reg();
            out.push(match self.b.body.ops[i] {
                ScalarOp::Arg(_) => Stmt::Load { dst, from: from.clone() },
                op => Stmt::Op { dst, op: op.with_args(|a| regs[a as usize].0) },
            });
            regs[i] = dst;
        }
        regs[root as usize]
    }

    /// One tile of the result: its sum over a block, and its store.
    #[allow(clippy::too_many_arguments)]
    fn tile(
        &mut self,
        point: &Point,
        deep: Span<'_>,
        rows: Span<'_>,
        columns: Span<'_>,
        packed: Packed,
        at: Index,
        put: Put,
    ) -> Vec<Stmt> {
        let acc = self.b.array(rows.width * columns.width);
        let mut out = vec![Stmt::Array(acc)];
        out.extend(self.multiply(deep, rows.width, columns.width, packed, at, acc));
        let o = self.b.result();
        let height = Poly::from(u64::from(columns.width));
        let stores = self.each(rows, point, |g, p, row| {
            g.along(o, columns, p, |g, place, column| {
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

    /// `acc[i, j] += strip[k, i] · columns[k, j]` over a block's k.
    fn multiply(
        &mut self,
        deep: Span<'_>,
        rows: u32,
        columns: u32,
        packed: Packed,
        at: Index,
        acc: ArrayId,
    ) -> Vec<Stmt> {
        let k = self.b.var();
        let (height, width) = (Poly::from(u64::from(rows)), Poly::from(u64::from(columns)));
        let mut body = Vec::new();
        let (mut from_rows, mut from_columns) = (Index::default(), at);
        from_rows.add(k, &height);
        from_columns.add(k, &width);
        let strip = self.b.view(&mut body, Whole::Array(packed.rows), from_rows, height);
        let block = self.b.view(&mut body, Whole::Array(packed.columns), from_columns, width);
        body.extend(if self.is_complex {
            self.rows_in_a_loop(strip, block, acc, (rows, columns))
        } else {
            self.rows_apart(strip, block, acc, (rows, columns))
        });
        if self.form(deep) != Form::Flat {
            return vec![counted(k, deep.width, Walk::Serial, body)];
        }
        let (var, to) = (self.b.var(), self.total(deep.group));
        vec![Stmt::Piece { var, within: k, from: deep.from, width: deep.width, to, step: 1, body }]
    }
}

fn single(var: Var) -> Index {
    let mut at = Index::default();
    at.add(var, &Poly::one());
    at
}

/// `a + b·stride`.
fn plus(a: &Index, b: &Index, stride: &Poly) -> Index {
    let mut sum = a.clone();
    sum.base = &sum.base + &(&b.base * stride);
    for (var, s) in &b.terms {
        sum.add(*var, &(s * stride));
    }
    sum
}

fn serial(var: Var, size: Poly, step: u32, body: Vec<Stmt>) -> Stmt {
    Stmt::Loop { var, from: Bound::zero(), to: Bound::exact(size), step, walk: Walk::Serial, body }
}

fn counted(var: Var, count: u32, walk: Walk, body: Vec<Stmt>) -> Stmt {
    let to = Bound::exact(Poly::from(u64::from(count)));
    Stmt::Loop { var, from: Bound::zero(), to, step: 1, walk, body }
}

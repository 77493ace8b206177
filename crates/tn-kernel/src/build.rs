//! What both lowerings share: the statements of one tile of a nest.
//!
//! A tile is `rows` values of one kept axis times `width` neighbours along the vector axis. Each operation of the step's function stands as far
//! outside as what it depends on allows: outside the folds, before the innermost fold, inside it, or inside the loop over neighbours.

use crate::ir::*;
use tn_ir::scalar::{Cmp, ScalarFn, ScalarOp};
use tn_ir::size::Poly;
use tn_plan::ir::{Fold, Write};
use tn_plan::kernel::Nest;

/// Where along each axis of the nest we are: variables that add up, and a constant.
#[derive(Clone, Debug)]
pub(crate) struct Point(pub Vec<(Vec<Var>, i128)>);

impl Point {
    pub(crate) fn origin(axes: usize) -> Point {
        Point(vec![(vec![], 0); axes])
    }
    pub(crate) fn with_var(&self, axis: usize, var: Var) -> Point {
        let mut p = self.clone();
        p.0[axis].0.push(var);
        p
    }
    pub(crate) fn shifted(&self, axis: usize, by: i128) -> Point {
        let mut p = self.clone();
        p.0[axis].1 += by;
        p
    }
}

/// The shape of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    /// Neighbours along the vector axis; 0 for all of it.
    pub width: u32,
    /// Rows along the rows' axis.
    pub rows: u32,
}

/// How the fold of a tile is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldWalk {
    /// One loop an axis.
    Loops,
    /// The threads of a block share the flat range of all reduce axes.
    Threads,
}

/// Roles of the axes of a nest within a kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    pub vector: Option<usize>,
    pub rows: Option<usize>,
    pub reduce: Vec<usize>,
}

/// What an operation of the body depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    lane: bool,
    row: bool,
    /// 0: no fold; 1: a fold that is not the innermost; 2: the innermost.
    level: u8,
}

/// Makes statements and numbers what they name.
pub(crate) struct Builder<'a> {
    pub nest: &'a Nest,
    pub body: &'a ScalarFn,
    pub roles: Roles,
    pub arrays: Vec<u32>,
    vars: u32,
    regs: u32,
    views: u32,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(nest: &'a Nest, body: &'a ScalarFn, roles: Roles) -> Self {
        Builder { nest, body, roles, arrays: vec![], vars: 0, regs: 0, views: 0 }
    }
    pub(crate) fn var(&mut self) -> Var {
        self.vars += 1;
        Var(self.vars - 1)
    }
    pub(crate) fn reg(&mut self) -> Reg {
        self.regs += 1;
        Reg(self.regs - 1)
    }
    pub(crate) fn array(&mut self, len: u32) -> ArrayId {
        self.arrays.push(len);
        ArrayId(self.arrays.len() as u32 - 1)
    }
    pub(crate) fn result(&self) -> usize {
        self.nest.operands - 1
    }
    pub(crate) fn stride(&self, operand: usize, axis: usize) -> &Poly {
        &self.nest.axes[axis].strides[operand]
    }
    /// The position of operand `o` at a point.
    pub(crate) fn index(&self, o: usize, point: &Point) -> Index {
        let mut index = Index::default();
        for (axis, (vars, constant)) in point.0.iter().enumerate() {
            let stride = self.stride(o, axis);
            if stride.is_zero() {
                continue;
            }
            index.base = &index.base + &(stride * &Poly::constant(*constant));
            for &v in vars {
                index.add(v, stride);
            }
        }
        index
    }
    /// A loop over an axis in pieces of `width`, and what is left. `inside` gets the point and the width of the piece.
    pub(crate) fn pieces(
        &mut self,
        axis: usize,
        width: u32,
        point: &Point,
        inside: &mut dyn FnMut(&mut Self, &Point, u32) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let size = self.nest.axes[axis].size.clone();
        let mut out = Vec::new();
        for (from, to, step) in pieces(&size, width.max(1)) {
            if let (Some(a), Some(b)) = (from.poly.as_constant(), to.poly.as_constant())
                && from.multiple_of == 1
                && to.multiple_of == 1
                && a + i128::from(step) == b
            {
                out.extend(inside(self, &point.shifted(axis, a), step));
                continue;
            }
            let var = self.var();
            let body = inside(self, &point.with_var(axis, var), step);
            out.push(Stmt::Loop { var, from, to, step, walk: Walk::Serial, body });
        }
        out
    }

    fn needs(&self, tile: Tile) -> Vec<Needs> {
        let mut all: Vec<Needs> = Vec::with_capacity(self.body.ops.len());
        let innermost = self.roles.reduce.last().copied();
        for op in &self.body.ops {
            let mut n = Needs::default();
            if let ScalarOp::Arg(i) = op {
                let moves = |axis: usize| !self.stride(*i as usize, axis).is_zero();
                n.lane = self.roles.vector.is_some_and(moves);
                n.row = tile.rows > 1 && self.roles.rows.is_some_and(moves);
                n.level = self.level_of(*i as usize, innermost);
            } else {
                for a in op.args() {
                    let m = all[a as usize];
                    n.lane |= m.lane;
                    n.row |= m.row;
                    n.level = n.level.max(m.level);
                }
            }
            all.push(n);
        }
        all
    }

    fn level_of(&self, operand: usize, innermost: Option<usize>) -> u8 {
        let mut level = 0;
        for &r in &self.roles.reduce {
            if !self.stride(operand, r).is_zero() {
                level = level.max(if Some(r) == innermost { 2 } else { 1 });
            }
        }
        level
    }

    /// The statements that compute a tile at `point` (vector and rows axes stand at the tile's first element) and store it.
    pub(crate) fn tile(&mut self, point: &Point, tile: Tile, walk: FoldWalk) -> Vec<Stmt> {
        let needs = self.needs(tile);
        let mut state = TileState {
            regs: vec![vec![None; self.body.ops.len()]; tile.rows as usize],
            views: vec![vec![None; self.nest.operands]; tile.rows as usize],
            needs,
            tile,
        };
        let mut out = Vec::new();
        if self.roles.reduce.is_empty() {
            self.scalars(&mut out, &mut state, point, 0, None);
            self.windows(&mut out, &mut state, point, 0);
            for t in 0..tile.rows {
                self.direct(&mut out, &mut state, point, t);
            }
            return out;
        }
        let lanes_fold = self.roles.vector.is_some_and(|v| self.nest.axes[v].reduce);
        let width = tile.width.max(1);
        let accs: Vec<ArrayId> = (0..tile.rows).map(|_| self.array(width)).collect();
        out.extend(accs.iter().map(|&a| Stmt::Array(a)));
        if walk == FoldWalk::Threads {
            out.extend(self.shared_fold(&mut state, point, &accs));
        } else {
            self.scalars(&mut out, &mut state, point, 0, None);
            if !lanes_fold {
                self.windows(&mut out, &mut state, point, 0);
            }
            let reduce = self.roles.reduce.clone();
            let folds = self.fold_loops(&reduce, point, &mut state, &accs, lanes_fold);
            out.extend(folds);
        }
        if lanes_fold {
            for &a in &accs {
                self.join_lanes(&mut out, a, width);
            }
        }
        let mut stores = Vec::new();
        for (t, &acc) in accs.iter().enumerate() {
            self.store_row(&mut stores, point, tile, t as u32, acc, lanes_fold);
        }
        if walk == FoldWalk::Threads {
            let join = if self.nest.fold == Fold::MaxAbs { Join::Max } else { Join::Sum };
            out.extend(accs.iter().map(|&array| Stmt::Join { array, join }));
            out.push(Stmt::First { body: stores });
        } else {
            out.extend(stores);
        }
        out
    }

    /// Loops over the reduce axes, outermost first; `state` gains the registers and views of each level on the way in.
    fn fold_loops(
        &mut self,
        reduce: &[usize],
        point: &Point,
        state: &mut TileState,
        accs: &[ArrayId],
        lanes_fold: bool,
    ) -> Vec<Stmt> {
        let Some((&axis, rest)) = reduce.split_first() else { return vec![] };
        if !rest.is_empty() {
            let var = self.var();
            let body = self.fold_loops(rest, &point.with_var(axis, var), state, accs, lanes_fold);
            let to = Bound::exact(self.nest.axes[axis].size.clone());
            return vec![Stmt::Loop { var, from: Bound::zero(), to, step: 1, walk: Walk::Serial, body }];
        }
        let mut out = Vec::new();
        self.scalars(&mut out, state, point, 1, None);
        if lanes_fold {
            let width = state.tile.width.max(1);
            let looped = self.pieces(axis, width, point, &mut |b, p, w| {
                let mut body = Vec::new();
                let mut piece = state.clone();
                piece.tile.width = w;
                for level in 0..3 {
                    b.windows(&mut body, &mut piece, p, level);
                }
                b.accumulate(&mut body, &mut piece, accs);
                body
            });
            out.extend(looped);
            return out;
        }
        self.windows(&mut out, state, point, 1);
        let (rows, size) = (state.tile.rows, self.nest.axes[axis].size.clone());
        // Windows over the innermost fold for the operands that all lanes share.
        let mut along = vec![vec![None; self.nest.operands]; rows as usize];
        for (k, op) in self.body.ops.iter().enumerate() {
            let (ScalarOp::Arg(i), n) = (op, state.needs[k]) else { continue };
            if n.lane || n.level < 2 {
                continue;
            }
            let (o, stride) = (*i as usize, self.stride(*i as usize, axis).clone());
            let len = &(&(&size - &Poly::one()) * &stride) + &Poly::one();
            for t in 0..if n.row { rows } else { 1 } {
                if along[t as usize][o].is_some() {
                    continue;
                }
                let base = self.index(o, &self.row(point, t));
                let view = self.view(&mut out, Whole::Operand(o as u32), base, len.clone());
                for row in along.iter_mut().take(if n.row { t + 1 } else { rows } as usize).skip(t as usize) {
                    row[o] = Some(view);
                }
            }
        }
        let var = self.var();
        let inner = point.with_var(axis, var);
        let mut body = Vec::new();
        self.scalars(&mut body, state, &inner, 2, Some((&along, axis, var)));
        self.windows(&mut body, state, &inner, 2);
        self.accumulate(&mut body, state, accs);
        out.push(Stmt::Loop {
            var,
            from: Bound::zero(),
            to: Bound::exact(size),
            step: 1,
            walk: Walk::Serial,
            body,
        });
        out
    }

    /// A fold shared out among the threads of a block: one flat range over all reduce axes.
    fn shared_fold(&mut self, state: &mut TileState, point: &Point, accs: &[ArrayId]) -> Vec<Stmt> {
        let (flat, mut inner) = (self.var(), point.clone());
        let (mut parts, mut total) = (Vec::new(), Poly::one());
        for axis in self.roles.reduce.clone() {
            let v = self.var();
            inner = inner.with_var(axis, v);
            total = &total * &self.nest.axes[axis].size;
            parts.push((v, self.nest.axes[axis].size.clone()));
        }
        let mut body = vec![Stmt::Decode { flat, parts }];
        for level in 0..3 {
            self.scalars(&mut body, state, &inner, level, None);
        }
        self.accumulate(&mut body, state, accs);
        let (from, to) = (Bound::zero(), Bound::exact(total));
        vec![Stmt::Loop { var: flat, from, to, step: 1, walk: Walk::Threads, body }]
    }

    fn row(&self, point: &Point, t: u32) -> Point {
        match self.roles.rows {
            Some(m) => point.shifted(m, i128::from(t)),
            None => point.clone(),
        }
    }

    pub(crate) fn view(&mut self, out: &mut Vec<Stmt>, of: Whole, base: Index, len: Poly) -> View {
        self.views += 1;
        let view = View(self.views - 1);
        out.push(Stmt::View { view, of, base, len });
        view
    }

    /// Elements that a tile's row spans in operand `o`.
    fn row_span(&self, o: usize, width: u32) -> Poly {
        let Some(v) = self.roles.vector else { return Poly::one() };
        let n = if width == 0 { self.nest.axes[v].size.clone() } else { Poly::from(u64::from(width)) };
        &(&(&n - &Poly::one()) * self.stride(o, v)) + &Poly::one()
    }

    /// Operations of one level that no lane depends on. `along`: windows over the innermost fold, its axis and its variable.
    #[allow(clippy::type_complexity)]
    fn scalars(
        &mut self,
        out: &mut Vec<Stmt>,
        state: &mut TileState,
        point: &Point,
        level: u8,
        along: Option<(&Vec<Vec<Option<View>>>, usize, Var)>,
    ) {
        for k in 0..self.body.ops.len() {
            let n = state.needs[k];
            if n.lane || n.level != level {
                continue;
            }
            for t in 0..if n.row { state.tile.rows } else { 1 } {
                let dst = self.reg();
                match self.body.ops[k] {
                    ScalarOp::Arg(i) => {
                        let window = along.and_then(|(views, axis, var)| {
                            views[t as usize][i as usize].map(|view| (view, axis, var))
                        });
                        let from = match window {
                            Some((view, axis, var)) => {
                                let mut at = Index::default();
                                at.add(var, self.stride(i as usize, axis));
                                Place::View(view, at)
                            }
                            None => Place::Operand(i, self.index(i as usize, &self.row(point, t))),
                        };
                        out.push(Stmt::Load { dst, from });
                    }
                    op => {
                        let op = op.with_args(|a| state.get(t, a));
                        out.push(Stmt::Op { dst, op });
                    }
                }
                state.set(t, n.row, k, dst);
            }
        }
    }

    /// Windows along the vector axis for the operands of one level.
    fn windows(&mut self, out: &mut Vec<Stmt>, state: &mut TileState, point: &Point, level: u8) {
        for k in 0..self.body.ops.len() {
            let (ScalarOp::Arg(i), n) = (self.body.ops[k], state.needs[k]) else { continue };
            if !n.lane || n.level != level {
                continue;
            }
            let o = i as usize;
            // The result's own window is made where it is stored.
            if o == self.result() {
                continue;
            }
            for t in 0..if n.row { state.tile.rows } else { 1 } {
                if state.views[t as usize][o].is_some() {
                    continue;
                }
                let base = self.index(o, &self.row(point, t));
                let view = self.view(out, Whole::Operand(o as u32), base, self.row_span(o, state.tile.width));
                if n.row {
                    state.views[t as usize][o] = Some(view);
                } else {
                    state.views.iter_mut().for_each(|row| row[o] = Some(view));
                }
            }
        }
    }

    /// The loop over neighbours; `inside` gets the lane's variable (none for a single lane).
    fn lanes(&mut self, width: u32, inside: impl FnOnce(&mut Self, Option<Var>) -> Vec<Stmt>) -> Vec<Stmt> {
        let Some(v) = self.roles.vector.filter(|_| width != 1) else { return inside(self, None) };
        let var = self.var();
        let body = inside(self, Some(var));
        let (to, walk) = match width {
            0 => (self.nest.axes[v].size.clone(), Walk::Serial),
            w => (Poly::from(u64::from(w)), Walk::Unrolled),
        };
        vec![Stmt::Loop { var, from: Bound::zero(), to: Bound::exact(to), step: 1, walk, body }]
    }

    fn lane_index(&self, o: usize, lane: Option<Var>) -> Index {
        let mut at = Index::default();
        if let (Some(var), Some(v)) = (lane, self.roles.vector) {
            at.add(var, self.stride(o, v));
        }
        at
    }

    /// The operations that depend on the lane, for row `t`; returns the value's register.
    fn lane_ops(&mut self, out: &mut Vec<Stmt>, state: &TileState, t: u32, lane: Option<Var>) -> Reg {
        let mut local = state.regs[t as usize].clone();
        for k in 0..self.body.ops.len() {
            if !state.needs[k].lane {
                continue;
            }
            let dst = self.reg();
            match self.body.ops[k] {
                ScalarOp::Arg(i) => {
                    let view = state.views[t as usize][i as usize].unwrap_or(View(0));
                    let from = Place::View(view, self.lane_index(i as usize, lane));
                    out.push(Stmt::Load { dst, from });
                }
                op => {
                    let op = op.with_args(|a| local[a as usize].unwrap_or(Reg(0)).0);
                    out.push(Stmt::Op { dst, op });
                }
            }
            local[k] = Some(dst);
        }
        match local.last().copied().flatten() {
            Some(r) => r,
            None => self.constant(out, 0.0),
        }
    }

    fn constant(&mut self, out: &mut Vec<Stmt>, value: f64) -> Reg {
        let dst = self.reg();
        out.push(Stmt::Op { dst, op: ScalarOp::Const(value.to_bits(), 0) });
        dst
    }

    /// Every row folds its values into its accumulators.
    fn accumulate(&mut self, out: &mut Vec<Stmt>, state: &mut TileState, accs: &[ArrayId]) {
        let width = state.tile.width.max(1);
        for (t, &acc) in accs.iter().enumerate() {
            let body = self.lanes(width, |b, lane| {
                let mut body = Vec::new();
                let value = b.lane_ops(&mut body, state, t as u32, lane);
                let mut at = Index::default();
                if let Some(var) = lane {
                    at.add(var, &Poly::one());
                }
                let to = Place::Array(acc, at.clone());
                match b.nest.fold {
                    Fold::Sum => body.push(Stmt::Store { to, value, put: Put::Add }),
                    Fold::MaxAbs => {
                        let (size, before, most) = (b.reg(), b.reg(), b.reg());
                        body.push(Stmt::Op { dst: size, op: ScalarOp::Abs(value.0) });
                        body.push(Stmt::Load { dst: before, from: Place::Array(acc, at) });
                        body.push(Stmt::Op { dst: most, op: ScalarOp::Max(before.0, size.0) });
                        body.push(Stmt::Store { to, value: most, put: Put::Set });
                    }
                }
                body
            });
            out.extend(body);
        }
    }

    /// Folds the lanes of an accumulator into its first, by halves.
    fn join_lanes(&mut self, out: &mut Vec<Stmt>, acc: ArrayId, mut width: u32) {
        while width > 1 {
            let half = width.div_ceil(2);
            let (var, a, b, r) = (self.var(), self.reg(), self.reg(), self.reg());
            let mut low = Index::default();
            low.add(var, &Poly::one());
            let mut high = low.clone();
            high.base = Poly::from(u64::from(half));
            let op = match self.nest.fold {
                Fold::Sum => ScalarOp::Add(a.0, b.0),
                Fold::MaxAbs => ScalarOp::Max(a.0, b.0),
            };
            let body = vec![
                Stmt::Load { dst: a, from: Place::Array(acc, low.clone()) },
                Stmt::Load { dst: b, from: Place::Array(acc, high) },
                Stmt::Op { dst: r, op },
                Stmt::Store { to: Place::Array(acc, low), value: r, put: Put::Set },
            ];
            let to = Bound::exact(Poly::from(u64::from(width - half)));
            out.push(Stmt::Loop { var, from: Bound::zero(), to, step: 1, walk: Walk::Unrolled, body });
            width = half;
        }
    }

    /// The end of a `MaxAbs`: 1 where the value is zero or not finite.
    fn finish(&mut self, out: &mut Vec<Stmt>, value: Reg) -> Reg {
        if self.nest.fold == Fold::Sum {
            return value;
        }
        let (zero, one) = (self.constant(out, 0.0), self.constant(out, 1.0));
        // x − x is zero for finite x only.
        let (gap, finite, usable) = (self.reg(), self.reg(), self.reg());
        let (x, zero, one) = (value.0, zero.0, one.0);
        out.push(Stmt::Op { dst: gap, op: ScalarOp::Sub(x, x) });
        let op = ScalarOp::Select { cmp: Cmp::Eq, lhs: gap.0, rhs: zero, yes: x, no: one };
        out.push(Stmt::Op { dst: finite, op });
        let op = ScalarOp::Select { cmp: Cmp::Eq, lhs: finite.0, rhs: zero, yes: one, no: finite.0 };
        out.push(Stmt::Op { dst: usable, op });
        usable
    }

    fn put(&self) -> Put {
        match self.nest.write {
            Write::Set => Put::Set,
            Write::Accumulate => Put::Add,
        }
    }

    /// Stores row `t` of the accumulators.
    fn store_row(
        &mut self,
        out: &mut Vec<Stmt>,
        point: &Point,
        tile: Tile,
        t: u32,
        acc: ArrayId,
        folded: bool,
    ) {
        let (o, put) = (self.result(), self.put());
        let row = self.row(point, t);
        let width = if folded { 1 } else { tile.width.max(1) };
        let base = self.index(o, &row);
        if width == 1 {
            let dst = self.reg();
            out.push(Stmt::Load { dst, from: Place::Array(acc, Index::default()) });
            let value = self.finish(out, dst);
            out.push(Stmt::Store { to: Place::Operand(o as u32, base), value, put });
            return;
        }
        let view = self.view(out, Whole::Operand(o as u32), base, self.row_span(o, width));
        let body = self.lanes(width, |b, lane| {
            let mut body = Vec::new();
            let (dst, mut at) = (b.reg(), Index::default());
            if let Some(var) = lane {
                at.add(var, &Poly::one());
            }
            body.push(Stmt::Load { dst, from: Place::Array(acc, at) });
            let value = b.finish(&mut body, dst);
            let to = Place::View(view, b.lane_index(o, lane));
            body.push(Stmt::Store { to, value, put });
            body
        });
        out.extend(body);
    }

    /// Computes and stores row `t` where nothing is folded (by `Sum`; a `MaxAbs` over nothing is the modulus).
    fn direct(&mut self, out: &mut Vec<Stmt>, state: &mut TileState, point: &Point, t: u32) {
        let (o, put, width) = (self.result(), self.put(), state.tile.width);
        let base = self.index(o, &self.row(point, t));
        let view = self.view(out, Whole::Operand(o as u32), base, self.row_span(o, width));
        state.views[t as usize][o] = Some(view);
        let body = self.lanes(width, |b, lane| {
            let mut body = Vec::new();
            let mut value = b.lane_ops(&mut body, state, t, lane);
            if b.nest.fold == Fold::MaxAbs {
                let size = b.reg();
                body.push(Stmt::Op { dst: size, op: ScalarOp::Abs(value.0) });
                value = b.finish(&mut body, size);
            }
            let to = Place::View(view, b.lane_index(o, lane));
            body.push(Stmt::Store { to, value, put });
            body
        });
        out.extend(body);
    }
}

/// Registers and views that a tile has so far, by row.
#[derive(Clone, Debug)]
struct TileState {
    regs: Vec<Vec<Option<Reg>>>,
    views: Vec<Vec<Option<View>>>,
    needs: Vec<Needs>,
    tile: Tile,
}

impl TileState {
    fn get(&self, t: u32, op: u32) -> u32 {
        self.regs[t as usize][op as usize].unwrap_or(Reg(0)).0
    }
    fn set(&mut self, t: u32, one_row: bool, op: usize, reg: Reg) {
        if one_row {
            self.regs[t as usize][op] = Some(reg);
        } else {
            self.regs.iter_mut().for_each(|r| r[op] = Some(reg));
        }
    }
}

/// Cuts `0..size` into pieces of `width` and a rest: (from, to, step) of each loop.
fn pieces(size: &Poly, width: u32) -> Vec<(Bound, Bound, u32)> {
    let w = i128::from(width);
    match size.as_constant() {
        Some(n) => {
            let main = n / w * w;
            let mut out = Vec::new();
            if main > 0 {
                out.push((Bound::zero(), Bound::exact(Poly::constant(main)), width));
            }
            if n > main {
                let (from, to) = (Poly::constant(main), Poly::constant(n));
                out.push((Bound::exact(from), Bound::exact(to), (n - main) as u32));
            }
            out
        }
        None if width == 1 => vec![(Bound::zero(), Bound::exact(size.clone()), 1)],
        None => {
            let cut = Bound { poly: size.clone(), multiple_of: width };
            vec![(Bound::zero(), cut.clone(), width), (cut, Bound::exact(size.clone()), 1)]
        }
    }
}

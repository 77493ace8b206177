//! Walks over parts of groups of axes, by one flat position a group.
//!
//! What multiplies matrices does not care how many axes its rows are. A [`Span`] is a run of positions of a group; how an operand finds them is the
//! cheapest of three ways ([`Form`]): loops over the axes, a line in the fastest one, or a division for each position.

use crate::build::{Builder, Point};
use crate::ir::*;
use tn_ir::scalar::ScalarOp;
use tn_ir::size::Poly;
use tn_plan::kernel::blocks::{factors, is_line, total};

/// A part of a group of axes: `width` positions from the flat position `from`.
#[derive(Clone, Copy)]
pub(crate) struct Span<'g> {
    pub group: &'g [usize],
    /// The axes by which an operand finds a position: the fastest alone, where it walks the group as one.
    pub axes: &'g [usize],
    pub from: Var,
    pub width: u32,
}

impl<'g> Span<'g> {
    pub fn new(group: &'g [usize], from: Var, width: u32) -> Span<'g> {
        Span { group, axes: group, from, width }
    }
}

/// How the positions of a span are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It is the whole group: a loop for each axis.
    Nested,
    /// It lies within the fastest axis, which it divides: where it begins is found once.
    Line,
    /// Each position is found by itself, and the last span may be shorter.
    Flat,
}

/// What has a builder and walks spans.
pub(crate) trait Spans<'a>: Sized {
    fn b(&self) -> &Builder<'a>;
    fn b_mut(&mut self) -> &mut Builder<'a>;

    fn total(&self, group: &[usize]) -> Poly {
        total(self.b().nest, group)
    }

    /// A span as operand `o` walks it.
    fn seen<'g>(&self, o: usize, span: Span<'g>) -> Span<'g> {
        let line = is_line(self.b().nest, o, span.group);
        let axes = if line { &span.group[span.group.len() - 1..] } else { span.group };
        Span { axes, ..span }
    }

    /// How the positions of a span are found.
    fn form(&self, span: Span<'_>) -> Form {
        let width = i128::from(span.width);
        let total = self.total(span.group).as_constant();
        if total == Some(width) {
            return Form::Nested;
        }
        let last = match span.axes {
            [_] => total,
            axes => axes.last().and_then(|&a| self.b().nest.axes[a].size.as_constant()),
        };
        match last {
            Some(n) if n % width == 0 => Form::Line,
            _ => Form::Flat,
        }
    }

    /// Variables for the axes of a span at a flat position, and the point there.
    fn decoded(&mut self, axes: &[usize], flat: Var, point: &Point) -> (Vec<Stmt>, Point) {
        if let [axis] = axes {
            return (vec![], point.with_var(*axis, flat));
        }
        let vars: Vec<Var> = axes.iter().map(|_| self.b_mut().var()).collect();
        let sizes = axes.iter().map(|&a| self.b().nest.axes[a].size.clone());
        let decode = Stmt::Decode { flat, parts: vars.iter().copied().zip(sizes).collect() };
        let at = axes.iter().zip(&vars).fold(point.clone(), |p, (&axis, &v)| p.with_var(axis, v));
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
        let Some((&last, outer)) = span.axes.split_last() else { return vec![] };
        if self.form(span) == Form::Line {
            let (mut out, begin) = self.decoded(span.axes, span.from, point);
            out.extend(inside(self, &begin, &Index::default(), last, span.width));
            return out;
        }
        let size = |g: &Self, a: usize| {
            g.b().nest.axes[a].size.as_constant().and_then(|n| u32::try_from(n).ok()).unwrap_or(span.width)
        };
        let length = if outer.is_empty() { span.width } else { size(self, last) };
        let (mut within, mut begin, mut stride) = (Index::default(), point.clone(), length);
        let mut loops = Vec::new();
        for &axis in outer.iter().rev() {
            let (var, n) = (self.b_mut().var(), size(self, axis));
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
        let lane = self.b_mut().var();
        if self.form(span) == Form::Flat {
            let var = self.b_mut().var();
            let (mut body, at) = self.decoded(span.axes, var, point);
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
        let neighbours = span.axes.last().and_then(|&a| self.b().stride(o, a).as_constant()) == Some(1);
        if self.form(span) == Form::Flat || !neighbours {
            return self.each(span, point, |g, p, within| {
                let place = Place::Operand(o as u32, g.b().index(o, p));
                inside(g, place, within)
            });
        }
        self.lines(span, point, |g, begin, within, _, length| {
            let (lane, mut out, mut within) = (g.b_mut().var(), Vec::new(), within.clone());
            within.add(lane, &Poly::one());
            let (base, len) = (g.b().index(o, begin), Poly::from(u64::from(length)));
            let view = g.b_mut().view(&mut out, Whole::Operand(o as u32), base, len);
            let body = inside(g, Place::View(view, single(lane)), &within);
            out.push(counted(lane, length, Walk::Serial, body));
            out
        })
    }
}

/// Sets the whole result to zero.
pub(crate) fn zeroed(b: &mut Builder<'_>) -> Vec<Stmt> {
    let kept = b.nest.positions(false);
    let mut point = Point::origin(b.nest.axes.len());
    let vars: Vec<Var> = kept.iter().map(|_| b.var()).collect();
    for (&axis, &var) in kept.iter().zip(&vars) {
        point = point.with_var(axis, var);
    }
    let (value, o) = (b.reg(), b.result());
    let to = Place::Operand(o as u32, b.index(o, &point));
    let mut body = vec![
        Stmt::Op { dst: value, op: ScalarOp::Const(0.0f64.to_bits(), 0.0f64.to_bits()) },
        Stmt::Store { to, value, put: Put::Set },
    ];
    for (&axis, &var) in kept.iter().zip(&vars).rev() {
        body = vec![serial(var, b.nest.axes[axis].size.clone(), 1, body)];
    }
    body
}

/// Reads an element of operand `o` and returns its factor of the body's product.
pub(crate) fn factor(b: &mut Builder<'_>, out: &mut Vec<Stmt>, o: usize, from: &Place) -> Reg {
    let root = factors(b.body).map_or(0, |f| f[o]) as usize;
    let mut need = vec![false; root + 1];
    need[root] = true;
    for i in (0..=root).rev() {
        if need[i] {
            b.body.ops[i].args().iter().for_each(|&a| need[a as usize] = true);
        }
    }
    let mut regs = vec![Reg(0); need.len()];
    for i in (0..need.len()).filter(|&i| need[i]) {
        let dst = b.reg();
        out.push(match b.body.ops[i] {
            ScalarOp::Arg(_) => Stmt::Load { dst, from: from.clone() },
            op => Stmt::Op { dst, op: op.with_args(|a| regs[a as usize].0) },
        });
        regs[i] = dst;
    }
    regs[root]
}

pub(crate) fn single(var: Var) -> Index {
    let mut at = Index::default();
    at.add(var, &Poly::one());
    at
}

/// `a + b·stride`.
pub(crate) fn plus(a: &Index, b: &Index, stride: &Poly) -> Index {
    let mut sum = a.clone();
    sum.base = &sum.base + &(&b.base * stride);
    for (var, s) in &b.terms {
        sum.add(*var, &(s * stride));
    }
    sum
}

pub(crate) fn serial(var: Var, size: Poly, step: u32, body: Vec<Stmt>) -> Stmt {
    Stmt::Loop { var, from: Bound::zero(), to: Bound::exact(size), step, walk: Walk::Serial, body }
}

pub(crate) fn counted(var: Var, count: u32, walk: Walk, body: Vec<Stmt>) -> Stmt {
    let to = Bound::exact(Poly::from(u64::from(count)));
    Stmt::Loop { var, from: Bound::zero(), to, step: 1, walk, body }
}

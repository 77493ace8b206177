//! The value of an L3 dag over a few cells of every axis, node by node, loops round by round.

use super::axes::Axes;
use super::cells::Cells;
use super::contract::{Scratch, accumulate, stride};
use super::number::Plain;
use super::scalars;
use super::source::{at_cell, entries, refold};
use crate::dag::{Dag, DagId, NestId, Op, VarId};
use crate::fuzz::Rng;
use crate::ids::Id;
use std::collections::BTreeMap;

/// The nodes that roots need, in the order of their evaluation.
pub struct Graph<'a> {
    dag: &'a Dag,
    axes: &'a Axes,
    items: Vec<Item>,
}

enum Item {
    Node(DagId),
    /// All results of a nest that can be had at once.
    Nest {
        nest: NestId,
        body: Vec<DagId>,
        collects: Vec<DagId>,
    },
}

/// The nodes that roots need.
pub fn needed(dag: &Dag) -> Vec<bool> {
    let mut needed = vec![false; dag.len()];
    dag.roots.iter().for_each(|r| needed[r.node.index()] = true);
    for id in dag.ids().rev() {
        if needed[id.index()] {
            dag.op(id).args().iter().for_each(|a| needed[a.index()] = true);
        }
    }
    needed
}

impl<'a> Graph<'a> {
    /// Of the nodes that are `needed`.
    pub fn of(dag: &'a Dag, axes: &'a Axes, needed: &[bool]) -> Graph<'a> {
        // how many nests were left on the way to a node: what a nest reads must be there before it is entered
        let mut level = vec![0u32; dag.len()];
        let mut nodes: Vec<Vec<DagId>> = vec![];
        let mut nests: BTreeMap<(u32, NestId), Vec<DagId>> = BTreeMap::new();
        for id in dag.ids().filter(|id| needed[id.index()]) {
            let op = dag.op(id);
            let below = op.args().iter().map(|a| level[a.index()]).max().unwrap_or(0);
            level[id.index()] = below;
            match op {
                Op::Collect { nest, .. } => {
                    level[id.index()] = below + 1;
                    nests.entry((below + 1, *nest)).or_default().push(id);
                }
                _ if dag.info(id).depth == 0 => {
                    if nodes.len() <= below as usize {
                        nodes.resize(below as usize + 1, vec![]);
                    }
                    nodes[below as usize].push(id);
                }
                _ => {}
            }
        }
        let levels = nests.keys().map(|k| k.0 + 1).max().unwrap_or(0).max(nodes.len() as u32);
        nodes.resize(levels as usize, vec![]);
        let mut items = vec![];
        let mut seen = vec![u32::MAX; dag.len()];
        let mut nests = nests.into_iter().peekable();
        for (l, own) in nodes.into_iter().enumerate() {
            while let Some(((_, nest), collects)) = nests.next_if(|((at, _), _)| *at as usize <= l) {
                let mark = items.len() as u32;
                let mut todo: Vec<DagId> = collects.iter().flat_map(|&c| dag.op(c).args()).collect();
                let mut body = vec![];
                while let Some(id) = todo.pop() {
                    if dag.info(id).depth > 0 && seen[id.index()] != mark {
                        seen[id.index()] = mark;
                        body.push(id);
                        todo.extend(dag.op(id).args());
                    }
                }
                body.sort_unstable();
                items.push(Item::Nest { nest, body, collects });
            }
            items.extend(own.into_iter().map(Item::Node));
        }
        Graph { dag, axes, items }
    }

    /// Everything that is evaluated, once for each item, with the loop variables that it is repeated over.
    fn each(&self, mut f: impl FnMut(DagId, &[VarId])) {
        for item in &self.items {
            match item {
                Item::Node(id) => f(*id, &[]),
                Item::Nest { nest, body, collects } => {
                    let vars = &self.dag.nests[*nest].vars;
                    body.iter().for_each(|&id| f(id, &vars[..self.dag.info(id).depth as usize]));
                    collects.iter().for_each(|&id| f(id, vars));
                }
            }
        }
    }

    /// The classes that are longer than one.
    fn long(&self, classes: &[u32]) -> Vec<u32> {
        classes.iter().copied().filter(|&c| self.axes.size[c as usize] != 1).collect()
    }

    /// The classes of all loops of a node.
    fn loops(&self, id: DagId, vars: &[VarId]) -> Vec<u32> {
        let mut out: Vec<u32> = match self.dag.op(id) {
            Op::Collect { a, .. } => self.axes.node(*a).to_vec(),
            _ => self.axes.node(id).to_vec(),
        };
        let mut more = |labels: &[u32], of: DagId, known: &mut Vec<u32>| {
            for (l, &c) in labels.iter().zip(self.axes.node(of)) {
                if !known.contains(l) {
                    known.push(*l);
                    out.push(c);
                }
            }
        };
        match self.dag.op(id) {
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, .. } => {
                let mut known = out_labels.clone();
                more(a_labels, *a, &mut known);
                more(b_labels, *b, &mut known);
            }
            Op::Einsum1 { a, a_labels, out_labels, .. } => more(a_labels, *a, &mut out_labels.clone()),
            _ => {}
        }
        out.extend(vars.iter().map(|v| self.axes.var(v.0)));
        out
    }

    /// Makes axes coarser until no node has more than `most` rounds.
    pub fn fit(&self, cells: &mut Cells, most: u64, rng: &mut Rng) {
        self.each(|id, vars| cells.fit(&self.loops(id, vars), most, rng));
    }

    /// About how many multiplications an evaluation takes.
    pub fn cost(&self, cells: &Cells) -> u64 {
        let mut sum = 0u64;
        self.each(|id, vars| {
            let loops = entries(&self.loops(id, vars), cells).max(entries(self.axes.node(id), cells));
            let each = match self.dag.op(id) {
                Op::Add { terms } => 1 + terms.len() as u64,
                Op::Map { f, .. } => 1 + self.dag.fns[f.0 as usize].ops.len() as u64 * 4,
                _ => 1,
            };
            sum = sum.saturating_add(loops.saturating_mul(each));
        });
        sum
    }

    /// The values of all nodes.
    pub fn evaluate<N: Plain>(&self, cells: &Cells, arrays: &[Vec<N>], salt: u64) -> Values<N> {
        let mut at = vec![(0usize, 0usize); self.dag.len()];
        let mut total = 0;
        self.each(|id, _| {
            if at[id.index()].1 == 0 {
                let n = entries(self.axes.node(id), cells) as usize;
                at[id.index()] = (total, n);
                total += n;
            }
        });
        // arguments stand before their users, so that a slice can be split between them
        total = 0;
        for place in &mut at {
            place.0 = total;
            total += place.1;
        }
        let mut run = Run {
            graph: self,
            cells,
            arrays,
            salt,
            values: Values { at, all: vec![N::zero(); total] },
            vars: vec![0; self.dag.vars.len()],
            scratch: Scratch::new(),
            slots: vec![],
        };
        for item in &self.items {
            match item {
                Item::Node(id) => run.node(*id),
                Item::Nest { nest, body, collects } => run.nest(*nest, body, collects),
            }
        }
        run.values
    }
}

/// The values of the nodes of a dag.
pub struct Values<N> {
    at: Vec<(usize, usize)>,
    all: Vec<N>,
}

impl<N> Values<N> {
    /// Of one node.
    pub fn of(&self, id: DagId) -> &[N] {
        let (start, n) = self.at[id.index()];
        &self.all[start..start + n]
    }
}

struct Run<'a, N> {
    graph: &'a Graph<'a>,
    cells: &'a Cells,
    arrays: &'a [Vec<N>],
    salt: u64,
    values: Values<N>,
    /// The cell of every loop variable.
    vars: Vec<usize>,
    scratch: Scratch<N>,
    slots: Vec<N>,
}

impl<N: Plain> Run<'_, N> {
    fn nest(&mut self, nest: NestId, body: &[DagId], collects: &[DagId]) {
        let dag = self.graph.dag;
        let vars = &dag.nests[nest].vars;
        let trips: Vec<usize> = vars.iter().map(|v| self.cells.count(self.graph.axes.var(v.0))).collect();
        for &c in collects {
            let (start, n) = self.values.at[c.index()];
            self.values.all[start..start + n].fill(N::zero());
        }
        if trips.contains(&0) {
            return;
        }
        vars.iter().for_each(|v| self.vars[v.index()] = 0);
        let mut changed = 0;
        loop {
            for &id in body {
                if dag.info(id).depth as usize > changed {
                    self.node(id);
                }
            }
            for &c in collects {
                self.collect(c);
            }
            let Some(k) = (0..trips.len()).rev().find(|&k| self.vars[vars[k].index()] + 1 < trips[k]) else {
                return;
            };
            self.vars[vars[k].index()] += 1;
            vars[k + 1..].iter().for_each(|v| self.vars[v.index()] = 0);
            changed = k;
        }
    }

    /// Adds this round's part to a result.
    fn collect(&mut self, id: DagId) {
        let Op::Collect { a, nest, places } = self.graph.dag.op(id) else { return };
        let axes = self.graph.axes;
        let mut weight = N::one();
        for &v in &self.graph.dag.nests[*nest].vars {
            if !places.iter().any(|p| p.1 == v) {
                let n = self.cells.of(axes.var(v.0))[self.vars[v.index()]].1;
                if n != 1 {
                    weight = weight.mul(N::natural(n));
                }
            }
        }
        let (from, to) = (axes.node(*a), axes.node(id));
        let own: Vec<u32> = (0..from.len() as u32).collect();
        self.scratch.own.clear();
        stride(&mut self.scratch, &own, from, self.cells, |l, run| l.a += run);
        let (mut offset, mut run, mut left) = (0, 1, from.len());
        for k in (0..to.len()).rev() {
            if let Some(p) = places.iter().find(|p| p.0 as usize == k) {
                offset += run * self.vars[p.1.index()];
            } else {
                left -= 1;
                self.scratch.own[left].out = run;
            }
            run *= self.cells.count(to[k]);
        }
        let loops = std::mem::take(&mut self.scratch.own);
        let (args, out) = self.values.split(id);
        let value = (args.of(*a), false);
        // an axis of which nothing is left leaves no room
        if let Some(out) = out.get_mut(offset..) {
            accumulate(&loops, self.cells, value, (&[weight], false), out, &mut self.scratch);
        }
        self.scratch.own = loops;
    }

    fn node(&mut self, id: DagId) {
        let (axes, cells) = (self.graph.axes, self.cells);
        let own = axes.node(id);
        let (args, out) = self.values.split(id);
        match self.graph.dag.op(id) {
            Op::Leaf(a) => out.copy_from_slice(&self.arrays[a.index()]),
            Op::Number(c) => out[0] = N::coef(c.value()),
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
                out.fill(N::zero());
                let s = &mut self.scratch;
                s.own.clear();
                stride(s, a_labels, axes.node(*a), cells, |l, run| (l.a, l.weighted) = (l.a + run, true));
                stride(s, b_labels, axes.node(*b), cells, |l, run| (l.b, l.weighted) = (l.b + run, true));
                stride(s, out_labels, own, cells, |l, run| (l.out, l.weighted) = (l.out + run, false));
                let loops = std::mem::take(&mut s.own);
                accumulate(&loops, cells, (args.of(*a), *conj_a), (args.of(*b), *conj_b), out, s);
                s.own = loops;
            }
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                out.fill(N::zero());
                let s = &mut self.scratch;
                s.own.clear();
                stride(s, a_labels, axes.node(*a), cells, |l, run| (l.a, l.weighted) = (l.a + run, true));
                stride(s, out_labels, own, cells, |l, run| (l.out, l.weighted) = (l.out + run, false));
                let loops = std::mem::take(&mut s.own);
                accumulate(&loops, cells, (args.of(*a), *conj), (&[N::one()], false), out, s);
                s.own = loops;
            }
            Op::Map { f, args: from } => {
                let f = &self.graph.dag.fns[f.index()];
                let mut point = vec![N::zero(); from.len().max(f.arity as usize)];
                for (k, o) in out.iter_mut().enumerate() {
                    for (x, a) in point.iter_mut().zip(from) {
                        let value = args.of(*a);
                        *x = value[if axes.node(*a).is_empty() { 0 } else { k }];
                    }
                    *o = scalars::eval(f, &point, &mut self.slots);
                }
            }
            Op::Add { terms } => {
                out.fill(N::zero());
                for (c, t) in terms {
                    let c = N::coef(c.value());
                    out.iter_mut().zip(args.of(*t)).for_each(|(o, x)| *o = o.add(c.mul(*x)));
                }
            }
            Op::Reshape { a } => {
                out.fill(N::zero());
                // an axis that stays itself may have cells of any length, one that is cut into others has single entries
                let (long_from, long_to) = (self.graph.long(axes.node(*a)), self.graph.long(own));
                match long_from == long_to {
                    true if args.of(*a).len() == out.len() => out.copy_from_slice(args.of(*a)),
                    true => {}
                    false => refold(axes, cells, (args.of(*a), axes.node(*a)), (out, own)),
                }
            }
            Op::Slice { a, axis, start } => {
                out.fill(N::zero());
                let place = Part { axis: *axis as usize, from: *start, to: 0 };
                place.copy(cells, (args.of(*a), axes.node(*a)), (out, own));
            }
            Op::Pad { a, axis, before } => {
                out.fill(N::zero());
                let place = Part { axis: *axis as usize, from: 0, to: *before };
                place.copy(cells, (args.of(*a), axes.node(*a)), (out, own));
            }
            Op::Concat { axis, parts } => {
                out.fill(N::zero());
                let mut to = 0;
                for p in parts {
                    let place = Part { axis: *axis as usize, from: 0, to };
                    place.copy(cells, (args.of(*p), axes.node(*p)), (out, own));
                    to += axes.node(*p).get(*axis as usize).map_or(0, |&c| axes.size[c as usize]);
                }
            }
            Op::At { a, picks, .. } => {
                out.fill(N::zero());
                let from = axes.node(*a);
                let s = &mut self.scratch;
                let places: Vec<u32> = (0..own.len() as u32).collect();
                s.own.clear();
                stride(s, &places, own, cells, |l, run| l.out += run);
                let (mut offset, mut run, mut left) = (0, 1, own.len());
                for k in (0..from.len()).rev() {
                    if let Some(p) = picks.iter().find(|p| p.0 as usize == k) {
                        offset += run * self.vars[p.1.index()];
                    } else {
                        left -= 1;
                        s.own[left].a = run;
                    }
                    run *= cells.count(from[k]);
                }
                let loops = std::mem::take(&mut s.own);
                let value = args.of(*a).get(offset..).unwrap_or(&[]);
                accumulate(&loops, cells, (value, false), (&[N::one()], false), out, s);
                s.own = loops;
            }
            // gathered round by round
            Op::Collect { .. } => {}
            Op::MaxAbs { a } => out[0] = N::largest(args.of(*a), self.salt ^ id.0 as u64),
        }
    }
}

impl<N> Values<N> {
    /// What stands before a node, and the node.
    fn split(&mut self, id: DagId) -> (Before<'_, N>, &mut [N]) {
        let (start, n) = self.at[id.index()];
        let (before, rest) = self.all.split_at_mut(start);
        (Before { at: &self.at, all: before }, &mut rest[..n])
    }
}

struct Before<'a, N> {
    at: &'a [(usize, usize)],
    all: &'a [N],
}

impl<'a, N> Before<'a, N> {
    fn of(&self, id: DagId) -> &'a [N] {
        let (start, n) = self.at[id.index()];
        &self.all[start..start + n]
    }
}

/// A part of one axis: position `from + k` of the source is position `to + k` of the target.
struct Part {
    axis: usize,
    from: u64,
    to: u64,
}

impl Part {
    fn copy<N: Copy>(&self, cells: &Cells, source: (&[N], &[u32]), target: (&mut [N], &[u32])) {
        let ((from, from_axes), (to, to_axes)) = (source, target);
        let (Some(&a), Some(&b)) = (from_axes.get(self.axis), to_axes.get(self.axis)) else { return };
        let inner = entries(&to_axes[self.axis + 1..], cells) as usize;
        let outer = entries(&to_axes[..self.axis], cells) as usize;
        let (m, n) = (cells.count(a), cells.count(b));
        for (k, &(start, _)) in cells.of(b).iter().enumerate() {
            let Some(position) = (start + self.from).checked_sub(self.to) else { continue };
            let Some(j) = at_cell(cells, a, position) else { continue };
            for row in 0..outer {
                let (s, t) = ((row * m + j) * inner, (row * n + k) * inner);
                to[t..t + inner].copy_from_slice(&from[s..s + inner]);
            }
        }
    }
}

//! The value of an L1 program over a few cells of every axis: products in an order of their own, everything else node by node. It shares nothing
//! with regions, trees or dags.

use super::axes::Axes;
use super::cells::Cells;
use super::contract::{Scratch, Step, accumulate, order, stride};
use super::number::Number;
use super::scalars;
use crate::fuzz::Rng;
use crate::ids::Id;
use crate::program::*;
use num_complex::Complex64;
use std::collections::HashMap;

/// A definition with more legs than this is multiplied out where it is used.
const MAX_LEGS: usize = 8;

/// The program's nodes that outputs need, with its products written out.
pub struct Source<'a> {
    program: &'a Program,
    axes: &'a Axes,
    /// Nodes that are evaluated, in order, with their products.
    nodes: Vec<(NodeId, Option<Product>)>,
}

/// A flat product.
struct Product {
    scales: Vec<(Complex64, bool)>,
    factors: Vec<Factor>,
    /// The class of each label.
    class: Vec<u32>,
    /// Labels of the result: the first ones.
    open: Vec<u32>,
}

struct Factor {
    node: NodeId,
    labels: Vec<u32>,
    conj: bool,
}

/// How one draw is evaluated.
pub struct Plan {
    steps: Vec<Vec<Step>>,
}

impl<'a> Source<'a> {
    /// Looks at every node that an output needs.
    pub fn of(program: &'a Program, axes: &'a Axes) -> Source<'a> {
        let mut wanted = vec![false; program.nodes.len()];
        program.outputs.iter().for_each(|o| wanted[o.node.index()] = true);
        // multiplying out may repeat what is shared: not without end
        let mut room = 4 * program.nodes.iter().map(|d| 1 + operands(d)).sum::<usize>() + (1 << 16);
        let mut nodes = vec![];
        for id in program.nodes.ids().rev() {
            if !wanted[id.index()] {
                continue;
            }
            let product = match &program.nodes[id].node {
                Node::Contract { .. } => {
                    let p = product(program, axes, id, &mut room);
                    p.factors.iter().for_each(|f| wanted[f.node.index()] = true);
                    Some(p)
                }
                _ => {
                    program.uses(id).iter().for_each(|n| wanted[n.index()] = true);
                    None
                }
            };
            nodes.push((id, product));
        }
        nodes.reverse();
        Source { program, axes, nodes }
    }

    fn classes(&self, node: NodeId) -> Vec<u32> {
        self.program.nodes[node].legs.iter().map(|&i| self.axes.index(i)).collect()
    }

    /// Orders all products; axes become coarser until every intermediate has at most `most` entries.
    pub fn plan(&self, cells: &mut Cells, most: u64, rng: &mut Rng) -> Plan {
        let mut steps = Vec::with_capacity(self.nodes.len());
        for (id, product) in &self.nodes {
            steps.push(match product {
                Some(p) => {
                    let tensors: Vec<Vec<u32>> = p.factors.iter().map(|f| distinct(&f.labels)).collect();
                    order(&tensors, &p.class, &p.open, cells, most, rng)
                }
                None => {
                    cells.fit(&self.classes(*id), most, rng);
                    vec![]
                }
            });
        }
        Plan { steps }
    }

    /// About how many multiplications a plan takes.
    pub fn cost(&self, plan: &Plan, cells: &Cells) -> u64 {
        let mut sum = 0u64;
        for ((id, product), steps) in self.nodes.iter().zip(&plan.steps) {
            let own = entries(&self.classes(*id), cells);
            sum = sum.saturating_add(own.saturating_mul(1 + self.program.uses(*id).len().min(16) as u64));
            let Some(p) = product else { continue };
            let mut labels: Vec<Vec<u32>> = p.factors.iter().map(|f| distinct(&f.labels)).collect();
            for f in &p.factors {
                let classes: Vec<u32> = f.labels.iter().map(|&l| p.class[l as usize]).collect();
                sum = sum.saturating_add(entries(&classes, cells));
            }
            for s in steps {
                let mut union: Vec<u32> = s.out.clone();
                union.extend(s.factors.iter().flat_map(|&t| &labels[t as usize]));
                let union: Vec<u32> = distinct_sorted(union).iter().map(|&l| p.class[l as usize]).collect();
                let n = entries(&union, cells).saturating_mul(s.factors.len() as u64);
                sum = sum.saturating_add(n);
                labels.push(s.out.clone());
            }
        }
        sum
    }

    /// The values of all nodes that are wanted; `leaves` gives every leaf's.
    pub fn evaluate<N: Number>(
        &self,
        plan: &Plan,
        cells: &Cells,
        leaves: &[Vec<N>],
    ) -> HashMap<NodeId, Vec<N>> {
        let mut run =
            Run { source: self, cells, values: HashMap::new(), scratch: Scratch::new(), at: vec![] };
        for ((id, product), steps) in self.nodes.iter().zip(&plan.steps) {
            let value = match product {
                Some(p) => run.product(p, steps),
                None => run.node(*id, leaves),
            };
            run.values.insert(*id, value);
        }
        run.values
    }
}

fn operands(d: &NodeData) -> usize {
    if let Node::Contract { operands, .. } = &d.node { operands.len() } else { 0 }
}

fn distinct(labels: &[u32]) -> Vec<u32> {
    let mut out: Vec<u32> = vec![];
    for &l in labels {
        if !out.contains(&l) {
            out.push(l);
        }
    }
    out
}

fn distinct_sorted(mut labels: Vec<u32>) -> Vec<u32> {
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// The number of entries over the cells of these classes.
pub fn entries(classes: &[u32], cells: &Cells) -> u64 {
    classes.iter().fold(1, |p, &c| p.saturating_mul(cells.count(c) as u64))
}

/// Definitions with many legs are seen through, as long as there is room.
fn product(program: &Program, axes: &Axes, root: NodeId, room: &mut usize) -> Product {
    struct Frame {
        node: NodeId,
        env: HashMap<IndexId, u32>,
        next: usize,
        conj: bool,
    }
    let legs = &program.nodes[root].legs;
    let mut out = Product {
        scales: vec![],
        factors: vec![],
        class: legs.iter().map(|&i| axes.index(i)).collect(),
        open: (0..legs.len() as u32).collect(),
    };
    let env = legs.iter().copied().zip(out.open.iter().copied()).collect();
    let mut stack = vec![Frame { node: root, env, next: 0, conj: false }];
    while let Some(frame) = stack.last_mut() {
        let Node::Contract { scale, operands } = &program.nodes[frame.node].node else {
            stack.pop();
            continue;
        };
        if frame.next == 0 && *scale != Complex64::new(1.0, 0.0) {
            out.scales.push((*scale, frame.conj));
        }
        let Some(o) = operands.get(frame.next) else {
            stack.pop();
            continue;
        };
        frame.next += 1;
        let label = |i: &IndexId| {
            *frame.env.entry(*i).or_insert_with(|| {
                out.class.push(axes.index(*i));
                out.class.len() as u32 - 1
            })
        };
        let labels: Vec<u32> = o.indices.iter().map(label).collect();
        let conj = o.conj != frame.conj;
        let inner = &program.nodes[o.node];
        let through = matches!(inner.node, Node::Contract { .. }) && inner.legs.len() > MAX_LEGS;
        let many = self::operands(inner);
        if through && many <= *room {
            *room -= many;
            let env = inner.legs.iter().copied().zip(labels).collect();
            stack.push(Frame { node: o.node, env, next: 0, conj });
        } else {
            out.factors.push(Factor { node: o.node, labels, conj });
        }
    }
    out
}

struct Run<'a, N> {
    source: &'a Source<'a>,
    cells: &'a Cells,
    values: HashMap<NodeId, Vec<N>>,
    scratch: Scratch<N>,
    at: Vec<N>,
}

impl<N: Number> Run<'_, N> {
    fn zeros(&self, classes: &[u32]) -> Vec<N> {
        vec![N::zero(); entries(classes, self.cells) as usize]
    }

    fn product(&mut self, p: &Product, steps: &[Step]) -> Vec<N> {
        let cells = self.cells;
        let mut scale = N::one();
        for (c, conj) in &p.scales {
            let c = N::coef(*c);
            scale = scale.mul(if *conj { c.conj() } else { c });
        }
        // an axis of one cell is no axis of the entries
        let long = |labels: &[u32]| -> Vec<u32> {
            labels.iter().copied().filter(|&l| cells.count(p.class[l as usize]) != 1).collect()
        };
        let mut tensors: Vec<(Vec<u32>, Vec<N>)> = Vec::with_capacity(p.factors.len() + steps.len());
        for f in &p.factors {
            let all = long(&f.labels);
            let labels = distinct(&all);
            let value = self.reduced(p, f, &all, &labels);
            tensors.push((labels, value));
        }
        for s in steps {
            let out = long(&s.out);
            let value = self.step(p, &tensors, s, &out);
            tensors.push((out, value));
        }
        let mut value = tensors.pop().map(|t| t.1).unwrap_or_else(|| vec![N::one()]);
        // steps leave out labels of one cell: what such a one sums is its length
        for &class in p.class.iter().skip(p.open.len()) {
            if let &[(_, n)] = cells.of(class)
                && n != 1
            {
                scale = scale.mul(N::natural(n));
            }
        }
        value.iter_mut().for_each(|x| *x = scale.mul(*x));
        value
    }

    /// A factor with its diagonals taken and conjugated.
    fn reduced(&mut self, p: &Product, f: &Factor, all: &[u32], labels: &[u32]) -> Vec<N> {
        let value = &self.values[&f.node];
        if labels.len() == all.len() {
            return match f.conj {
                true => value.iter().map(|x| x.conj()).collect(),
                false => value.clone(),
            };
        }
        let at = |l: &u32| labels.iter().position(|m| m == l).unwrap_or(0) as u32;
        let (from, to): (Vec<u32>, Vec<u32>) =
            (all.iter().map(at).collect(), (0..labels.len() as u32).collect());
        let classes = |s: &[u32]| s.iter().map(|&l| p.class[l as usize]).collect::<Vec<u32>>();
        let (from_classes, to_classes) = (classes(all), classes(labels));
        let mut out = self.zeros(&to_classes);
        self.scratch.own.clear();
        stride(&mut self.scratch, &from, &from_classes, self.cells, |l, run| l.a += run);
        stride(&mut self.scratch, &to, &to_classes, self.cells, |l, run| l.out += run);
        let loops = std::mem::take(&mut self.scratch.own);
        let value = &self.values[&f.node];
        accumulate(&loops, self.cells, (value, f.conj), (&[N::one()], false), &mut out, &mut self.scratch);
        self.scratch.own = loops;
        out
    }

    /// Factors one after the other; the last product sums.
    fn step(&mut self, p: &Product, tensors: &[(Vec<u32>, Vec<N>)], s: &Step, wanted: &[u32]) -> Vec<N> {
        let one = (vec![], vec![N::one()]);
        let mut acc: Option<(Vec<u32>, Vec<N>)> = None;
        for (k, &t) in s.factors.iter().enumerate() {
            let next = &tensors[t as usize];
            let last = k + 1 == s.factors.len();
            if acc.is_none() && !last {
                acc = Some(next.clone());
                continue;
            }
            let left = acc.as_ref().unwrap_or(&one);
            let out: Vec<u32> = match last {
                true => wanted.to_vec(),
                false => distinct(&left.0.iter().chain(&next.0).copied().collect::<Vec<_>>()),
            };
            let value = self.times(p, left, next, &out);
            acc = Some((out, value));
        }
        match acc {
            Some((_, value)) => value,
            None => vec![N::one(); 1],
        }
    }

    fn times(&mut self, p: &Product, a: &(Vec<u32>, Vec<N>), b: &(Vec<u32>, Vec<N>), out: &[u32]) -> Vec<N> {
        let cells = self.cells;
        // labels of this product, the result's first
        let mut names: Vec<u32> = out.to_vec();
        for &l in a.0.iter().chain(&b.0) {
            if !names.contains(&l) {
                names.push(l);
            }
        }
        let classes: Vec<u32> = names.iter().map(|&l| p.class[l as usize]).collect();
        let mut value = self.zeros(&classes[..out.len()]);
        self.scratch.own.clear();
        let mut side = |labels: &[u32], step: fn(&mut super::contract::Loop, usize)| {
            let (mut mine, mut of) = (vec![], vec![]);
            for l in labels {
                if let Some(k) = names.iter().position(|m| m == l) {
                    mine.push(k as u32);
                    of.push(classes[k]);
                }
            }
            stride(&mut self.scratch, &mine, &of, cells, step);
        };
        side(out, |l, run| l.out += run);
        side(&a.0, |l, run| l.a += run);
        side(&b.0, |l, run| l.b += run);
        let mut loops = std::mem::take(&mut self.scratch.own);
        loops.iter_mut().skip(out.len()).for_each(|l| l.weighted = true);
        accumulate(&loops, cells, (&a.1, false), (&b.1, false), &mut value, &mut self.scratch);
        self.scratch.own = loops;
        value
    }

    fn node(&mut self, id: NodeId, leaves: &[Vec<N>]) -> Vec<N> {
        let program = self.source.program;
        let data = &program.nodes[id];
        let classes = self.source.classes(id);
        let cells = self.cells;
        match &data.node {
            Node::Leaf(l) => leaves[l.index()].clone(),
            Node::Contract { .. } => self.zeros(&classes),
            Node::Pin { arg } => self.values[arg].clone(),
            Node::Map { map, arg, params } => {
                let map = &program.maps[*map];
                let mut args = vec![N::zero()];
                for (node, param) in params.iter().zip(&map.params) {
                    let value = &self.values[node];
                    match (param.len, self.source.classes(*node).first()) {
                        (Some(n), Some(&c)) => {
                            args.extend(
                                (0..n as u64).map(|k| at_cell(cells, c, k).map_or(N::zero(), |at| value[at])),
                            );
                        }
                        _ => args.extend(value.first()),
                    }
                }
                args.resize((map.body.arity as usize).max(1), N::zero());
                let (values, at) = (&self.values, &mut self.at);
                let one = |x: &N| {
                    args[0] = *x;
                    scalars::eval(&map.body, &args, at)
                };
                values[arg].iter().map(one).collect()
            }
            Node::Add { terms } => {
                let mut out = self.zeros(&classes);
                for (c, o) in terms {
                    let place = |i: &IndexId| data.legs.iter().position(|l| l == i).unwrap_or(0) as u32;
                    let from: Vec<u32> = o.indices.iter().map(place).collect();
                    let from_classes: Vec<u32> =
                        o.indices.iter().map(|&i| self.source.axes.index(i)).collect();
                    let to: Vec<u32> = (0..classes.len() as u32).collect();
                    self.scratch.own.clear();
                    stride(&mut self.scratch, &from, &from_classes, cells, |l, run| l.a += run);
                    stride(&mut self.scratch, &to, &classes, cells, |l, run| l.out += run);
                    let loops = std::mem::take(&mut self.scratch.own);
                    let value = (self.values[&o.node].as_slice(), o.conj);
                    accumulate(&loops, cells, value, (&[N::coef(*c)], false), &mut out, &mut self.scratch);
                    self.scratch.own = loops;
                }
                out
            }
            Node::Select { arg, axis, at } => {
                let from = self.source.classes(*arg);
                let axis = *axis as usize;
                let mut out = self.zeros(&classes);
                let Some(&c) = from.get(axis) else { return out };
                let inner = entries(&from[axis + 1..], cells) as usize;
                let n = cells.count(c);
                let Some(k) = at_cell(cells, c, *at) else { return out };
                let value = &self.values[arg];
                for (row, part) in out.chunks_mut(inner.max(1)).enumerate() {
                    let begin = (row * n + k) * inner;
                    part.copy_from_slice(&value[begin..begin + inner]);
                }
                out
            }
            Node::Unpad { arg } => {
                let mut out = self.zeros(&classes);
                let from = (self.values[arg].as_slice(), self.source.classes(*arg));
                refold(self.source.axes, cells, (from.0, &from.1), (&mut out, &classes));
                out
            }
            Node::Stack { parts } => {
                let Some(&lead) = classes.first() else { return self.zeros(&classes) };
                let rows = cells.of(lead).iter().filter_map(|&(start, _)| parts.get(start as usize));
                rows.flat_map(|n| self.values[n].iter().copied()).collect()
            }
        }
    }
}

/// Entries at the same row-major position; where one is left out, zero.
pub fn refold<N: Copy>(axes: &Axes, cells: &Cells, from: (&[N], &[u32]), to: (&mut [N], &[u32])) {
    for (k, o) in to.0.iter_mut().enumerate() {
        let (mut rest, mut run, mut flat) = (k, 1u128, 0u128);
        for &c in to.1.iter().rev() {
            let own = cells.of(c);
            flat = flat.saturating_add(run.saturating_mul(own[rest % own.len()].0 as u128));
            rest /= own.len();
            run = run.saturating_mul(axes.size[c as usize] as u128);
        }
        let (mut at, mut step) = (Some(0), 1);
        for &c in from.1.iter().rev() {
            let n = axes.size[c as usize].max(1) as u128;
            let cell = at_cell(cells, c, (flat % n) as u64);
            at = at.zip(cell).map(|(a, k)| a + k * step);
            step *= cells.count(c);
            flat /= n;
        }
        if let Some(x) = at.and_then(|at| from.0.get(at)) {
            *o = *x;
        }
    }
}

/// The cell that holds a position.
pub fn at_cell(cells: &Cells, class: u32, position: u64) -> Option<usize> {
    let of = cells.of(class);
    let k = of.partition_point(|&(start, _)| start <= position).checked_sub(1)?;
    (position < of[k].0 + of[k].1).then_some(k)
}

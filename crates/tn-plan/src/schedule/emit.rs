//! From nodes in order to loops and steps.

use super::bodies::Bodies;
use super::scope::{Group, Scope};
use super::text::{Names, product, tensor};
use super::views::{View, add_move, strides_over};
use crate::ir::*;
use std::collections::BTreeMap;
use tn_ir::dag::{Dag, DagId, Op, VarId};
use tn_ir::ids::Arena;
use tn_ir::size::{Dim, Poly, numel, row_major};

/// Where a node's value goes.
#[derive(Clone, Debug)]
struct Target {
    buffer: BufferId,
    offset: Poly,
    moves: Vec<(u32, Poly)>,
    /// One an axis of the node.
    strides: Vec<Poly>,
    write: Write,
    /// Which node the steps are recorded for, and its name in texts.
    node: DagId,
    name: String,
}

/// What a node's memory is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Home {
    /// The caller's array of this class.
    Caller(Class),
    /// The saved arena, at this offset.
    Saved(Poly),
}

/// Makes the items of one entry.
pub(crate) struct Emitter<'a> {
    pub dag: &'a Dag,
    pub views: &'a [View],
    pub scope: &'a Scope,
    pub bodies: &'a mut Bodies,
    pub names: &'a Names,
    /// Nodes whose memory is not workspace.
    pub homes: BTreeMap<DagId, Home>,
    pub buffers: Arena<BufferId, Buffer>,
    pub vars: Vec<LoopVar>,
    var_of: BTreeMap<VarId, u32>,
    /// By node.
    buffer_of: Vec<Option<BufferId>>,
    /// Of what is made anew in every round.
    local: BTreeMap<DagId, BufferId>,
}

impl<'a> Emitter<'a> {
    pub fn new(
        dag: &'a Dag,
        views: &'a [View],
        scope: &'a Scope,
        bodies: &'a mut Bodies,
        names: &'a Names,
        homes: BTreeMap<DagId, Home>,
    ) -> Self {
        Emitter {
            dag,
            views,
            scope,
            bodies,
            names,
            homes,
            buffers: Arena::new(),
            vars: vec![],
            var_of: BTreeMap::new(),
            buffer_of: vec![None; dag.len()],
            local: BTreeMap::new(),
        }
    }

    /// The buffer of a node that is computed or given.
    fn buffer(&mut self, n: DagId) -> BufferId {
        if let Some(b) = self.buffer_of[n.0 as usize].or_else(|| self.local.get(&n).copied()) {
            return b;
        }
        let (class, offset) = match self.homes.get(&n) {
            Some(Home::Caller(class)) => (class.clone(), Poly::zero()),
            Some(Home::Saved(offset)) => (Class::Saved, offset.clone()),
            None => (Class::Workspace, Poly::zero()),
        };
        let (name, len) = (self.names.of(n), numel(self.dag.dims(n)));
        let id = self.buffers.push(Buffer { class, name, len, offset, live: (0, 0) });
        if self.dag.info(n).depth > 0 {
            self.local.insert(n, id);
        } else {
            self.buffer_of[n.0 as usize] = Some(id);
        }
        id
    }

    /// A buffer of the caller for a root that is a copy.
    fn root_buffer(&mut self, class: Class, name: &str, dims: &[Dim]) -> BufferId {
        self.buffers.push(Buffer {
            class,
            name: name.to_string(),
            len: numel(dims),
            offset: Poly::zero(),
            live: (0, 0),
        })
    }

    fn var(&mut self, v: VarId) -> u32 {
        if let Some(&i) = self.var_of.get(&v) {
            return i;
        }
        let i = self.vars.len() as u32;
        self.vars.push(LoopVar { name: self.dag.vars[v].name.clone(), var: v });
        self.var_of.insert(v, i);
        i
    }

    fn moves(&mut self, moves: &[(VarId, Poly)]) -> Vec<(u32, Poly)> {
        moves.iter().map(|(v, p)| (self.var(*v), p.clone())).collect()
    }

    /// Reads node `n`, whose axes carry `labels`, over a space with the labels `space`.
    fn read(&mut self, n: DagId, labels: &[u32], space: &[u32]) -> Access {
        let views = self.views;
        let view = &views[n.0 as usize];
        let buffer = self.buffer(view.base);
        let moves = self.moves(&view.moves);
        let strides = strides_over(space, labels, &view.strides);
        Access { buffer, offset: view.offset.clone(), moves, strides }
    }

    /// The target of a node that has memory of its own.
    fn own(&mut self, n: DagId) -> Target {
        Target {
            buffer: self.buffer(n),
            offset: Poly::zero(),
            moves: vec![],
            strides: row_major(self.dag.dims(n)),
            write: Write::Set,
            node: n,
            name: self.names.of(n),
        }
    }

    fn name(&self, n: DagId) -> String {
        let view = &self.views[n.0 as usize];
        let base = self.names.of(view.base);
        let vars: Vec<&str> = view.moves.iter().map(|(v, _)| self.dag.vars[*v].name.as_str()).collect();
        match (vars.is_empty(), view.base == n) {
            (false, _) => format!("{base}({})", vars.join(",")),
            (true, false) if !matches!(self.dag.op(n), Op::Einsum1 { .. } | Op::Reshape { .. }) => {
                format!("{base}.view")
            }
            _ => base,
        }
    }

    /// `name[a,b]` of a node whose axes carry `labels`. A permutation or diagonal that only reads its argument's memory is shown as the argument.
    fn shown(&self, n: DagId, labels: &[u32]) -> String {
        let (mut n, mut labels) = (n, labels.to_vec());
        while let Op::Einsum1 { a, a_labels, out_labels, conj: false } = self.dag.op(n) {
            let place = |l: &u32| out_labels.iter().position(|o| o == l).map(|k| labels[k]);
            let inner: Option<Vec<u32>> = a_labels.iter().map(place).collect();
            match inner {
                Some(inner) if self.views[n.0 as usize].base != n => (n, labels) = (*a, inner),
                _ => break,
            }
        }
        tensor(&self.name(n), &labels)
    }

    /// The steps of a node that stands outside the loops (not a collect).
    pub fn node(&mut self, n: DagId, items: &mut Vec<Item>) {
        let target = self.own(n);
        self.compute(n, &target, items);
    }

    /// Copies a node's value into a result of the caller.
    pub fn root_copy(&mut self, n: DagId, class: Class, name: &str, items: &mut Vec<Item>) {
        let dims = self.dag.dims(n).to_vec();
        let buffer = self.root_buffer(class, name, &dims);
        let target = Target {
            buffer,
            offset: Poly::zero(),
            moves: vec![],
            strides: row_major(&dims),
            write: Write::Set,
            node: n,
            name: name.to_string(),
        };
        let labels: Vec<u32> = (0..dims.len() as u32).collect();
        self.copy(n, &labels, &labels, &dims, &target, false, items);
    }

    /// One step `target[out] (+)= a[labels]`; `space` are the labels of the kept axes, in order, with sizes `dims`.
    #[allow(clippy::too_many_arguments)]
    fn copy(
        &mut self,
        a: DagId,
        labels: &[u32],
        space: &[u32],
        dims: &[Dim],
        target: &Target,
        conj: bool,
        items: &mut Vec<Item>,
    ) {
        let ins = vec![self.read(a, labels, space)];
        let body = self.bodies.copy(conj);
        let value = self.shown(a, labels);
        let value = if conj { format!("conj({value})") } else { value };
        let space_axes = dims.iter().map(|&size| Axis { size, reduce: false }).collect();
        let out = target.strides.clone();
        self.push(target, space_axes, ins, out, body, Fold::Sum, target.write, (space, value), items);
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        target: &Target,
        space: Vec<Axis>,
        ins: Vec<Access>,
        out_strides: Vec<Poly>,
        body: BodyId,
        fold: Fold,
        write: Write,
        (out_labels, value): (&[u32], String),
        items: &mut Vec<Item>,
    ) {
        let sign = if write == Write::Set { "=" } else { "+=" };
        let text = format!("{} {sign} {value}", tensor(&target.name, out_labels));
        let out = Access {
            buffer: target.buffer,
            offset: target.offset.clone(),
            moves: target.moves.clone(),
            strides: out_strides,
        };
        let span = self.dag.info(target.node).span;
        items.push(Item::Step(Box::new(Step {
            node: target.node,
            space,
            ins,
            out,
            body,
            fold,
            write,
            text,
            span,
        })));
    }

    /// The steps that bring the value of `n` to `target`.
    fn compute(&mut self, n: DagId, target: &Target, items: &mut Vec<Item>) {
        let dag = self.dag;
        let dims = dag.dims(n);
        let labels: Vec<u32> = (0..dims.len() as u32).collect();
        let kept = |dims: &[Dim]| dims.iter().map(|&size| Axis { size, reduce: false }).collect::<Vec<_>>();
        match dag.op(n) {
            Op::Leaf(_) | Op::Collect { .. } | Op::At { .. } | Op::Slice { .. } => {
                self.copy(n, &labels, &labels, dims, target, false, items);
            }
            Op::Number(c) => {
                let body = self.bodies.constant(c.value());
                let value = format!("{}", c.value());
                let write = target.write;
                self.push(target, vec![], vec![], vec![], body, Fold::Sum, write, (&[], value), items);
            }
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
                let operands = [(&a_labels[..], dag.dims(*a)), (&b_labels[..], dag.dims(*b))];
                let (space, axes) = space_of((out_labels, dims), &operands);
                let ins = vec![self.read(*a, a_labels, &space), self.read(*b, b_labels, &space)];
                let out = strides_over(&space, out_labels, &target.strides);
                let body = self.bodies.product(*conj_a, *conj_b);
                let value =
                    product((&self.shown(*a, a_labels), *conj_a), (&self.shown(*b, b_labels), *conj_b));
                self.push(target, axes, ins, out, body, Fold::Sum, target.write, (out_labels, value), items);
            }
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                let (space, axes) = space_of((out_labels, dims), &[(a_labels, dag.dims(*a))]);
                if (0..out_labels.len()).any(|i| out_labels[..i].contains(&out_labels[i])) {
                    items.push(Item::Zero { buffer: target.buffer });
                }
                let ins = vec![self.read(*a, a_labels, &space)];
                let out = strides_over(&space, out_labels, &target.strides);
                let body = self.bodies.copy(*conj);
                let value = self.shown(*a, a_labels);
                let value = if *conj { format!("conj({value})") } else { value };
                self.push(target, axes, ins, out, body, Fold::Sum, target.write, (out_labels, value), items);
            }
            Op::Map { f, args } => {
                let mut ins = Vec::with_capacity(args.len());
                let mut texts = Vec::with_capacity(args.len());
                for &x in args {
                    let own = if dag.dims(x).is_empty() { &[][..] } else { &labels[..] };
                    ins.push(self.read(x, own, &labels));
                    texts.push(self.shown(x, own));
                }
                let body = self.bodies.add(dag.fns[f.0 as usize].clone());
                let value = format!("{}({})", dag.fn_name(*f), texts.join(", "));
                let (axes, out) = (kept(dims), target.strides.clone());
                self.push(target, axes, ins, out, body, Fold::Sum, target.write, (&labels, value), items);
            }
            Op::Add { terms } => {
                let mut write = target.write;
                let groups: Vec<&[_]> =
                    if terms.is_empty() { vec![&[]] } else { terms.chunks(TERMS).collect() };
                for group in groups {
                    let coefs: Vec<_> = group.iter().map(|t| t.0).collect();
                    let ins = group.iter().map(|t| self.read(t.1, &labels, &labels)).collect();
                    let body = self.bodies.linear(&coefs);
                    let texts: Vec<String> = group
                        .iter()
                        .map(|(c, x)| {
                            let value = self.shown(*x, &labels);
                            if c.is_one() { value } else { format!("{} {value}", c.value()) }
                        })
                        .collect();
                    let value = if texts.is_empty() { "0".to_string() } else { texts.join(" + ") };
                    let (axes, out) = (kept(dims), target.strides.clone());
                    self.push(target, axes, ins, out, body, Fold::Sum, write, (&labels, value), items);
                    write = Write::Accumulate;
                }
            }
            Op::Reshape { a } => {
                let from = dag.dims(*a);
                let all: Vec<u32> = (0..from.len() as u32).collect();
                let flat = Target { strides: row_major(from), ..target.clone() };
                self.copy(*a, &all, &all, from, &flat, false, items);
            }
            Op::Pad { a, axis, before } => {
                items.push(Item::Zero { buffer: target.buffer });
                let shift = &Poly::from(*before) * &target.strides[*axis as usize];
                let part = Target { offset: &target.offset + &shift, ..target.clone() };
                self.copy(*a, &labels, &labels, dag.dims(*a), &part, false, items);
            }
            Op::Concat { axis, parts } => {
                let mut part = target.clone();
                for &p in parts {
                    self.copy(p, &labels, &labels, dag.dims(p), &part, false, items);
                    let length = dag.dims(p)[*axis as usize].poly();
                    part.offset = &part.offset + &(&length * &target.strides[*axis as usize]);
                }
            }
            Op::MaxAbs { a } => {
                let from = dag.dims(*a);
                let all: Vec<u32> = (0..from.len() as u32).collect();
                let ins = vec![self.read(*a, &all, &all)];
                let axes = from.iter().map(|&size| Axis { size, reduce: true }).collect();
                let (out, body) = (vec![Poly::zero(); from.len()], self.bodies.copy(false));
                let value = format!("max|{}|", self.shown(*a, &all));
                self.push(target, axes, ins, out, body, Fold::MaxAbs, target.write, (&[], value), items);
            }
        }
    }

    /// The slot of a collect's result in the current round.
    fn slot(&mut self, c: DagId) -> Option<(DagId, Target)> {
        let dag = self.dag;
        let Op::Collect { a, nest, places } = dag.op(c) else { return None };
        let strides = row_major(dag.dims(c));
        let mut moves = Vec::new();
        for &(axis, v) in places {
            add_move(&mut moves, v, &strides[axis as usize]);
        }
        let rest = (0..strides.len() as u32).filter(|i| !places.iter().any(|p| p.0 == *i));
        let target = Target {
            buffer: self.buffer(c),
            offset: Poly::zero(),
            moves: self.moves(&moves),
            strides: rest.map(|i| strides[i as usize].clone()).collect(),
            write: if dag.accumulates(*nest, places) { Write::Accumulate } else { Write::Set },
            node: c,
            name: self.names.of(c),
        };
        Some((*a, target))
    }

    /// One run of a nest's loops. `levels[d]` lists what is computed with d loop variables known, in order.
    pub fn group(&mut self, group: &Group, levels: &[Vec<DagId>], items: &mut Vec<Item>) {
        self.local.clear();
        let dag = self.dag;
        let vars = &dag.nests[group.nest].vars;
        for &v in vars {
            self.var(v);
        }
        let mut bodies: Vec<Vec<Item>> = vec![vec![]; vars.len() + 1];
        for (level, nodes) in levels.iter().enumerate() {
            for &n in nodes {
                let Some((a, target)) = self.slot(n) else {
                    self.node(n, &mut bodies[level]);
                    continue;
                };
                if target.write == Write::Accumulate {
                    items.push(Item::Zero { buffer: target.buffer });
                }
                if self.scope.direct[n.0 as usize] {
                    self.compute(a, &target, &mut bodies[level]);
                } else {
                    let dims = dag.dims(a);
                    let labels: Vec<u32> = (0..dims.len() as u32).collect();
                    self.copy(a, &labels, &labels, dims, &target, false, &mut bodies[level]);
                }
            }
        }
        let mut inner = bodies.pop().unwrap_or_default();
        for (&v, mut body) in vars.iter().rev().zip(bodies.into_iter().rev()) {
            let trip = dag.vars[v].trip;
            body.push(Item::Loop(Loop { var: self.var(v), trip, kind: LoopKind::Slice, body: inner }));
            inner = body;
        }
        items.append(&mut inner);
        self.local.clear();
    }
}

/// Terms of a sum that one step adds.
pub(crate) const TERMS: usize = 8;

/// The space of a sum of products: the distinct labels of the result in order, then the others of the operands by number.
fn space_of(
    (out_labels, out_dims): (&[u32], &[Dim]),
    operands: &[(&[u32], &[Dim])],
) -> (Vec<u32>, Vec<Axis>) {
    // few axes are summed at a time
    let most = out_labels.len() + 4;
    let (mut space, mut axes) = (Vec::with_capacity(most), Vec::with_capacity(most));
    let all = operands.iter().flat_map(|o| o.0).chain(out_labels);
    let mut seen = vec![false; all.max().map_or(0, |&l| l as usize + 1)];
    let mut is_new = |l: u32| !std::mem::replace(&mut seen[l as usize], true);
    for (&l, &size) in out_labels.iter().zip(out_dims) {
        if is_new(l) {
            space.push(l);
            axes.push(Axis { size, reduce: false });
        }
    }
    let mut folded: Vec<(u32, Dim)> = Vec::new();
    for (&l, &size) in operands.iter().flat_map(|(labels, dims)| labels.iter().zip(*dims)) {
        if is_new(l) {
            folded.push((l, size));
        }
    }
    folded.sort_unstable_by_key(|f| f.0);
    for (l, size) in folded {
        space.push(l);
        axes.push(Axis { size, reduce: true });
    }
    (space, axes)
}

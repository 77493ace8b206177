//! The plan executed symbolically, against the dag.

use super::form::{self, Form, Place};
use super::trace::{flatten as flat_index, position};
use super::{Errors, Sizes, samples};
use crate::ir::*;
use crate::schedule::live::flatten;
use crate::schedule::{class_of, results};
use std::collections::{BTreeMap, BTreeSet};
use tn_ir::dag::{Dag, DagId, Op, VarId};
use tn_ir::size::{Dim, Poly, numel, row_major};

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    Nothing,
    /// Zeros, since a `Zero` in this loop (by position).
    Zero(Option<u32>),
    /// The value of a node, in the current round.
    Value(DagId),
    /// `done` parts of a node's value, all written in this loop.
    Part {
        node: DagId,
        done: usize,
        home: Option<u32>,
    },
    /// The result of a collect while its loops run; `done` parts of this round's summand.
    Rounds {
        collect: DagId,
        done: usize,
        parts: usize,
    },
}

/// Loops that run: position, variable of the dag.
type Open = Vec<(u32, VarId)>;

/// Checks what every entry computes.
pub(super) fn check(plan: &Plan, dag: &Dag, errors: &mut Errors) {
    let sizes = samples(plan);
    // What `forward_saving` leaves in the saved arena, by place.
    let mut saved: BTreeMap<Poly, DagId> = BTreeMap::new();
    let mut order: Vec<&Entry> = plan.entries.iter().collect();
    order.sort_by_key(|e| e.kind);
    for entry in order {
        errors.entry = Some(entry.kind);
        let machine = Machine { plan, dag, entry, sizes: &sizes, content: vec![], errors };
        let left = machine.run(&saved);
        errors.item = None;
        if entry.kind == EntryKind::ForwardSaving {
            saved = left;
        }
    }
    errors.entry = None;
}

struct Machine<'a> {
    plan: &'a Plan,
    dag: &'a Dag,
    entry: &'a Entry,
    sizes: &'a [Sizes],
    content: Vec<Content>,
    errors: &'a mut Errors,
}

impl Machine<'_> {
    /// Runs the entry; returns what the saved buffers hold in the end.
    fn run(mut self, saved: &BTreeMap<Poly, DagId>) -> BTreeMap<Poly, DagId> {
        self.content = self.given(saved);
        let (dag, entry) = (self.dag, self.entry);
        let flat = flatten(&entry.body);
        let mut written: BTreeMap<u32, BTreeSet<BufferId>> = BTreeMap::new();
        for (at, f) in flat.iter().enumerate() {
            let out = match f.item {
                Item::Loop(_) => continue,
                Item::Zero { buffer } => *buffer,
                Item::Step(s) => s.out.buffer,
            };
            let mut around = flat[at].parent;
            while let Some(p) = around {
                written.entry(p).or_default().insert(out);
                around = flat[p as usize].parent;
            }
        }
        let none = BTreeSet::new();
        let mut open: Open = Vec::new();
        for (at, f) in flat.iter().enumerate() {
            let at = at as u32;
            while let Some(&(p, v)) = open.last().filter(|o| flat[o.0 as usize].last < at) {
                self.leave(v, written.get(&p).unwrap_or(&none));
                open.pop();
            }
            self.errors.item = Some(at);
            if self.errors.enough() {
                return BTreeMap::new();
            }
            match f.item {
                Item::Loop(l) => {
                    let var = entry.vars[l.var as usize].var;
                    match dag.vars.get(var) {
                        None => return self.give_up("the loop's variable is not one of the dag's"),
                        Some(v) if v.trip != l.trip => self
                            .errors
                            .add(format!("the loop over `{}` has not its number of rounds", v.name)),
                        Some(_) if l.kind != LoopKind::Slice => {
                            self.errors.add("the loop is not over slices")
                        }
                        Some(_) => {}
                    }
                    // In a later round what the body overwrites is gone.
                    for b in written.get(&at).unwrap_or(&none) {
                        let c = &mut self.content[b.0 as usize];
                        if !matches!(c, Content::Zero(_)) {
                            *c = Content::Nothing;
                        }
                    }
                    open.push((at, var));
                }
                Item::Zero { buffer } => {
                    self.content[buffer.0 as usize] = Content::Zero(open.last().map(|o| o.0));
                }
                Item::Step(s) => {
                    if let Err(message) = self.step(s, &open) {
                        self.errors.add(format!("`{}`: {message}", s.text));
                        self.content[s.out.buffer.0 as usize] = Content::Nothing;
                    }
                }
            }
        }
        while let Some((p, v)) = open.pop() {
            self.leave(v, written.get(&p).unwrap_or(&none));
        }
        self.errors.item = None;
        self.results();
        let held = entry.buffers.enumerate().filter(|(_, b)| b.class == Class::Saved);
        held.filter_map(|(id, b)| match self.content[id.0 as usize] {
            Content::Value(n) => Some((b.offset.clone(), n)),
            _ => None,
        })
        .collect()
    }

    fn give_up(&mut self, message: &str) -> BTreeMap<Poly, DagId> {
        self.errors.add(message);
        BTreeMap::new()
    }

    /// What buffers hold before the first item.
    fn given(&mut self, saved: &BTreeMap<Poly, DagId>) -> Vec<Content> {
        let mut leaves: BTreeMap<Class, DagId> = BTreeMap::new();
        for n in self.dag.ids() {
            if let Op::Leaf(a) = self.dag.op(n) {
                leaves.insert(class_of(self.dag, &self.plan.outputs, *a), n);
            }
        }
        let mut all = Vec::with_capacity(self.entry.buffers.len());
        for b in self.entry.buffers.iter() {
            let node = match b.class {
                Class::Leaf(_) | Class::Cotangent(_) | Class::Tangent(_) => leaves.get(&b.class).copied(),
                Class::Saved if self.entry.kind == EntryKind::Vjp => {
                    let found = saved.get(&b.offset).copied();
                    if found.is_none() {
                        self.errors.add(format!("`{}` is read where `forward_saving` left nothing", b.name));
                    }
                    found
                }
                _ => {
                    all.push(Content::Nothing);
                    continue;
                }
            };
            let fits = node.is_some_and(|n| numel(self.dag.dims(n)) == b.len);
            if !fits {
                self.errors.add(format!("`{}` has not the length of what it should hold", b.name));
            }
            all.push(node.filter(|_| fits).map_or(Content::Nothing, Content::Value));
        }
        all
    }

    /// The loop over `var` ends.
    fn leave(&mut self, var: VarId, written: &BTreeSet<BufferId>) {
        let dag = self.dag;
        let Some(v) = dag.vars.get(var) else { return };
        let level = dag.nests[v.nest].vars.iter().position(|&w| w == var).unwrap_or(0);
        for b in written {
            let c = &mut self.content[b.0 as usize];
            *c = match *c {
                Content::Value(n)
                    if dag.info(n).nest == Some(v.nest) && dag.info(n).depth as usize > level =>
                {
                    Content::Nothing
                }
                Content::Rounds { collect, done, parts } if level == 0 => {
                    if done == parts {
                        Content::Value(collect)
                    } else {
                        Content::Nothing
                    }
                }
                Content::Zero(Some(_)) | Content::Part { .. } => Content::Nothing,
                other => other,
            };
        }
    }

    /// Checks that every result of the entry is there.
    fn results(&mut self) {
        let places: BTreeMap<&Class, BufferId> =
            self.entry.buffers.enumerate().map(|(id, b)| (&b.class, id)).collect();
        for r in results(self.dag, &self.plan.outputs, self.entry.kind) {
            let Some(&id) = places.get(&r.class) else {
                self.errors.add(format!("`{}` is not computed", r.name));
                continue;
            };
            let held = match self.content[id.0 as usize] {
                Content::Value(m) => m,
                other => {
                    self.errors.add(format!("the buffer of `{}` holds {other:?} in the end", r.name));
                    continue;
                }
            };
            if held == r.node {
                continue;
            }
            // The same memory under other axes: every element stands where the result's own does.
            let dims = self.dag.dims(r.node);
            let same = numel(dims) == numel(self.dag.dims(held))
                && self.sizes.iter().all(|sizes| {
                    let space: Vec<i128> = dims.iter().map(|&d| sizes.dim(d)).collect();
                    points(&space).into_iter().all(|p| {
                        let want = flat_index(dims, &p, sizes);
                        position(self.dag, held, r.node, p, &BTreeMap::new(), sizes) == Some(want)
                    })
                });
            if !same {
                self.errors.add(format!("the buffer of `{}` holds the value of node {}", r.name, held.0));
            }
        }
    }

    /// Executes a step.
    fn step(&mut self, s: &Step, open: &Open) -> Result<(), String> {
        let dag = self.dag;
        if s.node.0 as usize >= dag.len() {
            return Err("its node is not one of the dag's".into());
        }
        let n = s.node;
        let out = s.out.buffer.0 as usize;
        if self.entry.buffers[s.out.buffer].len != numel(dag.dims(n)) {
            return Err("the buffer has not the length of the result".into());
        }
        if let Op::Collect { .. } = dag.op(n) {
            match self.collect(s, n, open) {
                Ok(next) => {
                    self.content[out] = next;
                    return Ok(());
                }
                // Outside the loops it may be a copy of the finished value.
                Err(message) if !open.is_empty() => return Err(message),
                Err(_) => {}
            }
        }
        let depth = dag.info(n).depth as usize;
        if depth > 0 {
            let vars = dag.info(n).nest.map_or(&[][..], |x| &dag.nests[x].vars);
            if !vars.iter().take(depth).all(|v| open.iter().any(|o| o.1 == *v)) {
                return Err("it stands outside the loops that its value depends on".into());
            }
        }
        let home = open.last().map(|o| o.0);
        let done = match self.content[out] {
            Content::Part { node, done, home: h } if node == n && h == home => done,
            _ => 0,
        };
        let slot = Slot { dims: dag.dims(n), base: Some(row_major(dag.dims(n))), places: &[] };
        let form = self.form(s, n, done, &slot, open, |_| true)?;
        let zeroed = self.content[out] == Content::Zero(home);
        if form.zero_first && !zeroed {
            return Err("the rest of the result is not zero".into());
        }
        let first = form.of.1 == 0;
        let want = if first { Write::Set } else { Write::Accumulate };
        let concat = matches!(dag.op(n), Op::Concat { .. });
        if s.write != if concat { Write::Set } else { want } {
            return Err(format!("it must {want:?}"));
        }
        let step = if concat { 1 } else { s.ins.len().max(1) };
        self.content[out] = if form.of.1 + step >= form.of.0 {
            Content::Value(n)
        } else {
            Content::Part { node: n, done: form.of.1 + step, home }
        };
        Ok(())
    }

    /// A step that brings this round's summand (or slice) of a collect to its place.
    fn collect(&mut self, s: &Step, c: DagId, open: &Open) -> Result<Content, String> {
        let dag = self.dag;
        let Op::Collect { a, nest, places } = dag.op(c) else { return Err("no collect".into()) };
        let vars = &dag.nests[*nest].vars;
        if open.len() != vars.len() || open.iter().zip(vars).any(|(o, v)| o.1 != *v) {
            return Err("it does not stand in exactly the loops that it leaves".into());
        }
        let sums = dag.accumulates(*nest, places);
        let done = match self.content[s.out.buffer.0 as usize] {
            Content::Rounds { collect, done, parts } if collect == c => {
                if done >= parts {
                    return Err("the slice is counted twice".into());
                }
                done
            }
            Content::Zero(None) if sums => 0,
            _ if sums => return Err("the sum does not begin at zero".into()),
            _ => 0,
        };
        let rest: Vec<Dim> = dag.dims(c).to_vec();
        let slot = Slot { dims: &rest, base: None, places };
        let in_a_slot = |f: &Form| !f.zero_first && matches!(f.place, Place::Axes(..));
        let form = self.form(s, *a, done, &slot, open, in_a_slot)?;
        let want = if sums || form.of.1 > 0 { Write::Accumulate } else { Write::Set };
        if s.write != want || matches!(dag.op(*a), Op::Concat { .. }) && form.of.0 > 1 {
            return Err(format!("it must {want:?}"));
        }
        let step = s.ins.len().max(1).min(form.of.0);
        if vars.is_empty() && form.of.1 + step >= form.of.0 {
            return Ok(Content::Value(c));
        }
        Ok(Content::Rounds { collect: c, done: form.of.1 + step, parts: form.of.0 })
    }

    /// The form of node `n` that a step is of: a copy of its value, or the part of its computation after `done` others, if that `may` be.
    fn form(
        &self,
        s: &Step,
        n: DagId,
        done: usize,
        slot: &Slot,
        open: &Open,
        may: impl Fn(&Form) -> bool,
    ) -> Result<Form, String> {
        let mut fault = "it has not the operands of the node".to_owned();
        let copied = (s.ins.len() == 1).then(|| form::copy(self.dag, n));
        let computed = || form::compute(self.dag, n, done, s.ins.len()).filter(&may);
        for form in copied.into_iter().chain(std::iter::once_with(computed).flatten()) {
            match self.matches(s, &form, slot, open) {
                Ok(()) => return Ok(form),
                Err(message) => fault = message,
            }
        }
        Err(fault)
    }

    /// Whether a step is of a form: space, operands, place, function, fold.
    fn matches(&self, s: &Step, form: &Form, slot: &Slot, open: &Open) -> Result<(), String> {
        let dag = self.dag;
        if s.ins.len() != form.ins.len() {
            return Err("it has not the operands of the node".into());
        }
        if s.space.len() != form.space.len()
            || s.space.iter().zip(&form.space).any(|(x, f)| x.size != f.0 || x.reduce != f.1)
        {
            return Err("its axes are not those of the node".into());
        }
        if s.fold != form.fold {
            return Err("it folds in another way than the node".into());
        }
        if !form::means(dag, &self.plan.bodies[s.body.0 as usize], &form.meaning) {
            return Err("its function is not the node's".into());
        }
        for (k, ((x, axes), access)) in form.ins.iter().zip(&s.ins).enumerate() {
            let Content::Value(held) = self.content[access.buffer.0 as usize] else {
                let name = &self.entry.buffers[access.buffer].name;
                return Err(format!("operand {k} reads `{name}`, which holds no value there"));
            };
            if !self.reads(s, access, *x, axes, held, open) {
                return Err(format!("operand {k} does not read the node's argument"));
            }
        }
        if !self.writes(s, form, slot, open) {
            return Err("the result does not go where it belongs".into());
        }
        Ok(())
    }

    /// Whether an operand reads node `x`, whose axes are these axes of the space, in memory that holds `held`.
    fn reads(&self, s: &Step, access: &Access, x: DagId, axes: &[usize], held: DagId, open: &Open) -> bool {
        let dag = self.dag;
        if x == held {
            let want = along(s.space.len(), axes.iter().copied().zip(&row_major(dag.dims(x))));
            return access.offset.is_zero() && access.moves.is_empty() && goes(s, access, &want);
        }
        self.everywhere(s, access, open, |point, vars, sizes| {
            let index = axes.iter().map(|&k| point[k]).collect();
            position(dag, held, x, index, vars, sizes)
        })
    }

    /// Whether the result goes to its place in the slot.
    fn writes(&self, s: &Step, form: &Form, slot: &Slot, open: &Open) -> bool {
        if let (Some(base), Place::Axes(axes, shifts)) = (&slot.base, &form.place)
            && shifts.iter().all(|x| *x == 0)
            && axes.iter().all(|a| a.1.is_empty())
        {
            let want = along(s.space.len(), axes.iter().map(|a| a.0).zip(base));
            return s.out.offset.is_zero() && s.out.moves.is_empty() && goes(s, &s.out, &want);
        }
        self.everywhere(s, &s.out, open, |point, vars, sizes| match &form.place {
            Place::Flat(dims) => Some(flat_index(dims, point, sizes)),
            Place::Axes(axes, shifts) => {
                let mut value = axes.iter().zip(shifts).map(|((k, lengths), shift)| {
                    let before: i128 = lengths.iter().map(|&d| sizes.dim(d)).sum();
                    point[*k] + before + i128::from(*shift)
                });
                let index = (0..slot.dims.len() as u32)
                    .map(|axis| match slot.places.iter().find(|p| p.0 == axis) {
                        Some(p) => vars.get(&p.1).copied(),
                        None => value.next(),
                    })
                    .collect::<Option<Vec<_>>>()?;
                Some(flat_index(slot.dims, &index, sizes))
            }
        })
    }

    /// Whether an access goes where `want` says, at the corners and at other points of space and loops, at all sample sizes.
    fn everywhere(
        &self,
        s: &Step,
        access: &Access,
        open: &Open,
        want: impl Fn(&[i128], &BTreeMap<VarId, i128>, &Sizes) -> Option<i128>,
    ) -> bool {
        self.sizes.iter().all(|sizes| {
            let space: Vec<i128> = s.space.iter().map(|x| sizes.dim(x.size)).collect();
            let trips: Vec<i128> = open.iter().map(|o| sizes.dim(self.dag.vars[o.1].trip)).collect();
            if space.contains(&0) || trips.contains(&0) {
                return true;
            }
            let offset = sizes.poly(&access.offset);
            let strides: Vec<i128> = access.strides.iter().map(|p| sizes.poly(p)).collect();
            let moves: Vec<(VarId, i128)> =
                access.moves.iter().map(|(v, p)| (self.entry.vars[*v as usize].var, sizes.poly(p))).collect();
            let all = points(&space);
            points(&trips).into_iter().enumerate().all(|(nth, round)| {
                let vars: BTreeMap<VarId, i128> = open.iter().map(|o| o.1).zip(round).collect();
                let base = moves.iter().fold(offset, |o, (v, p)| o + p * vars.get(v).copied().unwrap_or(0));
                // All points in one round; a few in the others.
                let some = if nth == 0 { all.len() } else { all.len().min(4) };
                all.iter().rev().take(some).all(|p| {
                    let at = strides.iter().zip(p).fold(base, |at, (s, i)| at + s * i);
                    want(p, &vars, sizes) == Some(at)
                })
            })
        })
    }
}

/// The stride along each axis of a space of `n` axes, of an access whose own axes are these of the space and have these strides.
fn along<'p>(n: usize, own: impl Iterator<Item = (usize, &'p Poly)>) -> Vec<Poly> {
    let mut strides = vec![Poly::zero(); n];
    for (k, stride) in own {
        strides[k] = &strides[k] + stride;
    }
    strides
}

/// Whether an access has these strides, but along axes where nothing moves.
fn goes(s: &Step, access: &Access, want: &[Poly]) -> bool {
    let mut axes = s.space.iter().zip(&access.strides).zip(want);
    axes.all(|((axis, stride), want)| axis.size == Dim::Const(1) || stride == want)
}

/// Memory for a value: all of a node, or a collect's result in one round.
struct Slot<'a> {
    /// Axes of the whole.
    dims: &'a [Dim],
    /// Its strides, if the value is the whole.
    base: Option<Vec<Poly>>,
    /// Axes that loop variables choose.
    places: &'a [(u32, VarId)],
}

/// Points of a box: all if it is small, else the origin, one step and the far end along each axis, some without structure, and the far corner, which is last.
fn points(space: &[i128]) -> Vec<Vec<i128>> {
    let total = space.iter().fold(1i128, |p, &n| p.saturating_mul(n));
    if total <= 64 {
        let mut all = vec![vec![]];
        for &n in space {
            all = all
                .into_iter()
                .flat_map(|p: Vec<i128>| (0..n).map(move |i| [p.clone(), vec![i]].concat()))
                .collect();
        }
        return all;
    }
    let origin = vec![0; space.len()];
    let mut all = vec![origin.clone()];
    for (i, &n) in space.iter().enumerate().filter(|(_, n)| **n > 1) {
        for at in [1, n - 1] {
            let mut p = origin.clone();
            p[i] = at;
            all.push(p);
        }
    }
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..8 {
        let mut draw = |n: i128| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            i128::from(state >> 1) % n
        };
        all.push(space.iter().map(|&n| draw(n)).collect());
    }
    all.push(space.iter().map(|n| n - 1).collect());
    all
}

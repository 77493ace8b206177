//! Which axes of a program and its dag are one, and what is asked of them.
//!
//! Axes that operands, maps, sums and roots identify are a *class*. Classes of which one is a part of the other (slices, paddings, rows of a stack)
//! are a *family*: what is cut in one is cut in the other. See [`super::cells`] for what becomes of them.

use crate::dag::{ArrayRole, Dag, DagId, Op, RootKind};
use crate::program::{ConstValue, IndexId, Leaf, Node, NodeId, Program, Role};
use crate::size::{Dim, SymbolId};
use std::collections::{BTreeMap, BTreeSet};

/// A part of an axis: position `offset + k` of `whole` is position k of `part`, which has `len` entries.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The class of the longer axis.
    pub whole: u32,
    /// The class of the part.
    pub part: u32,
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub len: u64,
}

/// A constant that is one where p = x·stride + u·dilation − pad.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The classes of p, u and x.
    pub classes: [u32; 3],
    /// stride, pad, dilation.
    pub by: [i64; 3],
}

/// Runs of axes with the same entries in row-major order, or the leading ones of `from`.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The classes of the axes that are read.
    pub from: Vec<u32>,
    /// The classes of the axes that are made.
    pub to: Vec<u32>,
}

/// Classes that are linked.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// Its classes.
    pub classes: Vec<u32>,
    /// Entries matter one by one: a constant or a diagonal tells them apart.
    pub unit: bool,
    /// Every entry is kept.
    pub full: bool,
    /// The positions that are sampled for a change of shape, and no others: what one axis keeps is what another one needs.
    pub exact: bool,
}

/// The classes of all axes.
#[derive(Clone, Debug)]
pub struct Axes {
    class: Vec<u32>,
    node_base: Vec<u32>,
    array_base: Vec<u32>,
    var_base: u32,
    /// Length of each class at the sizes of the test.
    pub size: Vec<u64>,
    /// The family of each class.
    pub family: Vec<u32>,
    /// All families.
    pub families: Vec<Family>,
    /// Parts of axes, by family.
    pub links: BTreeMap<u32, Vec<Link>>,
    /// Positions that must be kept, and be told apart from others, by class.
    pub pins: BTreeMap<u32, BTreeSet<u64>>,
    /// Positions where a cell must begin, by class.
    pub apart: BTreeMap<u32, BTreeSet<u64>>,
    /// Windows.
    pub windows: Vec<Window>,
    /// Leading entries that the program takes.
    pub unpads: Vec<Fold>,
    /// How the dag reshapes axes of those.
    pub folds: Vec<Fold>,
}

impl Axes {
    /// The class of an index of the program.
    pub fn index(&self, i: IndexId) -> u32 {
        self.class[i.0 as usize]
    }
    /// The classes of a node's axes.
    pub fn node(&self, id: DagId) -> &[u32] {
        let k = id.0 as usize;
        &self.class[self.node_base[k] as usize..self.node_base[k + 1] as usize]
    }
    /// The classes of an array's axes.
    pub fn array(&self, k: usize) -> &[u32] {
        &self.class[self.array_base[k] as usize..self.array_base[k + 1] as usize]
    }
    /// The class of a loop variable.
    pub fn var(&self, k: u32) -> u32 {
        self.class[(self.var_base + k) as usize]
    }
}

/// Lengths of axes where the check happens: run-time sizes are drawn once.
pub struct Sizes<'a> {
    /// A length for every symbol.
    pub of: &'a dyn Fn(SymbolId) -> u64,
}

impl Sizes<'_> {
    fn dim(&self, d: Dim) -> u64 {
        match d {
            Dim::Const(n) => n,
            Dim::Dyn(s) => (self.of)(s),
        }
    }
    fn index(&self, p: &Program, i: IndexId) -> u64 {
        let size = &p.indices[i].size;
        size.dynamic.map_or(size.value, |s| (self.of)(s))
    }
}

/// What is found out, before classes have numbers: everything by slot.
struct Builder<'a> {
    parent: Vec<u32>,
    size: Vec<u64>,
    sizes: &'a Sizes<'a>,
    unit: Vec<u32>,
    full: Vec<u32>,
    links: Vec<Link>,
    pins: Vec<(u32, u64)>,
    apart: Vec<(u32, u64)>,
    windows: Vec<Window>,
    unpads: Vec<Fold>,
    folds: Vec<Fold>,
    fault: Option<String>,
}

impl Builder<'_> {
    fn slot(&mut self, size: u64) -> u32 {
        self.parent.push(self.parent.len() as u32);
        self.size.push(size);
        self.parent.len() as u32 - 1
    }
    fn find(&mut self, i: u32) -> u32 {
        top(&mut self.parent, i)
    }
    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        if self.size[a as usize] != self.size[b as usize] {
            let (m, n) = (self.size[a as usize], self.size[b as usize]);
            self.fault.get_or_insert_with(|| format!("axes of lengths {m} and {n} meet"));
            return;
        }
        self.parent[b.max(a) as usize] = a.min(b);
    }
    fn join_all(&mut self, a: &[u32], b: &[u32]) {
        if a.len() != b.len() {
            self.fault.get_or_insert_with(|| format!("tensors of {} and {} axes meet", a.len(), b.len()));
        }
        for (&x, &y) in a.iter().zip(b) {
            self.join(x, y);
        }
    }
    fn link(&mut self, whole: u32, part: u32, offset: u64) {
        let len = self.size[part as usize];
        self.links.push(Link { whole, part, offset, len });
    }
    /// Runs of axes with equally many entries: an axis for an axis is the same.
    fn reshape(&mut self, from: &[u32], to: &[u32]) {
        let keep = |b: &Self, s: &[u32]| s.iter().copied().filter(|&x| b.size[x as usize] != 1).collect();
        let (from, to): (Vec<u32>, Vec<u32>) = (keep(self, from), keep(self, to));
        let (mut i, mut j) = (0, 0);
        while i < from.len() && j < to.len() {
            let (first_i, first_j) = (i, j);
            let (mut m, mut n) = (self.size[from[i] as usize] as u128, self.size[to[j] as usize] as u128);
            (i, j) = (i + 1, j + 1);
            while m != n && (i < from.len() || j < to.len()) {
                if m < n && i < from.len() {
                    m = m.saturating_mul(self.size[from[i] as usize] as u128);
                    i += 1;
                } else if j < to.len() {
                    n = n.saturating_mul(self.size[to[j] as usize] as u128);
                    j += 1;
                } else {
                    break;
                }
            }
            if i - first_i == 1 && j - first_j == 1 {
                self.join(from[first_i], to[first_j]);
            } else {
                self.folds.push(Fold { from: from[first_i..i].to_vec(), to: to[first_j..j].to_vec() });
            }
        }
        self.full.extend(&from[i..]);
        self.full.extend(&to[j..]);
    }
    fn constant(&mut self, value: &ConstValue, axes: &[u32]) {
        match value {
            ConstValue::Zeros | ConstValue::Ones => return,
            ConstValue::Delta => axes.windows(2).for_each(|w| self.join(w[0], w[1])),
            ConstValue::Identity => {
                let half = axes.len() / 2;
                (0..half).for_each(|k| self.join(axes[k], axes[half + k]));
            }
            ConstValue::Window { stride, pad, dilation } => {
                if let &[p, u, x] = axes {
                    self.windows.push(Window { classes: [p, u, x], by: [*stride, *pad, *dilation] });
                }
            }
            ConstValue::Dense(_) => {}
        }
        self.unit.extend(axes);
    }
}

fn program(b: &mut Builder, p: &Program) {
    let slots = |legs: &[IndexId]| legs.iter().map(|i| i.0).collect::<Vec<u32>>();
    for leaf in p.leaves.iter() {
        if let Role::Const(value) = &leaf.role {
            b.constant(value, &slots(&leaf.legs));
        }
    }
    for data in p.nodes.iter() {
        let legs = slots(&data.legs);
        let of = |n: &NodeId| slots(&p.nodes[*n].legs);
        match &data.node {
            Node::Leaf(l) => b.join_all(&legs, &slots(&p.leaves[*l].legs)),
            Node::Contract { operands, .. } => {
                operands.iter().for_each(|o| b.join_all(&of(&o.node), &slots(&o.indices)));
            }
            Node::Add { terms } => {
                terms.iter().for_each(|(_, o)| b.join_all(&of(&o.node), &slots(&o.indices)));
            }
            Node::Map { map, arg, params } => {
                b.join_all(&legs, &of(arg));
                for (node, param) in params.iter().zip(&p.maps[*map].params) {
                    if let (Some(n), Some(&axis)) = (param.len, of(node).first()) {
                        b.pins.extend((0..n as u64).map(|k| (axis, k)));
                    }
                }
            }
            Node::Pin { arg } => b.join_all(&legs, &of(arg)),
            Node::Select { arg, axis, at } => {
                let mut from = of(arg);
                if (*axis as usize) < from.len() {
                    b.pins.push((from.remove(*axis as usize), *at));
                }
                b.join_all(&legs, &from);
            }
            Node::Unpad { arg } => {
                b.unpads.push(Fold { from: of(arg), to: legs });
            }
            Node::Stack { parts } => {
                let Some((&lead, rest)) = legs.split_first() else { continue };
                b.apart.extend((0..parts.len() as u64).map(|k| (lead, k)));
                parts.iter().for_each(|n| b.join_all(rest, &of(n)));
            }
        }
    }
}

struct Bases<'a> {
    nodes: &'a [u32],
    arrays: &'a [u32],
    vars: u32,
}

impl Bases<'_> {
    fn node(&self, id: DagId) -> Vec<u32> {
        (self.nodes[id.0 as usize]..self.nodes[id.0 as usize + 1]).collect()
    }
    fn array(&self, k: usize) -> Vec<u32> {
        (self.arrays[k]..self.arrays[k + 1]).collect()
    }
}

fn dag_node(b: &mut Builder, dag: &Dag, id: DagId, base: &Bases, by_label: &mut Vec<Option<u32>>) {
    let out = base.node(id);
    // axes with one label are one; returns whether a label repeats
    let mut meet = |b: &mut Builder, lists: &[(&[u32], &[u32])]| {
        by_label.clear();
        for (labels, axes) in lists {
            for (&l, &axis) in labels.iter().zip(axes.iter()) {
                let l = l as usize;
                if by_label.len() <= l {
                    by_label.resize(l + 1, None);
                }
                match by_label[l] {
                    Some(first) => b.join(first, axis),
                    None => by_label[l] = Some(axis),
                }
            }
        }
    };
    match dag.op(id) {
        Op::Leaf(a) => b.join_all(&base.array(a.0 as usize), &out),
        Op::Number(_) | Op::MaxAbs { .. } => {}
        Op::Einsum2 { a, b: c, a_labels, b_labels, out_labels, .. } => {
            let (from, other) = (base.node(*a), base.node(*c));
            meet(b, &[(a_labels, &from), (b_labels, &other), (out_labels, &out)]);
        }
        Op::Einsum1 { a, a_labels, out_labels, .. } => {
            meet(b, &[(a_labels, &base.node(*a)), (out_labels, &out)]);
            for (k, l) in out_labels.iter().enumerate() {
                if out_labels[..k].contains(l) {
                    b.unit.push(out[k]);
                }
            }
        }
        Op::Map { args, .. } => {
            for &a in args {
                let from = base.node(a);
                if !from.is_empty() {
                    b.join_all(&from, &out);
                }
            }
        }
        Op::Add { terms } => terms.iter().for_each(|&(_, t)| b.join_all(&base.node(t), &out)),
        Op::Reshape { a } => b.reshape(&base.node(*a), &out),
        Op::Slice { a, axis, start } => part(b, &base.node(*a), &out, *axis, *start),
        Op::Pad { a, axis, before } => part(b, &out, &base.node(*a), *axis, *before),
        Op::Concat { axis, parts } => {
            let mut at = 0;
            for &p in parts {
                let from = base.node(p);
                part(b, &out, &from, *axis, at);
                at += from.get(*axis as usize).map_or(0, |&s| b.size[s as usize]);
            }
        }
        Op::At { a, picks, .. } => {
            let from = base.node(*a);
            picks.iter().for_each(|&(k, v)| b.join(from[k as usize], base.vars + v.0));
            let kept: Vec<u32> = (0..from.len())
                .filter(|&k| !picks.iter().any(|p| p.0 as usize == k))
                .map(|k| from[k])
                .collect();
            b.join_all(&kept, &out);
        }
        Op::Collect { a, places, .. } => {
            for (n, &(k, v)) in places.iter().enumerate() {
                b.join(out[k as usize], base.vars + v.0);
                if places[..n].iter().any(|p| p.1 == v) {
                    b.unit.push(out[k as usize]);
                }
            }
            let kept: Vec<u32> = (0..out.len())
                .filter(|&k| !places.iter().any(|p| p.0 as usize == k))
                .map(|k| out[k])
                .collect();
            b.join_all(&base.node(*a), &kept);
        }
    }
}

fn part(b: &mut Builder, whole: &[u32], small: &[u32], axis: u32, offset: u64) {
    let axis = axis as usize;
    for (k, (&w, &s)) in whole.iter().zip(small).enumerate() {
        if k == axis {
            b.link(w, s, offset);
        } else {
            b.join(w, s);
        }
    }
}

/// The classes of the axes of a program and of those nodes of a dag that are `needed`. `normal` is the program whose leaves the dag's arrays are;
/// `entire` are leaves of which every entry is kept.
///
/// # Errors
/// Axes of two lengths meet: the dag is none of this program.
pub fn axes(
    source: &Program,
    normal: &Program,
    dag: &Dag,
    needed: &[bool],
    sizes: &Sizes,
    structured: bool,
) -> Result<Axes, String> {
    let mut b = Builder {
        parent: vec![],
        size: vec![],
        sizes,
        unit: vec![],
        full: vec![],
        links: vec![],
        pins: vec![],
        apart: vec![],
        windows: vec![],
        unpads: vec![],
        folds: vec![],
        fault: None,
    };
    for i in source.indices.ids() {
        let n = b.sizes.index(source, i);
        b.slot(n);
    }
    let bases = |b: &mut Builder, dims: &mut dyn Iterator<Item = &[Dim]>| {
        let mut base = vec![b.parent.len() as u32];
        for dims in dims {
            for &d in dims {
                let n = b.sizes.dim(d);
                b.slot(n);
            }
            base.push(b.parent.len() as u32);
        }
        base
    };
    let array_base = bases(&mut b, &mut dag.arrays.iter().map(|a| a.dims.as_slice()));
    let mut node_dims = dag.ids().map(|id| if needed[id.0 as usize] { dag.dims(id) } else { &[] });
    let node_base = bases(&mut b, &mut node_dims);
    let var_base = b.parent.len() as u32;
    for v in dag.vars.iter() {
        let n = b.sizes.dim(v.trip);
        b.slot(n);
    }
    program(&mut b, source);
    let base = Bases { nodes: &node_base, arrays: &array_base, vars: var_base };
    for (k, array) in dag.arrays.iter().enumerate() {
        let own = base.array(k);
        match array.role {
            ArrayRole::Cotangent => {
                let mut outputs = dag.roots.iter().filter(|r| r.kind == RootKind::Output);
                if let Some(root) = outputs.nth(array.source as usize) {
                    b.join_all(&own, &base.node(root.node));
                }
            }
            ArrayRole::Tangent => b.join_all(&own, &base.array(array.source as usize)),
            _ => {
                let leaf = normal.leaves.as_slice().get(array.source as usize);
                match source.leaves.as_slice().get(array.source as usize) {
                    Some(leaf) => b.join_all(&leaf.legs.iter().map(|i| i.0).collect::<Vec<_>>(), &own),
                    None => {
                        if let Some(Leaf { role: Role::Const(value), .. }) = leaf {
                            b.constant(value, &own);
                        }
                    }
                }
                if structured && leaf.is_some_and(|l| l.structure.is_some()) {
                    b.unit.extend(&own);
                }
            }
        }
    }
    let mut scratch = vec![];
    for id in dag.ids().filter(|id| needed[id.0 as usize]) {
        dag_node(&mut b, dag, id, &base, &mut scratch);
    }
    roots(&mut b, source, dag, &base);
    match b.fault.take() {
        Some(fault) => Err(fault),
        None => Ok(numbered(b, node_base, array_base, var_base)),
    }
}

fn roots(b: &mut Builder, source: &Program, dag: &Dag, base: &Bases) {
    for root in &dag.roots {
        let own = base.node(root.node);
        if root.kind == RootKind::Grad {
            b.join_all(&base.array(root.source as usize), &own);
        } else if let Some(o) = source.outputs.get(root.source as usize) {
            let legs: Vec<u32> = source.nodes[o.node].legs.iter().map(|i| i.0).collect();
            b.join_all(&legs, &own);
        }
    }
}

fn top(parent: &mut [u32], mut i: u32) -> u32 {
    while parent[i as usize] != i {
        parent[i as usize] = parent[parent[i as usize] as usize];
        i = parent[i as usize];
    }
    i
}

fn numbered(mut b: Builder, node_base: Vec<u32>, array_base: Vec<u32>, var_base: u32) -> Axes {
    let n = b.parent.len();
    let mut class = vec![u32::MAX; n];
    let mut size = vec![];
    for slot in 0..n as u32 {
        let root = b.find(slot) as usize;
        if class[root] == u32::MAX {
            class[root] = size.len() as u32;
            size.push(b.size[root]);
        }
        class[slot as usize] = class[root];
    }
    // families
    let mut parent: Vec<u32> = (0..size.len() as u32).collect();
    let mut links = std::mem::take(&mut b.links);
    for l in &mut links {
        (l.whole, l.part) = (class[l.whole as usize], class[l.part as usize]);
        let (x, y) = (top(&mut parent, l.whole), top(&mut parent, l.part));
        parent[x.max(y) as usize] = x.min(y);
    }
    let mut families: Vec<Family> = vec![];
    let mut family = vec![0u32; size.len()];
    for c in 0..size.len() as u32 {
        let t = top(&mut parent, c);
        if t == c {
            family[c as usize] = families.len() as u32;
            families.push(Family::default());
        } else {
            family[c as usize] = family[t as usize];
        }
        families[family[c as usize] as usize].classes.push(c);
    }
    let of = |slot: u32| class[slot as usize];
    for s in b.unit {
        families[family[of(s) as usize] as usize].unit = true;
    }
    let mut unfolded = vec![false; size.len()];
    let classes = |f: Fold| {
        let of_all = |s: Vec<u32>| s.into_iter().map(of).collect();
        Fold { from: of_all(f.from), to: of_all(f.to) }
    };
    let unpads: Vec<Fold> = b.unpads.into_iter().map(classes).collect();
    for &c in unpads.iter().flat_map(|u| u.from.iter().chain(&u.to)) {
        unfolded[c as usize] = true;
        let own = &mut families[family[c as usize] as usize];
        (own.unit, own.exact) = (true, true);
    }
    let mut folds = vec![];
    for f in b.folds.into_iter().map(classes) {
        // a reshape that the program does not have must keep every entry
        let known = |side: &[u32]| side.len() == 1 || side.iter().all(|&c| unfolded[c as usize]);
        let sampled = known(&f.from) && known(&f.to);
        for &c in f.from.iter().chain(&f.to) {
            let own = &mut families[family[c as usize] as usize];
            (own.unit, own.full, own.exact) = (true, own.full || !sampled, true);
        }
        if sampled {
            folds.push(f);
        }
    }
    for s in b.full {
        let f = &mut families[family[of(s) as usize] as usize];
        (f.unit, f.full) = (true, true);
    }
    let collected = |marks: Vec<(u32, u64)>| {
        let mut out: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        for (s, at) in marks {
            out.entry(of(s)).or_default().insert(at);
        }
        out
    };
    let (pins, apart) = (collected(b.pins), collected(b.apart));
    let mut by_family: BTreeMap<u32, Vec<Link>> = BTreeMap::new();
    for l in links {
        by_family.entry(family[l.whole as usize]).or_default().push(l);
    }
    let mut windows = b.windows;
    for w in &mut windows {
        w.classes = w.classes.map(of);
    }
    Axes {
        class,
        node_base,
        array_base,
        var_base,
        size,
        family,
        families,
        links: by_family,
        pins,
        apart,
        windows,
        unpads,
        folds,
    }
}

//! Random dags with everything in them, and their values straight from the definition of each op.
#![allow(dead_code)]

use std::collections::BTreeMap;
use tn_ir::Complex64;
use tn_ir::dag::*;
use tn_ir::dtype::DType;
use tn_ir::program::FoldAxis;
use tn_ir::scalar::{ScalarBuilder, ScalarOp};
use tn_ir::size::{Dim, Symbol, SymbolId, SymbolKind};
use tn_plan::ir::*;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    }
    pub fn complex(&mut self) -> Complex64 {
        Complex64::new(self.unit(), self.unit())
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A tensor's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dims: Vec<u64>,
    pub data: Vec<Complex64>,
}

impl Tensor {
    fn zeros(dims: Vec<u64>) -> Tensor {
        let n = dims.iter().product::<u64>() as usize;
        Tensor { dims, data: vec![Complex64::default(); n] }
    }
    fn flat(&self, index: &[u64]) -> usize {
        index.iter().zip(&self.dims).fold(0, |f, (&i, &d)| f * d + i) as usize
    }
    fn at(&self, index: &[u64]) -> Complex64 {
        self.data[self.flat(index)]
    }
}

/// All indices of a shape, row-major.
pub fn indices(dims: &[u64]) -> Vec<Vec<u64>> {
    let mut all = vec![vec![]];
    for &d in dims {
        all = all.into_iter().flat_map(|i| (0..d).map(move |x| [i.clone(), vec![x]].concat())).collect();
    }
    all
}

/// Evaluates nodes by definition.
pub struct Evaluator<'a> {
    pub dag: &'a Dag,
    pub size: u64,
    pub leaves: BTreeMap<ArrayId, Vec<Complex64>>,
    known: BTreeMap<DagId, Tensor>,
}

impl<'a> Evaluator<'a> {
    pub fn new(dag: &'a Dag, size: u64, leaves: BTreeMap<ArrayId, Vec<Complex64>>) -> Self {
        Evaluator { dag, size, leaves, known: BTreeMap::new() }
    }

    pub fn value(&mut self, n: DagId, env: &BTreeMap<VarId, u64>) -> Tensor {
        let outside = self.dag.info(n).depth == 0;
        if let (true, Some(t)) = (outside, self.known.get(&n)) {
            return t.clone();
        }
        let t = self.compute(n, env);
        if outside {
            self.known.insert(n, t.clone());
        }
        t
    }

    fn dim(&self, d: Dim) -> u64 {
        d.eval(|_| self.size)
    }

    fn compute(&mut self, n: DagId, env: &BTreeMap<VarId, u64>) -> Tensor {
        let dag = self.dag;
        let dims: Vec<u64> = dag.dims(n).iter().map(|&d| self.dim(d)).collect();
        let mut out = Tensor::zeros(dims.clone());
        match dag.op(n) {
            Op::Leaf(a) => out.data = self.leaves[a].clone(),
            Op::Number(c) => out.data[0] = c.value(),
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
                let (x, y) = (self.value(*a, env), self.value(*b, env));
                let mut sizes = BTreeMap::new();
                sizes.extend(a_labels.iter().zip(&x.dims).map(|(l, d)| (*l, *d)));
                sizes.extend(b_labels.iter().zip(&y.dims).map(|(l, d)| (*l, *d)));
                let at = |labels: &[u32], point: &[u64]| -> Vec<u64> {
                    labels.iter().map(|l| point[sizes.keys().position(|k| k == l).unwrap()]).collect()
                };
                for p in indices(&sizes.values().copied().collect::<Vec<_>>()) {
                    let (mut u, mut v) = (x.at(&at(a_labels, &p)), y.at(&at(b_labels, &p)));
                    u = if *conj_a { u.conj() } else { u };
                    v = if *conj_b { v.conj() } else { v };
                    let i = out.flat(&at(out_labels, &p));
                    out.data[i] += u * v;
                }
            }
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                let x = self.value(*a, env);
                let mut sizes = BTreeMap::new();
                sizes.extend(a_labels.iter().zip(&x.dims).map(|(l, d)| (*l, *d)));
                sizes.extend(out_labels.iter().zip(&dims).map(|(l, d)| (*l, *d)));
                let at = |labels: &[u32], point: &[u64]| -> Vec<u64> {
                    labels.iter().map(|l| point[sizes.keys().position(|k| k == l).unwrap()]).collect()
                };
                for p in indices(&sizes.values().copied().collect::<Vec<_>>()) {
                    let u = x.at(&at(a_labels, &p));
                    let i = out.flat(&at(out_labels, &p));
                    out.data[i] += if *conj { u.conj() } else { u };
                }
            }
            Op::Map { f, args } => {
                let xs: Vec<Tensor> = args.iter().map(|&x| self.value(x, env)).collect();
                for i in 0..out.data.len() {
                    let v: Vec<_> =
                        xs.iter().map(|t| t.data[if t.dims.is_empty() { 0 } else { i }]).collect();
                    out.data[i] = dag.fns[f.0 as usize].eval(&v);
                }
            }
            Op::Add { terms } => {
                for (c, t) in terms {
                    let x = self.value(*t, env);
                    out.data.iter_mut().zip(&x.data).for_each(|(o, v)| *o += c.value() * v);
                }
            }
            Op::Reshape { a } => out.data = self.value(*a, env).data,
            Op::Slice { a, axis, start } => {
                let x = self.value(*a, env);
                for mut p in indices(&dims) {
                    let i = out.flat(&p);
                    p[*axis as usize] += start;
                    out.data[i] = x.at(&p);
                }
            }
            Op::Pad { a, axis, before } => {
                let x = self.value(*a, env);
                for mut p in indices(&x.dims) {
                    let v = x.at(&p);
                    p[*axis as usize] += before;
                    let i = out.flat(&p);
                    out.data[i] = v;
                }
            }
            Op::Concat { axis, parts } => {
                let mut start = 0;
                for part in parts {
                    let x = self.value(*part, env);
                    for mut p in indices(&x.dims) {
                        let v = x.at(&p);
                        p[*axis as usize] += start;
                        let i = out.flat(&p);
                        out.data[i] = v;
                    }
                    start += x.dims[*axis as usize];
                }
            }
            Op::At { a, picks, .. } => {
                let x = self.value(*a, env);
                for p in indices(&dims) {
                    let mut rest = p.iter();
                    let full: Vec<u64> = (0..x.dims.len() as u32)
                        .map(|axis| match picks.iter().find(|k| k.0 == axis) {
                            Some(k) => env[&k.1],
                            None => *rest.next().unwrap(),
                        })
                        .collect();
                    let i = out.flat(&p);
                    out.data[i] = x.at(&full);
                }
            }
            Op::Collect { a, nest, places } => {
                let vars = dag.nests[*nest].vars.clone();
                let trips: Vec<u64> = vars.iter().map(|&v| self.dim(dag.vars[v].trip)).collect();
                for round in indices(&trips) {
                    let env: BTreeMap<VarId, u64> = vars.iter().copied().zip(round).collect();
                    let x = self.value(*a, &env);
                    for p in indices(&x.dims) {
                        let mut rest = p.iter();
                        let full: Vec<u64> = (0..dims.len() as u32)
                            .map(|axis| match places.iter().find(|k| k.0 == axis) {
                                Some(k) => env[&k.1],
                                None => *rest.next().unwrap(),
                            })
                            .collect();
                        let i = out.flat(&full);
                        out.data[i] += x.at(&p);
                    }
                }
            }
            Op::MaxAbs { a } => {
                let m = self.value(*a, env).data.iter().map(|v| v.norm()).fold(0.0, f64::max);
                out.data[0] = if m == 0.0 || !m.is_finite() { 1.0 } else { m }.into();
            }
        }
        out
    }
}

/// A dag under construction.
pub struct Builder {
    pub dag: Dag,
    pub random: Random,
    /// Values outside the loops.
    pub pool: Vec<DagId>,
    pub leaves: Vec<LeafInfo>,
}

pub const SIZES: [Dim; 4] = [Dim::Const(2), Dim::Const(3), Dim::Dyn(SymbolId(0)), Dim::Const(1)];

impl Builder {
    pub fn new(seed: u64) -> Builder {
        let mut dag = Dag::default();
        dag.dtype = DType::C128;
        dag.symbols.push(Symbol { name: "b".into(), kind: SymbolKind::Dyn { hint: 4, max: Some(9) } });
        let mut b = Builder { dag, random: Random(seed), pool: vec![], leaves: vec![] };
        let mut s = ScalarBuilder::new();
        let (x, y) = (s.push(ScalarOp::Arg(0)), s.push(ScalarOp::Arg(1)));
        let c = s.push(ScalarOp::Sin(x));
        let r = s.push(ScalarOp::Mul(c, y));
        b.dag.add_fn(s.finish(2, r));
        for _ in 0..4 {
            let dims = (0..b.random.below(4)).map(|_| b.random.pick(&SIZES)).collect();
            b.leaf(dims);
        }
        b
    }

    pub fn leaf(&mut self, dims: Vec<Dim>) -> DagId {
        let i = self.leaves.len() as u32;
        let name = format!("w{i}");
        let a = self.dag.arrays.push(Array {
            name: name.clone(),
            role: ArrayRole::Param,
            dims: dims.clone(),
            source: i,
        });
        self.leaves.push(LeafInfo {
            name,
            role: ArrayRole::Param,
            axes: dims.iter().map(|_| FoldAxis { label: "i".into(), legs: 1 }).collect(),
            dims: dims.clone(),
            value: None,
            init: None,
            structure: None,
            needs_grad: true,
        });
        let n = self.dag.add(Op::Leaf(a), dims);
        self.pool.push(n);
        n
    }

    fn conj(&mut self) -> bool {
        self.random.below(4) == 0
    }

    pub fn einsum2(&mut self, a: DagId, b: DagId) -> DagId {
        let (da, db) = (self.dag.dims(a).to_vec(), self.dag.dims(b).to_vec());
        let a_labels: Vec<u32> = (0..da.len() as u32).collect();
        let (mut next, mut b_labels, mut both) = (da.len() as u32, vec![], vec![]);
        for d in &db {
            let free = (0..da.len() as u32).find(|l| da[*l as usize] == *d && !both.contains(l));
            match free {
                Some(l) if self.random.below(4) > 0 => {
                    both.push(l);
                    b_labels.push(l);
                }
                _ => {
                    b_labels.push(next);
                    next += 1;
                }
            }
        }
        let mut out_labels: Vec<u32> = vec![];
        for l in 0..next {
            if !both.contains(&l) || self.random.below(3) == 0 {
                let at = self.random.below(out_labels.len() + 1);
                out_labels.insert(at, l);
            }
        }
        let dim_of = |l: &u32| {
            a_labels
                .iter()
                .position(|x| x == l)
                .map(|i| da[i])
                .unwrap_or_else(|| db[b_labels.iter().position(|x| x == l).unwrap()])
        };
        let dims = out_labels.iter().map(dim_of).collect();
        let (conj_a, conj_b) = (self.conj(), self.conj());
        self.dag.add(Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b }, dims)
    }

    pub fn einsum1(&mut self, a: DagId) -> DagId {
        let da = self.dag.dims(a).to_vec();
        let mut a_labels: Vec<u32> = vec![];
        for i in 0..da.len() {
            let same = (0..i).find(|&j| da[j] == da[i]).map(|j| a_labels[j]);
            a_labels.push(match same {
                Some(l) if self.random.below(2) == 0 => l,
                _ => i as u32,
            });
        }
        let mut sizes: BTreeMap<u32, Dim> = a_labels.iter().copied().zip(da).collect();
        if self.random.below(3) == 0 {
            sizes.insert(100, self.random.pick(&SIZES));
        }
        let mut out_labels: Vec<u32> = vec![];
        for &l in sizes.keys() {
            if l == 100 || self.random.below(4) > 0 {
                let at = self.random.below(out_labels.len() + 1);
                out_labels.insert(at, l);
            }
        }
        if !out_labels.is_empty() && self.random.below(4) == 0 {
            let again = self.random.pick(&out_labels);
            out_labels.push(again);
        }
        let dims = out_labels.iter().map(|l| sizes[l]).collect();
        let conj = self.conj();
        self.dag.add(Op::Einsum1 { a, a_labels, out_labels, conj }, dims)
    }

    /// A random op over `from`; falls back to a sum with itself.
    pub fn any(&mut self, from: &[DagId]) -> DagId {
        let a = self.random.pick(from);
        let dims = self.dag.dims(a).to_vec();
        let axis = if dims.is_empty() { 0 } else { self.random.below(dims.len()) };
        let fixed = match dims.get(axis) {
            Some(Dim::Const(n)) => Some(*n),
            _ => None,
        };
        let alike: Vec<DagId> = from.iter().copied().filter(|&x| self.dag.dims(x) == dims).collect();
        match self.random.below(12) {
            0..=3 => {
                let small: Vec<DagId> =
                    from.iter().copied().filter(|&x| self.dag.dims(x).len() <= 3).collect();
                if dims.len() <= 3 {
                    let b = self.random.pick(&small);
                    let r = self.einsum2(a, b);
                    if self.dag.dims(r).len() <= 4 {
                        return r;
                    }
                }
                self.einsum1(a)
            }
            4 if dims.len() <= 3 => self.einsum1(a),
            5 => {
                let scalars: Vec<DagId> =
                    from.iter().copied().filter(|&x| self.dag.dims(x).is_empty()).chain(alike).collect();
                let args = vec![a, self.random.pick(&scalars)];
                self.dag.add(Op::Map { f: FnId(0), args }, dims)
            }
            6 => {
                let mut elements = dims.clone();
                // Merge two neighbours of known length, or add an axis of length 1.
                if let (Some(Dim::Const(x)), Some(Dim::Const(y))) = (dims.first(), dims.get(1)) {
                    elements.splice(0..2, [Dim::Const(x * y)]);
                } else {
                    elements.insert(axis, Dim::Const(1));
                }
                if elements.len() > 4 { self.einsum1(a) } else { self.dag.add(Op::Reshape { a }, elements) }
            }
            7 if fixed.is_some_and(|n| n > 1) => {
                let mut d = dims.clone();
                d[axis] = Dim::Const(1);
                let start = self.random.below(fixed.unwrap() as usize) as u64;
                self.dag.add(Op::Slice { a, axis: axis as u32, start }, d)
            }
            8 if fixed.is_some_and(|n| n < 4) => {
                let mut d = dims.clone();
                d[axis] = Dim::Const(fixed.unwrap() + 2);
                let before = self.random.below(3) as u64;
                self.dag.add(Op::Pad { a, axis: axis as u32, before }, d)
            }
            9 if fixed.is_some_and(|n| n < 4) => {
                let mut d = dims.clone();
                let b = self.random.pick(&alike);
                d[axis] = Dim::Const(2 * fixed.unwrap());
                self.dag.add(Op::Concat { axis: axis as u32, parts: vec![a, b] }, d)
            }
            10 => self.dag.add(Op::MaxAbs { a }, vec![]),
            _ => {
                let count = 1 + self.random.below(11);
                let terms = (0..count)
                    .map(|_| (Coef::from(self.random.complex()), self.random.pick(&alike)))
                    .collect();
                self.dag.add(Op::Add { terms }, dims)
            }
        }
    }

    /// A nest over axes of values outside, with a few collects that may feed one another.
    pub fn nest(&mut self) {
        let open: Vec<DagId> = self.pool.iter().copied().filter(|&x| !self.dag.dims(x).is_empty()).collect();
        if open.is_empty() {
            return;
        }
        let count = 1 + self.random.below(2);
        let mut trips = vec![];
        for i in 0..count {
            let x = self.random.pick(&open);
            let dims = self.dag.dims(x).to_vec();
            trips.push((format!("s{i}"), self.random.pick(&dims)));
        }
        let nest = self.dag.add_nest(trips);
        self.rounds(nest, 2);
        let outside = self.pool.clone();
        for _ in 0..2 {
            let n = self.any(&outside);
            self.pool.push(n);
        }
        self.rounds(nest, 1);
    }

    fn rounds(&mut self, nest: NestId, collects: usize) {
        let vars = self.dag.nests[nest].vars.clone();
        let mut inside: Vec<DagId> = vec![];
        for &v in &vars {
            let trip = self.dag.vars[v].trip;
            for _ in 0..2 {
                let fits: Vec<DagId> =
                    self.pool.iter().copied().filter(|&x| self.dag.dims(x).contains(&trip)).collect();
                let a = self.random.pick(&fits);
                let mut dims = self.dag.dims(a).to_vec();
                let axis = dims.iter().position(|&d| d == trip).unwrap();
                dims.remove(axis);
                let picks = vec![(axis as u32, v)];
                inside.push(self.dag.add(Op::At { a, picks, inside: None }, dims));
            }
        }
        // What no loop changes, made in every round all the same.
        let a = self.random.pick(&self.pool.clone());
        inside.push(self.dag.at_inside(a, vec![], nest));
        let mut made = vec![];
        for k in 0..6 {
            let mut from = inside.clone();
            if k % 2 == 0 {
                from.extend(self.pool.iter().rev().take(3));
            }
            let n = self.any(&from);
            // Only what depends on the loops belongs to them.
            if self.dag.info(n).depth > 0 {
                inside.push(n);
                made.push(n);
            }
        }
        for _ in 0..collects {
            let small: Vec<DagId> = inside.iter().copied().filter(|&x| self.dag.dims(x).len() <= 2).collect();
            let Some(&a) = small.get(self.random.below(small.len().max(1))) else { continue };
            let mut dims = self.dag.dims(a).to_vec();
            let mut places: Vec<(u32, VarId)> = vec![];
            for &v in &vars {
                if self.random.below(2) == 0 {
                    let at = self.random.below(dims.len() + 1);
                    places.iter_mut().for_each(|p| p.0 += u32::from(p.0 as usize >= at));
                    places.push((at as u32, v));
                    dims.insert(at, self.dag.vars[v].trip);
                }
            }
            places.sort();
            let c = self.dag.add(Op::Collect { a, nest, places }, dims);
            self.pool.push(c);
        }
    }
}

/// A random dag with outputs and gradients.
pub fn random_dag(seed: u64) -> (Dag, Vec<LeafInfo>, Vec<OutputInfo>) {
    let mut b = Builder::new(seed);
    let number = b.random.complex();
    let n = b.dag.add(Op::Number(number.into()), vec![]);
    b.pool.push(n);
    for _ in 0..5 {
        let from = b.pool.clone();
        let n = b.any(&from);
        b.pool.push(n);
    }
    let nests = b.random.below(3);
    for _ in 0..nests {
        b.nest();
        let from = b.pool.clone();
        let n = b.any(&from);
        b.pool.push(n);
    }
    let middle = b.pool.clone();
    for i in 0..2 {
        let node = middle[middle.len() - 1 - i * 2];
        b.dag.roots.push(Root { name: format!("y{i}"), kind: RootKind::Output, node, source: i as u32 });
    }
    b.dag.in_adjoint = true;
    let dims = b.dag.dims(middle[middle.len() - 1]).to_vec();
    let ct = b.dag.arrays.push(Array {
        name: "ct.y0".into(),
        role: ArrayRole::Cotangent,
        dims: dims.clone(),
        source: 0,
    });
    let ct = b.dag.add(Op::Leaf(ct), dims);
    b.pool.push(ct);
    for i in 0..4u32 {
        let from: Vec<DagId> = b.pool[b.pool.len().saturating_sub(8)..].to_vec();
        let node = b.any(&from);
        b.pool.push(node);
        if i == 1 && b.random.below(2) == 0 {
            b.nest();
        }
        // Any value may play the gradient of a leaf of its shape.
        let node = *b.pool.last().unwrap();
        let source = b.leaves.len() as u32;
        let like = LeafInfo { name: format!("v{i}"), dims: b.dag.dims(node).to_vec(), ..b.leaves[0].clone() };
        b.leaves.push(like);
        b.dag.roots.push(Root { name: format!("grad.v{i}"), kind: RootKind::Grad, node, source });
    }
    let outputs = b.dag.roots.iter().filter(|r| r.kind == RootKind::Output);
    let outputs = outputs
        .map(|r| OutputInfo { name: r.name.clone(), dims: b.dag.dims(r.node).to_vec(), axes: vec![] })
        .collect();
    (b.dag, b.leaves, outputs)
}

/// Random values for the arrays of a dag, by array and by class.
pub fn arrays(
    dag: &Dag,
    size: u64,
    seed: u64,
) -> (BTreeMap<ArrayId, Vec<Complex64>>, tn_plan::interpret::Arrays) {
    let mut random = Random(seed);
    let (mut by_id, mut by_class) = (BTreeMap::new(), BTreeMap::new());
    for (id, a) in dag.arrays.enumerate() {
        let n: u64 = a.dims.iter().map(|d| d.eval(|_| size)).product();
        let values: Vec<Complex64> = (0..n).map(|_| random.complex()).collect();
        let class = match a.role {
            ArrayRole::Cotangent => Class::Cotangent(a.source),
            ArrayRole::Tangent => Class::Tangent(a.source),
            _ => Class::Leaf(a.source),
        };
        by_id.insert(id, values.clone());
        by_class.insert(class, values);
    }
    (by_id, by_class)
}

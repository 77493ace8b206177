//! The simplest evaluation of a dag, node by node with full arrays: a witness for tests, independent of plans.

use crate::dag::{ArrayId, Dag, DagId, NestId, Op, VarId};
use crate::size::SymbolId;
use num_complex::Complex64;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A dense row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Axis lengths.
    pub shape: Vec<u64>,
    /// Entries.
    pub data: Vec<Complex64>,
}

impl Dense {
    /// All zero.
    pub fn zeros(shape: Vec<u64>) -> Dense {
        let n = shape.iter().product::<u64>() as usize;
        Dense { shape, data: vec![Complex64::new(0.0, 0.0); n] }
    }
    /// The entry at a multi-index.
    pub fn get(&self, index: &[u64]) -> Complex64 {
        self.data[flat(index, &self.shape)]
    }
}

/// Row-major position.
pub fn flat(index: &[u64], shape: &[u64]) -> usize {
    index.iter().zip(shape).fold(0u64, |f, (&i, &n)| f * n + i) as usize
}

/// Calls `f` with every multi-index of a shape, last fastest.
pub fn for_each_index(shape: &[u64], mut f: impl FnMut(&[u64])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0u64; shape.len()];
    loop {
        f(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&k| index[k] + 1 < shape[k]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// The values of `wanted`. `arrays` gives every array that they need, `sizes` the run-time sizes (absent: the hint).
pub fn evaluate(
    dag: &Dag,
    arrays: &HashMap<ArrayId, Dense>,
    sizes: &HashMap<SymbolId, u64>,
    wanted: &[DagId],
) -> Vec<Dense> {
    let mut evaluator = Evaluator { dag, arrays, sizes, values: HashMap::new() };
    let needed = needed(dag, wanted);
    for id in dag.ids() {
        if needed[id.0 as usize] && dag.info(id).depth == 0 {
            let value = evaluator.value(id, &BTreeMap::new(), &HashMap::new());
            evaluator.values.insert(id, value);
        }
    }
    wanted.iter().map(|id| evaluator.values[id].clone()).collect()
}

fn needed(dag: &Dag, wanted: &[DagId]) -> Vec<bool> {
    let mut needed = vec![false; dag.len()];
    for id in wanted {
        needed[id.0 as usize] = true;
    }
    for id in dag.ids().rev() {
        if needed[id.0 as usize] {
            for a in dag.op(id).args() {
                needed[a.0 as usize] = true;
            }
        }
    }
    needed
}

struct Evaluator<'a> {
    dag: &'a Dag,
    arrays: &'a HashMap<ArrayId, Dense>,
    sizes: &'a HashMap<SymbolId, u64>,
    values: HashMap<DagId, Dense>,
}

impl Evaluator<'_> {
    fn shape(&self, id: DagId) -> Vec<u64> {
        let size = |s: SymbolId| self.sizes.get(&s).copied().unwrap_or(self.dag.symbols[s].value() as u64);
        self.dag.dims(id).iter().map(|d| d.eval(size)).collect()
    }

    /// The nodes of `top`'s nest that it needs, in order.
    fn body(&self, top: DagId) -> BTreeSet<DagId> {
        let mut body = BTreeSet::new();
        let mut todo = vec![top];
        while let Some(id) = todo.pop() {
            if self.dag.info(id).depth > 0 && body.insert(id) {
                todo.extend(self.dag.op(id).args());
            }
        }
        body
    }

    /// `top`, whose nest holds the nodes `body`, at the given values of the loop variables.
    fn inside(&self, top: DagId, body: &BTreeSet<DagId>, vars: &BTreeMap<VarId, u64>) -> Dense {
        let mut local: HashMap<DagId, Dense> = HashMap::new();
        for &id in body {
            let v = self.value(id, vars, &local);
            local.insert(id, v);
        }
        local.remove(&top).unwrap_or_else(|| self.values[&top].clone())
    }

    fn collect(&self, a: DagId, nest: NestId, places: &[(u32, VarId)], shape: Vec<u64>) -> Dense {
        let vars = &self.dag.nests[nest].vars;
        let size = |s: SymbolId| self.sizes.get(&s).copied().unwrap_or(self.dag.symbols[s].value() as u64);
        let trips: Vec<u64> = vars.iter().map(|&v| self.dag.vars[v].trip.eval(size)).collect();
        let mut out = Dense::zeros(shape);
        let body = self.body(a);
        for_each_index(&trips, |at| {
            let at: BTreeMap<VarId, u64> = vars.iter().copied().zip(at.iter().copied()).collect();
            let part = self.inside(a, &body, &at);
            for_each_index(&part.shape.clone(), |index| {
                let mut full = index.to_vec();
                for &(axis, var) in places {
                    full.insert(axis as usize, at[&var]);
                }
                let k = flat(&full, &out.shape);
                out.data[k] += part.get(index);
            });
        });
        out
    }

    fn value(&self, id: DagId, vars: &BTreeMap<VarId, u64>, local: &HashMap<DagId, Dense>) -> Dense {
        let get = |a: &DagId| local.get(a).unwrap_or_else(|| &self.values[a]);
        let shape = self.shape(id);
        let mut out = Dense::zeros(shape.clone());
        match self.dag.op(id) {
            Op::Leaf(a) => return self.arrays[a].clone(),
            Op::Number(c) => out.data[0] = c.value(),
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
                let (a, b) = (get(a), get(b));
                let all = sizes_of(&[(a_labels, &a.shape), (b_labels, &b.shape)]);
                for_each_index(&all, |at| {
                    let pick = |labels: &[u32]| labels.iter().map(|&l| at[l as usize]).collect::<Vec<_>>();
                    let (mut x, mut y) = (a.get(&pick(a_labels)), b.get(&pick(b_labels)));
                    if *conj_a {
                        x = x.conj();
                    }
                    if *conj_b {
                        y = y.conj();
                    }
                    let k = flat(&pick(out_labels), &shape);
                    out.data[k] += x * y;
                });
            }
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                let a = get(a);
                let all = sizes_of(&[(a_labels, &a.shape), (out_labels, &shape)]);
                for_each_index(&all, |at| {
                    let pick = |labels: &[u32]| labels.iter().map(|&l| at[l as usize]).collect::<Vec<_>>();
                    let x = a.get(&pick(a_labels));
                    let k = flat(&pick(out_labels), &shape);
                    out.data[k] += if *conj { x.conj() } else { x };
                });
            }
            Op::Map { f, args } => {
                let f = &self.dag.fns[f.0 as usize];
                for k in 0..out.data.len() {
                    let at = |a: &DagId| {
                        let v = get(a);
                        if v.shape.is_empty() { v.data[0] } else { v.data[k] }
                    };
                    out.data[k] = f.eval(&args.iter().map(at).collect::<Vec<_>>());
                }
            }
            Op::Add { terms } => {
                for (c, t) in terms {
                    out.data.iter_mut().zip(&get(t).data).for_each(|(o, x)| *o += c.value() * x);
                }
            }
            Op::Reshape { a } => out.data = get(a).data.clone(),
            Op::Slice { a, axis, start } => {
                let a = get(a);
                for_each_index(&shape, |at| {
                    let mut from = at.to_vec();
                    from[*axis as usize] += start;
                    out.data[flat(at, &shape)] = a.get(&from);
                });
            }
            Op::Pad { a, axis, before } => {
                let a = get(a);
                for_each_index(&a.shape, |at| {
                    let mut to = at.to_vec();
                    to[*axis as usize] += before;
                    out.data[flat(&to, &shape)] = a.get(at);
                });
            }
            Op::Concat { axis, parts } => {
                let mut start = 0;
                for p in parts {
                    let p = get(p);
                    for_each_index(&p.shape, |at| {
                        let mut to = at.to_vec();
                        to[*axis as usize] += start;
                        out.data[flat(&to, &shape)] = p.get(at);
                    });
                    start += p.shape[*axis as usize];
                }
            }
            Op::At { a, picks, .. } => {
                let a = get(a);
                for_each_index(&shape, |at| {
                    let mut from = at.to_vec();
                    for &(axis, var) in picks {
                        from.insert(axis as usize, vars[&var]);
                    }
                    out.data[flat(at, &shape)] = a.get(&from);
                });
            }
            Op::Collect { a, nest, places } => return self.collect(*a, *nest, places, shape),
            Op::MaxAbs { a } => {
                let m = get(a).data.iter().fold(0.0f64, |m, x| m.max(x.norm()));
                out.data[0] = Complex64::new(if m > 0.0 && m.is_finite() { m } else { 1.0 }, 0.0);
            }
        }
        out
    }
}

/// The length of each label 0, 1, ….
fn sizes_of(parts: &[(&Vec<u32>, &Vec<u64>)]) -> Vec<u64> {
    let mut sizes = vec![];
    for (labels, shape) in parts {
        for (&l, &n) in labels.iter().zip(shape.iter()) {
            if sizes.len() <= l as usize {
                sizes.resize(l as usize + 1, 1);
            }
            sizes[l as usize] = n;
        }
    }
    sizes
}

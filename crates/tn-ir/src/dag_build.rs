//! Builders of dag nodes: shapes are computed here, and operands are brought to the normal form that [`crate::dag`] states.

use crate::dag::{Coef, Dag, DagId, FnId, NestId, Op, VarId};
use crate::scalar::{ScalarBuilder, ScalarFn, ScalarOp};
use crate::size::{Dim, Poly, numel};
use crate::slip::slip;
use num_complex::Complex64;
use std::collections::{BTreeMap, BTreeSet};

/// An operand of [`Dag::einsum2`]: a node, a label for each of its axes, and whether it is conjugated.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The tensor.
    pub node: DagId,
    /// One label an axis; repeats read the diagonal.
    pub labels: Vec<u32>,
    /// Complex conjugate.
    pub conj: bool,
}

impl Labelled {
    /// Without conjugation.
    pub fn new(node: DagId, labels: Vec<u32>) -> Labelled {
        Labelled { node, labels, conj: false }
    }
}

/// A value for each label: an array where labels are small numbers, as they mostly are.
enum Table<T> {
    Array(Vec<T>),
    Map(BTreeMap<u32, T>, T),
}

impl<T: Copy> Table<T> {
    /// `value` for all labels of these lists.
    fn over(lists: &[&[u32]], value: T) -> Table<T> {
        let labels = || lists.iter().copied().flatten();
        let end = labels().max().map_or(0, |&l| l as usize + 1);
        match end <= 64 + 4 * labels().count() {
            true => Table::Array(vec![value; end]),
            false => Table::Map(BTreeMap::new(), value),
        }
    }
    fn at(&mut self, label: u32) -> &mut T {
        match self {
            Table::Array(all) => &mut all[label as usize],
            Table::Map(all, value) => all.entry(label).or_insert(*value),
        }
    }
}

impl Dag {
    /// An order-0 constant.
    pub fn number(&mut self, value: impl Into<Coef>) -> DagId {
        self.add(Op::Number(value.into()), vec![])
    }

    /// The given array as a node.
    pub fn leaf(&mut self, array: crate::dag::ArrayId) -> DagId {
        let dims = self.arrays[array].dims.clone();
        self.add(Op::Leaf(array), dims)
    }

    /// `out[out_labels] = Σ a[a_labels] · b[b_labels]`. Labels are any numbers, small ones where there are many; every output label occurs in an operand
    /// and only once in `out_labels`. Diagonals and axes that one operand sums alone are taken before, by [`Op::Einsum1`].
    pub fn einsum2(&mut self, a: Labelled, b: Labelled, out_labels: &[u32]) -> DagId {
        let a = self.reduced(a, &[&b.labels, out_labels]);
        let b = self.reduced(b, &[&a.labels, out_labels]);
        // canonical labels: first occurrence in a, then in b
        let mut names = Table::over(&[&a.labels, &b.labels, out_labels], u32::MAX);
        let mut dims: Vec<Dim> = Vec::with_capacity(a.labels.len() + b.labels.len());
        for operand in [&a, &b] {
            for (&l, &size) in operand.labels.iter().zip(self.dims(operand.node)) {
                let name = names.at(l);
                if *name == u32::MAX {
                    *name = dims.len() as u32;
                    dims.push(size);
                }
            }
        }
        let mut rename = |labels: &[u32]| labels.iter().map(|&l| *names.at(l)).collect::<Vec<u32>>();
        let (a_labels, mut b_labels, mut out_labels) =
            (rename(&a.labels), rename(&b.labels), rename(out_labels));
        if slip("it does not matter where axes meet") {
            b_labels.sort_unstable();
        }
        if slip("the order of a result's axes does not matter") {
            out_labels.sort_unstable();
        }
        let out_dims = out_labels.iter().map(|&l| dims[l as usize]).collect();
        let complex = self.dtype.is_complex();
        let op = Op::Einsum2 {
            a: a.node,
            b: b.node,
            a_labels,
            b_labels,
            out_labels,
            conj_a: a.conj && complex && !slip("conjugates are equal"),
            conj_b: b.conj && complex,
        };
        self.add(op, out_dims)
    }

    /// Takes diagonals, and sums axes that occur neither in the other operand nor in the output: `others`.
    fn reduced(&mut self, operand: Labelled, others: &[&[u32]]) -> Labelled {
        let mut wanted = Table::over(&[&operand.labels, others[0], others[1]], false);
        for &l in others.iter().copied().flatten() {
            *wanted.at(l) = true;
        }
        // a label is kept where it occurs first
        let mut kept = operand.labels.clone();
        kept.retain(|&l| std::mem::take(wanted.at(l)));
        if kept.len() == operand.labels.len() {
            return operand;
        }
        let node = self.einsum1(operand.node, &operand.labels, &kept, operand.conj, |_| Dim::Const(1));
        Labelled { node, labels: kept, conj: false }
    }

    /// `out[out_labels]` from `a[a_labels]` as [`Op::Einsum1`] says; `size_of` gives the length of output labels that `a` does not carry.
    pub fn einsum1(
        &mut self,
        a: DagId,
        a_labels: &[u32],
        out_labels: &[u32],
        conj: bool,
        mut size_of: impl FnMut(u32) -> Dim,
    ) -> DagId {
        let conj = conj && self.dtype.is_complex();
        if a_labels == out_labels && !conj && a_labels.iter().collect::<BTreeSet<_>>().len() == a_labels.len()
        {
            return a;
        }
        let mut names: BTreeMap<u32, u32> = BTreeMap::new();
        for &l in a_labels.iter().chain(out_labels) {
            let next = names.len() as u32;
            names.entry(l).or_insert(next);
        }
        let from: Vec<Dim> = self.dims(a).to_vec();
        let dims = out_labels
            .iter()
            .map(|l| a_labels.iter().position(|x| x == l).map_or_else(|| size_of(*l), |axis| from[axis]))
            .collect();
        let rename = |labels: &[u32]| labels.iter().map(|l| names[l]).collect::<Vec<u32>>();
        let op = Op::Einsum1 { a, a_labels: rename(a_labels), out_labels: rename(out_labels), conj };
        self.add(op, dims)
    }

    /// The conjugate (the node itself in a real dag).
    pub fn conj(&mut self, a: DagId) -> DagId {
        let labels: Vec<u32> = (0..self.dims(a).len() as u32).collect();
        self.einsum1(a, &labels, &labels, true, |_| Dim::Const(1))
    }

    /// `a` repeated along new axes: the result has axes `dims`, of which `places[i]` is axis i of `a`.
    pub fn broadcast(&mut self, a: DagId, places: &[u32], dims: &[Dim]) -> DagId {
        let out: Vec<u32> = (0..dims.len() as u32).collect();
        self.einsum1(a, places, &out, false, |l| dims[l as usize])
    }

    /// All zero.
    pub fn zeros(&mut self, dims: &[Dim]) -> DagId {
        let zero = self.number(Coef { re: 0.0, im: 0.0 });
        self.broadcast(zero, &[], dims)
    }

    /// All one.
    pub fn ones(&mut self, dims: &[Dim]) -> DagId {
        let one = self.number(Coef::ONE);
        self.broadcast(one, &[], dims)
    }

    /// Whether a node is zero by construction.
    pub fn is_zero(&self, id: DagId) -> bool {
        match self.op(id) {
            Op::Number(c) => c.value() == Complex64::new(0.0, 0.0),
            Op::Einsum1 { a, .. } => {
                matches!(self.op(*a), Op::Number(c) if c.value() == Complex64::new(0.0, 0.0))
            }
            _ => false,
        }
    }

    /// The function applied entry by entry; the result has the shape of the first argument that has axes.
    pub fn map(&mut self, f: ScalarFn, args: Vec<DagId>) -> DagId {
        if f == ScalarFn::identity() {
            return args[0];
        }
        let dims = args.iter().map(|&a| self.dims(a)).find(|d| !d.is_empty()).unwrap_or(&[]).to_vec();
        let f: FnId = self.add_fn(f);
        self.add(Op::Map { f, args }, dims)
    }

    /// Σ coefficient · term. Equal terms are joined, zero terms dropped; one term with coefficient one is itself.
    pub fn sum(&mut self, terms: &[(Complex64, DagId)]) -> DagId {
        let dims = self.dims(terms[0].1).to_vec();
        let mut order: Vec<DagId> = vec![];
        let mut coefs: BTreeMap<DagId, Complex64> = BTreeMap::new();
        for &(c, t) in terms {
            if self.is_zero(t) {
                continue;
            }
            coefs.entry(t).and_modify(|k| *k += c).or_insert_with(|| {
                order.push(t);
                c
            });
        }
        order.retain(|t| coefs[t] != Complex64::new(0.0, 0.0));
        match order.as_slice() {
            [] => self.zeros(&dims),
            [t] if coefs[t] == Complex64::new(1.0, 0.0) => *t,
            _ => {
                let terms = order.iter().map(|t| (Coef::from(coefs[t]), *t)).collect();
                self.add(Op::Add { terms }, dims)
            }
        }
    }

    /// `scale · a`
    pub fn scale(&mut self, scale: Complex64, a: DagId) -> DagId {
        self.sum(&[(scale, a)])
    }

    /// The same row-major entries under other axes.
    pub fn reshape(&mut self, a: DagId, dims: Vec<Dim>) -> DagId {
        if self.dims(a) == dims {
            return a;
        }
        let root = match self.op(a) {
            Op::Reshape { a: inner } => *inner,
            _ => a,
        };
        if self.dims(root) == dims { root } else { self.add(Op::Reshape { a: root }, dims) }
    }

    /// `len` entries along `axis` from `start`.
    pub fn slice(&mut self, a: DagId, axis: u32, start: u64, len: u64) -> DagId {
        let mut dims = self.dims(a).to_vec();
        if dims[axis as usize] == Dim::Const(len) {
            return a;
        }
        dims[axis as usize] = Dim::Const(len);
        self.add(Op::Slice { a, axis, start }, dims)
    }

    /// Zero but for `a`, which stands from `before` along `axis`; `total` entries in all.
    pub fn pad(&mut self, a: DagId, axis: u32, before: u64, total: u64) -> DagId {
        self.pad_to(a, axis, before, Dim::Const(total))
    }

    /// The same where the total may be known at run time only.
    pub fn pad_to(&mut self, a: DagId, axis: u32, before: u64, total: Dim) -> DagId {
        let mut dims = self.dims(a).to_vec();
        if dims[axis as usize] == total {
            return a;
        }
        dims[axis as usize] = total;
        self.add(Op::Pad { a, axis, before }, dims)
    }

    /// Entry `at` along `axis`, which disappears.
    pub fn select(&mut self, a: DagId, axis: u32, at: u64) -> DagId {
        let one = self.slice(a, axis, at, 1);
        let mut dims = self.dims(one).to_vec();
        dims.remove(axis as usize);
        self.reshape(one, dims)
    }

    /// Parts one after the other along an existing axis.
    pub fn concat(&mut self, axis: u32, parts: Vec<DagId>) -> DagId {
        if let [one] = parts.as_slice() {
            return *one;
        }
        let mut dims = self.dims(parts[0]).to_vec();
        let total = parts.iter().fold(Poly::zero(), |t, &p| &t + &self.dims(p)[axis as usize].poly());
        dims[axis as usize] = Dim::Const(total.as_constant().unwrap_or(0) as u64);
        self.add(Op::Concat { axis, parts }, dims)
    }

    /// One slice of a value from outside a nest.
    pub fn at(&mut self, a: DagId, mut picks: Vec<(u32, VarId)>) -> DagId {
        if picks.is_empty() {
            return a;
        }
        picks.sort();
        let dims = self.dims(a);
        let kept =
            (0..dims.len()).filter(|&i| !picks.iter().any(|p| p.0 as usize == i)).map(|i| dims[i]).collect();
        self.add(Op::At { a, picks, inside: None }, kept)
    }

    /// The same in the innermost loop of `nest`, even if nothing is picked: what is made of it is computed in every round.
    pub fn at_inside(&mut self, a: DagId, mut picks: Vec<(u32, VarId)>, nest: NestId) -> DagId {
        picks.sort();
        let dims = self.dims(a);
        let kept =
            (0..dims.len()).filter(|&i| !picks.iter().any(|p| p.0 as usize == i)).map(|i| dims[i]).collect();
        self.add(Op::At { a, picks, inside: Some(nest) }, kept)
    }

    /// Leaves a nest: sums over the variables not placed; `places` are axes of the result. A value that does not depend on
    /// the nest's variables needs no loop: it is multiplied by the number of rounds and repeated along the places.
    pub fn collect(&mut self, a: DagId, nest: NestId, mut places: Vec<(u32, VarId)>) -> DagId {
        places.sort();
        let mut dims = self.dims(a).to_vec();
        for &(axis, var) in &places {
            dims.insert(axis as usize, self.vars[var].trip);
        }
        if self.info(a).depth > 0 {
            return self.add(Op::Collect { a, nest, places }, dims);
        }
        let summed = self.nests[nest].vars.iter().filter(|v| !places.iter().any(|p| p.1 == **v));
        let rounds = summed.fold(Poly::one(), |n, &v| &n * &self.vars[v].trip.poly());
        let rounds = rounds.as_constant().unwrap_or(1) as f64;
        // one variable at two places: the slices stand on a diagonal
        let mut labels: Vec<u32> = (0..dims.len() as u32).collect();
        for &(axis, var) in &places {
            let first = places.iter().find(|p| p.1 == var).map_or(axis, |p| p.0);
            labels[axis as usize] = first;
        }
        let kept: Vec<u32> = (0..dims.len() as u32).filter(|k| !places.iter().any(|p| p.0 == *k)).collect();
        let wide = self.einsum1(a, &kept, &labels, false, |l| dims[l as usize]);
        self.scale(Complex64::new(rounds, 0.0), wide)
    }

    /// The largest modulus.
    pub fn max_abs(&mut self, a: DagId) -> DagId {
        self.add(Op::MaxAbs { a }, vec![])
    }

    /// Order 0 times anything.
    pub fn times(&mut self, factor: DagId, a: DagId) -> DagId {
        let labels: Vec<u32> = (0..self.dims(a).len() as u32).collect();
        self.einsum2(Labelled::new(factor, vec![]), Labelled::new(a, labels.clone()), &labels)
    }

    /// Number of entries.
    pub fn numel(&self, id: DagId) -> Poly {
        numel(self.dims(id))
    }
}

/// x ↦ 1/x, log|x| and x/|x|: what rescaling needs.
pub fn rescaling_fns() -> [ScalarFn; 3] {
    let unary = |build: &dyn Fn(&mut ScalarBuilder, u32) -> u32| {
        let mut b = ScalarBuilder::new();
        let x = b.push(ScalarOp::Arg(0));
        let r = build(&mut b, x);
        b.finish(1, r)
    };
    let recip = unary(&|b, x| {
        let one = b.real(1.0);
        b.push(ScalarOp::Div(one, x))
    });
    // log|x| = ½ log(x·conj(x)): the same expression for real and complex, and its derivative is right in both
    let log_abs = unary(&|b, x| {
        let c = b.push(ScalarOp::Abs(x));
        b.push(ScalarOp::Log(c))
    });
    let phase = unary(&|b, x| {
        let c = b.push(ScalarOp::Abs(x));
        b.push(ScalarOp::Div(x, c))
    });
    [recip, log_abs, phase]
}

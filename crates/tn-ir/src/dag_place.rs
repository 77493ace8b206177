//! Placements: [`Op::Einsum1`] nodes that put a tensor on diagonals, or repeat it along new axes, and what is computed with them.
//!
//! A product with a placement is the product with what is placed, over the classes of labels that the placement makes equal; where two labels of the result
//! are equal, it is a placement itself. So is a placement, trace or diagonal of a placement. What is computed lies on the support only.

use crate::dag::{Dag, DagId, Op};
use crate::dag_build::Labelled;
use crate::size::Dim;
use num_complex::Complex64;
use std::collections::BTreeMap;

/// What a placement places, and how: `out` from `labels`, as [`Op::Einsum1`] says.
struct Placement {
    a: DagId,
    labels: Vec<u32>,
    out: Vec<u32>,
    conj: bool,
}

/// Labels that are equal, each with the representative of its class and the length of its axis.
#[derive(Default)]
struct Classes {
    parent: BTreeMap<u32, u32>,
    size: BTreeMap<u32, Dim>,
}

impl Classes {
    fn find(&self, mut l: u32) -> u32 {
        while let Some(&up) = self.parent.get(&l) {
            l = up;
        }
        l
    }

    fn join(&mut self, x: u32, y: u32) {
        let (x, y) = (self.find(x), self.find(y));
        if x != y {
            self.parent.insert(x.max(y), x.min(y));
        }
    }

    fn all(&self, labels: &[u32]) -> Vec<u32> {
        labels.iter().map(|&l| self.find(l)).collect()
    }

    fn sizes(&mut self, labels: &[u32], dims: &[Dim]) {
        for (&l, &d) in labels.iter().zip(dims) {
            let class = self.find(l);
            self.size.insert(class, d);
        }
    }
}

impl Dag {
    /// Whether a node puts its argument on a diagonal or repeats it along a new axis.
    pub fn is_placement(&self, n: DagId) -> bool {
        self.placement(n).is_some()
    }

    fn placement(&self, n: DagId) -> Option<Placement> {
        let Op::Einsum1 { a, a_labels, out_labels, conj } = self.op(n) else { return None };
        let twice = (0..out_labels.len()).any(|i| out_labels[..i].contains(&out_labels[i]));
        let places = twice || out_labels.iter().any(|l| !a_labels.contains(l));
        places.then(|| Placement { a: *a, labels: a_labels.clone(), out: out_labels.clone(), conj: *conj })
    }

    /// The product that `product`, an [`Op::Einsum2`], is, where `placed` (equal to its first operand, or to its second if not `first`) is a
    /// placement: computed over what is placed. None where either is something else.
    pub fn product_on_support(&mut self, product: DagId, first: bool, placed: DagId) -> Option<DagId> {
        let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = self.op(product).clone()
        else {
            return None;
        };
        let x = Labelled { node: a, labels: a_labels, conj: conj_a };
        let y = Labelled { node: b, labels: b_labels, conj: conj_b };
        let (operand, other) = if first { (x, y) } else { (y, x) };
        self.on_support(&operand, placed, Some(other), &out_labels)
    }

    /// What `view`, an [`Op::Einsum1`] that reads diagonals or sums axes, is where its argument equals `argument`, a product, a sum or another view: the
    /// product with labels that are equal made one, the sum of such views of the terms, or one view. None for anything else.
    pub fn reduced_on_support(&mut self, view: DagId, argument: DagId) -> Option<DagId> {
        let Op::Einsum1 { a_labels, out_labels, conj, .. } = self.op(view).clone() else { return None };
        let twice = (0..a_labels.len()).any(|i| a_labels[..i].contains(&a_labels[i]));
        let reduces = twice || a_labels.iter().any(|l| !out_labels.contains(l));
        if !reduces || self.is_placement(view) {
            return None;
        }
        match self.op(argument).clone() {
            Op::Einsum2 { a, b, a_labels: x, b_labels: y, out_labels: made, conj_a, conj_b } => {
                let mut classes = Classes::default();
                // the view's own labels are numbered after those of the product
                let past = x.iter().chain(&y).max().map_or(0, |m| m + 1);
                for (&l, &v) in made.iter().zip(&a_labels) {
                    classes.join(l, v + past);
                }
                let out: Vec<u32> = out_labels.iter().map(|&v| classes.find(v + past)).collect();
                let x = Labelled { node: a, labels: classes.all(&x), conj: conj_a != conj };
                let y = Labelled { node: b, labels: classes.all(&y), conj: conj_b != conj };
                Some(self.einsum2(x, y, &out))
            }
            Op::Add { terms } => {
                let conj_if = |c: Complex64| if conj { c.conj() } else { c };
                let views: Vec<(Complex64, DagId)> = terms
                    .iter()
                    .map(|&(c, t)| {
                        let view = self.einsum1(t, &a_labels, &out_labels, conj, |_| Dim::Const(1));
                        (conj_if(c.value()), view)
                    })
                    .collect();
                Some(self.sum(&views))
            }
            Op::Einsum1 { a, a_labels: from, out_labels: made, conj: inner } => {
                let mut classes = Classes::default();
                let past = from.iter().chain(&made).max().map_or(0, |m| m + 1);
                for (&l, &v) in made.iter().zip(&a_labels) {
                    classes.join(l, v + past);
                }
                let out: Vec<u32> = out_labels.iter().map(|&v| classes.find(v + past)).collect();
                let placed = self.is_placement(argument);
                (!placed)
                    .then(|| self.einsum1(a, &classes.all(&from), &out, inner != conj, |_| Dim::Const(1)))
            }
            _ => None,
        }
    }

    /// The same of an [`Op::Einsum1`] of a placement.
    pub fn view_on_support(&mut self, view: DagId, placed: DagId) -> Option<DagId> {
        let Op::Einsum1 { a, a_labels, out_labels, conj } = self.op(view).clone() else { return None };
        let dims = self.dims(view).to_vec();
        let operand = Labelled { node: a, labels: a_labels, conj };
        let made = self.on_support_sized(&operand, placed, None, &out_labels, &dims)?;
        (made != view).then_some(made)
    }

    fn on_support(
        &mut self,
        operand: &Labelled,
        placed: DagId,
        other: Option<Labelled>,
        out: &[u32],
    ) -> Option<DagId> {
        self.on_support_sized(operand, placed, other, out, &[])
    }

    /// `dims` are the lengths of the output's axes where operands may not carry them.
    fn on_support_sized(
        &mut self,
        operand: &Labelled,
        placed: DagId,
        other: Option<Labelled>,
        out: &[u32],
        dims: &[Dim],
    ) -> Option<DagId> {
        let inner = self.placement(placed)?;
        let mut classes = Classes::default();
        // the placement's own labels are numbered after those of the product
        let other_labels = other.as_ref().map_or(&[][..], |o| o.labels.as_slice());
        let past = operand.labels.iter().chain(other_labels).chain(out).max().map_or(0, |m| m + 1);
        let own = |labels: &[u32]| labels.iter().map(|l| l + past).collect::<Vec<u32>>();
        let (from, to) = (own(&inner.labels), own(&inner.out));
        for (&l, &m) in operand.labels.iter().zip(&to) {
            classes.join(l, m);
        }
        classes.sizes(out, dims);
        classes.sizes(&operand.labels, self.dims(placed));
        classes.sizes(&from, self.dims(inner.a));
        if let Some(o) = &other {
            classes.sizes(&o.labels, self.dims(o.node));
        }
        let x = Labelled { node: inner.a, labels: classes.all(&from), conj: inner.conj != operand.conj };
        let y = other.map(|o| Labelled { labels: classes.all(&o.labels), ..o });
        let out = classes.all(out);
        let carried = |l: &u32| x.labels.contains(l) || y.as_ref().is_some_and(|y| y.labels.contains(l));
        let mut core: Vec<u32> = vec![];
        for l in out.iter().filter(|l| carried(l)) {
            if !core.contains(l) {
                core.push(*l);
            }
        }
        // repeated entries that are summed count as often as they are repeated: a sum of ones, as the length of an axis is no number that a check could
        // tell from another
        let mut summed: Vec<u32> = classes.all(&operand.labels);
        summed.retain(|l| !carried(l) && !out.contains(l));
        summed.sort_unstable();
        summed.dedup();
        let lengths: Vec<Dim> = summed.iter().map(|l| classes.size[l]).collect();
        let mut value = self.contracted(x, y, &core);
        if !lengths.is_empty() {
            let ones = self.ones(&lengths);
            let times = self.einsum1(ones, &summed, &[], false, |_| Dim::Const(1));
            value = self.times(times, value);
        }
        Some(self.einsum1(value, &core, &out, false, |l| classes.size[&l]))
    }

    /// One or two operands contracted to `out`; a number is a coefficient.
    fn contracted(&mut self, x: Labelled, y: Option<Labelled>, out: &[u32]) -> DagId {
        let one =
            |dag: &mut Dag, x: &Labelled| dag.einsum1(x.node, &x.labels, out, x.conj, |_| Dim::Const(1));
        match (self.op(x.node), y) {
            (_, None) => one(self, &x),
            (&Op::Number(c), Some(y)) => {
                let c = if x.conj { c.value().conj() } else { c.value() };
                let value = one(self, &y);
                self.scale(c, value)
            }
            (_, Some(y)) => self.einsum2(x, y, out),
        }
    }

    /// A sum in which terms that are placed in the same way are added before they are placed. `terms` are nodes equal to the terms of `sum`. None if
    /// no two are.
    pub fn sum_on_support(&mut self, sum: DagId, terms: &[DagId]) -> Option<DagId> {
        let Op::Add { terms: old } = self.op(sum).clone() else { return None };
        let dims = self.dims(sum).to_vec();
        let mut groups: Vec<(Placement, Vec<(Complex64, DagId)>)> = vec![];
        let mut all: Vec<(Complex64, DagId)> = vec![];
        for (&(c, _), &t) in old.iter().zip(terms) {
            let Some(p) = self.placement(t).filter(|p| !p.conj) else {
                all.push((c.value(), t));
                continue;
            };
            let same = |q: &Placement| {
                (&q.labels, &q.out) == (&p.labels, &p.out) && self.dims(q.a) == self.dims(p.a)
            };
            match groups.iter_mut().find(|g| same(&g.0)) {
                Some(g) => g.1.push((c.value(), p.a)),
                None => {
                    let first = (c.value(), p.a);
                    groups.push((p, vec![first]));
                }
            }
        }
        if groups.iter().all(|g| g.1.len() == 1) {
            return None;
        }
        for (p, parts) in groups {
            let inside = self.sum(&parts);
            let size_of = |l: u32| p.out.iter().position(|&x| x == l).map_or(Dim::Const(1), |k| dims[k]);
            let placed = self.einsum1(inside, &p.labels, &p.out, false, size_of);
            all.push((Complex64::new(1.0, 0.0), placed));
        }
        Some(self.sum(&all))
    }
}

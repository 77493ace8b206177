//! Sums of products and products of sums.

use super::Context;
use tn_ir::Complex64;
use tn_ir::dag::{Coef, Dag, DagId, Op};
use tn_ir::dag_build::Labelled;

/// More terms are not multiplied out.
const MAX_TERMS: usize = 8;
/// Members of a class that a rule looks at.
const LOOKED_AT: usize = 4;

type Terms = Vec<(Coef, DagId)>;

fn sums_of(cx: &Context<'_>, n: DagId) -> Vec<Terms> {
    let all = cx.joint.find(n, |op| matches!(op, Op::Add { .. }));
    all.take(LOOKED_AT)
        .filter_map(|m| match cx.joint.dag.op(m) {
            Op::Add { terms } => Some(terms.clone()),
            _ => None,
        })
        .collect()
}

fn conj_if(c: Complex64, conj: bool) -> Complex64 {
    if conj { c.conj() } else { c }
}

/// (a A + b B)·C = a A·C + b B·C, on either side.
pub fn distribute(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = cx.joint.dag.op(n).clone()
    else {
        return vec![];
    };
    let mut made = vec![];
    for left in [true, false] {
        let (sum, conj) = if left { (a, conj_a) } else { (b, conj_b) };
        for terms in sums_of(cx, sum) {
            if terms.len() > MAX_TERMS || cx.joint.dag.dims(sum).is_empty() {
                continue;
            }
            let dag = &mut cx.joint.dag;
            let products: Vec<_> = terms
                .iter()
                .map(|&(c, t)| {
                    let (x, y) = if left { (t, b) } else { (a, t) };
                    let x = Labelled { node: x, labels: a_labels.clone(), conj: conj_a };
                    let y = Labelled { node: y, labels: b_labels.clone(), conj: conj_b };
                    (conj_if(c.value(), conj), dag.einsum2(x, y, &out_labels))
                })
                .collect();
            made.push(dag.sum(&products));
        }
    }
    made
}

/// How a product contains one of its operands.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    a_labels: Vec<u32>,
    b_labels: Vec<u32>,
    out_labels: Vec<u32>,
    conj_a: bool,
    conj_b: bool,
}

/// A product seen from one operand: the other one, and labels numbered from that other.
fn products_of(cx: &Context<'_>, n: DagId) -> Vec<(DagId, DagId, Shape)> {
    let mut all = vec![];
    for m in cx.joint.find(n, |op| matches!(op, Op::Einsum2 { .. })).take(LOOKED_AT) {
        let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = cx.joint.dag.op(m) else {
            continue;
        };
        let forward = Shape {
            a_labels: a_labels.clone(),
            b_labels: b_labels.clone(),
            out_labels: out_labels.clone(),
            conj_a: *conj_a,
            conj_b: *conj_b,
        };
        let mut names: Vec<u32> = vec![];
        for &l in b_labels.iter().chain(a_labels) {
            if !names.contains(&l) {
                names.push(l);
            }
        }
        let rename = |labels: &[u32]| -> Vec<u32> {
            labels.iter().filter_map(|l| names.iter().position(|x| x == l).map(|p| p as u32)).collect()
        };
        let swapped = Shape {
            a_labels: rename(b_labels),
            b_labels: rename(a_labels),
            out_labels: rename(out_labels),
            conj_a: *conj_b,
            conj_b: *conj_a,
        };
        all.push((*a, *b, forward));
        all.push((*b, *a, swapped));
    }
    all
}

/// a A·C + b B·C = (a A + b B)·C.
pub fn factor(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    if terms.len() < 2 || terms.len() > MAX_TERMS {
        return vec![];
    }
    let views: Vec<_> = terms.iter().map(|t| products_of(cx, t.1)).collect();
    let mut made = vec![];
    for (i, view) in views.iter().enumerate() {
        for (rest, shared, shape) in view {
            let class = cx.joint.known_class(*shared);
            let mut inside = vec![(terms[i].0, *rest)];
            let mut outside: Vec<usize> = (0..i).collect();
            for (j, other) in views.iter().enumerate().skip(i + 1) {
                let same = other.iter().find(|(r, s, h)| {
                    h == shape
                        && cx.joint.known_class(*s) == class
                        && cx.joint.dag.dims(*r) == cx.joint.dag.dims(*rest)
                });
                match same {
                    Some((r, ..)) => inside.push((terms[j].0, *r)),
                    None => outside.push(j),
                }
            }
            if inside.len() < 2 {
                continue;
            }
            let dag = &mut cx.joint.dag;
            let inner: Vec<_> = inside.iter().map(|&(c, r)| (conj_if(c.value(), shape.conj_a), r)).collect();
            let sum = dag.sum(&inner);
            let x = Labelled { node: sum, labels: shape.a_labels.clone(), conj: shape.conj_a };
            let y = Labelled { node: *shared, labels: shape.b_labels.clone(), conj: shape.conj_b };
            let product = dag.einsum2(x, y, &shape.out_labels);
            let mut all = vec![(Complex64::new(1.0, 0.0), product)];
            all.extend(outside.iter().map(|&k| (terms[k].0.value(), terms[k].1)));
            made.push(dag.sum(&all));
        }
    }
    made
}

/// A sum among the terms of a sum.
pub fn flatten(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    let mut made = vec![];
    for (k, &(c, t)) in terms.iter().enumerate() {
        for inner in sums_of(cx, t) {
            if terms.len() + inner.len() > MAX_TERMS {
                continue;
            }
            let outer = terms.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, &(c, t))| (c.value(), t));
            let inner = inner.iter().map(|&(d, u)| (c.value() * d.value(), u));
            let all: Vec<_> = outer.chain(inner).collect();
            made.push(cx.joint.dag.sum(&all));
        }
    }
    made
}

fn count(dag: &Dag, n: DagId) -> f64 {
    crate::cost::elements(dag, n)
}

/// c (A·B) = (c A)·B.
pub fn scale(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    let [(c, t)] = terms.as_slice() else { return vec![] };
    let mut made = vec![];
    let products: Vec<DagId> =
        cx.joint.find(*t, |op| matches!(op, Op::Einsum2 { .. })).take(LOOKED_AT).collect();
    for m in products {
        let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = cx.joint.dag.op(m).clone()
        else {
            continue;
        };
        let dag = &mut cx.joint.dag;
        let left = count(dag, a) <= count(dag, b);
        if count(dag, if left { a } else { b }) >= count(dag, n) {
            continue;
        }
        let (a, b) = match left {
            true => (dag.scale(conj_if(c.value(), conj_a), a), b),
            false => (a, dag.scale(conj_if(c.value(), conj_b), b)),
        };
        let x = Labelled { node: a, labels: a_labels, conj: conj_a };
        let y = Labelled { node: b, labels: b_labels, conj: conj_b };
        made.push(dag.einsum2(x, y, &out_labels));
    }
    made
}

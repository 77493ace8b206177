//! Rules with one slip each: a condition that is not asked for, or a right side that is wrong.

use super::Apply;
use tn_ir::Complex64;
use tn_ir::dag::{Coef, DagId, Op};
use tn_ir::dag_build::Labelled;
use tn_ir::scalar::{ScalarBuilder, ScalarOp};
use tn_ir::size::Dim;
use tn_opt::rules::Context;
use tn_opt::scalar::{ScalarRule, simplified_by};

/// The mutants of a rule, each with what is wrong with it.
pub fn of(rule: &str) -> Vec<(&'static str, Apply)> {
    match rule {
        "window" => vec![
            ("an operand is not conjugated again where its product is", |cx, n| {
                reordered(cx, n, false, true)
            }),
            ("an index is summed before the last operand that carries it", |cx, n| {
                reordered(cx, n, true, false)
            }),
        ],
        "distribute" => vec![
            ("coefficients of a conjugated sum stay as they are", |cx, n| distributed(cx, n, |c, _, _| c)),
            ("only the first coefficient counts", |cx, n| {
                distributed(cx, n, |c, conj, k| if k > 0 { Complex64::ONE } else { conj_if(c, conj) })
            }),
        ],
        "factor" => vec![
            ("the operand may be contracted in another way", |cx, n| factored(cx, n, false, true)),
            ("coefficients go into a conjugated sum as they are", |cx, n| factored(cx, n, true, false)),
        ],
        "flatten" => vec![
            ("the outer coefficient is lost", |cx, n| flattened(cx, n, |_, inner| inner)),
            ("the inner coefficient is lost", |cx, n| flattened(cx, n, |outer, _| outer)),
        ],
        "scale" => vec![
            ("both operands are scaled", |cx, n| scaled(cx, n, [true, true], true)),
            ("the factor of a conjugated operand stays as it is", |cx, n| {
                scaled(cx, n, [true, false], false)
            }),
        ],
        "compose" => vec![
            ("the inner map takes the place of the other argument", |cx, n| composed(cx, n, true)),
            ("the inner map is left out", |cx, n| composed(cx, n, false)),
        ],
        "simplify" => vec![
            ("a common factor of a sum leaves a difference", |cx, n| simplified(cx, n, "(* ?a (- ?b ?c))")),
            ("an operand is lost", |cx, n| simplified(cx, n, "(* ?a ?b)")),
        ],
        "support" => vec![
            ("axes on one diagonal are taken for different ones", |cx, n| taken_apart(cx, n)),
            ("a sum of two placements asks for equal shapes only", |cx, n| added(cx, n)),
            ("a diagonal of a product is read of one factor", |cx, n| read_of_one(cx, n)),
            ("coefficients of a sum whose diagonal is conjugated stay as they are", |cx, n| {
                read_of_terms(cx, n)
            }),
        ],
        _ => vec![],
    }
}

fn conj_if(c: Complex64, conj: bool) -> Complex64 {
    if conj { c.conj() } else { c }
}

/// An [`Op::Einsum2`]: its operands and the labels of its result.
fn product_of(cx: &Context<'_>, n: DagId) -> Option<(Labelled, Labelled, Vec<u32>)> {
    let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = cx.joint.dag.op(n).clone()
    else {
        return None;
    };
    let x = Labelled { node: a, labels: a_labels, conj: conj_a };
    let y = Labelled { node: b, labels: b_labels, conj: conj_b };
    Some((x, y, out_labels))
}

/// (P·Q)·B = P·(Q·B)
fn reordered(cx: &mut Context<'_>, n: DagId, conjugated: bool, waits: bool) -> Vec<DagId> {
    let Some((pq, b, out)) = product_of(cx, n) else { return vec![] };
    let Some((p, q, made)) = product_of(cx, pq.node) else { return vec![] };
    let inside = |x: &Labelled| Labelled {
        node: x.node,
        labels: x
            .labels
            .iter()
            .map(|l| made.iter().position(|m| m == l).map_or(l + 10, |k| pq.labels[k]))
            .collect(),
        conj: if conjugated { x.conj != pq.conj } else { x.conj },
    };
    let (p, q) = (inside(&p), inside(&q));
    let mut kept: Vec<u32> = q.labels.iter().chain(&b.labels).copied().collect();
    kept.sort_unstable();
    kept.dedup();
    kept.retain(|l| out.contains(l) || (waits && p.labels.contains(l)));
    let qb = cx.joint.dag.einsum2(q, b, &kept);
    vec![cx.joint.dag.einsum2(p, Labelled::new(qb, kept), &out)]
}

fn distributed(
    cx: &mut Context<'_>,
    n: DagId,
    coefficient: impl Fn(Complex64, bool, usize) -> Complex64,
) -> Vec<DagId> {
    let Some((sum, c, out)) = product_of(cx, n) else { return vec![] };
    let Op::Add { terms } = cx.joint.dag.op(sum.node).clone() else { return vec![] };
    let dag = &mut cx.joint.dag;
    let one = |(k, (p, t)): (usize, &(Coef, DagId))| {
        let product = dag.einsum2(Labelled { node: *t, ..sum.clone() }, c.clone(), &out);
        (coefficient(p.value(), sum.conj, k), product)
    };
    let terms: Vec<_> = terms.iter().enumerate().map(one).collect();
    vec![dag.sum(&terms)]
}

/// p A·C + q B·C = (p A + q B)·C
fn factored(cx: &mut Context<'_>, n: DagId, same_way: bool, conjugated: bool) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    let [(p, x), (q, y), (r, rest)] = terms.as_slice() else { return vec![] };
    let (Some((a, c, out)), Some((b, d, other))) = (product_of(cx, *x), product_of(cx, *y)) else {
        return vec![];
    };
    if c.node != d.node || (same_way && (&a.labels, &c.labels, &out) != (&b.labels, &d.labels, &other)) {
        return vec![];
    }
    let dag = &mut cx.joint.dag;
    let inside = |z: &Coef| if conjugated { conj_if(z.value(), a.conj) } else { z.value() };
    let sum = dag.sum(&[(inside(p), a.node), (inside(q), b.node)]);
    let product = dag.einsum2(Labelled { node: sum, ..a }, c, &out);
    vec![dag.sum(&[(Complex64::ONE, product), (r.value(), *rest)])]
}

fn flattened(
    cx: &mut Context<'_>,
    n: DagId,
    coefficient: impl Fn(Complex64, Complex64) -> Complex64,
) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    let mut all = vec![];
    for (c, t) in terms {
        match cx.joint.dag.op(t).clone() {
            Op::Add { terms } => {
                all.extend(terms.iter().map(|(d, u)| (coefficient(c.value(), d.value()), *u)))
            }
            _ => all.push((c.value(), t)),
        }
    }
    vec![cx.joint.dag.sum(&all)]
}

fn scaled(cx: &mut Context<'_>, n: DagId, which: [bool; 2], conjugated: bool) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    let Some((mut a, mut b, out)) = product_of(cx, terms[0].1) else { return vec![] };
    let c = terms[0].0.value();
    let dag = &mut cx.joint.dag;
    for (x, _) in [&mut a, &mut b].into_iter().zip(which).filter(|w| w.1) {
        x.node = dag.scale(conj_if(c, conjugated && x.conj), x.node);
    }
    vec![dag.einsum2(a, b, &out)]
}

fn composed(cx: &mut Context<'_>, n: DagId, swapped: bool) -> Vec<DagId> {
    let Op::Map { f, args } = cx.joint.dag.op(n).clone() else { return vec![] };
    let at = args.iter().position(|&a| matches!(cx.joint.dag.op(a), Op::Map { .. }));
    let Some((at, Op::Map { f: g, args: inside })) = at.map(|k| (k, cx.joint.dag.op(args[k]).clone())) else {
        return vec![];
    };
    let (f, g) = (cx.joint.dag.fns[f.0 as usize].clone(), cx.joint.dag.fns[g.0 as usize].clone());
    let mut b = ScalarBuilder::new();
    let (x, y) = (b.push(ScalarOp::Arg(0)), b.push(ScalarOp::Arg(1)));
    let inner = if swapped { b.call(&g, &[x]) } else { x };
    let first = (at == 0) != swapped;
    let value = b.call(&f, &if first { [inner, y] } else { [y, inner] });
    vec![cx.joint.dag.map(b.finish(2, value), vec![inside[0], args[1 - at]])]
}

fn simplified(cx: &mut Context<'_>, n: DagId, to: &'static str) -> Vec<DagId> {
    let Op::Map { f, args } = cx.joint.dag.op(n).clone() else { return vec![] };
    let old = cx.joint.dag.fns[f.0 as usize].clone();
    let rule = ScalarRule { name: "mutant", from: "(+ (* ?a ?b) (* ?a ?c))", to, why: "" };
    let new = simplified_by(&old, false, &[rule]);
    new.map(|f| cx.joint.dag.map(f, args)).into_iter().collect()
}

/// The placement below a node: what it places, from which labels, to which, and whether it conjugates.
fn placement_of(cx: &Context<'_>, n: DagId) -> Option<(DagId, Vec<u32>, Vec<u32>, bool)> {
    match cx.joint.dag.op(n).clone() {
        Op::Einsum1 { a, a_labels, out_labels, conj } if cx.joint.dag.is_placement(n) => {
            Some((a, a_labels, out_labels, conj))
        }
        _ => None,
    }
}

fn taken_apart(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Some((x, y, out)) = product_of(cx, n) else { return vec![] };
    let Some((a, from, to, conj)) = placement_of(cx, x.node) else { return vec![] };
    // the first axis of a label only
    let at = |l: &u32| to.iter().position(|t| t == l).map(|k| x.labels[k]);
    let Some(labels) = from.iter().map(at).collect::<Option<Vec<u32>>>() else { return vec![] };
    if !out.iter().all(|l| labels.contains(l) || y.labels.contains(l)) {
        return vec![];
    }
    vec![cx.joint.dag.einsum2(Labelled { node: a, labels, conj: conj != x.conj }, y, &out)]
}

fn added(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Add { terms } = cx.joint.dag.op(n).clone() else { return vec![] };
    let [(p, x), (q, y)] = terms.as_slice() else { return vec![] };
    let (Some((a, from, to, _)), Some((b, ..))) = (placement_of(cx, *x), placement_of(cx, *y)) else {
        return vec![];
    };
    let size = cx.joint.dag.dims(n)[0];
    let sum = cx.joint.dag.sum(&[(p.value(), a), (q.value(), b)]);
    vec![cx.joint.dag.einsum1(sum, &from, &to, false, |_| size)]
}

fn read_of_one(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Einsum1 { a, a_labels, conj, .. } = cx.joint.dag.op(n).clone() else { return vec![] };
    let Some((x, y, out)) = product_of(cx, a) else { return vec![] };
    if a_labels[0] != a_labels[1] || out.len() != 2 {
        return vec![];
    }
    let flip = |z: Labelled| Labelled { conj: z.conj != conj, ..z };
    vec![cx.joint.dag.einsum2(flip(x), flip(y), &out[..1])]
}

fn read_of_terms(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Einsum1 { a, a_labels, out_labels, conj } = cx.joint.dag.op(n).clone() else { return vec![] };
    let Op::Add { terms } = cx.joint.dag.op(a).clone() else { return vec![] };
    let dag = &mut cx.joint.dag;
    let one =
        |(c, t): (Coef, DagId)| (c.value(), dag.einsum1(t, &a_labels, &out_labels, conj, |_| Dim::Const(1)));
    let terms: Vec<_> = terms.into_iter().map(one).collect();
    vec![dag.sum(&terms)]
}

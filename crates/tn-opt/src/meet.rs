//! Candidate programs enter one graph.
//!
//! A candidate computes the same roots in another order of contraction. Its nodes are added to the graph, equal ones once, and its roots are known to
//! equal the program's. Then sub-results meet: the result of a tree of contractions is known by the tensors at the leaves of that tree, by which of their
//! axes are joined, and by which are left open, whatever the order inside. That holds for adjoints too, whose leaves are cotangents and the other factors.

use crate::Clock;
use crate::graph::{Class, Joint};
use crate::slip::slip;
use std::collections::HashMap;
use tn_ir::dag::{Dag, DagId, Op};
use tn_ir::size::Dim;

/// Factors that all forms together may have: beyond, what has more factors is not compared.
const FACTORS: usize = 300_000;
/// Rounds in which colours of axes and tensors tell each other apart.
const COLOURS: usize = 3;

/// A tree of contractions without its order: tensors, the labels of their axes one after the other, and those of the result's axes.
#[derive(Clone, Debug, Default)]
struct Form {
    factors: Vec<Factor>,
    axes: Vec<u32>,
    out: Vec<u32>,
    labels: u32,
}

/// A tensor, and whether it is conjugated.
type Factor = (Class, bool);

/// A form up to the names of labels and the order of factors and of the result's axes.
type Key = (Vec<Factor>, Vec<u32>, Vec<u32>);

/// Adds candidates to a graph and lets sub-results meet; returns how often that was news. A candidate with loops, or with other roots, is left out.
pub fn meet(joint: &mut Joint, candidates: &[Dag], clock: Clock) -> usize {
    let mut news = 0;
    if candidates.is_empty() {
        return 0;
    }
    for candidate in candidates {
        news += enter(joint, candidate);
    }
    joint.rebuild();
    news += sub_results(joint, clock);
    joint.rebuild();
    news
}

/// Adds the nodes of a candidate and equates its roots.
fn enter(joint: &mut Joint, candidate: &Dag) -> usize {
    let dag = &mut joint.dag;
    let same = candidate.roots.len() == dag.roots.len()
        && candidate.roots.iter().zip(&dag.roots).all(|(c, r)| (c.kind, &c.name) == (r.kind, &r.name))
        && candidate.arrays == dag.arrays;
    let same = same || slip("a candidate may be another program");
    if !same || !candidate.nests.is_empty() || !dag.nests.is_empty() {
        return 0;
    }
    let mut at: Vec<DagId> = Vec::with_capacity(candidate.len());
    for n in candidate.ids() {
        let info = candidate.info(n);
        (dag.current_span, dag.in_adjoint) = (info.span, info.adjoint);
        let op = match candidate.op(n).clone().with_args(|a| at[a.0 as usize]) {
            Op::Map { f, args } => {
                let f = dag.add_fn(candidate.fns[f.0 as usize].clone());
                Op::Map { f, args }
            }
            op => op,
        };
        at.push(dag.add(op, candidate.dims(n).to_vec()));
    }
    let pairs: Vec<(DagId, DagId)> =
        dag.roots.iter().zip(&candidate.roots).map(|(r, c)| (r.node, at[c.node.0 as usize])).collect();
    pairs.into_iter().filter(|&(r, c)| joint.equate(r, c)).count()
}

/// Equates contractions of equal forms.
fn sub_results(joint: &mut Joint, clock: Clock) -> usize {
    let mut forms: Vec<Option<Form>> = vec![None; joint.len()];
    let mut left = FACTORS;
    let mut news = 0;
    let mut known: HashMap<Key, (DagId, Vec<u32>)> = HashMap::new();
    for k in 0..forms.len() {
        if clock.is_over() {
            break;
        }
        let n = DagId(k as u32);
        let Some(form) = form(joint, &forms, n, left) else { continue };
        left -= form.factors.len();
        if form.factors.len() > 2 {
            let (key, names) = key(joint, &form);
            let order: Vec<u32> = form.out.iter().map(|&l| names[l as usize]).collect();
            if let Some((first, axes)) = known.get(&key) {
                let order = if slip("axes of a sub-result are taken as they come") { axes } else { &order };
                let view = joint.dag.einsum1(n, order, axes, false, |_| Dim::Const(1));
                news += usize::from(joint.equate(*first, view));
            } else {
                known.insert(key, (n, order));
            }
        }
        forms[k] = Some(form);
    }
    news
}

/// The form of a contraction, or of a view of one; none for anything else, and where it has more factors than are left.
fn form(joint: &Joint, forms: &[Option<Form>], n: DagId, left: usize) -> Option<Form> {
    let below = |a: DagId| forms.get(a.0 as usize).and_then(Option::as_ref);
    let mut whole = Form::default();
    match joint.dag.op(n) {
        Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
            if [a, b].iter().map(|&&x| below(x).map_or(1, |f| f.factors.len())).sum::<usize>() > left {
                return None;
            }
            whole.labels = a_labels.iter().chain(b_labels).max().map_or(0, |m| m + 1);
            whole.out.clone_from(out_labels);
            whole.add(joint, (*a, below(*a)), *conj_a, a_labels);
            whole.add(joint, (*b, below(*b)), *conj_b, b_labels);
        }
        Op::Einsum1 { a, a_labels, out_labels, conj } => {
            let inner = below(*a).filter(|f| f.factors.len() <= left)?;
            let distinct = |l: &[u32]| (0..l.len()).all(|i| !l[..i].contains(&l[i]));
            if !distinct(a_labels) || !distinct(out_labels) || a_labels.len() != out_labels.len() {
                return None;
            }
            whole.labels = a_labels.iter().max().map_or(0, |m| m + 1);
            whole.out.clone_from(out_labels);
            whole.add(joint, (*a, Some(inner)), *conj, a_labels);
        }
        _ => return None,
    }
    Some(whole)
}

impl Form {
    /// Adds an operand with labels of this form for its axes. Labels inside it are new.
    fn add(&mut self, joint: &Joint, (a, inner): (DagId, Option<&Form>), conj: bool, labels: &[u32]) {
        let Some(inner) = inner else {
            self.factors.push((joint.known_class(a), conj));
            self.axes.extend(labels);
            return;
        };
        let mut name = vec![u32::MAX; inner.labels as usize];
        inner.out.iter().zip(labels).for_each(|(&l, &to)| name[l as usize] = to);
        self.factors.extend(inner.factors.iter().map(|(c, j)| (*c, *j != conj)));
        for &l in &inner.axes {
            let to = &mut name[l as usize];
            if *to == u32::MAX {
                *to = self.labels;
                self.labels += 1;
            }
            self.axes.push(*to);
        }
    }
}

/// One step of a hash (the multiplier is that of FxHash).
fn mix(a: u64, b: u64) -> u64 {
    (a.rotate_left(5) ^ b).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// The key of a form, with the number of each of its labels in it. Where factors cannot be told apart by the colours, their order is the form's, so that
/// equal forms may have different keys; different forms never have equal ones.
fn key(joint: &Joint, form: &Form) -> (Key, Vec<u32>) {
    let ranks: Vec<usize> = form.factors.iter().map(|f| joint.rank(f.0)).collect();
    let mut begin = Vec::with_capacity(ranks.len());
    let mut at = 0;
    for r in &ranks {
        begin.push(at);
        at += r;
    }
    let axes = |k: usize| &form.axes[begin[k]..begin[k] + ranks[k]];
    let mut label: Vec<u64> = vec![0; form.labels as usize];
    form.out.iter().for_each(|&l| label[l as usize] = 1);
    let mut colour: Vec<u64> = vec![0; ranks.len()];
    let mut met: Vec<u64> = vec![0; label.len()];
    for _ in 0..COLOURS {
        met.fill(0);
        for (k, (class, conj)) in form.factors.iter().enumerate() {
            let start = mix(usize::from(class.0) as u64, u64::from(*conj));
            colour[k] = axes(k).iter().fold(start, |h, &l| mix(h, label[l as usize]));
            for (axis, &l) in axes(k).iter().enumerate() {
                // a sum, as the order of factors says nothing
                met[l as usize] = met[l as usize].wrapping_add(mix(colour[k], axis as u64));
            }
        }
        label.iter_mut().zip(&met).for_each(|(l, &m)| *l = mix(*l, m));
    }
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by_key(|&k| (form.factors[k], colour[k]));
    let mut names: Vec<u32> = vec![u32::MAX; label.len()];
    let mut next = 0;
    let mut numbered = Vec::with_capacity(form.axes.len());
    for &k in &order {
        for &l in axes(k) {
            let name = &mut names[l as usize];
            if *name == u32::MAX {
                *name = next;
                next += 1;
            }
            numbered.push(*name);
        }
    }
    let mut factors: Vec<Factor> = order.into_iter().map(|k| form.factors[k]).collect();
    if slip("a conjugate is the tensor itself") {
        factors.iter_mut().for_each(|f| f.1 = false);
    }
    if slip("axes may be joined in any way") {
        numbered.clear();
    }
    let mut out: Vec<u32> = form.out.iter().map(|&l| names[l as usize]).collect();
    out.sort_unstable();
    ((factors, numbered, out), names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slip::assert_sound;
    use tn_ir::Complex64;
    use tn_ir::dag::{Array, ArrayId, ArrayRole, Root, RootKind};
    use tn_ir::dag_build::Labelled;
    use tn_ir::dtype::DType;
    use tn_ir::eval::{Dense, evaluate};
    use tn_ir::fuzz::Rng;

    /// A chain of four matrices between two open ends, contracted in the given order of pairs of positions.
    fn chain(order: &[(usize, usize)]) -> Dag {
        let mut dag = Dag::default();
        let mut terms: Vec<Option<Labelled>> = vec![];
        for k in 0..4u32 {
            let dims = vec![Dim::Const(2 + u64::from(k)), Dim::Const(3 + u64::from(k))];
            let a = dag.arrays.push(Array { name: format!("t{k}"), role: ArrayRole::Param, dims, source: k });
            let node = dag.leaf(a);
            terms.push(Some(Labelled::new(node, vec![k, k + 1])));
        }
        for &(i, j) in order {
            let (a, b) = (terms[i].take().unwrap(), terms[j].take().unwrap());
            let mut out = a.labels.clone();
            out.extend(&b.labels);
            let once: Vec<u32> =
                out.iter().copied().filter(|l| out.iter().filter(|x| *x == l).count() == 1).collect();
            let node = dag.einsum2(a, b, &once);
            terms.push(Some(Labelled::new(node, once)));
        }
        let last = terms.pop().unwrap().unwrap();
        let node = dag.einsum1(last.node, &last.labels, &[0, 4], false, |_| Dim::Const(1));
        dag.roots = vec![Root { name: "y".into(), kind: RootKind::Output, node, source: 0 }];
        dag
    }

    #[test]
    fn sub_results_of_candidates_are_one_class() {
        // ((01)2)3, (0(12))3 and 0((12)3) with its operands swapped
        let all = [
            chain(&[(0, 1), (4, 2), (5, 3)]),
            chain(&[(2, 1), (0, 4), (3, 5)]),
            chain(&[(1, 2), (3, 4), (5, 0)]),
        ];
        let mut joint = Joint::new(all[0].clone());
        let known = |joint: &Joint, n: u32| joint.members(joint.known_class(DagId(n))).len();
        let root = all[0].roots[0].node;
        assert_eq!(known(&joint, root.0), 1);
        assert!(meet(&mut joint, &all[1..], Clock::default()) > 0);
        // the product of all four is made in three ways, that of the first three in two
        assert!(joint.find(root, |op| matches!(op, Op::Einsum2 { .. })).count() >= 1);
        let classes = joint.classes().filter(|&c| joint.members(c).len() > 1).count();
        assert!(classes >= 2, "{classes} classes have several members");
    }

    #[test]
    fn another_program_does_not_enter() {
        let mut joint = Joint::new(chain(&[(0, 1), (4, 2), (5, 3)]));
        let mut other = chain(&[(2, 1), (0, 4), (3, 5)]);
        other.roots[0].name = "z".into();
        let nodes = joint.len();
        assert_eq!(meet(&mut joint, &[other], Clock::default()), 0);
        assert_eq!(joint.len(), nodes);
    }

    /// Several products of three matrices each, every one in an order of its own.
    fn products(rng: &mut Rng, size: u64, wirings: &[u64], names: &str) -> Dag {
        let mut dag = Dag::default();
        dag.dtype = DType::C128;
        let leaves: Vec<DagId> = (0..2u32)
            .map(|k| {
                let dims = vec![Dim::Const(size); 2];
                let name = format!("t{k}");
                let id = dag.arrays.push(Array { name, role: ArrayRole::Param, dims, source: k });
                dag.leaf(id)
            })
            .collect();
        for (k, &wiring) in wirings.iter().enumerate() {
            let own = &mut Rng(wiring);
            let turned =
                |own: &mut Rng, x: [u32; 2]| if own.one_in(2) { vec![x[1], x[0]] } else { x.to_vec() };
            let mut terms: Vec<Labelled> = (0..3u32)
                .map(|m| Labelled {
                    node: leaves[usize::from(own.one_in(3))],
                    labels: turned(own, [m, m + 1]),
                    conj: own.one_in(3),
                })
                .collect();
            let ends = turned(own, [0, 3]);
            while terms.len() > 1 {
                let [a, b] = [0, 1].map(|_| terms.swap_remove(rng.below(terms.len())));
                let mut out: Vec<u32> = a.labels.iter().chain(&b.labels).copied().collect();
                let all = out.clone();
                out.retain(|l| all.iter().filter(|x| *x == l).count() == 1);
                if terms.is_empty() {
                    out.clone_from(&ends);
                }
                terms.push(Labelled::new(dag.einsum2(a, b, &out), out));
            }
            let name = format!("{names}{k}");
            dag.roots.push(Root { name, kind: RootKind::Output, node: terms[0].node, source: k as u32 });
        }
        dag
    }

    #[test]
    fn what_meets_is_equal() {
        let slips = [
            "a candidate may be another program",
            "axes of a sub-result are taken as they come",
            "a conjugate is the tensor itself",
            "axes may be joined in any way",
        ];
        assert_sound(&slips, |seed| {
            let mut rng = Rng(seed);
            let size = 2 + rng.below(2) as u64;
            let wirings: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
            let program = products(&mut rng, size, &wirings, "y");
            let mut candidates = vec![products(&mut rng, size, &wirings, "y")];
            if rng.one_in(4) {
                candidates.push(products(&mut rng, size, &[1, 2, 3], "z"));
            }
            let mut joint = Joint::new(program);
            let news = meet(&mut joint, &candidates, Clock::default());
            let one = |rng: &mut Rng| Complex64::new(rng.below(7) as f64 - 3.0, rng.below(5) as f64 - 2.0);
            let arrays: HashMap<ArrayId, Dense> = (0..2)
                .map(|k| {
                    let data = (0..size * size).map(|_| one(&mut rng)).collect();
                    (ArrayId(k), Dense { shape: vec![size; 2], data })
                })
                .collect();
            let agree = joint.classes().all(|c| {
                let values = evaluate(&joint.dag, &arrays, &HashMap::new(), joint.members(c));
                values.iter().all(|v| v == &values[0])
            });
            (news > 0).then_some(agree)
        });
    }
}

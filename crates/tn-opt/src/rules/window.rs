//! Windows: a few contractions around one step, solved again over all subsets of their operands.
//!
//! Results are identified by the operands below them and their open axes, whatever their order, so that the results of different windows, of the
//! forward pass and of its adjoint, meet in one class. A result whose axes stand in another order is a view of the one that is there.

use super::Context;
use crate::cost::{points, size};
use crate::graph::{Class, Joint};
use std::collections::HashMap;
use tn_ir::dag::{DagId, Op};
use tn_ir::dag_build::Labelled;
use tn_ir::size::Dim;

/// A contraction of two classes up to the order of its axes: the operands, their labels numbered by first occurrence, which are kept.
type Key = (Class, Class, bool, bool, Vec<u32>, Vec<u32>, Vec<u32>);

/// Contractions by what they are up to the order of axes, with a node and the labels of its axes.
#[derive(Debug, Default)]
pub struct Pairs {
    known: HashMap<Key, (DagId, Vec<u32>)>,
    /// Nodes below this one are registered.
    seen: usize,
}

/// A key with the caller's label for each of its numbers.
fn key(joint: &mut Joint, a: &Labelled, b: &Labelled, out: &[u32]) -> (Key, Vec<u32>) {
    let (ca, cb) = (joint.class(a.node), joint.class(b.node));
    let numbered = |first: &[u32], second: &[u32]| {
        let mut names: Vec<u32> = vec![];
        for &l in first.iter().chain(second) {
            if !names.contains(&l) {
                names.push(l);
            }
        }
        let place = |l: &u32| names.iter().position(|x| x == l).unwrap_or(0) as u32;
        let first: Vec<u32> = first.iter().map(place).collect();
        let second: Vec<u32> = second.iter().map(place).collect();
        let mut kept: Vec<u32> = out.iter().map(place).collect();
        kept.sort_unstable();
        (first, second, kept, names)
    };
    let straight = || {
        let (x, y, k, names) = numbered(&a.labels, &b.labels);
        ((ca, cb, a.conj, b.conj, x, y, k), names)
    };
    let swapped = || {
        let (x, y, k, names) = numbered(&b.labels, &a.labels);
        ((cb, ca, b.conj, a.conj, x, y, k), names)
    };
    let (s, w) = (straight(), swapped());
    if s.0 <= w.0 { s } else { w }
}

impl Pairs {
    /// Registers all contractions of the graph that were made since the last time.
    pub fn register(&mut self, joint: &mut Joint) {
        for k in self.seen..joint.len() {
            let n = DagId(k as u32);
            let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } =
                joint.dag.op(n).clone()
            else {
                continue;
            };
            let a = Labelled { node: a, labels: a_labels, conj: conj_a };
            let b = Labelled { node: b, labels: b_labels, conj: conj_b };
            let (key, names) = key(joint, &a, &b, &out_labels);
            let order =
                out_labels.iter().map(|l| names.iter().position(|x| x == l).unwrap_or(0) as u32).collect();
            self.known.entry(key).or_insert((n, order));
        }
        self.seen = joint.len();
    }

    /// The contraction of two operands that keeps the labels `out`, in whatever order it has or gets.
    fn pair(&mut self, joint: &mut Joint, a: &Labelled, b: &Labelled, out: &[u32]) -> Labelled {
        let (key, names) = key(joint, a, b, out);
        if let Some((node, order)) = self.known.get(&key) {
            return Labelled::new(*node, order.iter().map(|&l| names[l as usize]).collect());
        }
        let node = joint.dag.einsum2(a.clone(), b.clone(), out);
        let order = out.iter().map(|l| names.iter().position(|x| x == l).unwrap_or(0) as u32).collect();
        self.known.insert(key, (node, order));
        Labelled::new(node, out.to_vec())
    }
}

/// The operands of a window, with the labels that its result keeps and the multiply-adds that it takes now.
struct Window {
    operands: Vec<Labelled>,
    out: Vec<u32>,
    cost: f64,
    labels: u32,
}

/// Permutations and conjugates are looked through: the tensor below an operand.
fn below(joint: &Joint, operand: &Labelled) -> Option<(DagId, Labelled)> {
    for m in joint.members(joint.known_class(operand.node)) {
        match joint.dag.op(*m) {
            Op::Einsum2 { .. } => return Some((*m, operand.clone())),
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                let distinct = (0..a_labels.len()).all(|i| !a_labels[..i].contains(&a_labels[i]));
                if !distinct || a_labels.len() != out_labels.len() {
                    continue;
                }
                let at = |l: &u32| out_labels.iter().position(|x| x == l).map(|p| operand.labels[p]);
                let Some(labels) = a_labels.iter().map(at).collect::<Option<Vec<u32>>>() else { continue };
                let inner = Labelled { node: *a, labels, conj: operand.conj != *conj };
                let contraction = joint.find(*a, |op| matches!(op, Op::Einsum2 { .. })).next();
                if let Some(m) = contraction {
                    return Some((m, inner));
                }
            }
            _ => {}
        }
    }
    None
}

fn steps(joint: &Joint, n: DagId) -> f64 {
    match joint.dag.op(n) {
        Op::Einsum2 { a, b, a_labels, b_labels, .. } => points(&joint.dag, &[(a_labels, *a), (b_labels, *b)]),
        _ => 0.0,
    }
}

/// The window below `n`: the dearest operand is opened until there are enough.
fn window(joint: &Joint, n: DagId, most: usize) -> Option<Window> {
    let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = joint.dag.op(n) else {
        return None;
    };
    let mut w = Window {
        operands: vec![
            Labelled { node: *a, labels: a_labels.clone(), conj: *conj_a },
            Labelled { node: *b, labels: b_labels.clone(), conj: *conj_b },
        ],
        out: out_labels.clone(),
        cost: steps(joint, n),
        labels: a_labels.iter().chain(b_labels).max().map_or(0, |m| m + 1),
    };
    while w.operands.len() < most {
        let open = w.operands.iter().enumerate().filter_map(|(k, o)| {
            let (m, seen) = below(joint, o)?;
            Some((k, m, seen))
        });
        let dearest = open.max_by(|x, y| steps(joint, x.1).total_cmp(&steps(joint, y.1)).then(y.0.cmp(&x.0)));
        let Some((k, m, seen)) = dearest else { break };
        let Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } = joint.dag.op(m) else {
            break;
        };
        let mut name: HashMap<u32, u32> =
            out_labels.iter().copied().zip(seen.labels.iter().copied()).collect();
        for &l in a_labels.iter().chain(b_labels) {
            name.entry(l).or_insert_with(|| {
                w.labels += 1;
                w.labels - 1
            });
        }
        let rename = |labels: &[u32]| labels.iter().map(|l| name[l]).collect::<Vec<u32>>();
        let x = Labelled { node: *a, labels: rename(a_labels), conj: *conj_a != seen.conj };
        let y = Labelled { node: *b, labels: rename(b_labels), conj: *conj_b != seen.conj };
        w.cost += steps(joint, m);
        w.operands.splice(k..=k, [x, y]);
    }
    (w.operands.len() > 2).then_some(w)
}

/// All orders of the window whose steps are no dearer than the window is now.
pub fn apply(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Some(w) = window(cx.joint, n, cx.window) else { return vec![] };
    cx.pairs.register(cx.joint);
    let k = w.operands.len();
    let mut dims: Vec<Dim> = vec![Dim::Const(1); w.labels as usize];
    // which operands carry each label, and one bit more if the result does
    let mut carriers = vec![0u32; w.labels as usize];
    for (i, o) in w.operands.iter().enumerate() {
        for (axis, &l) in o.labels.iter().enumerate() {
            dims[l as usize] = cx.joint.dag.dims(o.node)[axis];
            carriers[l as usize] |= 1 << i;
        }
    }
    for &l in &w.out {
        carriers[l as usize] |= 1 << k;
    }
    let full = (1u32 << k) - 1;
    let length = |cx: &Context<'_>, labels: &[u32]| -> f64 {
        labels.iter().map(|&l| size(&cx.joint.dag, dims[l as usize])).product()
    };
    let mut made: Vec<Option<Labelled>> = vec![None; 1 << k];
    for (i, o) in w.operands.iter().enumerate() {
        made[1 << i] = Some(o.clone());
    }
    let mut results = vec![];
    for set in 3..=full {
        if set.count_ones() < 2 {
            continue;
        }
        let low = set & set.wrapping_neg();
        let mut left = (set - 1) & set;
        while left > 0 {
            let right = set & !left;
            if left & low != 0
                && let (Some(a), Some(b)) = (made[left as usize].clone(), made[right as usize].clone())
            {
                let mut union = a.labels.clone();
                union.extend(b.labels.iter().filter(|l| !a.labels.contains(l)));
                if length(cx, &union) <= w.cost {
                    if set == full {
                        results.push(cx.joint.dag.einsum2(a, b, &w.out));
                    } else {
                        join(cx, &mut made[set as usize], &a, &b, |l| carriers[l as usize] & !set != 0);
                    }
                }
            }
            left = (left - 1) & set;
        }
    }
    results
}

/// One more way to make a result of the window.
fn join(
    cx: &mut Context<'_>,
    made: &mut Option<Labelled>,
    a: &Labelled,
    b: &Labelled,
    kept: impl Fn(u32) -> bool,
) {
    let shared = a.labels.iter().filter(|l| b.labels.contains(l));
    let only_a = a.labels.iter().filter(|l| !b.labels.contains(l));
    let only_b = b.labels.iter().filter(|l| !a.labels.contains(l));
    let out: Vec<u32> = shared.chain(only_a).chain(only_b).copied().filter(|&l| kept(l)).collect();
    let new = cx.pairs.pair(cx.joint, a, b, &out);
    match made {
        None => *made = Some(new),
        Some(known) => {
            let other = cx.joint.dag.einsum1(new.node, &new.labels, &known.labels, false, |_| Dim::Const(1));
            cx.joint.equate(known.node, other);
        }
    }
}

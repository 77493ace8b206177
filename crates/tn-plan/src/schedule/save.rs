//! Which forward values `forward_saving` keeps for `vjp`.

use super::scope::reads;
use super::views::View;
use crate::slip::slip;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use tn_ir::dag::{Dag, DagId, Op, RootKind};
use tn_ir::size::{Dim, numel};

/// What is saved between `forward_saving` and `vjp`. What is not saved is recomputed from leaves and saved values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SavePolicy {
    /// Every forward value that the gradients read, so that nothing outside loops is computed twice.
    #[default]
    SaveAll,
    /// Nothing.
    Recompute,
    /// At most so many bytes at the hints: values are given up by falling bytes per multiply-add of recomputing them.
    Keep(u64),
}

/// The length of an axis at the hints.
pub(crate) fn hint(dag: &Dag, d: Dim) -> u64 {
    d.eval(|s| dag.symbols[s].value().max(0) as u64)
}

/// Elements of a node at the hints.
pub(crate) fn elements(dag: &Dag, n: DagId) -> f64 {
    dag.dims(n).iter().map(|&d| hint(dag, d) as f64).product()
}

/// Multiply-adds (or elements moved) of computing a node once for every round of its loops, at the hints.
pub(crate) fn work(dag: &Dag, n: DagId) -> f64 {
    let product = |labels: &[u32], of: DagId, sizes: &mut BTreeMap<u32, f64>| {
        sizes.extend(labels.iter().copied().zip(dag.dims(of).iter().map(|&d| hint(dag, d) as f64)));
    };
    let mut sizes = BTreeMap::new();
    let once = match dag.op(n) {
        Op::Einsum2 { a, b, a_labels, b_labels, .. } => {
            product(a_labels, *a, &mut sizes);
            product(b_labels, *b, &mut sizes);
            sizes.values().product()
        }
        Op::Einsum1 { a, a_labels, out_labels, .. } => {
            product(a_labels, *a, &mut sizes);
            product(out_labels, n, &mut sizes);
            sizes.values().product()
        }
        Op::Add { terms } => terms.len() as f64 * elements(dag, n),
        Op::MaxAbs { a } | Op::Collect { a, .. } => elements(dag, *a),
        _ => elements(dag, n),
    };
    let (nest, depth) = match dag.op(n) {
        Op::Collect { nest, .. } => (Some(*nest), usize::MAX),
        _ => (dag.info(n).nest, dag.info(n).depth as usize),
    };
    let vars = nest.map_or(&[][..], |x| &dag.nests[x].vars);
    vars.iter().take(depth).fold(once, |w, &v| w * hint(dag, dag.vars[v].trip) as f64)
}

/// Walks from the memory of `roots` to what it is computed from; `stop` nodes are seen but not passed.
fn walk(
    dag: &Dag,
    views: &[View],
    roots: impl Iterator<Item = DagId>,
    stop: impl Fn(DagId) -> bool,
) -> Vec<bool> {
    let mut seen = vec![false; dag.len()];
    let mut stack: Vec<DagId> = roots.map(|r| views[r.0 as usize].base).collect();
    while let Some(m) = stack.pop() {
        if !std::mem::replace(&mut seen[m.0 as usize], true) && !stop(m) {
            stack.extend(reads(dag, views, m));
        }
    }
    seen
}

/// The values to save, in the dag's order; none if the dag has no gradients.
pub(crate) fn saved(dag: &Dag, views: &[View], policy: SavePolicy) -> Vec<DagId> {
    if policy == SavePolicy::Recompute {
        return vec![];
    }
    let roots = |kind| dag.roots.iter().filter(move |r| r.kind == kind).map(|r| r.node);
    let forward = walk(dag, views, roots(RootKind::Output), |_| false);
    // Numbers and what is made of them alone are cheaper to make again.
    let mut varies = vec![false; dag.len()];
    for n in dag.ids() {
        let args = dag.op(n).args();
        varies[n.0 as usize] = matches!(dag.op(n), Op::Leaf(_)) || args.iter().any(|a| varies[a.0 as usize]);
    }
    let mut keep: Vec<bool> = dag
        .ids()
        .map(|n| {
            let i = n.0 as usize;
            let outside = dag.info(n).depth == 0 || slip("a value of one round is that of all rounds");
            forward[i] && varies[i] && outside && !matches!(dag.op(n), Op::Leaf(_))
        })
        .collect();
    let frontier = |keep: &[bool]| -> Vec<DagId> {
        let seen = walk(dag, views, roots(RootKind::Grad), |n| keep[n.0 as usize]);
        dag.ids().filter(|n| seen[n.0 as usize] && keep[n.0 as usize]).collect()
    };
    let all = frontier(&keep);
    let SavePolicy::Keep(limit) = policy else { return all };
    keep = vec![false; dag.len()];
    for n in &all {
        keep[n.0 as usize] = true;
    }
    give_up(dag, views, &all, &mut keep, limit as f64 / dag.dtype.bytes() as f64);
    frontier(&keep)
}

/// A candidate for being given up.
#[derive(PartialEq)]
struct Candidate {
    /// Elements per multiply-add.
    gain: f64,
    node: DagId,
}
impl Eq for Candidate {}
impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.node.cmp(&self.node))
    }
}

/// Clears `keep` of the values that are cheapest to recompute until the rest has at most `limit` elements. A price rises when something
/// below is given up, so the best candidate's price is looked up again before it goes.
fn give_up(dag: &Dag, views: &[View], all: &[DagId], keep: &mut [bool], limit: f64) {
    let price = |n: DagId, keep: &[bool]| -> f64 {
        let seen = walk_small(dag, views, n, keep);
        elements(dag, n) / seen.iter().map(|&m| work(dag, m)).sum::<f64>().max(1.0)
    };
    let mut total: f64 = all.iter().map(|&n| elements(dag, n)).sum();
    let mut heap: BinaryHeap<Candidate> =
        all.iter().map(|&node| Candidate { gain: price(node, keep), node }).collect();
    while total > limit {
        let Some(best) = heap.pop() else { return };
        let now = price(best.node, keep);
        if now < best.gain && heap.peek().is_some_and(|next| next.gain > now) {
            heap.push(Candidate { gain: now, node: best.node });
            continue;
        }
        keep[best.node.0 as usize] = false;
        total -= elements(dag, best.node);
    }
}

/// What has to be computed for `n` from leaves and kept values, `n` first.
fn walk_small(dag: &Dag, views: &[View], n: DagId, keep: &[bool]) -> Vec<DagId> {
    let mut seen = std::collections::BTreeSet::from([n]);
    let mut all = vec![n];
    let mut next = 0;
    while next < all.len() {
        for b in reads(dag, views, all[next]) {
            let free = matches!(dag.op(b), Op::Leaf(_)) || keep[b.0 as usize];
            if !free && seen.insert(b) {
                all.push(b);
            }
        }
        next += 1;
    }
    all
}

/// Offsets of the saved values in their arena, and its length.
pub(crate) fn layout(dag: &Dag, saved: &[DagId]) -> (BTreeMap<DagId, tn_ir::size::Poly>, tn_ir::size::Poly) {
    let mut at = tn_ir::size::Poly::zero();
    let mut offsets = BTreeMap::new();
    for &n in saved {
        let place = if slip("saved values have one place") { tn_ir::size::Poly::zero() } else { at.clone() };
        offsets.insert(n, place);
        at = &at + &numel(dag.dims(n));
    }
    (offsets, at)
}

//! Constants are computed before run time.
//!
//! What is made of constants alone becomes a constant, if it is small and cheap to make: its value is then written into the plan. Work inside slice
//! loops stays there.

use crate::cost::{elements, points};
use std::collections::{BTreeMap, HashMap};
use tn_ir::Complex64;
use tn_ir::dag::{Array, ArrayId, ArrayRole, Dag, DagId, Op};
use tn_ir::eval::{Dense, evaluate};
use tn_ir::size::Dim;

/// Entries that a folded value may have.
const MAX_ENTRIES: f64 = 4096.0;
/// Multiply-adds that folding may do in all.
const MAX_WORK: f64 = 2e6;

/// For each node whether it is made of constants alone, outside loops.
pub fn constants(dag: &Dag) -> Vec<bool> {
    let mut constant = vec![false; dag.len()];
    for n in dag.ids() {
        constant[n.0 as usize] = dag.info(n).depth == 0
            && dag.dims(n).iter().all(|d| matches!(d, Dim::Const(_)))
            && match dag.op(n) {
                Op::Leaf(a) => dag.arrays[*a].role == ArrayRole::Const,
                Op::Number(_) => true,
                Op::Collect { .. } | Op::At { .. } => false,
                op => op.args().iter().all(|a| constant[a.0 as usize]),
            };
    }
    constant
}

/// Whether a constant is small enough to be written into a plan.
pub fn is_small(dag: &Dag, n: DagId) -> bool {
    elements(dag, n) <= MAX_ENTRIES
}

/// The dag with what is constant folded; none if there is nothing. `value` gives the entries of constant arrays.
pub fn fold(dag: &Dag, value: impl Fn(ArrayId) -> Option<Vec<Complex64>>) -> Option<Dag> {
    let constant = constants(dag);
    let mut free = vec![false; dag.len()];
    for n in dag.ids() {
        let args = dag.op(n).args();
        // another node's memory: nothing is gained, and the constant may be larger than what it is read from
        free[n.0 as usize] = match dag.op(n) {
            Op::Leaf(_) | Op::Number(_) => true,
            Op::Reshape { .. } | Op::Slice { .. } => free[args[0].0 as usize],
            Op::Einsum1 { a_labels, out_labels, conj, .. } => {
                !conj && a_labels.iter().all(|l| out_labels.contains(l)) && free[args[0].0 as usize]
            }
            _ => false,
        };
    }
    let is_root = |n: DagId| dag.roots.iter().any(|r| r.node == n);
    let mut used = vec![false; dag.len()];
    for n in dag.ids().filter(|n| !constant[n.0 as usize]) {
        dag.op(n).args().iter().for_each(|a| used[a.0 as usize] = true);
    }
    let mut work = 0.0;
    let mut folded: Vec<DagId> = vec![];
    for n in dag.ids() {
        let k = n.0 as usize;
        if !constant[k] {
            continue;
        }
        work += match dag.op(n) {
            Op::Einsum2 { a, b, a_labels, b_labels, .. } => points(dag, &[(a_labels, *a), (b_labels, *b)]),
            _ => elements(dag, n),
        };
        if !free[k] && (used[k] || is_root(n)) && is_small(dag, n) {
            folded.push(n);
        }
    }
    if folded.is_empty() || work > MAX_WORK {
        return None;
    }
    let mut given: HashMap<ArrayId, Dense> = HashMap::new();
    for (id, array) in dag.arrays.enumerate().filter(|(_, a)| a.role == ArrayRole::Const) {
        let shape: Vec<u64> = array.dims.iter().map(|d| d.eval(|_| 0)).collect();
        let data = dag.constants.get(&id.0).cloned().or_else(|| value(id))?;
        given.insert(id, Dense { shape, data });
    }
    let values = evaluate(dag, &given, &HashMap::new(), &folded);
    let known: BTreeMap<DagId, Dense> = folded.into_iter().zip(values).collect();
    Some(rebuilt(dag, known))
}

fn rebuilt(dag: &Dag, known: BTreeMap<DagId, Dense>) -> Dag {
    let mut out = dag.emptied();
    let leaf = |a: &&Array| matches!(a.role, ArrayRole::Param | ArrayRole::Input | ArrayRole::Const);
    let mut next = dag.arrays.iter().filter(leaf).count() as u32;
    let mut at: Vec<Option<DagId>> = vec![None; dag.len()];
    let mut needed = vec![false; dag.len()];
    dag.roots.iter().for_each(|r| needed[r.node.0 as usize] = true);
    for n in dag.ids().rev() {
        if needed[n.0 as usize] && !known.contains_key(&n) {
            dag.op(n).args().iter().for_each(|a| needed[a.0 as usize] = true);
        }
    }
    for n in dag.ids().filter(|n| needed[n.0 as usize]) {
        let info = dag.info(n);
        (out.current_span, out.in_adjoint) = (info.span, info.adjoint);
        let new = match known.get(&n) {
            Some(value) => {
                let array = Array {
                    name: format!("folded[{next}]"),
                    role: ArrayRole::Const,
                    dims: dag.dims(n).to_vec(),
                    source: next,
                };
                next += 1;
                let id = out.arrays.push(array);
                out.constants.insert(id.0, value.data.clone());
                out.leaf(id)
            }
            None => {
                let op = dag.op(n).clone().with_args(|a| at[a.0 as usize].unwrap_or(a));
                out.add(op, dag.dims(n).to_vec())
            }
        };
        at[n.0 as usize] = Some(new);
    }
    let moved = |r: &tn_ir::dag::Root| tn_ir::dag::Root {
        node: at[r.node.0 as usize].unwrap_or(r.node),
        ..r.clone()
    };
    out.roots = dag.roots.iter().map(moved).collect();
    out.in_adjoint = false;
    out
}

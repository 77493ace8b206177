//! Constants are computed before run time.
//!
//! What is made of constants alone becomes a constant, if it is small and cheap to make: its value is then written into the plan. Work inside slice
//! loops stays there.

use crate::cost::{elements, points};
use crate::slip::slip;
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
                Op::Leaf(a) => is_constant(&dag.arrays[*a]),
                Op::Number(_) => true,
                Op::Collect { .. } | Op::At { .. } => false,
                op => op.args().iter().all(|a| constant[a.0 as usize]),
            };
    }
    constant
}

fn is_constant(array: &Array) -> bool {
    array.role == ArrayRole::Const || slip("a parameter keeps its first value")
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
    for (id, array) in dag.arrays.enumerate().filter(|(_, a)| is_constant(a)) {
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
                let mut entries = value.data.clone();
                if slip("the imaginary part of a constant is lost") {
                    entries.iter_mut().for_each(|x| x.im = 0.0);
                }
                out.constants.insert(id.0, entries);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slip::assert_sound;
    use tn_ir::dag::{Root, RootKind};
    use tn_ir::dag_build::Labelled;
    use tn_ir::dtype::DType;
    use tn_ir::fuzz::Rng;
    use tn_ir::scalar::{ScalarBuilder, ScalarOp};

    fn values(rng: &mut Rng, size: u64) -> Dense {
        let one = |rng: &mut Rng| Complex64::new(rng.below(7) as f64 - 3.0, rng.below(5) as f64 - 2.0);
        Dense { shape: vec![size; 2], data: (0..size * size).map(|_| one(rng)).collect() }
    }

    /// Products, sums and maps of two constants and two parameters, all matrices.
    fn program(rng: &mut Rng, size: u64) -> Dag {
        let mut dag = Dag::default();
        dag.dtype = DType::C128;
        let mut nodes: Vec<DagId> = vec![];
        for k in 0..4u32 {
            let role = if k < 2 { ArrayRole::Const } else { ArrayRole::Param };
            let dims = vec![Dim::Const(size); 2];
            let id = dag.arrays.push(Array { name: format!("t{k}"), role, dims, source: k });
            nodes.push(dag.leaf(id));
        }
        for _ in 0..6 {
            let [a, b] = [0, 1].map(|_| nodes[rng.below(nodes.len())]);
            let labels = |rng: &mut Rng, from: [u32; 2]| {
                if rng.one_in(2) { vec![from[1], from[0]] } else { from.to_vec() }
            };
            nodes.push(match rng.below(4) {
                0 | 1 => {
                    let x = Labelled { node: a, labels: labels(rng, [0, 1]), conj: rng.one_in(3) };
                    let y = Labelled { node: b, labels: labels(rng, [1, 2]), conj: rng.one_in(3) };
                    let out = labels(rng, [0, 2]);
                    dag.einsum2(x, y, &out)
                }
                2 => dag.sum(&[(Complex64::new(2.0, 1.0), a), (Complex64::new(1.0, -1.0), b)]),
                _ => {
                    let mut f = ScalarBuilder::new();
                    let x = f.push(ScalarOp::Arg(0));
                    let twice = f.push(ScalarOp::Add(x, x));
                    let f = f.finish(1, twice);
                    dag.map(f, vec![a])
                }
            });
        }
        for (k, &node) in nodes[4..].iter().enumerate() {
            dag.roots.push(Root { name: format!("y{k}"), kind: RootKind::Output, node, source: k as u32 });
        }
        dag
    }

    #[test]
    fn what_is_folded_keeps_its_value() {
        let slips = ["a parameter keeps its first value", "the imaginary part of a constant is lost"];
        assert_sound(&slips, |seed| {
            let mut rng = Rng(seed);
            let size = 1 + rng.below(3) as u64;
            let dag = program(&mut rng, size);
            let first: Vec<Dense> = (0..4).map(|_| values(&mut rng, size)).collect();
            let folded = fold(&dag, |a| first.get(a.0 as usize).map(|v| v.data.clone()))?;
            let mut given: HashMap<ArrayId, Dense> =
                (0..4).map(|k| (ArrayId(k), first[k as usize].clone())).collect();
            // parameters change
            given.extend([2, 3].map(|k| (ArrayId(k), values(&mut rng, size))));
            let of = |dag: &Dag| {
                let mut all = given.clone();
                for (&k, data) in &dag.constants {
                    let shape = dag.arrays[ArrayId(k)].dims.iter().map(|d| d.eval(|_| 0)).collect();
                    all.insert(ArrayId(k), Dense { shape, data: data.clone() });
                }
                let roots: Vec<DagId> = dag.roots.iter().map(|r| r.node).collect();
                evaluate(dag, &all, &HashMap::new(), &roots)
            };
            Some(of(&dag) == of(&folded))
        });
    }
}

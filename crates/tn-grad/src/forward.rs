//! Forward mode.

use crate::active;
use std::collections::HashMap;
use tn_ir::Complex64;
use tn_ir::dag::{Array, ArrayId, ArrayRole, Dag, DagId, Op, Root, RootKind};
use tn_ir::dag_build::Labelled;
use tn_ir::scalar::{ScalarBuilder, ScalarFn, ScalarOp};

/// Adds an array `tan.<leaf>` for each array of `wrt` and a root `jvp.<output>` for each output.
pub fn jvp(dag: &mut Dag, wrt: &[ArrayId]) {
    let outputs: Vec<Root> = dag.roots.iter().filter(|r| r.kind == RootKind::Output).cloned().collect();
    jvp_of(dag, wrt, &outputs);
}

/// The same for any roots: with the roots of [`crate::vjp`], Hessian products. A root that does not depend on `wrt` has tangent zero.
pub fn jvp_of(dag: &mut Dag, wrt: &[ArrayId], roots: &[Root]) {
    let active = active(dag, wrt);
    let forward = dag.len();
    let was = std::mem::replace(&mut dag.in_adjoint, true);
    let mut tangent_of: HashMap<ArrayId, ArrayId> = HashMap::new();
    for &array in wrt {
        let a = &dag.arrays[array];
        let tangent = Array {
            name: format!("tan.{}", a.name),
            role: ArrayRole::Tangent,
            dims: a.dims.clone(),
            source: a.source,
        };
        tangent_of.insert(array, dag.arrays.push(tangent));
    }
    let mut tangents: HashMap<DagId, DagId> = HashMap::new();
    for (index, _) in active.iter().enumerate().take(forward).filter(|(_, a)| **a) {
        let id = DagId(index as u32);
        dag.current_span = dag.info(id).span;
        if let Some(t) = tangent(dag, id, &tangents, &tangent_of) {
            tangents.insert(id, t);
        }
    }
    for root in roots {
        let dims = dag.dims(root.node).to_vec();
        let node = tangents.get(&root.node).copied().unwrap_or_else(|| dag.zeros(&dims));
        let name = format!("jvp.{}", root.name);
        dag.roots.push(Root { name, kind: RootKind::Jvp, node, source: root.source });
    }
    dag.in_adjoint = was;
}

fn tangent(
    dag: &mut Dag,
    id: DagId,
    tangents: &HashMap<DagId, DagId>,
    tangent_of: &HashMap<ArrayId, ArrayId>,
) -> Option<DagId> {
    let t = |a: DagId| tangents.get(&a).copied();
    let one = Complex64::new(1.0, 0.0);
    let dims = dag.dims(id).to_vec();
    Some(match dag.op(id).clone() {
        Op::Leaf(a) => dag.leaf(*tangent_of.get(&a)?),
        Op::Number(_) | Op::MaxAbs { .. } => return None,
        Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
            let mut terms = vec![];
            let left = |node| Labelled { node, labels: a_labels.clone(), conj: conj_a };
            let right = |node| Labelled { node, labels: b_labels.clone(), conj: conj_b };
            if let Some(ta) = t(a) {
                terms.push((one, dag.einsum2(left(ta), right(b), &out_labels)));
            }
            if let Some(tb) = t(b) {
                terms.push((one, dag.einsum2(left(a), right(tb), &out_labels)));
            }
            if terms.is_empty() {
                return None;
            }
            dag.sum(&terms)
        }
        Op::Einsum1 { a, a_labels, out_labels, conj } => {
            let size = |l: u32| dims[out_labels.iter().position(|&x| x == l).unwrap_or(0)];
            dag.einsum1(t(a)?, &a_labels, &out_labels, conj, size)
        }
        Op::Map { f, args } => {
            let f = dag.fns[f.0 as usize].clone();
            let moving: Vec<(u32, DagId)> =
                args.iter().enumerate().filter_map(|(i, &a)| t(a).map(|t| (i as u32, t))).collect();
            let total = total_derivative(&f, &moving.iter().map(|m| m.0).collect::<Vec<_>>());
            if total.ops.len() == 1 && matches!(total.ops[0], ScalarOp::Const(0, 0)) {
                return None;
            }
            let operands = args.iter().copied().chain(moving.iter().map(|m| m.1)).collect();
            dag.map(total, operands)
        }
        Op::Add { terms } => {
            let moving: Vec<_> = terms.iter().filter_map(|(c, a)| t(*a).map(|t| (c.value(), t))).collect();
            if moving.is_empty() {
                return None;
            }
            dag.sum(&moving)
        }
        Op::Reshape { a } => dag.reshape(t(a)?, dims),
        Op::Slice { a, axis, start } => dag.add(Op::Slice { a: t(a)?, axis, start }, dims),
        Op::Pad { a, axis, before } => dag.add(Op::Pad { a: t(a)?, axis, before }, dims),
        Op::Concat { axis, parts } => {
            let mut moved = vec![];
            for p in parts {
                let shape = dag.dims(p).to_vec();
                moved.push(t(p).unwrap_or_else(|| dag.zeros(&shape)));
            }
            dag.concat(axis, moved)
        }
        Op::At { a, picks, inside: None } => dag.at(t(a)?, picks),
        Op::At { a, picks, inside: Some(nest) } => dag.at_inside(t(a)?, picks, nest),
        Op::Collect { a, nest, places } => dag.collect(t(a)?, nest, places),
    })
}

/// (args…, tangents of the args `by`…) ↦ Σ ∂f/∂args[i] · tangent
fn total_derivative(f: &ScalarFn, by: &[u32]) -> ScalarFn {
    let mut b = ScalarBuilder::new();
    let args: Vec<u32> = (0..f.arity).map(|i| b.push(ScalarOp::Arg(i))).collect();
    let mut total = b.real(0.0);
    for (k, &i) in by.iter().enumerate() {
        let t = b.push(ScalarOp::Arg(f.arity + k as u32));
        let slope = b.call(&f.derivative(i), &args);
        let term = b.push(ScalarOp::Mul(slope, t));
        total = b.push(ScalarOp::Add(total, term));
    }
    b.finish(f.arity + by.len() as u32, total)
}

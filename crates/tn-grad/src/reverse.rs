//! Reverse mode.

use crate::active;
use std::collections::HashMap;
use tn_ir::dag::{Array, ArrayId, ArrayRole, Dag, DagId, NestId, Op, Root, RootKind};
use tn_ir::dag_build::Labelled;
use tn_ir::scalar::{ScalarBuilder, ScalarFn, ScalarOp};
use tn_ir::{Complex64, size::Dim};

/// Adds, for every output that depends on `wrt`, an array `ct.<output>`, and for each array of `wrt` a root `grad.<array>`. A leaf that no output
/// depends on gets zeros. Cotangent arrays of outputs that do not depend on `wrt` are added too, so that the caller's interface does not
/// depend on it.
pub fn vjp(dag: &mut Dag, wrt: &[ArrayId]) {
    let active = active(dag, wrt);
    let forward = dag.len();
    let was = std::mem::replace(&mut dag.in_adjoint, true);
    let mut sweep = Sweep { contributions: HashMap::new() };
    let outputs: Vec<Root> = dag.roots.iter().filter(|r| r.kind == RootKind::Output).cloned().collect();
    for (position, root) in outputs.iter().enumerate() {
        let array = Array {
            name: format!("ct.{}", root.name),
            role: ArrayRole::Cotangent,
            dims: dag.dims(root.node).to_vec(),
            source: position as u32,
        };
        let array = dag.arrays.push(array);
        if active[root.node.0 as usize] {
            let ct = dag.leaf(array);
            sweep.contributions.entry(root.node).or_default().push(ct);
        }
    }
    let mut gradient: HashMap<ArrayId, DagId> = HashMap::new();
    for index in (0..forward).rev() {
        let id = DagId(index as u32);
        if !active[index] {
            continue;
        }
        let Some(parts) = sweep.contributions.remove(&id) else { continue };
        dag.current_span = dag.info(id).span;
        let one = Complex64::new(1.0, 0.0);
        let ct = dag.sum(&parts.into_iter().map(|p| (one, p)).collect::<Vec<_>>());
        if dag.is_zero(ct) {
            continue;
        }
        if let Op::Leaf(array) = dag.op(id) {
            gradient.insert(*array, ct);
        } else {
            sweep.node(dag, id, ct, &active);
        }
    }
    for &array in wrt {
        let (name, dims, source) = {
            let a = &dag.arrays[array];
            (format!("grad.{}", a.name), a.dims.clone(), a.source)
        };
        let node = gradient.get(&array).copied().unwrap_or_else(|| dag.zeros(&dims));
        dag.roots.push(Root { name, kind: RootKind::Grad, node, source });
    }
    dag.in_adjoint = was;
}

struct Sweep {
    contributions: HashMap<DagId, Vec<DagId>>,
}

impl Sweep {
    /// `value` is what one round of `nest` (or the code outside) contributes to the cotangent of `to`.
    fn give(&mut self, dag: &mut Dag, to: DagId, value: DagId, nest: Option<NestId>) {
        let value = match nest {
            Some(n) if dag.info(to).depth == 0 => dag.collect(value, n, vec![]),
            _ => value,
        };
        self.contributions.entry(to).or_default().push(value);
    }

    fn node(&mut self, dag: &mut Dag, id: DagId, ct: DagId, active: &[bool]) {
        let info = dag.info(id);
        let nest = if info.depth > 0 { info.nest } else { None };
        let on = |a: DagId| active[a.0 as usize];
        match dag.op(id).clone() {
            Op::Leaf(_) | Op::Number(_) | Op::MaxAbs { .. } => {}
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
                // y = A'·B' with A' = A or its conjugate: the cotangent of A' is ct·conj(B'), conjugated again for A
                let other = conj_a == conj_b;
                if on(a) {
                    let left = Labelled { node: ct, labels: out_labels.clone(), conj: conj_a };
                    let right = Labelled { node: b, labels: b_labels.clone(), conj: other };
                    let value = dag.einsum2(left, right, &a_labels);
                    self.give(dag, a, value, nest);
                }
                if on(b) {
                    let left = Labelled { node: a, labels: a_labels, conj: other };
                    let right = Labelled { node: ct, labels: out_labels, conj: conj_b };
                    let value = dag.einsum2(left, right, &b_labels);
                    self.give(dag, b, value, nest);
                }
            }
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                let dims = dag.dims(a).to_vec();
                let size = |l: u32| a_labels.iter().position(|&x| x == l).map_or(Dim::Const(1), |k| dims[k]);
                let value = dag.einsum1(ct, &out_labels, &a_labels, conj, size);
                self.give(dag, a, value, nest);
            }
            Op::Map { f, args } => {
                let f = dag.fns[f.0 as usize].clone();
                // an argument may stand in several places
                for (place, &arg) in args.iter().enumerate() {
                    if !on(arg) {
                        continue;
                    }
                    let derivative = f.derivative(place as u32);
                    if matches!(derivative.ops.as_slice(), [ScalarOp::Const(0, 0)]) {
                        continue;
                    }
                    let mut value = if dag.dtype.is_complex() {
                        // conjugation is no holomorphic function: it stays outside the map, so that this can be derived again
                        let slope = dag.map(derivative, args.clone());
                        let all: Vec<u32> = (0..dag.dims(ct).len() as u32).collect();
                        let right = Labelled { node: slope, labels: all.clone(), conj: true };
                        dag.einsum2(Labelled::new(ct, all.clone()), right, &all)
                    } else {
                        let mut operands = args.clone();
                        operands.push(ct);
                        dag.map(times(&derivative), operands)
                    };
                    if dag.dims(arg).is_empty() && !dag.dims(value).is_empty() {
                        let all: Vec<u32> = (0..dag.dims(value).len() as u32).collect();
                        value = dag.einsum1(value, &all, &[], false, |_| Dim::Const(1));
                    }
                    self.give(dag, arg, value, nest);
                }
            }
            Op::Add { terms } => {
                for (c, t) in terms {
                    if on(t) {
                        let value = dag.scale(c.value().conj(), ct);
                        self.give(dag, t, value, nest);
                    }
                }
            }
            Op::Reshape { a } => {
                let dims = dag.dims(a).to_vec();
                let value = dag.reshape(ct, dims);
                self.give(dag, a, value, nest);
            }
            Op::Slice { a, axis, start } => {
                let total = dag.dims(a)[axis as usize];
                let value = dag.pad_to(ct, axis, start, total);
                self.give(dag, a, value, nest);
            }
            Op::Pad { a, axis, before } => {
                let len = constant(dag.dims(a)[axis as usize]);
                let value = dag.slice(ct, axis, before, len);
                self.give(dag, a, value, nest);
            }
            Op::Concat { axis, parts } => {
                let mut start = 0;
                for p in parts {
                    let len = constant(dag.dims(p)[axis as usize]);
                    if on(p) {
                        let value = dag.slice(ct, axis, start, len);
                        self.give(dag, p, value, nest);
                    }
                    start += len;
                }
            }
            Op::At { a, picks, inside } => {
                // what is picked from outside goes back to its place, round by round
                let home = inside.or_else(|| picks.first().map(|&(_, v)| dag.vars[v].nest));
                let Some(home) = home else { return };
                let value = dag.collect(ct, home, picks);
                self.contributions.entry(a).or_default().push(value);
            }
            Op::Collect { a, nest: home, places } => {
                let value = dag.at(ct, places);
                self.give(dag, a, value, Some(home));
            }
        }
    }
}

/// (args…, ct) ↦ ct · derivative(args)
fn times(derivative: &ScalarFn) -> ScalarFn {
    let mut b = ScalarBuilder::new();
    let args: Vec<u32> = (0..derivative.arity).map(|i| b.push(ScalarOp::Arg(i))).collect();
    let ct = b.push(ScalarOp::Arg(derivative.arity));
    let slope = b.call(derivative, &args);
    let result = b.push(ScalarOp::Mul(ct, slope));
    b.finish(derivative.arity + 1, result)
}

fn constant(dim: Dim) -> u64 {
    match dim {
        Dim::Const(n) => n,
        Dim::Dyn(_) => 0, // views of run-time axes are not built by the lowering
    }
}

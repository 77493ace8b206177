//! What a node costs, as the extraction sees it: the cost model of plans, told from the dag alone.
//!
//! A node's time is max(operations / rate, bytes / bandwidth) + overhead, over all rounds of its loops. Nodes that are another node's memory read
//! differently cost next to nothing. The schedule's own figures decide in the end; these only have to rank.

use tn_ir::dag::{Dag, DagId, Op};
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::Dim;

/// The rates that times are modelled with, for one element type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Multiply-adds a second.
    pub macs_per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Seconds that a step costs even if it does nothing.
    pub step_seconds: f64,
    /// Bytes of an element.
    pub element_bytes: f64,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Modelled seconds.
    Time,
    /// Multiply-adds.
    Macs,
    /// Bytes moved.
    Bytes,
}

/// A node without cost still counts so much, so that no choice goes round in circles.
pub(crate) const FREE: f64 = 1e-12;

/// Costs of the nodes of one dag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// The machine.
    pub rates: Rates,
    /// What is minimised.
    pub goal: Goal,
}

/// Operations of a function, weighted by how long they take.
pub fn operations(f: &ScalarFn) -> f64 {
    use ScalarOp::*;
    let weight = |op: &ScalarOp| match op {
        Arg(_) | Const(..) | Conj(_) => 0.0,
        Div(..) | Sqrt(_) => 4.0,
        Exp(_) | Log(_) | Sin(_) | Cos(_) | Tanh(_) | Erf(_) | Pow(..) => 20.0,
        _ => 1.0,
    };
    f.ops.iter().map(weight).sum()
}

/// The length of an axis at the planning values.
pub fn size(dag: &Dag, d: Dim) -> f64 {
    d.eval(|s| dag.symbols[s].value().max(0) as u64) as f64
}

/// Whether a node is given, or another node's memory read differently.
pub fn is_view(dag: &Dag, n: DagId) -> bool {
    match dag.op(n) {
        Op::Leaf(_) | Op::Number(_) | Op::At { .. } | Op::Slice { .. } | Op::Reshape { .. } => true,
        Op::Einsum1 { a_labels, out_labels, conj, .. } => {
            let distinct = (0..out_labels.len()).all(|i| !out_labels[..i].contains(&out_labels[i]));
            distinct && !conj && a_labels.iter().all(|l| out_labels.contains(l))
        }
        _ => false,
    }
}

/// Elements of a node at the planning values.
pub fn elements(dag: &Dag, n: DagId) -> f64 {
    dag.dims(n).iter().map(|&d| size(dag, d)).product()
}

impl Costs {
    /// The cost of computing a node once its arguments are there, in the goal's unit; positive.
    pub fn node(&self, dag: &Dag, n: DagId) -> f64 {
        let (ops, read) = match dag.op(n) {
            _ if is_view(dag, n) => return FREE,
            Op::Leaf(_) | Op::Number(_) | Op::At { .. } | Op::Slice { .. } | Op::Reshape { .. } => (0.0, 0.0),
            Op::Einsum1 { a, a_labels, out_labels, .. } => {
                let summed = a_labels.iter().any(|l| !out_labels.contains(l));
                let points = points(dag, &[(a_labels, *a), (out_labels, n)]);
                (if summed { points } else { 0.0 }, elements(dag, *a))
            }
            Op::Einsum2 { a, b, a_labels, b_labels, .. } => {
                (points(dag, &[(a_labels, *a), (b_labels, *b)]), elements(dag, *a) + elements(dag, *b))
            }
            Op::Map { f, args } => {
                let weight = dag.fns.get(f.0 as usize).map_or(1.0, operations);
                (weight * elements(dag, n), args.iter().map(|&a| elements(dag, a)).sum())
            }
            Op::Add { terms } => {
                let read = terms.iter().map(|t| elements(dag, t.1)).sum();
                (terms.len() as f64 * elements(dag, n), read)
            }
            Op::Pad { a, .. } | Op::MaxAbs { a } => (0.0, elements(dag, *a)),
            Op::Concat { parts, .. } => (0.0, parts.iter().map(|&a| elements(dag, a)).sum()),
            // its summand writes into it
            Op::Collect { .. } => (0.0, 0.0),
        };
        let info = dag.info(n);
        let vars = info.nest.filter(|_| info.depth > 0).map_or(&[][..], |x| &dag.nests[x].vars);
        let rounds: f64 =
            vars.iter().take(info.depth as usize).map(|&v| size(dag, dag.vars[v].trip)).product();
        let bytes = (read + elements(dag, n)) * self.rates.element_bytes;
        let cost = match self.goal {
            Goal::Macs => ops * rounds,
            Goal::Bytes => bytes * rounds,
            Goal::Time => {
                let busy = (ops / self.rates.macs_per_second).max(bytes / self.rates.bytes_per_second);
                rounds * (busy + self.rates.step_seconds)
            }
        };
        cost.max(FREE)
    }

    /// Bytes that a result takes until its last user is done; 0 for what the caller holds, and for what is another node's memory read differently.
    pub fn held(&self, dag: &Dag, n: DagId) -> f64 {
        if is_view(dag, n) { 0.0 } else { elements(dag, n) * self.rates.element_bytes }
    }
}

/// The product of the lengths of all different labels.
pub fn points(dag: &Dag, operands: &[(&Vec<u32>, DagId)]) -> f64 {
    let mut seen: Vec<u32> = vec![];
    let mut product = 1.0;
    for (labels, node) in operands {
        for (axis, &l) in labels.iter().enumerate() {
            if !seen.contains(&l) {
                seen.push(l);
                product *= size(dag, dag.dims(*node)[axis]);
            }
        }
    }
    product
}

//! The verifier of L3: every node's shape follows from its operands', every slice stays inside, loops are entered and left where they may.
//!
//! A dag that passes can be scheduled. Whether it computes what its program means is another question: see [`crate::field`].

use crate::dag::{Dag, DagId, Op};
use crate::size::Dim;

/// What is wrong with a dag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagError {
    /// The node, or the root's node.
    pub node: DagId,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for DagError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {}: {}", self.node.0, self.message)
    }
}

/// Checks every node and root.
///
/// # Errors
/// The first fault.
pub fn verify(dag: &Dag) -> Result<(), DagError> {
    for id in dag.ids() {
        node(dag, id).map_err(|message| DagError { node: id, message })?;
    }
    for root in &dag.roots {
        let fault = if root.node.0 as usize >= dag.len() {
            "a root that is no node"
        } else if dag.info(root.node).depth != 0 {
            "a root inside a loop"
        } else {
            continue;
        };
        return Err(DagError { node: root.node, message: format!("`{}`: {fault}", root.name) });
    }
    Ok(())
}

fn expect(got: &[Dim], want: &[Dim]) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("its shape is {got:?}, its operands give {want:?}")) }
}

/// Sizes of labels, and on which lists they are; two sizes for one label are a fault.
#[derive(Default)]
struct Labels(Vec<Option<(Dim, u8)>>);

impl Labels {
    /// Labels of a list with the sizes `dims`. `list` is one bit, or 0 where a label may occur twice.
    fn bind(&mut self, list: u8, labels: &[u32], dims: &[Dim]) -> Result<(), String> {
        if labels.len() != dims.len() {
            return Err(format!("{} labels for {} axes", labels.len(), dims.len()));
        }
        for (&l, &d) in labels.iter().zip(dims) {
            let at = l as usize;
            if self.0.len() <= at {
                self.0.resize(at + 1, None);
            }
            let (known, lists) = self.0[at].get_or_insert((d, 0));
            if *lists & list != 0 {
                return Err("a label occurs twice in one list".into());
            }
            if *known != d {
                return Err(format!("label {l} is {known:?} and {d:?}"));
            }
            *lists |= list;
        }
        Ok(())
    }
}

fn axis(dims: &[Dim], at: u32) -> Result<Dim, String> {
    dims.get(at as usize).copied().ok_or_else(|| format!("there is no axis {at}"))
}

fn replaced(dims: &[Dim], at: u32, by: Dim) -> Vec<Dim> {
    dims.iter().enumerate().map(|(k, &d)| if k == at as usize { by } else { d }).collect()
}

fn fixed(d: Dim) -> Result<u64, String> {
    match d {
        Dim::Const(n) => Ok(n),
        Dim::Dyn(_) => Err("an axis of run-time size is cut or padded".into()),
    }
}

fn node(dag: &Dag, id: DagId) -> Result<(), String> {
    let (op, dims) = (dag.op(id), dag.dims(id));
    let mut nest = None;
    for a in op.args() {
        if a.0 >= id.0 {
            return Err("an operand comes after it".into());
        }
        let info = dag.info(a);
        if info.depth > 0 && !matches!(op, Op::Collect { .. }) {
            if nest.is_some_and(|n| Some(n) != info.nest) {
                return Err("its operands lie in two nests of loops".into());
            }
            nest = info.nest;
            if dag.info(id).depth < info.depth {
                return Err("it leaves a loop without collecting".into());
            }
        }
    }
    match op {
        Op::Leaf(a) => expect(dims, &dag.arrays.get(*a).ok_or("there is no such array")?.dims),
        Op::Number(_) => expect(dims, &[]),
        Op::Einsum2 { a, b, a_labels, b_labels, out_labels, .. } => {
            let (in_a, in_b, in_out) = (1, 2, 4);
            let mut labels = Labels::default();
            labels.bind(in_a, a_labels, dag.dims(*a))?;
            labels.bind(in_b, b_labels, dag.dims(*b))?;
            labels.bind(in_out, out_labels, dims)?;
            let lists = || labels.0.iter().enumerate().filter_map(|(l, on)| on.map(|(_, on)| (l, on)));
            if lists().any(|(_, on)| on == in_out) {
                return Err("a label of the result that no operand has".into());
            }
            match lists().find(|&(_, on)| on == in_a || on == in_b) {
                Some((l, _)) => Err(format!("label {l} is summed over one operand only")),
                None => Ok(()),
            }
        }
        Op::Einsum1 { a, a_labels, out_labels, .. } => {
            let mut labels = Labels::default();
            labels.bind(0, a_labels, dag.dims(*a))?;
            labels.bind(0, out_labels, dims)
        }
        Op::Map { f, args } => {
            let f = dag.fns.get(f.0 as usize).ok_or("there is no such function")?;
            if f.arity as usize != args.len() {
                return Err(format!("a function of {} arguments has {}", f.arity, args.len()));
            }
            args.iter().filter(|a| !dag.dims(**a).is_empty()).try_for_each(|a| expect(dims, dag.dims(*a)))
        }
        Op::Add { terms } => terms.iter().try_for_each(|(_, t)| expect(dims, dag.dims(*t))),
        Op::Reshape { a } => {
            let count = |dims: &[Dim]| crate::size::numel(dims);
            if count(dims) == count(dag.dims(*a)) {
                Ok(())
            } else {
                Err("a reshape changes the number of entries".into())
            }
        }
        Op::Slice { a, axis: at, start } => {
            let (own, whole) = (axis(dims, *at)?, axis(dag.dims(*a), *at)?);
            if start.checked_add(fixed(own)?).is_none_or(|end| Ok(end) > fixed(whole)) {
                return Err("a slice leaves its operand".into());
            }
            expect(dims, &replaced(dag.dims(*a), *at, own))
        }
        Op::Pad { a, axis: at, before } => {
            let (own, part) = (axis(dims, *at)?, axis(dag.dims(*a), *at)?);
            if before.checked_add(fixed(part)?).is_none_or(|end| Ok(end) > fixed(own)) {
                return Err("a padded operand leaves the result".into());
            }
            expect(dims, &replaced(dag.dims(*a), *at, own))
        }
        Op::Concat { axis: at, parts } => {
            let mut total = 0u64;
            for p in parts {
                total = total.saturating_add(fixed(axis(dag.dims(*p), *at)?)?);
                expect(&replaced(dag.dims(*p), *at, axis(dims, *at)?), dims)?;
            }
            if fixed(axis(dims, *at)?)? == total { Ok(()) } else { Err("its parts do not fill it".into()) }
        }
        Op::At { a, picks, inside } => {
            if inside.is_some_and(|n| dag.nests.get(n).is_none()) {
                return Err("there is no such nest".into());
            }
            let mut rest = dag.dims(*a).to_vec();
            for &(at, var) in picks.iter().rev() {
                let trip = dag.vars.get(var).ok_or("there is no such loop variable")?.trip;
                if axis(&rest, at)? != trip {
                    return Err("a loop's length is not that of the axis it picks from".into());
                }
                rest.remove(at as usize);
            }
            expect(dims, &rest)
        }
        Op::Collect { a, nest, places } => {
            let own = &dag.nests.get(*nest).ok_or("there is no such nest")?.vars;
            let mut want = dag.dims(*a).to_vec();
            for &(at, var) in places {
                let trip = dag.vars.get(var).ok_or("there is no such loop variable")?.trip;
                if !own.contains(&var) || at as usize > want.len() {
                    return Err("a slice is placed by a loop of another nest".into());
                }
                want.insert(at as usize, trip);
            }
            let inside = dag.info(*a);
            if inside.depth > 0 && inside.nest != Some(*nest) {
                return Err("it collects what another nest computes".into());
            }
            expect(dims, &want)
        }
        Op::MaxAbs { .. } => expect(dims, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::{Array, ArrayRole, Coef, Root, RootKind};

    fn array(dag: &mut Dag, dims: &[u64]) -> DagId {
        let dims: Vec<Dim> = dims.iter().map(|&n| Dim::Const(n)).collect();
        let source = dag.arrays.len() as u32;
        let array = Array { name: "x".into(), role: ArrayRole::Input, dims: dims.clone(), source };
        let a = dag.arrays.push(array);
        dag.add(Op::Leaf(a), dims)
    }

    /// A dag of one leaf of shape [2, 3] and one more node.
    fn with(op: impl Fn(DagId) -> Op, dims: &[u64]) -> Result<(), String> {
        let mut dag = Dag::default();
        let a = array(&mut dag, &[2, 3]);
        let n = dag.add(op(a), dims.iter().map(|&n| Dim::Const(n)).collect());
        dag.roots.push(Root { name: "y".into(), kind: RootKind::Output, node: n, source: 0 });
        verify(&dag).map_err(|e| e.to_string())
    }

    fn einsum(a: DagId, a_labels: &[u32], b_labels: &[u32], out_labels: &[u32]) -> Op {
        let (a_labels, b_labels, out_labels) = (a_labels.to_vec(), b_labels.to_vec(), out_labels.to_vec());
        Op::Einsum2 { a, b: a, a_labels, b_labels, out_labels, conj_a: false, conj_b: false }
    }

    #[test]
    fn what_is_right_passes_and_each_fault_is_named() {
        with(|a| einsum(a, &[0, 1], &[2, 1], &[0, 2]), &[2, 2]).unwrap();
        with(|a| Op::Slice { a, axis: 1, start: 1 }, &[2, 2]).unwrap();
        with(|a| Op::Pad { a, axis: 0, before: 3 }, &[5, 3]).unwrap();
        with(|a| Op::Concat { axis: 0, parts: vec![a, a] }, &[4, 3]).unwrap();
        with(|a| Op::Reshape { a }, &[6]).unwrap();
        let faults: Vec<(Result<(), String>, &str)> = vec![
            (with(|a| einsum(a, &[0, 1], &[1, 2], &[0, 2]), &[2, 3]), "label 1 is"),
            (with(|a| einsum(a, &[0, 1], &[2, 1], &[2, 0]), &[2, 3]), "is Const(2) and Const(3)"),
            (with(|a| einsum(a, &[0, 1], &[0, 1], &[2]), &[2]), "no operand has"),
            (with(|a| einsum(a, &[0, 1], &[2, 3], &[0, 2]), &[2, 2]), "one operand only"),
            (with(|a| einsum(a, &[0, 0], &[1, 2], &[0]), &[2]), "twice in one list"),
            (with(|a| Op::Slice { a, axis: 1, start: 2 }, &[2, 2]), "leaves its operand"),
            (with(|a| Op::Slice { a, axis: 2, start: 0 }, &[2, 2]), "no axis"),
            (with(|a| Op::Pad { a, axis: 0, before: 4 }, &[5, 3]), "leaves the result"),
            (with(|a| Op::Concat { axis: 0, parts: vec![a, a] }, &[5, 3]), "do not fill"),
            (with(|a| Op::Reshape { a }, &[7]), "number of entries"),
            (with(|a| Op::Add { terms: vec![(Coef::ONE, a)] }, &[3, 2]), "its shape is"),
            (with(|a| Op::MaxAbs { a }, &[1]), "its shape is"),
        ];
        for (result, want) in faults {
            let why = result.unwrap_err();
            assert!(why.contains(want), "{why}, not {want}");
        }
    }
}

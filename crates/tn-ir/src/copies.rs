//! Copy tensors: constants whose only entries are ones that say which indices are equal.
//!
//! `delta` identifies all of its indices, `identity` does so pairwise, `ones` says nothing. A region is contracted over the classes of identified
//! indices, so that a product costs what it costs on the support. Open legs that become one index are placed on a diagonal when the region is done
//! (`Region::legs`); an index that no other factor carries is a sum of ones where it is summed, and an axis of equal entries where it is open.
//! Elsewhere a copy tensor is a number placed along its legs ([`placement`]), which the rules of the joint optimiser take apart.

use crate::dag::{Dag, DagId};
use crate::program::{ConstValue, Node, NodeId, Program, Role};
use crate::size::Dim;
use crate::slip::slip;
use crate::structure::{Factors, find};
use num_complex::Complex64;

/// The classes of legs of a constant whose entries are all equal where the legs of each class agree, and zero elsewhere, with that entry: a label for each
/// leg. None for a constant that is not of this kind.
fn classes_of(value: &ConstValue, legs: usize) -> Option<(Vec<u32>, f64)> {
    let all = || (0..legs as u32).collect();
    match value {
        ConstValue::Delta if slip("only the first two legs of a delta are equal") => {
            Some(((0..legs as u32).map(|k| if k < 2 { 0 } else { k }).collect(), 1.0))
        }
        ConstValue::Delta => Some((vec![0; legs], 1.0)),
        ConstValue::Identity if slip("neighbouring legs of an identity are equal") => {
            Some(((0..legs as u32).map(|k| k / 2).collect(), 1.0))
        }
        ConstValue::Identity => {
            let half = legs as u32 / 2;
            Some(((0..legs as u32).map(|k| if k < half { k } else { k - half }).collect(), 1.0))
        }
        ConstValue::Ones => Some((all(), 1.0)),
        ConstValue::Zeros => Some((all(), 0.0)),
        ConstValue::Window { .. } | ConstValue::Dense(_) => None,
    }
}

fn constant(program: &Program, node: NodeId) -> Option<&ConstValue> {
    let Node::Leaf(leaf) = program.nodes[node].node else { return None };
    match &program.leaves[leaf].role {
        Role::Const(value) => Some(value),
        _ => None,
    }
}

/// A copy tensor (or zeros) as a number that is placed along its legs; none for what is not such a constant.
pub(crate) fn placement(dag: &mut Dag, value: &ConstValue, dims: &[Dim]) -> Option<DagId> {
    let (labels, entry) = classes_of(value, dims.len())?;
    let number = dag.number(Complex64::new(entry, 0.0));
    Some(dag.einsum1(number, &[], &labels, false, |l| {
        labels.iter().position(|&x| x == l).map_or(Dim::Const(1), |k| dims[k])
    }))
}

/// Removes copy tensors by identifying indices. One stays for every summed index that no other factor carries (its length is a sum of ones), and one
/// where a product would have no factor; what stays is one along each of its different indices ([`is_copy`]).
pub(crate) fn drop_copies(factors: &mut Factors<'_>) {
    let program = factors.program;
    let (copies, mut kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut factors.inputs).into_iter().partition(|input| is_copy(program, input.value));
    for input in &copies {
        let value = constant(program, input.value);
        let Some((classes, _)) = value.and_then(|v| classes_of(v, input.indices.len())) else { continue };
        for (k, class) in classes.iter().enumerate() {
            let first = classes.iter().position(|c| c == class).unwrap_or(k);
            identify(&mut factors.parent, input.indices[first], input.indices[k]);
        }
    }
    let mut carried = vec![false; factors.origin.len()];
    let open = 0..factors.open as u32;
    for i in open.chain(kept.iter().flat_map(|input| input.indices.iter().copied())) {
        carried[find(&mut factors.parent, i) as usize] = true;
    }
    let mut last = None;
    for input in copies {
        let mut alone = false;
        for &i in &input.indices {
            alone |= !std::mem::replace(&mut carried[find(&mut factors.parent, i) as usize], true);
        }
        if alone && !slip("an index that only a copy carries is summed for nothing") {
            kept.push(input);
        } else {
            last = Some(input);
        }
    }
    if kept.is_empty() {
        kept.extend(last);
    }
    factors.inputs = kept;
}

/// Whether a node is a copy tensor. In a region whose copies were dropped, one that stayed is one along each of its different indices.
pub(crate) fn is_copy(program: &Program, node: NodeId) -> bool {
    matches!(constant(program, node), Some(ConstValue::Delta | ConstValue::Identity | ConstValue::Ones))
}

/// Joins two classes; the lower index, so an open one before others, represents them.
fn identify(parent: &mut [u32], i: u32, j: u32) {
    let (i, j) = (find(parent, i), find(parent, j));
    parent[i.max(j) as usize] = i.min(j);
}

//! Where an element of a dag node lies, if a buffer holds the value of some node: by following its index.

use super::Sizes;
use std::collections::BTreeMap;
use tn_ir::dag::{Dag, DagId, Op, VarId};
use tn_ir::size::Dim;

/// The row-major position of an index.
pub(super) fn flatten(dims: &[Dim], index: &[i128], sizes: &Sizes) -> i128 {
    index.iter().zip(dims).fold(0, |f, (&i, &d)| f * sizes.dim(d) + i)
}

/// The index at a row-major position.
fn unflatten(dims: &[Dim], mut at: i128, sizes: &Sizes) -> Vec<i128> {
    let mut index = vec![0; dims.len()];
    for (i, &d) in dims.iter().enumerate().rev() {
        let n = sizes.dim(d).max(1);
        index[i] = at % n;
        at /= n;
    }
    index
}

/// The position of element `index` of node `n` in row-major memory that holds node `held`, while the loop variables have the values `vars`. None if
/// `n` is not a view of `held`.
pub(super) fn position(
    dag: &Dag,
    held: DagId,
    n: DagId,
    index: Vec<i128>,
    vars: &BTreeMap<VarId, i128>,
    sizes: &Sizes,
) -> Option<i128> {
    let (mut n, mut index) = (n, index);
    while n != held {
        match dag.op(n) {
            Op::Slice { a, axis, start } => {
                *index.get_mut(*axis as usize)? += i128::from(*start);
                n = *a;
            }
            Op::At { a, picks, .. } => {
                let mut rest = index.into_iter();
                index = (0..dag.dims(*a).len() as u32)
                    .map(|axis| match picks.iter().find(|p| p.0 == axis) {
                        Some(p) => vars.get(&p.1).copied(),
                        None => rest.next(),
                    })
                    .collect::<Option<_>>()?;
                n = *a;
            }
            Op::Reshape { a } => {
                let at = flatten(dag.dims(n), &index, sizes);
                index = unflatten(dag.dims(*a), at, sizes);
                n = *a;
            }
            Op::Einsum1 { a, a_labels, out_labels, conj: false } => {
                let at = |l: &u32| out_labels.iter().position(|o| o == l).map(|i| index[i]);
                // A repeat in the result would be zero off the diagonal.
                if (0..out_labels.len()).any(|i| out_labels[..i].contains(&out_labels[i])) {
                    return None;
                }
                // a sum over one element is that element
                let only = |d: &Dim| (*d == Dim::Const(1)).then_some(0);
                let axes = a_labels.iter().zip(dag.dims(*a));
                index = axes.map(|(l, d)| at(l).or_else(|| only(d))).collect::<Option<_>>()?;
                n = *a;
            }
            _ => return None,
        }
    }
    Some(flatten(dag.dims(n), &index, sizes))
}

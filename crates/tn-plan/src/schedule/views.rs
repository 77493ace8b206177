//! Where values live: nodes that need no step of their own because they are another node's memory, read differently.

use tn_ir::dag::{Dag, DagId, Op, VarId};
use tn_ir::size::{Dim, Poly, row_major};

/// A node as memory of `base`, whose own value lies row-major from 0. For a node that is computed, `base` is the node itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// The node whose memory it is.
    pub base: DagId,
    /// Where the first element lies.
    pub offset: Poly,
    /// How far one round of a loop moves it.
    pub moves: Vec<(VarId, Poly)>,
    /// One stride an axis.
    pub strides: Vec<Poly>,
}

impl View {
    fn own(dag: &Dag, n: DagId) -> View {
        View { base: n, offset: Poly::zero(), moves: vec![], strides: row_major(dag.dims(n)) }
    }
    /// Whether the view walks all of its base's memory in order.
    pub fn is_whole(&self, dag: &Dag, n: DagId) -> bool {
        self.offset.is_zero()
            && self.moves.is_empty()
            && is_row_major(dag.dims(n), &self.strides)
            && tn_ir::size::numel(dag.dims(n)) == tn_ir::size::numel(dag.dims(self.base))
    }
}

/// The views of all nodes of a dag.
pub(crate) fn views(dag: &Dag) -> Vec<View> {
    let mut all: Vec<View> = Vec::with_capacity(dag.len());
    for n in dag.ids() {
        let view = alias(dag, &all, n).unwrap_or_else(|| View::own(dag, n));
        all.push(view);
    }
    all
}

/// The view of a node that only reads its argument's memory differently.
fn alias(dag: &Dag, all: &[View], n: DagId) -> Option<View> {
    match dag.op(n) {
        Op::Slice { a, axis, start } => {
            let mut v = all[a.0 as usize].clone();
            let stride = v.strides.get(*axis as usize)?;
            v.offset = &v.offset + &(stride * &Poly::from(*start));
            Some(v)
        }
        Op::At { a, picks, .. } => {
            let mut v = all[a.0 as usize].clone();
            let mut strides = std::mem::take(&mut v.strides);
            for &(axis, var) in picks {
                add_move(&mut v.moves, var, strides.get(axis as usize)?);
            }
            let mut position = 0;
            strides.retain(|_| {
                position += 1;
                !picks.iter().any(|p| p.0 + 1 == position)
            });
            v.strides = strides;
            Some(v)
        }
        Op::Reshape { a } => {
            let of = &all[a.0 as usize];
            let strides = reshaped(dag.dims(*a), &of.strides, dag.dims(n))?;
            Some(View { strides, ..of.clone() })
        }
        Op::Einsum1 { a, a_labels, out_labels, conj: false } => {
            let distinct = (0..out_labels.len()).all(|i| !out_labels[..i].contains(&out_labels[i]));
            let is_summed = |(l, d): (&u32, &Dim)| *d != Dim::Const(1) && !out_labels.contains(l);
            if !distinct || a_labels.iter().zip(dag.dims(*a)).any(is_summed) {
                return None;
            }
            let of = &all[a.0 as usize];
            let strides = out_labels.iter().map(|l| stride_along(*l, a_labels, &of.strides)).collect();
            Some(View { strides, ..of.clone() })
        }
        _ => None,
    }
}

/// Adds `stride` to what one round of `var` moves.
pub(crate) fn add_move(moves: &mut Vec<(VarId, Poly)>, var: VarId, stride: &Poly) {
    match moves.iter_mut().find(|m| m.0 == var) {
        Some(m) => m.1 = &m.1 + stride,
        None => moves.push((var, stride.clone())),
    }
}

/// How far one step along `label` goes in a tensor with these labels and strides: repeats add up to the diagonal, absence is 0.
pub(crate) fn stride_along(label: u32, labels: &[u32], strides: &[Poly]) -> Poly {
    labels.iter().zip(strides).filter(|(l, _)| **l == label).fold(Poly::zero(), |s, (_, x)| &s + x)
}

/// The stride along each label of a space, as of [`stride_along`]. The labels of a node are small numbers.
pub(crate) fn strides_over(space: &[u32], labels: &[u32], strides: &[Poly]) -> Vec<Poly> {
    let mut along = vec![Poly::zero(); space.iter().chain(labels).max().map_or(0, |&l| l as usize + 1)];
    for (&l, stride) in labels.iter().zip(strides) {
        let sum = &mut along[l as usize];
        *sum = if sum.is_zero() { stride.clone() } else { &*sum + stride };
    }
    // no label is twice in a space
    space.iter().map(|&l| std::mem::take(&mut along[l as usize])).collect()
}

/// Whether the strides are those of row-major memory; axes of length 1 may have any.
pub(crate) fn is_row_major(dims: &[Dim], strides: &[Poly]) -> bool {
    let want = row_major(dims);
    (0..dims.len()).all(|i| dims[i] == Dim::Const(1) || want[i] == strides[i])
}

/// Strides that walk the same memory in the same order under other axes, if there are any: axes are grouped so that both sides of a
/// group have equally many entries; inside a group the memory must be evenly spaced.
fn reshaped(from: &[Dim], strides: &[Poly], to: &[Dim]) -> Option<Vec<Poly>> {
    if is_row_major(from, strides) {
        return Some(row_major(to));
    }
    let old: Vec<(Poly, &Poly)> =
        from.iter().zip(strides).filter(|(d, _)| **d != Dim::Const(1)).map(|(d, s)| (d.poly(), s)).collect();
    let new: Vec<usize> = (0..to.len()).filter(|&j| to[j] != Dim::Const(1)).collect();
    let mut out = vec![Poly::zero(); to.len()];
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let (first_old, first_new) = (i, j);
        let (mut p, mut q) = (old.get(i)?.0.clone(), to[*new.get(j)?].poly());
        (i, j) = (i + 1, j + 1);
        while p != q {
            let (x, y) = (p.as_constant()?, q.as_constant()?);
            if x < y {
                p = &p * &old.get(i)?.0;
                i += 1;
            } else {
                q = &q * &to[*new.get(j)?].poly();
                j += 1;
            }
        }
        for k in first_old..i - 1 {
            if *old[k].1 != old[k + 1].1 * &old[k + 1].0 {
                return None;
            }
        }
        let mut stride = old[i - 1].1.clone();
        for k in (first_new..j).rev() {
            out[new[k]] = stride.clone();
            stride = &stride * &to[new[k]].poly();
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polys(values: &[u64]) -> Vec<Poly> {
        values.iter().map(|&v| v.into()).collect()
    }
    fn dims(values: &[u64]) -> Vec<Dim> {
        values.iter().map(|&v| Dim::Const(v)).collect()
    }

    #[test]
    fn strides_over_a_space_are_those_along_its_labels() {
        let strides: Vec<Poly> = [24u64, 8, 2, 1].map(Poly::from).to_vec();
        for labels in [[3, 0, 3, 1], [0, 1, 2, 3], [5, 5, 5, 5]] {
            let space = [1, 4, 3, 0, 5, 2];
            let along: Vec<Poly> = space.iter().map(|&l| stride_along(l, &labels, &strides)).collect();
            assert_eq!(strides_over(&space, &labels, &strides), along);
        }
    }

    #[test]
    fn reshapes_without_a_copy_where_memory_allows() {
        // A transposed 2 x 6 whose long axis is split.
        assert_eq!(reshaped(&dims(&[6, 2]), &polys(&[1, 6]), &dims(&[2, 3, 2])), Some(polys(&[3, 1, 6])));
        // Merging transposed axes needs a copy.
        assert_eq!(reshaped(&dims(&[6, 2]), &polys(&[1, 6]), &dims(&[12])), None);
        assert_eq!(reshaped(&dims(&[2, 6]), &polys(&[6, 1]), &dims(&[12])), Some(polys(&[1])));
    }
}

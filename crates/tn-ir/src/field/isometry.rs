//! Isometries in a field, by a Cayley map: (I + A)⁻¹(I − A) is unitary where A† = −A.

use super::axes::Axes;
use super::number::Plain;
use crate::fuzz::Rng;
use crate::program::{Leaf, Program};
use std::collections::BTreeMap;

/// A column-orthonormal matrix of `rows` × `columns` (row-major, columns ≤ rows): Σ over rows of conj(w)·w is the identity. None where I + A is
/// singular, which a random A hardly ever is.
pub fn isometry<N: Plain>(rng: &mut Rng, complex: bool, rows: usize, columns: usize) -> Option<Vec<N>> {
    let n = rows;
    // A† = −A
    let mut a = vec![N::zero(); n * n];
    for i in 0..n {
        for j in 0..=i {
            let x = N::random(rng, complex, 1.0);
            if i == j {
                // the part that conjugation negates; nothing in a real field
                a[i * n + i] = x.add(x.real().neg());
            } else {
                a[i * n + j] = x;
                a[j * n + i] = x.conj().neg();
            }
        }
    }
    let entry = |i: usize, j: usize, sign: bool| {
        let x = if sign { a[i * n + j].neg() } else { a[i * n + j] };
        if i == j { x.add(N::one()) } else { x }
    };
    let mut left: Vec<N> = (0..n * n).map(|k| entry(k / n, k % n, false)).collect();
    let mut right: Vec<N> = (0..n * columns).map(|k| entry(k / columns, k % columns, true)).collect();
    // elimination; I + A has a positive definite symmetric part where there is an order, so no pivots are sought for size
    for k in 0..n {
        let p = (k..n).find(|&i| !left[i * n + k].is_zero())?;
        if p != k {
            (0..n).for_each(|j| left.swap(p * n + j, k * n + j));
            (0..columns).for_each(|j| right.swap(p * columns + j, k * columns + j));
        }
        let r = left[k * n + k].recip();
        (0..n).for_each(|j| left[k * n + j] = left[k * n + j].mul(r));
        (0..columns).for_each(|j| right[k * columns + j] = right[k * columns + j].mul(r));
        for i in (0..n).filter(|&i| i != k) {
            let f = left[i * n + k].neg();
            if f.is_zero() {
                continue;
            }
            for j in 0..n {
                left[i * n + j] = left[i * n + j].add(f.mul(left[k * n + j]));
            }
            for j in 0..columns {
                right[i * columns + j] = right[i * columns + j].add(f.mul(right[k * columns + j]));
            }
        }
    }
    Some(right)
}

/// How many positions of the axes of structured leaves are kept, so that every such leaf can be an isometry: a random one or two each, and more
/// where a codomain would be smaller than its domain.
pub fn quotas(program: &Program, axes: &Axes, rng: &mut Rng) -> BTreeMap<u32, u64> {
    let mut out: BTreeMap<u32, u64> = BTreeMap::new();
    let structured: Vec<&Leaf> = program.leaves.iter().filter(|l| l.structure.is_some()).collect();
    let class = |leaf: &Leaf, k: u32| leaf.legs.get(k as usize).map(|&i| axes.index(i));
    let length = |c: u32| axes.size[c as usize];
    for leaf in &structured {
        for &i in &leaf.legs {
            let c = axes.index(i);
            let linked = axes.links.contains_key(&axes.family[c as usize]) || axes.pins.contains_key(&c);
            let few = 1 + rng.below(2) as u64;
            out.entry(c).or_insert(if linked { length(c) } else { few.min(length(c)) });
        }
    }
    // sizes only grow, and at their full lengths all leaves are content
    loop {
        let mut grown = false;
        for leaf in &structured {
            let Some(s) = &leaf.structure else { continue };
            let side = |legs: &[u32]| legs.iter().filter_map(|&k| class(leaf, k)).collect::<Vec<u32>>();
            let (from, to) = (side(&s.from), side(&s.to));
            let product = |s: &[u32], q: &BTreeMap<u32, u64>| {
                s.iter().fold(1u64, |p, c| p.saturating_mul(q.get(c).copied().unwrap_or(1)))
            };
            let (m, n) = (product(&from, &out), product(&to, &out));
            let short = match m.cmp(&n) {
                std::cmp::Ordering::Greater => &to,
                std::cmp::Ordering::Less if s.unitary => &from,
                _ => continue,
            };
            if let Some(&c) = short.iter().find(|c| out[c] < length(**c)) {
                out.entry(c).and_modify(|k| *k += 1);
                grown = true;
            }
        }
        if !grown {
            return out;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gf::{Fp, Fp2};
    use super::super::number::Number;
    use super::*;

    fn columns_are_orthonormal<N: Plain>(rows: usize, columns: usize) {
        let w: Vec<N> = isometry(&mut Rng(7), true, rows, columns).unwrap();
        for i in 0..columns {
            for j in 0..columns {
                let dot = (0..rows)
                    .fold(N::zero(), |s: N, r| s.add(w[r * columns + i].conj().mul(w[r * columns + j])));
                let want = if i == j { N::one() } else { N::zero() };
                assert_eq!(dot.same(want), Some(true));
            }
        }
    }

    #[test]
    fn cayley_maps_make_isometries() {
        for (rows, columns) in [(1, 1), (2, 1), (4, 2), (5, 5), (9, 4)] {
            columns_are_orthonormal::<Fp>(rows, columns);
            columns_are_orthonormal::<Fp2>(rows, columns);
        }
        assert!(Fp::one().is_zero() != Fp2::zero().is_zero());
    }
}

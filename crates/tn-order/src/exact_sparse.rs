//! Exact search over the sets of leaves that a tree below a known cost can have, outer products included.
//!
//! The table of [`crate::exact`] has a place for every subset. A sparse network of a few dozen tensors has few subsets that are
//! worth making: here they are made from each other, by their number of leaves, and those that only trees above the bound can have are
//! dropped at once, as in the search with a cost cap of Pfeifer, Haegeman and Verstraete (Phys. Rev. E 90, 033315 (2014)). With the
//! cost of a known tree as the cap, what is found is the best there is.

use crate::Minimize;
use crate::exact::{Bounds, OVERHEAD_LOG2, Proof, TRAFFIC};
use crate::objective::grad_times;
use crate::sub::Sub;
use std::collections::HashMap;

/// The most leaves: a set is one word.
pub(crate) const MAX_LEAVES: usize = 64;
/// The most sets that are kept.
const MAX_SETS: usize = 100_000;
/// Pairs between two looks at the clock.
const STRIDE: u64 = 1 << 16;
/// A gain of less than this part is rounding.
const GAIN: f64 = 1.0 - 1e-12;

/// A set of leaves and the best way to make it.
struct Set {
    mask: u64,
    value: f64,
    size: f64,
    kids: (u32, u32),
    grad: bool,
}

struct Search<'a> {
    sub: &'a Sub,
    kind: Minimize,
    upper: f64,
    max_size: f64,
    shift: f64,
    sets: Vec<Set>,
    /// The open legs of every set.
    rows: Vec<u64>,
    known: HashMap<u64, u32>,
    /// The leaves that hold a leg, by bit; none where the result holds it too, since it stays open.
    holders: Vec<u64>,
    leaf_sum: f64,
    result: f64,
}

/// Finds the best tree over the leaves of `sub`, as [`crate::exact::Exact::solve`] does, or gives up. For additive objectives.
pub(crate) fn solve(
    sub: &Sub,
    kind: Minimize,
    b: Bounds,
    over: &dyn Fn() -> bool,
    path: &mut Vec<(u32, u32)>,
) -> Proof {
    path.clear();
    let n = sub.n;
    if !(2..=MAX_LEAVES).contains(&n) || matches!(kind, Minimize::Size | Minimize::Peak) {
        return Proof::GaveUp;
    }
    let mut s = Search::new(sub, kind, b.without_overheads(kind, sub.n));
    let mut levels: Vec<Vec<u32>> = vec![Vec::new(), (0..n as u32).collect()];
    let mut work = 0u64;
    for count in 2..=n {
        let mut made = Vec::new();
        for i in 1..=count / 2 {
            for (at, &x) in levels[i].iter().enumerate() {
                // of two sets of a size, each pair once
                let others = &levels[count - i][if 2 * i == count { at + 1 } else { 0 }..];
                work += others.len() as u64 + 1;
                for &y in others {
                    s.join(x, y, &mut made);
                }
                if work > b.work || s.sets.len() > MAX_SETS {
                    return Proof::GaveUp;
                }
                if work % STRIDE < others.len() as u64 + 1 && over() {
                    return Proof::GaveUp;
                }
            }
        }
        levels.push(made);
    }
    let Some(&root) = s.known.get(&(u64::MAX >> (64 - n))) else { return Proof::NoBetter };
    s.path(root, path);
    Proof::Optimal
}

impl<'a> Search<'a> {
    fn new(sub: &'a Sub, kind: Minimize, b: Bounds) -> Self {
        let (n, w) = (sub.n, sub.w);
        let mut holders = vec![0u64; 64 * w];
        for (bit, h) in holders.iter_mut().enumerate() {
            let has = |row: &[u64]| row[bit / 64] >> (bit % 64) & 1 == 1;
            if !sub.out.get(bit / 64).is_some_and(|_| has(&sub.out)) {
                *h = (0..n).filter(|&k| has(sub.row(k))).fold(0, |m, k| m | 1 << k);
            }
        }
        let mut s = Search {
            sub,
            kind,
            upper: b.upper,
            max_size: b.max_size,
            shift: b.shift,
            sets: Vec::new(),
            rows: Vec::new(),
            known: HashMap::new(),
            holders,
            leaf_sum: 0.0,
            result: 0.0,
        };
        s.result = s.extent(|k| sub.out.get(k).copied().unwrap_or(0));
        for k in 0..n {
            let mask = 1u64 << k;
            // a leg that no other leaf has and that is not in the result is summed where it stands
            let row: Vec<u64> = (0..w).map(|j| sub.row(k)[j] & !s.closed(sub.row(k)[j], j, mask)).collect();
            let size = s.extent(|j| row[j]);
            s.leaf_sum += size;
            s.known.insert(mask, k as u32);
            s.sets.push(Set {
                mask,
                value: 0.0,
                size,
                kids: (0, 0),
                grad: sub.grad.get(k).copied().unwrap_or(false),
            });
            s.rows.extend(row);
        }
        s
    }

    /// The size of a tensor with these legs, in units of `2^shift`.
    fn extent(&self, row: impl Fn(usize) -> u64) -> f64 {
        let l: f64 = (0..self.sub.w).map(|k| f64::from(row(k).count_ones()) * self.sub.weight[k]).sum();
        (l - self.shift).exp2()
    }

    /// Of the legs in word `j`, those that no leaf outside `mask` holds, nor the result.
    fn closed(&self, legs: u64, j: usize, mask: u64) -> u64 {
        let (mut left, mut out) = (legs, 0);
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            let holders = self.holders[64 * j + bit];
            if holders != 0 && holders & !mask == 0 {
                out |= 1 << bit;
            }
            left &= left - 1;
        }
        out
    }

    /// What a tree costs at least besides the steps inside a set: the set and the leaves outside it are used, and the result is made.
    fn rest(&self, mask: u64, size: f64) -> f64 {
        let n = self.sub.n;
        if mask == u64::MAX >> (64 - n) {
            return 0.0;
        }
        let (mut sum, mut most) = (size, size);
        for leaf in (0..n).filter(|k| mask >> k & 1 == 0).map(|k| self.sets[k].size) {
            sum += leaf;
            most = most.max(leaf);
        }
        match self.kind {
            Minimize::Time => TRAFFIC * (sum + self.result),
            Minimize::Bytes => sum + self.result,
            _ => most.max(self.result).max(0.5 * sum),
        }
    }

    /// The contraction of two sets, kept if it is the best way so far to make their union.
    fn join(&mut self, x: u32, y: u32, made: &mut Vec<u32>) {
        let (a, b) = (&self.sets[x as usize], &self.sets[y as usize]);
        if a.mask & b.mask != 0 {
            return;
        }
        // the step costs at least the larger operand
        let before = a.value + b.value;
        if before + a.size.max(b.size) > self.upper {
            return;
        }
        let (w, ra, rb) = (self.sub.w, x as usize * self.sub.w, y as usize * self.sub.w);
        let macs = self.extent(|k| self.rows[ra + k] | self.rows[rb + k]);
        if self.kind != Minimize::Bytes && before + macs > self.upper {
            return;
        }
        let mask = a.mask | b.mask;
        let known = self.known.get(&mask).copied();
        if let Some(k) = known
            && self.kind == Minimize::Macs
            && before + macs >= self.sets[k as usize].value * GAIN
        {
            return;
        }
        let row: Vec<u64> = match known {
            Some(_) => Vec::new(),
            None => (0..w)
                .map(|j| {
                    let (p, q) = (self.rows[ra + j], self.rows[rb + j]);
                    (p | q) & !self.closed(p & q, j, mask)
                })
                .collect(),
        };
        let size = match known {
            Some(k) => self.sets[k as usize].size,
            None => self.extent(|j| row[j]),
        };
        let times = grad_times(a.grad, b.grad);
        let traffic = a.size + b.size + size;
        let cost = match self.kind {
            Minimize::Bytes => traffic * times,
            Minimize::Time => {
                macs.max(TRAFFIC * traffic) * times + (OVERHEAD_LOG2 - self.shift).exp2() * (times - 1.0)
            }
            _ => macs * times,
        };
        let (value, grad) = (before + cost, a.grad | b.grad);
        if size > self.max_size || value + self.rest(mask, size) > self.upper {
            return;
        }
        match known {
            Some(k) => {
                let old = &mut self.sets[k as usize];
                if value < old.value * GAIN {
                    (old.value, old.kids) = (value, (x, y));
                }
            }
            None => {
                let id = self.sets.len() as u32;
                self.sets.push(Set { mask, value, size, kids: (x, y), grad });
                self.rows.extend(row);
                self.known.insert(mask, id);
                made.push(id);
            }
        }
    }

    /// The path that makes a set.
    fn path(&self, root: u32, path: &mut Vec<(u32, u32)>) {
        let n = self.sub.n as u32;
        let (mut order, mut stack) = (Vec::new(), vec![root]);
        while let Some(s) = stack.pop() {
            if s >= n {
                order.push(s);
                let (a, b) = self.sets[s as usize].kids;
                stack.extend([a, b]);
            }
        }
        let mut name: HashMap<u32, u32> = HashMap::new();
        for &s in order.iter().rev() {
            let (a, b) = self.sets[s as usize].kids;
            let id = |x: u32| if x < n { x } else { name.get(&x).copied().unwrap_or(x) };
            path.push((id(a), id(b)));
            name.insert(s, n + path.len() as u32 - 1);
        }
    }
}

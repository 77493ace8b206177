//! Exact search over the sets of leaves that a tree below a known cost can have, outer products included.
//!
//! The table of [`crate::exact`] has a place for every subset. A sparse network of a few dozen tensors has few subsets that are
//! worth making: here they are made from each other, by their number of leaves, and those that only trees above the bound can have are
//! dropped at once, as in the search with a cost cap of Pfeifer, Haegeman and Verstraete (Phys. Rev. E 90, 033315 (2014)). With the
//! cost of a known tree as the cap, what is found is the best there is.
//!
//! Where multiply-adds are counted and every leg is on two tensors (or on one and the result), most outer products need not be looked
//! at. Numbers may meet whatever they like. Let X1, …, Xk be the factors of an outer product, none of them one itself or a number, R its size, and C what it
//! meets. Of the best trees take one with the fewest outer products.
//! - C shares legs with every factor, or with none. If with X2 but not with X1, let C meet the others first: their sum is at most half of what the two
//!   span, so that the step with X1 costs at most half as much, and that half pays for the step added (all sizes are at least 2).
//! - C has all legs of every factor. Let ai be the legs that Xi shares with C, bi its others, f the legs of C alone, y and z the products of
//!   ai and bi for i > 1. Letting C meet X1 last saves the step that makes R, and a1 f z (y b1 - y - b1) in the two others, which is
//!   not negative if b1 is at least 2.
//! - f is at least R / min ai, or half of that for more than two factors: with all bi = 1 the last is - a1 f, which must outweigh what is saved
//!   inside the product: R for two factors, at least R - R / a1 for more.
//!
//! So an outer product that is not part of a larger one meets what is none, has all its legs, and is that much larger (the conditions of Pfeifer et al. in
//! another form); and one that is made costs a step of that much more, also as a part of a larger one, where every factor at least doubles R.
//! What has no leg to the rest of the network is a factor of the result, with others of that kind alone.

use crate::Minimize;
use crate::exact::{Bounds, OVERHEAD_LOG2, Proof, TRAFFIC};
use crate::objective::grad_times;
use crate::sub::Sub;
use std::collections::HashMap;

/// The most leaves: a set is one word.
pub(crate) const MAX_LEAVES: usize = 64;
/// The most sets that are kept.
const MAX_SETS: usize = 100_000;
/// Pairs that overlap which are looked at in the time of a contraction.
const JOIN: u64 = 16;
/// Pairs between two looks at the clock.
const STRIDE: u64 = 1 << 20;
/// A gain of less than this part is rounding.
const GAIN: f64 = 1.0 - 1e-12;

/// A size that is less than another by less than the rest is rounding.
const NEARLY: f64 = 1.0 - 1e-9;

/// A set of leaves and the best way to make it.
struct Set {
    mask: u64,
    value: f64,
    size: f64,
    kids: (u32, u32),
    grad: bool,
    /// The leaves outside that a leg joins to it.
    near: u64,
    /// How many parts no leg joins, and the size of the least of them: more than one in an outer product.
    parts: u32,
    least: f64,
}

impl Set {
    /// How many times larger the tensor must be that an outer product meets.
    fn meets(&self) -> f64 {
        match self.parts {
            _ if self.near == 0 => 1.0,
            1 => 1.0,
            2 => self.size / self.least,
            _ => 0.5 * self.size / self.least,
        }
    }
}

/// The sets of a number of leaves.
#[derive(Default)]
struct Level {
    /// By rising size.
    sets: Vec<u32>,
    /// Their leaves, one after the other: nearly all time goes to pairs that overlap.
    masks: Vec<u64>,
    /// Whether one of them has no leg to the rest.
    apart: bool,
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
    result: f64,
    /// Whether the conditions on outer products hold.
    plain: bool,
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
    let mut levels: Vec<Level> = vec![Level::default(), s.level((0..n as u32).collect())];
    let mut work = 0u64;
    let mut looked = 0;
    for count in 2..=n {
        let mut made = Vec::new();
        for i in 1..=count / 2 {
            for at in 0..levels[i].sets.len() {
                work += s.meetings(&levels[i], at, &levels[count - i], &mut made);
                if work > b.work || s.sets.len() > MAX_SETS {
                    return Proof::GaveUp;
                }
                if work - looked > STRIDE {
                    looked = work;
                    if over() {
                        return Proof::GaveUp;
                    }
                }
            }
        }
        let level = s.level(made);
        levels.push(level);
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
            result: 0.0,
            plain: kind == Minimize::Macs && b.max_size.is_infinite() && is_plain(sub),
        };
        s.result = s.extent(|k| sub.out.get(k).copied().unwrap_or(0));
        for k in 0..n {
            let mask = 1u64 << k;
            // a leg that no other leaf has and that is not in the result is summed where it stands
            let row: Vec<u64> = (0..w).map(|j| sub.row(k)[j] & !s.closed(sub.row(k)[j], j, mask)).collect();
            let size = s.extent(|j| row[j]);
            s.known.insert(mask, k as u32);
            s.sets.push(Set {
                mask,
                value: 0.0,
                size,
                kids: (0, 0),
                grad: sub.grad.get(k).copied().unwrap_or(false),
                near: 0,
                parts: 1,
                least: size,
            });
            s.rows.extend(row);
        }
        for k in 0..n {
            let joined = |j: &usize| (0..w).any(|word| s.rows[k * w + word] & s.rows[j * w + word] != 0);
            s.sets[k].near = (0..n).filter(|j| *j != k).filter(joined).fold(0, |near, j| near | 1 << j);
        }
        s
    }

    /// The sets of one number of leaves.
    fn level(&self, mut sets: Vec<u32>) -> Level {
        sets.sort_unstable_by(|&x, &y| {
            let size = |s: u32| self.sets[s as usize].size;
            size(x).total_cmp(&size(y)).then(x.cmp(&y))
        });
        let masks = sets.iter().map(|&x| self.sets[x as usize].mask).collect();
        let apart = sets.iter().any(|&x| self.sets[x as usize].near == 0);
        Level { sets, masks, apart }
    }

    /// All contractions of a set with those of another level (of its own, with those behind it); returns the work in pairs looked at.
    fn meetings(&mut self, own: &Level, at: usize, level: &Level, made: &mut Vec<u32>) -> u64 {
        let x = own.sets[at];
        let from = if std::ptr::eq(own, level) { at + 1 } else { 0 };
        let Set { mask, near, size, value, .. } = self.sets[x as usize];
        // outer products up to those whose use would cost too much
        let fits = |&y: &u32| {
            let other = self.sets[y as usize].size;
            self.shift != 0.0 || value + 0.5 * size * other * size.max(other) <= self.upper
        };
        let outer = if self.plain && near != 0 { level.sets.partition_point(fits) } else { level.sets.len() };
        let mut work = 1 + (level.sets.len() - from) as u64;
        for (k, &other) in level.masks.iter().enumerate().skip(from) {
            let y = level.sets[k];
            let is_apart = || level.apart && self.sets[y as usize].near == 0;
            if other & mask == 0 && (other & near != 0 || k < outer || is_apart()) {
                self.join(x, y, made);
                work += JOIN;
            }
        }
        work
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
    fn rest(&self, set: &Set) -> f64 {
        let (n, mask, size) = (self.sub.n, set.mask, set.size * set.meets());
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

    /// Whether a best tree may contract two sets, whose rows begin there.
    fn may_meet(&self, (a, ra): (&Set, usize), (b, rb): (&Set, usize)) -> bool {
        let w = self.sub.w;
        let shared = (0..w).any(|k| self.rows[ra + k] & self.rows[rb + k] != 0);
        let has_all = |(c, rc): (&Set, usize), (outer, ro): (&Set, usize)| {
            (0..w).all(|k| self.rows[ro + k] & !self.rows[rc + k] == 0)
                // sizes far below the unit may be lost
                && (outer.size == 0.0 || c.size >= outer.size * outer.meets() * NEARLY)
        };
        let has_legs = |r: usize| self.rows[r..r + w].iter().any(|&x| x != 0);
        if !has_legs(ra) || !has_legs(rb) {
            return true;
        }
        match (a.parts, b.parts) {
            _ if (a.near == 0) != (b.near == 0) => false,
            (1, 1) => true,
            _ if !shared => true,
            (1, _) => has_all((a, ra), (b, rb)),
            (_, 1) => has_all((b, rb), (a, ra)),
            _ => false,
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
        if self.plain && !self.may_meet((a, ra), (b, rb)) {
            return;
        }
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
        let shared = (0..w).any(|k| self.rows[ra + k] & self.rows[rb + k] != 0);
        let has_legs = |r: usize| self.rows[r..r + w].iter().any(|&x| x != 0);
        let (parts, least) = match (self.plain && !shared, has_legs(ra), has_legs(rb)) {
            (true, true, true) => (a.parts + b.parts, a.least.min(b.least)),
            (true, true, false) => (a.parts, a.least),
            (true, false, true) => (b.parts, b.least),
            _ => (1, size),
        };
        let (value, grad) = (before + cost, a.grad | b.grad);
        let near = (a.near | b.near) & !mask;
        let set = Set { mask, value, size, kids: (x, y), grad, near, parts, least };
        if size > self.max_size || value + self.rest(&set) > self.upper {
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
                self.sets.push(set);
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

/// Whether no tensor needs a gradient and every leg is on two tensors, or on one and the result.
fn is_plain(sub: &Sub) -> bool {
    let n = sub.n;
    let on = |row: &[u64], bit: usize| row[bit / 64] >> (bit % 64) & 1 == 1;
    let times = |bit: usize| (0..n).filter(|&k| on(sub.row(k), bit)).count() + usize::from(on(&sub.out, bit));
    !sub.grad.contains(&true) && (0..64 * sub.w).all(|bit| times(bit) <= 2)
}

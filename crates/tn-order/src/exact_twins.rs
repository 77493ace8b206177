//! Exact search where leaves are interchangeable, outer products included.
//!
//! Two leaves are twins if the network is the same with the two in each other's place: the vectors of one size around a hub, the factors on a
//! hyperedge. What the best tree over a set of leaves costs then depends only on how many of each class of twins are in it, and of a
//! split it matters only how many go to either side. So the table of [`crate::exact`] shrinks from a place for every subset to one for every
//! vector of counts. Vectors are numbered in mixed radix: the number of a set is that of its part plus that of the rest.

use crate::Minimize;
use crate::exact::{Bounds, OVERHEAD_LOG2, Proof, TRAFFIC};
use crate::objective::grad_times;
use crate::sub::Sub;

/// The most leaves: a set is one word.
const MAX_LEAVES: usize = 64;
/// The most splits that are looked at.
const WORK: f64 = 5e7;
/// Sets between two looks at the clock.
const STRIDE: usize = 64;
/// A gain of less than this part is rounding.
const GAIN: f64 = 1.0 - 1e-12;

/// The leaves in classes of twins; in every class by their numbers.
fn classes(sub: &Sub) -> Vec<Vec<u32>> {
    // a leg is its weight, whether the result has it, and the leaves that hold it
    let legs: Vec<(u64, bool, u64)> = (0..64 * sub.w)
        .map(|bit| {
            let has = |row: &[u64]| row[bit / 64] >> (bit % 64) & 1 == 1;
            let on = (0..sub.n).filter(|&k| has(sub.row(k))).fold(0u64, |m, k| m | 1 << k);
            (sub.weight[bit / 64].to_bits(), has(&sub.out), on)
        })
        .filter(|leg| leg.2 != 0)
        .collect();
    // the legs that hold `x` and not `y`, without `x`
    let apart = |x: u32, y: u32| {
        let of = |leg: &&(u64, bool, u64)| leg.2 >> x & 1 == 1 && leg.2 >> y & 1 == 0;
        let mut list: Vec<_> = legs.iter().filter(of).map(|&(l, out, on)| (l, out, on ^ 1 << x)).collect();
        list.sort_unstable();
        list
    };
    let mut out: Vec<Vec<u32>> = Vec::new();
    for k in 0..sub.n as u32 {
        let twins = |c: &Vec<u32>| {
            sub.grad[c[0] as usize] == sub.grad[k as usize] && apart(c[0], k) == apart(k, c[0])
        };
        match out.iter().position(twins) {
            Some(c) => out[c].push(k),
            None => out.push(vec![k]),
        }
    }
    out
}

/// A set of leaves up to the exchange of twins.
#[derive(Clone, Copy)]
struct Set {
    value: f64,
    size: f64,
    /// The product of the roots of its legs, square roots of those on two tensors, cubic roots of the others: in a contraction a leg is on two
    /// of the three tensors, or on all, so the product of the three is at most the multiply-adds.
    root: f64,
    /// The number of one part of the best split.
    split: u32,
    grad: bool,
}

const NEVER: Set = Set { value: f64::INFINITY, size: 0.0, root: 0.0, split: 0, grad: false };

struct Table<'a> {
    sub: &'a Sub,
    kind: Minimize,
    b: Bounds,
    classes: Vec<Vec<u32>>,
    /// What one leaf of a class adds to the number of a set.
    stride: Vec<u32>,
    /// The legs on more than two tensors, the result among them.
    hyper: Vec<u64>,
    sets: Vec<Set>,
}

/// Finds the best tree over the leaves of `sub`, as [`crate::exact::Exact::solve`] does, or gives up where few are twins. For additive objectives.
pub(crate) fn solve(
    sub: &Sub,
    kind: Minimize,
    b: Bounds,
    over: &dyn Fn() -> bool,
    path: &mut Vec<(u32, u32)>,
) -> Proof {
    path.clear();
    if !(2..=MAX_LEAVES).contains(&sub.n) || matches!(kind, Minimize::Size | Minimize::Peak) {
        return Proof::GaveUp;
    }
    let classes = classes(sub);
    let splits: f64 = classes.iter().map(|c| ((c.len() + 1) * (c.len() + 2) / 2) as f64).product();
    if splits > WORK.min(b.work as f64) {
        return Proof::GaveUp;
    }
    let mut t = Table::new(sub, kind, b.without_overheads(kind, sub.n), classes);
    for s in 1..t.sets.len() {
        if s % STRIDE == 0 && over() {
            return Proof::GaveUp;
        }
        t.fill(s);
    }
    if !t.sets.last().is_some_and(|s| s.value.is_finite()) {
        return Proof::NoBetter;
    }
    t.path(path);
    Proof::Optimal
}

impl<'a> Table<'a> {
    fn new(sub: &'a Sub, kind: Minimize, b: Bounds, classes: Vec<Vec<u32>>) -> Self {
        let mut total = 1u32;
        let mut stride = Vec::with_capacity(classes.len());
        for c in &classes {
            stride.push(total);
            total *= c.len() as u32 + 1;
        }
        let mut hyper = vec![0u64; sub.w];
        for (bit, leg) in (0..64 * sub.w).map(|bit| (bit, bit / 64)) {
            let has = |row: &[u64]| row[leg] >> (bit % 64) & 1;
            if has(&sub.out) + (0..sub.n).map(|k| has(sub.row(k))).sum::<u64>() > 2 {
                hyper[leg] |= 1 << (bit % 64);
            }
        }
        Self { sub, kind, b, classes, stride, hyper, sets: vec![NEVER; total as usize] }
    }

    /// How many leaves of class `c` a set has.
    fn count(&self, set: usize, c: usize) -> usize {
        set / self.stride[c] as usize % (self.classes[c].len() + 1)
    }

    /// The leaves of a set, the first of every class that are in `from`.
    fn leaves(&self, set: usize, from: u64) -> u64 {
        let mut mask = 0;
        for (c, members) in self.classes.iter().enumerate() {
            let there = members.iter().filter(|&&k| from >> k & 1 == 1);
            mask |= there.take(self.count(set, c)).fold(0u64, |m, &k| m | 1 << k);
        }
        mask
    }

    /// The union of the legs of some leaves.
    fn union(&self, mut mask: u64) -> Vec<u64> {
        let mut row = vec![0; self.sub.w];
        while mask != 0 {
            let leaf = self.sub.row(mask.trailing_zeros() as usize);
            row.iter_mut().zip(leaf).for_each(|(r, l)| *r |= l);
            mask &= mask - 1;
        }
        row
    }

    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.sub.n)
    }

    /// The legs of the tensor over some leaves.
    fn legs(&self, mask: u64) -> Vec<u64> {
        let (mut inside, outside) = (self.union(mask), self.union(self.all() ^ mask));
        for ((i, o), out) in inside.iter_mut().zip(&outside).zip(&self.sub.out) {
            *i &= o | out;
        }
        inside
    }

    /// The product of the extents of legs to the given powers, plain legs and hyperedges.
    fn extent(&self, row: &[u64], plain: f64, thick: f64, shift: f64) -> f64 {
        let mut l = -shift;
        for ((r, h), weight) in row.iter().zip(&self.hyper).zip(&self.sub.weight) {
            l +=
                weight * (f64::from((r & !h).count_ones()) * plain + f64::from((r & h).count_ones()) * thick);
        }
        l.exp2()
    }

    /// What a tree costs at least besides the steps inside a set: it and the leaves outside are used, and the result is made.
    fn rest(&self, set: usize, size: f64) -> f64 {
        if set + 1 == self.sets.len() {
            return 0.0;
        }
        let (mut sum, mut most) = (size, size);
        for (c, members) in self.classes.iter().enumerate() {
            let outside = members.len() - self.count(set, c);
            if outside > 0 {
                let leaf = self.sets[self.stride[c] as usize].size;
                sum += leaf * outside as f64;
                most = most.max(leaf);
            }
        }
        match self.kind {
            Minimize::Time => TRAFFIC * sum,
            Minimize::Bytes => sum,
            // a step uses two of them, and costs no less than the larger
            _ => most.max(0.5 * sum),
        }
    }

    /// Enters a set all of whose parts are there.
    fn fill(&mut self, set: usize) {
        let shift = self.b.shift;
        let mask = self.leaves(set, u64::MAX);
        let row = self.legs(mask);
        let size = self.extent(&row, 1.0, 1.0, shift);
        let root = self.extent(&row, 1.0 / 2.0, 1.0 / 3.0, shift / 3.0);
        let grad = (0..self.sub.n).any(|k| mask >> k & 1 == 1 && self.sub.grad[k]);
        let mut found = Set { size, root, grad, ..NEVER };
        if mask & (mask - 1) == 0 {
            self.sets[set] = Set { value: 0.0, ..found };
            return;
        }
        let made = if self.kind == Minimize::Time { TRAFFIC * size } else { size };
        let bar = self.b.upper - self.rest(set, size);
        if size <= self.b.max_size && made <= bar {
            found = self.split(set, mask, Set { value: bar, ..found });
            if found.split == 0 {
                found.value = f64::INFINITY;
            }
        }
        self.sets[set] = found;
    }

    /// The best split of a set that is not above its value.
    fn split(&self, set: usize, mask: u64, mut best: Set) -> Set {
        let counts: Vec<usize> = (0..self.classes.len()).map(|c| self.count(set, c)).collect();
        // the classes behind the first count like an odometer, the first runs
        let mut at = vec![0usize; counts.len()];
        let mut base = 0usize;
        // of two parts, the one with the smaller number
        while 2 * base <= set {
            for part in base.max(1)..=(base + counts[0]).min(set / 2) {
                let (x, y) = (&self.sets[part], &self.sets[set - part]);
                let least = x.value + y.value;
                if least >= best.value {
                    continue;
                }
                let traffic = x.size + y.size + best.size;
                let macs = x.root * y.root * best.root * GAIN;
                let step = match self.kind {
                    Minimize::Bytes => traffic,
                    Minimize::Time => macs.max(TRAFFIC * traffic),
                    _ => macs.max(x.size).max(y.size),
                };
                if least + step > best.value {
                    continue;
                }
                let value = least + self.step(part, mask, (x, y), traffic);
                if value < best.value * GAIN || best.split == 0 && value <= best.value {
                    best = Set { value, split: part as u32, ..best };
                }
            }
            let Some(c) = (1..counts.len()).find(|&c| at[c] < counts[c]) else { break };
            for (k, a) in at[..c].iter_mut().enumerate() {
                base -= std::mem::take(a) * self.stride[k] as usize;
            }
            at[c] += 1;
            base += self.stride[c] as usize;
        }
        best
    }

    /// What the step costs that makes the leaves `mask` from the part and the rest.
    fn step(&self, part: usize, mask: u64, (x, y): (&Set, &Set), traffic: f64) -> f64 {
        let times = grad_times(x.grad, y.grad);
        if self.kind == Minimize::Bytes {
            return traffic * times;
        }
        let a = self.leaves(part, mask);
        let (mut row, other) = (self.legs(a), self.legs(mask ^ a));
        row.iter_mut().zip(&other).for_each(|(r, o)| *r |= o);
        let macs = self.extent(&row, 1.0, 1.0, self.b.shift);
        match self.kind {
            // the overhead of a step without gradients is left out
            Minimize::Time => {
                macs.max(TRAFFIC * traffic) * times + (OVERHEAD_LOG2 - self.b.shift).exp2() * (times - 1.0)
            }
            _ => macs * times,
        }
    }

    /// The path of the whole.
    fn path(&self, path: &mut Vec<(u32, u32)>) {
        let n = self.sub.n;
        // splits from the top, the parts as places in this list; then steps from the last to the first
        let mut order = vec![(self.sets.len() - 1, self.all())];
        let mut parts: Vec<(usize, usize)> = Vec::new();
        let mut k = 0;
        while k < order.len() {
            let (set, mask) = order[k];
            parts.push((order.len(), order.len() + 1));
            if mask & (mask - 1) != 0 {
                let part = self.sets[set].split as usize;
                let a = self.leaves(part, mask);
                order.extend([(part, a), (set - part, mask ^ a)]);
            }
            k += 1;
        }
        let mut name = vec![0u32; order.len()];
        for (k, &(_, mask)) in order.iter().enumerate().rev() {
            name[k] = match mask & (mask - 1) {
                0 => mask.trailing_zeros(),
                _ => {
                    path.push((name[parts[k].0], name[parts[k].1]));
                    (n + path.len() - 1) as u32
                }
            };
        }
    }
}

//! Exact search by dynamic programming over all subsets of the leaves, outer products included.
//!
//! For a set S of leaves the legs of its tensor do not depend on the order inside S, so the best tree over S is the
//! best over all its splits in two. Sets that only trees beyond a known one have are never split: every tensor but the
//! result is made and used, and the result is made; each of these steps costs at least the size of that tensor.
//!
//! Why that is sound: a set is left out only if what its own steps cost at least, with what the others cost at least ([`Exact::rest`]), is above the
//! bound, and no tree below the bound has it. The steps inside a set and those outside are disjoint, so the two add up; of those outside,
//! one uses the set's tensor, one each leaf outside, one makes the result, and one brings the set together with the first leaf ([`Exact::meets`]).
//! So the cost that a set may have is the bound less the rest, and next to a hub, whose use every tree pays for, that is little.
//!
//! Sets are done by their number of leaves, each number in parallel. Nearly all time goes to splits that are not better, so
//! they are ruled out by a lower bound in single precision on one small table: in a contraction a leg is on two of the
//! three tensors, or on all three if it is a hyperedge, so the product of the roots of the three sizes (square roots for plain
//! legs, cubic ones for hyperedges) is at most the multiply-adds, and equal to them on a plain graph. A step's traffic is bounded by the
//! squares of the same roots. What every step costs besides (the overhead in the modelled time) is left out: all trees have as many.

use crate::Minimize;
use crate::objective::grad_times;
use crate::portfolio::parallel;
use crate::sub::Sub;
use std::cell::Cell;

/// The most leaves that a table is made for.
pub(crate) const MAX_LEAVES: usize = 22;

/// A value of the dynamic program: what is minimised, then what decides between equals.
type Value = (f64, f64);

/// Reusable tables.
#[derive(Default)]
pub(crate) struct Exact {
    union: Vec<u64>,
    legs: Vec<u64>,
    size: Vec<f64>,
    /// The least multiply-adds of the step that makes a set's tensor: a leg of its tensor, or one that all of its leaves have, is on one
    /// operand whatever the split.
    made: Vec<f64>,
    /// The product of the legs of the result that no leaf outside a set has.
    own: Vec<f64>,
    best: Vec<Value>,
    split: Vec<u32>,
    grad: Vec<bool>,
    /// For the bound of a split, rounded and in units of [`Exact::unit`]: the value of a set, and the root of its size; for the peak, what the
    /// set holds while another is computed.
    key: Vec<[f32; 2]>,
    /// The same for traffic: the value of a set with what it takes to read it. Empty where the roots say as much.
    moved: Vec<f32>,
    unit: f64,
    /// What every tree with the first leaf and less than all others pays for it, taken off the values in [`Exact::key`]: next to a large
    /// hub, single precision would not see the rest. The leaf alone is never better than when it was looked at first. Zero where there are no roots.
    toll: f64,
    /// The least size of a tensor with the first leaf and some of the others of a set; empty where the objective has no use for it.
    near: Vec<f64>,
    /// The roots of the sizes in double precision; empty where the objective has no use for them.
    root: Vec<f64>,
    /// The words of rows with legs on more than two tensors, the result among them, and those legs; empty as the roots are.
    thick: Vec<(usize, u64)>,
    /// The least value, root, and value with what it takes to read it of the sets of every number of leaves: of those without
    /// the first leaf, and of those with it.
    least: Vec<[[f64; 3]; 2]>,
}

/// What the search proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The tree found is the best there is.
    Optimal,
    /// No tree is better than the bound given, or none satisfies the limit.
    NoBetter,
    /// The work exceeded what was allowed, or the time was over.
    GaveUp,
}

/// Bounds on the exact search. Sizes and costs are divided by `2^shift` to stay within floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Only trees with a smaller additive cost (or size, or peak) are of interest; infinite where none is known.
    pub upper: f64,
    /// The largest result allowed.
    pub max_size: f64,
    /// log2 of the unit of both, and of the costs returned.
    pub shift: f64,
    /// The number of splits that may be looked at.
    pub work: u64,
    /// How many threads to use; the result does not depend on it.
    pub threads: usize,
}

/// Sets done by one thread at a time.
const CHUNK: usize = 64;
/// Tables of fewer leaves are filled by one thread: starting others takes as long.
const SERIAL: usize = 16;
/// Rounding of the bounds in single precision.
const SLACK: f32 = 1.0 + 1e-5;
/// The modelled time of an element of traffic, in multiply-adds, and of a step.
pub(crate) const TRAFFIC: f64 = 8.0;
pub(crate) const OVERHEAD_LOG2: f64 = 12.0;
/// A bound is taken a little above the figure that must pass it.
const SLIGHTLY: f64 = 1.0 + 1e-9;
/// A gain of less than this part is rounding.
const GAIN: f64 = 1.0 - 1e-12;
/// Of the bound on whole trees, the part that the bound on a set may be off by.
const ROUNDING: f64 = 1e-13;
/// What all trees pay is nearly all of the bound if this part of it is left; it is tried by these parts first.
const NEARLY: f64 = 1.0 / 64.0;
const RISING: [f64; 3] = [1.0 / 1024.0, 1.0 / 128.0, 1.0 / 16.0];
/// The bar when no split can be better than the one found.
const DONE: f32 = f32::NEG_INFINITY;
/// Sets of at least this many leaves have their splits ruled out by the number of leaves on either side first.
const CLASSES: u32 = 11;

impl Exact {
    /// Finds the best tree over the leaves of `sub`: an SSA path over them, its value in units of `2^shift`,
    /// and what is proven. The path is empty unless a tree below the bound was found.
    pub fn solve(
        &mut self,
        sub: &Sub,
        kind: Minimize,
        b: Bounds,
        over: &(dyn Fn() -> bool + Sync),
        path: &mut Vec<(u32, u32)>,
    ) -> (f64, Proof) {
        path.clear();
        let n = sub.n;
        if n < 2 {
            return (0.0, Proof::Optimal);
        }
        if n > MAX_LEAVES {
            return (f64::INFINITY, Proof::GaveUp);
        }
        // every tree has as many steps
        let constant = match kind {
            Minimize::Time => (n - 1) as f64 * (OVERHEAD_LOG2 - b.shift).exp2(),
            _ => 0.0,
        };
        let b = Bounds { upper: b.upper - constant, ..b };
        // the leaf of the most legs first, so that the sets with a hub are told from those without
        let hub = (0..n)
            .max_by_key(|&k| (sub.row(k).iter().map(|x| x.count_ones()).sum::<u32>(), n - k))
            .unwrap_or(0);
        let swapped = sub.swapped(0, hub);
        let sub = &swapped;
        self.tables(sub, b.shift);
        let full = (1usize << n) - 1;
        let mut proof = self.fill_under(sub, kind, b, over);
        let (value, second) = self.best[full];
        if kind == Minimize::Size && proof == Proof::Optimal {
            // the least size is known; of its trees, the one with the least multiply-adds
            let b = Bounds { upper: second * SLIGHTLY, max_size: b.max_size.min(value * SLIGHTLY), ..b };
            proof = self.fill_any(sub, Minimize::Macs, b, over);
        }
        if proof != Proof::Optimal {
            return (f64::INFINITY, proof);
        }
        // pre-order of the splits, then steps from the last to the first
        let mut order = Vec::with_capacity(n - 1);
        let mut stack = vec![full];
        while let Some(s) = stack.pop() {
            if s & (s - 1) != 0 {
                order.push(s);
                let a = self.split[s] as usize;
                stack.push(a);
                stack.push(s ^ a);
            }
        }
        let mut made: Vec<(usize, u32)> = Vec::with_capacity(n);
        for &s in order.iter().rev() {
            let a = self.split[s] as usize;
            let id = |x: usize| -> u32 {
                if x & (x - 1) == 0 {
                    match x.trailing_zeros() {
                        0 => hub as u32,
                        k if k == hub as u32 => 0,
                        k => k,
                    }
                } else {
                    made.iter().find(|m| m.0 == x).map_or(0, |m| m.1)
                }
            };
            path.push((id(a), id(s ^ a)));
            made.push((s, (n + path.len() - 1) as u32));
        }
        (value + constant, Proof::Optimal)
    }

    /// The part of the cost of the step that makes a set's tensor that is the tensor's own, beside that of the operands.
    #[inline(always)]
    fn base(&self, kind: Minimize, s: usize) -> f64 {
        match kind {
            Minimize::Time => TRAFFIC * self.size[s],
            Minimize::Macs => self.made[s],
            _ => self.size[s],
        }
    }

    /// What it takes to read a set's tensor.
    #[inline(always)]
    fn read(&self, kind: Minimize, s: usize) -> f64 {
        if kind == Minimize::Time { TRAFFIC * self.size[s] } else { self.size[s] }
    }

    /// The least cost of the step that makes a set's tensor.
    #[inline(always)]
    fn made(&self, kind: Minimize, s: usize) -> f64 {
        match kind {
            Minimize::Time => self.made[s].max(TRAFFIC * self.size[s]),
            _ => self.base(kind, s),
        }
    }

    /// What a tree costs at least besides the steps inside the set `s`: `s` and the leaves outside it are used, and the result is made.
    fn rest(&self, kind: Minimize, s: usize, full: usize) -> f64 {
        if s == full || matches!(kind, Minimize::Size | Minimize::Peak) {
            return 0.0;
        }
        let (mut sum, mut most) = (self.size[s], self.size[s]);
        let mut outside = full ^ s;
        while outside != 0 {
            let leaf = self.size[outside & outside.wrapping_neg()];
            sum += leaf;
            most = most.max(leaf);
            outside &= outside - 1;
        }
        // a step uses two of them, and costs no less than the larger
        let mut macs = most.max(self.made[full]).max(0.5 * sum);
        if s & 1 == 0 && !self.near.is_empty() {
            macs = macs.max(self.meets(s, full));
        }
        match kind {
            Minimize::Time => macs.max(TRAFFIC * (sum + self.size[full])),
            Minimize::Bytes => sum + self.size[full],
            _ => macs,
        }
    }

    /// What the step costs at least that brings the leaves of `s` together with the first one, which is not among them. One operand is made of
    /// the first leaf and others outside of `s`; the other has all legs of the result that only leaves of `s` have. If the first leaf
    /// meets all others at once, making their tensor is such a step too.
    fn meets(&self, s: usize, full: usize) -> f64 {
        let outside = full ^ s;
        if outside == 1 {
            return self.size[1];
        }
        let with = self.near[outside] * self.own[s];
        with.max(self.toll.min(self.size[1].max(self.made[full ^ 1])))
    }

    /// Legs and sizes of every subset.
    fn tables(&mut self, sub: &Sub, shift: f64) {
        let (n, w) = (sub.n, sub.w);
        let total = 1usize << n;
        self.union.clear();
        self.union.resize(total * w, 0);
        self.legs.clear();
        self.legs.resize(total * w, 0);
        self.size.clear();
        self.size.resize(total, 0.0);
        self.made.clear();
        self.made.resize(total, 0.0);
        self.own.clear();
        self.own.resize(total, 1.0);
        self.grad.clear();
        self.grad.resize(total, false);
        // the legs that all leaves of a set have, kept where there are any
        let mut shared = vec![0u64; total * w];
        for s in 1..total {
            let low = s.trailing_zeros() as usize;
            let rest = s & (s - 1);
            for k in 0..w {
                let row = sub.rows[low * w + k];
                self.union[s * w + k] = self.union[rest * w + k] | row;
                shared[s * w + k] = if rest == 0 { row } else { shared[rest * w + k] & row };
            }
            self.grad[s] = self.grad[rest] | sub.grad[low];
        }
        for s in 1..total {
            let other = total - 1 - s;
            let (mut l, mut more, mut own) = (-shift, 0.0, 0.0);
            for k in 0..w {
                let legs = self.union[s * w + k] & (self.union[other * w + k] | sub.out[k]);
                self.legs[s * w + k] = legs;
                l += f64::from(legs.count_ones()) * sub.weight[k];
                more += f64::from((shared[s * w + k] & !legs).count_ones()) * sub.weight[k];
                own += f64::from((legs & !self.union[other * w + k]).count_ones()) * sub.weight[k];
            }
            if own > 0.0 {
                self.own[s] = own.exp2();
            }
            self.size[s] = l.exp2();
            self.made[s] = if more > 0.0 { (l + more).exp2() } else { self.size[s] };
        }
    }

    /// Fills the table for an objective. Where what every tree pays is nearly all of the bound, as with a large hub, a bound slightly above
    /// the known tree's best part lets nearly every set live: then the bound rises to it from below. A tree found under a lower bound is
    /// the best; that there is none is all that such a bound can say.
    fn fill_under(
        &mut self,
        sub: &Sub,
        kind: Minimize,
        b: Bounds,
        over: &(dyn Fn() -> bool + Sync),
    ) -> Proof {
        let full = self.size.len() - 1;
        let least = match kind {
            Minimize::Size | Minimize::Peak => 0.0,
            _ => self.rest(kind, 1, full),
        };
        let more = b.upper - least;
        if b.upper.is_finite() && more > 0.0 && more < NEARLY * b.upper {
            for part in RISING {
                let proof = self.fill_any(sub, kind, Bounds { upper: least + part * more, ..b }, over);
                if proof != Proof::NoBetter {
                    return proof;
                }
            }
        }
        self.fill_any(sub, kind, b, over)
    }

    /// Fills the table for an objective.
    fn fill_any(&mut self, sub: &Sub, kind: Minimize, b: Bounds, over: &(dyn Fn() -> bool + Sync)) -> Proof {
        let total = self.size.len();
        self.best.clear();
        self.best.resize(total, (f64::INFINITY, f64::INFINITY));
        self.split.clear();
        self.split.resize(total, 0);
        self.keys(sub, kind, b);
        match sub.w {
            1 => self.fill::<1>(sub, kind, b, over),
            2 => self.fill::<2>(sub, kind, b, over),
            3 => self.fill::<3>(sub, kind, b, over),
            4 => self.fill::<4>(sub, kind, b, over),
            _ => self.fill::<0>(sub, kind, b, over),
        }
    }

    /// The table of bounds; values come as sets are done.
    fn keys(&mut self, sub: &Sub, kind: Minimize, b: Bounds) {
        let total = self.size.len();
        self.key.clear();
        self.key.resize(total, [f32::INFINITY, 0.0]);
        // the known upper bound is at 2^60, far from both ends of single precision
        let top = if b.upper.is_finite() { b.upper.log2() - 60.0 } else { 0.0 };
        self.unit = (-top).exp2();
        self.root.clear();
        self.least.clear();
        self.moved.clear();
        self.toll = 0.0;
        self.near.clear();
        if matches!(kind, Minimize::Size | Minimize::Peak) {
            return;
        }
        self.least.resize(sub.n + 1, [[f64::INFINITY; 3]; 2]);
        if kind == Minimize::Bytes {
            self.moved.resize(total, f32::INFINITY);
            return;
        }
        self.root.resize(total, 0.0);
        // legs that all leaves but the first have are on whatever it meets, unless that is all of them
        let apart: f64 = (0..sub.w)
            .map(|k| {
                let shared = (1..sub.n).fold(u64::MAX, |m, leaf| m & sub.row(leaf)[k]);
                f64::from((shared & !sub.rows[k]).count_ones()) * sub.weight[k]
            })
            .sum();
        self.toll = self.size[1] * if sub.n > 2 { apart.exp2() } else { 1.0 };
        self.near.resize(total, f64::INFINITY);
        for s in (1..total).step_by(2) {
            self.near[s] = self.size[s];
        }
        for bit in (1..sub.n).map(|k| 1 << k) {
            for s in (1..total).step_by(2).filter(|s| s & bit != 0) {
                self.near[s] = self.near[s].min(self.near[s ^ bit]);
            }
        }
        let mut held = vec![0u32; sub.w * 64];
        for row in sub.rows.chunks_exact(sub.w).chain(std::iter::once(sub.out.as_slice())) {
            for (bit, h) in held.iter_mut().enumerate() {
                *h += (row[bit / 64] >> (bit % 64) & 1) as u32;
            }
        }
        let hyper: Vec<u64> = (0..sub.w)
            .map(|k| (0..64).filter(|&i| held[64 * k + i] > 2).fold(0u64, |m, i| m | 1 << i))
            .collect();
        if kind == Minimize::Time && hyper.iter().any(|&h| h != 0) {
            self.moved.resize(total, f32::INFINITY);
        }
        self.thick = hyper.iter().copied().enumerate().filter(|&(_, h)| h != 0).collect();
        for s in 1..total {
            let mut l = 0.0;
            for (k, h) in hyper.iter().enumerate() {
                let row = self.legs[s * sub.w + k];
                let (plain, thick) = ((row & !h).count_ones(), (row & h).count_ones());
                l += sub.weight[k] * (f64::from(plain) / 2.0 + f64::from(thick) / 3.0);
            }
            // smaller roots make smaller bounds, so clipping them keeps every bound true
            self.key[s][1] = (l - (b.shift + top) / 3.0).min(41.0).exp2() as f32;
            self.root[s] = (l - b.shift / 3.0).exp2();
        }
    }

    /// Fills the table, sets of two leaves first.
    fn fill<const W: usize>(
        &mut self,
        sub: &Sub,
        kind: Minimize,
        b: Bounds,
        over: &(dyn Fn() -> bool + Sync),
    ) -> Proof {
        let n = sub.n;
        let full = (1usize << n) - 1;
        // without the first leaf, and with it: where a hub's sets are few, the splits of others with it are
        let mut live: [Vec<u32>; 2] = [(1..n).map(|k| 1 << k).collect(), vec![1]];
        for k in 0..n {
            self.set(1 << k, (0.0, 0.0), kind);
        }
        let threads = if n < SERIAL { 1 } else { b.threads };
        let mut work = 0u64;
        for count in 2..=n as u32 {
            let layer = self.layer(n, count, kind, b);
            let all = 1u64 << (count - 1);
            let with = layer.iter().filter(|&s| s & 1 == 1).count() as u64;
            let [few, hubs] = [&live[0], &live[1]].map(|l| all.min(l.len() as u64 + 1));
            work += (layer.len() as u64 - with) * few + with * few.min(hubs);
            if work > b.work {
                return Proof::GaveUp;
            }
            let found = parallel(threads, layer.len().div_ceil(CHUNK), |k| {
                let mut done = Vec::with_capacity(CHUNK);
                if over() {
                    return None;
                }
                for &s in &layer[k * CHUNK..layer.len().min((k + 1) * CHUNK)] {
                    let s = s as usize;
                    let bar = match self.rest(kind, s, full) {
                        0.0 => b.upper,
                        rest => b.upper - rest + b.upper * ROUNDING,
                    };
                    let (value, split) = self.split_of::<W>(sub, kind, Bounds { upper: bar, ..b }, s, &live);
                    if split != 0 {
                        done.push((s, value, split));
                    }
                }
                Some(done)
            });
            for chunk in found {
                let Some(chunk) = chunk else { return Proof::GaveUp };
                for (s, value, split) in chunk {
                    self.set(s, value, kind);
                    self.split[s] = split as u32;
                    live[s & 1].push(s as u32);
                }
            }
        }
        if self.best[full].0.is_finite() { Proof::Optimal } else { Proof::NoBetter }
    }

    /// Enters the value of a set.
    fn set(&mut self, s: usize, value: Value, kind: Minimize) {
        self.best[s] = value;
        self.key[s][0] = match (s, self.toll > 0.0) {
            (1, true) => f32::INFINITY,
            _ => ((value.0 - self.toll_of(s)) * self.unit) as f32,
        };
        let (read, toll) = (self.read(kind, s), self.toll_of(s));
        if let Some(moved) = self.moved.get_mut(s) {
            *moved = ((value.0 + read - toll) * self.unit) as f32;
        }
        match kind {
            Minimize::Peak => self.key[s][1] = (self.held(s) * self.unit) as f32,
            Minimize::Size => {}
            Minimize::Macs | Minimize::Time | Minimize::Bytes => {
                let root = self.root.get(s).copied().unwrap_or(0.0);
                let least = &mut self.least[s.count_ones() as usize][s & 1];
                *least = [least[0].min(value.0), least[1].min(root), least[2].min(value.0 + read)];
            }
        }
    }

    /// The toll, for the sets that pay it.
    #[inline(always)]
    fn toll_of(&self, s: usize) -> f64 {
        if s & 1 == 1 { self.toll } else { 0.0 }
    }

    /// What a set's tensor takes while another is computed: leaves are there anyway.
    #[inline(always)]
    fn held(&self, s: usize) -> f64 {
        if s & (s - 1) == 0 { 0.0 } else { self.size[s] }
    }

    /// The sets of `count` leaves that may be part of a tree below the bounds.
    fn layer(&self, n: usize, count: u32, kind: Minimize, b: Bounds) -> Vec<u32> {
        let full = (1u64 << n) - 1;
        let mut out = Vec::new();
        let mut s = (1u64 << count) - 1;
        while s <= full {
            let set = s as usize;
            let least = match kind {
                Minimize::Size if s == full => 0.0,
                _ => self.made(kind, set) + self.rest(kind, set, full as usize),
            };
            if self.size[set] <= b.max_size && least <= b.upper {
                out.push(s as u32);
            }
            s = next_of_count(s as usize) as u64;
        }
        out
    }

    /// The best split of a set whose value is not above the bound, and the value.
    fn split_of<const W: usize>(
        &self,
        sub: &Sub,
        kind: Minimize,
        b: Bounds,
        s: usize,
        live: &[Vec<u32>; 2],
    ) -> (Value, usize) {
        let any_grad = sub.grad.iter().any(|&g| g);
        let best = Cell::new(((b.upper, f64::INFINITY), 0usize));
        // the part that holds the lowest leaf is `a`, so every split is seen once
        let rest = s ^ (s & s.wrapping_neg());
        // what every split costs at least is taken off both sides of a comparison, so that single precision sees the rest
        let made = self.base(kind, s);
        let base = if self.root.is_empty() { 0.0 } else { made };
        let count = s.count_ones();
        let traffic = if kind == Minimize::Time { TRAFFIC } else { 0.0 };
        // what the splits of a class (by the number of leaves of the part without the lowest) cost at least
        let third = (-b.shift / 3.0).exp2();
        let class = |j: u32| {
            let ([va, ra, ma], [vb, rb, mb]) =
                (self.least[(count - j) as usize][s & 1], self.least[j as usize][0]);
            match kind {
                Minimize::Bytes => ma + mb + made,
                _ => {
                    let moved = traffic * (ra * ra + rb * rb) * third;
                    let steps = va + vb + base + (ra * rb * self.root[s] - base).max(moved);
                    if kind == Minimize::Time { steps.max(ma + mb + made) } else { steps }
                }
            }
        };
        let least = match (kind, self.least.is_empty()) {
            (Minimize::Size, _) => self.size[s],
            (_, true) => f64::NEG_INFINITY,
            _ => {
                let each = self.made(kind, s) + f64::from(count - 2) * (-b.shift).exp2();
                (1..count).map(class).fold(f64::INFINITY, f64::min).max(each) / GAIN
            }
        };
        if least * GAIN * GAIN > b.upper {
            return best.get();
        }
        let off = base + self.toll_of(s);
        let cut_of = |value: f64| {
            let cut = ((value * (1.0 + 1e-13) - off) * self.unit) as f32;
            cut + cut.abs() * (SLACK - 1.0)
        };
        let look = |c: usize| -> f32 {
            let (cur, _) = best.get();
            let a = s ^ c;
            let (va, vb) = (self.best[a], self.best[c]);
            let floor = match kind {
                Minimize::Size => va.0.max(vb.0).max(self.size[s]),
                Minimize::Peak => va.0.max(vb.0).max(self.held(a) + self.held(c) + self.size[s]),
                Minimize::Time => va.0 + vb.0 + made + TRAFFIC * (self.size[a] + self.size[c]),
                _ => va.0 + vb.0 + made,
            };
            let bound = match self.root.is_empty() {
                true => floor,
                false => floor.max(va.0 + vb.0 + self.root[a] * self.root[c] * self.root[s]) / GAIN,
            };
            if bound <= cur.0 {
                let value = self.join::<W>(sub, kind, &b, (s, a, c), floor, any_grad);
                if value < cur {
                    best.set((value, a));
                }
            }
            let ((value, _), split) = best.get();
            // nothing is below the least
            if split != 0 && value <= least { DONE } else { cut_of(value) }
        };
        let mut cut = cut_of(b.upper);
        let key = &self.key[..];
        // where few sets are alive, go over those instead of over all subsets
        let list = &live[if s & 1 == 1 && live[1].len() < live[0].len() { 1 } else { 0 }];
        if (list.len() as u64) < 1 << (count - 1) {
            for &x in list {
                let x = x as usize;
                let c = if x & 1 == 1 { s ^ x } else { x };
                if x & !s == 0
                    && c & !rest == 0
                    && self.best[s ^ c].0.is_finite()
                    && self.best[c].0.is_finite()
                {
                    look(c);
                }
            }
            return best.get();
        }
        let own = (base * self.unit) as f32;
        let square = (traffic * third * self.unit.cbrt()) as f32 / SLACK;
        let passes = |x: [f32; 2], y: [f32; 2], root: f32, cut: f32| {
            let more = x[1] * y[1] * root / SLACK - own;
            let moved = square * (x[1] * x[1] + y[1] * y[1]);
            x[0] + y[0] + more.max(moved) <= cut
        };
        if !self.root.is_empty() {
            cut = look(rest);
            if cut == DONE {
                return best.get();
            }
        }
        if count >= CLASSES && !self.root.is_empty() {
            // one leaf against the others is the best split of dense networks, and makes a bound for the rest
            let mut left = rest;
            while left != 0 {
                let c = left & left.wrapping_neg();
                look(c);
                if rest != c {
                    cut = look(rest ^ c);
                }
                if cut == DONE {
                    return best.get();
                }
                left ^= c;
            }
            let worth = |j: u32, cut: f32| (class(j) - off) * self.unit <= f64::from(cut);
            let all = 1u64 << (count - 1);
            // the most promising first: what they find rules out others
            let mut classes: Vec<u32> = (2..count - 1).collect();
            classes.sort_by(|&x, &y| class(x).total_cmp(&class(y)));
            let spread = Spread::new(rest);
            let root = key[s][1];
            let mut sure = false;
            for (at, &j) in classes.iter().enumerate() {
                if !worth(j, cut) {
                    // nor are those behind it
                    return best.get();
                }
                let open =
                    || classes[at..].iter().filter(|&&j| worth(j, cut)).map(|&j| binomial(count - 1, j));
                sure = sure || 2 * open().sum::<u64>() < all;
                if !sure && (at > 0 || 4 * binomial(count - 1, j) > all) {
                    break;
                }
                let (mut x, end) = ((1usize << j) - 1, 1usize << (count - 1));
                while x < end {
                    let c = spread.of(x);
                    if passes(key[s ^ c], key[c], root, cut) {
                        cut = look(c);
                        if cut == DONE {
                            return best.get();
                        }
                    }
                    x = next_of_count(x);
                }
            }
            if sure {
                return best.get();
            }
        }
        let mut c = rest;
        let root = key[s][1];
        let size = (self.size[s] * self.unit) as f32;
        // every filter rules out splits that cannot be better; what passes is looked at
        macro_rules! scan {
            ($pass:expr) => {
                while c != 0 {
                    if $pass(s ^ c, c, cut) {
                        cut = look(c);
                        if cut == DONE {
                            break;
                        }
                    }
                    c = (c - 1) & rest;
                }
            };
        }
        match kind {
            Minimize::Macs | Minimize::Time if self.moved.is_empty() => {
                scan!(|a: usize, c: usize, cut| passes(key[a], key[c], root, cut));
            }
            Minimize::Macs | Minimize::Time => {
                let moved = &self.moved[..];
                scan!(
                    |a: usize, c: usize, cut| moved[a] + moved[c] <= cut && passes(key[a], key[c], root, cut)
                );
            }
            Minimize::Bytes => {
                let moved = &self.moved[..];
                scan!(|a: usize, c: usize, cut| moved[a] + moved[c] + size <= cut);
            }
            Minimize::Size => scan!(|a: usize, c: usize, cut| key[a][0].max(key[c][0]) <= cut),
            Minimize::Peak => {
                scan!(|a: usize, c: usize, cut| {
                    let (x, y) = (key[a], key[c]);
                    x[0].max(y[0]).max(x[1] + y[1] + size) <= cut
                });
            }
        }
        best.get()
    }

    /// The value of the split of `s` into `a` and `c`; `floor` is what is known without the union.
    #[inline(always)]
    fn join<const W: usize>(
        &self,
        sub: &Sub,
        kind: Minimize,
        b: &Bounds,
        (s, a, c): (usize, usize, usize),
        floor: f64,
        any_grad: bool,
    ) -> Value {
        let w = if W == 0 { sub.w } else { W };
        let (va, vb, size) = (self.best[a], self.best[c], self.size[s]);
        let all = if W == 0 && !self.root.is_empty() {
            // many words: the roots make the product but for legs on more than two tensors
            let mut l = 0.0;
            for &(k, h) in &self.thick {
                let [x, y, z] = [a, c, s].map(|t| self.legs[t * w + k] & h);
                let held = x.count_ones() + y.count_ones() + z.count_ones();
                l += (f64::from((x | y).count_ones()) - f64::from(held) / 3.0) * sub.weight[k];
            }
            let plain = self.root[a] * self.root[c] * self.root[s];
            if l > 0.0 { plain * l.exp2() } else { plain }
        } else {
            let union = |k: usize| self.legs[a * w + k] | self.legs[c * w + k];
            let l: f64 = (0..w).map(|k| f64::from(union(k).count_ones()) * sub.weight[k]).sum();
            (l - b.shift).exp2()
        };
        let times = if any_grad { grad_times(self.grad[a], self.grad[c]) } else { 1.0 };
        let macs = all * times;
        let traffic = (self.size[a] + self.size[c] + size) * times;
        let second = va.1 + vb.1 + macs;
        match kind {
            Minimize::Macs => (va.0 + vb.0 + macs, va.1.max(vb.1).max(size)),
            Minimize::Bytes => (va.0 + vb.0 + traffic, second),
            Minimize::Time => {
                // the overhead of a step without gradients is left out
                let overhead = (OVERHEAD_LOG2 - b.shift).exp2() * (times - 1.0);
                (va.0 + vb.0 + macs.max(TRAFFIC * traffic) + overhead, second)
            }
            Minimize::Size => (floor, second),
            Minimize::Peak => {
                let (sa, sc) = (self.held(a), self.held(c));
                let end = sa + sc + size;
                let ac = va.0.max(sa + vb.0).max(end);
                let ca = vb.0.max(sc + va.0).max(end);
                (ac.min(ca), second)
            }
        }
    }
}

/// The next larger number of as many bits; `x` is positive.
fn next_of_count(x: usize) -> usize {
    let low = x & x.wrapping_neg();
    let ripple = x + low;
    ((ripple ^ x) >> (2 + low.trailing_zeros())) | ripple
}

/// The number of subsets of `k` of `n`.
fn binomial(n: u32, k: u32) -> u64 {
    (0..u64::from(k)).fold(1, |p, i| p * (u64::from(n) - i) / (i + 1))
}

/// Spreads the low bits of a number over the bits of a set, ten at a time by table.
struct Spread {
    low: Vec<u32>,
    high: Vec<u32>,
}

impl Spread {
    fn new(set: usize) -> Self {
        let bits: Vec<u32> = (0..usize::BITS).filter(|b| set >> b & 1 == 1).collect();
        let table = |bits: &[u32]| {
            let mut t = vec![0u32; 1 << bits.len()];
            for x in 1..t.len() {
                t[x] = t[x & (x - 1)] | 1 << bits[x.trailing_zeros() as usize];
            }
            t
        };
        let half = bits.len().min(10);
        Self { low: table(&bits[..half]), high: table(&bits[half..]) }
    }

    #[inline(always)]
    fn of(&self, x: usize) -> usize {
        let half = self.low.len();
        (self.low[x & (half - 1)] | self.high[x / half]) as usize
    }
}

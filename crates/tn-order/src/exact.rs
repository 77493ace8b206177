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
//! they are ruled out in single precision on one small table. The multiply-adds of a split are a product of three factors, one of each operand and one of
//! the result: of the legs of both operands, those that are not the result's have their last holder among these, so they are what is closed in the result and in
//! neither operand. The factor of an operand is what is left of its leaves' legs, each shared out evenly to its holders, when what is closed in it is
//! taken off; on a plain graph that is the square root of its size. A step's traffic is there bounded by the squares of these. What every
//! step costs besides (the overhead in the modelled time) is left out: all trees have as many.

mod bounds;
mod scan;
mod splits;

use crate::Minimize;
use crate::portfolio::parallel;
use crate::sub::Sub;
use scan::{LANES, Row, Table};

/// The most leaves that a table is made for.
pub(crate) const MAX_LEAVES: usize = 22;

/// A value of the dynamic program: what is minimised, then what decides between equals.
type Value = (f64, f64);

/// Reusable tables.
#[derive(Default)]
pub(crate) struct Exact {
    size: Vec<f64>,
    /// The least multiply-adds of the step that makes a set's tensor: a leg of its tensor, or one that all of its leaves have, is on one
    /// operand whatever the split.
    made: Vec<f64>,
    /// The product of the legs of the result that no leaf outside a set has.
    own: Vec<f64>,
    best: Vec<Value>,
    split: Vec<u32>,
    grad: Vec<bool>,
    /// For the bound of a split, rounded and in units of [`Exact::unit`]: the value of a set, and its factor in the step that uses it; for the peak, what the
    /// set holds while another is computed; for traffic, the value with what it takes to read the set.
    key: Table,
    /// The same for traffic: the value of a set with what it takes to read it. Empty where the roots say as much.
    moved: Vec<Row>,
    unit: f64,
    /// What every tree with the first leaf and less than all others pays for it, taken off the values in [`Exact::key`]: next to a large
    /// hub, single precision would not see the rest. The leaf alone is never better than when it was looked at first. Zero where there are no roots.
    toll: f64,
    /// The least size of a tensor with the first leaf and some of the others of a set; empty where the objective has no use for it.
    near: Vec<f64>,
    /// log2 of a set's factor in the multiply-adds of the step that uses it, and of the one that makes it.
    half: Vec<f64>,
    gap: Vec<f64>,
    /// Whether a leg is on more than two tensors, the result among them.
    hyper: bool,
    /// The factors of sets in the steps that use them; empty where the objective has no use for them.
    root: Vec<f64>,
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

impl Bounds {
    /// What the steps of a tree of `n` leaves cost besides their work; every tree has as many.
    fn overheads(&self, kind: Minimize, n: usize) -> f64 {
        match kind {
            Minimize::Time => (n - 1) as f64 * (OVERHEAD_LOG2 - self.shift).exp2(),
            _ => 0.0,
        }
    }

    /// The bounds on what the steps cost without that.
    pub fn without_overheads(self, kind: Minimize, n: usize) -> Self {
        Self { upper: self.upper - self.overheads(kind, n), ..self }
    }
}

/// Sets done by one thread at a time.
const CHUNK: usize = 64;
/// Tables of fewer leaves are filled by one thread: starting others takes as long.
const SERIAL: usize = 16;
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
        let constant = b.overheads(kind, n);
        let b = b.without_overheads(kind, n);
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
        self.fill(sub, kind, b, over)
    }

    /// Fills the table, sets of two leaves first.
    fn fill(&mut self, sub: &Sub, kind: Minimize, b: Bounds, over: &(dyn Fn() -> bool + Sync)) -> Proof {
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
            let layer = self.layer(n, count, kind, b, threads);
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
                    let (value, split) = self.split_of(sub, kind, Bounds { upper: bar, ..b }, s, &live);
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
}

/// The next larger number of as many bits; `x` is positive.
fn next_of_count(x: usize) -> usize {
    let low = x & x.wrapping_neg();
    let ripple = x + low;
    ((ripple ^ x) >> (2 + low.trailing_zeros())) | ripple
}

//! The best split of a set: nearly all of the exact search's time.

use super::scan::{Factors, Filter, Scan};
use super::{Bounds, Exact, GAIN, OVERHEAD_LOG2, TRAFFIC, Value, next_of_count};
use crate::Minimize;
use crate::objective::grad_times;
use crate::sub::Sub;
use std::cell::Cell;

/// Rounding of the bounds in single precision.
const SLACK: f32 = 1.0 + 1e-5;
/// The bar when no split can be better than the one found.
const DONE: f32 = f32::NEG_INFINITY;
/// Sets of at least this many leaves have their splits ruled out by the number of leaves on either side first.
const CLASSES: u32 = 11;
/// Splits of a block that are ruled out in the time of one that is looked at by itself, about.
const SCAN: u64 = 3;

impl Exact {
    /// The best split of a set whose value is not above the bound, and the value.
    pub(super) fn split_of(
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
        // on a plain graph a size is the square of a root
        let traffic_of_roots = if self.hyper { 0.0 } else { traffic * third };
        let result = self.third(self.gap[s], b.shift);
        let class = |j: u32| {
            let ([va, ra, ma], [vb, rb, mb]) =
                (self.least[(count - j) as usize][s & 1], self.least[j as usize][0]);
            match kind {
                Minimize::Bytes => ma + mb + made,
                _ => {
                    let moved = traffic_of_roots * (ra * ra + rb * rb);
                    let steps = va + vb + base + (ra * rb * result - base).max(moved);
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
                false => floor.max(va.0 + vb.0 + self.root[a] * self.root[c] * result) / GAIN,
            };
            if bound <= cur.0 {
                let value = self.join(kind, &b, (s, a, c), floor, any_grad);
                if value < cur {
                    best.set((value, a));
                }
            }
            let ((value, _), split) = best.get();
            // nothing is below the least
            if split != 0 && value <= least { DONE } else { cut_of(value) }
        };
        let mut cut = cut_of(b.upper);
        let key = &self.key;
        // where few sets are alive, go over those instead of over all subsets
        let list = &live[if s & 1 == 1 && live[1].len() < live[0].len() { 1 } else { 0 }];
        let dearer = if count < CLASSES { 1 } else { SCAN };
        if dearer * (list.len() as u64) < 1 << (count - 1) {
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
        let factors = Factors {
            root: self.result_key(s, b.shift) / SLACK,
            own: (base * self.unit) as f32,
            square: (traffic_of_roots * self.unit.cbrt()) as f32 / SLACK,
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
            let mut sure = false;
            for (at, &j) in classes.iter().enumerate() {
                if !worth(j, cut) {
                    // nor are those behind it
                    return best.get();
                }
                let open =
                    || classes[at..].iter().filter(|&&j| worth(j, cut)).map(|&j| binomial(count - 1, j));
                sure = sure || 2 * SCAN * open().sum::<u64>() < all;
                if !sure && (at > 0 || 4 * SCAN * binomial(count - 1, j) > all) {
                    break;
                }
                let (mut x, end) = ((1usize << j) - 1, 1usize << (count - 1));
                while x < end {
                    let c = spread.of(x);
                    if factors.value(key.get(s ^ c), key.get(c)) <= cut {
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
        let size = (self.size[s] * self.unit) as f32;
        let filter = match kind {
            Minimize::Macs | Minimize::Time if self.moved.is_empty() => Filter::Factors(factors),
            Minimize::Macs | Minimize::Time => Filter::Moved(factors, &self.moved),
            Minimize::Bytes => Filter::Sum(size),
            Minimize::Size => Filter::Larger,
            Minimize::Peak => Filter::Held(size),
        };
        // every filter rules out splits that cannot be better; what passes is looked at
        // of equals the first is taken, and of few leaves many are equal: there the order is one that means something
        let mut scan = if count < CLASSES { Scan::ordered(s) } else { Scan::fast(s) };
        while cut != DONE
            && let Some((high, mut hits)) = scan.next(key, filter, cut)
        {
            while hits != 0 && cut != DONE {
                cut = look(high | hits.ilog2() as usize);
                hits ^= 1 << hits.ilog2();
            }
        }
        best.get()
    }

    /// The value of the split of `s` into `a` and `c`; `floor` is what is known without the union.
    #[inline(always)]
    fn join(
        &self,
        kind: Minimize,
        b: &Bounds,
        (s, a, c): (usize, usize, usize),
        floor: f64,
        any_grad: bool,
    ) -> Value {
        let (va, vb, size) = (self.best[a], self.best[c], self.size[s]);
        let all = (self.half[a] + self.half[c] + self.gap[s] - b.shift).exp2();
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

//! Exact search by dynamic programming over all subsets of the leaves, outer products included.
//!
//! For a set S of leaves the legs of its tensor do not depend on the order inside S, so the best tree over S is the
//! best over all its splits in two. Sets whose tensor alone costs more than a known tree are never split:
//! every tensor but the result is an operand, and a contraction costs at least the size of an operand.

use crate::Minimize;
use crate::objective::grad_times;
use crate::sub::Sub;

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
    best: Vec<Value>,
    split: Vec<u32>,
    grad: Vec<bool>,
}

/// What the search proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The tree found is the best there is.
    Optimal,
    /// No tree is better than the bound given, or none satisfies the limit.
    NoBetter,
    /// The work exceeded what was allowed.
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
}

impl Exact {
    /// Finds the best tree over the leaves of `sub`: an SSA path over them, its value in units of `2^shift`,
    /// and what is proven. The path is empty unless a tree below the bound was found.
    pub fn solve(
        &mut self,
        sub: &Sub,
        kind: Minimize,
        b: Bounds,
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
        self.tables(sub, b.shift);
        let proof = match sub.w {
            1 => self.fill::<1>(sub, kind, b),
            2 => self.fill::<2>(sub, kind, b),
            3 => self.fill::<3>(sub, kind, b),
            4 => self.fill::<4>(sub, kind, b),
            _ => self.fill::<0>(sub, kind, b),
        };
        let full = (1usize << n) - 1;
        let value = self.best[full].0;
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
                    x.trailing_zeros()
                } else {
                    made.iter().find(|m| m.0 == x).map_or(0, |m| m.1)
                }
            };
            path.push((id(a), id(s ^ a)));
            made.push((s, (n + path.len() - 1) as u32));
        }
        (value, Proof::Optimal)
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
        self.grad.clear();
        self.grad.resize(total, false);
        for s in 1..total {
            let low = s.trailing_zeros() as usize;
            let rest = s & (s - 1);
            for k in 0..w {
                self.union[s * w + k] = self.union[rest * w + k] | sub.rows[low * w + k];
            }
            self.grad[s] = self.grad[rest] | sub.grad[low];
        }
        for s in 1..total {
            let other = total - 1 - s;
            let mut l = -shift;
            for k in 0..w {
                let legs = self.union[s * w + k] & (self.union[other * w + k] | sub.out[k]);
                self.legs[s * w + k] = legs;
                l += f64::from(legs.count_ones()) * sub.weight[k];
            }
            self.size[s] = l.exp2();
        }
        self.best.clear();
        self.best.resize(total, (f64::INFINITY, f64::INFINITY));
        self.split.clear();
        self.split.resize(total, 0);
    }

    fn fill<const W: usize>(&mut self, sub: &Sub, kind: Minimize, b: Bounds) -> Proof {
        let n = sub.n;
        let full = (1usize << n) - 1;
        for k in 0..n {
            self.best[1 << k] = (0.0, 0.0);
        }
        let mut live: Vec<u32> = Vec::new();
        let any_grad = sub.grad.iter().any(|&g| g);
        let mut work = 0u64;
        for s in 1..=full {
            if s & (s - 1) == 0 {
                live.push(s as u32);
                continue;
            }
            let size = self.size[s];
            if size > b.max_size {
                continue;
            }
            let operand = match kind {
                Minimize::Peak => size,
                _ if s == full => 0.0,
                _ => size,
            };
            if operand > b.upper {
                continue;
            }
            // the part that holds the lowest leaf is `a`, so every split is seen once; where few sets are alive, go
            // over those instead of over all subsets
            let all = 1u64 << (s.count_ones() - 1);
            let few = (live.len() as u64) < all;
            work += all.min(live.len() as u64 + 1);
            if work > b.work {
                return Proof::GaveUp;
            }
            let mut cur = (b.upper, f64::INFINITY);
            let mut split = 0usize;
            let low = s & s.wrapping_neg();
            let rest = s ^ low;
            let mut c = rest;
            let mut at = 0;
            loop {
                if few {
                    while at < live.len() && (live[at] as usize & !rest != 0) {
                        at += 1;
                    }
                    if at == live.len() {
                        break;
                    }
                    c = live[at] as usize;
                    at += 1;
                }
                let a = s ^ c;
                let (va, vb) = (self.best[a], self.best[c]);
                let floor = match kind {
                    Minimize::Size | Minimize::Peak => va.0.max(vb.0).max(size),
                    _ => va.0 + vb.0 + operand,
                };
                if floor <= cur.0 {
                    let value = self.join::<W>(sub, kind, &b, (s, a, c), floor, any_grad);
                    if value < cur {
                        cur = value;
                        split = a;
                    }
                }
                if !few {
                    c = (c - 1) & rest;
                    if c == 0 {
                        break;
                    }
                }
            }
            if split != 0 {
                // it will be an operand of something that costs at least its size
                let more = match kind {
                    Minimize::Size | Minimize::Peak => 0.0,
                    _ => operand,
                };
                if cur.0 + more <= b.upper {
                    self.best[s] = cur;
                    self.split[s] = split as u32;
                    live.push(s as u32);
                }
            }
        }
        if self.best[full].0.is_finite() { Proof::Optimal } else { Proof::NoBetter }
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
        let mut l = 0.0;
        for k in 0..w {
            let u = self.legs[a * w + k] | self.legs[c * w + k];
            l += f64::from(u.count_ones()) * sub.weight[k];
        }
        let times = if any_grad { grad_times(self.grad[a], self.grad[c]) } else { 1.0 };
        let macs = (l - b.shift).exp2() * times;
        let traffic = (self.size[a] + self.size[c] + size) * times;
        let second = va.1 + vb.1 + macs;
        match kind {
            Minimize::Macs => (va.0 + vb.0 + macs, va.1.max(vb.1).max(size)),
            Minimize::Bytes => (va.0 + vb.0 + traffic, second),
            Minimize::Time => {
                let overhead = (12.0 - b.shift).exp2() * times;
                (va.0 + vb.0 + macs.max(8.0 * traffic) + overhead, second)
            }
            Minimize::Size => (floor, second),
            Minimize::Peak => {
                let held = |x: usize| if x & (x - 1) == 0 { 0.0 } else { self.size[x] };
                let (sa, sc) = (held(a), held(c));
                let end = sa + sc + size;
                let ac = va.0.max(sa + vb.0).max(end);
                let ca = vb.0.max(sc + va.0).max(end);
                (ac.min(ca), second)
            }
        }
    }
}

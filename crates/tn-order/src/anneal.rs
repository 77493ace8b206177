//! Annealing of a contraction tree by local rotations.
//!
//! A rotation at a node `p = (a, c)`, `a = (x, y)` makes `a = (x, c)`, `p = (a, y)`. The legs of the new `a` are
//! `(x | c) & (y | p)`, so a move looks at four rows and changes one. Moves are accepted on the change of log2 of the
//! cost of the two contractions touched, as in TreeSA (Kalachev, Panteleev, Yung, arXiv:2108.05665). Sliced legs are
//! part of the state: they are masked out of every weight, and exchanged between sweeps.

use crate::Minimize;
use crate::rng::Rng;
use crate::sub::Sub;
use std::sync::OnceLock;

/// Lookup tables: log2(1 + 2^-d) and quantiles of the exponential distribution.
struct Tables {
    add: Vec<f32>,
    exp: Vec<f32>,
}

const ADD_STEP: f32 = 64.0;
const EXP_COUNT: usize = 2048;

fn tables() -> &'static Tables {
    static T: OnceLock<Tables> = OnceLock::new();
    T.get_or_init(|| Tables {
        add: (0..(24.0 * ADD_STEP) as usize + 1)
            .map(|k| (1.0 + (-(k as f64) / f64::from(ADD_STEP)).exp2()).log2() as f32)
            .collect(),
        exp: (0..EXP_COUNT).map(|k| -((k as f64 + 0.5) / EXP_COUNT as f64).ln() as f32).collect(),
    })
}

/// The widths (in words) that the inner loop is compiled for; wider rows use a loop of any length.
const WIDTHS: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

/// A tree under annealing.
#[derive(Clone)]
pub(crate) struct Annealer<'a> {
    sub: &'a Sub,
    kind: Minimize,
    /// Whether the overhead of a step counts.
    overhead: bool,
    w: usize,
    uniform: Option<f32>,
    weight: Vec<f32>,
    /// Rows of all nodes; leaves first, then internal nodes; the last is the root.
    rows: Vec<u64>,
    kids: Vec<[u32; 2]>,
    /// log2 of the extent of every node under the mask.
    size: Vec<f32>,
    /// log2 of the additive cost of every internal node under the mask.
    cost: Vec<f32>,
    grad: Vec<bool>,
    any_grad: bool,
    /// Legs that are not sliced.
    mask: Vec<u64>,
    /// log2 of the number of slices.
    slices: f64,
    /// log2 of the largest result allowed, and the penalty per log2 above it.
    limit: f32,
    penalty: f32,
}

/// A snapshot: the tree and the sliced bits.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub path: Vec<(u32, u32)>,
    pub sliced: Vec<u32>,
    /// log2 of the additive cost, slices included.
    pub value: f64,
}

impl<'a> Annealer<'a> {
    /// Starts from a path (SSA over the leaves of `sub`; it must have at least two leaves).
    pub fn new(
        sub: &'a Sub,
        (kind, overhead): (Minimize, bool),
        path: &[(u32, u32)],
        limit: Option<f64>,
    ) -> Self {
        let w = WIDTHS.iter().copied().find(|&w| w >= sub.w).unwrap_or(sub.w);
        let mut weight: Vec<f32> = sub.weight.iter().map(|&x| x as f32).collect();
        let uniform = weight.iter().all(|&x| x == weight[0]).then_some(weight[0]);
        weight.resize(w, uniform.unwrap_or(0.0));
        let total = 2 * sub.n - 1;
        let mut rows = vec![0u64; total * w];
        for k in 0..sub.n {
            rows[k * w..k * w + sub.w].copy_from_slice(sub.row(k));
        }
        let mut kids = vec![[0u32; 2]; total];
        let mut grad = sub.grad.clone();
        for (k, &(a, b)) in path.iter().enumerate() {
            kids[sub.n + k] = [a, b];
            grad.push(grad[a as usize] | grad[b as usize]);
        }
        let mut s = Self {
            sub,
            kind,
            overhead,
            w,
            uniform,
            weight,
            rows,
            kids,
            size: vec![0.0; total],
            cost: vec![0.0; total],
            any_grad: grad.iter().any(|&g| g),
            grad,
            mask: vec![u64::MAX; w],
            slices: 0.0,
            limit: limit.map_or(f32::INFINITY, |l| l as f32 + 1e-4),
            penalty: 4.0,
        };
        s.fill_rows();
        s.reweigh();
        s
    }

    /// Rows of the internal nodes, from the root down: a leg of a node survives in a child iff the sibling or the node has it.
    fn fill_rows(&mut self) {
        let (n, w) = (self.sub.n, self.w);
        let root = 2 * n - 2;
        // unions upwards; the order of creation is bottom-up only at the start, so walk the tree
        let order = self.postorder();
        for &v in &order {
            let [a, b] = self.kids[v as usize];
            for k in 0..w {
                self.rows[v as usize * w + k] = self.rows[a as usize * w + k] | self.rows[b as usize * w + k];
            }
        }
        for k in 0..w {
            self.rows[root * w + k] = self.sub.out.get(k).copied().unwrap_or(0);
        }
        for &v in order.iter().rev() {
            let v = v as usize;
            let [a, b] = self.kids[v].map(|x| x as usize);
            for k in 0..w {
                let up = self.rows[v * w + k];
                let (ra, rb) = (self.rows[a * w + k], self.rows[b * w + k]);
                if a >= n {
                    self.rows[a * w + k] = ra & (rb | up);
                }
                if b >= n {
                    self.rows[b * w + k] = rb & (ra | up);
                }
            }
        }
    }

    /// Internal nodes, children before parents.
    fn postorder(&self) -> Vec<u32> {
        let n = self.sub.n;
        let mut order = Vec::with_capacity(n - 1);
        let mut stack = vec![2 * n as u32 - 2];
        while let Some(v) = stack.pop() {
            order.push(v);
            stack.extend(self.kids[v as usize].into_iter().filter(|&x| x as usize >= n));
        }
        order.reverse();
        order
    }

    fn weigh(&self, bits: impl Fn(usize) -> u64) -> f32 {
        (0..self.w).map(|k| (bits(k) & self.mask[k]).count_ones() as f32 * self.weight[k]).sum()
    }

    /// Sizes and costs of all nodes under the mask.
    fn reweigh(&mut self) {
        let (n, w) = (self.sub.n, self.w);
        for v in 0..2 * n - 1 {
            self.size[v] = self.weigh(|k| self.rows[v * w + k]);
        }
        for v in n..2 * n - 1 {
            let [a, b] = self.kids[v].map(|x| x as usize);
            let macs = self.weigh(|k| self.rows[a * w + k] | self.rows[b * w + k]);
            self.cost[v] =
                self.step(macs, self.size[a], self.size[b], self.size[v], self.grad[a], self.grad[b]);
        }
    }

    #[inline(always)]
    fn step(&self, macs: f32, a: f32, b: f32, out: f32, ga: bool, gb: bool) -> f32 {
        let base = match self.kind {
            Minimize::Macs | Minimize::Size | Minimize::Peak => macs,
            Minimize::Bytes => log2_add(log2_add(a, b), out),
            Minimize::Time => {
                let work = macs.max(log2_add(log2_add(a, b), out) + 3.0);
                if self.overhead { log2_add(work, 12.0) } else { work }
            }
        };
        if self.any_grad { base + [0.0, 1.0, 1.585][usize::from(ga) + usize::from(gb)] } else { base }
    }

    /// log2 of the total cost, slices included.
    pub fn total(&self) -> f64 {
        let c = &self.cost[self.sub.n..];
        let top = c.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = c.iter().map(|&x| fast_exp2(x - top)).sum();
        f64::from(top) + f64::from(sum.log2()) + self.slices
    }

    /// log2 of the largest result.
    pub fn max_size(&self) -> f32 {
        self.size[self.sub.n..].iter().copied().fold(0.0, f32::max)
    }

    /// The tree as it stands.
    pub fn snapshot(&self) -> Snapshot {
        let n = self.sub.n;
        let mut name: Vec<u32> = (0..2 * n as u32 - 1).collect();
        let mut path = Vec::with_capacity(n - 1);
        for v in self.postorder() {
            let [a, b] = self.kids[v as usize];
            name[v as usize] = (n + path.len()) as u32;
            path.push((name[a as usize], name[b as usize]));
        }
        let sliced = (0..self.sub.leg.len())
            .filter(|&b| self.mask[b / 64] >> (b % 64) & 1 == 0)
            .map(|b| self.sub.leg[b])
            .collect();
        Snapshot { path, sliced, value: self.total() }
    }

    /// Sets the sliced legs.
    pub fn set_sliced(&mut self, legs: &[u32]) {
        self.mask.fill(u64::MAX);
        self.slices = 0.0;
        for (b, leg) in self.sub.leg.iter().enumerate() {
            if *leg != u32::MAX && legs.contains(leg) {
                self.mask[b / 64] &= !(1 << (b % 64));
                self.slices += self.sub.weight[b / 64];
            }
        }
        self.reweigh();
    }

    /// One sweep of rotations at the given temperature.
    pub fn sweep(&mut self, temperature: f32, rng: &mut Rng) {
        let uniform = self.uniform.is_some();
        macro_rules! go {
            ($($w:literal)*) => {
                match (self.w, uniform) {
                    $(($w, true) => dispatch::<$w, true>(self, temperature, rng),
                      ($w, false) => dispatch::<$w, false>(self, temperature, rng),)*
                    (_, true) => dispatch::<0, true>(self, temperature, rng),
                    (_, false) => dispatch::<0, false>(self, temperature, rng),
                }
            };
        }
        go!(1 2 3 4 6 8 12 16 24);
    }

    #[inline(always)]
    fn sweep_body<const W: usize, const UNIFORM: bool>(&mut self, temperature: f32, rng: &mut Rng) {
        let n = self.sub.n;
        let w = if W == 0 { self.w } else { W };
        let t = tables();
        let count = n - 1;
        let mut at = rng.below(count);
        let back = rng.next() & 1 == 1;
        for _ in 0..count {
            at = if back {
                if at == 0 { count - 1 } else { at - 1 }
            } else if at + 1 == count {
                0
            } else {
                at + 1
            };
            let p = n + at;
            let r = rng.next();
            let mut side = (r & 1) as usize;
            let kp = self.kids[p];
            if (kp[side] as usize) < n {
                side ^= 1;
                if (kp[side] as usize) < n {
                    continue;
                }
            }
            let (a, c) = (kp[side] as usize, kp[side ^ 1] as usize);
            let keep = (r >> 1 & 1) as usize;
            let ka = self.kids[a];
            let (x, y) = (ka[keep] as usize, ka[keep ^ 1] as usize);
            let row = |v: usize| &self.rows[v * w..v * w + w];
            let (rx, ry, rc, rp, mask) = (row(x), row(y), row(c), row(p), &self.mask[..w]);
            let (mut m1, mut m2, mut sz);
            if UNIFORM {
                let (mut c1, mut c2, mut c3) = (0u32, 0u32, 0u32);
                for k in 0..w {
                    let u1 = (rx[k] | rc[k]) & mask[k];
                    let new = u1 & (ry[k] | rp[k]);
                    let u2 = new | ry[k] & mask[k];
                    c1 += u1.count_ones();
                    c2 += u2.count_ones();
                    c3 += new.count_ones();
                }
                let unit = self.weight[0];
                (m1, m2, sz) = (c1 as f32 * unit, c2 as f32 * unit, c3 as f32 * unit);
            } else {
                (m1, m2, sz) = (0.0f32, 0.0f32, 0.0f32);
                for k in 0..w {
                    let u1 = (rx[k] | rc[k]) & mask[k];
                    let new = u1 & (ry[k] | rp[k]);
                    let u2 = new | ry[k] & mask[k];
                    let unit = self.weight[k];
                    m1 += u1.count_ones() as f32 * unit;
                    m2 += u2.count_ones() as f32 * unit;
                    sz += new.count_ones() as f32 * unit;
                }
            }
            if self.kind != Minimize::Macs || self.any_grad {
                let g = &self.grad;
                let s = &self.size;
                m1 = self.step(m1, s[x], s[c], sz, g[x], g[c]);
                m2 = self.step(m2, sz, s[y], s[p], g[x] | g[c], g[y]);
            }
            let add = |u: f32, v: f32| {
                let (hi, lo) = if u > v { (u, v) } else { (v, u) };
                let k = ((hi - lo) * ADD_STEP) as usize;
                hi + t.add[k.min(t.add.len() - 1)]
            };
            let mut new = add(m1, m2);
            let mut old = add(self.cost[a], self.cost[p]);
            if self.limit < f32::INFINITY {
                new += self.penalty * (sz - self.limit).max(0.0);
                old += self.penalty * (self.size[a] - self.limit).max(0.0);
            }
            let rise = new - old;
            if rise <= 0.0 || rise < temperature * t.exp[(r >> 8) as usize % EXP_COUNT] {
                for k in 0..w {
                    let (rx, ry) = (self.rows[x * w + k], self.rows[y * w + k]);
                    let (rc, rp) = (self.rows[c * w + k], self.rows[p * w + k]);
                    self.rows[a * w + k] = (rx | rc) & (ry | rp);
                }
                self.kids[a] = [x as u32, c as u32];
                self.kids[p] = [a as u32, y as u32];
                self.cost[a] = m1;
                self.cost[p] = m2;
                self.size[a] = sz;
                if self.any_grad {
                    self.grad[a] = self.grad[x] | self.grad[c];
                }
            }
        }
    }

    fn flip(&mut self, bit: usize) {
        let m = 1u64 << (bit % 64);
        self.mask[bit / 64] ^= m;
        let on = self.mask[bit / 64] & m != 0;
        self.slices += if on { -self.sub.weight[bit / 64] } else { self.sub.weight[bit / 64] };
    }

    /// The largest result and the total (log2) under the present mask, without changing sizes and costs.
    fn probe(&self) -> (f32, f64) {
        let (n, w) = (self.sub.n, self.w);
        let mut max = 0.0f32;
        for v in n..2 * n - 1 {
            max = max.max(self.weigh(|k| self.rows[v * w + k]));
        }
        let mut costs = Vec::with_capacity(n);
        for v in n..2 * n - 1 {
            let [a, b] = self.kids[v].map(|x| x as usize);
            costs.push(self.weigh(|k| self.rows[a * w + k] | self.rows[b * w + k]));
        }
        let top = costs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = costs.iter().map(|&x| fast_exp2(x - top)).sum();
        (max, f64::from(top) + f64::from(sum.log2()) + self.slices)
    }

    /// Exchanges sliced legs: takes one out at random, slices what the limit then demands, and keeps the change on a
    /// Metropolis test. `keep` marks legs that must not be sliced.
    pub fn exchange(&mut self, temperature: f32, keep: &[bool], rng: &mut Rng) {
        if self.limit == f32::INFINITY {
            return;
        }
        let (n, w) = (self.sub.n, self.w);
        let before = (self.mask.clone(), self.slices);
        let (old_max, old_total) = (self.max_size(), self.total());
        let sliced: Vec<usize> = (0..self.sub.leg.len())
            .filter(|&b| self.sub.leg[b] != u32::MAX && self.mask[b / 64] >> (b % 64) & 1 == 0)
            .collect();
        if !sliced.is_empty() && (old_max <= self.limit || rng.next() & 1 == 0) {
            self.flip(sliced[rng.below(sliced.len())]);
        }
        // slice until the largest result fits: a random leg of the largest result, the frequent ones preferred
        for _ in 0..64 {
            let mut big = (0.0f32, n);
            for v in n..2 * n - 1 {
                let s = self.weigh(|k| self.rows[v * w + k]);
                if s > big.0 {
                    big = (s, v);
                }
            }
            if big.0 <= self.limit {
                break;
            }
            let open: Vec<usize> = (0..self.sub.leg.len())
                .filter(|&b| {
                    self.sub.leg[b] != u32::MAX
                        && !keep[self.sub.leg[b] as usize]
                        && self.rows[big.1 * w + b / 64] & self.mask[b / 64] & (1 << (b % 64)) != 0
                })
                .collect();
            if open.is_empty() {
                break;
            }
            let tries = 4.min(open.len());
            let mut pick = (f64::INFINITY, open[0]);
            for _ in 0..tries {
                let b = open[rng.below(open.len())];
                self.flip(b);
                let (_, total) = self.probe();
                self.flip(b);
                if total < pick.0 {
                    pick = (total, b);
                }
            }
            self.flip(pick.1);
        }
        let (max, total) = self.probe();
        let over = |m: f32| f64::from(self.penalty * (m - self.limit).max(0.0));
        let rise = (total + over(max) - old_total - over(old_max)) as f32;
        if rise <= 0.0 || rise < temperature * tables().exp[rng.below(EXP_COUNT)] {
            self.reweigh();
        } else {
            (self.mask, self.slices) = before;
        }
    }

    /// Whether every result is within the limit.
    pub fn fits(&self) -> bool {
        self.max_size() <= self.limit
    }
}

#[inline(always)]
fn log2_add(u: f32, v: f32) -> f32 {
    let (hi, lo) = if u > v { (u, v) } else { (v, u) };
    let t = tables();
    let k = ((hi - lo) * ADD_STEP) as usize;
    hi + t.add[k.min(t.add.len() - 1)]
}

/// 2^x for x <= 0 to about 1e-4, by a polynomial on the fraction.
#[inline(always)]
fn fast_exp2(x: f32) -> f32 {
    let x = x.max(-120.0);
    let k = x.floor();
    let f = x - k;
    let p = 1.0 + f * (0.695_65 + f * (0.226_1 + f * 0.078_1));
    f32::from_bits(((k as i32 + 127) as u32) << 23) * p
}

fn dispatch<const W: usize, const UNIFORM: bool>(s: &mut Annealer<'_>, t: f32, rng: &mut Rng) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("popcnt") && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the features that the function is compiled for were found on this machine.
            unsafe { fast::<W, UNIFORM>(s, t, rng) };
            return;
        }
    }
    s.sweep_body::<W, UNIFORM>(t, rng);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt,avx2")]
unsafe fn fast<const W: usize, const UNIFORM: bool>(s: &mut Annealer<'_>, t: f32, rng: &mut Rng) {
    s.sweep_body::<W, UNIFORM>(t, rng);
}

//! Randomised greedy search: contract the cheapest neighbouring pair, with Boltzmann noise on the cost.
//!
//! The cost of a pair is `size(result) / c - c * (size(left) + size(right))` on a logarithmic scale, as in the
//! random-greedy of Gray and Kourtis (Quantum 5, 410, 2021). Memory is linear in the network.

use crate::model::{Model, Stepper};
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A hyperedge offers at most this many partners to a tensor on it; the rest meet later or at the end.
const MAX_PARTNERS: usize = 12;

/// How a greedy run draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    /// The temperature of the noise; 0 is plain greedy.
    pub temperature: f64,
    /// The weight `c` of the operands against the result.
    pub costmod: f64,
}

impl Taste {
    /// The taste of trial `i`: the first is plain, the others are drawn.
    pub fn draw(rng: &mut Rng, i: u64) -> Self {
        match i {
            0 => Self { temperature: 0.0, costmod: 1.0 },
            _ => Self {
                temperature: (rng.unit() * 7.0 - 7.0).exp(),
                costmod: 0.1 * (rng.unit() * 40f64.ln()).exp(),
            },
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    key: u64,
    a: u32,
    b: u32,
}

/// Maps floats to integers of the same order.
fn ordered(x: f64) -> u64 {
    let b = x.to_bits();
    if b >> 63 == 1 { !b } else { b | (1 << 63) }
}

/// log2 |2^x - 2^y| with the sign of the difference kept on the logarithm.
fn signed_log2(x: f64, y: f64) -> f64 {
    if x == y {
        return 0.0;
    }
    let (hi, lo, sign) = if x > y { (x, y, 1.0) } else { (y, x, -1.0) };
    // sizes are at least 1, so a magnitude below 1 is rounding or a weight; keep the map monotone
    sign * (hi + (-(lo - hi).exp2()).ln_1p() * std::f64::consts::LOG2_E).max(0.0)
}

struct State<'a> {
    model: &'a Model,
    legs: Vec<Vec<u32>>,
    size: Vec<f64>,
    dead: Vec<bool>,
    holders: Vec<Vec<u32>>,
    held: Vec<u32>,
    heap: BinaryHeap<Reverse<Pair>>,
    taste: Taste,
    log_mod: f64,
}

impl State<'_> {
    fn push(&mut self, a: u32, b: u32, rng: &mut Rng) {
        let (ta, tb) = (&self.legs[a as usize], &self.legs[b as usize]);
        let (sa, sb) = (self.size[a as usize], self.size[b as usize]);
        let (mut i, mut j) = (0, 0);
        let mut out = sa + sb;
        while i < ta.len() && j < tb.len() {
            let (x, y) = (ta[i], tb[j]);
            if x == y {
                let l = self.model.lg[x as usize];
                out -= if self.held[x as usize] > 2 { l } else { 2.0 * l };
            }
            i += usize::from(x <= y);
            j += usize::from(y <= x);
        }
        let both = sa.max(sb) + (-(sa - sb).abs()).exp2().ln_1p() * std::f64::consts::LOG2_E;
        let mut score = signed_log2(out - self.log_mod, both + self.log_mod);
        if self.taste.temperature > 0.0 {
            score -= self.taste.temperature * rng.gumbel();
        }
        self.heap.push(Reverse(Pair { key: ordered(score), a, b }));
    }
}

/// Contracts the whole model greedily; the path is in SSA form over its terms.
pub(crate) fn greedy(model: &Model, taste: Taste, rng: &mut Rng) -> Vec<(u32, u32)> {
    let n = model.n();
    let mut holders: Vec<Vec<u32>> = vec![Vec::new(); model.lg.len()];
    for (k, t) in model.legs.iter().enumerate() {
        for &i in t {
            holders[i as usize].push(k as u32);
        }
    }
    let mut held = model.counts();
    for &i in &model.out {
        held[i as usize] += 1;
    }
    let mut s = State {
        model,
        legs: model.legs.clone(),
        size: model.legs.iter().map(|t| model.log_size(t)).collect(),
        dead: vec![false; n],
        holders,
        held,
        heap: BinaryHeap::new(),
        taste,
        log_mod: taste.costmod.log2(),
    };
    let mut stepper = Stepper::new(model);
    let mut stamp = vec![u32::MAX; 2 * n];
    // the first candidates: all pairs on small hyperedges, neighbours by size on large ones
    for i in 0..model.lg.len() {
        let mut h = s.holders[i].clone();
        if h.len() > MAX_PARTNERS {
            h.sort_by(|&a, &b| s.size[a as usize].total_cmp(&s.size[b as usize]).then(a.cmp(&b)));
            for w in h.windows(2) {
                s.push(w[0], w[1], rng);
            }
        } else {
            for (k, &a) in h.iter().enumerate() {
                for &b in &h[k + 1..] {
                    s.push(a, b, rng);
                }
            }
        }
    }
    let mut path: Vec<(u32, u32)> = Vec::with_capacity(n.saturating_sub(1));
    let mut near = Vec::new();
    while let Some(Reverse(p)) = s.heap.pop() {
        if s.dead[p.a as usize] || s.dead[p.b as usize] {
            continue;
        }
        let c = merge(&mut s, &mut stepper, p.a, p.b, &mut path);
        near.clear();
        let (legs, holders) = (&s.legs[c as usize], &s.holders);
        for &i in legs {
            let mut taken = 0;
            for &h in holders[i as usize].iter().rev() {
                if h != c && stamp[h as usize] != c {
                    stamp[h as usize] = c;
                    near.push(h);
                }
                taken += 1;
                if taken > MAX_PARTNERS {
                    break;
                }
            }
        }
        for &h in &near {
            s.push(h, c, rng);
        }
    }
    // what is left shares nothing, or only hyperedges: smallest first
    let mut rest: BinaryHeap<Reverse<(u64, u32)>> = (0..s.legs.len() as u32)
        .filter(|&k| !s.dead[k as usize])
        .map(|k| Reverse((ordered(s.size[k as usize]), k)))
        .collect();
    while let (Some(Reverse((_, a))), Some(Reverse((_, b)))) = (rest.pop(), rest.pop()) {
        let c = merge(&mut s, &mut stepper, a, b, &mut path);
        rest.push(Reverse((ordered(s.size[c as usize]), c)));
    }
    path
}

fn merge(s: &mut State<'_>, stepper: &mut Stepper, a: u32, b: u32, path: &mut Vec<(u32, u32)>) -> u32 {
    let c = s.legs.len() as u32;
    let ta = std::mem::take(&mut s.legs[a as usize]);
    let tb = std::mem::take(&mut s.legs[b as usize]);
    let mut out = Vec::with_capacity(ta.len().max(tb.len()));
    let mut size = 0.0;
    let (held, holders, model) = (&mut s.held, &mut s.holders, s.model);
    stepper.contract(&ta, &tb, &mut out, |_, _| {});
    for &i in ta.iter().chain(&tb) {
        let h = &mut holders[i as usize];
        let old = h.len();
        h.retain(|&x| x != a && x != b);
        held[i as usize] -= (old - h.len()) as u32;
    }
    for &i in &out {
        holders[i as usize].push(c);
        held[i as usize] += 1;
        size += model.lg[i as usize];
    }
    s.legs.push(out);
    s.size.push(size);
    s.dead[a as usize] = true;
    s.dead[b as usize] = true;
    s.dead.push(false);
    path.push((a, b));
    c
}

//! Randomised greedy search: contract the cheapest neighbouring pair, with Boltzmann noise on the cost.
//!
//! The cost of a pair is `size(result) / c - c * (size(left) + size(right))` on a logarithmic scale, as in the
//! random-greedy of Gray and Kourtis (Quantum 5, 410, 2021). Memory is linear in the network.

use crate::model::Model;
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

/// A tensor of more legs than this is hopeless: what is left to do is to be done fast.
const MANY_LEGS: usize = 256;

/// The tensors in places that never move: a place takes in a smaller one and becomes the node of the result.
struct State<'a> {
    model: &'a Model,
    legs: Vec<Vec<u32>>,
    size: Vec<f64>,
    /// The node that a place is, and the place of a node; a node whose place is another node by now is dead.
    node: Vec<u32>,
    place: Vec<u32>,
    /// The places on a leg.
    holders: Vec<Vec<u32>>,
    /// How many places (and the result) hold a leg.
    held: Vec<u32>,
    heap: BinaryHeap<Reverse<Pair>>,
    taste: Taste,
    log_mod: f64,
    path: Vec<(u32, u32)>,
}

impl<'a> State<'a> {
    fn new(model: &'a Model, taste: Taste) -> Self {
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
        let place: Vec<u32> = (0..n as u32).collect();
        Self {
            model,
            legs: model.legs.clone(),
            size: model.legs.iter().map(|t| model.log_size(t)).collect(),
            node: place.clone(),
            place,
            holders,
            held,
            heap: BinaryHeap::new(),
            taste,
            log_mod: taste.costmod.log2(),
            path: Vec::with_capacity(n.saturating_sub(1)),
        }
    }

    /// Offers the pair of two places.
    fn push(&mut self, a: u32, b: u32, rng: &mut Rng) {
        let (ta, tb) = (&self.legs[a as usize], &self.legs[b as usize]);
        let (sa, sb) = (self.size[a as usize], self.size[b as usize]);
        let mut out = sa + sb;
        common(ta, tb, |x| {
            let l = self.model.lg[x as usize];
            out -= if self.held[x as usize] > 2 { l } else { 2.0 * l };
        });
        let both = sa.max(sb) + (-(sa - sb).abs()).exp2().ln_1p() * std::f64::consts::LOG2_E;
        let mut score = signed_log2(out - self.log_mod, both + self.log_mod);
        if self.taste.temperature > 0.0 {
            score -= self.taste.temperature * rng.gumbel();
        }
        let (a, b) = (self.node[a as usize], self.node[b as usize]);
        self.heap.push(Reverse(Pair { key: ordered(score), a, b }));
    }

    /// The first candidates: all pairs on small hyperedges, neighbours by size on large ones.
    fn offer_all(&mut self, rng: &mut Rng) {
        for i in 0..self.model.lg.len() {
            let mut h = self.holders[i].clone();
            if h.len() > MAX_PARTNERS {
                h.sort_by(|&a, &b| self.size[a as usize].total_cmp(&self.size[b as usize]).then(a.cmp(&b)));
                for w in h.windows(2) {
                    self.push(w[0], w[1], rng);
                }
            } else {
                for (k, &a) in h.iter().enumerate() {
                    for &b in &h[k + 1..] {
                        self.push(a, b, rng);
                    }
                }
            }
        }
    }

    /// Contracts the tensors of two places; the place of more legs keeps the result.
    fn merge(&mut self, x: u32, y: u32) -> u32 {
        self.path.push((self.node[x as usize], self.node[y as usize]));
        let (c, a) = if self.legs[x as usize].len() >= self.legs[y as usize].len() { (x, y) } else { (y, x) };
        let small = std::mem::take(&mut self.legs[a as usize]);
        let large = std::mem::take(&mut self.legs[c as usize]);
        let mut out = Vec::with_capacity(large.len() + small.len());
        let mut from = 0;
        for &i in &small {
            // a few legs against many: look them up, copy what is between
            let at = match large.len() > 8 * small.len() {
                true => from + large[from..].partition_point(|&x| x < i),
                false => from + large[from..].iter().take_while(|&&x| x < i).count(),
            };
            out.extend_from_slice(&large[from..at]);
            from = at;
            let (h, held) = (&mut self.holders[i as usize], &mut self.held[i as usize]);
            if large.get(at) == Some(&i) {
                from += 1;
                *held -= 1;
                if *held > 1 {
                    h.retain(|&x| x != a);
                    out.push(i);
                } else {
                    *held = 0;
                    h.clear();
                }
            } else {
                if let Some(x) = h.iter_mut().find(|x| **x == a) {
                    *x = c;
                }
                out.push(i);
            }
        }
        out.extend_from_slice(&large[from..]);
        self.size[c as usize] = match out.len() > MANY_LEGS {
            false => self.model.log_size(&out),
            // close enough where sizes have long lost their meaning
            true => self.size[c as usize] + out.len() as f64 - large.len() as f64,
        };
        if out.len() <= MANY_LEGS {
            // the partners offered on a large hyperedge are those that changed last
            for &i in &out {
                let h = &mut self.holders[i as usize];
                if h.len() > MAX_PARTNERS
                    && let Some(at) = h.iter().position(|&x| x == c)
                {
                    h.remove(at);
                    h.push(c);
                }
            }
        }
        self.legs[c as usize] = out;
        self.node[a as usize] = u32::MAX;
        self.node[c as usize] = self.place.len() as u32;
        self.place.push(c);
        c
    }
}

/// Calls `f` with every entry of both sorted lists.
fn common(a: &[u32], b: &[u32], mut f: impl FnMut(u32)) {
    let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if b.len() > 8 * a.len() {
        a.iter().filter(|i| b.binary_search(i).is_ok()).for_each(|&i| f(i));
        return;
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        if x == y {
            f(x);
        }
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
}

/// Contracts the whole model greedily; the path is in SSA form over its terms.
pub(crate) fn greedy(model: &Model, taste: Taste, rng: &mut Rng) -> Vec<(u32, u32)> {
    let n = model.n();
    let mut s = State::new(model, taste);
    s.offer_all(rng);
    let mut stamp = vec![u32::MAX; n];
    let mut near = Vec::new();
    while let Some(Reverse(p)) = s.heap.pop() {
        let (a, b) = (s.place[p.a as usize], s.place[p.b as usize]);
        if s.node[a as usize] != p.a || s.node[b as usize] != p.b {
            continue;
        }
        let c = s.merge(a, b);
        let mark = s.node[c as usize];
        near.clear();
        let few = MANY_LEGS.min(s.legs[c as usize].len());
        for &i in &s.legs[c as usize][..few] {
            let mut taken = 0;
            for &h in s.holders[i as usize].iter().rev() {
                if h != c && stamp[h as usize] != mark {
                    stamp[h as usize] = mark;
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
    let mut rest: BinaryHeap<Reverse<(u64, u32)>> = (0..n as u32)
        .filter(|&k| s.node[k as usize] != u32::MAX)
        .map(|k| Reverse((ordered(s.size[k as usize]), k)))
        .collect();
    while let (Some(Reverse((_, a))), Some(Reverse((_, b)))) = (rest.pop(), rest.pop()) {
        let c = s.merge(a, b);
        rest.push(Reverse((ordered(s.size[c as usize]), c)));
    }
    s.path
}

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

/// A candidate: two nodes, the younger one last, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    key: u64,
    a: u32,
    b: u32,
}

/// The partners of a place, the best first.
type Partners = BinaryHeap<Reverse<(u64, u32)>>;

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
    if hi - lo > NEGLIGIBLE {
        return sign * hi.max(0.0);
    }
    // sizes are at least 1, so a magnitude below 1 is rounding or a weight; keep the map monotone
    sign * (hi + (-(lo - hi).exp2()).ln_1p() * std::f64::consts::LOG2_E).max(0.0)
}

/// log2 of a ratio at which the smaller summand is lost in the rounding of the larger.
const NEGLIGIBLE: f64 = 60.0;

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
    /// A place's candidates with what was there when it became what it is. When it is taken in they are gone at once; only the first of them
    /// is in `heap`.
    partners: Vec<Partners>,
    heap: BinaryHeap<Reverse<Pair>>,
    taste: Taste,
    log_mod: f64,
    near: Near,
    path: Vec<(u32, u32)>,
}

/// Scratch: the neighbours of a place, and what of it (log2) a contraction with them would take away.
#[derive(Default)]
struct Near {
    list: Vec<u32>,
    gain: Vec<f64>,
    /// The node that saw a place last.
    stamp: Vec<u32>,
    /// Legs on more places than are looked at.
    wide: Vec<u32>,
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
            partners: vec![Partners::new(); n],
            heap: BinaryHeap::new(),
            taste,
            log_mod: taste.costmod.log2(),
            near: Near { gain: vec![0.0; n], stamp: vec![u32::MAX; n], ..Near::default() },
            path: Vec::with_capacity(n.saturating_sub(1)),
        }
    }

    /// What the contraction of two of its holders takes away of a leg (log2).
    fn gain(&self, leg: u32) -> f64 {
        let l = self.model.lg[leg as usize];
        if self.held[leg as usize] > 2 { l } else { 2.0 * l }
    }

    /// The score of the pair of two places; `gain` is that of the legs they share.
    fn score(&self, a: u32, b: u32, gain: f64, rng: &mut Rng) -> u64 {
        let (sa, sb) = (self.size[a as usize], self.size[b as usize]);
        let apart = (sa - sb).abs();
        let more = match apart > NEGLIGIBLE {
            true => 0.0,
            false => (-apart).exp2().ln_1p() * std::f64::consts::LOG2_E,
        };
        let mut score = signed_log2(sa + sb - gain - self.log_mod, sa.max(sb) + more + self.log_mod);
        if self.taste.temperature > 0.0 {
            score -= self.taste.temperature * rng.gumbel();
        }
        ordered(score)
    }

    /// Offers the pair of two places at the start.
    fn push(&mut self, a: u32, b: u32, rng: &mut Rng) {
        let mut gain = 0.0;
        common(&self.legs[a as usize], &self.legs[b as usize], |i| gain += self.gain(i));
        let key = self.score(a, b, gain, rng);
        self.partners[b as usize].push(Reverse((key, a)));
    }

    /// Puts the best candidate of a place that is still there in the heap.
    fn offer_first(&mut self, b: u32) {
        let partners = &mut self.partners[b as usize];
        while let Some(&Reverse((key, a))) = partners.peek() {
            let at = self.place[a as usize];
            if self.node[at as usize] == a {
                self.heap.push(Reverse(Pair { key, a, b: self.node[b as usize] }));
                return;
            }
            partners.pop();
        }
    }

    /// Finds the neighbours of a place, and what each would take away.
    fn look_around(&mut self, c: u32, near: &mut Near) {
        let mark = self.node[c as usize];
        let legs = &self.legs[c as usize];
        near.list.clear();
        near.wide.clear();
        let (first, others) = legs.split_at(MANY_LEGS.min(legs.len()));
        for &i in first {
            let (h, gain) = (&self.holders[i as usize], self.gain(i));
            let wide = h.len() > MAX_PARTNERS + 1;
            if wide {
                near.wide.push(i);
            }
            for &h in h.iter().rev().take(MAX_PARTNERS + 1).filter(|&&h| h != c) {
                let at = h as usize;
                if near.stamp[at] != mark {
                    near.stamp[at] = mark;
                    near.gain[at] = 0.0;
                    near.list.push(h);
                }
                near.gain[at] += if wide { 0.0 } else { gain };
            }
        }
        // the other legs only add to the gains: one pass over them, or a look at each neighbour's legs, whichever is shorter
        let each = |h: &u32| self.legs[*h as usize].len().min(others.len());
        if near.list.iter().map(each).sum::<usize>() < others.len() {
            for &h in &near.list {
                common(others, &self.legs[h as usize], |i| near.gain[h as usize] += self.gain(i));
            }
        } else {
            for &i in others {
                let (h, gain) = (&self.holders[i as usize], self.gain(i));
                if h.len() > MAX_PARTNERS + 1 {
                    near.wide.push(i);
                    continue;
                }
                for &h in h.iter().filter(|&&h| near.stamp[h as usize] == mark) {
                    near.gain[h as usize] += gain;
                }
            }
        }
        if !near.wide.is_empty() {
            for &h in &near.list {
                common(&near.wide, &self.legs[h as usize], |i| near.gain[h as usize] += self.gain(i));
            }
        }
    }

    /// Offers a place that is new to its neighbours.
    fn offer(&mut self, c: u32, rng: &mut Rng) {
        let mut near = std::mem::take(&mut self.near);
        self.look_around(c, &mut near);
        let mut partners = std::mem::take(&mut self.partners[c as usize]).into_vec();
        partners.clear();
        for &h in &near.list {
            let key = self.score(h, c, near.gain[h as usize], rng);
            partners.push(Reverse((key, self.node[h as usize])));
        }
        self.partners[c as usize] = partners.into();
        self.offer_first(c);
        self.near = near;
    }

    /// The first candidates: all pairs on small hyperedges, neighbours by size on large ones.
    fn offer_all(&mut self, rng: &mut Rng) {
        let mut h = Vec::new();
        for i in 0..self.model.lg.len() {
            h.clone_from(&self.holders[i]);
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
        for k in 0..self.partners.len() as u32 {
            self.offer_first(k);
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
    while let Some(Reverse(p)) = s.heap.pop() {
        let (a, b) = (s.place[p.a as usize], s.place[p.b as usize]);
        if s.node[b as usize] != p.b {
            continue;
        }
        if s.node[a as usize] != p.a {
            s.offer_first(b);
            continue;
        }
        let c = s.merge(a, b);
        s.partners[(a ^ b ^ c) as usize] = Partners::new();
        s.offer(c, rng);
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

//! Linear orders: absorb one tensor after the other into a growing boundary, always the one that leaves the smallest
//! boundary. On lattices, circuits, decoders and chains this finds the sweep that pairwise greedy search misses.

use crate::cost::LogSum;
use crate::model::Model;
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How a sweep chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The smallest boundary first, then the tensor touched longest ago.
    Boundary,
    /// The smallest boundary first, then the tensor touched last: runs along a row before it begins the next.
    Latest,
    /// The tensor touched longest ago: breadth first (Cuthill and McKee), small boundaries first among equals.
    Breadth,
}

/// The order of a sweep that starts at `start` (a term); components follow one after the other.
pub(crate) fn sweep(model: &Model, rule: Rule, start: usize, noise: f64, rng: &mut Rng) -> Vec<u32> {
    let seeds: Vec<usize> = std::iter::once(start).chain(0..model.n()).collect();
    sweep_from(model, rule, &seeds, &[], noise, rng).into_iter().map(|x| x.0).collect()
}

/// A term at the far end of the component of `from`: the last one that a breadth-first search reaches.
pub(crate) fn peripheral(model: &Model, from: usize) -> usize {
    let mut rng = Rng::new(0, 0);
    let mut at = from;
    for _ in 0..2 {
        let order = component(model, at, &mut rng);
        at = order.last().copied().unwrap_or(at as u32) as usize;
    }
    at
}

/// The terms of the component of `from`, breadth first.
fn component(model: &Model, from: usize, rng: &mut Rng) -> Vec<u32> {
    let full = sweep_from(model, Rule::Breadth, &[from], &[], 0.0, rng);
    full.into_iter().map(|x| x.0).collect()
}

/// The order in which terms are absorbed; a new component is entered at the next of `seeds` not yet reached.
fn sweep_from(
    model: &Model,
    rule: Rule,
    seeds: &[usize],
    bias: &[f64],
    noise: f64,
    rng: &mut Rng,
) -> Vec<(u32, u32)> {
    let n = model.n();
    let m = model.lg.len();
    let mut at: Vec<u32> = vec![0; m + 1];
    for &i in model.legs.iter().flatten() {
        at[i as usize + 1] += 1;
    }
    for i in 0..m {
        at[i + 1] += at[i];
    }
    let mut fill = at.clone();
    let mut holders = vec![0u32; at[m] as usize];
    for (k, t) in model.legs.iter().enumerate() {
        for &i in t {
            holders[fill[i as usize] as usize] = k as u32;
            fill[i as usize] += 1;
        }
    }
    let of = |i: u32| &holders[at[i as usize] as usize..at[i as usize + 1] as usize];
    let mut left = model.counts();
    let is_out = model.is_out();
    let mut open = vec![false; m];
    // change of the boundary if the term is absorbed now; kept up to date as legs open and reach their last holder
    let mut delta: Vec<f64> = model
        .legs
        .iter()
        .map(|t| {
            t.iter()
                .map(|&i| {
                    let i = i as usize;
                    if left[i] > 1 || is_out[i] { model.lg[i] } else { 0.0 }
                })
                .sum()
        })
        .collect();
    let mut touched = vec![u32::MAX; n];
    let mut time = 0u32;
    let mut done = vec![false; n];
    let mut order = Vec::with_capacity(n);
    let mut heap: BinaryHeap<Reverse<(i64, u32, u32)>> = BinaryHeap::new();
    let mut jitter = |x: f64| if noise > 0.0 { x + noise * rng.gumbel() } else { x };
    let mut key = |rule: Rule, delta: f64, touched: u32, k: u32| {
        let d = ((jitter(delta) + bias.get(k as usize).copied().unwrap_or(0.0)) * 1024.0).round() as i64;
        match rule {
            Rule::Boundary => Reverse((d, touched, k)),
            Rule::Latest => Reverse((d, u32::MAX - touched, k)),
            Rule::Breadth => {
                Reverse((i64::from(touched), (d + (1 << 30)).clamp(0, i64::from(u32::MAX)) as u32, k))
            }
        }
    };
    for &seed in seeds {
        if done.get(seed).copied().unwrap_or(true) {
            continue;
        }
        let mut next = Some(seed as u32);
        while let Some(k) = next {
            let k = k as usize;
            if !done[k] {
                done[k] = true;
                order.push((k as u32, time));
                time += 1;
                for &i in &model.legs[k] {
                    let iu = i as usize;
                    left[iu] -= 1;
                    let l = model.lg[iu];
                    let first = !open[iu];
                    open[iu] = true;
                    let last = left[iu] == 1 && !is_out[iu];
                    if !first && !last {
                        continue;
                    }
                    for &h in of(i) {
                        let h = h as usize;
                        if done[h] {
                            continue;
                        }
                        // an open leg no longer grows the boundary; one at its last holder shrinks it
                        if first {
                            delta[h] -= l;
                        }
                        if last {
                            delta[h] -= l;
                        }
                        if touched[h] == u32::MAX || rule == Rule::Latest {
                            touched[h] = time;
                        }
                        if first || last {
                            heap.push(key(rule, delta[h], touched[h], h as u32));
                        }
                    }
                }
            }
            next = heap.pop().map(|Reverse(x)| x.2);
        }
    }
    order
}

/// A height for every term along the network: hops from the far end `start`, smoothed. What varies across the network goes, and the slope along
/// it stays, so that terms of one height are a front (as with Fiedler's vector, the slowest mode of the Laplacian, but also far from its
/// ends).
///
/// Smoothing is a low-pass filter: a Chebyshev polynomial in the averaging over neighbours, whose degree is `times` the width of the widest front of
/// hops, at most `most`. Plain averaging needs the square of that (Varga, "Matrix Iterative Analysis", 1962, ch. 5). Takes time linear in the degree
/// and the legs.
pub(crate) fn flow(model: &Model, start: usize, times: f64, most: usize) -> Vec<f64> {
    let (height, width, depth) = hops(model, start);
    let across = width.min(depth / 4);
    let rounds = ((times * across as f64) as usize).clamp(LEAST_ROUNDS.min(most), most.max(1));
    // what the polynomial divides the modes across by
    const DAMPED: f64 = 1e3;
    let decay = (2.0 * DAMPED).ln() / (2.0 * rounds.max(1) as f64);
    let slow = decay.powi(2).min(0.5);
    let mu = 2.0 / (1.0 - slow) - 1.0;
    let mut average = Averaging::new(model);
    let scale = 2.0 / (1.0 - slow);
    // the averaging, stretched so that what goes lies in [-1, 1]
    let mut stretched = |y: &[f64], out: &mut Vec<f64>| {
        average.apply(y, out);
        out.iter_mut().zip(y).for_each(|(o, y)| *o = scale * *o - y);
    };
    let (mut before, mut now, mut next) = (height, Vec::new(), Vec::new());
    stretched(&before, &mut now);
    let mut rho = 1.0 / mu;
    now.iter_mut().for_each(|x| *x *= rho);
    for _ in 1..rounds {
        let last = rho;
        rho = 1.0 / (2.0 * mu - last);
        stretched(&now, &mut next);
        for (x, b) in next.iter_mut().zip(&before) {
            *x = 2.0 * rho * *x - rho * last * b;
        }
        std::mem::swap(&mut before, &mut now);
        std::mem::swap(&mut now, &mut next);
    }
    now
}

/// The degree of the smoothing of a narrow network.
const LEAST_ROUNDS: usize = 20;

/// Hops from the term `start` over legs; other components follow, each far above the one before. With the most terms at one height.
fn hops(model: &Model, start: usize) -> (Vec<f64>, usize, usize) {
    let n = model.n();
    let mut holders: Vec<Vec<u32>> = vec![Vec::new(); model.lg.len()];
    for (k, t) in model.legs.iter().enumerate() {
        for &i in t {
            holders[i as usize].push(k as u32);
        }
    }
    let mut height = vec![f64::NAN; n];
    let mut seen = vec![false; model.lg.len()];
    let (mut base, mut width, mut depth) = (0.0, 1, 1);
    for seed in std::iter::once(start).chain(0..n) {
        if !height[seed].is_nan() {
            continue;
        }
        height[seed] = base;
        let mut level = vec![seed as u32];
        let mut h = base;
        while !level.is_empty() {
            h += 1.0;
            let mut next = Vec::new();
            for &k in &level {
                for &i in &model.legs[k as usize] {
                    if !std::mem::replace(&mut seen[i as usize], true) {
                        for &x in &holders[i as usize] {
                            if height[x as usize].is_nan() {
                                height[x as usize] = h;
                                next.push(x);
                            }
                        }
                    }
                }
            }
            width = width.max(next.len());
            level = next;
        }
        depth = depth.max((h - base) as usize);
        base = h + 1e3;
    }
    (height, width, depth)
}

/// The mean over a term's legs of the mean over each leg's terms.
struct Averaging {
    /// The legs of every term, one after the other, and where each term's end.
    legs: Vec<u32>,
    ends: Vec<u32>,
    /// One over the number of terms of a leg.
    share: Vec<f64>,
    leg: Vec<f64>,
}

impl Averaging {
    fn new(model: &Model) -> Self {
        let ends = model.legs.iter().scan(0, |end, t| {
            *end += t.len() as u32;
            Some(*end)
        });
        Self {
            ends: ends.collect(),
            legs: model.legs.iter().flatten().copied().collect(),
            share: model.counts().iter().map(|&c| 1.0 / f64::from(c.max(1))).collect(),
            leg: vec![0.0; model.lg.len()],
        }
    }

    fn apply(&mut self, from: &[f64], to: &mut Vec<f64>) {
        to.clear();
        self.leg.fill(0.0);
        let mut begin = 0;
        for (&x, &end) in from.iter().zip(&self.ends) {
            for &i in &self.legs[begin..end as usize] {
                self.leg[i as usize] += x;
            }
            begin = end as usize;
        }
        self.leg.iter_mut().zip(&self.share).for_each(|(l, s)| *l *= s);
        begin = 0;
        for (&x, &end) in from.iter().zip(&self.ends) {
            let legs = &self.legs[begin..end as usize];
            let sum: f64 = legs.iter().map(|&i| self.leg[i as usize]).sum();
            to.push(if legs.is_empty() { x } else { sum / legs.len() as f64 });
            begin = end as usize;
        }
    }
}

/// The terms by height.
pub(crate) fn by_height(height: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..height.len() as u32).collect();
    order.sort_by(|&a, &b| height[a as usize].total_cmp(&height[b as usize]).then(a.cmp(&b)));
    order
}

/// A sweep up the heights of [`flow`]: the boundary's growth (log2) plus `slope` times the height decides.
pub(crate) fn climb(model: &Model, height: &[f64], slope: f64) -> Vec<u32> {
    let seeds: Vec<usize> = by_height(height).into_iter().map(|k| k as usize).collect();
    let bias: Vec<f64> = height.iter().map(|h| h * slope).collect();
    let mut rng = Rng::new(0, 0);
    sweep_from(model, Rule::Latest, &seeds, &bias, 0.0, &mut rng).into_iter().map(|x| x.0).collect()
}

/// log2 of the multiply-adds of contracting terms one after the other, in time linear in the network: only the boundary's
/// size is followed, not its legs.
pub(crate) fn chain_cost(model: &Model, order: &[u32]) -> f64 {
    let mut left = model.counts();
    for &i in &model.out {
        left[i as usize] += 1;
    }
    let mut open = vec![false; model.lg.len()];
    let mut boundary = 0.0f64;
    let mut total = LogSum::new();
    for (step, &k) in order.iter().enumerate() {
        for &i in &model.legs[k as usize] {
            if !std::mem::replace(&mut open[i as usize], true) {
                boundary += model.lg[i as usize];
            }
        }
        if step > 0 {
            total.add(boundary);
        }
        for &i in &model.legs[k as usize] {
            let l = &mut left[i as usize];
            *l -= 1;
            if *l == 0 {
                boundary -= model.lg[i as usize];
            }
        }
    }
    total.log2()
}

/// Contracts terms one after the other in the given order.
pub(crate) fn chain(model: &Model, order: &[u32]) -> Vec<(u32, u32)> {
    let n = model.n() as u32;
    let mut path = Vec::with_capacity(order.len().saturating_sub(1));
    let mut acc = order.first().copied().unwrap_or(0);
    for &k in order.iter().skip(1) {
        path.push((acc, k));
        acc = n + path.len() as u32 - 1;
    }
    path
}

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

/// A height for every term along the network: hops from the far end `start`, smoothed by `rounds` of averaging over neighbours.
/// The averaging flattens the front across the network and keeps the slope along it, like the slowest mode of the
/// Laplacian (Fiedler's vector) on a long network, at a fixed cost.
pub(crate) fn flow(model: &Model, start: usize, rounds: usize) -> Vec<f64> {
    let n = model.n();
    let counts = model.counts();
    // hops by breadth-first search over legs; unreached components follow in the order of their terms
    let mut holders: Vec<Vec<u32>> = vec![Vec::new(); model.lg.len()];
    for (k, t) in model.legs.iter().enumerate() {
        for &i in t {
            holders[i as usize].push(k as u32);
        }
    }
    let mut height = vec![f64::NAN; n];
    let mut seen = vec![false; model.lg.len()];
    let mut base = 0.0;
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
            level = next;
        }
        base = h + 1e3;
    }
    let mut leg = vec![0.0f64; model.lg.len()];
    for _ in 0..rounds {
        leg.fill(0.0);
        for (k, t) in model.legs.iter().enumerate() {
            for &i in t {
                leg[i as usize] += height[k];
            }
        }
        for (k, t) in model.legs.iter().enumerate() {
            if !t.is_empty() {
                let sum: f64 = t.iter().map(|&i| leg[i as usize] / f64::from(counts[i as usize])).sum();
                height[k] = sum / t.len() as f64;
            }
        }
    }
    height
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

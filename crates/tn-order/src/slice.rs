//! Choosing the indices to slice for a fixed tree.

use crate::Minimize;
use crate::model::{Model, Stepper};
use crate::objective::{Limits, figures, grad_times, step_log2};

/// Where a leg occurs in a tree.
struct Uses {
    /// Steps whose union holds the leg, per leg.
    steps: Vec<Vec<u32>>,
    /// The legs of the result of every step.
    results: Vec<Vec<u32>>,
}

fn uses(model: &Model, path: &[(u32, u32)]) -> Uses {
    let mut stepper = Stepper::new(model);
    let mut legs = model.legs.clone();
    let mut u = Uses { steps: vec![Vec::new(); model.lg.len()], results: Vec::with_capacity(path.len()) };
    for (k, &(a, b)) in path.iter().enumerate() {
        let (ta, tb) = (std::mem::take(&mut legs[a as usize]), std::mem::take(&mut legs[b as usize]));
        let mut out = Vec::new();
        stepper.contract(&ta, &tb, &mut out, |i, _| u.steps[i as usize].push(k as u32));
        u.results.push(out.clone());
        legs.push(out);
    }
    u
}

/// Beyond this many slices a round takes several legs, and nothing is taken back or reordered: such a tree is hopeless, but its search must end.
const MANY: usize = 128;

/// Adds to the slices `from` greedily until the limits hold, then takes back what is not needed. Returns the sliced legs, outermost
/// first; they may fail the limits where no further leg helps. Once `hurry` says so, the choice is rough: many legs at a time.
pub(crate) fn slice(
    model: &Model,
    path: &[(u32, u32)],
    kind: Minimize,
    limits: &Limits,
    from: &[u32],
    hurry: &dyn Fn() -> bool,
) -> Vec<u32> {
    let n = model.n();
    let u = uses(model, path);
    let mut sliced: Vec<u32> = from.to_vec();
    let mut is_sliced: Vec<bool> = limits.keep.clone();
    is_sliced.resize(model.lg.len(), false);
    for &i in from {
        is_sliced[i as usize] = true;
    }
    let mut now = figures(model, path, &sliced, kind, limits);
    while now.score.excess > 0.0 {
        let walk = model.walk(path, &sliced);
        let biggest = walk.size[n..].iter().copied().fold(0.0, f64::max);
        // with a size limit, only the legs of the largest result help; for a peak, any leg of a large tensor may
        let over_size = limits.size.is_some_and(|l| now.max_size > l + 1e-9);
        let mut candidates: Vec<u32> = Vec::new();
        let window = if over_size { 1e-9 } else { 3.0 };
        for (k, r) in u.results.iter().enumerate() {
            if walk.size[n + k] >= biggest - window {
                candidates.extend(r.iter().copied().filter(|&i| !is_sliced[i as usize]));
            }
        }
        if candidates.is_empty() || !over_size {
            // the inputs and the accumulated output count as well
            let top = walk.size[..n].iter().copied().fold(0.0, f64::max);
            for (k, t) in model.legs.iter().enumerate() {
                if walk.size[k] >= top - 1.0 && !over_size {
                    candidates.extend(t.iter().copied().filter(|&i| !is_sliced[i as usize]));
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        if candidates.is_empty() {
            break;
        }
        let cost: Vec<f64> = walk
            .kids
            .iter()
            .enumerate()
            .map(|(k, &(a, b))| {
                let (a, b) = (a as usize, b as usize);
                let t = grad_times(walk.grad[a], walk.grad[b]);
                step_log2(kind, walk.macs[k], walk.size[a], walk.size[b], walk.size[n + k], t)
            })
            .collect();
        let top = cost.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lin: Vec<f64> = cost.iter().map(|c| (c - top).exp2()).collect();
        let total: f64 = lin.iter().sum();
        // overhead of a leg: what does not hold it is done once more for every value
        let mut rated: Vec<(f64, u32)> = candidates
            .iter()
            .map(|&i| {
                let d = model.lg[i as usize];
                let with: f64 = u.steps[i as usize].iter().map(|&k| lin[k as usize]).sum();
                let new = (total - with).max(0.0) * d.exp2() + with;
                ((new / total).log2() / d, i)
            })
            .collect();
        rated.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        let rough = hurry();
        let pick = if over_size || rough {
            Some(rated[0].1)
        } else {
            // try the cheap ones and take the one that lowers the peak at the least price
            let mut best: Option<(f64, u32)> = None;
            for &(price, i) in rated.iter().take(16) {
                sliced.push(i);
                let f = figures(model, path, &sliced, kind, limits);
                sliced.pop();
                let gain = now.peak - f.peak;
                if gain > 1e-9 {
                    let rate = price.max(1e-3) * model.lg[i as usize] / gain;
                    if best.is_none_or(|b| rate < b.0) {
                        best = Some((rate, i));
                    }
                }
            }
            best.map(|b| b.1).or_else(|| rated.first().map(|r| r.1))
        };
        let Some(i) = pick else { break };
        let more = match (rough, sliced.len() < MANY) {
            (false, true) => 0,
            (false, false) => sliced.len() / 4,
            (true, _) => 8 + sliced.len(),
        };
        let rest = rated.iter().map(|r| r.1).filter(|&r| r != i).take(more);
        for i in std::iter::once(i).chain(rest) {
            sliced.push(i);
            is_sliced[i as usize] = true;
        }
        now = figures(model, path, &sliced, kind, limits);
    }
    if !hurry() {
        prune(model, path, kind, limits, &mut sliced);
    }
    sliced
}

/// Takes back slices that the limits do not need.
pub(crate) fn prune(
    model: &Model,
    path: &[(u32, u32)],
    kind: Minimize,
    limits: &Limits,
    sliced: &mut Vec<u32>,
) {
    if sliced.len() > MANY {
        return;
    }
    let mut now = figures(model, path, sliced, kind, limits).score;
    let mut k = 0;
    while k < sliced.len() {
        let i = sliced.remove(k);
        let f = figures(model, path, sliced, kind, limits).score;
        if f.excess <= now.excess + 1e-12 && f.second <= now.second + 1e-9 {
            now = f;
        } else {
            sliced.insert(k, i);
            k += 1;
        }
    }
}

/// Orders the slice loops so that invariant work is hoisted the most: greedily, the loop that the least work depends
/// on goes innermost.
pub(crate) fn order_loops(model: &Model, path: &[(u32, u32)], sliced: &mut Vec<u32>) {
    if !(2..=MANY).contains(&sliced.len()) {
        return;
    }
    let walk = model.walk(path, sliced);
    let n = model.n();
    let words = sliced.len().div_ceil(64);
    let mut below = vec![0u64; words * (n + path.len())];
    for (k, t) in model.legs.iter().enumerate() {
        for (p, i) in sliced.iter().enumerate() {
            if t.binary_search(i).is_ok() {
                below[k * words + p / 64] |= 1 << (p % 64);
            }
        }
    }
    for (k, &(a, b)) in path.iter().enumerate() {
        for w in 0..words {
            below[(n + k) * words + w] = below[a as usize * words + w] | below[b as usize * words + w];
        }
    }
    let top = walk.macs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lin: Vec<f64> = walk.macs.iter().map(|m| (m - top).exp2()).collect();
    let mut left: Vec<usize> = (0..sliced.len()).collect();
    let mut settled = vec![false; path.len()];
    let mut inner: Vec<u32> = Vec::new();
    while !left.is_empty() {
        let mut pick = (f64::INFINITY, 0);
        for (at, &p) in left.iter().enumerate() {
            let depends: f64 = (0..path.len())
                .filter(|&k| !settled[k] && below[(n + k) * words + p / 64] >> (p % 64) & 1 == 1)
                .map(|k| lin[k])
                .sum();
            if depends < pick.0 {
                pick = (depends, at);
            }
        }
        let p = left.remove(pick.1);
        for k in 0..path.len() {
            settled[k] |= below[(n + k) * words + p / 64] >> (p % 64) & 1 == 1;
        }
        inner.push(sliced[p]);
    }
    inner.reverse();
    *sliced = inner;
}

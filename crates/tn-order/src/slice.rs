//! Choosing the indices to slice for a fixed tree.
//!
//! The walk along the tree is kept and changed leg by leg: a leg is on the nodes between its holders and the node where all of them have met, so
//! slicing it touches no other. Where there is no time to weigh the legs, one pass from the leaves to the root slices, wherever a tensor is too large,
//! the legs that live on for the longest.

mod loops;
mod pass;
mod slicer;

pub(crate) use loops::order_loops;

use crate::Minimize;
use crate::model::Model;
use crate::objective::{Limits, Score, figures};
use pass::in_one_pass;
use slicer::Slicer;

/// Beyond this many slices a round takes several legs, and nothing is reordered: such a tree is hopeless, but its search must end.
const MANY: usize = 128;
/// For a peak, so many of the cheapest legs are tried.
const TRIED: usize = 16;
/// For a peak, legs of tensors within this (log2) of the largest are tried; of inputs, within this of the largest input.
const NEAR: f64 = 3.0;
const NEAR_INPUT: f64 = 1.0;
/// The leaves that are looked at for the legs of the largest results, at least and per term.
const LOOKED: usize = 200_000;
const LOOKED_PER_TERM: usize = 4;
/// By so much (log2) below the limit on the peak may the largest tensor have to be.
const BELOW_PEAK: [f64; 11] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 28.0, f64::INFINITY];
/// Passes that exchange slices one by one.
const EXCHANGES: usize = 2;

impl Slicer<'_> {
    /// The legs that may be sliced of the results within `near` of the largest; of the inputs within `near_input` of the largest too, if that is given.
    fn candidates(&mut self, near: f64, near_input: Option<f64>) -> Vec<u32> {
        let n = self.model.n();
        self.now += 1;
        let mut out = Vec::new();
        let mut look = LOOKED.max(LOOKED_PER_TERM * n);
        let biggest = self.max_size();
        let mut stack = Vec::new();
        for v in n..self.walk.size.len() {
            if self.walk.size[v] < biggest - near {
                continue;
            }
            stack.push(v as u32);
            while let Some(u) = stack.pop() {
                if let Some(k) = (u as usize).checked_sub(n) {
                    stack.extend([self.path[k].0, self.path[k].1]);
                    continue;
                }
                look = look.saturating_sub(1);
                for &i in &self.model.legs[u as usize] {
                    // what closes further up is open here; the result's legs never close
                    if self.top[i as usize] > v as u32 {
                        self.note(i, &mut out);
                    }
                }
            }
            if look == 0 {
                break;
            }
        }
        if let Some(near) = near_input {
            let top = self.walk.size[..n].iter().copied().fold(0.0, f64::max);
            for k in 0..n {
                if self.walk.size[k] >= top - near {
                    for &i in &self.model.legs[k] {
                        self.note(i, &mut out);
                    }
                }
            }
        }
        out.sort_unstable();
        out
    }

    fn note(&mut self, leg: u32, out: &mut Vec<u32>) {
        let i = leg as usize;
        let kept = self.limits.keep.get(i).copied().unwrap_or(false);
        if self.seen_leg[i] != self.now && !self.is_sliced[i] && !kept {
            self.seen_leg[i] = self.now;
            out.push(leg);
        }
    }

    /// What a slice of the leg costs for every halving: what does not hold the leg is done once more for every value.
    fn rate(&mut self, leg: u32, total: f64) -> f64 {
        self.find(leg);
        let with: f64 = self.steps(leg).map(|k| self.cost[k]).sum();
        let d = self.model.lg[leg as usize];
        let new = (total - with).max(0.0) * d.exp2() + with;
        (new / total).log2() / d
    }

    /// Slices one leg after the other, the cheapest of the largest result first. Returns whether the limits hold; false as soon as there is
    /// hurry or no leg is left.
    fn one_by_one(&mut self, hurry: &dyn Fn() -> bool) -> bool {
        loop {
            let over_size = self.over_size();
            if !over_size && !self.over_peak() {
                return true;
            }
            if hurry() {
                return false;
            }
            // with a size limit, only the legs of the largest result help; for a peak, any leg of a large tensor may
            let candidates = match over_size {
                true => self.candidates(1e-9, None),
                false => self.candidates(NEAR, Some(NEAR_INPUT)),
            };
            let total = self.total();
            let mut rated: Vec<(f64, u32)> = Vec::with_capacity(candidates.len());
            for (k, &i) in candidates.iter().enumerate() {
                if k % 256 == 255 && hurry() {
                    return false;
                }
                rated.push((self.rate(i, total), i));
            }
            rated.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
            let Some(&(_, cheapest)) = rated.first() else { return false };
            let pick = if over_size { cheapest } else { self.best_for_peak(&rated).unwrap_or(cheapest) };
            let more = if self.sliced.len() < MANY { 0 } else { self.sliced.len() / 4 };
            self.add(pick);
            for i in rated.iter().map(|r| r.1).filter(|&r| r != pick).take(more) {
                self.add(i);
            }
        }
    }

    /// Of the cheap legs the one that lowers the peak at the least price.
    fn best_for_peak(&mut self, rated: &[(f64, u32)]) -> Option<u32> {
        let now = self.peak();
        let mut best: Option<(f64, u32)> = None;
        for &(price, i) in rated.iter().take(TRIED) {
            self.flip(i);
            let gain = now - self.peak();
            self.flip(i);
            if gain > 1e-9 {
                let rate = price.max(1e-3) * self.model.lg[i as usize] / gain;
                if best.is_none_or(|b| rate < b.0) {
                    best = Some((rate, i));
                }
            }
        }
        best.map(|b| b.1)
    }

    /// Takes back slices that the limits do not need.
    fn prune(&mut self, hurry: &dyn Fn() -> bool) {
        let mut k = 0;
        while k < self.sliced.len() {
            if k % 16 == 15 && hurry() {
                break;
            }
            let i = self.sliced[k];
            if self.has_room(i) {
                self.flip(i);
                if !self.over_peak() {
                    self.sliced.remove(k);
                    continue;
                }
                self.flip(i);
            }
            k += 1;
        }
    }

    /// Whether the limit on results holds without the slice of this leg.
    fn has_room(&mut self, leg: u32) -> bool {
        let Some(limit) = self.limits.size else { return true };
        let d = self.model.lg[leg as usize];
        let n = self.model.n() as u32;
        self.find(leg);
        self.nodes.iter().all(|&v| v < n || self.walk.size[v as usize] + d <= limit + 1e-9)
    }

    /// Takes one slice off at a time and slices what the limit then asks for; keeps what is cheaper.
    fn exchange(&mut self, hurry: &dyn Fn() -> bool) {
        for _ in 0..EXCHANGES {
            let mut gained = false;
            for i in self.sliced.clone() {
                if hurry() {
                    return;
                }
                let Some(at) = self.sliced.iter().position(|&s| s == i) else { continue };
                let (was, before) = (self.sliced.clone(), self.all());
                self.sliced.remove(at);
                self.flip(i);
                let fits = self.one_by_one(hurry);
                if fits {
                    self.prune(hurry);
                }
                if fits && self.all() < before - 1e-9 {
                    gained = true;
                } else {
                    self.set(&was);
                }
            }
            if !gained {
                break;
            }
        }
    }
}

/// Adds to the slices `from` until the limits hold, then takes back what is not needed. Returns the sliced legs, outermost first; they may fail the
/// limits where no further leg helps. Once `hurry` says so, the choice is rough, and made in time linear in the tree.
pub(crate) fn slice(
    model: &Model,
    path: &[(u32, u32)],
    kind: Minimize,
    limits: &Limits,
    from: &[u32],
    hurry: &dyn Fn() -> bool,
) -> Vec<u32> {
    let rate = |sliced: &[u32]| figures(model, path, sliced, kind, limits).score;
    let mut s = Slicer::new(model, path, kind, limits, from);
    let done = s.one_by_one(hurry);
    if done || !hurry() {
        s.prune(hurry);
        if limits.peak.is_none() && s.sliced.len() <= MANY {
            s.exchange(hurry);
        }
    }
    let careful = s.sliced.clone();
    let quick = quick(&mut s, from, &rate, hurry);
    let rough = !done && hurry();
    if rough || rate(&quick).better(&rate(&careful)) { quick } else { careful }
}

/// Slices in one pass for the limit on results, or by one pass for each of a few sizes below the limit on the peak.
fn quick(
    s: &mut Slicer<'_>,
    from: &[u32],
    rate: &dyn Fn(&[u32]) -> Score,
    hurry: &dyn Fn() -> bool,
) -> Vec<u32> {
    let size = s.limits.size.unwrap_or(f64::INFINITY);
    let mut made = match s.limits.peak {
        None => in_one_pass(s, from, size, false),
        Some(peak) => {
            let mut made = from.to_vec();
            for below in BELOW_PEAK {
                made = in_one_pass(s, from, size.min(peak - below).max(0.0), true);
                if rate(&made).excess <= 0.0 {
                    break;
                }
            }
            made
        }
    };
    if made.len() <= MANY || !hurry() {
        s.set(&made);
        s.prune(hurry);
        made = s.sliced.clone();
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::greedy::{Taste, greedy};
    use crate::rng::Rng;

    /// A square of tensors with a summed index that four of them share, and an open one.
    fn square(side: u32) -> Model {
        let at = |x: u32, y: u32, d: u32| 2 * (x * side + y) + d;
        let hyper = 2 * side * side;
        let mut inputs = Vec::new();
        for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
            let mut t = Vec::new();
            t.extend((x > 0).then(|| at(x.wrapping_sub(1), y, 0)));
            t.extend((x + 1 < side).then(|| at(x, y, 0)));
            t.extend((y > 0).then(|| at(x, y.wrapping_sub(1), 1)));
            t.extend((y + 1 < side).then(|| at(x, y, 1)));
            t.extend((x == y && x % 2 == 0).then_some(hyper));
            t.extend((x == 0 && y == 0).then_some(hyper + 1));
            inputs.push(t);
        }
        let sizes = (0..hyper + 2).map(|i| 2 + u64::from(i % 3)).collect();
        Model::new(&Network { inputs, output: vec![hyper + 1], sizes, needs_grad: vec![] })
    }

    fn path(m: &Model, seed: u64) -> Vec<(u32, u32)> {
        let mut rng = Rng::new(seed, 0);
        let taste = Taste::draw(&mut rng, seed);
        greedy(m, taste, &mut rng)
    }

    #[test]
    fn slices_on_and_off_leave_the_walk_as_a_new_one() {
        let (m, limits) = (square(5), Limits::default());
        for seed in 0..4 {
            let path = path(&m, seed);
            let mut s = Slicer::new(&m, &path, Minimize::Time, &limits, &[3]);
            let legs = m.lg.len() as u32;
            for leg in [0, legs - 1, legs - 2, 7, 11] {
                s.add(leg);
            }
            s.set(&[legs - 2, 11, 5]);
            let new = m.walk(&path, &s.sliced);
            for (a, b) in s.walk.size.iter().zip(&new.size).chain(s.walk.macs.iter().zip(&new.macs)) {
                assert!((a - b).abs() < 1e-9);
            }
            let all = figures(&m, &path, &s.sliced, Minimize::Time, &limits).score.value;
            assert!((s.all() - all).abs() < 1e-6);
        }
    }

    #[test]
    fn slices_hold_the_limits_with_and_without_hurry() {
        let m = square(6);
        for seed in 0..4 {
            let path = path(&m, seed);
            for (size, peak) in [(Some(5.0), None), (None, Some(11.0)), (Some(4.0), Some(12.0))] {
                let limits = Limits { size, peak, ..Limits::default() };
                let cost = |hurry: bool| {
                    let sliced = slice(&m, &path, Minimize::Macs, &limits, &[], &|| hurry);
                    let score = figures(&m, &path, &sliced, Minimize::Macs, &limits).score;
                    assert!(score.excess <= 0.0, "{size:?} {peak:?}");
                    score.value
                };
                assert!(cost(false) <= cost(true) + 1e-9);
            }
        }
    }
}

//! Extraction within a limit on memory: a choice and an order of it whose results never take more at once, for the least cost.
//!
//! Every class has a price for what its result takes. Where the peak of a choice is too high, what is live at it becomes dearer and the choice is made
//! again; where it fits, prices fall a little (a subgradient method on the Lagrangian). Small graphs are searched exhaustively from the best of these on.

use super::flat::Flat;
use super::order::Order;
use super::selection::Selection;
use crate::Clock;

/// Rounds of prices: no more, no fewer, and so that the nodes looked at in all are about so many.
const ROUNDS: usize = 48;
const FEWEST: usize = 4;
const LOOKED_AT: usize = 40_000;
/// Orders that the exhaustive search may look for.
const ORDERS: usize = 300;
/// How prices fall once a choice fits.
const FALL: f64 = 0.8;
/// The part of the whole cost that what is live at the peak is charged with in the first round in which it is too much; later rounds double it.
const STEP: f64 = 0.02;

/// A choice that fits.
#[derive(Clone, Debug)]
pub(super) struct Fitting {
    pub chosen: Vec<usize>,
    pub cost: f64,
    /// Whether nothing cheaper fits.
    pub optimal: bool,
}

impl Flat {
    /// The cheapest choice found whose peak is at most `limit` bytes; `start` is the cheapest whatever its peak. None if none was found.
    pub fn within(&self, start: &[usize], limit: f64) -> Option<Fitting> {
        let mut best = self.priced(start, limit);
        let (chosen, total) = match &best {
            Some(b) => (b.chosen.clone(), b.cost),
            None => (start.to_vec(), f64::INFINITY),
        };
        let (mut orders, mut sure) = (0, true);
        let mut accepts = |chosen: &[usize]| {
            if self.widest(chosen) > limit {
                return false;
            }
            orders += 1;
            if orders > ORDERS {
                sure = false;
                return false;
            }
            let order = self.order(chosen);
            sure &= order.optimal || order.peak <= limit;
            order.peak <= limit
        };
        let (chosen, cost, done) = self.exhaust(chosen, total, &mut accepts);
        if cost < total {
            best = Some(Fitting { chosen, cost, optimal: false });
        }
        best.map(|b| Fitting { optimal: done && sure, ..b })
    }

    /// No order does with less: some step needs its operands and its result.
    fn widest(&self, chosen: &[usize]) -> f64 {
        let live = self.live(chosen);
        let bytes = |k: usize| if self.roots.contains(&k) { 0.0 } else { self.nodes[k][chosen[k]].bytes };
        let one = |k: usize| bytes(k) + self.nodes[k][chosen[k]].args.iter().map(|&a| bytes(a)).sum::<f64>();
        (0..chosen.len()).filter(|&k| live[k]).map(one).fold(0.0, f64::max)
    }

    fn priced(&self, start: &[usize], limit: f64) -> Option<Fitting> {
        let count: usize = self.nodes.iter().map(Vec::len).sum();
        let rounds = (LOOKED_AT / count.max(1)).clamp(FEWEST, ROUNDS);
        let mut dear = self.clone();
        let mut price = vec![0.0; self.nodes.len()];
        let mut best: Option<Fitting> = None;
        let mut chosen = start.to_vec();
        let mut step = STEP * self.cost(start);
        for _ in 0..rounds {
            let order = self.order(&chosen);
            let cost = self.cost(&chosen);
            if order.peak <= limit {
                if best.as_ref().is_none_or(|b| cost < b.cost) {
                    best = Some(Fitting { chosen: chosen.clone(), cost, optimal: false });
                }
                if price.iter().all(|&p| p == 0.0) {
                    break;
                }
                price.iter_mut().for_each(|p| *p *= FALL);
            } else {
                let live = self.at_peak(&chosen, &order);
                let bytes: f64 = live.iter().map(|&k| self.nodes[k][chosen[k]].bytes).sum();
                live.iter().for_each(|&k| price[k] += step * self.nodes[k][chosen[k]].bytes / bytes.max(1.0));
                step *= if best.is_none() { 2.0 } else { 1.0 };
            }
            for (k, ways) in dear.nodes.iter_mut().enumerate() {
                for (w, plain) in ways.iter_mut().zip(&self.nodes[k]) {
                    w.cost = plain.cost + if plain.bytes > 0.0 { price[k] } else { 0.0 };
                }
            }
            let mut selection = Selection::new(&dear, dear.trees());
            selection.improve(Clock::default());
            chosen = selection.chosen;
        }
        best
    }

    /// What is live where that is most.
    fn at_peak(&self, chosen: &[usize], order: &Order) -> Vec<usize> {
        let mut waiting = vec![0usize; self.nodes.len()];
        for &k in &order.classes {
            self.nodes[k][chosen[k]].args.iter().for_each(|&a| waiting[a] += 1);
        }
        let mut live: Vec<usize> = vec![];
        let (mut most, mut at) = (0.0, vec![]);
        let bytes = |k: usize| if self.roots.contains(&k) { 0.0 } else { self.nodes[k][chosen[k]].bytes };
        for &k in &order.classes {
            live.push(k);
            let now: f64 = live.iter().map(|&k| bytes(k)).sum();
            if now > most {
                (most, at) = (now, live.clone());
            }
            for &a in &self.nodes[k][chosen[k]].args {
                waiting[a] -= 1;
            }
            live.retain(|&k| waiting[k] > 0 && bytes(k) > 0.0);
        }
        at.retain(|&k| bytes(k) > 0.0);
        at
    }
}

//! From trees that are cut more than the limit asks for, back to those that just fit.

use super::{Search, held_bytes, input_elements};
use crate::error::Error;
use crate::search::Searcher;
use crate::stages::Target;
use tn_order::{Minimize, Outcome};
use tn_plan::cost::peak_bytes_at_max;

/// Searches between trees that fit and trees that do not, where the former leave much of the room under the limit unused, or are dear.
const CLOSING: usize = 7;
/// The same in large networks.
const CLOSING_LARGE: usize = 5;
/// The same for orders of a small peak.
const SLOWER: usize = 3;
/// The part of the room under the limit that is left unused by a plan that was cut more than it had to be.
const UNUSED: f64 = 0.1;
/// Trials of each.
const TRIALS: u32 = 16;
/// With a time limit, the part of what is left of the time that each has; the rest goes to better trees within the same peak.
const SHARE: f64 = 0.08;
/// Peaks (log2) that are no further apart are one.
const CLOSE_LOG2: f64 = 0.1;

impl Search<'_> {
    /// Rounds follow the smallest peak, and may end with trees that fit and are cut far more than they have to be: the region that they cut the most is
    /// searched for a peak between that of these trees and that of the `first` ones, which do not fit, from both sides. What the slices leave may be smaller in
    /// an order that is slower and needs fewer of them: such orders are tried above that.
    pub(super) fn close_in(&mut self, first: &[Outcome], searcher: &Searcher) -> Result<(), Error> {
        let Some(best) = &self.best else { return Ok(()) };
        let held = held_bytes(&best.plan);
        let [used, room] = [peak_bytes_at_max(&best.plan), self.limit].map(|b| b.saturating_sub(held) as f64);
        if used > (1.0 - UNUSED) * room && !self.is_dear() {
            return Ok(());
        }
        let fitting = best.base.outcomes.clone();
        let peak = |o: &[Outcome], r: usize| o[r].cost.log2_peak_inter;
        let gap = |r: &usize| peak(first, *r) - peak(&fitting, *r);
        let Some(r) = (0..first.len()).max_by(|a, b| gap(a).total_cmp(&gap(b))) else { return Ok(()) };
        let range = [peak(&fitting, r).max(0.0), peak(first, r)];
        let times = if self.is_small() { CLOSING } else { CLOSING_LARGE };
        let [_, high] = self.bisect(&fitting, r, range, None, (times, searcher))?;
        if !self.is_small() && self.options.max_time.is_some() {
            return Ok(());
        }
        self.bisect(&fitting, r, [high, peak(first, r)], Some(Minimize::Peak), (SLOWER, searcher))?;
        Ok(())
    }

    /// Searches region `r` between two peaks of its intermediates (log2 of elements), of which the lower one fits, so many times; returns what is
    /// left of the range.
    fn bisect(
        &mut self,
        fitting: &[Outcome],
        r: usize,
        [mut low, mut high]: [f64; 2],
        minimize: Option<Minimize>,
        (times, searcher): (usize, &Searcher),
    ) -> Result<[f64; 2], Error> {
        // what was found where something fitted
        let mut fitted_at = low;
        for _ in 0..times {
            if high - low < CLOSE_LOG2 {
                // what just does not fit may have a smaller peak than was asked for where something fitted
                low = fitted_at;
            }
            if !high.is_finite() || high - low < CLOSE_LOG2 || searcher.is_over(self.options) {
                break;
            }
            let middle = (low + high) / 2.0;
            let target = Target {
                max_peak: Some((input_elements(&fitting[r]) + middle.exp2()).log2()),
                max_size: self.options.max_size,
                trials: Some(TRIALS),
                minimize,
                ..Target::default()
            };
            let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
            let Ok(found) = searcher.search(region, net, self.options, target, SHARE) else { break };
            let mut changed = fitting.to_vec();
            changed[r] = found;
            let before = self.fitted;
            self.attempt(&changed)?;
            let peak = changed[r].cost.log2_peak_inter.min(middle);
            match self.fitted > before {
                true => (low, fitted_at) = (middle, peak),
                false => high = peak.max(fitted_at),
            }
        }
        Ok([low, high])
    }
}

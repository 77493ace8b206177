//! From trees that are cut more than the limit asks for, back to those that just fit.

use super::{Search, held_bytes, input_elements};
use crate::error::Error;
use crate::search::Searcher;
use crate::stages::Target;
use tn_order::Outcome;
use tn_plan::cost::peak_bytes_at_max;

/// Searches between trees that fit and trees that do not, where the former leave so large a part of the room under the limit unused, or
/// are dear.
const CLOSING: usize = 5;
const UNUSED: f64 = 0.1;
/// Trials of each.
const TRIALS: u32 = 16;
/// With a time limit, the part of what is left of the time that each has; the rest goes to better trees within the same peak.
const SHARE: f64 = 0.1;
/// Peaks (log2) that are no further apart are one.
const CLOSE_LOG2: f64 = 0.1;

impl Search<'_> {
    /// Rounds follow the smallest peak, and may end with trees that fit and are cut far more than they have to be: the region that they cut the most is
    /// searched for a peak between that of these trees and that of the first ones, which do not fit, from both sides.
    pub(super) fn close_in(&mut self, first: &[Outcome], searcher: &Searcher) -> Result<(), Error> {
        let Some(best) = &self.best else { return Ok(()) };
        let held = held_bytes(&best.plan);
        let [used, room] = [peak_bytes_at_max(&best.plan), self.limit].map(|b| b.saturating_sub(held) as f64);
        if used > (1.0 - UNUSED) * room && !self.is_dear() {
            return Ok(());
        }
        let fitting = best.base.outcomes.clone();
        let above = |r: &usize| first[*r].cost.log2_peak_inter - fitting[*r].cost.log2_peak_inter;
        let Some(r) = (0..first.len()).max_by(|a, b| above(a).total_cmp(&above(b))) else { return Ok(()) };
        let (mut low, mut high) = (fitting[r].cost.log2_peak_inter.max(0.0), first[r].cost.log2_peak_inter);
        let inputs = input_elements(&first[r]);
        for _ in 0..CLOSING {
            if !high.is_finite() || high - low < CLOSE_LOG2 || searcher.is_over(self.options) {
                break;
            }
            let middle = (low + high) / 2.0;
            let target = Target {
                max_peak: Some((inputs + middle.exp2()).log2()),
                max_size: self.options.max_size,
                trials: Some(TRIALS),
                ..Target::default()
            };
            let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
            let Ok(found) = searcher.search(region, net, self.options, target, SHARE) else { break };
            let mut changed = fitting.to_vec();
            changed[r] = found;
            let peak = changed[r].cost.log2_peak_inter;
            let before = self.fitted;
            self.attempt(&changed)?;
            match self.fitted > before {
                true => low = middle,
                false => high = middle.min(peak).max(low),
            }
        }
        Ok(())
    }
}

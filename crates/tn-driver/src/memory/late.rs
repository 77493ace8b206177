//! A memory limit and a clock: a plan that fits is made sure of before the searches begin, what is left of the time goes to better ones, and where it is
//! over without one, the trees that are there are sliced.

use super::{FAR, Fitting, PARTS, Search, largest};
use crate::compile::{Prepared, endless};
use crate::error::Error;
use crate::options::Options;
use crate::search::{MEMORY_SHARE, Searcher};
use crate::stages::Target;
use std::time::Duration;
use tn_order::{Network, Outcome};
use tn_plan::cost::Machine;

/// So much longer than the time may those slices take: a part of the time, in all, and for a tensor.
const PATIENCE: f64 = 0.1;
const PATIENCE_IN_ALL: Duration = Duration::from_millis(300);
const PATIENCE_PER_TENSOR: Duration = Duration::from_micros(25);
/// A search that must find something although the time is over has so much: in all, and for a tensor.
const HASTE: Duration = Duration::from_millis(500);
const HASTE_PER_TENSOR: Duration = Duration::from_micros(20);
/// The part of the time in which a plan that fits is made sure of, where the first trees are far above the limit; and the part that may go to
/// finding that out.
const SPARE_SHARE: f64 = 0.1;
/// The part of the time of a first search whose trees are likely to fit.
const NEAR_SHARE: f64 = 0.5;
const SPARE_LOOK: f64 = 0.05;

/// Regions of at most so many tensors are solved exactly: there is nothing left to improve.
const SMALL: usize = 8;
/// Searches a region by what is left of the time, each with this part of it; below the part [`REST`] of all the time, it is let be.
const REST_ROUNDS: usize = 3;
const REST_SHARE: f64 = 0.6;
const REST: f64 = 0.1;
/// Of the time left, the part in which first trees that are not far above the limit are searched on from.
const ON_SHARE: f64 = 0.5;

impl Search<'_> {
    /// With a clock, and where the first trees are not far above the limit: the search goes on from them for trees within it, as more of its time
    /// is what they lack most.
    pub(super) fn search_on(
        &mut self,
        outcomes: &mut [Outcome],
        peak: &mut Option<u128>,
        searcher: &Searcher,
    ) -> Result<(), Error> {
        let Some(limit) = self.options.max_time.filter(|_| !searcher.is_given()) else { return Ok(()) };
        self.aimed = true;
        let large = self.large();
        for (k, &r) in large.iter().enumerate() {
            let left = limit.saturating_sub(searcher.began.elapsed()).mul_f64(ON_SHARE);
            let target = Target {
                max_peak: Some(self.allowed(outcomes, r)),
                max_size: self.options.max_size,
                ..Target::default()
            };
            let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
            let (from, time) = (outcomes[r].tree.clone(), left / (large.len() - k) as u32);
            if let Ok(found) = searcher.improve(region, net, self.options, target, from, time) {
                outcomes[r] = found;
            }
        }
        if !large.is_empty() {
            *peak = self.attempt(outcomes)?.or(*peak);
        }
        self.aimed = false;
        Ok(())
    }

    /// The regions in which there may be something to improve.
    fn large(&self) -> Vec<usize> {
        (0..self.networks.len()).filter(|&r| self.networks[r].inputs.len() > SMALL).collect()
    }

    /// Once something fits, the time that is left goes to the regions in turn: better trees within the limit.
    pub(super) fn use_rest(&mut self, searcher: &Searcher) -> Result<(), Error> {
        let Some(limit) = self.options.max_time.filter(|_| !searcher.is_given()) else { return Ok(()) };
        let large = self.large();
        for (k, r) in large.iter().cycle().copied().enumerate().take(REST_ROUNDS * large.len()) {
            let left = limit.saturating_sub(searcher.began.elapsed());
            if left < limit.mul_f64(REST) || searcher.is_over(self.options) {
                break;
            }
            let Some(best) = &self.best else { break };
            let mut outcomes = best.base.outcomes.to_vec();
            // first all that the limit may leave room for, then what is known to fit
            let known = outcomes[r].cost.log2_peak;
            let target = Target {
                max_peak: Some(if k < large.len() { self.allowed(&outcomes, r).max(known) } else { known }),
                max_size: self.options.max_size,
                ..Target::default()
            };
            let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
            let from = outcomes[r].tree.clone();
            let found = searcher.improve(region, net, self.options, target, from, left.mul_f64(REST_SHARE));
            let Ok(found) = found else { continue };
            outcomes[r] = found;
            self.attempt(&outcomes)?;
        }
        Ok(())
    }

    /// The tree of a region with slices, where there is no time for another one; if these are too many, what a search for few slices finds in haste.
    pub(super) fn sliced(
        &self,
        r: usize,
        o: &Outcome,
        target: Target,
        searcher: &Searcher,
    ) -> Result<Outcome, Error> {
        let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
        let own = searcher.improve(region, net, self.options, target, o.tree.clone(), Duration::ZERO)?;
        if !endless(&own) || searcher.is_given() {
            return Ok(own);
        }
        let time = HASTE + HASTE_PER_TENSOR * net.inputs.len() as u32;
        searcher.hasty(region, net, self.options, target, time)
    }

    /// Where nothing fits by the end of the time: the trees that are there with slices for results of a quarter, and so on, as long as that
    /// helps and patience lasts.
    pub(super) fn slice_late(&mut self, first: &[Outcome], searcher: &Searcher) -> Result<(), Error> {
        let mut outcomes = first.to_vec();
        let mut open = vec![true; outcomes.len()];
        while self.best.is_none() && self.has_patience(searcher) {
            let Some(r) = largest(&outcomes, &open) else { break };
            let size = outcomes[r].cost.log2_max_size - 2.0;
            let max_size = (size.clamp(0.0, 62.0).exp2() + 1e-6) as u64;
            let target = Target { max_size: Some(max_size), ..Target::default() };
            let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
            let from = outcomes[r].tree.clone();
            let found = searcher.improve(region, net, self.options, target, from, Duration::ZERO);
            match found {
                Ok(found) if found.cost.log2_max_size < outcomes[r].cost.log2_max_size => outcomes[r] = found,
                _ => {
                    open[r] = false;
                    continue;
                }
            }
            if outcomes.iter().any(endless) {
                break;
            }
            self.attempt(&outcomes)?;
        }
        Ok(())
    }

    /// Whether what is done when the time is over may go on.
    pub(super) fn has_patience(&self, searcher: &Searcher) -> bool {
        let Some(time) = self.options.max_time else { return true };
        let tensors: usize = self.networks.iter().map(|n| n.inputs.len()).sum();
        let more = PATIENCE_IN_ALL + PATIENCE_PER_TENSOR * tensors as u32;
        searcher.began.elapsed() < time.mul_f64(1.0 + PATIENCE) + more
    }
}

/// What is known before the first search.
#[derive(Default)]
pub struct Spare {
    /// A plan that fits.
    pub fitting: Option<Fitting>,
    /// The part of the time that the first search should have, which knows nothing of the limit.
    pub first_share: f64,
}

/// With a time limit, and where trees that are found at once are far above the memory limit: a plan that fits, by a short search for results of
/// which a few fit. Where they are not far, good trees are likely to fit by themselves, and the first search has more of the time.
///
/// # Errors
/// Whatever a stage says; that no such plan is found is none.
pub fn spare(
    prepared: &Prepared,
    networks: &[Network],
    options: &Options,
    machine: &Machine,
    searcher: &Searcher,
) -> Result<Spare, Error> {
    let none = |first_share| Ok(Spare { fitting: None, first_share });
    let (Some(_), Some(time)) = (options.memory, options.max_time) else { return none(MEMORY_SHARE) };
    let mut search = Search::new(prepared, networks, options, machine);
    let began = searcher.began.elapsed();
    let mut first = Vec::with_capacity(networks.len());
    for (region, net) in prepared.regions.iter().zip(networks) {
        let target = Target::of(options);
        let found = searcher.hasty(region, net, options, target, Duration::ZERO);
        let (Ok(found), false) = (found, searcher.is_given()) else { return none(MEMORY_SHARE) };
        first.push(found);
    }
    let width = (prepared.program.dtype.bytes() as f64).log2();
    let far = (search.limit as f64).log2() + (FAR as f64).log2() - width;
    let looked = searcher.began.elapsed() - began;
    if first.iter().all(|o| o.cost.log2_peak <= far) {
        return none(NEAR_SHARE);
    }
    if looked > time.mul_f64(SPARE_LOOK) {
        return none(MEMORY_SHARE);
    }
    let most = search.room(&first) / PARTS[0];
    if most < 1.0 {
        return none(MEMORY_SHARE);
    }
    let max_size = Some((most as u64).min(options.max_size.unwrap_or(u64::MAX)));
    let large: Vec<usize> = (0..first.len()).filter(|&r| first[r].cost.log2_max_size > most.log2()).collect();
    for &r in &large {
        let target = Target { max_size, hasty: true, ..Target::default() };
        let (region, net) = (&prepared.regions[r], &networks[r]);
        let share = SPARE_SHARE / large.len() as f64;
        match searcher.search(region, net, options, target, share) {
            Ok(found) => first[r] = found,
            Err(_) => return none(MEMORY_SHARE),
        }
    }
    search.aimed = true;
    search.attempt(&first)?;
    Ok(Spare { fitting: search.best, first_share: MEMORY_SHARE })
}

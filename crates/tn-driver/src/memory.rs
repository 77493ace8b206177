//! The search under `--memory`: the limit is on what is allocated, so every candidate is scheduled and allocated before it counts.
//!
//! First the trees as they are, under every policy for what is saved for the backward pass; if nothing fits and there are slices, the same with
//! everything inside the slice loops, so that nothing is kept across rounds. If the limit is far below, a search for results of which a few fit. If
//! none fits, the region with the largest peak is
//! searched again for a tree of a smaller peak (by the objective, and by the peak alone), sliced where needed; if there is none, it is sliced to
//! half its largest result. This goes on, each time under every policy, until
//! something fits and a little longer, and then for a peak between that of the trees that fit and that of the first ones, if much of the limit is unused; with a time limit, what is left of the time goes to better trees within the same peak. The plan with the lowest modelled time among those that fit is kept. The number of rounds is bounded.
//!
//! With a time limit, the last part of the time goes to slices of the trees that are there, if nothing fits by then; that takes a little longer
//! than the time rather than to end without a plan.
//!
//! Until something fits, the limit decides nothing but when to stop: the rounds are the same for every limit. So what an infeasible limit's
//! error names as the smallest peak is found again when it is the limit.

mod base;
mod closing;
mod late;
mod refusal;

use base::Base;
pub use late::spare;
use refusal::{beyond_all_memory, held_bytes, infeasible};

use crate::compile::{Prepared, endless};
use crate::error::Error;
use crate::joint;
use crate::options::Options;
use crate::search::{AIMED_SHARE, AIMED_SHARES, MEMORY_SHARE, Searcher};
use crate::stages::{self, Built, Target};
use crate::watch::{Figure, Seen};
use tn_order::{Minimize, Network, Outcome};
use tn_plan::SavePolicy;
use tn_plan::cost::{Machine, peak_bytes_at_max};
use tn_plan::ir::Plan;

/// Rounds of harder slicing.
const MAX_ROUNDS: usize = 64;
/// Networks of at most so many tensors are small: searches of them take little time.
const FEW: usize = 100;
/// Rounds without a smaller peak after which there is no hope.
const VAIN_ROUNDS: usize = 8;
/// Times that less is saved for the backward pass, where nothing else helps.
const SQUEEZES: usize = 64;
/// What a round wants the peak of the intermediates to become.
const RATIO: f64 = 0.7;
/// The same after [`GENTLE_ROUNDS`], which is far below what anybody wants who has a choice, and where the trees are too large to be scheduled.
const STEEP_RATIO: f64 = 0.25;
/// Trials of a search by [`STEEP_RATIO`].
const STEEP_TRIALS: u32 = 4;
/// Rounds by [`RATIO`]: to 1/17 of the peak of the first trees.
const GENTLE_ROUNDS: usize = 8;
/// Rounds after the first plan that fits: a harder slice may allow a policy that saves more and computes less.
const EXTRA_ROUNDS: usize = 2;
/// A plan is dear that costs so many times as much as the one without a limit.
const DEAR: f64 = 8.0;
/// A limit is far below a peak that is so many times as large.
const FAR: u128 = 8;
/// The parts of the room under the limit that a result may take when a search aims at the limit.
const PARTS: [f64; 6] = [3.0, 6.0, 12.0, 24.0, 48.0, 96.0];
/// Trials of each of these searches but the first, where there is a clock: how many parts fit must be known before the time goes to good trees.
const STEP_TRIALS: u32 = 16;
/// The part of the time that rounds of searches may take while nothing fits; what is left goes to slices of the trees that are there.
const SEARCHED: f64 = 0.85;
/// Trees with larger results are not even scheduled.
const MAX_LOG2_ELEMENTS: f64 = 50.0;

struct Search<'a> {
    prepared: &'a Prepared,
    networks: &'a [Network],
    options: &'a Options,
    machine: Machine,
    limit: u128,
    /// The best that fits, with its trees.
    best: Option<Fitting>,
    /// One that fits and was found in haste, for where the time ends before there is a better one.
    spare: Option<Fitting>,
    /// The plan with the smallest peak, of those that are tried whatever the limit.
    smallest: Option<Smallest>,
    /// What the first plan costs, which knows of no limit.
    free: Option<f64>,
    /// How many plans fitted.
    fitted: usize,
    /// Whether a plan that saves everything was too large.
    binds: bool,
    /// Whether what is tried now depends on the limit.
    aimed: bool,
    /// Whether trees were passed over that have too many slices to be run.
    endless: bool,
    /// What was rewritten last, and whether within limits.
    rewritten: Option<(Base, bool)>,
}

/// A plan that fits, with its figure under the objective and what it is scheduled from.
pub(crate) struct Fitting {
    cost: f64,
    plan: Plan,
    base: Base,
}

/// A plan with its peak, and what it is scheduled from.
struct Smallest {
    peak: u128,
    plan: Plan,
    base: Base,
}

impl<'a> Search<'a> {
    fn new(prepared: &'a Prepared, networks: &'a [Network], options: &'a Options, machine: &Machine) -> Self {
        Search {
            prepared,
            networks,
            options,
            machine: machine.clone(),
            limit: options.memory.unwrap_or(u64::MAX) as u128,
            best: None,
            spare: None,
            smallest: None,
            free: None,
            fitted: 0,
            binds: false,
            aimed: false,
            endless: false,
            rewritten: None,
        }
    }

    /// The elements that are left to results under the limit, if these are the inputs' trees. A tensor that stands in many places is one, which shows
    /// once something was scheduled.
    fn room(&self, trees: &[Outcome]) -> f64 {
        let inputs = trees.iter().map(input_elements).fold(0.0, f64::max);
        let held = |s: &Smallest| held_bytes(&s.plan) as f64 / self.prepared.program.dtype.bytes() as f64;
        self.elements() - self.smallest.as_ref().map_or(inputs, |s| inputs.min(held(s)))
    }

    /// The peak (log2 of elements) that a search of one of these trees may go up to, which counts every input of the region, and none of what else the
    /// caller holds: from either side it is a guess, and schedules tell.
    fn allowed(&self, trees: &[Outcome], r: usize) -> f64 {
        (input_elements(&trees[r]) + self.room(trees)).max(self.elements()).max(1.0).log2()
    }

    /// Schedules and allocates these trees: everything saved, then less and less.
    /// Returns the smallest peak of these trees; none if they were not even scheduled.
    fn attempt(&mut self, outcomes: &[Outcome]) -> Result<Option<u128>, Error> {
        let endless = outcomes.iter().any(endless);
        self.endless |= endless;
        if endless || outcomes.iter().any(|o| o.cost.log2_max_tensor > MAX_LOG2_ELEMENTS) {
            return Ok(None);
        }
        let mut least = u128::MAX;
        for remake in [false, true] {
            // What the slice loops do not change fills a small workspace; making it in every round costs work that others need not do.
            if remake && (least <= self.limit || outcomes.iter().all(|o| o.tree.sliced.is_empty())) {
                break;
            }
            least = least.min(self.policies(outcomes, remake)?);
        }
        Ok(Some(least))
    }

    /// The search's other good trees, where the fastest plan is wanted: which has the fastest kernels shows when they are scheduled.
    fn other_trees(&mut self, outcomes: &[Outcome], searcher: &Searcher) -> Result<(), Error> {
        let base = self.best.as_ref().map(|b| &b.base).or(self.smallest.as_ref().map(|s| &s.base));
        let nodes = base.map_or(usize::MAX, |b| b.dag().len());
        let count = stages::candidate_count(outcomes, self.options, nodes);
        for k in 0..if self.options.minimize == Minimize::Time { count } else { 0 } {
            if searcher.is_over(self.options) {
                break;
            }
            self.attempt(&stages::with_candidate(self.networks, outcomes, k))?;
        }
        Ok(())
    }

    /// The same under every policy for what is saved.
    fn policies(&mut self, outcomes: &[Outcome], remake: bool) -> Result<u128, Error> {
        let mut outcomes = outcomes.to_vec();
        if remake {
            // nothing is hoisted
            outcomes.iter_mut().for_each(|o| o.cost.log10_macs_hoisted = o.cost.log10_macs);
        }
        let dag = stages::dag(self.prepared, &outcomes, self.options, remake)?;
        self.policies_of(&Base::new(self.prepared, outcomes, dag, self.options))
    }

    fn policies_of(&mut self, base: &Base) -> Result<u128, Error> {
        let mut least = u128::MAX;
        let mut policies = vec![SavePolicy::SaveAll];
        let (mut at, mut fitted) = (0, None);
        while at < policies.len() {
            let save = policies[at];
            let plan = self.schedule(base, save)?;
            let peak = peak_bytes_at_max(&plan);
            self.binds |= at == 0 && peak > self.limit;
            if at == 0 && self.options.grad && self.options.rules.is_on("remake") && peak > self.limit {
                let just = plan.summary.saved_bytes.saturating_sub(peak - self.limit);
                fitted = u64::try_from(just).ok().map(SavePolicy::Keep);
                policies.extend(less_saved(&plan));
                policies.extend(fitted);
            }
            at += 1;
            // what depends on the limit is only good for that limit
            if Some(save) != fitted && !self.aimed {
                least = least.min(peak);
                if self.smallest.as_ref().is_none_or(|s| peak < s.peak) {
                    self.smallest = Some(Smallest { peak, plan: plan.clone(), base: base.clone() });
                }
            }
            self.offer(peak, base, plan);
        }
        Ok(least)
    }

    /// Keeps a plan if it fits and is the best of those.
    fn offer(&mut self, peak: u128, base: &Base, plan: Plan) {
        let cost = joint::figure(&plan.summary, self.options.minimize);
        self.free.get_or_insert(cost);
        self.fitted += usize::from(peak <= self.limit);
        if peak <= self.limit && self.best.as_ref().is_none_or(|b| cost < b.cost) {
            if let Some(tell) = self.options.watch.as_ref().and_then(|w| w.tell.as_ref()) {
                tell(&Seen::Plan(Figure { minimize: self.options.minimize, log10: cost.log10() }));
            }
            self.best = Some(Fitting { cost, plan, base: base.clone() });
        }
    }

    /// Where nothing fits after all rounds: from the plan with the smallest peak on, less and less is saved, as long as that helps and
    /// until it fits. The steps are the same for every limit.
    fn squeeze(&mut self, searcher: &Searcher) -> Result<(), Error> {
        let most = if self.options.rules.is_on("remake") { SQUEEZES } else { 0 };
        for _ in 0..most {
            if searcher.is_over(self.options) && !self.has_patience(searcher) {
                break;
            }
            let Some(now) = self.smallest.take_if(|s| s.peak > self.limit && s.plan.summary.saved_bytes > 0)
            else {
                break;
            };
            let saved = now.plan.summary.saved_bytes;
            let mut smaller = None;
            for less in [now.peak / 16, 1] {
                let keep = u64::try_from(saved.saturating_sub(less.max(1))).unwrap_or(u64::MAX);
                let plan = self.schedule(&now.base, SavePolicy::Keep(keep))?;
                let peak = peak_bytes_at_max(&plan);
                if peak < now.peak {
                    smaller = Some((peak, plan));
                    break;
                }
            }
            let Some((peak, plan)) = smaller else {
                self.smallest = Some(now);
                break;
            };
            self.offer(peak, &now.base, plan.clone());
            self.smallest = Some(Smallest { peak, plan, ..now });
        }
        Ok(())
    }

    /// Searches region `r` again for a peak of the intermediates that is `ratio` of what it is, in several ways, and tries what is found. Returns
    /// the outcome that leads to the smallest peak, with that peak; none if the region cannot be made smaller.
    fn round(
        &mut self,
        outcomes: &[Outcome],
        peak: Option<u128>,
        r: usize,
        ratio: f64,
        searcher: &Searcher,
    ) -> Result<Option<(u128, Outcome)>, Error> {
        let mut next: Option<(u128, Outcome)> = None;
        let trials = (ratio == STEEP_RATIO).then_some(STEEP_TRIALS);
        for target in targets(&outcomes[r], self.options, ratio) {
            let target = Target { trials, ..target };
            let found = smaller(self.prepared, self.networks, outcomes, self.options, r, target, searcher);
            let Some(found) = found else { continue };
            let mut changed = outcomes.to_vec();
            changed[r] = found.clone();
            let least = self.attempt(&changed)?.unwrap_or(u128::MAX);
            if next.as_ref().is_none_or(|(p, _)| least < *p) {
                next = Some((least, found));
            }
            // Halving the largest result is for where no smaller peak was found.
            if target.max_size.is_none() && least < peak.unwrap_or(u128::MAX) && target.minimize.is_some() {
                break;
            }
        }
        Ok(next)
    }

    /// Whether the limit is not far below this peak, so that rounds lead there.
    fn is_near(&self, peak: Option<u128>) -> bool {
        peak.is_some_and(|p| p / FAR <= self.limit)
    }

    /// Where the first trees are far above the limit, all regions are searched at once for results of which a few fit: there the slices are
    /// chosen inside the search, which finds far cheaper ones than rounds that shrink a tree step by step.
    ///
    /// Where the time is over or somebody asked to stop, no other way to a plan is left: then this is tried whatever the peak, with slices
    /// of the trees that are there.
    fn aim(&mut self, first: &[Outcome], peak: Option<u128>, searcher: &Searcher) -> Result<(), Error> {
        let over = searcher.is_late(self.options, SEARCHED);
        if self.best.is_some() || (self.is_near(peak) && !over) || (over && self.spare.is_some()) {
            return Ok(());
        }
        self.aimed = true;
        let room = self.room(first);
        // what a large network lacks most is time for each search
        let step = if self.is_small() { 1 } else { 2 };
        for (k, parts) in PARTS.into_iter().step_by(step).enumerate() {
            let share = if self.is_small() { AIMED_SHARES[k.min(1)] } else { AIMED_SHARE };
            let most = room / parts;
            if most < 1.0 {
                break;
            }
            let max_size = Some((most as u64).min(self.options.max_size.unwrap_or(u64::MAX)));
            let mut outcomes = first.to_vec();
            for (r, o) in outcomes.iter_mut().enumerate() {
                if o.cost.log2_max_size <= most.log2() {
                    continue;
                }
                let trials =
                    (k > 0 && self.options.max_time.is_some() && self.is_small()).then_some(STEP_TRIALS);
                let target = Target { max_size, trials, ..Target::default() };
                let (region, net) = (&self.prepared.regions[r], &self.networks[r]);
                let found = match searcher.is_late(self.options, SEARCHED) {
                    true => self.sliced(r, o, target, searcher),
                    false => searcher.search(region, net, self.options, target, share),
                };
                match found {
                    Ok(found) => *o = found,
                    Err(_) => break,
                }
            }
            self.attempt(&outcomes)?;
            // smaller results take more slices
            if self.best.is_some() || (outcomes.iter().any(endless) && over) {
                break;
            }
        }
        self.aimed = false;
        Ok(())
    }

    /// Whether what the caller holds is above the limit already, and no time is left to look for the smallest peak nevertheless: where that takes long,
    /// it is not looked for.
    fn is_hopeless(&self, searcher: &Searcher) -> bool {
        (!self.is_small() || searcher.is_late(self.options, SEARCHED))
            && self.smallest.as_ref().is_some_and(|s| held_bytes(&s.plan) > self.limit)
    }

    /// Whether there is little to search.
    fn is_small(&self) -> bool {
        self.networks.iter().map(|n| n.inputs.len()).sum::<usize>() <= FEW
    }

    /// Whether the best plan costs many times as much as the one without a limit.
    fn is_dear(&self) -> bool {
        self.best.as_ref().zip(self.free).is_some_and(|(best, free)| best.cost > DEAR * free)
    }

    /// The elements that the limit has room for.
    fn elements(&self) -> f64 {
        self.limit as f64 / self.prepared.program.dtype.bytes() as f64
    }

    fn schedule(&self, base: &Base, save: SavePolicy) -> Result<Plan, Error> {
        let (outcomes, dag) = (&base.outcomes, base.dag());
        stages::schedule(self.prepared, self.networks, outcomes, dag, self.options, &self.machine, save)
    }
}

/// Policies worth trying where saving everything needs too much: halves of what is saved, nothing.
fn less_saved(plan: &Plan) -> Vec<SavePolicy> {
    let saved = plan.summary.saved_bytes;
    let mut budgets = vec![saved / 2, saved / 4, saved / 8];
    budgets.retain(|&b| b > 0 && b < saved);
    budgets.dedup();
    let keep = budgets.into_iter().filter_map(|b| u64::try_from(b).ok()).map(SavePolicy::Keep);
    keep.chain([SavePolicy::Recompute]).collect()
}

/// A plan whose allocated peak is at most `options.memory` bytes.
///
/// # Errors
/// [`Error::Infeasible`] with the smallest peak found; whatever a stage says.
pub fn within(
    prepared: &Prepared,
    networks: &[Network],
    (first, spare): (Vec<Outcome>, Option<Fitting>),
    options: &Options,
    machine: &Machine,
    searcher: &Searcher,
) -> Result<(Vec<Outcome>, Built), Error> {
    let limit = options.memory.unwrap_or(u64::MAX);
    beyond_all_memory(prepared, limit)?;
    let mut search = Search { spare, ..Search::new(prepared, networks, options, machine) };
    let mut outcomes = first.clone();
    let mut peak = search.attempt(&outcomes)?;
    let binds = search.binds;
    // Where another tree, a rewritten program or one that saves less fits, nothing more is needed. What the rounds find may be faster
    // nevertheless, so that there are a few where the limit binds.
    search.other_trees(&outcomes, searcher)?;
    search.rewrite(searcher, false)?;
    let aside = binds && search.best.is_some() && options.max_time.is_none();
    if aside {
        search.spare = [search.spare.take(), search.best.take()].into_iter().flatten().min_by(cheaper);
    }
    if search.best.is_none() && search.is_near(peak) && !search.is_hopeless(searcher) {
        search.search_on(&mut outcomes, &mut peak, searcher)?;
    }
    if !search.is_hopeless(searcher) {
        search.aim(&outcomes, peak, searcher)?;
    }
    let most = if aside { GENTLE_ROUNDS } else { MAX_ROUNDS };
    let mut left = if search.best.is_some() || search.is_hopeless(searcher) { 0 } else { most };
    let (mut vain, mut rounds) = (0, 0);
    // A region is out once it cannot be made smaller.
    let mut open = vec![true; outcomes.len()];
    while left > 0
        && !search.is_hopeless(searcher)
        && !searcher.is_late(options, if search.best.is_some() { 1.0 } else { SEARCHED })
    {
        let Some(r) = largest(&outcomes, &open) else { break };
        rounds += 1;
        let had = search.best.is_some();
        let gentle = peak.is_some() && left > most - GENTLE_ROUNDS;
        let ratio = if gentle { RATIO } else { STEEP_RATIO };
        let record = search.smallest.as_ref().map(|s| s.peak);
        let next = search.round(&outcomes, peak, r, ratio, searcher)?;
        if !had
            && search.best.is_some()
            && let Some(p) = peak
        {
            // The round went further than it had to, or not by the cheapest way: the last trees once more, for just the limit.
            let held = search.smallest.as_ref().map_or(0, |s| held_bytes(&s.plan));
            let wanted = search.limit.saturating_sub(held) as f64 / p.saturating_sub(held).max(1) as f64;
            search.round(&outcomes, peak, r, wanted.clamp(0.25, 0.98), searcher)?;
        }
        match next {
            Some((least, found)) => {
                outcomes[r] = found;
                peak = Some(least).filter(|&p| p < u128::MAX);
            }
            None => open[r] = false,
        }
        vain = if search.smallest.as_ref().map(|s| s.peak) == record { vain + 1 } else { 0 };
        left = match (had, search.best.is_some()) {
            (false, true) => EXTRA_ROUNDS,
            (false, false) if vain >= VAIN_ROUNDS && peak.is_some() => 0,
            _ => left - 1,
        };
    }
    let over = search.best.is_none() && searcher.is_late(options, SEARCHED);
    let is_done = over && search.spare.is_some();
    if !search.is_hopeless(searcher) && !is_done {
        if search.best.is_none() && (search.is_near(peak) || over) {
            search.aim(&outcomes, peak, searcher)?;
        }
        if search.best.is_none() && over {
            search.slice_late(&outcomes, searcher)?;
        }
        match search.best {
            None if aside => {}
            None => search.squeeze(searcher)?,
            Some(_) => {
                if binds && !searcher.is_over(options) {
                    // where much is to be gained by other trees, a clock must not end before they are looked for
                    let trees_first = search.is_dear() && options.max_time.is_some() && search.is_small();
                    if trees_first {
                        search.close_in(&first, searcher)?;
                    }
                    // what the optimiser makes of these trees may be better than what it makes of better trees
                    search.rewrite(searcher, true)?;
                    if !trees_first {
                        search.close_in(&first, searcher)?;
                    }
                }
                search.use_rest(searcher)?;
            }
        }
    }
    search.best = [search.best.take(), search.spare.take()].into_iter().flatten().min_by(cheaper);
    if !search.is_hopeless(searcher) && !searcher.is_over(options) {
        search.rewrite(searcher, true)?;
    }
    match search.best {
        Some(best) => {
            let built = best.base.built(best.plan)?;
            Ok((best.base.outcomes.to_vec(), Built { pressed: binds && rounds <= GENTLE_ROUNDS, ..built }))
        }
        None => {
            let mut help = Vec::new();
            let stopped = options.watch.as_ref().is_some_and(|w| w.is_stopped());
            if search.is_hopeless(searcher) {
                help.push("the smallest peak was not searched for to the end, as nothing can fit".into());
            } else if over && !stopped {
                help.push("the time was over before the search was; allow more with `--max-time`".into());
            } else if over {
                help.push("the search was stopped before its end; let it go on".into());
            }
            if search.endless {
                help.push(
                    "trees that may fit were passed over, as no machine runs through all their slices".into(),
                );
            }
            Err(infeasible(search.smallest.map(|s| (s.peak, s.plan)), limit, &outcomes, prepared, help))
        }
    }
}

/// The elements of a region's inputs.
fn input_elements(o: &Outcome) -> f64 {
    (o.cost.log2_peak.exp2() - o.cost.log2_peak_inter.exp2()).max(0.0)
}

fn cheaper(a: &Fitting, b: &Fitting) -> std::cmp::Ordering {
    a.cost.total_cmp(&b.cost)
}

fn largest(outcomes: &[Outcome], open: &[bool]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (k, o) in outcomes.iter().enumerate() {
        let larger = best.is_none_or(|b| o.cost.log2_peak_inter > outcomes[b].cost.log2_peak_inter);
        if open[k] && larger {
            best = Some(k);
        }
    }
    best
}

/// What to aim at next, where the peak of the intermediates should become `ratio` of what it is.
fn targets(now: &Outcome, options: &Options, ratio: f64) -> Vec<Target> {
    let cost = &now.cost;
    let mut out = Vec::new();
    let peak = input_elements(now) + cost.log2_peak_inter.exp2() * ratio;
    if peak.is_finite() && cost.log2_peak_inter > 0.0 {
        let by = |minimize| Target { max_peak: Some(peak.log2()), minimize, ..Target::default() };
        out.extend([by(None), by(Some(Minimize::Peak))]);
    }
    let size = cost.log2_max_size - 1.0;
    if size >= 0.0 {
        let half = (size.min(62.0).exp2() + 1e-6) as u64;
        let max_size = Some(options.max_size.map_or(half, |m| m.min(half)));
        out.push(Target { max_size, ..Target::default() });
    }
    out
}

/// The region `r` by another target, if that makes it smaller.
fn smaller(
    prepared: &Prepared,
    networks: &[Network],
    outcomes: &[Outcome],
    options: &Options,
    r: usize,
    target: Target,
    searcher: &Searcher,
) -> Option<Outcome> {
    let now = &outcomes[r].cost;
    let found = searcher.search(&prepared.regions[r], &networks[r], options, target, MEMORY_SHARE).ok();
    found.filter(|o| o.cost.log2_max_size < now.log2_max_size || o.cost.log2_peak_inter < now.log2_peak_inter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::options::Source;
    use crate::watch::Watch;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    /// A square of tensors with bonds of four.
    fn square(side: usize) -> Source {
        let mut terms = Vec::new();
        for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
            let mut t = Vec::new();
            t.extend((x > 0).then(|| format!("d{}_{y}", x.wrapping_sub(1))));
            t.extend((x + 1 < side).then(|| format!("d{x}_{y}")));
            t.extend((y > 0).then(|| format!("r{x}_{}", y.wrapping_sub(1))));
            t.extend((y + 1 < side).then(|| format!("r{x}_{y}")));
            terms.push(t);
        }
        let mut names: Vec<String> = terms.iter().flatten().cloned().collect();
        names.sort();
        names.dedup();
        let letter = |i: &String| names.binary_search(i).ok().and_then(|k| char::from_u32(0x4e00 + k as u32));
        let term = |t: &Vec<String>| t.iter().filter_map(letter).collect::<String>();
        let expression = format!("{}->", terms.iter().map(term).collect::<Vec<_>>().join(","));
        let sizes = names.iter().filter_map(letter).map(|c| (c.to_string(), 4)).collect();
        Source::Einsum { expression, sizes }
    }

    #[test]
    fn where_there_is_no_time_slices_are_chosen_nevertheless() {
        for grad in [false, true] {
            let limit = if grad { 200_000 } else { 60_000 };
            let (memory, max_time) = (Some(limit), Some(Duration::ZERO));
            let options = Options { grad, memory, max_time, ..Options::default() };
            let made = compile(&square(7), &options).unwrap();
            assert!(peak_bytes_at_max(made.plan().unwrap()) <= u128::from(limit));
        }
    }

    #[test]
    fn a_search_that_is_stopped_ends_with_a_plan_that_fits() {
        let stop = Arc::new(AtomicBool::new(true));
        for max_time in [None, Some(Duration::from_secs(60))] {
            let watch = Some(Watch { stop: stop.clone(), tell: None });
            let options = Options { memory: Some(60_000), max_time, watch, ..Options::default() };
            let made = compile(&square(7), &options).unwrap();
            assert!(peak_bytes_at_max(made.plan().unwrap()) <= 60_000);
        }
    }

    #[test]
    fn a_search_that_ran_out_of_time_says_so() {
        let options = Options { memory: Some(4000), max_time: Some(Duration::ZERO), ..Options::default() };
        let text = compile(&square(7), &options).unwrap_err().to_string();
        assert!(text.contains("alone take") || text.contains("`--max-time`"), "{text}");
    }
}

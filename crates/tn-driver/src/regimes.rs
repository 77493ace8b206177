//! Schedules per range of a `dyn` size (`tn_plan::regimes`).
//!
//! A schedule's cost is known at every size, as its lengths are polynomials, and nearly a linear function of one size: a contraction
//! has an index once. The lower envelope of linear functions is concave. So where one schedule is as good as the best at both ends of an interval of
//! sizes, it is in between; and where the best schedules of the ends differ, the size at which both cost the same is where a third gains most. The network
//! is planned there, and the two halves are looked at in turn (Eisner and Severance, *Mathematical Techniques for Efficient Record Segmentation in Large
//! Shared Databases*, J. ACM 1976). That takes about two plans for each schedule that is found, whatever the range.
//!
//! Of the schedules, the fewest are taken such that no size of a ladder costs more than [`LOSS`] times the best that is known there. Each size is
//! planned by the whole road: search, joint optimiser, what is saved for the gradient. Under a memory limit, a schedule must keep it up to the end of its range
//! alone.
//!
//! One size decides, the one for which schedules of its own gain most; all others are taken at their hints.

use crate::compile::{Made, Prepared, made, region_plans};
use crate::error::Error;
use crate::joint::figure;
use crate::options::Options;
use crate::stages;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tn_ir::size::{SymbolId, SymbolKind};
use tn_order::{Network, Outcome, evaluate};
use tn_plan::cost::{Machine, declared_max, entry_bytes, hint, peak_bytes_at_max, summary_at, used_symbols};
use tn_plan::ir::{Plan, Regimes, SizeRange, Summary};
use tn_plan::verify::VerifiedPlan;

/// By how much more than the best known schedule a size may cost.
const LOSS: f64 = 1.05;
/// Gains below this are not looked for.
const CLOSE: f64 = 1.02;
/// Schedules of a plan, at most: each is code of its own.
const MAX_SCHEDULES: usize = 4;
/// Sizes that a network is planned at, at most, the hint among them; the same where that takes long: with a clock, or with a region of more tensors
/// than are solved exactly.
const MAX_PLANS: usize = 12;
const MAX_PLANS_SLOW: usize = 5;
const EXACT: usize = 20;
/// The parts of the time that the hint and each other size have.
const HINT_SHARE: f64 = 0.6;
const SIZE_SHARE: f64 = 0.1;
/// Sizes that are tried at both ends to see which decides.
const MAX_SYMBOLS: usize = 4;
/// Where no maximum is declared, sizes are looked at up to this many times the hint, and up to this at least.
const OPEN_TIMES: u64 = 64;
const OPEN_LEAST: u64 = 4096;
/// The same where one is declared: beyond, what is best does not change, and tensors become too large for any memory.
const FAR_TIMES: u64 = 1 << 16;
const FAR_LEAST: u64 = 1 << 20;

/// A schedule and the size that it was planned at.
struct Candidate {
    at: u64,
    prepared: Option<Prepared>,
    made: Made,
}

impl Candidate {
    fn plan(&self) -> Option<&Plan> {
        self.made.built.as_ref().map(|b| b.plan.plan())
    }
}

/// The options of the plan at the hints: where other sizes are planned too, part of the time is theirs.
pub(crate) fn options_at_hints(prepared: &Prepared, options: &Options) -> Options {
    match options.max_time.filter(|_| is_wanted(options) && !symbols(prepared, options).is_empty()) {
        Some(time) => Options { max_time: Some(time.mul_f64(HINT_SHARE)), ..options.clone() },
        None => options.clone(),
    }
}

fn is_wanted(options: &Options) -> bool {
    // a path that is taken as it is leaves nothing to choose
    options.rules.regimes && (options.path.is_none() || options.refine)
}

/// The run-time sizes that have a range, with the largest to look at.
fn symbols(prepared: &Prepared, options: &Options) -> Vec<(SymbolId, u64)> {
    let all = prepared.source_program.symbols.enumerate().filter_map(|(id, s)| match s.kind {
        // a limit holds up to the declared maximum, and without one for the hint
        SymbolKind::Dyn { hint, max } if options.memory.is_some() => Some((id, max.unwrap_or(hint))),
        SymbolKind::Dyn { hint, max: Some(max) } => {
            Some((id, max.min(hint.saturating_mul(FAR_TIMES).max(FAR_LEAST))))
        }
        SymbolKind::Dyn { hint, max: None } => Some((id, hint.saturating_mul(OPEN_TIMES).max(OPEN_LEAST))),
        SymbolKind::Param { .. } => None,
    });
    all.filter(|(_, top)| *top > 1).take(MAX_SYMBOLS).collect()
}

/// What was made at the hints, with schedules for other sizes of one run-time size where they pay.
///
/// # Errors
/// A failed check of our own. That no plan is found for some size is none.
pub(crate) fn with_regimes(
    prepared: &Prepared,
    mut made: Made,
    options: &Options,
    machine: &Machine,
    began: Instant,
) -> Result<Made, Error> {
    let Some(built) = made.built.as_ref().filter(|_| is_wanted(options)) else { return Ok(made) };
    let mut symbols = symbols(prepared, options);
    if symbols.is_empty() {
        return Ok(made);
    }
    let used = used_symbols(&built.plan);
    symbols.retain(|(s, _)| used.contains(s));
    let slow = options.max_time.is_some() || prepared.regions.iter().any(|r| r.inputs.len() > EXACT);
    let most = if slow { MAX_PLANS_SLOW } else { MAX_PLANS };
    let planner = Planner { prepared, options, machine, began, most };
    let mut best: Option<(f64, Ladder<'_>)> = None;
    let mut cached = made.cached;
    for (symbol, top) in symbols {
        let mut ladder = Ladder::new(planner, symbol, top, &made);
        let gain = ladder.plan_ends()?;
        cached &= ladder.is_cached();
        if gain > LOSS && best.as_ref().is_none_or(|(g, _)| gain > *g) {
            best = Some((gain, ladder));
        }
    }
    if let Some((_, mut ladder)) = best {
        ladder.refine()?;
        cached &= ladder.is_cached();
        let parts = ladder.parts();
        made = ladder.assembled(&parts)?.unwrap_or(made);
    }
    made.cached = cached;
    Ok(made)
}

/// What plans other sizes have in common.
#[derive(Clone, Copy)]
struct Planner<'a> {
    prepared: &'a Prepared,
    options: &'a Options,
    machine: &'a Machine,
    /// When the compilation began.
    began: Instant,
    /// Sizes that are planned at, at most.
    most: usize,
}

impl Planner<'_> {
    /// Whether there is no time for another size.
    fn is_over(&self) -> bool {
        let late = |t: Duration| self.began.elapsed() + t.mul_f64(SIZE_SHARE) > t;
        self.options.max_time.is_some_and(late) || self.options.watch.as_ref().is_some_and(|w| w.is_stopped())
    }
    /// The network at a size, planned within its share of the time.
    fn made_at(&self, symbol: SymbolId, kind: SymbolKind) -> Result<(Prepared, Made), Error> {
        let prepared = self.prepared.at(symbol, kind, self.options)?;
        let max_time = self.options.max_time.map(|t| t.mul_f64(SIZE_SHARE));
        let options = Options { max_time, ..self.options.clone() };
        let made = made(&prepared, &options, self.machine, Instant::now())?;
        Ok((prepared, made))
    }
}

/// Schedules for sizes from 1 to `top` of one symbol.
struct Ladder<'a> {
    planner: Planner<'a>,
    symbol: SymbolId,
    hint: u64,
    max: Option<u64>,
    top: u64,
    /// The first is that of the hints.
    candidates: Vec<Candidate>,
    plans: usize,
}

/// A part of the range: up to this size (none: to the end), by this candidate.
type Part = (Option<u64>, usize);

impl<'a> Ladder<'a> {
    fn new(planner: Planner<'a>, symbol: SymbolId, top: u64, made: &Made) -> Ladder<'a> {
        let (hint, max) = match planner.prepared.source_program.symbols[symbol].kind {
            SymbolKind::Dyn { hint, max } => (hint.max(1), max),
            SymbolKind::Param { value } => (value.max(1) as u64, None),
        };
        let first = Candidate { at: hint, prepared: None, made: made.clone() };
        Ladder { planner, symbol, hint, max, top, candidates: vec![first], plans: 1 }
    }

    /// Plans at both ends, and returns by what factor that is better than the schedule of the hints.
    fn plan_ends(&mut self) -> Result<f64, Error> {
        if self.planner.options.memory.is_some() && self.max.is_some_and(|m| m > self.hint) {
            // the first schedule keeps the limit up to the maximum; one for smaller sizes may use more
            self.plan_at(self.hint)?;
        }
        for end in [1, self.top] {
            self.plan_at(end)?;
        }
        let sizes = [1, self.hint, self.top];
        let gain = sizes.map(|n| self.cost(0, n) / self.cost(self.best(n), n));
        Ok(gain.into_iter().filter(|g| !g.is_nan()).fold(1.0, f64::max))
    }

    /// Plans at the sizes where that may gain most, until nothing does.
    fn refine(&mut self) -> Result<(), Error> {
        let mut ends = vec![1, self.hint.clamp(1, self.top), self.top];
        ends.dedup();
        let mut open: Vec<(u64, u64)> = ends.windows(2).map(|w| (w[0], w[1])).collect();
        open.reverse();
        while let Some((low, high)) = open.pop() {
            let (a, b) = (self.best(low), self.best(high));
            let serves =
                |this: &Self, c: usize, n: u64, best: usize| this.cost(c, n) <= CLOSE * this.cost(best, n);
            if a == b || serves(self, a, high, b) || serves(self, b, low, a) {
                continue;
            }
            // the first size at which the schedule of the lower end costs more, or is above the limit
            let middle = self.crossing(a, b, low, high) + 1;
            if middle >= high || self.candidates.iter().any(|c| c.at == middle) {
                continue;
            }
            let before = self.cost(self.best(middle), middle);
            if !self.plan_at(middle)? {
                continue;
            }
            if before > CLOSE * self.cost(self.best(middle), middle) {
                open.extend([(middle, high), (low, middle)]);
            }
        }
        Ok(())
    }

    /// Adds the schedule of a size; false if there is none, or no more are looked for.
    fn plan_at(&mut self, n: u64) -> Result<bool, Error> {
        let memory = self.planner.options.memory;
        let known = self.candidates.iter().any(|c| c.at == n && (memory.is_none() || c.prepared.is_some()));
        if known || self.plans >= self.planner.most || self.planner.is_over() {
            return Ok(known);
        }
        self.plans += 1;
        let max = if memory.is_some() { Some(n) } else { self.max };
        match self.planner.made_at(self.symbol, SymbolKind::Dyn { hint: n, max }) {
            Ok((prepared, made)) if made.built.is_some() => {
                self.candidates.push(Candidate { at: n, prepared: Some(prepared), made });
                Ok(true)
            }
            Err(e @ Error::Internal(_)) => Err(e),
            // too large for any memory, above a limit, or a sum that is too long at this size
            _ => Ok(false),
        }
    }

    /// Whether everything that was searched for had been kept.
    fn is_cached(&self) -> bool {
        self.candidates.iter().all(|c| c.made.cached)
    }

    /// What a candidate costs at a size, by the objective; infinite where it is above the memory limit.
    fn cost(&self, candidate: usize, n: u64) -> f64 {
        let Some(plan) = self.candidates.get(candidate).and_then(Candidate::plan) else {
            return f64::INFINITY;
        };
        if let Some(limit) = self.planner.options.memory {
            let at = i64::try_from(n).unwrap_or(i64::MAX);
            let most = |s: SymbolId| if s == self.symbol { at } else { declared_max(plan, s) };
            let peak = plan.entries.iter().map(|e| entry_bytes(plan, e, most)).max().unwrap_or(0);
            if peak > u128::from(limit) {
                return f64::INFINITY;
            }
        }
        figure(&self.summary(plan, n), self.planner.options.minimize)
    }

    /// The totals of a plan at a size.
    fn summary(&self, plan: &Plan, n: u64) -> Summary {
        let at = i64::try_from(n).unwrap_or(i64::MAX);
        let value = |s: SymbolId| if s == self.symbol { at } else { hint(plan, s) };
        summary_at(plan, self.planner.machine, self.planner.options.seed, value)
    }

    /// The plan of a candidate with its totals and the records of its trees at a size that it was not planned at.
    fn moved(&self, candidate: &Candidate, plan: &Plan, n: u64) -> Result<Plan, Error> {
        let mut plan = Plan { summary: self.summary(plan, n), ..plan.clone() };
        let kind = SymbolKind::Dyn { hint: n, max: self.max };
        let prepared = self.planner.prepared.at(self.symbol, kind, self.planner.options)?;
        let (networks, mut outcomes) = (prepared.networks(), candidate.made.outcomes.clone());
        let fits = |(o, net): (&Outcome, &Network)| o.tree.check(net).is_ok();
        if networks.len() == outcomes.len() && outcomes.iter().zip(&networks).all(fits) {
            outcomes.iter_mut().zip(&networks).for_each(|(o, net)| o.cost = evaluate(net, &o.tree));
            plan.regions = region_plans(&prepared, &networks, &outcomes);
        }
        Ok(plan)
    }

    /// The cheapest candidate at a size, the first of equals.
    fn best(&self, n: u64) -> usize {
        let costs: Vec<f64> = (0..self.candidates.len()).map(|c| self.cost(c, n)).collect();
        (0..costs.len()).fold(0, |best, c| if costs[c] < costs[best] { c } else { best })
    }

    /// The largest size from `low` to below `high` at which `a` costs no more than `b`; `low` if there is none.
    fn crossing(&self, a: usize, b: usize, low: u64, high: u64) -> u64 {
        let (mut low, mut high) = (low, high);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.cost(a, middle) <= self.cost(b, middle) { low = middle } else { high = middle }
        }
        low
    }

    /// Sizes at which schedules are compared: powers of two, and those that were planned at.
    fn rungs(&self) -> Vec<u64> {
        let powers = (0..64).map(|e| 1u64 << e).take_while(|&n| n < self.top);
        let planned = self.candidates.iter().map(|c| c.at).filter(|&n| n <= self.top);
        powers.chain(planned).chain([self.top]).collect::<BTreeSet<u64>>().into_iter().collect()
    }

    /// The fewest schedules with which no rung costs more than [`LOSS`] times its best; if [`MAX_SCHEDULES`] are not enough, those with the
    /// smallest loss. The hints are served by a schedule that was planned at them.
    fn parts(&self) -> Vec<Part> {
        let rungs = self.rungs();
        let costs: Vec<Vec<f64>> =
            (0..self.candidates.len()).map(|c| rungs.iter().map(|&n| self.cost(c, n)).collect()).collect();
        let loss = |c: usize, r: usize| {
            let best = costs.iter().map(|k| k[r]).fold(f64::INFINITY, f64::min);
            let own = rungs[r] == self.hint && self.candidates[c].at != self.hint;
            if own || costs[c][r].is_infinite() {
                f64::INFINITY
            } else {
                costs[c][r] / best.max(f64::MIN_POSITIVE)
            }
        };
        let losses: Vec<Vec<f64>> =
            (0..costs.len()).map(|c| (0..rungs.len()).map(|r| loss(c, r)).collect()).collect();
        let segments = cover(&losses, MAX_SCHEDULES);
        let mut out: Vec<Part> = Vec::new();
        for (k, &(end, c)) in segments.iter().enumerate() {
            let top = segments.get(k + 1).map(|&(_, next)| {
                let (low, high) = (rungs[end], rungs[end + 1]);
                if self.cost(c, low) <= self.cost(next, low) {
                    self.crossing(c, next, low, high)
                } else {
                    low
                }
            });
            out.push((top, c));
        }
        out
    }

    /// The plan of these parts, verified; none if one schedule serves all sizes and it is the one of the hints.
    fn assembled(mut self, parts: &[Part]) -> Result<Option<Made>, Error> {
        let holds = |&(top, _): &Part| top.is_none_or(|t| self.hint <= t);
        let Some(own) = parts.iter().position(holds) else { return Ok(None) };
        if parts.len() < 2 {
            return Ok(None);
        }
        let low = |k: usize| k.checked_sub(1).and_then(|k| parts[k].0).map_or(0, |t| t.saturating_add(1));
        let range = |k: usize| SizeRange { low: low(k), high: parts[k].0.or(self.max) };
        let ranges: Vec<SizeRange> = (0..parts.len()).map(range).collect();
        // a candidate may serve two ranges, so they are not taken apart
        let common = self.planner.prepared.program.leaves.len();
        let mut dags = Vec::new();
        let mut whole: Option<Plan> = None;
        for k in [own].into_iter().chain((0..parts.len()).filter(|&k| k != own)) {
            let candidate = &self.candidates[parts[k].1];
            let Some(built) = &candidate.made.built else { return Ok(None) };
            if let Some(prepared) = &candidate.prepared {
                stages::means_what_the_program_means(prepared, built, self.planner.options)?;
            }
            let mut dag = built.dag.clone();
            match &mut whole {
                None => {
                    let mut plan = built.plan.plan().clone();
                    // the ranges of the declared size, not of the size that was planned at
                    plan.symbols = self.planner.prepared.program.symbols.clone();
                    let regimes = Regimes { symbol: self.symbol, own: ranges[own], others: vec![] };
                    whole = Some(Plan { regimes: Some(regimes), ..plan });
                }
                Some(whole) => {
                    // what serves the end of the range best need not have been planned there
                    let at = ranges[k].clamp(candidate.at);
                    let plan = match at == candidate.at {
                        true => built.plan.plan().clone(),
                        false => self.moved(candidate, &built.plan, at)?,
                    };
                    let places = whole.add_schedule(&plan, common, ranges[k], at);
                    for a in dag.arrays.ids() {
                        let source = dag.arrays[a].source as usize;
                        if let Some(&to) = source.checked_sub(common).and_then(|k| places.get(k))
                            && dag.arrays[a].role == tn_ir::dag::ArrayRole::Const
                        {
                            dag.arrays[a].source = to;
                        }
                    }
                }
            }
            dags.push((k, dag));
        }
        let Some(plan) = whole else { return Ok(None) };
        if self.planner.options.memory.is_some_and(|limit| peak_bytes_at_max(&plan) > u128::from(limit)) {
            return Ok(None);
        }
        dags.sort_by_key(|(k, _)| *k);
        let dags: Vec<&tn_ir::dag::Dag> = dags.iter().map(|(_, d)| d).collect();
        let plan = VerifiedPlan::of_schedules(plan, &dags)
            .map_err(|e| Error::internal("the plan does not pass its verifier", stages::listed(&e)))?;
        let mut made = self.candidates.swap_remove(parts[own].1).made;
        if let Some(built) = &mut made.built {
            built.plan = plan;
        }
        Ok(Some(made))
    }
}

/// The fewest segments of neighbouring columns, each with one row, such that no entry of `losses[row][column]` is above [`LOSS`]; with
/// at most `most` segments, and if those are too few the smallest worst entry. Each segment is its last column and its row.
fn cover(losses: &[Vec<f64>], most: usize) -> Vec<(usize, usize)> {
    let columns = losses.first().map_or(0, Vec::len);
    // The worst entry, then the sum of logarithms, of the best cover of the columns before each, and its last segment.
    type Best = (f64, f64, Option<(usize, usize)>);
    let mut tables: Vec<Vec<Best>> = Vec::new();
    let mut first = vec![(f64::INFINITY, f64::INFINITY, None); columns + 1];
    first[0] = (LOSS, 0.0, None);
    tables.push(first);
    for count in 1..=most {
        let before = &tables[count - 1];
        let mut now: Vec<Best> = vec![(f64::INFINITY, f64::INFINITY, None); columns + 1];
        for (row, entries) in losses.iter().enumerate() {
            for (from, &(mut worst, mut sum, _)) in before.iter().enumerate().take(columns) {
                for to in from..columns {
                    worst = worst.max(entries[to]);
                    sum += entries[to].ln();
                    if worst.is_infinite() {
                        break;
                    }
                    if (worst, sum) < (now[to + 1].0, now[to + 1].1) {
                        now[to + 1] = (worst, sum, Some((from, row)));
                    }
                }
            }
        }
        tables.push(now);
        if tables[count][columns].0 <= LOSS {
            break;
        }
    }
    let best = (1..tables.len()).min_by(|&a, &b| tables[a][columns].0.total_cmp(&tables[b][columns].0));
    let mut out = Vec::new();
    let (mut count, mut end) = (best.unwrap_or(0), columns);
    while let Some((from, row)) = tables[count][end].2 {
        out.push((end - 1, row));
        (count, end) = (count.saturating_sub(1), from);
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_rows_cover_the_columns() {
        let one = vec![vec![1.0, 1.04, 1.02], vec![1.5, 1.0, 1.0]];
        assert_eq!(cover(&one, 4), [(2, 0)]);
        let two = vec![vec![1.0, 1.0, 3.0, 9.0], vec![9.0, 1.2, 1.0, 1.0], vec![2.0, 1.0, 1.0, 2.0]];
        assert_eq!(cover(&two, 4), [(1, 0), (3, 1)]);
        // three would be needed
        let three = vec![vec![1.0, 3.0, 9.0], vec![2.0, 1.0, 1.5], vec![9.0, 3.0, 1.0]];
        assert_eq!(cover(&three, 4), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(cover(&three, 2), [(0, 0), (2, 1)]);
        // a row that must not serve a column does not
        let barred = vec![vec![1.0, f64::INFINITY], vec![f64::INFINITY, 1.0]];
        assert_eq!(cover(&barred, 4), [(0, 0), (1, 1)]);
    }
}

//! The entry of the search: exact where that is affordable, else the portfolio.

use crate::by_output::by_output;
use crate::clock::Clock;
use crate::cost::{LogSum, peaks};
use crate::exact::{Bounds, Exact, Proof};
use crate::model::Model;
use crate::objective::{Limits, Score, figures};
use crate::portfolio::{Candidate, Search, polish, run};
use crate::simplify::{Simplified, simplify};
use crate::slice::order_loops;
use crate::sub::Sub;
use crate::sweep::chain;
use crate::{Infeasible, Minimize, Network, Options, Outcome, Progress, Tree, evaluate};
use crate::{exact_sparse, exact_twins};
use std::sync::Arc;
use std::time::Duration;

/// The largest network that the exact search is tried on.
const EXACT_TENSORS: usize = 20;
/// Splits that the exact search may look at: all those of 20 tensors.
const EXACT_WORK: u64 = 1_800_000_000;

/// Up to this many tensors the table of all subsets is filled in a few milliseconds.
const SMALL_TABLE: usize = 14;
/// Pairs of sets that the search of larger, sparse networks may look at.
const SPARSE_WORK: u64 = 300_000_000;
/// What the table of all subsets takes for each before the first is split, on a slow machine, and the part of the time that all of it may take.
const TABLE_SECONDS: f64 = 3e-7;
const TABLE_SHARE: f64 = 0.5;
/// The part of the time that the search over sets may take.
const SPARSE_SHARE: f64 = 0.1;

/// The largest network that is searched for the least time too where the peak is the objective.
const OTHER_TENSORS: usize = 5_000;
/// The part of the time that this search has.
const OTHER_SHARE: f64 = 0.3;

/// The largest network that is searched for multiply-adds and bytes too where time is the objective, and the trials of these searches.
const KIN_TENSORS: usize = 28;
const KIN_TRIALS: u32 = 4;

/// The part of the time that goes to the steps which the simplification fixed.
const POLISH: f64 = 0.05;
/// The same where a tree was given, which need not begin with those steps.
const POLISH_GIVEN: f64 = 0.5;
/// Trees with more legs in all are left as the simplification makes them.
const MOST_LEGS: f64 = 5e6;

/// Searches for a contraction tree of `net`.
///
/// With `max_time` unset the result is a pure function of network, options (threads apart) and seed.
///
/// # Errors
/// [`Infeasible`] if the network is malformed or nothing found satisfies the limits.
pub fn plan(net: &Network, opts: &Options) -> Result<Outcome, Infeasible> {
    let clock = Clock::new(opts);
    net.check()?;
    let model = Model::new(net);
    let simple = simplify(&model);
    let limits = limits(net, &model, opts);
    let mut search = Search { model, simple, kind: opts.minimize, limits, opts, clock, unit: 0.0 };
    let n = search.model.n();
    let start = opts.start.as_ref().filter(|t| t.check(net).is_ok());
    let legless = search.model.lg.is_empty();
    let mut best = match start {
        Some(t) => rated(&search, t),
        None if legless => search.rate(numbers(&search.model), &[]),
        None => search.greedy_start(0),
    };
    if legless && n >= 3 {
        let one_by_one = search.rate(numbers(&search.model), &[]);
        if one_by_one.score.better(&best.score) {
            best = one_by_one;
        }
        search.report(&best);
        let optimal = best.score.excess <= 0.0;
        return finish(net, &search, best, optimal, false);
    }
    // looking at a tree of a large network takes a while, also for the last time
    search.unit = search.clock.elapsed();
    search.clock.reserve(0.5 * search.unit);
    search.keep_time(&best);
    search.report(&best);
    let mut optimal = n < 3 && best.sliced.is_empty();
    let mut time_limited = false;
    let mut others = vec![];
    if (3..=exact_sparse::MAX_LEAVES).contains(&n) {
        search.warm_up(&mut best);
        if best.sliced.is_empty() {
            optimal = exact(&search, &mut best);
        }
    }
    if !optimal && n >= 3 {
        let other = opts.minimize == Minimize::Peak && opts.max_peak.is_none() && n <= OTHER_TENSORS;
        let share = search.clock.left().filter(|_| other).map_or(0.0, |left| left.max(0.0) * OTHER_SHARE);
        search.clock.reserve(share);
        time_limited = improve(&mut search, &mut best, &mut others);
        search.clock.release(share);
        if other && search.clock.left().is_none_or(|left| left > 0.0) {
            fastest(net, &search, &mut best);
        }
    }
    let mut others: Vec<Tree> =
        others.into_iter().map(|c| Tree { ssa_path: c.path, sliced: vec![] }).collect();
    let found = finish(net, &search, best, optimal, time_limited)?;
    let free = opts.max_size.is_none() && opts.max_peak.is_none() && found.tree.sliced.is_empty();
    if free && start.is_none() && matches!(opts.minimize, Minimize::Time | Minimize::Bytes) {
        others.extend(by_output(net, &search.model, opts.minimize, found.cost.log10_macs));
        if opts.minimize == Minimize::Time && opts.max_time.is_none() && n <= KIN_TENSORS {
            others.extend(kin(net, &search));
        }
    }
    Ok(Outcome { others, ..found })
}

/// The best path over terms that are mere numbers, whatever the objective: one after the other, so that few results live at a time, and those
/// that need a gradient last, so that few steps are done again for it.
fn numbers(model: &Model) -> Vec<(u32, u32)> {
    let (late, first): (Vec<u32>, Vec<u32>) = (0..model.n() as u32).partition(|&k| model.grad[k as usize]);
    chain(model, &[first, late].concat())
}

/// A tree of the network with its slices, and what it is worth.
fn rated(search: &Search<'_>, tree: &Tree) -> Candidate {
    let sliced = tree.sliced.iter().filter_map(|i| search.model.orig.iter().position(|o| o == i));
    let sliced: Vec<u32> = sliced.map(|k| k as u32).filter(|&k| !search.limits.keep[k as usize]).collect();
    search.rate(tree.ssa_path.clone(), &sliced)
}

/// Replaces `best` by the tree that the search for the least time finds, if its peak is lower: the peak is that of one moment, and a search for it
/// by the elements of all tensors may end above.
fn fastest(net: &Network, search: &Search<'_>, best: &mut Candidate) {
    let stop = search.opts.progress.as_ref().map(|p| Progress { stop: p.stop.clone(), report: None });
    let left = search.clock.left().map(|left| Duration::from_secs_f64(left.max(0.0)));
    let asked = Options {
        minimize: Minimize::Time,
        start: None,
        max_time: left,
        progress: stop.map(Arc::new),
        ..search.opts.clone()
    };
    if let Ok(found) = plan(net, &asked) {
        let found = rated(search, &found.tree);
        if found.score.better(&best.score) {
            *best = found;
        }
    }
}

/// The best trees for the two parts of a modelled time. What a step takes depends on strides, of which the search knows nothing: which of the trees
/// is fastest shows when they are scheduled.
fn kin(net: &Network, search: &Search<'_>) -> Vec<Tree> {
    let stop = search.opts.progress.as_ref().map(|p| Progress { stop: p.stop.clone(), report: None });
    let progress = stop.map(Arc::new);
    let of = |minimize| {
        let asked =
            Options { minimize, trials: Some(KIN_TRIALS), progress: progress.clone(), ..search.opts.clone() };
        plan(net, &asked).ok().map(|found| found.tree)
    };
    [Minimize::Macs, Minimize::Bytes].into_iter().filter_map(of).collect()
}

/// The portfolio on the simplified network, then a look at the steps that the simplification fixed.
fn improve(search: &mut Search<'_>, best: &mut Candidate, others: &mut Vec<Candidate>) -> bool {
    let fixed = !search.simple.prefix.is_empty();
    if !fixed && best.core.is_empty() {
        // a tree that was given is a tree of the simplified network too
        best.core = best.path.clone();
    }
    if !fixed || search.legs(best) > MOST_LEGS {
        return run(search, best, others);
    }
    let mut cut = false;
    if search.simple.model.n() >= 3 {
        let given = if search.opts.start.is_some() { POLISH_GIVEN } else { POLISH };
        let share = search.clock.left().unwrap_or(0.0).max(0.0) * given;
        search.clock.reserve(share);
        cut = run(search, best, others);
        search.clock.release(share);
    }
    search.simple = Simplified::none(&search.model);
    best.core = best.path.clone();
    // what is left of the time may be too short for a look at a large tree
    polish(search, best) || cut && search.is_late()
}

/// Tries to find and prove the optimum; replaces `best` by it.
fn exact(search: &Search<'_>, best: &mut Candidate) -> bool {
    let m = &search.model;
    let leaves: Vec<&[u32]> = m.legs.iter().map(Vec::as_slice).collect();
    let sub = Sub::new(&leaves, &m.out, &m.lg, m.grad.clone());
    let value = match search.kind {
        Minimize::Peak => peaks(&m.walk(&best.path, &[]), m.n(), &LogSum::new(), None).0,
        _ => best.score.value,
    };
    let shift = if value.is_finite() { (value - 900.0).max(0.0) } else { 0.0 };
    // Of trees of one size or peak, the cheapest is wanted. Of costs, what is not better than the best tree by more than rounding is of
    // no interest: next to a large hub, that is nearly everything.
    let aim = match search.kind {
        Minimize::Size | Minimize::Peak => value + 1e-9,
        _ if best.score.excess > 0.0 => value + 1e-9,
        _ => value - Score::rounding(value),
    };
    let bounds = Bounds {
        upper: (aim - shift).exp2(),
        max_size: search.limits.size.map_or(f64::INFINITY, |l| (l - shift).exp2() * (1.0 + 1e-9)),
        shift,
        work: EXACT_WORK,
        threads: search.opts.threads,
    };
    let over = || search.clock.over();
    let mut path = Vec::new();
    let mut proof = Proof::GaveUp;
    if m.n() > SMALL_TABLE {
        let most = search.clock.left().map(|l| l * SPARSE_SHARE + search.clock.elapsed());
        let over = || over() || most.is_some_and(|m| search.clock.elapsed() > m);
        proof = exact_twins::solve(&sub, search.kind, bounds, &over, &mut path);
    }
    if m.n() > SMALL_TABLE && proof == Proof::GaveUp {
        let most = search.clock.left().map(|l| l * SPARSE_SHARE + search.clock.elapsed());
        let over = || over() || most.is_some_and(|m| search.clock.elapsed() > m);
        // where the table can follow, only a quick look
        let work = if m.n() <= EXACT_TENSORS { SPARSE_WORK / 10 } else { SPARSE_WORK };
        proof = exact_sparse::solve(&sub, search.kind, Bounds { work, ..bounds }, &over, &mut path);
    }
    // a table that is begun is finished
    let table = TABLE_SECONDS * (m.n().min(EXACT_TENSORS) as f64).exp2();
    let most = search.clock.left().map(|left| left * TABLE_SHARE);
    if proof == Proof::GaveUp && m.n() <= EXACT_TENSORS && most.is_none_or(|most| table < most) {
        let end = most.map(|most| search.clock.elapsed() + most);
        let over = || over() || end.is_some_and(|end| search.clock.elapsed() > end);
        proof = Exact::default().solve(&sub, search.kind, bounds, &over, &mut path).1;
    }
    match proof {
        Proof::GaveUp => false,
        Proof::NoBetter => search.limits.peak.is_none(),
        Proof::Optimal => {
            let c = search.rate(path.clone(), &[]);
            let score = figures(m, &path, &[], search.kind, &search.limits).score;
            if c.score.better(&best.score) {
                *best = c;
            }
            // a limit on the peak is not part of the exact search: then the optimum found must obey it
            score.excess <= best.score.excess
                && score.value <= best.score.value + 1e-9 * score.value.abs().max(1.0)
        }
    }
}

/// The limits of the options on the model's legs.
pub(crate) fn limits(net: &Network, model: &Model, opts: &Options) -> Limits {
    let mut keep = vec![false; model.lg.len()];
    let mut fixed = vec![false; net.sizes.len()];
    for &i in &opts.unsliceable {
        if let Some(f) = fixed.get_mut(i as usize) {
            *f = true;
        }
    }
    for (k, &i) in model.orig.iter().enumerate() {
        keep[k] = fixed[i as usize];
    }
    let mut in_model = vec![false; net.sizes.len()];
    for &i in &model.orig {
        in_model[i as usize] = true;
    }
    let resident_extra = net
        .inputs
        .iter()
        .map(|t| {
            let mut t = t.clone();
            t.sort_unstable();
            t.dedup();
            t.iter().filter(|&&i| !in_model[i as usize]).map(|&i| (net.sizes[i as usize] as f64).log2()).sum()
        })
        .collect();
    Limits {
        size: opts.max_size.map(|s| (s.max(1) as f64).log2()),
        peak: opts.max_peak,
        keep,
        resident_extra,
    }
}

/// The candidate as an outcome, or why it satisfies the limits not.
pub(crate) fn finish(
    net: &Network,
    search: &Search<'_>,
    mut best: Candidate,
    optimal: bool,
    time_limited: bool,
) -> Result<Outcome, Infeasible> {
    let m = &search.model;
    order_loops(m, &best.path, &mut best.sliced);
    let sliced = best.sliced.iter().map(|&i| m.orig[i as usize]).collect();
    let tree = Tree { ssa_path: best.path, sliced };
    let cost = evaluate(net, &tree);
    if best.score.excess <= 0.0 {
        return Ok(Outcome { tree, cost, optimal, time_limited, others: vec![] });
    }
    let n = m.n();
    let walk = m.walk(&tree.ssa_path, &best.sliced);
    let at = (n..walk.size.len())
        .max_by(|&a, &b| walk.size[a].total_cmp(&walk.size[b]).then(b.cmp(&a)))
        .unwrap_or(0);
    let mut tensors = Vec::new();
    let mut stack = vec![at];
    while let Some(k) = stack.pop() {
        if k < n {
            tensors.push(k as u32);
        } else {
            stack.extend([walk.kids[k - n].0 as usize, walk.kids[k - n].1 as usize]);
        }
    }
    tensors.retain(|&k| (k as usize) < n);
    tensors.sort_unstable();
    let legs = m.node_legs(&tree.ssa_path, at);
    let suggestion = legs
        .iter()
        .filter(|&&i| search.limits.keep[i as usize])
        .max_by(|&&a, &&b| m.lg[a as usize].total_cmp(&m.lg[b as usize]))
        .map(|&i| m.orig[i as usize]);
    Err(Infeasible {
        network: None,
        log2_peak: cost.log2_peak,
        log2_max_size: cost.log2_max_size,
        tensors,
        indices: legs.iter().map(|&i| m.orig[i as usize]).collect(),
        suggestion,
    })
}

//! The portfolio: starts by greedy search and sweeps, then rounds of annealing jobs from fresh and from the best trees.
//!
//! A round is a fixed list of jobs which read only what earlier rounds left, so the result does not depend on the number
//! of threads. With a time limit, a round has as many jobs as threads and all of them end at the same moment.

use crate::clock::Clock;
use crate::forest::{Forest, Window};
use crate::greedy::{Taste, greedy};
use crate::meet::meet;
use crate::model::Model;
use crate::objective::{Figures, Limits, Score, figures};
use crate::reconfigure::reconfigure;
use crate::refine::{Frame, Schedule, anneal};
use crate::rng::Rng;
use crate::simplify::Simplified;
use crate::slice::slice;
use crate::starts::{ELITE, Elite, KINDS, Kinds, Path};
use crate::sub::Sub;
use crate::{Minimize, Options, Report};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Up to this many tensors (after simplification) the whole tree is annealed at once; beyond, windows of it.
const WHOLE: usize = 1500;
/// The leaves of a window.
const WINDOW: usize = 320;
/// Jobs of a round where the budget is counted.
const JOBS: u64 = 4;
/// Building and rating the windows of a large tree take so many times as long as its first greedy tree, where its tensors have many legs.
const FOREST: f64 = 8.0;
/// The first kinds of starts are sweeps, and take less than a greedy tree: so many are tried even where the time is over.
const SURE: usize = 2;
/// Where neither a number of trials nor a time is given, the search ends after this many rounds without a better tree.
const STILL: u32 = 4;
/// Rounds that anneal the starts; from then on, new starts are drawn now and then.
const FIRST_ROUNDS: u64 = 4;
/// The inverse temperature at which a start is annealed.
const HOT: f64 = 0.5;
/// The lines of annealed starts; below are those of the starts themselves.
const NEW_LINE: u64 = 1 << 32;
/// Trials where neither a number nor a time is given.
const TRIALS: u32 = 48;

/// The part of the time left that building a forest may take.
const BUILDING: f64 = 0.5;

/// The legs of a step that its caller looks at one by one, about, and what one more takes in comparison.
const MANY_LEGS: f64 = 24.0;
const SHARE_OF_MORE: f64 = 0.1;

/// A tree of the model with slices, and what it is worth.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The path over the terms of the whole model.
    pub path: Vec<(u32, u32)>,
    /// The path over the terms of the simplified model, where the tree came from there.
    pub core: Vec<(u32, u32)>,
    pub sliced: Vec<u32>,
    pub score: Score,
    /// By what trees are compared that the search starts again from.
    pub guide: Score,
    pub max_size: f64,
    /// The start that it comes from: trees of one line are much alike.
    pub line: u64,
}

/// What all trials share.
pub(crate) struct Search<'a> {
    pub model: Model,
    pub simple: Simplified,
    pub kind: Minimize,
    pub limits: Limits,
    pub opts: &'a Options,
    pub clock: Clock<'a>,
    /// The seconds that the first greedy tree took.
    pub unit: f64,
}

impl Search<'_> {
    /// Scores a path of the whole model, adding slices if the limits demand it.
    pub fn rate(&self, path: Vec<(u32, u32)>, sliced: &[u32]) -> Candidate {
        let mut sliced = sliced.to_vec();
        let mut f = figures(&self.model, &path, &sliced, self.kind, &self.limits);
        if f.score.excess > 0.0 {
            sliced = slice(&self.model, &path, self.kind, &self.limits, &sliced, &|| self.clock.over());
            f = figures(&self.model, &path, &sliced, self.kind, &self.limits);
        }
        let guide = guide(self.kind, &f);
        Candidate { path, core: Vec::new(), sliced, score: f.score, guide, max_size: f.max_size, line: 0 }
    }

    /// The same for a path of the simplified model.
    pub fn rate_core(&self, core: Vec<(u32, u32)>, sliced: &[u32]) -> Candidate {
        let mut c = self.rate(self.simple.lift(&core, self.model.n()), sliced);
        c.core = core;
        c
    }

    /// The greedy tree of trial `i`.
    pub fn greedy_start(&self, i: u64) -> Candidate {
        let mut rng = Rng::new(self.opts.seed, i);
        let taste = Taste::draw(&mut rng, i);
        self.rate_core(greedy(&self.simple.model, taste, &mut rng), &[])
    }

    /// A short annealing of a small network, to give the exact search a tight bound.
    pub fn warm_up(&self, best: &mut Candidate) {
        let m = &self.model;
        let sub = whole(m);
        for i in 0..4 {
            let mut rng = Rng::new(self.opts.seed, (2 << 40) + i);
            let taste = Taste::draw(&mut rng, i);
            let path = greedy(m, taste, &mut rng);
            let plan = Schedule { sweeps: 60, beta: (0.7, 12.0), until: None };
            let snap = anneal(&sub, &path, self.frame(best, &[], 0), plan, &mut rng, &self.clock);
            let c = self.rate(snap.path, &snap.sliced);
            if c.score.better(&best.score) {
                *best = c;
            }
        }
    }

    /// The frame of a job: with a limit on the peak, and in every fourth job with size or peak as the objective, the annealing gets a limit on
    /// the size that follows the best tree so far.
    fn frame<'b>(&'b self, best: &Candidate, sliced: &'b [u32], job: u64) -> Frame<'b> {
        let mut limit = self.limits.size;
        if let Some(p) = self.limits.peak {
            let slack = [1.0, 1.6, 2.2, 3.0][(job % 4) as usize];
            limit = Some(limit.map_or(p - slack, |l| l.min(p - slack)).max(0.0));
        }
        let exchange = limit.is_some();
        if !exchange && by_guide(self.kind) && job % 4 == 3 {
            limit = Some((best.max_size - [0.5, 1.0][(job / 4 % 2) as usize]).max(0.0));
        }
        Frame {
            kind: self.smooth(job),
            overhead: self.overhead(),
            limit,
            keep: &self.limits.keep,
            sliced,
            exchange,
        }
    }

    /// What a job anneals by. The size and the peak are those of a few tensors, and a step that leaves these as they are looks like any other: there
    /// the elements of all tensors say which way is down, and now and then the multiply-adds, which break ties.
    fn smooth(&self, job: u64) -> Minimize {
        match self.kind {
            Minimize::Size | Minimize::Peak if job % 8 == 5 => Minimize::Macs,
            Minimize::Size | Minimize::Peak => Minimize::Bytes,
            other => other,
        }
    }

    /// Whether the overhead of a step decides anything: only slices change the number of steps.
    fn overhead(&self) -> bool {
        self.limits.size.is_some() || self.limits.peak.is_some()
    }

    /// Keeps the time that the caller will need for a plan like this one.
    pub fn keep_time(&self, best: &Candidate) {
        let Some(after) = self.opts.after.filter(|_| self.opts.max_time.is_some()) else { return };
        if best.max_size > after.log2_storable {
            self.clock.keep(0.0);
            return;
        }
        // of many legs, most run together as one
        let work = |legs: f64| legs.min(MANY_LEGS) + SHARE_OF_MORE * (legs - MANY_LEGS).max(0.0);
        self.clock.keep(after.seconds_per_leg * self.step_legs(best).map(work).sum::<f64>());
    }

    /// The legs of the operands and results of all steps.
    pub fn legs(&self, c: &Candidate) -> f64 {
        self.step_legs(c).sum()
    }

    /// The legs of the operands and the result of each step.
    fn step_legs(&self, c: &Candidate) -> impl Iterator<Item = f64> {
        let walk = self.model.walk_by(&vec![1.0; self.model.lg.len()], &c.path, &[]);
        let n = self.model.n();
        let legs = move |k: usize| {
            let (a, b) = walk.kids[k];
            walk.size[a as usize] + walk.size[b as usize] + walk.size[n + k]
        };
        (0..c.path.len()).map(legs)
    }

    /// Whether the time left is too short to take the best tree apart into windows and to rate it again. Where tensors have many legs, that takes
    /// many times as long as a greedy tree.
    pub fn is_late(&self) -> bool {
        self.simple.model.n() > WHOLE && self.clock.left().is_some_and(|l| l < FOREST * self.unit)
    }

    /// The tree of a path over the simplified model with the legs of every node. None where building it, looking at it at the end, and doing
    /// something with it in between would take more than the time left. How long it takes shows while it is built: in proportion to the legs.
    /// The second is what the last look takes (seconds), about.
    pub fn forest(&self, path: &[(u32, u32)], by: (Minimize, bool), sliced: &[u32]) -> Option<(Forest, f64)> {
        let m = &self.simple.model;
        let began = self.clock.elapsed();
        let all = if self.clock.left().is_some() { m.inner_legs(path) } else { 0.0 };
        let end = self.clock.left().map_or(f64::INFINITY, |l| began + BUILDING * l);
        let goes_on = |written: f64| {
            let now = self.clock.elapsed();
            let fits = began + (now - began) * (all / written).max(1.0) <= end;
            fits && !self.clock.over()
        };
        let forest = Forest::new(m, path, by, sliced, goes_on)?;
        // to read the tree off and to rate it takes about as long, but no longer than where the search began, with a greedy tree
        let look = (self.clock.elapsed() - began).min(self.unit);
        Some((forest, look))
    }

    /// Tells whoever watches.
    pub fn report(&self, best: &Candidate) {
        if let Some(f) = self.opts.progress.as_ref().and_then(|p| p.report.as_ref()) {
            f(&Report {
                elapsed: self.clock.elapsed(),
                left: self.clock.left(),
                log2_value: best.score.value,
                valid: best.score.excess <= 0.0,
            });
        }
    }
}

/// Whether the trees to go on from are not compared by the objective.
fn by_guide(kind: Minimize) -> bool {
    matches!(kind, Minimize::Size | Minimize::Peak)
}

/// Trees of the same size or peak are alike to the objective, but not as places to go on from: there the elements of all tensors count.
fn guide(kind: Minimize, f: &Figures) -> Score {
    if by_guide(kind) { Score { value: f.elements, second: f.score.value, ..f.score } } else { f.score }
}

/// The model as one part.
fn whole(m: &Model) -> Sub {
    let leaves: Vec<&[u32]> = m.legs.iter().map(Vec::as_slice).collect();
    Sub::new(&leaves, &m.out, &m.lg, m.grad.clone())
}

/// Runs `count` jobs on the threads and returns their results in order.
pub(crate) fn parallel<T: Send>(threads: usize, count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.clamp(1, count.max(1));
    if threads == 1 {
        return (0..count).map(job).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    if k >= count {
                        break;
                    }
                    let r = job(k);
                    if let Ok(mut d) = done.lock() {
                        d.push((k, r));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|d| d.0);
    done.into_iter().map(|d| d.1).collect()
}

/// Other trees that an outcome tells of, where the network has at most so many tensors.
const OTHERS: usize = 3;
const OTHERS_OF: usize = 4_000;

/// Improves `best` within the budget; `others` get the best trees of other lines. Returns whether the clock or the stop flag ended the search.
pub(crate) fn run(search: &Search<'_>, best: &mut Candidate, others: &mut Vec<Candidate>) -> bool {
    let mut elite = Elite::default();
    let cut = rounds(search, best, &mut elite);
    elite.pool.retain(|c| c.sliced.is_empty() && c.path != best.path);
    elite.pool.truncate(if search.model.n() <= OTHERS_OF { OTHERS } else { 0 });
    others.append(&mut elite.pool);
    cut
}

fn rounds(search: &Search<'_>, best: &mut Candidate, elite: &mut Elite) -> bool {
    let m = &search.simple.model;
    if m.n() < 3 {
        let c = search.greedy_start(0);
        if c.score.better(&best.score) {
            *best = c;
        }
        return false;
    }
    let threads = search.opts.threads.max(1);
    let timed = search.opts.max_time.is_some();
    let ends = || search.clock.left().map_or(f64::INFINITY, |l| l + search.clock.elapsed());
    let total = ends();
    let take = |c: Candidate, best: &mut Candidate, elite: &mut Elite| {
        if c.score.better(&best.score) {
            *best = c.clone();
            search.report(best);
        }
        elite.offer(c);
    };
    // starts: the plain greedy tree is there; sweeps, linear orders and other tastes while they are cheap
    let trials = u64::from(search.opts.trials.unwrap_or(if timed { u32::MAX } else { TRIALS }));
    let rounds = if m.n() > 30_000 { 1 } else { 4 };
    let mut started = 0u64;
    let mut pool: Vec<(u64, f64, Path)> = Vec::new();
    let mut kinds = Kinds::default();
    for round in 0..rounds {
        let is_late = search.clock.over() || search.clock.elapsed() > 0.1 * total;
        if started >= trials || search.clock.stopped() || (round > 0 && is_late) {
            break;
        }
        let sure = if round == 0 { SURE } else { 0 };
        // with a time limit, no more starts than a third of what is left allows
        let all = KINDS as usize;
        let afford =
            search.clock.left().map_or(f64::INFINITY, |l| l / 3.0 / search.unit.max(1e-9) * threads as f64);
        let count = (afford as usize).clamp(sure, all);
        let made = parallel(threads, count, |k| {
            let i = started + k as u64;
            let go = k < sure || !search.clock.over();
            go.then(|| search.start(i)).map(|(cost, path)| (i, cost, path))
        });
        for (i, cost, path) in made.into_iter().flatten() {
            kinds.note(i, cost);
            pool.push((i, cost, path));
        }
        pool.sort_by(|a, b| a.1.total_cmp(&b.1));
        pool.truncate(ELITE);
        started += KINDS;
        if count < all {
            break;
        }
    }
    elite.offer(best.clone());
    // hopeless trees can be slow to look at: their tensors have as many legs as their cost has digits
    let bar = pool.first().map_or(0.0, |p| p.1.min(best.score.second)) * 1.5 + 10.0;
    pool.retain(|p| p.1 <= bar);
    let afford =
        search.clock.left().map_or(ELITE as f64, |l| l / 3.0 / search.unit.max(1e-9) * threads as f64);
    let sure = usize::from(pool.first().is_some_and(|p| p.1 < best.score.second));
    pool.truncate((afford as usize).max(sure));
    let rated = parallel(threads, pool.len(), |k| Candidate {
        line: pool[k].0 + 1,
        ..search.rate_core(pool[k].2.clone(), &[])
    });
    for c in rated {
        take(c, best, elite);
    }
    search.keep_time(best);
    let mut total = ends();
    let starts: Vec<Candidate> = elite.pool.clone();
    if starts.is_empty() {
        return search.clock.over();
    }
    let sub = (m.n() <= WHOLE).then(|| whole(m));
    let mut jobs = 0u64;
    let mut round = 0u64;
    let begin = search.clock.elapsed();
    let mut still = 0;
    let mut led = best.guide;
    while jobs < trials {
        if still >= STILL && search.opts.trials.is_none() && !timed {
            break;
        }
        let before = best.score;
        if search.clock.over() || search.is_late() {
            return true;
        }
        let now = search.clock.elapsed();
        let count = if timed { threads as u64 } else { JOBS.min(trials - jobs) };
        let until = timed.then(|| {
            let left = (total - now).max(0.0);
            let span = total - begin;
            // short runs first, then runs of an eighth of the time
            let d = (0.25 * (now - begin)).clamp(0.02 * span, 0.12 * span).min(left);
            (now, if left < 1.4 * d { total } else { now + d })
        });
        let results = match &sub {
            Some(sub) => parallel(threads, count as usize, |k| {
                job(search, sub, (&starts, &kinds), elite, best, jobs + k as u64, round, until)
            }),
            None => {
                let Some(c) = windows(search, &starts, elite, best, round, until, threads) else {
                    return true;
                };
                vec![c]
            }
        };
        for c in results {
            take(c, best, elite);
        }
        if let Some(c) = meet(search, &elite.pool, best) {
            take(Candidate { line: best.line, ..c }, best, elite);
        }
        if best.score.better(&before)
            && let Some(c) = reconfigure(search, best)
        {
            take(Candidate { line: best.line, ..c }, best, elite);
        }
        let lead = elite.pool.first().filter(|l| by_guide(search.kind) && l.guide.better(&led)).cloned();
        if let Some(lead) = lead {
            led = lead.guide;
            if let Some(c) = reconfigure(search, &lead) {
                led = c.guide;
                take(Candidate { line: lead.line, ..c }, best, elite);
            }
        }
        still = if best.score.better(&before) { 0 } else { still + 1 };
        if still == 0 {
            search.keep_time(best);
            total = ends();
        }
        jobs += count;
        round += 1;
    }
    search.clock.over()
}

/// Rounds of [`polish`] where the budget is counted.
const POLISH_ROUNDS: u64 = 2;

/// Anneals the best tree from cold, on a model whose first steps are no longer fixed. Returns whether the clock or the stop flag
/// ended the search.
pub(crate) fn polish(search: &Search<'_>, best: &mut Candidate) -> bool {
    let m = &search.simple.model;
    let threads = search.opts.threads.max(1);
    let timed = search.opts.max_time.is_some();
    let sub = (m.n() <= WHOLE).then(|| whole(m));
    let mut round = 0;
    while !search.clock.over() && !search.is_late() && (timed || round < POLISH_ROUNDS) {
        let now = search.clock.elapsed();
        let until = search.clock.left().map(|l| (now, now + if round == 0 { 0.5 * l } else { l.max(1e-3) }));
        let count = if timed { threads } else { JOBS as usize };
        let found = match &sub {
            Some(sub) => parallel(threads, count, |k| {
                let job = round * JOBS + k as u64;
                let mut rng = Rng::new(search.opts.seed, (6 << 40) + job);
                let sweeps = (200_000 / sub.n as u32).clamp(20, 2000);
                let plan = Schedule { sweeps, beta: ([3.0, 5.0, 8.0][(job % 3) as usize], 16.0), until };
                let frame = search.frame(best, &best.sliced, job);
                let snap = anneal(sub, &best.core, frame, plan, &mut rng, &search.clock);
                search.rate_core(snap.path, &snap.sliced)
            }),
            None => {
                let mut elite = Elite::default();
                elite.offer(best.clone());
                let Some(c) = windows(search, &[], &elite, best, (1 << 12) + round, until, threads) else {
                    return true;
                };
                vec![c]
            }
        };
        for c in found {
            if c.score.better(&best.score) {
                *best = c;
                search.report(best);
            }
        }
        round += 1;
    }
    if let Some(c) = reconfigure(search, best).filter(|c| c.score.better(&best.score)) {
        *best = c;
    }
    search.clock.over()
}

/// One annealing job on the whole simplified network.
#[allow(clippy::too_many_arguments)]
fn job(
    search: &Search<'_>,
    sub: &Sub,
    (starts, kinds): (&[Candidate], &Kinds),
    elite: &Elite,
    best: &Candidate,
    job: u64,
    round: u64,
    until: Option<(f64, f64)>,
) -> Candidate {
    let mut rng = Rng::new(search.opts.seed, (3 << 40) + job);
    let another;
    let (from, first, line) = if round < FIRST_ROUNDS {
        (&starts[job as usize % starts.len()], HOT, NEW_LINE + job)
    } else if job.is_multiple_of(4) {
        another = search.rate_core(search.draw(kinds, job / 4, until), &[]);
        (&another, HOT, NEW_LINE + job)
    } else if job % 4 == 1 && best.core.len() == sub.n - 1 && by_guide(search.kind) {
        (best, [0.8, 1.2, 1.8, 2.5, 3.5][rng.below(5)], best.line)
    } else {
        let k = if job % 4 == 3 { rng.below(elite.pool.len()) } else { 0 };
        (&elite.pool[k], [0.8, 1.2, 1.8, 2.5, 3.5][rng.below(5)], elite.pool[k].line)
    };
    let grow = 1 + (round as u32 / 2).min(7);
    let sweeps = (200_000 / sub.n as u32).clamp(20, 2000) * grow;
    let plan = Schedule { sweeps, beta: (first, 16.0), until };
    let frame = search.frame(best, &from.sliced, job);
    let snap = anneal(sub, &from.core, frame, plan, &mut rng, &search.clock);
    Candidate { line, ..search.rate_core(snap.path, &snap.sliced) }
}

/// Improves windows of a large tree: rounds of disjoint windows, annealed in parallel and put back. None where the time is too short for the tree.
fn windows(
    search: &Search<'_>,
    starts: &[Candidate],
    elite: &Elite,
    best: &Candidate,
    round: u64,
    until: Option<(f64, f64)>,
    threads: usize,
) -> Option<Candidate> {
    let m = &search.simple.model;
    // the first rounds try the best starts, the others go on with the best tree
    let first =
        starts.get(round as usize).filter(|c| round < 3 && c.score.second < 1.3 * starts[0].score.second);
    let best_again = round % 3 == 1 && best.core.len() + 1 == m.n() && by_guide(search.kind);
    let from = first.unwrap_or(if best_again { best } else { &elite.pool[0] });
    let mut rng = Rng::new(search.opts.seed, (4 << 40) + round);
    let frame = search.frame(best, &from.sliced, round);
    let began = search.clock.elapsed();
    let (mut forest, look) = search.forest(&from.core, (frame.kind, search.overhead()), &from.sliced)?;
    search.clock.set_aside(look);
    // a tree that took long to build is worked on for as long
    let least = search.clock.elapsed() + (search.clock.elapsed() - began);
    let late = |now: f64| until.is_some_and(|u| now + look >= u.1.max(least));
    let batch = 8usize;
    let batches = 4 + m.n() / (WINDOW * batch);
    let mut k = 0u64;
    loop {
        let now = search.clock.elapsed();
        if search.clock.over() || late(now) || (until.is_none() && k >= batches as u64) {
            break;
        }
        let mut busy = vec![false; forest.nodes()];
        let size = [WINDOW, WINDOW / 2, WINDOW / 6, WINDOW * 2][rng.below(4)];
        let cut: Vec<Window> = (0..4 * batch)
            .take_while(|_| !search.clock.over())
            .filter_map(|_| forest.window(size, &mut busy, &mut rng))
            .take(batch)
            .collect();
        let solved = parallel(threads, cut.len(), |w| {
            let win = &cut[w];
            let mut rng = Rng::new(search.opts.seed, (5 << 40) + (round << 24) + k * 64 + w as u64);
            let first = [0.7, 1.5, 3.0][rng.below(3)];
            let sweeps = 60 + 240 * rng.below(3) as u32;
            let plan = Schedule { sweeps, beta: (first, 14.0), until: None };
            let inner = Frame { sliced: &[], exchange: false, ..frame };
            anneal(&win.sub, &win.path, inner, plan, &mut rng, &search.clock)
        });
        for (win, snap) in cut.iter().zip(&solved) {
            if snap.value < win.value - 1e-4 && !search.clock.over() {
                forest.replace(win, &snap.path);
            }
        }
        k += 1;
    }
    search.clock.set_aside(0.0);
    Some(Candidate { line: from.line, ..search.rate_core(forest.path(), &from.sliced) })
}

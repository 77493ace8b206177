//! The search: exact where that is affordable, else a portfolio of trials.

use crate::clock::Clock;
use crate::exact::{Bounds, Exact, Proof};
use crate::greedy::{Taste, greedy};
use crate::model::Model;
use crate::objective::{Limits, Score, figures};
use crate::rng::Rng;
use crate::simplify::{Simplified, simplify};
use crate::slice::{order_loops, slice};
use crate::sub::Sub;
use crate::{Infeasible, Minimize, Network, Options, Outcome, Tree, evaluate};

/// The largest network that the exact search is tried on.
const EXACT_TENSORS: usize = 20;
/// Splits that the exact search may look at.
const EXACT_WORK: u64 = 600_000_000;

/// A tree of the model with slices, and what it is worth.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub path: Vec<(u32, u32)>,
    pub sliced: Vec<u32>,
    pub score: Score,
}

/// What all trials share.
pub(crate) struct Search<'a> {
    pub model: Model,
    pub simple: Simplified,
    pub kind: Minimize,
    pub limits: Limits,
    pub opts: &'a Options,
    pub clock: Clock<'a>,
}

impl Search<'_> {
    /// Scores a path, slicing it first if the limits demand it.
    pub fn rate(&self, path: Vec<(u32, u32)>) -> Candidate {
        let mut sliced = Vec::new();
        let mut score = figures(&self.model, &path, &sliced, self.kind, &self.limits).score;
        if score.excess > 0.0 {
            sliced = slice(&self.model, &path, self.kind, &self.limits);
            score = figures(&self.model, &path, &sliced, self.kind, &self.limits).score;
        }
        Candidate { path, sliced, score }
    }

    fn trial(&self, i: u64) -> Candidate {
        let mut rng = Rng::new(self.opts.seed, i);
        let taste = Taste::draw(&mut rng, i);
        let path = greedy(&self.simple.model, taste, &mut rng);
        self.rate(self.simple.lift(&path, self.model.n()))
    }
}

/// Searches for a contraction tree of `net`.
///
/// With `max_time` unset the result is a pure function of network, options (threads apart) and seed.
///
/// # Errors
/// [`Infeasible`] if the network is malformed or nothing found satisfies the limits.
pub fn plan(net: &Network, opts: &Options) -> Result<Outcome, Infeasible> {
    net.check()?;
    let clock = Clock::new(opts);
    let model = Model::new(net);
    let simple = simplify(&model);
    let limits = limits(net, &model, opts);
    let search = Search { model, simple, kind: opts.minimize, limits, opts, clock };
    let n = search.model.n();
    let mut best = search.rate(match &opts.start {
        Some(t) if t.check(net).is_ok() => t.ssa_path.clone(),
        _ => search.simple.lift(
            &greedy(
                &search.simple.model,
                Taste { temperature: 0.0, costmod: 1.0 },
                &mut Rng::new(opts.seed, 0),
            ),
            n,
        ),
    });
    let mut optimal = n < 3 && best.sliced.is_empty();
    let mut time_limited = false;
    let trials = u64::from(opts.trials.unwrap_or(64));
    for i in 0..trials {
        if n < 3 {
            break;
        }
        if search.clock.over() {
            time_limited = true;
            break;
        }
        let c = search.trial(i);
        if c.score.better(&best.score) {
            best = c;
        }
    }
    if !optimal && n <= EXACT_TENSORS && best.sliced.is_empty() {
        optimal = exact(&search, &mut best);
    }
    finish(net, &search, best, optimal, time_limited)
}

/// Tries to find and prove the optimum; replaces `best` by it.
fn exact(search: &Search<'_>, best: &mut Candidate) -> bool {
    let m = &search.model;
    let leaves: Vec<&[u32]> = m.legs.iter().map(Vec::as_slice).collect();
    let sub = Sub::new(&leaves, &m.out, &m.lg, m.grad.clone());
    let value = match search.kind {
        Minimize::Peak => f64::INFINITY,
        _ => best.score.value,
    };
    let shift = if value.is_finite() { (value - 900.0).max(0.0) } else { 0.0 };
    let bounds = Bounds {
        upper: ((value - shift).exp2()) * (1.0 + 1e-9),
        max_size: search.limits.size.map_or(f64::INFINITY, |l| (l - shift).exp2() * (1.0 + 1e-9)),
        shift,
        work: EXACT_WORK,
    };
    let mut path = Vec::new();
    let (_, proof) = Exact::default().solve(&sub, search.kind, bounds, &mut path);
    match proof {
        Proof::GaveUp => false,
        Proof::NoBetter => search.limits.peak.is_none(),
        Proof::Optimal => {
            let score = figures(m, &path, &[], search.kind, &search.limits).score;
            if score.better(&best.score) {
                *best = Candidate { path, sliced: Vec::new(), score };
            }
            // a limit on the peak is not part of the exact search: then the optimum found must obey it
            score.excess <= best.score.excess && !best.score.better(&score)
        }
    }
}

fn limits(net: &Network, model: &Model, opts: &Options) -> Limits {
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

fn finish(
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
        return Ok(Outcome { tree, cost, optimal, time_limited });
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

//! The joint optimiser as the driver uses it: what is asked of it, and which of its dags is kept.
//!
//! The optimiser ranks by the dag alone. Its dag is scheduled beside the one that it began with, and the better plan is kept, so that no plan is
//! worse than without it.

use crate::options::Options;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tn_ir::dag::{ArrayId, ArrayRole, Dag, Op};
use tn_opt::cost::{Costs, Goal, Rates};
use tn_opt::rules::{Group, RULES};
use tn_opt::{Clock, Limit, Optimised, Settings, optimise};
use tn_order::{Minimize, Outcome};
use tn_plan::cost::Machine;
use tn_plan::ir::{Plan, Summary};

/// Nodes of the graph, unless options say otherwise.
pub const NODES: usize = 20_000;
/// Rounds of rules and extraction, unless options say otherwise.
pub const STEPS: usize = 4;
/// A graph that is larger than this from the start is left alone: half the nodes are for alternatives.
const ROOM: usize = 2;

/// What a dag is rewritten with.
#[derive(Clone, Copy, Default)]
pub(crate) struct Alternatives<'a> {
    /// Dags of other trees for the same roots.
    pub candidates: &'a [Dag],
    /// Bytes of results within which the cheapest is wanted too.
    pub limits: &'a [f64],
    /// When the time is over.
    pub clock: Clock,
}

/// With a time limit, the part of it that the search leaves to the optimiser, and no more than this.
const SHARE: f64 = 0.15;
const MOST: Duration = Duration::from_millis(500);
/// A rewritten dag is scheduled, verified and compared with its program: as a multiple of what lowering and scheduling took before.
const AFTERWARDS: f64 = 2.5;

/// The time that the search leaves to the optimiser, where a dag of about so many nodes is one that it looks at.
pub(crate) fn time_for(options: &Options, nodes: usize) -> Duration {
    let room = options.egraph_nodes.unwrap_or(NODES) / ROOM;
    let some = RULES.iter().any(|r| options.rules.is_on(r.name));
    let on = some && nodes <= room;
    options.max_time.filter(|_| on).map_or(Duration::ZERO, |t| t.mul_f64(SHARE).min(MOST))
}

/// When the optimiser has to end, where lowering and scheduling took so long; none if there is no limit on time.
pub(crate) fn ends(options: &Options, began: Instant, scheduling: Duration) -> Option<Instant> {
    Some(began.checked_add(options.max_time?)?.checked_sub(scheduling.mul_f64(AFTERWARDS)).unwrap_or(began))
}

/// What the optimiser has to offer.
#[derive(Default)]
pub(crate) struct Improved {
    /// Something cheaper, if it found that.
    pub better: Option<Optimised>,
    /// The limit that ended it, if one did.
    pub limit: Option<Limit>,
}

/// A limit as reports name it.
pub(crate) fn limit_text(limit: Limit) -> &'static str {
    match limit {
        Limit::Nodes => "the number of nodes (`--egraph-nodes`)",
        Limit::Rounds => "the number of rounds (`--egraph-steps`)",
        Limit::Time => "the time",
    }
}

/// A cheaper dag for the same values, or one that takes less memory where limits are given, with what the optimiser says of it.
pub(crate) fn improved(dag: &Dag, other: Alternatives<'_>, options: &Options, machine: &Machine) -> Improved {
    let rules = options.rules;
    // a given path is taken as it is
    let given = options.path.is_some() && !options.refine;
    let is_on = |k: &usize| rules.is_on(RULES[*k].name) && !(given && RULES[*k].group == Group::Plans);
    let on: BTreeSet<usize> = (0..RULES.len()).filter(is_on).collect();
    let max_nodes = options.egraph_nodes.unwrap_or(NODES);
    let goal = match options.minimize {
        Minimize::Time => Goal::Time,
        Minimize::Macs => Goal::Macs,
        // what is largest is not a sum over nodes, but what moves fewer bytes tends to hold fewer
        Minimize::Bytes | Minimize::Size | Minimize::Peak => Goal::Bytes,
    };
    if on.is_empty() {
        return Improved::default();
    }
    if dag.len() > max_nodes / ROOM {
        return Improved { better: None, limit: Some(Limit::Nodes) };
    }
    if other.clock.is_over() {
        return Improved { better: None, limit: Some(Limit::Time) };
    }
    let rates = Rates {
        macs_per_second: machine.rate(dag.dtype),
        bytes_per_second: machine.bytes_per_second,
        step_seconds: machine.step_seconds,
        element_bytes: dag.dtype.bytes() as f64,
    };
    let costs = Costs { rates, goal };
    let rounds = options.egraph_steps.unwrap_or(STEPS);
    let (explain, limits, clock) = (options.explain, other.limits.to_vec(), other.clock);
    let found = optimise(
        dag,
        other.candidates,
        &Settings { costs, rules: on, scalar: rules.scalar(), max_nodes, rounds, explain, limits, clock },
    );
    let limit = found.limited;
    let pays = found.cost.1 < found.cost.0 * (1.0 - 1e-6) || !found.thrifty.is_empty();
    Improved { better: pays.then_some(found), limit }
}

/// Whether no rewrite can lower the objective: multiply-adds are counted, the order is proven to take the fewest, and it is one product of given
/// arrays, each read once, so that there is nothing to share, to fold or to factor.
pub(crate) fn is_settled(dag: &Dag, outcomes: &[Outcome], options: &Options) -> bool {
    let [one] = outcomes else { return false };
    if options.minimize != Minimize::Macs || !one.optimal || dag.roots.len() != 1 {
        return false;
    }
    let mut uses = vec![0usize; dag.len()];
    dag.ids().flat_map(|n| dag.op(n).args()).for_each(|a| uses[a.0 as usize] += 1);
    let given = |a: &ArrayId| dag.arrays.get(*a).is_some_and(|a| a.role != ArrayRole::Const);
    dag.ids().all(|n| match dag.op(n) {
        Op::Leaf(a) => uses[n.0 as usize] <= 1 && given(a),
        Op::Einsum2 { .. } | Op::Einsum1 { .. } | Op::Reshape { .. } => uses[n.0 as usize] <= 1,
        _ => false,
    })
}

/// What a plan's objective is, summed over what it runs.
pub(crate) fn figure(summary: &Summary, minimize: Minimize) -> f64 {
    // the first entry is `forward`, which `forward_saving` does again
    let entries = if summary.entries.len() > 1 { &summary.entries[1..] } else { &summary.entries[..] };
    match minimize {
        Minimize::Time => summary.modelled_seconds,
        Minimize::Macs => entries.iter().map(|e| e.macs).sum(),
        Minimize::Bytes => entries.iter().map(|e| e.bytes_moved).sum(),
        Minimize::Size | Minimize::Peak => summary.peak_bytes as f64,
    }
}

/// Whether `a` is better than `b` for the options' objective.
pub(crate) fn is_better(a: &Plan, b: &Plan, options: &Options) -> bool {
    figure(&a.summary, options.minimize) < figure(&b.summary, options.minimize) * (1.0 - 1e-9)
}

//! The joint optimiser as the driver uses it: what is asked of it, and which of its dags is kept.
//!
//! The optimiser ranks by the dag alone. Its dag is scheduled beside the one that it began with, and the better plan is kept, so that no plan is
//! worse than without it.

use crate::options::Options;
use std::collections::BTreeSet;
use std::time::Instant;
use tn_ir::dag::Dag;
use tn_opt::cost::{Costs, Goal, Rates};
use tn_opt::rules::{Group, RULES};
use tn_opt::{Optimised, Settings, optimise};
use tn_order::Minimize;
use tn_plan::cost::Machine;
use tn_plan::ir::{Plan, Summary};

/// Nodes of the graph, unless options say otherwise.
pub const NODES: usize = 20_000;
/// Rounds of rules and extraction, unless options say otherwise.
pub const STEPS: usize = 4;
/// A graph that is larger than this from the start is left alone: half the nodes are for alternatives.
const ROOM: usize = 2;

/// A cheaper dag for the same values, with what the optimiser says of it; none if there is nothing to rewrite or nothing cheaper
/// by `end`.
pub(crate) fn improved(
    dag: &Dag,
    options: &Options,
    machine: &Machine,
    end: Option<Instant>,
) -> Option<Optimised> {
    let rules = options.rules;
    // a given path is taken as it is
    let given = options.path.is_some() && !options.refine;
    let is_on = |k: &usize| {
        let group = match RULES[*k].group {
            Group::Plans => rules.plans && !given,
            Group::Sums => rules.sums,
        };
        group && rules.single & (1 << k) == 0
    };
    let on: BTreeSet<usize> = (0..RULES.len()).filter(is_on).collect();
    let max_nodes = options.egraph_nodes.unwrap_or(NODES);
    let goal = match options.minimize {
        Minimize::Time => Goal::Time { price: 0.0 },
        Minimize::Macs => Goal::Macs,
        Minimize::Bytes => Goal::Bytes,
        // what is largest is not a sum over nodes
        Minimize::Size | Minimize::Peak => return None,
    };
    if on.is_empty() || dag.len() > max_nodes / ROOM || end.is_some_and(|e| Instant::now() >= e) {
        return None;
    }
    let rates = Rates {
        macs_per_second: machine.rate(dag.dtype),
        bytes_per_second: machine.bytes_per_second,
        step_seconds: machine.step_seconds,
        element_bytes: dag.dtype.bytes() as f64,
    };
    let costs = Costs { rates, goal };
    let rounds = options.egraph_steps.unwrap_or(STEPS);
    let explain = options.explain;
    let found = optimise(dag, &Settings { costs, rules: on, max_nodes, rounds, explain, end });
    (found.cost.1 < found.cost.0 * (1.0 - 1e-6)).then_some(found)
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

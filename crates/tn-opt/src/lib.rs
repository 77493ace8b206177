//! The joint optimiser: alternatives of a whole program, forward and backward, in one e-graph.
//!
//! ```text
//! Dag ─ every node a class ─▶ Joint ─ rules make equal nodes ─▶ Joint ─ extraction ─▶ Dag
//! ```
//!
//! A [`Dag`] holds outputs, gradients and tangents together, so a rewrite sees what they share. [`rules`] lists what may be rewritten, [`extract`]
//! chooses. What is chosen is never dearer, by the same model, than what was there; whether its plan is better is for the schedule to say.

pub mod cost;
pub mod extract;
pub mod graph;
pub mod rules;
pub mod scalar;

use cost::Costs;
use extract::{Choice, Extracted, extract};
use graph::{Class, Joint};
use rules::{Context, Group, Pairs, RULES};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tn_ir::dag::{Dag, DagId, Op, Root};

/// What the optimiser may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is minimised, on which machine.
    pub costs: Costs,
    /// Groups of rules that are on.
    pub groups: Vec<Group>,
    /// Nodes that the graph may have in all.
    pub max_nodes: usize,
    /// Rounds of rules and extraction.
    pub rounds: usize,
}

/// Operands of a window.
const WINDOW: usize = 6;
/// Steps whose windows are solved again in a round: those that cost the most.
const WINDOWS: usize = 96;
/// Together these steps make up so much of the cost.
const COVERED: f64 = 0.995;
/// Nodes that rules look at in a round, the dearest first.
const LOOKED_AT: usize = 4_000;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Optimised {
    /// The dag with the chosen nodes only.
    pub dag: Dag,
    /// Cost of what was there and of what was chosen, in the goal's unit.
    pub cost: (f64, f64),
    /// How often each rule made something that was not known.
    pub applied: BTreeMap<&'static str, usize>,
    /// Nodes and classes of the graph at the end.
    pub size: (usize, usize),
    /// Whether a limit ended it before nothing was new.
    pub limited: bool,
    /// The rewrites that the choice rests on, in an order in which they can be applied.
    pub chain: Vec<Rewrite>,
}

/// One application of a rule whose result was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    /// The rule's name.
    pub rule: &'static str,
    /// The node that it was applied to, as text.
    pub from: String,
    /// What stands in its place, as text.
    pub to: String,
    /// By how much the cost of the whole fell in the round that chose it.
    pub gain: f64,
}

/// Rewrites a dag.
pub fn optimise(dag: &Dag, settings: &Settings) -> Optimised {
    let roots: Vec<DagId> = dag.roots.iter().map(|r| r.node).collect();
    let mut joint = Joint::new(dag.clone());
    let first: Choice = reachable(dag, &roots).into_iter().map(|n| (joint.known_class(n), n)).collect();
    let before: f64 = first.values().map(|&n| settings.costs.node(&joint.dag, n)).sum();
    let mut best = Extracted { choice: first, cost: before, optimal: false };
    let mut pairs = Pairs::default();
    let mut applied: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut made_by: HashMap<DagId, (&'static str, DagId)> = HashMap::new();
    let mut done: BTreeSet<(usize, DagId)> = BTreeSet::new();
    let mut limited = false;
    // contractions that other rules made: an order of theirs may pay where they as made do not
    let mut fresh: Vec<DagId> = vec![];
    for round in 0..settings.rounds {
        let mut news = 0;
        for (k, rule) in RULES.iter().enumerate() {
            if !settings.groups.contains(&rule.group) {
                continue;
            }
            let mut todo = targets(&joint, &best.choice, settings, rule.group);
            if rule.group == Group::Plans {
                todo.extend(std::mem::take(&mut fresh).into_iter().take(WINDOWS));
            }
            for n in todo {
                if !done.insert((k, n)) {
                    continue;
                }
                if joint.len() >= settings.max_nodes {
                    limited = true;
                    break;
                }
                let mut cx = Context { joint: &mut joint, pairs: &mut pairs, window: WINDOW };
                // what comes of a node belongs to the same source
                let info = cx.joint.dag.info(n);
                (cx.joint.dag.current_span, cx.joint.dag.in_adjoint) = (info.span, info.adjoint);
                let from = cx.joint.len();
                let made = (rule.apply)(&mut cx, n);
                for m in made {
                    let new = joint.equate(n, m);
                    news += usize::from(new);
                    *applied.entry(rule.name).or_default() += usize::from(new);
                }
                for m in (from..joint.len()).map(|m| DagId(m as u32)) {
                    made_by.entry(m).or_insert((rule.name, n));
                    if rule.group != Group::Plans && matches!(joint.dag.op(m), Op::Einsum2 { .. }) {
                        fresh.push(m);
                    }
                }
            }
        }
        joint.rebuild();
        if news == 0 {
            break;
        }
        let start: Choice = best.choice.values().map(|&n| (joint.known_class(n), n)).collect();
        let found = extract(&joint, &settings.costs, &roots, Some(&start));
        // where classes merged so that what was chosen goes round in circles, what was found may be dearer
        let better = found.cost < best.cost * (1.0 - 1e-9);
        best = found;
        if !better && fresh.is_empty() && round > 0 {
            break;
        }
        limited |= round + 1 == settings.rounds;
    }
    let after = best.cost;
    let chain = chain(&joint, &best.choice, &made_by, before - after);
    let dag = rebuilt(&joint, &best.choice, &dag.roots);
    let size = (joint.len(), joint.classes().count());
    Optimised { dag, cost: (before, after), applied, size, limited, chain }
}

fn reachable(dag: &Dag, roots: &[DagId]) -> BTreeSet<DagId> {
    let mut seen = BTreeSet::new();
    let mut stack = roots.to_vec();
    while let Some(n) = stack.pop() {
        if seen.insert(n) {
            stack.extend(dag.op(n).args());
        }
    }
    seen
}

/// The nodes that rules of a group are applied to: what is chosen now, the dearest first; contractions only as far as they matter.
fn targets(joint: &Joint, choice: &Choice, settings: &Settings, group: Group) -> Vec<DagId> {
    let mut all: Vec<(f64, DagId)> = vec![];
    for (&class, &chosen) in choice {
        let cost = settings.costs.node(&joint.dag, chosen);
        match group {
            Group::Plans => all.push((cost, chosen)),
            // sums and maps are few: all members
            Group::Sums => all.extend(joint.members(class).iter().take(8).map(|&m| (cost, m))),
        }
    }
    all.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
    match group {
        Group::Sums => all.truncate(LOOKED_AT),
        Group::Plans => {
            let total: f64 = all.iter().map(|x| x.0).sum();
            let mut covered = 0.0;
            let enough = all.iter().position(|x| {
                covered += x.0;
                covered > COVERED * total
            });
            all.truncate(enough.map_or(all.len(), |k| k + 1).min(WINDOWS));
        }
    }
    all.into_iter().map(|x| x.1).collect()
}

/// The dag of the chosen nodes.
fn rebuilt(joint: &Joint, choice: &Choice, roots: &[Root]) -> Dag {
    let old = &joint.dag;
    let mut dag = old.emptied();
    let mut at: HashMap<Class, DagId> = HashMap::new();
    // classes with the next argument to look at
    let mut stack: Vec<(Class, usize)> = vec![];
    for root in roots {
        stack.push((joint.known_class(root.node), 0));
        while let Some((class, next)) = stack.pop() {
            if at.contains_key(&class) {
                continue;
            }
            let Some(&n) = choice.get(&class) else { continue };
            let args = joint.args(n);
            if let Some(&a) = args.get(next) {
                stack.push((class, next + 1));
                stack.push((a, 0));
                continue;
            }
            let mut args = args.into_iter();
            let op =
                old.op(n).clone().with_args(|a| args.next().and_then(|c| at.get(&c).copied()).unwrap_or(a));
            let info = old.info(n);
            (dag.current_span, dag.in_adjoint) = (info.span, info.adjoint);
            let new = dag.add(op, old.dims(n).to_vec());
            at.insert(class, new);
        }
    }
    let moved = |r: &Root| Root { node: at[&joint.known_class(r.node)], ..r.clone() };
    dag.roots = roots.iter().map(moved).collect();
    dag.in_adjoint = false;
    dag
}

/// The rewrites whose results were chosen, one line for each application.
fn chain(
    joint: &Joint,
    choice: &Choice,
    made_by: &HashMap<DagId, (&'static str, DagId)>,
    gain: f64,
) -> Vec<Rewrite> {
    let mut seen: BTreeSet<(&'static str, DagId)> = BTreeSet::new();
    let mut steps: Vec<(DagId, &'static str, DagId)> = choice
        .values()
        .filter_map(|&n| made_by.get(&n).map(|&(rule, from)| (n, rule, from)))
        .filter(|&(_, rule, from)| seen.insert((rule, from)))
        .collect();
    steps.sort_unstable();
    let count = steps.len().max(1) as f64;
    let text = |n: DagId| format!("%{} = {:?}", n.0, joint.dag.op(n));
    let one = |(n, rule, from): (DagId, &'static str, DagId)| Rewrite {
        rule,
        from: text(from),
        to: text(n),
        gain: gain / count,
    };
    steps.into_iter().map(one).collect()
}

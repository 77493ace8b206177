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
pub mod fold;
pub mod graph;
pub mod meet;
pub mod rules;
pub mod scalar;
mod slip {
    tn_ir::slips!();
}
pub mod support;
mod untimed;

use cost::Costs;
use extract::{Choice, Extracted, extract, extract_within};
use graph::{Class, Joint};
use meet::meet;
use rules::{Context, Group, Pairs, RULES, Rule};
use scalar::ScalarRules;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;
use tn_ir::dag::{Dag, DagId, Op, Root};

/// What the optimiser may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is minimised, on which machine.
    pub costs: Costs,
    /// The rules that are on, by their position in the table.
    pub rules: BTreeSet<usize>,
    /// The scalar rules that are on.
    pub scalar: ScalarRules,
    /// Nodes that the graph may have in all.
    pub max_nodes: usize,
    /// Rounds of rules and extraction.
    pub rounds: usize,
    /// Whether the gain of each rewrite is measured, which takes an extraction for each.
    pub explain: bool,
    /// When it ends, whatever is left to do.
    pub clock: Clock,
    /// Bytes that results may take at once, beside what the caller holds: for each of them the cheapest choice within it is wanted too.
    pub limits: Vec<f64>,
}

/// The end of the time, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock(pub Option<Instant>);

impl Clock {
    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}

/// What the chain calls a part that another candidate had.
pub const CANDIDATE: &str = "candidate";
/// Operands of a window.
const WINDOW: usize = 6;
/// Steps whose windows are solved again in a round: those that cost the most.
const WINDOWS: usize = 96;
/// Together these steps make up so much of the cost.
const COVERED: f64 = 0.995;
/// What one application of any rule but `window` makes at most, which makes its window as small as it must.
const LEAST_ROOM: usize = 40;
/// Nodes that rules look at in a round, the dearest first.
const LOOKED_AT: usize = 4_000;

/// What may end the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The graph has no room for more nodes.
    Nodes,
    /// There were so many rounds.
    Rounds,
    /// The time was over.
    Time,
}

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
    /// The limit that ended it before nothing was new, if one did.
    pub limited: Option<Limit>,
    /// The rewrites that the choice rests on, in the order in which they were made.
    pub chain: Vec<Rewrite>,
    /// Everything that was applied, and what was chosen: enough to do it again.
    pub derivation: Derivation,
    /// What is cheapest within the limits that were asked for, where it is something else.
    pub thrifty: Vec<Thrifty>,
}

/// A choice that takes less memory and costs more.
#[derive(Clone, Debug)]
pub struct Thrifty {
    /// The dag of the chosen nodes.
    pub dag: Dag,
    /// Its cost in the goal's unit.
    pub cost: f64,
    /// The nodes, as in [`Derivation::chosen`].
    pub chosen: Vec<u32>,
}

impl Optimised {
    /// The same with a thrifty choice instead.
    pub fn with(&self, choice: &Thrifty) -> Optimised {
        let derivation = Derivation { chosen: choice.chosen.clone(), ..self.derivation.clone() };
        // gains were measured against another choice
        Optimised {
            dag: choice.dag.clone(),
            cost: (self.cost.0, choice.cost),
            chain: vec![],
            derivation,
            thrifty: vec![],
            ..self.clone()
        }
    }
}

/// What was applied to a dag, so that a checker can apply it again and come to the same dag. Nodes are numbered as the rules make them, which is
/// the same whenever the same rules are applied to the same dag in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// How many nodes the graph might have: where there is little room, windows are smaller.
    pub max_nodes: usize,
    /// The scalar rules that were on.
    pub scalar: ScalarRules,
    /// How many candidates entered the graph before the first round.
    pub candidates: usize,
    /// Rounds of applications: the rule's name and the node.
    pub rounds: Vec<Vec<(String, u32)>>,
    /// The nodes that were chosen.
    pub chosen: Vec<u32>,
}

/// One application of a rule whose result was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    /// The rule's name.
    pub rule: &'static str,
    /// The node that it was applied to, as text.
    pub from: String,
    /// What of that which it made was chosen, as text.
    pub to: Vec<String>,
    /// How much more the whole would cost without what this application made, in the goal's unit.
    pub gain: f64,
}

/// Rewrites a dag. `candidates` compute the same roots in other orders of contraction; what is chosen may take parts from each.
pub fn optimise(dag: &Dag, candidates: &[Dag], settings: &Settings) -> Optimised {
    let roots: Vec<DagId> = dag.roots.iter().map(|r| r.node).collect();
    let mut joint = Joint::new(dag.clone());
    let (max_nodes, scalar) = (settings.max_nodes, settings.scalar);
    let mut derivation = Derivation { max_nodes, scalar, candidates: 0, rounds: vec![], chosen: vec![] };
    let mut made_by: HashMap<DagId, (&'static str, DagId)> = HashMap::new();
    let mut met = 0;
    if let Some(&root) = roots.first().filter(|_| settings.rounds > 0) {
        let mut room = (settings.max_nodes / 2).saturating_sub(joint.len());
        for c in candidates {
            let Some(left) = room.checked_sub(c.len()) else { break };
            (room, derivation.candidates) = (left, derivation.candidates + 1);
        }
        met = meet(&mut joint, &candidates[..derivation.candidates], settings.clock);
        made_by.extend((dag.len()..joint.len()).map(|m| (DagId(m as u32), (CANDIDATE, root))));
    }
    let first: Choice = reachable(dag, &roots).into_iter().map(|n| (joint.known_class(n), n)).collect();
    let before: f64 = first.values().map(|&n| settings.costs.node(&joint.dag, n)).sum();
    let mut best = Extracted { choice: first, cost: before, optimal: false };
    if met > 0 {
        // what candidates have together is a better place to begin than any of them
        best = extract(&joint, &settings.costs, &roots, Some(&best.choice), &BTreeSet::new(), settings.clock);
    }
    let mut pairs = Pairs::default();
    let mut applied: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut done: BTreeSet<(usize, DagId)> = BTreeSet::new();
    let mut limited = (settings.rounds == 0).then_some(Limit::Rounds);
    // contractions that other rules made: an order of theirs may pay where they as made do not
    let mut fresh: Vec<DagId> = vec![];
    for round in 0..settings.rounds {
        let unions = joint.unions();
        let mut log = vec![];
        for (k, rule) in RULES.iter().enumerate() {
            if !settings.rules.contains(&k) {
                continue;
            }
            let mut todo = targets(&joint, &best.choice, settings, rule.group);
            match rule.group {
                Group::Plans => todo.extend(std::mem::take(&mut fresh).into_iter().take(WINDOWS)),
                // products that are new in this round, too
                Group::Structure => todo.extend(fresh.iter().copied()),
                Group::Sums => {}
            }
            let mut todo = VecDeque::from(todo);
            while let Some(n) = todo.pop_front() {
                if !done.insert((k, n)) {
                    continue;
                }
                let room = settings.max_nodes.saturating_sub(joint.len());
                if room < LEAST_ROOM || settings.clock.is_over() {
                    limited = Some(if settings.clock.is_over() { Limit::Time } else { Limit::Nodes });
                    break;
                }
                let from = joint.len();
                let new = apply(&mut joint, &mut pairs, rule, n, (window_for(room), scalar));
                log.push((rule.name.to_owned(), n.0));
                *applied.entry(rule.name).or_default() += new;
                for m in (from..joint.len()).map(|m| DagId(m as u32)) {
                    made_by.entry(m).or_insert((rule.name, n));
                    if rule.group != Group::Plans && matches!(joint.dag.op(m), Op::Einsum2 { .. }) {
                        fresh.push(m);
                    }
                    // what lies on a support is smaller: it ends
                    if rule.group == Group::Structure {
                        todo.push_back(m);
                    }
                }
            }
        }
        joint.rebuild();
        derivation.rounds.push(log);
        // a rule may also make results of its own meet, so classes can merge where nothing of what it returns is news
        if joint.unions() == unions && (round > 0 || met == 0) {
            break;
        }
        let start: Choice = best.choice.values().map(|&n| (joint.known_class(n), n)).collect();
        let found = extract(&joint, &settings.costs, &roots, Some(&start), &BTreeSet::new(), settings.clock);
        // where classes merged so that what was chosen goes round in circles, what was found may be dearer
        let better = found.cost < best.cost * (1.0 - 1e-9);
        best = found;
        if !better && fresh.is_empty() && round > 0 {
            break;
        }
        if settings.clock.is_over() {
            limited = Some(Limit::Time);
            break;
        }
        if round + 1 == settings.rounds {
            limited = limited.or(Some(Limit::Rounds));
        }
    }
    let after = best.cost;
    let chain = chain(&joint, &best, &made_by, settings, &roots);
    derivation.chosen = best.choice.values().map(|n| n.0).collect();
    let thrifty = thrifty(&joint, &best, settings, &dag.roots);
    debug_assert!(is_whole(&joint, &best.choice, &roots), "a class that is needed has no choice");
    let dag = rebuilt(&joint, &best.choice, &dag.roots);
    let size = (joint.len(), joint.classes().count());
    Optimised { dag, cost: (before, after), applied, size, limited, chain, derivation, thrifty }
}

/// The cheapest choices within the limits, as far as they differ from the cheapest of all and from each other.
fn thrifty(joint: &Joint, best: &Extracted, settings: &Settings, roots: &[Root]) -> Vec<Thrifty> {
    let nodes: Vec<DagId> = roots.iter().map(|r| r.node).collect();
    let mut known = vec![best.choice.clone()];
    let mut out = vec![];
    for &limit in &settings.limits {
        let Some(found) = extract_within(joint, &settings.costs, &nodes, &best.choice, limit) else {
            continue;
        };
        if known.contains(&found.choice) {
            continue;
        }
        out.push(Thrifty {
            dag: rebuilt(joint, &found.choice, roots),
            cost: found.cost,
            chosen: found.choice.values().map(|n| n.0).collect(),
        });
        known.push(found.choice);
    }
    out
}

/// Operands of a window that makes no more nodes than there is room for: every subset is split in every way, and a split makes at most three nodes.
fn window_for(room: usize) -> usize {
    (2..=WINDOW).rev().find(|&k| 3 * 3usize.pow(k as u32) / 2 <= room).unwrap_or(2)
}

/// Applies one rule to one node; returns how much of what it made was news.
fn apply(
    joint: &mut Joint,
    pairs: &mut Pairs,
    rule: &Rule,
    n: DagId,
    (window, scalar): (usize, ScalarRules),
) -> usize {
    // what comes of a node belongs to the same source
    let info = joint.dag.info(n);
    (joint.dag.current_span, joint.dag.in_adjoint) = (info.span, info.adjoint);
    let made = (rule.apply)(&mut Context { joint: &mut *joint, pairs, window, scalar }, n);
    made.into_iter().filter(|&m| joint.equate(n, m)).count()
}

/// Applies a derivation to the dag that it began with, and the candidates that there were.
///
/// # Errors
/// A sentence: it names an unknown rule or node, or what it chooses is no dag of the roots.
pub fn replay(dag: &Dag, candidates: &[Dag], derivation: &Derivation) -> Result<Dag, String> {
    let mut joint = Joint::new(dag.clone());
    let Some(candidates) = candidates.get(..derivation.candidates) else {
        return Err(format!("{} candidates enter, of {}", derivation.candidates, candidates.len()));
    };
    meet(&mut joint, candidates, Clock::default());
    let mut pairs = Pairs::default();
    for (round, log) in derivation.rounds.iter().enumerate() {
        for (name, n) in log {
            let rule = RULES.iter().find(|r| r.name == name);
            let rule = rule.ok_or_else(|| format!("round {round} applies `{name}`, which is no rule"))?;
            if *n as usize >= joint.len() {
                return Err(format!("round {round} applies `{name}` to node {n}, which is not there"));
            }
            let room = derivation.max_nodes.saturating_sub(joint.len());
            apply(&mut joint, &mut pairs, rule, DagId(*n), (window_for(room), derivation.scalar));
        }
        joint.rebuild();
    }
    if let Some(n) = derivation.chosen.iter().find(|&&n| n as usize >= joint.len()) {
        return Err(format!("node {n} is chosen, which is not there"));
    }
    let choice: Choice = derivation.chosen.iter().map(|&n| (joint.known_class(DagId(n)), DagId(n))).collect();
    let roots: Vec<DagId> = dag.roots.iter().map(|r| r.node).collect();
    if !is_whole(&joint, &choice, &roots) {
        return Err("what is chosen does not compute every root".into());
    }
    Ok(rebuilt(&joint, &choice, &dag.roots))
}

/// Whether a choice has a node for every class that it needs, without going round in circles.
fn is_whole(joint: &Joint, choice: &Choice, roots: &[DagId]) -> bool {
    // true: done; false: being looked at
    let mut state: HashMap<Class, bool> = HashMap::new();
    let mut stack: Vec<(Class, bool)> = roots.iter().map(|&r| (joint.known_class(r), false)).collect();
    while let Some((class, leaving)) = stack.pop() {
        if leaving {
            state.insert(class, true);
            continue;
        }
        match state.get(&class) {
            Some(true) => continue,
            Some(false) => return false,
            None => {}
        }
        let Some(&n) = choice.get(&class) else { return false };
        state.insert(class, false);
        stack.push((class, true));
        stack.extend(joint.args(n).into_iter().filter(|a| state.get(a) != Some(&true)).map(|a| (a, false)));
    }
    true
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
            // sums, maps and placements are few: all members
            Group::Sums | Group::Structure => {
                all.extend(joint.members(class).iter().take(8).map(|&m| (cost, m)))
            }
        }
    }
    all.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
    match group {
        Group::Sums | Group::Structure => all.truncate(LOOKED_AT),
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

/// Applications whose gain is measured; those of the others is told together with the last.
const MEASURED: usize = 24;

/// The rewrites whose results were chosen, one entry for each application.
fn chain(
    joint: &Joint,
    best: &Extracted,
    made_by: &HashMap<DagId, (&'static str, DagId)>,
    settings: &Settings,
    roots: &[DagId],
) -> Vec<Rewrite> {
    let mut steps: BTreeMap<(DagId, &'static str), Vec<DagId>> = BTreeMap::new();
    for n in best.choice.values() {
        if let Some(&(rule, from)) = made_by.get(n) {
            steps.entry((from, rule)).or_default().push(*n);
        }
    }
    let mut out = vec![];
    for (k, ((from, rule), chosen)) in steps.into_iter().enumerate() {
        let gain = if settings.explain && k < MEASURED {
            let made = made_by.iter().filter(|(_, by)| **by == (rule, from)).map(|(n, _)| *n).collect();
            extract(joint, &settings.costs, roots, None, &made, settings.clock).cost - best.cost
        } else {
            0.0
        };
        let from = text(&joint.dag, from);
        let to = chosen.iter().map(|&n| text(&joint.dag, n)).collect();
        out.push(Rewrite { rule, from, to, gain: gain.max(0.0) });
    }
    out
}

/// A node for people: `%7[a,c] = %1[a,b] * w[b,c]`.
fn text(dag: &Dag, n: DagId) -> String {
    let name = |n: DagId| match dag.op(n) {
        Op::Leaf(a) => dag.arrays[*a].name.clone(),
        Op::Number(c) => format!("{}", c.value().re),
        _ => format!("%{}", n.0),
    };
    let letters = |labels: &[u32]| {
        let one = |l: &u32| char::from_u32(u32::from(b'a') + l % 26).map_or(String::new(), String::from);
        labels.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let right = match dag.op(n) {
        Op::Leaf(_) | Op::Number(_) => return name(n),
        Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
            let one = |x: DagId, labels: &[u32], conj: bool| {
                let text = format!("{}[{}]", name(x), letters(labels));
                if conj { format!("conj({text})") } else { text }
            };
            let (x, y) = (one(*a, a_labels, *conj_a), one(*b, b_labels, *conj_b));
            return format!("%{}[{}] = {x} * {y}", n.0, letters(out_labels));
        }
        Op::Add { terms } => {
            let one = |(c, t): &(tn_ir::dag::Coef, DagId)| match c.is_one() {
                true => name(*t),
                false => format!("{} {}", c.value().re, name(*t)),
            };
            terms.iter().map(one).collect::<Vec<_>>().join(" + ")
        }
        Op::Map { f, args } => {
            format!("{}({})", dag.fn_name(*f), args.iter().map(|&a| name(a)).collect::<Vec<_>>().join(", "))
        }
        op => op.args().iter().map(|&a| format!("view of {}", name(a))).collect::<Vec<_>>().join(", "),
    };
    format!("%{} = {right}", n.0)
}

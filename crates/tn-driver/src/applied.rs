//! What the rules outside the graph did for a plan, in the order of the road, and what the plan would be without each.
//!
//! The graph's own rewrites are its chain ([`tn_opt::Rewrite`]). The others act on regions, trees, constants and schedules; what one of them is worth is
//! measured by planning once more without it.

use crate::compile::{Compiled, Prepared, compile};
use crate::error::Error;
use crate::joint;
use crate::options::{Options, Source};
use crate::stages;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use tn_ir::dag::{Dag, DagId, Op};
use tn_ir::program::NodeId;
use tn_ir::region::Region;
use tn_ir::regions::{RegionRules, regions};
use tn_order::Minimize;
use tn_plan::ir::{EntryKind, Item};

/// A rule that had something to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The rule's name, or its group's where that is all there is.
    pub rule: &'static str,
    /// What it did, in words.
    pub what: String,
    /// What the plan would be without it.
    pub without: Without,
}

/// A plan without a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Without {
    /// Nobody looked: the objective does not tell, or the rewrites of the graph say it part by part.
    Untold,
    /// So much more of the objective, or less.
    More(f64),
    /// There is none, for this reason.
    NoPlan(String),
}

impl Applied {
    fn new(rule: &'static str, what: String) -> Applied {
        Applied { rule, what, without: Without::Untold }
    }

    /// As a part of a record.
    pub(crate) fn json(&self) -> Value {
        let without = match &self.without {
            Without::Untold => Value::Null,
            Without::More(x) => json!(x),
            Without::NoPlan(why) => json!(why),
        };
        json!({ "rule": self.rule, "what": self.what, "without_it": without })
    }
}

/// Every rule that had something to do, with what the plan would be without it: the source is planned once more for each. Where the clock ends the search
/// that would tell of the clock, so with a time limit nothing is measured.
///
/// # Errors
/// A failed check of our own.
pub fn applied(c: &Compiled, source: &Source, options: &Options) -> Result<Vec<Applied>, Error> {
    let mut all = found(c, options)?;
    let Some(built) = c.built.as_ref().filter(|_| options.max_time.is_none()) else { return Ok(all) };
    for one in all.iter_mut().filter(|a| !matches!(a.rule, "meet" | "regimes")) {
        let rules = options.rules.without(one.rule).map_err(|e| Error::internal("rules", e))?;
        let other = compile(source, &Options { rules, explain: false, ..options.clone() });
        one.without = match other {
            Ok(other) => match other.built {
                Some(b) => {
                    let cost = |b: &stages::Built| joint::figure(&b.plan.summary, options.minimize);
                    Without::More(cost(&b) - cost(built))
                }
                None => Without::NoPlan("a tensor is too large for any memory".into()),
            },
            Err(e @ Error::Internal { .. }) => return Err(e),
            Err(e) => Without::NoPlan(e.to_string().lines().next().unwrap_or_default().to_owned()),
        };
    }
    Ok(all)
}

fn found(c: &Compiled, options: &Options) -> Result<Vec<Applied>, Error> {
    let prepared = &c.prepared;
    let on = |rule: &str| options.rules.is_on(rule);
    let mut out = Vec::new();
    if on("copies") {
        out.extend(copies(prepared));
    }
    let gone: Vec<String> = prepared.regions.iter().filter_map(|r| isometries(prepared, r)).collect();
    if !gone.is_empty() {
        out.push(Applied::new("isometry", gone.join("; ")));
    }
    let Some(b) = &c.built else { return Ok(out) };
    let dag = b.unfolded.as_deref().unwrap_or(&b.dag);
    let before = b.rewritten.as_ref().map_or(dag, |w| &w.before);
    let steps: usize = c.region_plans.iter().map(|r| r.ssa_path.len()).sum();
    let contractions = before.ids().filter(|&n| !before.info(n).adjoint).filter(|&n| is_product(before, n));
    let contractions = contractions.count();
    if on("share") && contractions < steps {
        let what = format!("{steps} steps of the trees are {contractions} different contractions");
        out.push(Applied::new("share", what));
    }
    if on("support") {
        out.extend(support(c, options)?);
    }
    let report = b.rewritten.as_ref().map(|w| &w.report);
    if let Some(report) = report.filter(|r| r.chain.iter().any(|c| c.rule == tn_opt::CANDIDATE)) {
        let candidates = report.derivation.candidates;
        let what = format!("{candidates} other trees of the search are in the graph, and parts of them pay");
        out.push(Applied::new("meet", what));
    }
    if let Some(unfolded) = &b.unfolded {
        let count = |dag: &Dag| needed(dag).into_iter().filter(|&n| !is_leaf(dag, n)).count();
        let (gone, made) = (count(unfolded).saturating_sub(count(&b.dag)), b.dag.constants.len());
        let entries: usize = b.dag.constants.values().map(Vec::len).sum();
        let what = format!("{gone} values of constants alone are known: {made} constants, {entries} entries");
        out.push(Applied::new("fold", what));
    }
    let limited = options.memory.is_some() || matches!(options.minimize, Minimize::Peak | Minimize::Size);
    let remade = if limited && on("remake") { remade(b) } else { 0 };
    if remade > 0 {
        let what = format!("{remade} values of the forward pass are made again for the gradient, not saved");
        out.push(Applied::new("remake", what));
    }
    let schedules = b.plan.schedules().len();
    if schedules > 1 {
        out.push(Applied::new("regimes", format!("{schedules} schedules, each for a range of sizes")));
    }
    Ok(out)
}

/// The copy tensors of each region that are not there as factors.
fn copies(prepared: &Prepared) -> Option<Applied> {
    let with = |copies| regions(&prepared.program, RegionRules { isometries: false, copies });
    let written = with(false);
    let left: HashMap<NodeId, usize> = with(true).iter().map(|r| (r.result, r.inputs.len())).collect();
    let gone: usize =
        written.iter().map(|r| r.inputs.len() - left.get(&r.result).unwrap_or(&0).min(&r.inputs.len())).sum();
    (gone > 0).then(|| {
        Applied::new(
            "copies",
            format!("{gone} copy tensors make indices equal, and are not there as factors"),
        )
    })
}

/// The isometries of a region that met their conjugates.
fn isometries(prepared: &Prepared, r: &Region) -> Option<String> {
    let mut names: Vec<&str> = r.cancelled.iter().map(|&n| prepared.program.nodes[n].name.as_str()).collect();
    let (pairs, left) = (names.len(), r.inputs.len());
    names.sort_unstable();
    names.dedup();
    let shown = names.iter().take(6).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 6 { ", …" } else { "" };
    let (name, written) = (&r.name, left + 2 * pairs);
    (pairs > 0).then(|| {
        format!("region {name}: {pairs} isometries meet their conjugates and go ({shown}{more}), {left} factors of {written} are left")
    })
}

/// What products on their support leave out.
fn support(c: &Compiled, options: &Options) -> Result<Option<Applied>, Error> {
    let rules = options.rules.without("support").map_err(|e| Error::internal("rules", e))?;
    let dense = stages::dag(&c.prepared, &c.outcomes, &Options { rules, ..options.clone() }, false)?;
    let before = elements(&dense);
    let after = elements(&tn_opt::support::on_support(dense));
    Ok((after < before).then(|| {
        let what = format!("values lie on their support: {after:.3e} entries are computed, of {before:.3e}");
        Applied::new("support", what)
    }))
}

/// Values of the forward pass that the backward pass computes.
fn remade(b: &stages::Built) -> usize {
    let mut nodes = BTreeSet::new();
    for e in b.plan.entries.iter().filter(|e| e.kind == EntryKind::Vjp) {
        let mut stack: Vec<&Item> = e.body.iter().collect();
        while let Some(item) = stack.pop() {
            match item {
                Item::Loop(l) => stack.extend(&l.body),
                Item::Step(s) if !b.dag.info(s.node).adjoint => {
                    nodes.insert(s.node);
                }
                Item::Step(_) | Item::Zero { .. } => {}
            }
        }
    }
    nodes.len()
}

fn is_product(dag: &Dag, n: DagId) -> bool {
    matches!(dag.op(n), Op::Einsum2 { .. })
}

fn is_leaf(dag: &Dag, n: DagId) -> bool {
    matches!(dag.op(n), Op::Leaf(_) | Op::Number(_))
}

/// The nodes that the roots need.
fn needed(dag: &Dag) -> BTreeSet<DagId> {
    let mut seen = BTreeSet::new();
    let mut stack: Vec<DagId> = dag.roots.iter().map(|r| r.node).collect();
    while let Some(n) = stack.pop() {
        if seen.insert(n) {
            stack.extend(dag.op(n).args());
        }
    }
    seen
}

/// The entries of all results at the hints.
fn elements(dag: &Dag) -> f64 {
    let size = |n: &DagId| -> f64 {
        dag.dims(*n).iter().map(|d| d.eval(|s| dag.symbols[s].value().max(0) as u64) as f64).product()
    };
    needed(dag).iter().filter(|&&n| !is_leaf(dag, n)).map(size).sum()
}

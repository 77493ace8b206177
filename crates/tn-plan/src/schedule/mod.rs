//! L3 → L4: which steps, in which loops, in which order, in which memory.
//!
//! [`plan`] turns a dag into a [`Plan`]. Every node is one step, but for those that are another node's memory read differently (slices,
//! picks, permutations, diagonals, reshapes): these cost nothing, their offsets and strides stand in the steps that read them. The step
//! that computes a summand of a `Collect` writes straight into the result if nobody else reads it.

mod bodies;
mod emit;
mod forest;
mod in_place;
pub(crate) mod live;
mod order;
#[cfg(test)]
mod remake_tests;
mod save;
mod scope;
mod text;
mod views;

pub use save::SavePolicy;

use crate::allocate;
use crate::cost::{self, Machine};
use crate::ir::*;
use crate::slip::slip;
use bodies::Bodies;
use emit::{Emitter, Home};
use order::Graph;
use scope::Scope;
use std::collections::BTreeMap;
use text::Names;
use tn_ir::dag::{ArrayRole, Dag, DagId, Op, RootKind};
use tn_ir::ids::Arena;
use tn_ir::size::Poly;
use views::View;

/// How a dag is scheduled.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ScheduleOptions {
    /// What is saved between `forward_saving` and `vjp`.
    pub save: SavePolicy,
    /// Whether an elementwise step may write into the buffer of an operand that dies there (then the operand and the result are the same
    /// buffer with the same access). Only for backends that allow a result to alias an operand.
    pub in_place: bool,
    /// What times are modelled with.
    pub machine: Machine,
}

/// What a plan says about its origin.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PlanMeta {
    /// The network's name.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// Name of the source.
    pub source: String,
    /// Hash of source and options, hexadecimal.
    pub source_hash: String,
    /// How regions are contracted.
    pub regions: Vec<RegionPlan>,
    /// Seed of the search.
    pub seed: u64,
}

/// A root with the class of its result.
#[derive(Clone, Debug)]
pub(crate) struct Result {
    pub class: Class,
    pub name: String,
    pub node: DagId,
}

/// The results of an entry: positions of outputs are found by name, else by order.
pub(crate) fn results(dag: &Dag, outputs: &[OutputInfo], kind: EntryKind) -> Vec<Result> {
    let find = |name: &str, nth: usize| outputs.iter().position(|o| o.name == name).unwrap_or(nth) as u32;
    let (mut output, mut jvp, mut all) = (0, 0, Vec::new());
    for root in &dag.roots {
        let class = match (root.kind, kind) {
            (RootKind::Output, k) => {
                output += 1;
                if k == EntryKind::Vjp {
                    continue;
                }
                Class::Output(find(&root.name, output - 1))
            }
            (RootKind::Jvp, k) => {
                jvp += 1;
                if k != EntryKind::Jvp {
                    continue;
                }
                Class::Jvp(find(root.name.strip_prefix("jvp.").unwrap_or(&root.name), jvp - 1))
            }
            (RootKind::Grad, EntryKind::Vjp) => Class::Grad(root.source),
            (RootKind::Grad, _) => continue,
        };
        all.push(Result { class, name: root.name.clone(), node: root.node });
    }
    all
}

/// The class of a given array.
pub(crate) fn class_of(dag: &Dag, outputs: &[OutputInfo], a: tn_ir::dag::ArrayId) -> Class {
    let array = &dag.arrays[a];
    match array.role {
        ArrayRole::Param | ArrayRole::Input | ArrayRole::Const => Class::Leaf(array.source),
        ArrayRole::Tangent => Class::Tangent(array.source),
        ArrayRole::Cotangent => {
            let name = array.name.strip_prefix("ct.").unwrap_or(&array.name);
            let at = outputs.iter().position(|o| o.name == name);
            Class::Cotangent(at.map_or(array.source, |i| i as u32))
        }
    }
}

/// Schedules the `entries` of a dag. `leaves` are those of the program, in its order; `outputs` the results in the order of the
/// dag's output roots. Sizes of run-time axes enter decisions at their hints; the plan holds at all sizes.
pub fn plan(
    dag: &Dag,
    leaves: Vec<LeafInfo>,
    outputs: Vec<OutputInfo>,
    meta: PlanMeta,
    entries: &[EntryKind],
    options: &ScheduleOptions,
) -> Plan {
    let views = views::views(dag);
    let names = Names::new(dag);
    let mut bodies = Bodies::default();
    let saves = entries.contains(&EntryKind::Vjp) && entries.contains(&EntryKind::ForwardSaving);
    let saved = if saves { save::saved(dag, &views, options.save) } else { vec![] };
    let made: Vec<Entry> = entries
        .iter()
        .map(|&kind| {
            let work =
                EntryWork { dag, views: &views, names: &names, outputs: &outputs, saved: &saved, kind };
            work.entry(&mut bodies, options)
        })
        .collect();
    let mut plan = Plan {
        version: PLAN_VERSION,
        name: meta.name,
        doc: meta.doc,
        source: meta.source,
        source_hash: meta.source_hash,
        dtype: dag.dtype,
        symbols: dag.symbols.clone(),
        leaves,
        outputs,
        bodies: bodies.all,
        entries: made,
        regions: meta.regions,
        summary: Summary::default(),
        regimes: None,
    };
    plan.summary = cost::summary(&plan, &options.machine, meta.seed);
    plan
}

/// What one entry is made from.
struct EntryWork<'a> {
    dag: &'a Dag,
    views: &'a [View],
    names: &'a Names,
    outputs: &'a [OutputInfo],
    saved: &'a [DagId],
    kind: EntryKind,
}

/// What is ordered outside the loops.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Node(DagId),
    Group(u32),
    Copy(u32),
}

impl EntryWork<'_> {
    fn entry(&self, bodies: &mut Bodies, options: &ScheduleOptions) -> Entry {
        let (dag, views) = (self.dag, self.views);
        let uses_saved = matches!(self.kind, EntryKind::ForwardSaving | EntryKind::Vjp);
        let saved = if uses_saved { self.saved } else { &[] };
        let (saved_at, saved_len) = save::layout(dag, saved);
        let results = results(dag, self.outputs, self.kind);
        let mut roots: Vec<DagId> = results.iter().map(|r| r.node).collect();
        let mut given = vec![false; dag.len()];
        for &n in saved {
            given[n.0 as usize] = self.kind == EntryKind::Vjp;
        }
        if self.kind == EntryKind::Vjp && slip("what was given up is there all the same") {
            for n in save::saved(dag, views, SavePolicy::SaveAll) {
                given[n.0 as usize] = true;
            }
        }
        if self.kind == EntryKind::ForwardSaving {
            roots.extend(saved);
        }
        let scope = Scope::new(dag, views, &roots, &given);
        let mut homes: BTreeMap<DagId, Home> = BTreeMap::new();
        for (n, offset) in saved_at {
            homes.insert(n, Home::Saved(offset));
        }
        for n in dag.ids().filter(|n| scope.given[n.0 as usize]) {
            if let Op::Leaf(a) = dag.op(n) {
                homes.insert(n, Home::Caller(class_of(dag, self.outputs, *a)));
            }
        }
        let mut copies = Vec::new();
        let mut names = self.names.clone();
        for (i, r) in results.iter().enumerate() {
            let view = &views[r.node.0 as usize];
            if !homes.contains_key(&view.base) && view.is_whole(dag, r.node) {
                homes.insert(view.base, Home::Caller(r.class.clone()));
                names.set(view.base, &r.name);
            } else {
                copies.push(i as u32);
            }
        }
        let (units, graph) = self.units(&scope, &homes, &results, &copies);
        let levels: Vec<Vec<Vec<DagId>>> = scope.groups.iter().map(|g| self.levels(&scope, g)).collect();
        let axes = dag.ids().map(|n| dag.dims(n).len()).sum();
        let mut best: Option<(i128, Entry)> = None;
        for order in graph.orders(axes) {
            let mut emitter = Emitter::new(dag, views, &scope, bodies, &names, homes.clone());
            let mut items = Vec::new();
            for i in order {
                match units[i as usize] {
                    Unit::Node(n) => emitter.node(n, &mut items),
                    Unit::Group(g) => {
                        emitter.group(&scope.groups[g as usize], &levels[g as usize], &mut items);
                    }
                    Unit::Copy(r) => {
                        let r = &results[r as usize];
                        emitter.root_copy(r.node, r.class.clone(), &r.name, &mut items);
                    }
                }
            }
            let mut entry = Entry {
                kind: self.kind,
                buffers: std::mem::take(&mut emitter.buffers),
                vars: std::mem::take(&mut emitter.vars),
                body: items,
                workspace_len: Poly::zero(),
                saved_len: saved_len.clone(),
            };
            finish(&mut entry, dag, options);
            let size = entry.workspace_len.eval(|s| dag.symbols[s].value());
            if best.as_ref().is_none_or(|b| size < b.0) {
                best = Some((size, entry));
            }
        }
        best.map(|b| b.1).unwrap_or_else(|| Entry {
            kind: self.kind,
            buffers: Arena::new(),
            vars: vec![],
            body: vec![],
            workspace_len: Poly::zero(),
            saved_len,
        })
    }

    /// What has to be ordered outside the loops: nodes, runs of nests, copies of results.
    fn units(
        &self,
        scope: &Scope,
        homes: &BTreeMap<DagId, Home>,
        results: &[Result],
        copies: &[u32],
    ) -> (Vec<Unit>, Graph) {
        let (dag, views) = (self.dag, self.views);
        let mut units = Vec::new();
        let mut unit_of: Vec<Option<u32>> = vec![None; dag.len()];
        for n in dag.ids().filter(|n| scope.computed[n.0 as usize] && dag.info(*n).depth == 0) {
            if !matches!(dag.op(n), Op::Collect { .. }) {
                unit_of[n.0 as usize] = Some(units.len() as u32);
                units.push(Unit::Node(n));
            }
        }
        for (g, group) in scope.groups.iter().enumerate() {
            for c in &group.collects {
                unit_of[c.0 as usize] = Some(units.len() as u32);
            }
            units.push(Unit::Group(g as u32));
        }
        units.extend(copies.iter().map(|&r| Unit::Copy(r)));
        let size = |n: DagId| if homes.contains_key(&n) { 0.0 } else { save::elements(dag, n) };
        let mut graph = Graph::default();
        for unit in &units {
            let (needs, size, extra, rank) = match *unit {
                Unit::Node(n) => (scope.reads(dag, views, n), size(n), 0.0, u64::from(n.0)),
                Unit::Group(g) => {
                    let group = &scope.groups[g as usize];
                    let total = group.collects.iter().map(|&c| size(c)).sum();
                    let largest = group.cone.iter().map(|&n| save::elements(dag, n)).fold(0.0, f64::max);
                    let last = group.collects.iter().map(|c| u64::from(c.0)).max().unwrap_or(0);
                    // Collects may read memory outside directly; so may what stands in the loops.
                    let mut needs = group.outside.clone();
                    needs.sort();
                    (needs, total, 2.0 * largest, last)
                }
                Unit::Copy(r) => {
                    let base = views[results[r as usize].node.0 as usize].base;
                    (vec![base], 0.0, 0.0, u64::from(base.0))
                }
            };
            let mut deps: Vec<u32> = needs.iter().filter_map(|b| unit_of[b.0 as usize]).collect();
            deps.sort_unstable();
            deps.dedup();
            graph.deps.push(deps);
            graph.size.push(size);
            graph.extra.push(extra);
            graph.keep.push(false);
            graph.rank.push(2 * rank + u64::from(matches!(unit, Unit::Copy(_))));
        }
        (units, graph)
    }

    /// The nodes of a group by the number of loop variables they depend on, in order; collects with all of them.
    fn levels(&self, scope: &Scope, group: &scope::Group) -> Vec<Vec<DagId>> {
        let dag = self.dag;
        let depth = dag.nests[group.nest].vars.len();
        let mut levels: Vec<Vec<DagId>> = vec![vec![]; depth + 1];
        for &n in &group.cone {
            levels[dag.info(n).depth as usize].push(n);
        }
        levels[depth].extend(&group.collects);
        for nodes in &mut levels {
            let at: BTreeMap<DagId, u32> = nodes.iter().enumerate().map(|(i, &n)| (n, i as u32)).collect();
            let mut graph = Graph::default();
            for &n in nodes.iter() {
                let reads = scope.reads(dag, self.views, n);
                let mut deps: Vec<u32> = reads.iter().filter_map(|b| at.get(b).copied()).collect();
                deps.sort_unstable();
                deps.dedup();
                let collect = matches!(dag.op(n), Op::Collect { .. });
                graph.deps.push(deps);
                graph.size.push(if collect { 0.0 } else { save::elements(dag, n) });
                graph.extra.push(0.0);
                graph.keep.push(false);
                graph.rank.push(u64::from(n.0));
            }
            // A node that only deeper levels read stays live.
            let mut read_here = vec![false; nodes.len()];
            graph.deps.iter().flatten().for_each(|&d| read_here[d as usize] = true);
            graph.keep = read_here.iter().map(|r| !r).collect();
            *nodes = graph.best().into_iter().map(|i| nodes[i as usize]).collect();
        }
        levels
    }
}

/// Lifetimes, reuse in place and offsets.
fn finish(entry: &mut Entry, dag: &Dag, options: &ScheduleOptions) {
    let mut lives = live::lifetimes(entry);
    if options.in_place {
        in_place::reuse(entry, &mut lives);
        lives = live::lifetimes(entry);
    }
    let workspace: Vec<BufferId> =
        entry.buffers.ids().filter(|&b| entry.buffers[b].class == Class::Workspace).collect();
    let blocks: Vec<allocate::Block> = workspace
        .iter()
        .map(|&b| allocate::Block { len: entry.buffers[b].len.clone(), live: lives[b.0 as usize].span })
        .collect();
    let made = allocate::allocate(&blocks, |s| dag.symbols[s].value());
    for (i, &b) in workspace.iter().enumerate() {
        entry.buffers[b].offset = made.offsets[i].clone();
        entry.buffers[b].live = blocks[i].live;
    }
    entry.workspace_len = made.len;
}

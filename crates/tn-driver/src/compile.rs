//! The road: load, elaborate, split into regions, search an order for each, lower, differentiate, schedule, verify.

use crate::draw::RegionNet;
use crate::error::{Error, SourceErrors};
use crate::joint;
use crate::json::{SearchFacts, plan_json, totals_json};
use crate::memory::Fitting;
use crate::options::{Options, Source};
use crate::regimes;
use crate::region_plan::{network_of, region_plan};
use crate::search::Searcher;
use crate::sharing::Sharing;
use crate::stack::deep;
use crate::stages::{self, Built, Rewritten};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tn_dsl::diag::Diagnostic;
use tn_dsl::source::SourceMap;
use tn_ir::dag::{Dag, Op};
use tn_ir::program::{Node, NodeId, Program, Role};
use tn_ir::region::Region;
use tn_ir::regions::regions;
use tn_ir::size::{Symbol, SymbolId, SymbolKind};
use tn_order::{Minimize, Network, Outcome};
use tn_plan::SavePolicy;
use tn_plan::cost::Machine;
use tn_plan::ir::{Plan, RegionPlan};
use tn_plan::verify::VerifiedPlan;

/// A tensor of more elements than this is planned but never allocated: the plan stops at the trees.
pub(crate) const MAX_LOG2_ELEMENTS: f64 = 58.0;

/// Rounds of more slices than this would not end: the plan stops at the trees too.
const MAX_LOG2_SLICES: f64 = 62.0;

/// Whether a tree has too many slices to be run.
pub(crate) fn endless(outcome: &Outcome) -> bool {
    outcome.cost.log2_slices > MAX_LOG2_SLICES
}

/// Whether some memory may hold the tensors of a tree.
pub(crate) fn is_storable(outcome: &Outcome) -> bool {
    outcome.cost.log2_max_tensor <= MAX_LOG2_ELEMENTS
}

/// A network after elaboration, split into regions.
#[derive(Debug)]
pub struct Prepared {
    /// The network as elaborated.
    pub source_program: Program,
    /// The same with selections pushed to the factors and large sums distributed: what regions and dags refer to.
    pub program: Program,
    /// Its regions, in dependency order.
    pub regions: Vec<Region>,
    /// The texts that were read.
    pub sources: SourceMap,
    /// Warnings of the front end.
    pub warnings: Vec<Diagnostic>,
    /// The source's name for plans.
    pub source_name: String,
    /// Network parameters that decide how many tensors there are.
    pub structural: Vec<SymbolId>,
    /// Files that were read, the main one first; none for texts and einsum expressions.
    pub files: Vec<PathBuf>,
    /// Hash of everything that was read and of the options that decide the plan.
    pub source_hash: String,
    /// For each leaf of the program whether a gradient or tangent is wanted.
    pub needs_grad: Vec<bool>,
    /// [`Prepared::log10_macs_naive`], once asked for.
    pub(crate) naive: OnceLock<Vec<f64>>,
}

/// A compiled network: its trees, and unless a tensor is too large for any memory, its verified plan.
#[derive(Debug)]
pub struct Compiled {
    /// What was compiled.
    pub prepared: Prepared,
    /// The search's answer for each region.
    pub outcomes: Vec<Outcome>,
    /// The same as plans record it.
    pub region_plans: Vec<RegionPlan>,
    /// Dag and plan.
    pub built: Option<Built>,
    /// What times were modelled with.
    pub machine: Machine,
    /// What the search says of itself.
    pub facts: SearchFacts,
    /// Results of the plan that were not compared with the program in a prime field: the check can tell nothing of them, or had no time.
    pub unchecked: Vec<String>,
}

impl Compiled {
    /// The verified plan.
    ///
    /// # Errors
    /// A tensor of it is too large for any memory.
    pub fn plan(&self) -> Result<&VerifiedPlan, Error> {
        self.built.as_ref().map(|b| &b.plan).ok_or_else(|| {
            if self.outcomes.iter().any(endless) {
                return Error::Input(format!(
                    "the plan has more than `2^{MAX_LOG2_SLICES:.0}` slices, which no machine runs through, help: allow larger results or more memory"
                ));
            }
            let worst = self.region_plans.iter().map(|r| r.log2_max_size).fold(0.0, f64::max);
            Error::Input(format!(
                "the plan has a tensor of `2^{worst:.1}` elements, which no memory holds, help: give a limit with `--memory` or `--max-size`, so that indices are sliced"
            ))
        })
    }
    /// The object of `tnc plan --format json`.
    pub fn json(&self) -> serde_json::Value {
        match &self.built {
            Some(b) => {
                let mut json = plan_json(&b.plan, self.facts);
                if let (Some(limit), Some(out)) = (b.limit, json.as_object_mut()) {
                    out.insert("optimiser_ended_by".into(), joint::limit_text(limit).into());
                }
                json
            }
            None => totals_json(&self.prepared.program.name, &self.region_plans, None, &[], self.facts),
        }
    }
    /// Warnings as text.
    pub fn warnings(&self, color: bool) -> String {
        self.prepared.warnings(color)
    }
    /// The report for people.
    pub fn report(&self) -> String {
        match &self.built {
            Some(b) => {
                let mut out = crate::report::report(&b.plan, &self.machine);
                if let Some(limit) = b.limit {
                    out.push_str(&format!("{} ended the joint optimiser\n", joint::limit_text(limit)));
                }
                out
            }
            None => crate::report::trees_report(&self.prepared.program.name, &self.region_plans),
        }
    }
}

impl Prepared {
    /// Warnings as text.
    pub fn warnings(&self, color: bool) -> String {
        tn_dsl::diag::render_all(&self.warnings, &self.sources, color)
    }
    /// The same network with another hint or maximum of a run-time size.
    ///
    /// # Errors
    /// Those of the stages from there to the regions.
    pub(crate) fn at(
        &self,
        symbol: SymbolId,
        kind: SymbolKind,
        options: &Options,
    ) -> Result<Prepared, Error> {
        let mut source_program = self.source_program.clone();
        source_program.symbols[symbol].kind = kind;
        let values: Vec<i64> = source_program.symbols.iter().map(Symbol::value).collect();
        for id in source_program.indices.ids() {
            let size = &mut source_program.indices[id].size;
            if size.poly.degree(symbol) > 0 {
                let value = size.poly.eval(|s| values.get(s.0 as usize).copied().unwrap_or(0));
                size.value = u64::try_from(value).unwrap_or(0);
            }
        }
        let program = stages::normalise(&source_program, &self.sources)?;
        let regions = regions(&program, options.rules.of_regions());
        Ok(Prepared {
            source_program,
            program,
            regions,
            sources: self.sources.clone(),
            warnings: vec![],
            source_name: self.source_name.clone(),
            structural: self.structural.clone(),
            files: self.files.clone(),
            source_hash: self.source_hash.clone(),
            needs_grad: self.needs_grad.clone(),
            naive: OnceLock::new(),
        })
    }
    /// The regions as the search sees them.
    pub fn networks(&self) -> Vec<Network> {
        let grad = below(&self.program, &self.needs_grad);
        let one = |r: &Region| {
            let flags = r.inputs.iter().map(|i| grad[i.value.0 as usize]).collect::<Vec<bool>>();
            network_of(r, if flags.contains(&true) { flags } else { Vec::new() })
        };
        self.regions.iter().map(one).collect()
    }

    /// log10 of the multiply-adds of each region from left to right, as it is written.
    pub fn log10_macs_naive(&self) -> &[f64] {
        let one = |r: &Region| {
            let net = network_of(r, Vec::new());
            tn_order::evaluate(&net, &tn_order::naive(&net)).log10_macs
        };
        self.naive.get_or_init(|| self.regions.iter().map(one).collect())
    }
}

/// For each node whether a leaf with a set flag is below it.
fn below(program: &Program, flags: &[bool]) -> Vec<bool> {
    let mut out: Vec<bool> = Vec::with_capacity(program.nodes.len());
    for (id, data) in program.nodes.enumerate() {
        let own = match data.node {
            Node::Leaf(l) => flags.get(l.0 as usize).copied().unwrap_or(false),
            _ => program.uses(id).iter().any(|u| out[u.0 as usize]),
        };
        out.push(own);
    }
    out
}

/// Loads and elaborates a source.
///
/// # Errors
/// Diagnostics of the front end, a source that cannot be read, a network without a plan, or patterns of `--wrt` that name nothing.
pub fn prepare(source: &Source, options: &Options) -> Result<Prepared, Error> {
    deep(|| prepared(source, options))
}

fn prepared(source: &Source, options: &Options) -> Result<Prepared, Error> {
    let loaded = stages::load(source, options)?;
    let needs_grad = needs_grad(&loaded.program, options)?;
    let program = stages::normalise(&loaded.program, &loaded.sources)?;
    let regions = regions(&program, options.rules.of_regions());
    Ok(Prepared {
        source_program: loaded.program,
        program,
        regions,
        sources: loaded.sources,
        warnings: loaded.warnings,
        source_name: source.name(),
        structural: loaded.structural,
        files: loaded.files,
        source_hash: loaded.hash,
        needs_grad,
        naive: OnceLock::new(),
    })
}

fn needs_grad(program: &Program, options: &Options) -> Result<Vec<bool>, Error> {
    if !options.grad && !options.jvp && options.wrt.is_none() {
        return Ok(vec![false; program.leaves.len()]);
    }
    let free: Vec<bool> = program.leaves.iter().map(|l| !matches!(l.role, Role::Const(_))).collect();
    let Some(patterns) = &options.wrt else { return Ok(free) };
    let names: Vec<&str> = program.leaves.iter().map(|l| l.name.as_str()).collect();
    let named = crate::glob::select(patterns, &names).map_err(|pattern| {
        let near = tn_dsl::diag::did_you_mean(&pattern, names.iter().copied());
        let help = near.map(|n| format!(", help: did you mean `{n}`?")).unwrap_or_default();
        Error::Input(format!("the pattern `{pattern}` of `--wrt` names no leaf{help}"))
    })?;
    if let Some(at) = (0..names.len()).find(|&k| named[k] && !free[k] && !patterns.contains('*')) {
        return Err(Error::Input(format!("`{}` is a constant and has no gradient", names[at])));
    }
    let out: Vec<bool> = named.iter().zip(&free).map(|(n, f)| *n && *f).collect();
    if !out.contains(&true) {
        return Err(Error::Input(format!("`--wrt {patterns}` names constants only, which have no gradient")));
    }
    Ok(out)
}

/// Compiles a source to a verified plan.
///
/// # Errors
/// See [`Error`]; a failed check of our own is [`Error::Internal`].
pub fn compile(source: &Source, options: &Options) -> Result<Compiled, Error> {
    let began = Instant::now();
    deep(|| compiled(prepared(source, options)?, options, began))
}

/// The part of [`compile`] after elaboration.
///
/// # Errors
/// As for [`compile`].
pub fn compile_prepared(prepared: Prepared, options: &Options, began: Instant) -> Result<Compiled, Error> {
    deep(|| compiled(prepared, options, began))
}

fn compiled(prepared: Prepared, options: &Options, began: Instant) -> Result<Compiled, Error> {
    let machine = crate::machine::load(options.machine.as_deref())?;
    let first = made(&prepared, &regimes::options_at_hints(&prepared, options), &machine, began)?;
    let unchecked = match &first.built {
        Some(built) => stages::means_what_the_program_means(&prepared, built, options)?,
        None => vec![],
    };
    let Made { outcomes, built, cached } = regimes::with_regimes(&prepared, first, options, &machine, began)?;
    let region_plans = region_plans(&prepared, &prepared.networks(), &outcomes);
    let shared = built.as_ref().is_some_and(|b| is_shared(b, &region_plans));
    let facts = SearchFacts { seconds: began.elapsed().as_secs_f64(), seed: options.seed, cached, shared };
    Ok(Compiled { prepared, outcomes, region_plans, built, machine, facts, unchecked })
}

/// What was made for one set of sizes.
#[derive(Clone)]
pub(crate) struct Made {
    /// The search's answer for each region.
    pub outcomes: Vec<Outcome>,
    /// The plan unless a tensor is too large for any memory.
    pub built: Option<Built>,
    /// Whether everything that was searched for had been kept.
    pub cached: bool,
}

/// Plans with run-time sizes at the hints.
///
/// # Errors
/// No plan within the limits; whatever a stage says.
pub(crate) fn made(
    prepared: &Prepared,
    options: &Options,
    machine: &Machine,
    began: Instant,
) -> Result<Made, Error> {
    let networks = prepared.networks();
    let searcher = Searcher::new(prepared, options, machine, began)?;
    let planning =
        |searcher| Planning { prepared, networks: &networks, searcher, options, machine }.planned();
    let mut found = planning(&searcher);
    if options.memory.is_some() {
        // Under a limit the search goes from tree to tree, and other trees may lead it astray.
        // Where that was soon over, it is done without them too, so that the plan is no worse; a long search is not done twice.
        let pressed = matches!(&found, Ok((_, Some(built))) if built.pressed);
        if pressed && options.rules.plans && options.max_time.is_none() {
            let rules = crate::rules::Rules { plans: false, ..options.rules };
            let plain = Options { rules, ..options.clone() };
            let searcher = Searcher::new(prepared, &plain, machine, began)?;
            let networks = &networks;
            let planning = Planning { prepared, networks, searcher: &searcher, options: &plain, machine };
            found = better(found, planning.planned(), options);
            searcher.finish();
        }
        // Regions that are better one by one do not make a plan that is faster within the limit.
        if let Some(trees) = searcher.floor(prepared, options) {
            found = better(found, planning(&searcher.fixed(trees)), options);
        }
        if let Ok((outcomes, Some(built))) = &found {
            searcher.keep_whole(prepared, options, outcomes, &built.plan);
        }
    }
    searcher.finish();
    let (outcomes, built) = found?;
    Ok(Made { outcomes, built, cached: searcher.cached() })
}

/// Trees, and the plan unless a tensor is too large for any memory.
pub(crate) type Found = Result<(Vec<Outcome>, Option<Built>), Error>;

/// What is planned, and how.
#[derive(Clone, Copy)]
pub(crate) struct Planning<'a> {
    pub prepared: &'a Prepared,
    pub networks: &'a [Network],
    pub searcher: &'a Searcher,
    pub options: &'a Options,
    pub machine: &'a Machine,
}

/// The fastest plan of several trees, before the optimiser sees its dag.
pub(crate) struct Fastest {
    pub outcomes: Vec<Outcome>,
    dag: Dag,
    folded: Option<Dag>,
    pub plan: Plan,
    /// What the first of them took.
    took: Duration,
}

impl Planning<'_> {
    /// Trees and plan within the limits.
    fn planned(&self) -> Found {
        let on = self.options.rules.is_on("share") && !self.searcher.is_given();
        let sharing = if on { Sharing::of(self) } else { None };
        match sharing {
            Some(sharing) => sharing.planned(self),
            None => {
                let Planning { prepared, networks, searcher, options, machine } = *self;
                // something that fits comes first: the clock may leave no time for it later
                let spare = crate::memory::spare(prepared, networks, options, machine, searcher)?;
                let outcomes =
                    searcher.all(prepared, networks, options, &BTreeMap::new(), spare.first_share)?;
                self.within(outcomes, spare.fitting)
            }
        }
    }

    /// The plan of these trees, or under a memory limit of those that a search from them on finds.
    pub fn built(&self, outcomes: Vec<Outcome>) -> Found {
        self.within(outcomes, None)
    }

    /// The same, with a plan that is known to fit.
    fn within(&self, outcomes: Vec<Outcome>, spare: Option<Fitting>) -> Found {
        let Planning { prepared, networks, searcher, options, machine } = *self;
        if options.memory.is_some() {
            let all = (outcomes, spare);
            let (o, b) = crate::memory::within(prepared, networks, all, options, machine, searcher)?;
            return Ok((o, Some(b)));
        }
        self.scheduled(outcomes)
    }

    /// A dag of these trees with constants folded, if there are any, and its schedule.
    fn schedule(&self, outcomes: &[Outcome], dag: &Dag) -> Result<(Option<Dag>, Plan), Error> {
        let Planning { prepared, networks, options, machine, .. } = *self;
        let folded = stages::folded(prepared, dag, options);
        let of = folded.as_ref().unwrap_or(dag);
        let plan = stages::schedule(prepared, networks, outcomes, of, options, machine, SavePolicy::SaveAll)?;
        Ok((folded, plan))
    }

    /// When the optimiser has to end, where one schedule took so long.
    fn clock(&self, scheduling: Duration) -> tn_opt::Clock {
        tn_opt::Clock(joint::ends(self.options, self.searcher.began, scheduling))
    }

    /// Whether there is time for another plan like this one.
    pub fn has_time_for_another(&self, one: &Fastest) -> bool {
        !self.clock(one.took).is_over() && !self.searcher.is_over(self.options)
    }

    /// These trees or, where time is the objective, others of the search for which the plan is faster: the search knows sizes and no
    /// strides, so which of its best trees has the fastest kernels shows when they are scheduled.
    pub fn fastest(&self, outcomes: Vec<Outcome>) -> Result<Fastest, Error> {
        let Planning { prepared, networks, options, .. } = *self;
        let began = Instant::now();
        let dag = stages::dag(prepared, &outcomes, options, false)?;
        let (folded, plan) = self.schedule(&outcomes, &dag)?;
        let took = began.elapsed();
        let mut best = Fastest { outcomes, dag, folded, plan, took };
        let count = stages::candidate_count(&best.outcomes, options, best.dag.len());
        for k in 0..if options.minimize == Minimize::Time { count } else { 0 } {
            if self.clock(took).is_over() || self.searcher.is_over(options) {
                break;
            }
            let outcomes = stages::with_candidate(networks, &best.outcomes, k);
            let dag = stages::dag(prepared, &outcomes, options, false)?;
            let (folded, plan) = self.schedule(&outcomes, &dag)?;
            if joint::is_better(&plan, &best.plan, options) {
                best = Fastest { outcomes, dag, folded, plan, took };
            }
        }
        Ok(best)
    }

    /// The plan of these trees, whatever memory it takes.
    pub fn scheduled(&self, outcomes: Vec<Outcome>) -> Found {
        if outcomes.iter().any(|o| !is_storable(o) || endless(o)) {
            return Ok((outcomes, None));
        }
        self.optimised(self.fastest(outcomes)?)
    }

    /// A plan with its dag rewritten where that makes it better, verified.
    pub fn optimised(&self, mut fastest: Fastest) -> Found {
        let Planning { prepared, options, machine, .. } = *self;
        let clock = self.clock(fastest.took);
        let settled = joint::is_settled(&fastest.dag, &fastest.outcomes, options);
        let candidates = match settled || clock.is_over() || self.searcher.is_over(options) {
            true => vec![],
            false => stages::candidates(prepared, &fastest.outcomes, options, fastest.dag.len())?,
        };
        let mut rewritten = None;
        let other = joint::Alternatives { candidates: &candidates, clock, ..Default::default() };
        let joint::Improved { better, limit } = match settled {
            true => joint::Improved::default(),
            false => joint::improved(&fastest.dag, other, options, machine),
        };
        if let Some(better) = better {
            tn_ir::verify::verify(&better.dag).map_err(|e| Error::internal("joint optimiser", e))?;
            let (folded, plan) = self.schedule(&fastest.outcomes, &better.dag)?;
            if joint::is_better(&plan, &fastest.plan, options) {
                let seconds_before = fastest.plan.summary.modelled_seconds;
                let before = std::mem::replace(&mut fastest.dag, better.dag.clone());
                rewritten = Some(Box::new(Rewritten { report: better, before, seconds_before }));
                (fastest.folded, fastest.plan) = (folded, plan);
            }
        }
        let Fastest { outcomes, dag, folded, plan, .. } = fastest;
        let built = match folded {
            Some(folded) => Built { unfolded: Some(Box::new(dag)), ..stages::verified(folded, plan)? },
            None => stages::verified(dag, plan)?,
        };
        let built = Built { rewritten, limit, ..built };
        Ok((outcomes, Some(built)))
    }
}

/// The plan that is better for the objective; the first of equals, and of two that failed.
fn better(a: Found, b: Found, options: &Options) -> Found {
    let cost = |f: &Found| match f {
        Ok((_, Some(built))) => joint::figure(&built.plan.summary, options.minimize),
        _ => f64::INFINITY,
    };
    if cost(&b) < cost(&a) { b } else { a }
}

/// The records of all regions.
pub(crate) fn region_plans(
    prepared: &Prepared,
    networks: &[Network],
    outcomes: &[Outcome],
) -> Vec<RegionPlan> {
    let names = input_names(prepared);
    let parts = prepared.regions.iter().zip(prepared.log10_macs_naive()).zip(networks.iter().zip(outcomes));
    parts
        .map(|((r, &naive), (net, o))| {
            let names = r.inputs.iter().map(|i| names[i.value.0 as usize].clone()).collect();
            region_plan(r, names, net, o, naive)
        })
        .collect()
}

/// A name for each node: a leaf's own, otherwise its definition's, made unique by its position where two agree.
fn input_names(prepared: &Prepared) -> Vec<String> {
    let program = &prepared.program;
    let leaves: BTreeSet<&str> = program.leaves.iter().map(|l| l.name.as_str()).collect();
    let name = |(id, data): (NodeId, &tn_ir::program::NodeData)| match data.node {
        Node::Leaf(l) => program.leaves[l].name.clone(),
        _ if data.name.is_empty() || leaves.contains(data.name.as_str()) => format!("%{}", id.0),
        _ => data.name.clone(),
    };
    program.nodes.enumerate().map(name).collect()
}

/// Whether equal subcomputations met, so that fewer contractions are done than the paths have steps.
fn is_shared(built: &Built, regions: &[RegionPlan]) -> bool {
    let steps: usize = regions.iter().map(|r| r.ssa_path.len()).sum();
    let dag = &built.dag;
    let done = dag.ids().filter(|&n| !dag.info(n).adjoint && matches!(dag.op(n), Op::Einsum2 { .. })).count();
    done < steps
}

/// Errors of the front end as ours.
pub(crate) fn source_errors(sources: SourceMap, diagnostics: Vec<Diagnostic>) -> Error {
    Error::Source(Box::new(SourceErrors { sources, diagnostics }))
}

/// The names of a file's networks, in order.
///
/// # Errors
/// The file cannot be read, or has syntax errors.
pub fn network_names(path: &std::path::Path) -> Result<Vec<String>, Error> {
    let loaded = stages::load_file(path)?;
    if loaded.diagnostics.iter().any(|d| d.is_error()) {
        return Err(source_errors(loaded.sources, loaded.diagnostics));
    }
    Ok(tn_dsl::elab::networks(&loaded).into_iter().map(|n| n.name).collect())
}

/// The regions as a drawing sees them.
pub fn prepared_drawing(prepared: &Prepared) -> Vec<RegionNet> {
    let names = input_names(prepared);
    let leaf = |n: NodeId| matches!(prepared.program.nodes[n].node, Node::Leaf(_));
    let one = |r: &Region| RegionNet {
        name: r.name.clone(),
        inputs: r.inputs.iter().map(|i| names[i.value.0 as usize].clone()).collect(),
        computed: r.inputs.iter().map(|i| !leaf(i.value)).collect(),
        input_indices: r.inputs.iter().map(|i| i.indices.clone()).collect(),
        output: r.output.clone(),
        sizes: r.sizes.iter().map(|s| s.value).collect(),
        index_names: r.index_names.clone(),
    };
    prepared.regions.iter().map(one).collect()
}

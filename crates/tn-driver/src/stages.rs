//! One function a stage: what the crates of the road ask for, in the driver's terms.

use crate::compile::{Prepared, region_plans, source_errors};
use crate::data::{Elements, read_array, read_arrays};
use crate::error::Error;
use crate::hash::StableHash;
use crate::options::{Options, Source};
use num_complex::Complex64;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tn_dsl::diag::{Code, Diagnostic};
use tn_dsl::elab::{MAX_CONST, einsum, instance_json};
use tn_dsl::source::SourceMap;
use tn_ir::dag::{ArrayId, ArrayRole, Dag, RootKind};
use tn_ir::program::{ConstValue, Leaf, Program, Role};
use tn_ir::region::RegionTree;
use tn_ir::size::SymbolId;
use tn_opt::Optimised;
use tn_order::{Minimize, Network, Outcome};
use tn_plan::cost::Machine;
use tn_plan::ir::{EntryKind, LeafInfo, OutputInfo, Plan};
use tn_plan::verify::VerifiedPlan;
use tn_plan::{PlanMeta, SavePolicy, ScheduleOptions};

/// A loaded and elaborated source.
pub(crate) struct Loaded {
    pub program: Program,
    /// Parameters that decide how many tensors there are.
    pub structural: Vec<SymbolId>,
    pub sources: SourceMap,
    pub warnings: Vec<Diagnostic>,
    pub files: Vec<PathBuf>,
    pub hash: String,
}

/// A dag with its verified plan.
#[derive(Clone, Debug)]
pub struct Built {
    /// Forward, adjoint and tangent computations.
    pub dag: Dag,
    /// The plan.
    pub plan: VerifiedPlan,
    /// The dag before constants were folded, if any were.
    pub unfolded: Option<Box<Dag>>,
    /// What the joint optimiser did, if its dag is this one.
    pub rewritten: Option<Box<Rewritten>>,
    /// The limit that ended the joint optimiser, if one did.
    pub limit: Option<tn_opt::Limit>,
    /// Whether a memory limit kept a plan out that saves everything, and one that fits was found soon.
    pub pressed: bool,
}

/// What the joint optimiser did.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// What it says of itself.
    pub report: Optimised,
    /// The dag that it began with.
    pub before: Dag,
    /// Modelled seconds of the plan of that dag.
    pub seconds_before: f64,
}

/// What one search aims at, beside the options' objective.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    pub max_size: Option<u64>,
    /// log2 of elements, inputs included.
    pub max_peak: Option<f64>,
    /// Instead of the options' objective.
    pub minimize: Option<Minimize>,
    /// No more trials than these.
    pub trials: Option<u32>,
    /// Whether the search is cut short, so that what it finds is not worth keeping.
    pub hasty: bool,
    /// What follows the search within the same time.
    pub after: Option<tn_order::After>,
}

impl Target {
    pub fn of(options: &Options) -> Target {
        Target { max_size: options.max_size, ..Target::default() }
    }
}

/// Loads and elaborates what a source names.
pub(crate) fn load(source: &Source, options: &Options) -> Result<Loaded, Error> {
    let mut hash = StableHash::new();
    hash.part("options", options.fingerprint().as_bytes());
    match source {
        Source::File(path) => network(load_file(path)?, options, hash),
        Source::Text { name, text } => network(tn_dsl::load::load_text(name, text), options, hash),
        Source::Instance(path) => {
            no_parameters(options)?;
            let bytes = std::fs::read(path)
                .map_err(|e| Error::Io(format!("cannot read `{}`: {e}", path.display())))?;
            hash.part("instance", &bytes);
            let named = |why: String| Error::Input(format!("`{}`: {why}", path.display()));
            let text = String::from_utf8(bytes).map_err(|_| named("it is not UTF-8 text".into()))?;
            let name =
                path.file_stem().map_or_else(|| "instance".into(), |n| n.to_string_lossy().into_owned());
            let program = instance_json(&name, &text, options.dtype.unwrap_or_default())
                .map_err(|d| in_text(&path.to_string_lossy(), &text, d))?;
            Ok(plain(program, vec![path.clone()], hash))
        }
        Source::Einsum { expression, sizes } => {
            no_parameters(options)?;
            hash.part("einsum", expression.as_bytes()).part("sizes", format!("{sizes:?}").as_bytes());
            let program = einsum(expression, sizes, options.dtype.unwrap_or_default())
                .map_err(|d| in_text("--einsum", expression, d))?;
            Ok(plain(program, vec![], hash))
        }
        Source::Plan(path) => Err(Error::Usage(format!(
            "`{}` is a plan, help: `emit`, `run`, `draw` and `explain` take plans; this needs the source",
            path.display()
        ))),
    }
}

/// A fault in a text that is no `.tn` file.
fn in_text(name: &str, text: &str, d: Diagnostic) -> Error {
    let mut sources = SourceMap::default();
    sources.add(name, text);
    source_errors(sources, vec![d])
}

/// Reads a `.tn` file and what it imports.
pub(crate) fn load_file(path: &Path) -> Result<tn_dsl::load::Loaded, Error> {
    tn_dsl::load::load_path(path).map_err(|e| Error::Io(e.to_string()))
}

fn no_parameters(options: &Options) -> Result<(), Error> {
    match options.set.first() {
        Some((name, _)) => Err(Error::Input(format!(
            "an einsum has no parameter `{name}`, help: leave out `--set` and `--sweep`"
        ))),
        None => Ok(()),
    }
}

fn plain(program: Program, files: Vec<PathBuf>, hash: StableHash) -> Loaded {
    Loaded {
        program,
        structural: vec![],
        sources: SourceMap::default(),
        warnings: vec![],
        files,
        hash: hash.hex(),
    }
}

fn network(loaded: tn_dsl::load::Loaded, options: &Options, mut hash: StableHash) -> Result<Loaded, Error> {
    let reader = |path: &Path, name: Option<&str>| read_constant(path, name);
    let asked = tn_dsl::elab::Options {
        network: options.network.clone(),
        set: options.set.clone(),
        read_data: Some(&reader),
    };
    let (made, mut diagnostics) = tn_dsl::elab::elaborate(&loaded, &asked);
    let sources = loaded.sources.clone();
    let Some(made) = made else { return Err(source_errors(sources, diagnostics)) };
    if let Some(dtype) = options.dtype.filter(|d| *d != made.program.dtype) {
        return Err(Error::Input(format!(
            "`--dtype {dtype}` is for einsum instances, this network has `{}`, help: write `dtype {dtype}` in the network",
            made.program.dtype
        )));
    }
    diagnostics.retain(|d| !d.is_error());
    for source in loaded.sources.iter() {
        // Folders differ between machines; names within a project do not.
        let name = Path::new(&source.name)
            .file_name()
            .map_or_else(|| source.name.clone(), |n| n.to_string_lossy().into());
        hash.part(&name, source.text.as_bytes());
    }
    for file in &made.data_files {
        let bytes =
            std::fs::read(file).map_err(|e| Error::Io(format!("cannot read `{}`: {e}", file.display())))?;
        hash.part("data", &bytes);
    }
    let files = loaded.files.iter().chain(&made.data_files).cloned().collect();
    Ok(Loaded {
        program: made.program,
        structural: made.structural,
        sources,
        warnings: diagnostics,
        files,
        hash: hash.hex(),
    })
}

/// An array for a constant: of a `.npy` file without a name, of a `.npz` or `.safetensors` file by name.
pub(crate) fn read_constant(path: &Path, name: Option<&str>) -> Result<(Vec<u64>, Vec<Complex64>), String> {
    let array = match name {
        None => read_array(path).map_err(|e| e.to_string())?,
        Some(name) => {
            let arrays = read_arrays(path).map_err(|e| e.to_string())?;
            let known: Vec<String> = arrays.iter().map(|(n, _)| n.clone()).collect();
            match arrays.into_iter().find(|(n, _)| n == name) {
                Some((_, array)) => array,
                None => {
                    let near = tn_dsl::diag::did_you_mean(name, known.iter().map(String::as_str));
                    let help = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                    return Err(format!("`{}` has no array `{name}`{help}", path.display()));
                }
            }
        }
    };
    if let Elements::Foreign(kind) = &array.elements {
        return Err(format!(
            "the array in `{}` has the type `{kind}`, not f32, f64, c64 or c128",
            path.display()
        ));
    }
    let values = array.elements.to_complex();
    if let Some(at) = values.iter().position(|c| !c.re.is_finite() || !c.im.is_finite()) {
        let of = name.map(|n| format!(" `{n}`")).unwrap_or_default();
        let (value, file) = (values[at], path.display());
        return Err(format!(
            "the array{of} in `{file}` has the entry `{value}` at position `{at}`, which is not finite"
        ));
    }
    Ok((array.shape, values))
}

/// The program with selections pushed to the factors and large sums distributed.
pub(crate) fn normalise(program: &Program, sources: &SourceMap) -> Result<Program, Error> {
    tn_ir::normalise::normalise(program).map_err(|e| {
        if sources.is_empty() {
            return Error::Input(e.to_string());
        }
        let d = Diagnostic::error(Code::TooManyItems, e.span(), e.to_string());
        let help = "a sum whose value has too many entries is multiplied out; give a smaller part its own `let materialize`";
        source_errors(sources.clone(), vec![d.with_help(help)])
    })
}

/// The leaves of a program as plans record them.
///
/// # Errors
/// A constant is too large to be kept.
pub fn leaf_infos(program: &Program, needs_grad: &[bool]) -> Result<Vec<LeafInfo>, Error> {
    leaf_infos_of(program, needs_grad, |_| true)
}

/// The same with the values of those constants only that are `read`.
fn leaf_infos_of(
    program: &Program,
    needs_grad: &[bool],
    read: impl Fn(usize) -> bool,
) -> Result<Vec<LeafInfo>, Error> {
    let one = |(k, leaf): (usize, &Leaf)| {
        let value = match &leaf.role {
            Role::Const(value) if read(k) => Some(const_values(program, leaf, value)?),
            _ => None,
        };
        Ok(LeafInfo {
            name: leaf.name.clone(),
            role: match leaf.role {
                Role::Param => ArrayRole::Param,
                Role::Input => ArrayRole::Input,
                Role::Const(_) => ArrayRole::Const,
            },
            dims: leaf.legs.iter().map(|&i| program.indices[i].size.dim()).collect(),
            axes: leaf.axes.clone(),
            value,
            init: leaf.init.clone(),
            structure: leaf.structure.clone(),
            needs_grad: needs_grad.get(k).copied().unwrap_or(false),
        })
    };
    program.leaves.iter().enumerate().map(one).collect()
}

fn const_values(program: &Program, leaf: &Leaf, value: &ConstValue) -> Result<Vec<Complex64>, Error> {
    let dims: Vec<u64> = leaf.legs.iter().map(|&i| program.indices[i].size.value).collect();
    let count = dims.iter().try_fold(1u64, |p, &d| p.checked_mul(d)).filter(|&n| n <= MAX_CONST);
    let Some(count) = count else {
        return Err(Error::Input(format!(
            "the constant `{}` has more than `{MAX_CONST}` entries",
            leaf.name
        )));
    };
    if let ConstValue::Dense(values) = value {
        return Ok(values.clone());
    }
    let mut index = vec![0u64; dims.len()];
    let mut out = Vec::with_capacity(count as usize);
    for _ in 0..count {
        out.push(value.entry(&index, &dims));
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(out)
}

/// The outputs of a program as plans record them: a `log` output is two.
pub(crate) fn output_infos(program: &Program) -> Vec<OutputInfo> {
    let mut out = Vec::new();
    for o in &program.outputs {
        let dims: Vec<_> =
            program.nodes[o.node].legs.iter().map(|&i| program.indices[i].size.dim()).collect();
        let info = |name: String| OutputInfo { name, dims: dims.clone(), axes: o.axes.clone() };
        if o.log {
            out.extend([info(format!("{}.phase", o.name)), info(format!("{}.log", o.name))]);
        } else {
            out.push(info(o.name.clone()));
        }
    }
    out
}

/// The entries that the options ask for.
pub(crate) fn entries(options: &Options) -> Vec<EntryKind> {
    let mut out = vec![EntryKind::Forward];
    if options.grad {
        out.extend([EntryKind::ForwardSaving, EntryKind::Vjp]);
    }
    if options.jvp {
        out.push(EntryKind::Jvp);
    }
    out
}

/// The dag of these trees with its derivatives. With `remake`, what slice loops do not change is made in every
/// round.
pub(crate) fn dag(
    prepared: &Prepared,
    outcomes: &[Outcome],
    options: &Options,
    remake: bool,
) -> Result<Dag, Error> {
    let trees: Vec<RegionTree> = outcomes
        .iter()
        .map(|o| RegionTree {
            ssa_path: o.tree.ssa_path.clone(),
            sliced: o.tree.sliced.clone(),
            optimal: o.optimal,
            remake,
        })
        .collect();
    let rules = options.rules.of_regions();
    let lowered = tn_ir::lower::lower_with(&prepared.program, &prepared.regions, &trees, rules);
    let mut dag = lowered.map_err(|e| match e {
        tn_ir::lower::LowerError::BadTree { .. } => Error::internal("lowering", e),
        other => Error::Input(other.to_string()),
    })?;
    let wrt: Vec<ArrayId> = (0..prepared.needs_grad.len())
        .filter(|&k| prepared.needs_grad[k])
        .map(|k| ArrayId(k as u32))
        .collect();
    if options.grad {
        tn_grad::vjp(&mut dag, &wrt);
    }
    if options.jvp {
        tn_grad::jvp(&mut dag, &wrt);
    }
    if options.rules.is_on("support") {
        dag = tn_opt::support::on_support(dag);
    }
    tn_ir::verify::verify(&dag).map_err(|e| Error::internal("dag", e))?;
    Ok(dag)
}

/// Dags of other good trees of the regions, to meet the one of the best in one graph. The k-th takes the k-th other tree of every region that has so
/// many. None where trees are given, where one is sliced, and where the graph would have no room for them.
pub(crate) fn candidates(
    prepared: &Prepared,
    outcomes: &[Outcome],
    options: &Options,
    nodes: usize,
) -> Result<Vec<Dag>, Error> {
    let with_tree = |k: usize| {
        let swapped = |o: &Outcome| match o.others.get(k) {
            Some(tree) => Outcome { tree: tree.clone(), ..o.clone() },
            None => o.clone(),
        };
        dag(prepared, &outcomes.iter().map(swapped).collect::<Vec<_>>(), options, false)
    };
    (0..candidate_count(outcomes, options, nodes)).map(with_tree).collect()
}

/// How many candidates there are for the best dag of so many nodes.
pub(crate) fn candidate_count(outcomes: &[Outcome], options: &Options, nodes: usize) -> usize {
    let room = options.egraph_nodes.unwrap_or(crate::joint::NODES) / 4;
    let given = options.path.is_some() && !options.refine;
    let sliced = outcomes.iter().any(|o| !o.tree.sliced.is_empty());
    if !options.rules.is_on("meet") || given || sliced || nodes > room {
        return 0;
    }
    outcomes.iter().map(|o| o.others.len()).max().unwrap_or(0)
}

/// The k-th candidate's trees in the place of the best, and those in the place of the candidate's.
pub(crate) fn with_candidate(networks: &[Network], outcomes: &[Outcome], k: usize) -> Vec<Outcome> {
    let swapped = |(net, o): (&Network, &Outcome)| {
        let mut o = o.clone();
        if let Some(other) = o.others.get_mut(k) {
            std::mem::swap(&mut o.tree, other);
            (o.cost, o.optimal) = (tn_order::evaluate(net, &o.tree), false);
        }
        o
    };
    networks.iter().zip(outcomes).map(swapped).collect()
}

/// The dag with what is made of constants alone computed; none if nothing is.
pub(crate) fn folded(prepared: &Prepared, dag: &Dag, options: &Options) -> Option<Dag> {
    let program = &prepared.program;
    if !options.rules.is_on("fold") || !program.leaves.iter().any(|l| matches!(l.role, Role::Const(_))) {
        return None;
    }
    let value = |a: ArrayId| {
        let leaf = program.leaves.as_slice().get(a.0 as usize)?;
        match &leaf.role {
            Role::Const(value) => const_values(program, leaf, value).ok(),
            _ => None,
        }
    };
    tn_opt::fold::fold(dag, value)
}

/// The constants that were folded, as plans record them.
fn folded_infos(dag: &Dag) -> impl Iterator<Item = LeafInfo> + '_ {
    dag.constants.iter().filter_map(|(&id, values)| {
        let array = dag.arrays.get(ArrayId(id))?;
        let axis = |k: usize| tn_ir::program::FoldAxis { label: format!("{k}"), legs: 1 };
        Some(LeafInfo {
            name: array.name.clone(),
            role: ArrayRole::Const,
            dims: array.dims.clone(),
            axes: (0..array.dims.len()).map(axis).collect(),
            value: Some(values.clone()),
            init: None,
            structure: None,
            needs_grad: false,
        })
    })
}

/// Schedules and allocates a dag.
pub(crate) fn schedule(
    prepared: &Prepared,
    networks: &[Network],
    outcomes: &[Outcome],
    dag: &Dag,
    options: &Options,
    machine: &Machine,
    save: SavePolicy,
) -> Result<Plan, Error> {
    let meta = PlanMeta {
        name: prepared.program.name.clone(),
        doc: prepared.program.doc.clone(),
        source: prepared.source_name.clone(),
        source_hash: prepared.source_hash.clone(),
        regions: region_plans(prepared, networks, outcomes),
        seed: options.seed,
    };
    let asked = ScheduleOptions { save, in_place: false, machine: machine.clone() };
    let read: BTreeSet<usize> = dag
        .ids()
        .filter_map(|n| if let tn_ir::dag::Op::Leaf(a) = dag.op(n) { Some(a.0 as usize) } else { None })
        .collect();
    let mut leaves = leaf_infos_of(&prepared.program, &prepared.needs_grad, |k| read.contains(&k))?;
    leaves.extend(folded_infos(dag));
    let outputs = output_infos(&prepared.program);
    Ok(tn_plan::plan(dag, leaves, outputs, meta, &entries(options), &asked))
}

/// The plan against the dag.
pub(crate) fn verified(dag: Dag, plan: Plan) -> Result<Built, Error> {
    let plan = VerifiedPlan::new(plan, &dag)
        .map_err(|e| Error::internal("the plan does not pass its verifier", listed(&e)))?;
    Ok(Built { dag, plan, unfolded: None, rewritten: None, limit: None, pressed: false })
}

/// A dag of more nodes that nobody rewrote is not evaluated against the clock.
const QUICK_TO_CHECK: usize = 4_000;

/// The dag against the program as it was elaborated. Candidates of a search need not pass; what is used has to. Returns the names of the results that were
/// not compared: those of which the check can tell nothing, derivatives where isometries cancelled, and all where there was no time.
pub(crate) fn means_what_the_program_means(
    prepared: &Prepared,
    built: &Built,
    options: &Options,
) -> Result<Vec<String>, Error> {
    let dag = built.unfolded.as_deref().unwrap_or(&built.dag);
    if options.max_time.is_some() && built.rewritten.is_none() && dag.len() > QUICK_TO_CHECK {
        return Ok(dag.roots.iter().map(|r| r.name.clone()).collect());
    }
    let structured = prepared.regions.iter().any(|r| !r.cancelled.is_empty());
    let asked = tn_ir::field::Options { structured, ..tn_ir::field::Options::default() };
    let check = |dag: &Dag| {
        tn_ir::field::check(&prepared.source_program, &prepared.program, dag, &asked)
            .map(|report| report.unchecked)
            .map_err(|e| Error::internal("the plan does not compute what the program means", e))
    };
    if !structured {
        return check(dag);
    }
    // Where isometries cancelled, values agree on isometries, and derivatives along them only: those are not what dual numbers give.
    let mut values = dag.clone();
    values.roots.retain(|r| r.kind == RootKind::Output);
    let mut unchecked = check(&values)?;
    let derivatives = dag.roots.iter().filter(|r| r.kind != RootKind::Output);
    unchecked.extend(derivatives.map(|r| r.name.clone()));
    Ok(unchecked)
}

/// What can be checked of a plan without its dag: a plan from a file.
pub(crate) fn verified_alone(plan: Plan) -> Result<VerifiedPlan, String> {
    VerifiedPlan::structural(plan).map_err(|e| format!("the plan does not pass the verifier: {}", listed(&e)))
}

pub(crate) fn listed<E: std::fmt::Display>(errors: &[E]) -> String {
    let mut all: Vec<String> = errors.iter().take(5).map(E::to_string).collect();
    if errors.len() > all.len() {
        all.push(format!("{} more", errors.len() - all.len()));
    }
    all.join("; ")
}

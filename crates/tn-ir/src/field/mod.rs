//! Whether a dag computes what its source program means: both are evaluated on random values in a prime field, and root is compared with root.
//!
//! **What is compared.** The dag from which a plan is made, with its loops over slices, cotangents and tangents, and the program *before*
//! it is brought to normal form. Outputs are compared entry by entry. Tangents (`jvp.*`) are compared with those of the program, which is
//! evaluated on pairs of a value and a slope. Gradients (`grad.*`) are compared by ⟨ct, J t⟩ = ⟨J\* ct, t⟩ in the real inner product Re⟨a, b⟩.
//!
//! **Cheap.** An axis of any length becomes one, two or a few cells along which leaves are constant ([`cells`]), so the values are those at the true
//! sizes. Axes become coarser until no step of either side is large, and other axes are fine in every draw.
//!
//! **Exact.** The field is GF(p) or GF(p²) ([`gf`]): nothing is rounded, so results that are equal are equal by rule and not by chance. Functions like `exp` are fixed
//! pseudo-random functions there, whose derivatives are the formal ones; signs and comparisons go by the representative. `MaxAbs`, which only
//! rescales, is a random number.
//!
//! **Where a field cannot tell.** Rewrites that use what functions mean (exp a · exp b = exp(a + b)), and products of coefficients that are no small
//! fractions, are right but not equal in the field. Where a root differs and the dag has such things, floating-point numbers with a bound of their
//! error decide ([`number::Approx`]). They also check the roots `.phase` and `.log` of `log` outputs, whose values have no meaning in a field;
//! the derivatives of `.log` have one. A root of which nothing can be told is named in the [`Report`].
//!
//! **Sizes as numbers.** A rewrite may put the length of an axis as a coefficient. Only on axes of which entries are left out (those of diagonals and
//! constants, if long) that is taken for a fault, unless the check can afford to repeat the draw with all entries.
//!
//! **What can be missed.** A fault that only shows between axes that are coarse in all draws: in networks whose axes are all of one class (one tensor
//! at every site), and which are too large for two cells an axis, a check sees products of numbers only.

pub mod axes;
pub mod case;
pub mod cells;
pub mod contract;
pub mod gf;
pub mod graph;
pub mod isometry;
pub mod number;
pub mod samples;
pub mod scalars;
pub mod source;

use crate::dag::{Dag, Op, Root, RootKind};
use crate::fuzz::Rng;
use crate::ids::Id;
use crate::program::{Node, Program};
use crate::size::SymbolKind;
use case::{Case, Findings, Part, part};
use cells::Cells;
use gf::{Fp, Fp2, is_simple, mix};
use graph::Graph;
use num_complex::Complex64;
use number::Approx;
use source::{Plan, Source};
use std::collections::BTreeMap;

/// Draws of a small dag.
const MAX_DRAWS: u64 = 8;
/// Draws of the largest.
const MIN_DRAWS: u64 = 2;
/// Draws of floating-point numbers.
const APPROX_DRAWS: u64 = 3;
/// Multiplications that all draws together should take, …
const WORK: u64 = 1 << 18;
/// … and that one may take, …
const DRAW_WORK: u64 = 1 << 16;
/// … or so many times as many where it cannot be done with fewer, …
const PATIENCE: u64 = 1 << 4;
/// … with so many more for each node of the dag.
const NODE_WORK: u64 = 32;
/// So many times as much where a fault must be told from a size.
const REPEAT: u64 = 128;
/// Rounds of the largest step; where a draw takes too long, it is tried with fewer.
const STEP_ROUNDS: [u64; 6] = [1 << 14, 1 << 11, 1 << 8, 1 << 5, 1 << 2, 1];

/// How the check is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Leaves that are declared isometries are drawn as such: needed where a rewrite used it.
    pub structured: bool,
    /// Decides what is drawn.
    pub seed: u64,
}

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How often all roots were evaluated.
    pub draws: u64,
    /// About how many multiplications a draw took.
    pub work: u64,
    /// Roots that could not be checked.
    pub unchecked: Vec<String>,
}

/// A root that does not have the program's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Its name; empty if the dag as a whole is none of this program.
    pub root: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.root.as_str() {
            "" => f.write_str(&self.message),
            root => write!(f, "`{root}` {}", self.message),
        }
    }
}
impl std::error::Error for Mismatch {}

fn none_of_this(message: impl Into<String>) -> Mismatch {
    Mismatch { root: String::new(), message: message.into() }
}

/// Checks a dag against the program that it was made from. `normal` is that program in normal form, whose leaves are the dag's arrays. The dag has passed
/// [`crate::verify::verify`].
///
/// # Errors
/// A root differs, or the dag's axes do not fit the program's.
pub fn check(source: &Program, normal: &Program, dag: &Dag, options: &Options) -> Result<Report, Mismatch> {
    roots_fit(source, normal, dag)?;
    let needed = graph::needed(dag);
    let symbols = dag.symbols.as_slice();
    // not the sizes that the planner assumed
    let run_time = |s: crate::size::SymbolId| match symbols.get(s.index()).map(|s| &s.kind) {
        Some(SymbolKind::Dyn { hint, .. }) => hint.max(&1) + 1 + mix(options.seed ^ s.0 as u64) % 3,
        Some(SymbolKind::Param { value }) => *value as u64,
        None => 1,
    };
    let sizes = axes::Sizes { of: &run_time };
    let axes = axes::axes(source, normal, dag, &needed, &sizes, options.structured).map_err(none_of_this)?;
    let case = Case {
        program: source,
        normal,
        dag,
        axes: &axes,
        source: Source::of(source, &axes),
        graph: Graph::of(dag, &axes, &needed),
        structured: options.structured,
    };
    let most = DRAW_WORK + NODE_WORK * dag.len() as u64;
    let check = Check { case: &case, options, most };
    check.run()
}

/// Every root belongs to an output or a leaf, and every output has its roots.
fn roots_fit(source: &Program, normal: &Program, dag: &Dag) -> Result<(), Mismatch> {
    let late = dag.ids().find(|&id| dag.op(id).args().iter().any(|&a| a >= id));
    if let Some(id) = late {
        return Err(none_of_this(format!("node {} stands before one that it reads", id.0)));
    }
    let leaves = |a: &crate::dag::Array| normal.leaves.get(crate::program::LeafId(a.source)).is_some();
    let own = |a: &&crate::dag::Array| a.role != crate::dag::ArrayRole::Cotangent;
    if !dag.arrays.iter().filter(own).all(leaves) {
        return Err(none_of_this("an array is none of the program's leaves"));
    }
    for root in &dag.roots {
        let fits = match root.kind {
            RootKind::Grad => (root.source as usize) < source.leaves.len(),
            _ => source.outputs.get(root.source as usize).is_some_and(|o| part(root, o).is_some()),
        };
        if !fits {
            return Err(Mismatch {
                root: root.name.clone(),
                message: "is none of the program's results".into(),
            });
        }
    }
    for (k, o) in source.outputs.iter().enumerate() {
        let own = |r: &&Root| r.kind == RootKind::Output && r.source as usize == k;
        let parts: Vec<_> = dag.roots.iter().filter(own).filter_map(|r| part(r, o)).collect();
        let wanted: &[Part] = if o.log { &[Part::Phase, Part::Log] } else { &[Part::Plain] };
        if parts != wanted {
            return Err(Mismatch { root: o.name.clone(), message: "is not computed, or twice".into() });
        }
    }
    Ok(())
}

struct Check<'a> {
    case: &'a Case<'a>,
    options: &'a Options,
    most: u64,
}

/// The cells of a draw, and how it is evaluated.
struct Draw {
    cells: Cells,
    plan: Plan,
    n: u64,
    seed: u64,
    work: u64,
}

/// What is calculated with.
#[derive(Clone, Copy)]
enum Numbers {
    Real,
    Complex,
    Approximate,
}

impl Check<'_> {
    fn run(&self) -> Result<Report, Mismatch> {
        let case = self.case;
        let names = |of: &mut dyn Iterator<Item = usize>| -> Vec<String> {
            of.map(|k| case.dag.roots[k].name.clone()).collect()
        };
        let mut report = Report::default();
        let mut unknown = vec![false; case.dag.roots.len()];
        let mut draws = MAX_DRAWS;
        while report.draws < draws {
            let patient = || self.draw(report.draws, false, self.most.saturating_mul(PATIENCE));
            let Some(draw) = self.draw(report.draws, false, self.most).or_else(patient) else {
                report.unchecked = names(&mut (0..case.dag.roots.len()));
                return Ok(report);
            };
            report.work = report.work.max(draw.work);
            draws = match draw.cells.is_fine() {
                // more draws are for the axes that one sees as one cell
                true => draws.min(report.draws + MIN_DRAWS),
                false => (WORK / draw.work.max(1)).clamp(MIN_DRAWS, MAX_DRAWS),
            };
            report.draws += 1;
            let Some(mut wrong) = self.compare(&draw, self.field(), &|_| true).map(|f| f.wrong) else {
                report.unchecked = names(&mut (0..case.dag.roots.len()));
                return Ok(report);
            };
            if !wrong.is_empty() && !is_exact(case) {
                // one gradient that differs hides others
                let is_grad = |k: usize| case.dag.roots[k].kind == RootKind::Grad;
                let grads = wrong.iter().any(|&k| is_grad(k));
                let found = self.approximate(&|k| wrong.contains(&k) || grads && is_grad(k))?;
                found.unknown.iter().for_each(|&k| unknown[k] = true);
                wrong.clear();
                // floating-point numbers are not what more draws of the field wait for
                draws = draws.min(MIN_DRAWS);
            }
            if let Some(&k) = wrong.first() {
                return Err(self.mismatch(k));
            }
        }
        let of_log = |k: usize| {
            let root = &case.dag.roots[k];
            let output = case.program.outputs.get(root.source as usize);
            root.kind != RootKind::Grad && output.is_some_and(|o| o.log)
        };
        if (0..case.dag.roots.len()).any(of_log) {
            let found = self.approximate(&of_log)?;
            found.unknown.iter().for_each(|&k| unknown[k] = true);
        }
        report.unchecked = names(&mut (0..unknown.len()).filter(|&k| unknown[k]));
        Ok(report)
    }

    fn mismatch(&self, root: usize) -> Mismatch {
        let root = self.case.dag.roots[root].name.clone();
        Mismatch { root, message: "does not have the value that the program gives it".into() }
    }

    fn field(&self) -> Numbers {
        if self.case.dag.dtype.is_complex() { Numbers::Complex } else { Numbers::Real }
    }

    /// Compares roots in one draw; where some differ and entries are left out, again with all entries, if that can be afforded: perhaps a size
    /// stands as a number.
    fn compare(&self, draw: &Draw, numbers: Numbers, asked: &dyn Fn(usize) -> bool) -> Option<Findings> {
        let found = self.evaluate(draw, numbers, asked)?;
        if found.wrong.is_empty() || !draw.cells.left_out() {
            return Some(found);
        }
        let Some(all) = self.draw(draw.n, true, self.most.saturating_mul(REPEAT)) else { return Some(found) };
        let again = self.evaluate(&all, numbers, asked)?;
        Some(again)
    }

    fn evaluate(&self, draw: &Draw, numbers: Numbers, asked: &dyn Fn(usize) -> bool) -> Option<Findings> {
        let (cells, plan, seed) = (&draw.cells, &draw.plan, draw.seed);
        match numbers {
            Numbers::Real => self.case.compare::<Fp>(cells, plan, seed, true, asked),
            Numbers::Complex => self.case.compare::<Fp2>(cells, plan, seed, true, asked),
            Numbers::Approximate => self.case.compare::<Approx>(cells, plan, seed, false, asked),
        }
    }

    /// By floating-point numbers. A root that differs in one draw is wrong; it is unknown if no draw tells anything.
    fn approximate(&self, asked: &dyn Fn(usize) -> bool) -> Result<Findings, Mismatch> {
        let mut told = vec![false; self.case.dag.roots.len()];
        for n in 0..APPROX_DRAWS {
            let Some(draw) = self.draw(n, false, self.most) else { break };
            let Some(found) = self.compare(&draw, Numbers::Approximate, asked) else { break };
            if let Some(&k) = found.wrong.first() {
                return Err(self.mismatch(k));
            }
            for (k, told) in told.iter_mut().enumerate() {
                *told |= !found.unknown.contains(&k);
            }
        }
        let unknown = (0..told.len()).filter(|&k| asked(k) && !told[k]).collect();
        Ok(Findings { wrong: vec![], unknown })
    }

    /// Cells for a draw, as fine as `most` multiplications allow; none if even coarse ones take more.
    fn draw(&self, n: u64, whole: bool, most: u64) -> Option<Draw> {
        let case = self.case;
        let seed = mix(self.options.seed.wrapping_add(n).wrapping_mul(0x9e37_79b9));
        let mut rng = Rng(seed);
        let quotas = match self.options.structured {
            true if whole => return None,
            true => isometry::quotas(case.program, case.axes, &mut rng),
            false => BTreeMap::new(),
        };
        let mut cells = cells::draw(case.axes, &mut rng, whole, &quotas, most)?;
        // no step can have more rounds than all together, and many steps are not all long
        let each = (most / (1 + case.dag.len() as u64)).max(1) * 16;
        for rounds in STEP_ROUNDS.into_iter().filter(|&r| r <= each || r == 1) {
            cells.reset();
            // arrays that nothing reads are drawn too
            let arrays = 0..case.dag.arrays.len();
            arrays.clone().for_each(|k| cells.fit(case.axes.array(k), rounds, &mut rng));
            case.graph.fit(&mut cells, rounds, &mut rng);
            let plan = case.source.plan(&mut cells, rounds, &mut rng);
            let drawn =
                arrays.fold(0u64, |n, k| n.saturating_add(source::entries(case.axes.array(k), &cells)));
            let work = case.source.cost(&plan, &cells).saturating_add(case.graph.cost(&cells));
            let work = work.saturating_add(drawn);
            if work <= most {
                return Some(Draw { cells, plan, n, seed, work });
            }
        }
        None
    }
}

/// Whether equal values are equal in the field: no functions that it does not have, no coefficients that it does not know.
fn is_exact(case: &Case) -> bool {
    let simple = |c: &Complex64| is_simple(*c);
    let of_dag = case.dag.ids().all(|id| match case.dag.op(id) {
        Op::Number(c) => simple(&c.value()),
        Op::Add { terms } => terms.iter().all(|(c, _)| simple(&c.value())),
        _ => true,
    });
    let of_program = case.program.nodes.iter().all(|d| match &d.node {
        Node::Contract { scale, .. } => simple(scale),
        Node::Add { terms } => terms.iter().all(|(c, _)| simple(c)),
        _ => true,
    });
    let maps = case.program.maps.iter().map(|m| &m.body).chain(&case.dag.fns);
    of_dag && of_program && maps.into_iter().all(scalars::is_algebraic)
}

//! What a plan must fulfil before it may run.
//!
//! [`verify`] shares nothing with the scheduler but the types (and the walk over items):
//!
//! - *structure* ([`structure`](self)), for which no dag is needed: ids, arities, loops, bounds of every access at several run-time sizes, results that hit no
//!   element twice, what may be written at all, reads after writes, lifetimes, arenas without overlap;
//! - *meaning*: the plan is executed symbolically. Each buffer holds nothing, zeros, a part, or the value of a dag node in the current round of
//!   the loops; each step must read its dag node's arguments where they are, fold and combine them as the node says, and write each
//!   element of the result once. Accesses are compared exactly where an argument lies in memory as it is, and else at
//!   corners and random points of the step's space, at several run-time sizes, by following the index through slices, picks and reshapes.
//!
//! Where a plan has several schedules, each must fulfil this with a dag of its own, and their ranges must hold every size once.

mod form;
mod meaning;
mod regimes;
mod structure;
mod trace;

use crate::cost::MANY_STEPS;
use crate::ir::{EntryKind, Item, Plan, SizeRange};
use crate::schedule::live::flatten;
use crate::serial;
use std::borrow::Cow;
use tn_ir::dag::Dag;
use tn_ir::size::{Dim, Poly, SymbolKind};

/// Something that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// In which entry.
    pub entry: Option<EntryKind>,
    /// At which item, in the entry's preorder.
    pub item: Option<u32>,
    /// What, in one sentence.
    pub message: String,
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(kind) = self.entry {
            write!(f, "{kind:?}")?;
        }
        if let Some(item) = self.item {
            write!(f, ", item {item}")?;
        }
        if self.entry.is_some() || self.item.is_some() {
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for PlanError {}

/// Errors that are collected before the verifier gives up on an entry.
const ENOUGH: usize = 20;

/// Collects errors.
#[derive(Default)]
struct Errors {
    all: Vec<PlanError>,
    entry: Option<EntryKind>,
    item: Option<u32>,
}

impl Errors {
    fn add(&mut self, message: impl Into<String>) {
        self.all.push(PlanError { entry: self.entry, item: self.item, message: message.into() });
    }
    fn enough(&self) -> bool {
        self.all.len() >= ENOUGH
    }
    /// Errors from the position `from` on are of the schedule for these sizes.
    fn place(&mut self, from: usize, range: SizeRange) {
        for e in self.all.iter_mut().skip(from) {
            e.message = format!("{} (sizes {range})", e.message);
        }
    }
}

/// An assignment of run-time sizes.
#[derive(Clone, Debug, PartialEq)]
struct Sizes(Vec<i64>);

impl Sizes {
    fn poly(&self, p: &Poly) -> i128 {
        p.eval(|s| self.0.get(s.0 as usize).copied().unwrap_or(0))
    }
    fn dim(&self, d: Dim) -> i128 {
        match d {
            Dim::Const(n) => i128::from(n),
            Dim::Dyn(s) => i128::from(self.0.get(s.0 as usize).copied().unwrap_or(0)),
        }
    }
}

/// Run-time sizes to look at: the hints, the smallest, odd larger ones that differ between symbols, and the declared maxima. One assignment if nothing
/// is `dyn`.
fn samples(plan: &Plan) -> Vec<Sizes> {
    let hints: Vec<i64> = plan.symbols.iter().map(|s| s.value()).collect();
    let make = |f: &dyn Fn(usize, i64, Option<u64>) -> i64| {
        let each = plan.symbols.iter().enumerate().map(|(i, s)| match s.kind {
            SymbolKind::Dyn { hint, max } => f(i, hint as i64, max),
            SymbolKind::Param { value } => value,
        });
        Sizes(each.collect())
    };
    let mut all = vec![Sizes(hints)];
    if plan.symbols.iter().any(|s| s.is_dyn()) {
        all.push(make(&|_, _, _| 1));
        all.push(make(&|i, hint, _| 2 * hint + 3 + 2 * i as i64));
        all.push(make(&|_, hint, max| max.map_or(hint, |m| m.min(1 << 40) as i64)));
    }
    all.dedup();
    all
}

/// Checks everything that can be checked without the dag.
pub fn verify_structure(plan: &Plan) -> Result<(), Vec<PlanError>> {
    let schedules = referring(plan)?;
    found(structure_errors(plan, &schedules))
}

/// Checks a plan against the dag that it was made from; see [`crate::verify`]. All errors are returned, up to a limit for each entry.
pub fn verify(plan: &Plan, dag: &Dag) -> Result<(), Vec<PlanError>> {
    verify_schedules(plan, &[dag])
}

/// Checks a plan against the dags that its schedules were made from, in the order of [`Plan::schedules`].
pub fn verify_schedules(plan: &Plan, dags: &[&Dag]) -> Result<(), Vec<PlanError>> {
    let schedules = referring(plan)?;
    let steps: usize = plan.entries.iter().map(|e| e.body.len()).sum();
    if steps < MANY_STEPS {
        found(structure_errors(plan, &schedules))?;
        return found(meaning_errors(plan, &schedules, dags));
    }
    std::thread::scope(|scope| {
        let meaning = scope.spawn(|| meaning_errors(plan, &schedules, dags));
        let structure = structure_errors(plan, &schedules);
        let meaning = meaning.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        found(structure).and(found(meaning))
    })
}

/// The schedules of a plan, if everything exists that they refer to.
fn referring(plan: &Plan) -> Result<Vec<Cow<'_, Plan>>, Vec<PlanError>> {
    let mut errors = Errors::default();
    regimes::check(plan, &mut errors);
    if !errors.all.is_empty() {
        return Err(errors.all);
    }
    let schedules = plan.schedules();
    let errors = of_each(plan, &schedules, |_, schedule, errors| structure::references(schedule, errors));
    found(errors).map(|()| schedules)
}

fn structure_errors(plan: &Plan, schedules: &[Cow<Plan>]) -> Errors {
    of_each(plan, schedules, |_, schedule, errors| structure::accesses(schedule, errors))
}

fn meaning_errors(plan: &Plan, schedules: &[Cow<Plan>], dags: &[&Dag]) -> Errors {
    let mut errors = of_each(plan, schedules, |k, schedule, errors| {
        if let Some(dag) = dags.get(k) {
            meaning::check(schedule, dag, errors);
        }
    });
    if schedules.len() != dags.len() {
        errors.add(format!("{} schedules were made from {} dags", schedules.len(), dags.len()));
    }
    errors
}

/// The errors of all schedules, by their position.
fn of_each(plan: &Plan, schedules: &[Cow<Plan>], check: impl Fn(usize, &Plan, &mut Errors)) -> Errors {
    let mut errors = Errors::default();
    let ranges = plan.ranges();
    for (k, schedule) in schedules.iter().enumerate() {
        let before = errors.all.len();
        check(k, schedule, &mut errors);
        if let Some(&range) = ranges.get(k) {
            errors.place(before, range);
        }
    }
    errors
}

fn found(errors: Errors) -> Result<(), Vec<PlanError>> {
    if errors.all.is_empty() { Ok(()) } else { Err(errors.all) }
}

/// A plan that passed the verifier. Executors and printers take this type, so what was not verified cannot be run or emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedPlan(Plan);

impl VerifiedPlan {
    /// Verifies a plan against its dag.
    pub fn new(plan: Plan, dag: &Dag) -> Result<VerifiedPlan, Vec<PlanError>> {
        VerifiedPlan::of_schedules(plan, &[dag])
    }
    /// Verifies a plan against the dags of its schedules, in the order of [`Plan::schedules`].
    pub fn of_schedules(plan: Plan, dags: &[&Dag]) -> Result<VerifiedPlan, Vec<PlanError>> {
        verify_schedules(&plan, dags)?;
        Ok(VerifiedPlan(plan))
    }
    /// Verifies the structure of a plan whose dag is not at hand: what passes stays within its memory, but may compute something else
    /// than the source of that name.
    pub fn structural(plan: Plan) -> Result<VerifiedPlan, Vec<PlanError>> {
        verify_structure(&plan)?;
        Ok(VerifiedPlan(plan))
    }
    /// Reads a plan file and verifies its structure.
    pub fn load(ron_text: &str) -> Result<VerifiedPlan, Vec<PlanError>> {
        let plan = serial::from_ron(ron_text)
            .map_err(|message| vec![PlanError { entry: None, item: None, message }])?;
        VerifiedPlan::structural(plan)
    }
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
    /// The plan, which may be changed again (and is then no longer verified).
    pub fn into_plan(self) -> Plan {
        self.0
    }
}

impl std::ops::Deref for VerifiedPlan {
    type Target = Plan;
    fn deref(&self) -> &Plan {
        &self.0
    }
}

/// The loops around each item, outermost first, by position.
fn chains(body: &[Item]) -> Vec<Vec<u32>> {
    let flat = flatten(body);
    let mut all: Vec<Vec<u32>> = Vec::with_capacity(flat.len());
    for f in &flat {
        let chain = match f.parent {
            Some(p) => {
                let mut c: Vec<u32> = all[p as usize].clone();
                c.push(p);
                c
            }
            None => vec![],
        };
        all.push(chain);
    }
    all
}

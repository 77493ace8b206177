//! What steps cost: multiply-adds, bytes, modelled time; what an entry needs at its worst moment.

use crate::ir::*;
use crate::kernel;
use crate::schedule::live::flatten;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tn_ir::dtype::DType;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::{Dim, Poly, SymbolId, SymbolKind, numel};

/// The rates of a machine: what times are modelled with. As a file it is the RON (or JSON) form of this struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name, recorded in plans.
    pub name: String,
    /// Multiply-adds a second with all cores, for f32, f64, c64, c128 (a complex multiply-add counts one).
    pub macs_per_second: Rates,
    /// Bytes a second between memory and the cores.
    pub bytes_per_second: f64,
    /// Seconds that a step costs even if it does nothing.
    pub step_seconds: f64,
}

/// One rate for each element type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    pub f32: f64,
    pub f64: f64,
    pub c64: f64,
    pub c128: f64,
}

impl Default for Machine {
    /// Rates a little below those that emitted kernels reached on one core of a server with 512-bit vectors. What a call costs is an estimate:
    /// it was not measured by itself.
    fn default() -> Machine {
        Machine {
            name: "default".into(),
            macs_per_second: Rates { f32: 4e10, f64: 2e10, c64: 8e9, c128: 4e9 },
            bytes_per_second: 1.5e10,
            step_seconds: 3e-8,
        }
    }
}

impl Machine {
    /// Reads a machine description in RON; the error is a sentence.
    pub fn from_ron(text: &str) -> Result<Machine, String> {
        let m: Machine = ron::from_str(text).map_err(|e| format!("not a machine description: {e}"))?;
        m.check()?;
        Ok(m)
    }
    /// The RON form.
    pub fn to_ron(&self) -> Result<String, String> {
        ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::default()).map_err(|e| e.to_string())
    }
    /// Whether all rates are positive and finite.
    pub fn check(&self) -> Result<(), String> {
        let r = &self.macs_per_second;
        for (what, rate) in [
            ("macs_per_second.f32", r.f32),
            ("macs_per_second.f64", r.f64),
            ("macs_per_second.c64", r.c64),
            ("macs_per_second.c128", r.c128),
            ("bytes_per_second", self.bytes_per_second),
        ] {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(format!("`{what}` of machine `{}` must be a positive number", self.name));
            }
        }
        if !(self.step_seconds.is_finite() && self.step_seconds >= 0.0) {
            return Err(format!("`step_seconds` of machine `{}` must not be negative", self.name));
        }
        Ok(())
    }
    /// Multiply-adds a second for an element type.
    pub fn rate(&self, dtype: DType) -> f64 {
        let r = &self.macs_per_second;
        match dtype {
            DType::F32 => r.f32,
            DType::F64 => r.f64,
            DType::C64 => r.c64,
            DType::C128 => r.c128,
        }
    }
}

/// What a step costs over all rounds of its loops.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct StepCost {
    /// How often it runs.
    pub rounds: f64,
    /// Multiply-adds, or operations of its function if that has more than a product.
    pub macs: f64,
    /// Bytes read and written, every element of an operand once a round.
    pub bytes: f64,
    /// Modelled seconds.
    pub seconds: f64,
}

/// Operations of a function: those that count as multiply-adds, and the same weighted by how long they take.
fn operations(f: &ScalarFn) -> (f64, f64) {
    use ScalarOp::*;
    f.ops.iter().fold((0.0, 0.0), |(n, w), op| match op {
        Arg(_) | Const(..) | Conj(_) => (n, w),
        Div(..) | Sqrt(_) => (n + 1.0, w + 4.0),
        Exp(_) | Log(_) | Sin(_) | Cos(_) | Tanh(_) | Erf(_) | Pow(..) => (n + 1.0, w + 20.0),
        _ => (n + 1.0, w + 1.0),
    })
}

/// The cost of a step that runs `rounds` times; `size` gives axis lengths.
pub fn step_cost(
    plan: &Plan,
    machine: &Machine,
    step: &Step,
    rounds: f64,
    size: impl Fn(Dim) -> f64,
) -> StepCost {
    let points: f64 = step.space.iter().map(|a| size(a.size)).product();
    let (mut ops, mut weight) = plan.bodies.get(step.body.0 as usize).map_or((0.0, 0.0), operations);
    if step.space.iter().any(|a| a.reduce) || step.write == Write::Accumulate {
        // The addition belongs to the product, if there is one.
        ops = f64::max(ops, 1.0);
        weight = f64::max(weight, 1.0);
    }
    let touched = |a: &Access| -> f64 {
        let axes = step.space.iter().zip(&a.strides).filter(|(_, s)| !s.is_zero());
        axes.map(|(x, _)| size(x.size)).product()
    };
    let read: f64 = step.ins.iter().map(touched).sum();
    let written = touched(&step.out) * if step.write == Write::Accumulate { 2.0 } else { 1.0 };
    let bytes = rounds * (read + written) * plan.dtype.bytes() as f64;
    // How well the kernel's loops suit the operands' strides: a point with a bad access pattern takes as long as many multiply-adds.
    let shape = plan.bodies.get(step.body.0 as usize).map_or(1.0, |body| {
        let hint = |p: &Poly| p.eval(|s| size(Dim::Dyn(s)) as i64).max(0) as u64;
        kernel::cost(step, body, plan.dtype, hint)
    });
    let busy = rounds * points * (f64::max(weight - 1.0, 0.0) + shape) / machine.rate(plan.dtype);
    StepCost {
        rounds,
        macs: rounds * points * ops,
        bytes,
        seconds: busy.max(bytes / machine.bytes_per_second) + rounds * machine.step_seconds,
    }
}

/// The value of a symbol for planning.
pub fn hint(plan: &Plan, s: SymbolId) -> i64 {
    plan.symbols.get(s).map_or(0, |x| x.value())
}

/// The value of a symbol at its declared maximum; its hint if there is none.
pub fn declared_max(plan: &Plan, s: SymbolId) -> i64 {
    match plan.symbols.get(s).map(|x| &x.kind) {
        Some(SymbolKind::Dyn { max: Some(m), .. }) => i64::try_from(*m).unwrap_or(i64::MAX),
        _ => hint(plan, s),
    }
}

/// The symbols that steps iterate over.
pub fn used_symbols(plan: &Plan) -> BTreeSet<SymbolId> {
    let mut used = BTreeSet::new();
    for f in plan.entries.iter().flat_map(|e| flatten(&e.body)) {
        if let Item::Step(s) = f.item {
            used.extend(s.space.iter().flat_map(|a| a.size.poly().symbols()));
        }
    }
    used
}

/// The steps of an entry in order, each with its cost at the hints.
pub fn step_costs<'a>(plan: &Plan, entry: &'a Entry, machine: &Machine) -> Vec<(&'a Step, StepCost)> {
    step_costs_at(plan, entry, machine, |s| hint(plan, s))
}

/// The same where `value` gives run-time sizes.
pub fn step_costs_at<'a>(
    plan: &Plan,
    entry: &'a Entry,
    machine: &Machine,
    value: impl Fn(SymbolId) -> i64 + Sync,
) -> Vec<(&'a Step, StepCost)> {
    let size = |d: Dim| d.eval(|s| value(s).max(0) as u64) as f64;
    let flat = flatten(&entry.body);
    let mut rounds = vec![1.0; flat.len()];
    let mut steps: Vec<(&Step, f64)> = Vec::new();
    for (i, f) in flat.iter().enumerate() {
        let around = f.parent.map_or(1.0, |p| rounds[p as usize]);
        match f.item {
            Item::Loop(l) => rounds[i] = around * size(l.trip),
            Item::Step(s) => steps.push((s, around)),
            Item::Zero { .. } => {}
        }
    }
    let all = |steps: &[(&'a Step, f64)]| -> Vec<(&'a Step, StepCost)> {
        steps.iter().map(|&(s, around)| (s, step_cost(plan, machine, s, around, size))).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = steps.len().div_ceil(threads).max(MANY_STEPS);
    let Some((own, others)) = steps.split_at_checked(share) else { return all(&steps) };
    std::thread::scope(|scope| {
        let others: Vec<_> = others.chunks(share).map(|part| scope.spawn(move || all(part))).collect();
        let mut costs = all(own);
        for other in others {
            costs.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        costs
    })
}

/// So many steps take longer to look at than to start a thread for others.
pub(crate) const MANY_STEPS: usize = 1_000;

fn bytes_of(plan: &Plan, len: &Poly, value: &impl Fn(SymbolId) -> i64) -> u128 {
    (len.eval(value).max(0) as u128).saturating_mul(u128::from(plan.dtype.bytes()))
}

/// Bytes that must exist while an entry runs, where `value` gives run-time sizes: leaves and outputs, cotangents and gradients, or tangents
/// (as the entry has them), what is saved, and the workspace.
pub fn entry_bytes(plan: &Plan, entry: &Entry, value: impl Fn(SymbolId) -> i64) -> u128 {
    let all = |dims: &[Dim]| bytes_of(plan, &numel(dims), &value);
    let given = plan.leaves.iter().filter(|l| !l.is_unread());
    let mut total: u128 = given.map(|l| all(&l.dims)).sum();
    let outputs: u128 = plan.outputs.iter().map(|o| all(&o.dims)).sum();
    total += outputs;
    if entry.kind == EntryKind::Vjp {
        // The cotangents.
        total += outputs;
    }
    for b in entry.buffers.iter() {
        if matches!(b.class, Class::Grad(_) | Class::Tangent(_) | Class::Jvp(_)) {
            total += bytes_of(plan, &b.len, &value);
        }
    }
    total + bytes_of(plan, &entry.saved_len, &value) + bytes_of(plan, &entry.workspace_len, &value)
}

/// The worst moment of all entries with run-time sizes at their declared maxima; each schedule at the end of its range.
pub fn peak_bytes_at_max(plan: &Plan) -> u128 {
    let one =
        |p: &Plan| p.entries.iter().map(|e| entry_bytes(p, e, |s| declared_max(p, s))).max().unwrap_or(0);
    plan.schedules().iter().map(|p| one(p)).max().unwrap_or(0)
}

/// The totals of a plan at the hints.
pub fn summary(plan: &Plan, machine: &Machine, seed: u64) -> Summary {
    summary_at(plan, machine, seed, |s| hint(plan, s))
}

/// The same where `value` gives run-time sizes.
pub fn summary_at(
    plan: &Plan,
    machine: &Machine,
    seed: u64,
    value: impl Fn(SymbolId) -> i64 + Copy + Sync,
) -> Summary {
    let mut out = Summary { seed, machine: machine.name.clone(), ..Summary::default() };
    for entry in &plan.entries {
        let mut e = EntrySummary {
            workspace_bytes: bytes_of(plan, &entry.workspace_len, &value),
            peak_bytes: entry_bytes(plan, entry, value),
            ..EntrySummary::default()
        };
        for (_, cost) in step_costs_at(plan, entry, machine, value) {
            e.macs += cost.macs;
            e.bytes_moved += cost.bytes;
            e.seconds += cost.seconds;
            e.steps += 1;
        }
        out.peak_bytes = out.peak_bytes.max(e.peak_bytes);
        out.workspace_bytes = out.workspace_bytes.max(e.workspace_bytes);
        out.saved_bytes = out.saved_bytes.max(bytes_of(plan, &entry.saved_len, &value));
        out.entries.push(e);
    }
    let seconds = |k| {
        let found = plan.entries.iter().position(|e| e.kind == k);
        found.map(|i| out.entries[i].seconds)
    };
    out.modelled_seconds = match (seconds(EntryKind::ForwardSaving), seconds(EntryKind::Vjp)) {
        (Some(f), Some(v)) => f + v,
        _ => seconds(EntryKind::Forward).or(out.entries.first().map(|e| e.seconds)).unwrap_or(0.0),
    };
    out
}

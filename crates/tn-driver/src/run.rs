//! `tnc run`: a verified plan on arrays, and the table of modelled and measured times.

use crate::bind::{Bound, Given, Wanted, bind};
use crate::data::{DataArray, Elements, NamedArrays};
use crate::error::Error;
use crate::given::outside_shape;
use crate::json::{entry_name, number};
use crate::report::show_seconds;
use crate::table::Table;
use crate::values::show_log10;
use num_complex::{Complex32, Complex64};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;
use tn_exec::{Element, ExecError, Executor};
use tn_ir::dtype::DType;
use tn_ir::size::{Dim, SymbolId};
use tn_plan::cost::{hint, step_costs_at};
use tn_plan::ir::{Class, EntryKind, Plan};

/// What to run and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Gradients: `forward_saving`, then `vjp`.
    pub grad: bool,
    /// Tangents.
    pub jvp: bool,
    /// Entries of files may be rounded to the plan's type.
    pub cast: bool,
    /// Each step is timed.
    pub timings: bool,
    /// Threads (0: all cores).
    pub threads: usize,
    /// What modelled times are taken from.
    pub machine: Option<String>,
}

/// One step, modelled and measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Entry.
    pub entry: EntryKind,
    /// Index expression.
    pub text: String,
    /// How often it ran.
    pub rounds: f64,
    /// Multiply-adds over all rounds.
    pub macs: f64,
    /// Seconds by the model, at the run's sizes.
    pub modelled: f64,
    /// Seconds taken.
    pub measured: f64,
}

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Outputs, then gradients or tangents, by full names.
    pub arrays: NamedArrays,
    /// Wall time of the entries.
    pub seconds: f64,
    /// Steps in order (if asked for).
    pub timings: Vec<Timing>,
}

/// An element type whose arrays come from files.
pub(crate) trait Native: Element {
    fn take(elements: Elements) -> Vec<Self>;
    fn wrap(values: Vec<Self>) -> Elements;
}

macro_rules! native {
    ($t:ty, $variant:ident) => {
        impl Native for $t {
            fn take(elements: Elements) -> Vec<$t> {
                match elements {
                    Elements::$variant(v) => v,
                    other => other.to_complex().into_iter().map(<$t>::from_complex).collect(),
                }
            }
            fn wrap(values: Vec<$t>) -> Elements {
                Elements::$variant(values)
            }
        }
    };
}
native!(f32, F32);
native!(f64, F64);
native!(Complex32, C64);
native!(Complex64, C128);

/// Runs a plan on the given arrays.
///
/// # Errors
/// Arrays that do not fit, each named; too little memory.
pub fn run(plan: &Plan, given: Vec<Given>, request: &Request) -> Result<Ran, Error> {
    let wanted =
        Wanted { cotangents: request.grad, tangents: request.jvp, cast: request.cast, partial: false };
    let bound = bind(plan, given, wanted)?;
    match plan.dtype {
        DType::F32 => typed::<f32>(plan, bound, request),
        DType::F64 => typed::<f64>(plan, bound, request),
        DType::C64 => typed::<Complex32>(plan, bound, request),
        DType::C128 => typed::<Complex64>(plan, bound, request),
    }
}

/// Arrays by owner, typed.
pub(crate) fn given<T: Native>(bound: Bound) -> tn_exec::Given<T> {
    let mut arrays = BTreeMap::new();
    for (i, a) in bound.leaves.into_iter().enumerate() {
        if let Some(a) = a {
            arrays.insert(Class::Leaf(i as u32), T::take(a.elements));
        }
    }
    for (i, a) in bound.cotangents.into_iter().enumerate() {
        arrays.insert(Class::Cotangent(i as u32), T::take(a.elements));
    }
    for (i, a) in bound.tangents.into_iter().enumerate() {
        if let Some(a) = a {
            arrays.insert(Class::Tangent(i as u32), T::take(a.elements));
        }
    }
    tn_exec::Given { arrays }
}

/// The number of threads that a request means.
pub(crate) fn threads(asked: usize) -> usize {
    if asked == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { asked }
}

pub(crate) fn exec_error(e: ExecError) -> Error {
    match e {
        ExecError::Array { .. } => Error::Input(e.to_string()),
        ExecError::NoEntry(_) | ExecError::Invalid(_) => Error::internal("run", e),
    }
}

fn typed<T: Native>(plan: &Plan, bound: Bound, request: &Request) -> Result<Ran, Error> {
    let machine = crate::machine::load(request.machine.as_deref())?;
    let sizes = bound.dyn_sizes.clone();
    for (id, s) in plan.symbols.enumerate() {
        if let (Some(&n), tn_ir::size::SymbolKind::Dyn { max: Some(max), .. }) = (sizes.get(&id), &s.kind)
            && n > *max
        {
            return Err(Error::Input(format!(
                "the size `{}` is `{n}`, but at most `{max}` was declared",
                s.name
            )));
        }
    }
    let size = |s: SymbolId| sizes.get(&s).copied().unwrap_or_else(|| hint(plan, s).max(0) as u64);
    let mut executor = Executor::<T>::new(plan, &size, threads(request.threads)).map_err(exec_error)?;
    executor.timed = request.timings;
    let given = given::<T>(bound);
    let mut kinds = Vec::new();
    if request.grad {
        kinds.extend([EntryKind::ForwardSaving, EntryKind::Vjp]);
    }
    if request.jvp {
        kinds.push(EntryKind::Jvp);
    }
    if kinds.is_empty() {
        kinds.push(EntryKind::Forward);
    }
    let mut out = Ran::default();
    let mut all: BTreeMap<Class, Vec<T>> = BTreeMap::new();
    let mut saved = Vec::new();
    for kind in kinds {
        let began = Instant::now();
        let results = executor.run(kind, &given, &mut saved).map_err(exec_error)?;
        out.seconds += began.elapsed().as_secs_f64();
        all.extend(results.arrays);
        if request.timings
            && let Some(entry) = plan.entries_at(size).iter().find(|e| e.kind == kind)
        {
            let costs = step_costs_at(plan, entry, &machine, |s| i64::try_from(size(s)).unwrap_or(i64::MAX));
            for ((step, cost), measured) in costs.into_iter().zip(results.seconds) {
                out.timings.push(Timing {
                    entry: kind,
                    text: step.text.clone(),
                    rounds: cost.rounds,
                    macs: cost.macs,
                    modelled: cost.seconds,
                    measured,
                });
            }
        }
    }
    for (class, values) in all {
        let (name, dims, axes) = match class {
            Class::Output(i) | Class::Jvp(i) => {
                let o = &plan.outputs[i as usize];
                let prefix = if matches!(class, Class::Jvp(_)) { "jvp." } else { "" };
                (format!("{prefix}{}", o.name), &o.dims, &o.axes)
            }
            Class::Grad(i) => {
                let l = &plan.leaves[i as usize];
                (format!("grad.{}", l.name), &l.dims, &l.axes)
            }
            _ => continue,
        };
        let legs: Vec<u64> = dims.iter().map(|d: &Dim| d.eval(size)).collect();
        out.arrays.push((name, DataArray { shape: outside_shape(&legs, axes), elements: T::wrap(values) }));
    }
    Ok(out)
}

/// Arrays of at most this many entries are shown whole.
const SHOWN: usize = 8;

/// A line for each array: its name, shape, and entries or norm.
pub fn summary_text(ran: &Ran) -> String {
    let mut out = String::new();
    for (name, a) in &ran.arrays {
        let shape = a.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let values = a.elements.to_complex();
        let complex = a.elements.dtype().is_some_and(DType::is_complex);
        let show = |z: &Complex64| if complex { format!("{z:.6e}") } else { format!("{:.6e}", z.re) };
        let text = if values.len() <= SHOWN {
            values.iter().map(show).collect::<Vec<_>>().join(" ")
        } else {
            let norm = values.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt();
            format!("{} entries, norm {norm:.6e}", values.len())
        };
        let _ = writeln!(out, "{name}[{shape}]: {text}");
    }
    out
}

/// The same as an object: shape and type of each array, its entries where they are few, its norm.
pub fn summary_json(plan: &Plan, ran: &Ran) -> serde_json::Value {
    let entry = |z: &Complex64| match plan.dtype.is_complex() {
        true => serde_json::json!([number(z.re), number(z.im)]),
        false => number(z.re),
    };
    let arrays = ran.arrays.iter().map(|(name, a)| {
        let values = a.elements.to_complex();
        let norm = values.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt();
        let mut object = serde_json::json!({ "name": name, "shape": a.shape, "norm": number(norm) });
        if values.len() <= SHOWN {
            object["values"] = values.iter().map(entry).collect();
        }
        object
    });
    let arrays: Vec<serde_json::Value> = arrays.collect();
    serde_json::json!({ "name": plan.name, "dtype": plan.dtype.name(), "seconds": ran.seconds, "arrays": arrays })
}

/// The table of modelled and measured times, step by step.
pub fn timings_text(plan: &Plan, ran: &Ran) -> String {
    let mut table = Table::new(["entry", "step", "rounds", "multiply-adds", "modelled", "measured", "ratio"]);
    let ratio = |t: f64, m: f64| if m > 0.0 { format!("{:.2}", t / m) } else { "-".into() };
    let (mut modelled, mut measured) = (0.0, 0.0);
    for t in &ran.timings {
        modelled += t.modelled;
        measured += t.measured;
        table.row([
            entry_name(t.entry).to_owned(),
            t.text.chars().take(72).collect(),
            format!("{:.0}", t.rounds),
            show_log10(t.macs.log10()),
            show_seconds(t.modelled),
            show_seconds(t.measured),
            ratio(t.measured, t.modelled),
        ]);
    }
    let mut out = format!("timings of {} ({})\n", plan.name, plan.dtype);
    out.push_str(&table.render());
    let _ = writeln!(
        out,
        "steps: modelled {}, measured {} ({} times the model); with everything {}",
        show_seconds(modelled),
        show_seconds(measured),
        ratio(measured, modelled),
        show_seconds(ran.seconds)
    );
    out
}

/// The same as an object.
pub fn timings_json(plan: &Plan, ran: &Ran) -> serde_json::Value {
    let steps: Vec<serde_json::Value> = ran
        .timings
        .iter()
        .map(|t| {
            serde_json::json!({
                "entry": entry_name(t.entry), "step": t.text, "rounds": t.rounds, "macs": t.macs,
                "modelled_seconds": t.modelled, "measured_seconds": t.measured,
            })
        })
        .collect();
    serde_json::json!({ "name": plan.name, "dtype": plan.dtype.name(), "seconds": ran.seconds, "steps": steps })
}

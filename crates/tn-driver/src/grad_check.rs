//! `tnc grad-check`: gradients in double precision against central differences, and against forward mode.

use crate::bind::{Given, Wanted, bind};
use crate::compile::{compile_prepared, prepare};
use crate::error::Error;
use crate::init::initial_values;
use crate::options::{Options, Source};
use crate::run::{Native, exec_error, given as typed_given, threads};
use crate::table::Table;
use num_complex::Complex64;
use std::time::Instant;
use tn_exec::Executor;
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::size::SymbolId;
use tn_plan::cost::hint;
use tn_plan::ir::{Class, EntryKind, Plan};
use tn_runtime::random::Stream;

/// Entries of a leaf that are compared, at most.
const ENTRIES: usize = 16;
/// Multiply-adds that all differences together may cost; fewer entries are compared where a run is long.
const WORK: f64 = 2e10;
/// Half the distance of central differences, relative to the entry's size.
const STEP: f64 = 1e-3;

/// What was found for one leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafCheck {
    /// Its name.
    pub name: String,
    /// Entries compared with central differences (all, or some drawn at random).
    pub entries: usize,
    /// The worst difference, relative to the largest entry of the gradient; if not all entries were compared, also along a random
    /// direction of the whole leaf.
    pub error: f64,
    /// `<ct, J t>` against `<J* ct, t>` for a random `t` of this leaf alone, relative.
    pub dot_error: f64,
}

/// Checks the gradient of every leaf that needs one. What is not in `given` is drawn: parameters by their rules, inputs and
/// cotangents normal. Also returned: the front end's warnings.
///
/// # Errors
/// Those of the road and of the given arrays.
pub fn grad_check(
    source: &Source,
    options: &Options,
    given: Vec<Given>,
    color: bool,
) -> Result<(Vec<LeafCheck>, String), Error> {
    let began = Instant::now();
    let mut prepared = prepare(source, options)?;
    // Differences need double precision, whatever the network's type.
    let double = if prepared.program.dtype.is_complex() { DType::C128 } else { DType::F64 };
    prepared.program.dtype = double;
    prepared.source_program.dtype = double;
    let compiled = compile_prepared(prepared, options, began)?;
    let warnings = compiled.warnings(color);
    let plan = compiled.plan()?;
    let report = match double {
        DType::C128 => check::<Complex64>(plan, given, options)?,
        _ => check::<f64>(plan, given, options)?,
    };
    Ok((report, warnings))
}

fn check<T: Native>(plan: &Plan, given: Vec<Given>, options: &Options) -> Result<Vec<LeafCheck>, Error> {
    let wanted = Wanted { partial: true, cast: true, ..Wanted::default() };
    let bound = bind(plan, given, wanted)?;
    let sizes = bound.dyn_sizes.clone();
    let size = |s: SymbolId| sizes.get(&s).copied().unwrap_or_else(|| hint(plan, s).max(1) as u64);
    let mut arrays = typed_given::<T>(bound);
    let complex = plan.dtype.is_complex();
    let draw = |stream: u64, n: usize| -> Vec<T> {
        let s = Stream::new(options.seed ^ 0x7465_6e73, stream);
        let one = |i: u64| {
            let (re, im) = s.normal_pair(i);
            T::from_complex(Complex64::new(re, if complex { im } else { 0.0 }))
        };
        (0..n as u64).map(one).collect()
    };
    let len = |dims: &[tn_ir::size::Dim]| dims.iter().map(|d| d.eval(size)).product::<u64>() as usize;
    for (i, leaf) in plan.leaves.iter().enumerate() {
        let class = Class::Leaf(i as u32);
        if leaf.role == ArrayRole::Const || arrays.arrays.contains_key(&class) {
            continue;
        }
        let values = match leaf.role {
            ArrayRole::Param => {
                initial_values(leaf, i, plan.dtype, options.seed)?.into_iter().map(T::from_complex).collect()
            }
            _ => draw(1000 + i as u64, len(&leaf.dims)),
        };
        arrays.arrays.insert(class, values);
    }
    for (i, o) in plan.outputs.iter().enumerate() {
        arrays.arrays.insert(Class::Cotangent(i as u32), draw(500 + i as u64, len(&o.dims)));
    }
    let executor = Executor::<T>::new(plan, &size, threads(options.threads)).map_err(exec_error)?;
    let mut saved = Vec::new();
    executor.run(EntryKind::ForwardSaving, &arrays, &mut saved).map_err(exec_error)?;
    let grads = executor.run(EntryKind::Vjp, &arrays, &mut saved).map_err(exec_error)?.arrays;
    // The real number whose gradient this is: Re<ct, y>.
    let pair = |a: &[T], b: &[T]| -> f64 {
        a.iter().zip(b).map(|(x, y)| (x.to_complex().conj() * y.to_complex()).re).sum()
    };
    let value = |arrays: &tn_exec::Given<T>| -> Result<f64, Error> {
        let y = executor.run(EntryKind::Forward, arrays, &mut vec![]).map_err(exec_error)?.arrays;
        Ok((0..plan.outputs.len() as u32)
            .map(|i| pair(&arrays.arrays[&Class::Cotangent(i)], &y[&Class::Output(i)]))
            .sum())
    };
    let base = value(&arrays)?.abs();
    let checked = plan.leaves.iter().filter(|l| l.needs_grad).count().max(1) as f64;
    let macs = plan.summary.entries.first().map_or(1.0, |e| e.macs).max(1.0);
    let most = ((WORK / (4.0 * macs * checked)) as usize).clamp(1, ENTRIES);
    let mut report = Vec::new();
    for (i, leaf) in plan.leaves.iter().enumerate() {
        let Some(grad) = grads.get(&Class::Grad(i as u32)) else { continue };
        let class = Class::Leaf(i as u32);
        let original = arrays.arrays[&class].clone();
        let largest = grad.iter().map(|g| g.to_complex().norm()).fold(0.0, f64::max);
        // Where the gradient vanishes, rounding of the value itself is all that differences can show.
        let scale = largest.max(1e-6 * base).max(f64::MIN_POSITIVE);
        let mut error: f64 = 0.0;
        let chosen = chosen(grad.len(), most, options.seed, i);
        for &e in &chosen {
            let x = original[e].to_complex();
            let h = STEP * x.norm().max(0.1);
            let directions = if complex { &[Complex64::ONE, Complex64::I][..] } else { &[Complex64::ONE] };
            for &d in directions {
                let mut at = |k: f64| {
                    if let Some(a) = arrays.arrays.get_mut(&class) {
                        a[e] = T::from_complex(x + d * k * h);
                    }
                    value(&arrays)
                };
                // Five points: the error is of fourth order in the step.
                let slope = (8.0 * (at(1.0)? - at(-1.0)?) - (at(2.0)? - at(-2.0)?)) / (12.0 * h);
                let want = (grad[e].to_complex().conj() * d).re;
                error = worse(error, (slope - want).abs() / scale);
            }
            if let Some(a) = arrays.arrays.get_mut(&class) {
                a[e] = original[e];
            }
        }
        let t = draw(2000 + i as u64, original.len());
        if chosen.len() < grad.len() {
            let h = STEP * 0.1;
            let mut at = |k: f64| {
                if let Some(a) = arrays.arrays.get_mut(&class) {
                    let moved =
                        original.iter().zip(&t).map(|(x, t)| x.to_complex() + t.to_complex() * (k * h));
                    *a = moved.map(T::from_complex).collect();
                }
                value(&arrays)
            };
            let slope = (8.0 * (at(1.0)? - at(-1.0)?) - (at(2.0)? - at(-2.0)?)) / (12.0 * h);
            let length = t.iter().map(|t| t.to_complex().norm_sqr()).sum::<f64>().sqrt();
            error = worse(error, (slope - pair(grad, &t)).abs() / (scale * length));
            arrays.arrays.insert(class.clone(), original.clone());
        }
        let mut with = tn_exec::Given { arrays: arrays.arrays.clone() };
        with.arrays.insert(Class::Tangent(i as u32), t.clone());
        let y = executor.run(EntryKind::Jvp, &with, &mut vec![]).map_err(exec_error)?.arrays;
        let left: f64 = (0..plan.outputs.len() as u32)
            .map(|o| pair(&arrays.arrays[&Class::Cotangent(o)], &y[&Class::Jvp(o)]))
            .sum();
        let right = pair(grad, &t);
        let size = grad.iter().zip(&t).map(|(g, t)| (g.to_complex() * t.to_complex()).norm()).sum::<f64>();
        let dot_error = (left - right).abs() / size.max(1e-6 * base).max(f64::MIN_POSITIVE);
        report.push(LeafCheck { name: leaf.name.clone(), entries: chosen.len(), error, dot_error });
    }
    Ok(report)
}

/// Which entries are compared.
fn chosen(n: usize, most: usize, seed: u64, leaf: usize) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    let s = Stream::new(seed, 3000 + leaf as u64);
    let mut out: Vec<usize> = (0..most as u64).map(|i| (s.uniform(i) * n as f64) as usize).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// A line for each leaf.
pub fn report_text(report: &[LeafCheck]) -> String {
    let mut table = Table::new(["leaf", "entries", "worst relative error", "forward against reverse"]);
    for r in report {
        table.row([
            r.name.clone(),
            r.entries.to_string(),
            format!("{:.2e}", r.error),
            format!("{:.2e}", r.dot_error),
        ]);
    }
    table.render()
}

/// The larger error; what is no number is worse than any.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The worst error of all leaves; NaN if one is.
pub fn worst(report: &[LeafCheck]) -> f64 {
    report.iter().fold(0.0, |w, r| worse(w, worse(r.error, r.dot_error)))
}

/// The worst error, and an object for each leaf.
pub fn report_json(report: &[LeafCheck]) -> serde_json::Value {
    let row = |r: &LeafCheck| serde_json::json!({ "name": r.name, "entries": r.entries, "error": r.error, "dot_error": r.dot_error });
    let worst = worst(report);
    serde_json::json!({ "worst": worst, "leaves": report.iter().map(row).collect::<Vec<_>>() })
}

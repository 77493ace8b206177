//! Arrays from files, matched to what a plan wants: names, shapes, types and values are checked, and each fault names its array.

use crate::data::{DataArray, Elements};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use tn_dsl::diag::did_you_mean;
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::ids::Arena;
use tn_ir::program::FoldAxis;
use tn_ir::size::{Dim, Symbol, SymbolId};
use tn_plan::ir::{OutputInfo, Plan};

/// A fault of the given arrays.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BindError {
    #[error(
        "parameter{} {} missing, help: write initial values with `tnc init -o params.safetensors` and give them with `--data`",
        plural(names),
        list(names)
    )]
    MissingParams { names: Vec<String> },
    #[error(
        "input{} {} missing, help: give each with `--data FILE.npz` or `--data NAME=FILE.npy`",
        plural(names),
        list(names)
    )]
    MissingInputs { names: Vec<String> },
    #[error(
        "cotangent `ct.{output}` is missing, help: only the cotangent of a single real output of order 0 may be left out"
    )]
    MissingCotangent { output: String },
    #[error("array{} {} not used by the network{}", plural(names), list(names), suggest(suggestion))]
    Extra { names: Vec<String>, suggestion: Option<String> },
    #[error("array `{name}`{} is given a second time", of(file))]
    Twice { name: String, file: String },
    #[error("array `{name}`{} has the shape `{found:?}` where `{expected}` is expected", of(file))]
    Shape { name: String, file: String, found: Vec<u64>, expected: String },
    #[error("array `{name}` makes `{symbol}` `{found}`, but `{first}` makes it `{value}`")]
    Conflict { name: String, symbol: String, found: u64, first: String, value: u64 },
    #[error("array `{name}`{} has the type `{found}` where `{expected}` is expected{}", of(file), cast(*rounding))]
    Type { name: String, file: String, found: String, expected: String, rounding: bool },
    #[error(
        "array `{name}`{} has the entry `{value}` at position `{position}`, which is not finite",
        of(file)
    )]
    NonFinite { name: String, file: String, value: String, position: usize },
}

fn of(file: &str) -> String {
    if file.is_empty() { String::new() } else { format!(" of `{file}`") }
}

fn plural(names: &[String]) -> &'static str {
    if names.len() == 1 { "" } else { "s" }
}
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut out = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        out.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    out + if names.len() == 1 { " is" } else { " are" }
}
fn suggest(name: &Option<String>) -> String {
    name.as_ref().map(|n| format!(", help: did you mean `{n}`?")).unwrap_or_default()
}
fn cast(rounding: bool) -> &'static str {
    if rounding { ", help: `--cast` rounds the entries to the network's type" } else { "" }
}

/// An array as the file gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Shape and entries.
    pub array: DataArray,
    /// It may be a complex array written as a real one with a last axis of 2 (re, im).
    pub pairs: bool,
    /// The file that it came from, as the user wrote it; empty if it came from none.
    pub file: String,
}

/// What else than leaves is wanted, and what is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Cotangents `ct.<output>`.
    pub cotangents: bool,
    /// Tangents `tan.<leaf>`.
    pub tangents: bool,
    /// Entries may be rounded to the network's type.
    pub cast: bool,
    /// Leaves may be missing (they are filled otherwise).
    pub partial: bool,
}

/// Arrays in the order that entries take them, with the shape of their legs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// One for each leaf of the plan; none for constants, and where `partial` allowed it.
    pub leaves: Vec<Option<DataArray>>,
    /// One for each output (empty unless wanted).
    pub cotangents: Vec<DataArray>,
    /// One for each leaf: none counts as zero (empty unless wanted).
    pub tangents: Vec<Option<DataArray>>,
    /// Values of the run-time sizes, by symbol.
    pub dyn_sizes: BTreeMap<SymbolId, u64>,
}

struct Sizes<'a> {
    symbols: &'a Arena<SymbolId, Symbol>,
    /// The value and the array that gave it first.
    known: BTreeMap<SymbolId, (u64, String)>,
}

impl Sizes<'_> {
    fn set(&mut self, symbol: SymbolId, value: u64, name: &str) -> Result<(), BindError> {
        let (first, by) = self.known.entry(symbol).or_insert_with(|| (value, name.to_owned()));
        if *first == value {
            return Ok(());
        }
        Err(BindError::Conflict {
            name: name.into(),
            symbol: self.symbols.get(symbol).map(|s| s.name.clone()).unwrap_or_default(),
            found: value,
            first: by.clone(),
            value: *first,
        })
    }
    fn show(&self, dims: &[Dim], axes: &[FoldAxis]) -> String {
        let dim = |d: &Dim| match *d {
            Dim::Const(n) => n.to_string(),
            Dim::Dyn(s) => self.symbols.get(s).map(|s| s.name.clone()).unwrap_or_default(),
        };
        let legs = format!("[{}]", dims.iter().map(dim).collect::<Vec<_>>().join(", "));
        let mut outside = Vec::new();
        let mut at = 0;
        for axis in axes {
            let run = &dims[at..(at + axis.legs as usize).min(dims.len())];
            at += run.len();
            let fixed: u64 =
                run.iter().filter_map(|d| if let Dim::Const(n) = d { Some(*n) } else { None }).product();
            let mut text: Vec<String> = run.iter().filter(|d| matches!(d, Dim::Dyn(_))).map(dim).collect();
            if fixed != 1 || text.is_empty() {
                text.push(fixed.to_string());
            }
            outside.push(text.join("*"));
        }
        let outside = format!("[{}]", outside.join(", "));
        if outside == legs { legs } else { format!("{outside}, or {legs} by legs") }
    }
    /// The lengths of the legs that an array of shape `found` has, if it fits; sets the run-time sizes that it decides.
    fn fit(&mut self, given: &Given, dims: &[Dim], axes: &[FoldAxis]) -> Result<Vec<u64>, BindError> {
        let (name, found) = (&given.name, &given.array.shape);
        let wrong = |s: &Self| BindError::Shape {
            name: name.clone(),
            file: given.file.clone(),
            found: found.clone(),
            expected: s.show(dims, axes),
        };
        if found.len() == dims.len() && fits(found, dims) {
            for (d, &n) in dims.iter().zip(found) {
                if let Dim::Dyn(s) = d {
                    self.set(*s, n, name)?;
                }
            }
            return Ok(found.clone());
        }
        if found.len() != axes.len() {
            return Err(wrong(self));
        }
        let (mut legs, mut at) = (Vec::with_capacity(dims.len()), 0);
        for (axis, &n) in axes.iter().zip(found) {
            let run = &dims[at..(at + axis.legs as usize).min(dims.len())];
            at += run.len();
            let fixed = run
                .iter()
                .try_fold(1u64, |p, d| if let Dim::Const(n) = d { p.checked_mul(*n) } else { Some(p) });
            let Some(fixed) = fixed else { return Err(wrong(self)) };
            let symbol = run.iter().find_map(|d| if let Dim::Dyn(s) = d { Some(*s) } else { None });
            let value = match symbol {
                Some(_) if n > 0 && fixed > 0 && n % fixed == 0 => n / fixed,
                None if n == fixed => 1,
                _ => return Err(wrong(self)),
            };
            if let Some(s) = symbol {
                self.set(s, value, name)?;
            }
            legs.extend(run.iter().map(|d| if let Dim::Const(n) = d { *n } else { value }));
        }
        Ok(legs)
    }
}

fn fits(found: &[u64], dims: &[Dim]) -> bool {
    found.iter().zip(dims).all(|(&n, d)| match d {
        Dim::Const(want) => n == *want,
        Dim::Dyn(_) => n >= 1,
    })
}

/// Matches `given` to the leaves (and cotangents, tangents) of `plan`. Shapes may be those of the legs or, with folds, the outside ones.
/// Types are converted where no entry changes (`f32` to `f64`, real to complex, and `f64` to `f32` where every entry is one); other
/// conversions need `wanted.cast`.
///
/// # Errors
/// Every fault: names first, then shapes, types and values array by array.
pub fn bind(plan: &Plan, given: Vec<Given>, wanted: Wanted) -> Result<Bound, Vec<BindError>> {
    let mut faults = Vec::new();
    let mut by_name: BTreeMap<String, Given> = BTreeMap::new();
    for g in given {
        match by_name.entry(g.name.clone()) {
            Entry::Occupied(_) => faults.push(BindError::Twice { name: g.name, file: g.file }),
            Entry::Vacant(place) => {
                place.insert(g);
            }
        }
    }
    check_names(plan, &by_name, wanted, &mut faults);
    let mut sizes = Sizes { symbols: &plan.symbols, known: BTreeMap::new() };
    let mut take = |name: &str, dims: &[Dim], axes: &[FoldAxis]| {
        let accepted = accept(&mut sizes, by_name.remove(name)?, dims, axes, plan.dtype, wanted.cast);
        accepted.map_err(|fault| faults.push(fault)).ok()
    };
    let mut out = Bound::default();
    for leaf in &plan.leaves {
        out.leaves.push(take(&leaf.name, &leaf.dims, &leaf.axes));
    }
    if wanted.tangents {
        for leaf in &plan.leaves {
            out.tangents.push(take(&format!("tan.{}", leaf.name), &leaf.dims, &leaf.axes));
        }
    }
    if wanted.cotangents {
        let presumed = presumed_cotangents(plan);
        for (output, presumed) in plan.outputs.iter().zip(presumed) {
            let array = take(&format!("ct.{}", output.name), &output.dims, &output.axes);
            // What is neither given nor presumed is among the faults.
            out.cotangents.extend(array.or(presumed));
        }
    }
    out.dyn_sizes = sizes.known.into_iter().map(|(s, (n, _))| (s, n)).collect();
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

/// The cotangents that need not be given: 1 for the only real output of order 0, nothing for signs beside it.
fn presumed_cotangents(plan: &Plan) -> Vec<Option<DataArray>> {
    // The sign of a real number has no derivative: its cotangent decides nothing.
    let is_sign = |name: &str| {
        let log = name.strip_suffix(".phase").map(|stem| format!("{stem}.log"));
        !plan.dtype.is_complex() && log.is_some_and(|log| plan.outputs.iter().any(|o| o.name == log))
    };
    let lone = plan.outputs.iter().filter(|o| !is_sign(&o.name)).count() == 1 && !plan.dtype.is_complex();
    let of = |o: &OutputInfo| {
        let value = match is_sign(&o.name) {
            true => 0.0,
            false if lone => 1.0,
            false => return None,
        };
        let elements = Elements::from_complex(plan.dtype, &[num_complex::Complex64::new(value, 0.0)]);
        o.dims.is_empty().then_some(DataArray { shape: vec![], elements })
    };
    plan.outputs.iter().map(of).collect()
}

fn check_names(plan: &Plan, given: &BTreeMap<String, Given>, wanted: Wanted, faults: &mut Vec<BindError>) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let (mut params, mut inputs) = (Vec::new(), Vec::new());
    for leaf in plan.leaves.iter().filter(|l| l.role != ArrayRole::Const) {
        known.insert(leaf.name.clone());
        if wanted.tangents {
            known.insert(format!("tan.{}", leaf.name));
        }
        if !given.contains_key(&leaf.name) && !wanted.partial {
            if leaf.role == ArrayRole::Param { &mut params } else { &mut inputs }.push(leaf.name.clone());
        }
    }
    let mut cotangents = Vec::new();
    if wanted.cotangents {
        for (output, presumed) in plan.outputs.iter().zip(presumed_cotangents(plan)) {
            let name = format!("ct.{}", output.name);
            if presumed.is_none() && !given.contains_key(&name) {
                cotangents.push(BindError::MissingCotangent { output: output.name.clone() });
            }
            known.insert(name);
        }
    }
    let extra: Vec<String> = given.keys().filter(|n| !known.contains(*n)).cloned().collect();
    if let Some(first) = extra.first() {
        let suggestion = did_you_mean(first, known.iter().map(String::as_str)).map(str::to_owned);
        // A misspelt name is both extra and missing: the suggestion says more than the absence.
        let misspelt = |name: &String| suggestion.as_ref() == Some(name);
        params.retain(|n| !misspelt(n));
        inputs.retain(|n| !misspelt(n));
        faults.push(BindError::Extra { names: extra, suggestion });
    }
    if !params.is_empty() {
        faults.push(BindError::MissingParams { names: params });
    }
    if !inputs.is_empty() {
        faults.push(BindError::MissingInputs { names: inputs });
    }
    faults.extend(cotangents);
}

fn accept(
    sizes: &mut Sizes,
    given: Given,
    dims: &[Dim],
    axes: &[FoldAxis],
    dtype: DType,
    cast: bool,
) -> Result<DataArray, BindError> {
    let mut given = given;
    if dtype.is_complex() && given.pairs {
        // Only where the real array does not fit by itself: a real network's weights may be given to a complex one.
        let rank = given.array.shape.len();
        let longer = rank == dims.len() + 1 || rank == axes.len() + 1;
        if let Some(complex) = given.array.pairs_to_complex().filter(|_| longer) {
            given.array = complex;
        }
    }
    let shape = sizes.fit(&given, dims, axes)?;
    let elements = convert(given, dtype, cast)?;
    Ok(DataArray { shape, elements })
}

fn convert(given: Given, dtype: DType, cast: bool) -> Result<Elements, BindError> {
    let Given { name, file, array: DataArray { elements, .. }, .. } = given;
    let wrong = |found: String, rounding| BindError::Type {
        name: name.clone(),
        file: file.clone(),
        found,
        expected: dtype.name().into(),
        rounding,
    };
    let found = match &elements {
        Elements::Foreign(kind) => return Err(wrong(kind.clone(), false)),
        other => other.dtype().unwrap_or_default(),
    };
    if found.is_complex() && !dtype.is_complex() {
        return Err(wrong(found.name().into(), false));
    }
    let values = elements.to_complex();
    if let Some(position) = values.iter().position(|c| !c.re.is_finite() || !c.im.is_finite()) {
        let value = values[position];
        let value = if value.im == 0.0 { value.re.to_string() } else { value.to_string() };
        return Err(BindError::NonFinite { name, file, value, position });
    }
    if found == dtype {
        return Ok(elements);
    }
    let converted = Elements::from_complex(dtype, &values);
    if found.real() == DType::F64 && dtype.real() == DType::F32 {
        let back = converted.to_complex();
        if !cast && back != values {
            return Err(wrong(found.name().into(), true));
        }
        if let Some(position) = back.iter().position(|c| !c.re.is_finite() || !c.im.is_finite()) {
            let value = back[position].to_string();
            return Err(BindError::NonFinite { name, file, value, position });
        }
    }
    Ok(converted)
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;

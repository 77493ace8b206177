//! Arrays from files, matched to what a plan wants: names, shapes, types and values are checked, and each fault names its array.

use crate::data::{DataArray, Elements};
use std::collections::{BTreeMap, BTreeSet};
use tn_dsl::diag::did_you_mean;
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::ids::Arena;
use tn_ir::program::FoldAxis;
use tn_ir::size::{Dim, Symbol, SymbolId};
use tn_plan::ir::Plan;

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
    #[error("array `{name}` is given twice")]
    Twice { name: String },
    #[error("array `{name}` has the shape `{found:?}` where `{expected}` is expected")]
    Shape { name: String, found: Vec<u64>, expected: String },
    #[error("array `{name}` makes `{symbol}` `{found}`, but `{first}` makes it `{value}`")]
    Conflict { name: String, symbol: String, found: u64, first: String, value: u64 },
    #[error("array `{name}` has the type `{found}` where `{expected}` is expected{}", cast(*rounding))]
    Type { name: String, found: String, expected: String, rounding: bool },
    #[error("array `{name}` has the entry `{value}` at position `{position}`, which is not finite")]
    NonFinite { name: String, value: String, position: usize },
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
    fn fit(
        &mut self,
        name: &str,
        found: &[u64],
        dims: &[Dim],
        axes: &[FoldAxis],
    ) -> Result<Vec<u64>, BindError> {
        let wrong = |s: &Self| BindError::Shape {
            name: name.into(),
            found: found.to_vec(),
            expected: s.show(dims, axes),
        };
        if found.len() == dims.len() && fits(found, dims) {
            for (d, &n) in dims.iter().zip(found) {
                if let Dim::Dyn(s) = d {
                    self.set(*s, n, name)?;
                }
            }
            return Ok(found.to_vec());
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
                Some(_) if fixed > 0 && n % fixed == 0 => n / fixed,
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
/// The first fault, in this order: names, then shapes, types and values array by array.
pub fn bind(plan: &Plan, given: Vec<Given>, wanted: Wanted) -> Result<Bound, BindError> {
    let mut by_name: BTreeMap<String, Given> = BTreeMap::new();
    for g in given {
        if let Some(old) = by_name.insert(g.name.clone(), g) {
            return Err(BindError::Twice { name: old.name });
        }
    }
    check_names(plan, &by_name, wanted)?;
    let mut sizes = Sizes { symbols: &plan.symbols, known: BTreeMap::new() };
    let mut take = |sizes: &mut Sizes, name: &str, dims: &[Dim], axes: &[FoldAxis]| match by_name.remove(name)
    {
        None => Ok(None),
        Some(g) => accept(sizes, g, dims, axes, plan.dtype, wanted.cast).map(Some),
    };
    let mut out = Bound::default();
    for leaf in &plan.leaves {
        out.leaves.push(take(&mut sizes, &leaf.name, &leaf.dims, &leaf.axes)?);
    }
    if wanted.tangents {
        for leaf in &plan.leaves {
            out.tangents.push(take(&mut sizes, &format!("tan.{}", leaf.name), &leaf.dims, &leaf.axes)?);
        }
    }
    if wanted.cotangents {
        // The sign of a real number has no derivative: its cotangent decides nothing.
        let is_sign = |name: &str| {
            let log = name.strip_suffix(".phase").map(|stem| format!("{stem}.log"));
            !plan.dtype.is_complex() && log.is_some_and(|log| plan.outputs.iter().any(|o| o.name == log))
        };
        let lone = plan.outputs.iter().filter(|o| !is_sign(&o.name)).count() == 1 && !plan.dtype.is_complex();
        for output in &plan.outputs {
            let array = take(&mut sizes, &format!("ct.{}", output.name), &output.dims, &output.axes)?;
            let sign = is_sign(&output.name);
            match array {
                Some(a) => out.cotangents.push(a),
                None if (lone || sign) && output.dims.is_empty() => {
                    let value = [num_complex::Complex64::new(if sign { 0.0 } else { 1.0 }, 0.0)];
                    out.cotangents.push(DataArray {
                        shape: vec![],
                        elements: Elements::from_complex(plan.dtype, &value),
                    });
                }
                None => return Err(BindError::MissingCotangent { output: output.name.clone() }),
            }
        }
    }
    out.dyn_sizes = sizes.known.into_iter().map(|(s, (n, _))| (s, n)).collect();
    Ok(out)
}

fn check_names(plan: &Plan, given: &BTreeMap<String, Given>, wanted: Wanted) -> Result<(), BindError> {
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
    if wanted.cotangents {
        known.extend(plan.outputs.iter().map(|o| format!("ct.{}", o.name)));
    }
    let extra: Vec<String> = given.keys().filter(|n| !known.contains(*n)).cloned().collect();
    // A misspelt name is both extra and missing: the suggestion says more than the absence.
    if let Some(first) = extra.first() {
        let suggestion = did_you_mean(first, known.iter().map(String::as_str)).map(str::to_owned);
        return Err(BindError::Extra { names: extra, suggestion });
    }
    match (params.is_empty(), inputs.is_empty()) {
        (false, _) => Err(BindError::MissingParams { names: params }),
        (_, false) => Err(BindError::MissingInputs { names: inputs }),
        _ => Ok(()),
    }
}

fn accept(
    sizes: &mut Sizes,
    given: Given,
    dims: &[Dim],
    axes: &[FoldAxis],
    dtype: DType,
    cast: bool,
) -> Result<DataArray, BindError> {
    let Given { name, mut array, pairs } = given;
    if dtype.is_complex() && pairs {
        // Only where the real array does not fit by itself: a real network's weights may be given to a complex one.
        let longer = array.shape.len() == dims.len() + 1 || array.shape.len() == axes.len() + 1;
        if let Some(complex) = array.pairs_to_complex().filter(|_| longer) {
            array = complex;
        }
    }
    let shape = sizes.fit(&name, &array.shape, dims, axes)?;
    let elements = convert(&name, array.elements, dtype, cast)?;
    Ok(DataArray { shape, elements })
}

fn convert(name: &str, elements: Elements, dtype: DType, cast: bool) -> Result<Elements, BindError> {
    let wrong = |found: String, rounding| BindError::Type {
        name: name.into(),
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
        return Err(BindError::NonFinite { name: name.into(), value, position });
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
            return Err(BindError::NonFinite {
                name: name.into(),
                value: back[position].to_string(),
                position,
            });
        }
    }
    Ok(converted)
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;

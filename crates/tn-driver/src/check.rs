//! What a network builds, for `tnc check`: leaves, parameters, open legs, regions.

use crate::compile::Prepared;
use crate::error::{Error, SourceErrors};
use crate::options::{Options, Source};
use crate::table::Table;
use crate::values::{show_bytes, show_log10};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use tn_ir::ids::Id;
use tn_ir::program::{FoldAxis, IndexId, Init, Program, Role};
use tn_ir::region::Region;

/// Tables list at most this many rows of leaves; families beyond are summed up by their name.
const MAX_LEAVES: usize = 60;

/// What checking some files found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Diagnostics of all files, each with the texts it points into.
    pub files: Vec<SourceErrors>,
    /// The networks that could be built.
    pub networks: Vec<Prepared>,
    /// Networks that were not built since parameters have no default: name and those parameters.
    pub unset: Vec<(String, Vec<String>)>,
}

impl Checked {
    /// Whether any diagnostic is an error.
    pub fn failed(&self) -> bool {
        self.files.iter().flat_map(|f| &f.diagnostics).any(|d| d.is_error())
    }
    /// All diagnostics as one JSON array.
    pub fn json(&self) -> Value {
        let mut all = Vec::new();
        for file in &self.files {
            if let Value::Array(own) = tn_dsl::diag::to_json(&file.diagnostics, &file.sources) {
                all.extend(own);
            }
        }
        Value::Array(all)
    }
    /// All diagnostics as text.
    pub fn render(&self, color: bool) -> String {
        self.files.iter().map(|f| tn_dsl::diag::render_all(&f.diagnostics, &f.sources, color)).collect()
    }
}

/// Checks `.tn` files: with a network or settings in the options that network, otherwise every network that has defaults for all its parameters.
///
/// # Errors
/// A file cannot be read. What is wrong with the sources is in the result.
pub fn check_files(paths: &[PathBuf], options: &Options) -> Result<Checked, Error> {
    let mut out = Checked::default();
    for path in paths {
        match Source::of_path(path) {
            source @ Source::Instance(_) => {
                out.networks.push(crate::prepare(&source, options)?);
                continue;
            }
            Source::Plan(_) => {
                return Err(Error::Usage(format!(
                    "`{}` is a plan, help: `tnc plan`, `explain` and `draw` show plans; `check` takes sources",
                    path.display()
                )));
            }
            _ => {}
        }
        let loaded = crate::stages::load_file(path)?;
        let names: Vec<String> = match &options.network {
            Some(name) => vec![name.clone()],
            None => {
                let all = tn_dsl::elab::networks(&loaded);
                let set = |n: &str| options.set.iter().any(|(k, _)| k == n);
                let mut ready = Vec::new();
                for network in all {
                    let missing = network.params.iter().filter(|p| p.2.is_none() && !set(&p.0));
                    let missing: Vec<String> = missing.map(|p| p.0.clone()).collect();
                    if missing.is_empty() {
                        ready.push(network.name);
                    } else {
                        out.unset.push((network.name, missing));
                    }
                }
                ready
            }
        };
        let mut diagnostics = Vec::new();
        if options.set.is_empty() && options.network.is_none() {
            diagnostics = tn_dsl::elab::check_all(&loaded, Some(&crate::stages::read_constant));
        }
        let broken = diagnostics.iter().any(|d| d.is_error());
        for name in if broken { vec![] } else { names } {
            let own = Options { network: Some(name), ..options.clone() };
            match crate::prepare(&Source::File(path.clone()), &own) {
                Ok(prepared) => {
                    let fresh: Vec<_> =
                        prepared.warnings.iter().filter(|d| !diagnostics.contains(d)).cloned().collect();
                    diagnostics.extend(fresh);
                    out.networks.push(prepared);
                }
                Err(Error::Source(e)) => diagnostics.extend(e.diagnostics),
                Err(other) => return Err(other),
            }
        }
        out.files.push(SourceErrors { sources: loaded.sources, diagnostics });
    }
    Ok(out)
}

/// How many parameters there are and what they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Number of trainable entries.
    pub count: u128,
    /// Their bytes.
    pub bytes: u128,
    /// log10 of the entries of the tensors that they build: of each topology's result, of each parameter that stands alone.
    pub log10_dense: f64,
    /// The same as a number, where it fits.
    pub dense: Option<u128>,
}

impl Parameters {
    /// Dense entries for each parameter.
    pub fn compression(&self) -> f64 {
        if self.count == 0 { 1.0 } else { 10f64.powf(self.log10_dense - (self.count as f64).log10()) }
    }
}

fn sizes(program: &Program, legs: &[IndexId]) -> Vec<u64> {
    legs.iter().map(|&i| program.indices[i].size.value).collect()
}

/// Counts the parameters of a program. The dense equivalent of `w.core[0]`, `w.core[1]`, … is the tensor `w` that they build.
pub fn parameters(program: &Program) -> Parameters {
    let exact =
        |legs: &[IndexId]| sizes(program, legs).iter().try_fold(1u128, |p, &d| p.checked_mul(d as u128));
    let count = |legs: &[IndexId]| exact(legs).unwrap_or(u128::MAX);
    let log10 = |legs: &[IndexId]| sizes(program, legs).iter().map(|&d| (d as f64).log10()).sum::<f64>();
    let (mut total, mut built, mut dense, mut whole) = (0u128, BTreeSet::new(), Vec::new(), Some(0u128));
    for leaf in program.leaves.iter().filter(|l| l.role == Role::Param) {
        total = total.saturating_add(count(&leaf.legs));
        let of = program
            .topologies
            .iter()
            .find(|t| leaf.name.strip_prefix(t.path.as_str()).is_some_and(|rest| rest.starts_with('.')));
        match of {
            Some(t) if !built.insert(t.path.as_str()) => continue,
            _ => {}
        };
        let legs = of.map_or(&leaf.legs, |t| &t.legs);
        dense.push(log10(legs));
        whole = whole.zip(exact(legs)).and_then(|(sum, n)| sum.checked_add(n));
    }
    Parameters {
        count: total,
        bytes: total.saturating_mul(program.dtype.bytes() as u128),
        log10_dense: crate::region_plan::log10_sum(dense),
        dense: whole,
    }
}

/// The outside shape, a run-time size by its name: `[b, 4096]`.
fn shape(program: &Program, legs: &[IndexId], axes: &[FoldAxis]) -> String {
    let mut at = 0;
    let mut out = Vec::new();
    for axis in axes {
        let run = &legs[at..(at + axis.legs as usize).min(legs.len())];
        at += run.len();
        let mut parts = Vec::new();
        let mut fixed = 1u128;
        for &i in run {
            let index = &program.indices[i];
            match index.size.dynamic {
                Some(s) => parts.push(program.symbols[s].name.clone()),
                None => fixed = fixed.saturating_mul(index.size.value as u128),
            }
        }
        if parts.is_empty() || fixed != 1 {
            parts.push(fixed.to_string());
        }
        out.push(parts.join("*"));
    }
    format!("[{}]", out.join(", "))
}

fn init_text(init: &Option<Init>) -> String {
    match init {
        None => String::new(),
        Some(Init::Normal { mean, std }) => format!("normal({mean}, {std:.4})"),
        Some(Init::Uniform { low, high }) => format!("uniform({low}, {high})"),
        Some(Init::Zeros) => "zeros".into(),
        Some(Init::Ones) => "ones".into(),
        Some(Init::Values(v)) => format!("{v:?}"),
        Some(Init::Identity { noise }) => format!("identity + noise({noise})"),
        Some(Init::Isometry) => "random isometry".into(),
    }
}

/// The report of `tnc check` on one network.
pub fn check_report(program: &Program, regions: &[Region]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "network {} ({})", program.name, program.dtype);
    for line in program.doc.lines() {
        let _ = writeln!(out, "  {}", line.trim());
    }
    let p = parameters(program);
    let _ = writeln!(
        out,
        "parameters: {} ({}), dense equivalent {} ({}), compression {}",
        p.count,
        show_bytes(p.bytes),
        show_log10(p.log10_dense),
        match p.dense.and_then(|n| n.checked_mul(program.dtype.bytes() as u128)).filter(|n| n >> 80 == 0) {
            Some(bytes) => show_bytes(bytes),
            None => format!("10^{:.1} B", p.log10_dense + (program.dtype.bytes() as f64).log10()),
        },
        ratio(p.compression()),
    );
    let _ = writeln!(out, "leaves: {}", program.leaves.len());
    out.push_str(&leaf_table(program).render());
    for output in &program.outputs {
        let legs = &program.nodes[output.node].legs;
        let names: Vec<String> = legs
            .iter()
            .map(|&i| {
                let index = &program.indices[i];
                match index.size.dynamic {
                    Some(_) => format!("{}: dyn({})", index.name, index.size.value),
                    None => format!("{}: {}", index.name, index.size.value),
                }
            })
            .collect();
        let log = if output.log { " as phase and log" } else { "" };
        let _ = writeln!(
            out,
            "output {}{log}: shape {}, open legs [{}]",
            output.name,
            shape(program, legs, &output.axes),
            names.join(", ")
        );
    }
    let _ = writeln!(out, "regions: {}", regions.len());
    let mut table = Table::new(["region", "tensors", "indices", "hyperedges", "open"]);
    for r in regions {
        let mut uses = vec![0u32; r.sizes.len()];
        for input in &r.inputs {
            let mut own = input.indices.clone();
            own.sort_unstable();
            own.dedup();
            own.iter().for_each(|&i| uses[i as usize] += 1);
        }
        let hyper = uses.iter().filter(|&&n| n > 2).count();
        table.row([
            if r.name.is_empty() { "(unnamed)".to_owned() } else { r.name.clone() },
            r.inputs.len().to_string(),
            r.sizes.len().to_string(),
            hyper.to_string(),
            r.output.len().to_string(),
        ]);
    }
    if !table.is_empty() {
        out.push_str(&table.render());
    }
    out
}

/// `31301`, `2.56`, `1.23e45`: a ratio for people.
fn ratio(x: f64) -> String {
    if x < 100.0 { format!("{x:.2}") } else { show_log10(x.log10()) }
}

fn leaf_table(program: &Program) -> Table {
    let mut table = Table::new(["name", "shape", "role", "entries", "init"]);
    let role = |r: &Role| match r {
        Role::Param => "param",
        Role::Input => "input",
        Role::Const(_) => "const",
    };
    let entries =
        |legs: &[IndexId]| sizes(program, legs).iter().fold(1u128, |p, &d| p.saturating_mul(d as u128));
    if program.leaves.len() <= MAX_LEAVES {
        for leaf in program.leaves.iter() {
            table.row([
                leaf.name.clone(),
                shape(program, &leaf.legs, &leaf.axes),
                role(&leaf.role).into(),
                entries(&leaf.legs).to_string(),
                init_text(&leaf.init),
            ]);
        }
        return table;
    }
    // Families: a line each, in the order of their first member.
    let mut families: Vec<(String, usize, usize, u128)> = Vec::new();
    let mut seen: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for (id, leaf) in program.leaves.enumerate() {
        let stem = leaf.name.rfind('[').map_or(leaf.name.as_str(), |at| &leaf.name[..at]).to_owned();
        let at = *seen.entry((stem.clone(), role(&leaf.role))).or_insert_with(|| {
            families.push((stem, id.index(), 0, 0));
            families.len() - 1
        });
        families[at].2 += 1;
        families[at].3 = families[at].3.saturating_add(entries(&leaf.legs));
    }
    for (stem, first, count, total) in families {
        let leaf = &program.leaves.as_slice()[first];
        let name = if leaf.name == stem { stem } else { format!("{stem}[…] × {count}") };
        let first = shape(program, &leaf.legs, &leaf.axes);
        let shape = if count == 1 { first } else { format!("{first} first") };
        table.row([name, shape, role(&leaf.role).into(), total.to_string(), init_text(&leaf.init)]);
    }
    table
}

//! The public face of a generated module.
//!
//! | item | what it is |
//! | --- | --- |
//! | `PARAM_COUNT`, `PARAMS` | elements of the flat parameters; name, shape and begin of each, in the flattened parameter order |
//! | `init` | initial parameters from a seed, as `tnc init` draws them (not for isometries of more than 4096 entries: a module has no allocator) |
//! | `COSTS` | what the plan says of each entry: multiply-adds, bytes moved, modelled time, bytes at the worst moment |
//! | `Sizes` | the run-time sizes (only if there are any) |
//! | `Inputs`, `Outputs`, `Cotangents`, `InputGrads` | slices by name; a family `x[0]`, `x[1]`, … is an array of slices |
//! | `WORKSPACE_LEN`, `SAVED_LEN` | elements of scratch memory that every entry is content with, and of what `forward_saving` leaves; functions of `Sizes` if there are run-time sizes |
//! | `forward`, `forward_saving`, `vjp`, `jvp` | the entries of the plan; where it has several schedules, each calls the one for the sizes |
//! | `Error` | a length or a size does not fit |

use super::Names;
use super::entry::saturating;
use super::support::Wanted;
use crate::printer::Printer;
use tn_ir::dag::ArrayRole;
use tn_ir::size::{Dim, Poly, SymbolKind};
use tn_kernel::Module;
use tn_kernel::module::Family;
use tn_plan::ir::{EntryKind, LeafInfo, Plan};

const ALLOW: &str = "#[allow(dead_code, non_snake_case, clippy::all)]";

/// Prints everything that comes before the entries.
pub(super) fn print(p: &mut Printer, m: &Module, names: &Names, wanted: &mut Wanted) {
    constants(p, m, names, wanted);
    lengths(p, m, names);
    if !m.sizes.is_empty() {
        sizes(p, m, names);
    }
    let t = names.elem;
    if !m.inputs.is_empty() {
        doc(p, "The inputs (or their tangents), row-major.");
        p.line("#[derive(Clone, Copy, Debug)]");
        fields(p, m, "Inputs", &m.inputs, &names.inputs, &format!("&'a [{t}]"));
    }
    let kinds = m.kinds();
    let outs: Vec<(String, String)> = m
        .outputs
        .iter()
        .zip(&names.outputs)
        .map(|(o, n)| {
            (n.clone(), shape_doc(m, &o.name, &o.dims, &o.axes.iter().map(|a| a.legs).collect::<Vec<_>>()))
        })
        .collect();
    if kinds.iter().any(|&k| k != EntryKind::Vjp) {
        doc(p, "The outputs (or their tangents), row-major.");
        p.line("#[derive(Debug)]");
        simple(p, "Outputs", &outs, &format!("&'a mut [{t}]"));
    }
    if kinds.contains(&EntryKind::Vjp) {
        doc(p, "Cotangents of the outputs, row-major.");
        p.line("#[derive(Clone, Copy, Debug)]");
        simple(p, "Cotangents", &outs, &format!("&'a [{t}]"));
        if !m.grads.is_empty() {
            doc(p, "Gradients of the inputs, row-major.");
            p.line("#[derive(Debug)]");
            fields(p, m, "InputGrads", &m.grads, &names.grads, &format!("&'a mut [{t}]"));
        }
    }
    error(p);
}

/// Prints what the plan says of the entries.
pub(super) fn costs(p: &mut Printer, plan: &Plan) {
    let kinds = plan.entries.iter().map(|e| super::entry::name(e.kind));
    let rows: Vec<String> = kinds
        .zip(&plan.summary.entries)
        .map(|(entry, e)| {
            let peak = u64::try_from(e.peak_bytes).unwrap_or(u64::MAX);
            format!(
                "Cost {{ entry: {entry:?}, multiply_adds: {:?}, bytes_moved: {:?}, modelled_seconds: {:?}, peak_bytes: {peak} }}",
                e.macs, e.bytes_moved, e.seconds
            )
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    doc(
        p,
        "What the plan says that a call of an entry costs, with run-time sizes at the values that it was made for.",
    );
    p.line(ALLOW);
    p.line("#[derive(Clone, Copy, Debug, PartialEq)]");
    p.open("pub struct Cost");
    for (text, field) in [
        ("Its name.", "entry: &'static str"),
        ("Multiply-adds, or operations of maps.", "multiply_adds: f64"),
        ("Bytes that its steps read and write.", "bytes_moved: f64"),
        ("Modelled time.", "modelled_seconds: f64"),
        (
            "Bytes of what must exist while it runs: leaves, outputs, cotangents, gradients, tangents, what is saved, workspace.",
            "peak_bytes: u64",
        ),
    ] {
        doc(p, text);
        p.line(format!("pub {field},"));
    }
    p.close("");
    doc(p, &format!("The costs of the entries, for the machine `{}`.", plan.summary.machine));
    p.line(ALLOW);
    p.line(format!("pub static COSTS: [Cost; {}] = [{}];", rows.len(), rows.join(", ")));
}

fn doc(p: &mut Printer, text: &str) {
    for line in text.lines() {
        p.line(format!("#[doc = {:?}]", format!(" {line}")));
    }
}

fn constants(p: &mut Printer, m: &Module, names: &Names, wanted: &mut Wanted) {
    let intro =
        if m.doc.trim().is_empty() { format!("Network `{}`.", m.name) } else { m.doc.trim().to_string() };
    doc(p, &format!("{intro}\n\nElements of the flat parameters (`{}` each).", m.dtype));
    p.line(ALLOW);
    p.line(format!("pub const PARAM_COUNT: usize = {};", m.param_count));
    doc(p, "A parameter within the flat parameters.");
    p.line(ALLOW);
    p.line("#[derive(Clone, Copy, Debug, PartialEq, Eq)]");
    p.open("pub struct Param");
    for (text, field) in [
        ("Full name.", "name: &'static str"),
        ("Shape, row-major.", "shape: &'static [usize]"),
        ("First element.", "offset: usize"),
        ("Elements.", "len: usize"),
    ] {
        doc(p, text);
        p.line(format!("pub {field},"));
    }
    p.close("");
    let params: Vec<(usize, &LeafInfo)> =
        m.leaves.iter().enumerate().filter(|(_, l)| l.role == ArrayRole::Param).collect();
    doc(p, "All parameters, in the flattened parameter order.");
    p.line(ALLOW);
    let rows: Vec<String> = params
        .iter()
        .map(|&(i, l)| {
            let shape: Vec<String> = outside_shape(l).iter().map(|n| n.to_string()).collect();
            let offset = m.flat_offsets[i].unwrap_or(0);
            let len = outside_shape(l).iter().product::<u64>();
            format!(
                "Param {{ name: {:?}, shape: &[{}], offset: {offset}, len: {len} }}",
                l.name,
                shape.join(", ")
            )
        })
        .collect();
    p.line(format!("pub static PARAMS: [Param; {}] = [{}];", rows.len(), rows.join(", ")));
    if !m.constants.is_empty() {
        let values: Vec<String> = m.constants.iter().map(|c| wanted.constant(names, c.re, c.im)).collect();
        p.line("#[allow(dead_code, non_snake_case, clippy::all)]");
        p.line(format!("static CONSTANTS: [{}; {}] = [{}];", names.elem, values.len(), values.join(", ")));
    }
}

/// The outside shape of a leaf without run-time sizes.
fn outside_shape(l: &LeafInfo) -> Vec<u64> {
    let mut dims = l.dims.iter().map(|d| d.eval(|_| 0));
    let axes: Vec<u64> = l.axes.iter().map(|a| (0..a.legs).filter_map(|_| dims.next()).product()).collect();
    if l.axes.is_empty() { dims.collect() } else { axes }
}

/// `x[b, 4·4]`, for documentation.
pub(super) fn shape_doc(m: &Module, name: &str, dims: &[Dim], legs: &[u32]) -> String {
    let show = |d: &Dim| match d {
        Dim::Const(n) => n.to_string(),
        Dim::Dyn(s) => m.symbols[*s].name.clone(),
    };
    let mut rest = dims.iter();
    let axes: Vec<String> = legs
        .iter()
        .map(|&n| {
            let axis: Vec<String> = rest.by_ref().take(n as usize).map(show).collect();
            if axis.is_empty() { "1".into() } else { axis.join("·") }
        })
        .collect();
    let axes = if legs.is_empty() { dims.iter().map(show).collect() } else { axes };
    format!("`{name}`, shape `[{}]`.", axes.join(", "))
}

fn lengths(p: &mut Printer, m: &Module, names: &Names) {
    let regimes = 0..m.regime_count();
    let mut one = |name: &str, text: &str, lens: Vec<Poly>| {
        doc(p, text);
        p.line(ALLOW);
        let (Some(last), false) = (lens.last(), m.sizes.is_empty()) else {
            let len = lens.last().map_or_else(|| "0".into(), |len| saturating(len, names));
            p.line(format!("pub const {}: usize = {len};", name.to_uppercase()));
            return;
        };
        let mut symbols: Vec<_> = lens.iter().flat_map(Poly::symbols).collect();
        symbols.extend(m.regimes.as_ref().map(|r| r.symbol));
        symbols.sort();
        symbols.dedup();
        let unused = if symbols.is_empty() { "_" } else { "" };
        p.open(format!("pub const fn {name}({unused}sizes: Sizes) -> usize"));
        for s in &symbols {
            let n = &names.sizes[s];
            p.line(format!("let {n} = sizes.{n};"));
        }
        for (top, len) in m.regimes.iter().flat_map(|r| &r.tops).zip(&lens) {
            p.open(format!("if {} <= {top}", regime_size(m, names)));
            p.line(format!("return {};", saturating(len, names)));
            p.close("");
        }
        p.line(saturating(last, names));
        p.close("");
    };
    let workspace = regimes.clone().map(|r| m.workspace_len(r)).collect();
    one("workspace_len", "Elements of workspace that every entry is content with.", workspace);
    if m.kinds().iter().any(|k| matches!(k, EntryKind::ForwardSaving | EntryKind::Vjp)) {
        let saved = regimes.map(|r| m.saved_len(r)).collect();
        one("saved_len", "Elements that `forward_saving` leaves for `vjp`.", saved);
    }
}

/// The variable of the size that tells schedules apart.
pub(super) fn regime_size<'a>(m: &Module, names: &'a Names) -> &'a str {
    m.regimes.as_ref().and_then(|r| names.sizes.get(&r.symbol)).map_or("0", String::as_str)
}

fn sizes(p: &mut Printer, m: &Module, names: &Names) {
    doc(p, "The run-time sizes.");
    p.line(ALLOW);
    p.line("#[derive(Clone, Copy, Debug, PartialEq, Eq)]");
    p.open("pub struct Sizes");
    for s in &m.sizes {
        let symbol = &m.symbols[*s];
        let most = match symbol.kind {
            SymbolKind::Dyn { max: Some(max), .. } => format!(", at most {max}"),
            _ => String::new(),
        };
        doc(p, &format!("`{}`, at least 1{most}.", symbol.name));
        p.line(format!("pub {}: usize,", names.sizes[s]));
    }
    p.close("");
    p.line(ALLOW);
    p.open("impl Sizes");
    doc(p, "Whether every size is in its range.");
    p.open("pub fn check(self) -> Result<(), Error>");
    for s in &m.sizes {
        let (symbol, n) = (&m.symbols[*s], &names.sizes[s]);
        let max = match symbol.kind {
            SymbolKind::Dyn { max: Some(max), .. } => max.to_string(),
            _ => "usize::MAX".into(),
        };
        let bad = if max == "usize::MAX" {
            format!("self.{n} < 1")
        } else {
            format!("self.{n} < 1 || self.{n} > {max}")
        };
        p.open(format!("if {bad}"));
        p.line(format!(
            "return Err(Error::Size {{ name: {:?}, max: {max}, found: self.{n} }});",
            symbol.name
        ));
        p.close("");
    }
    p.line("Ok(())");
    p.close("");
    p.close("");
}

fn fields(p: &mut Printer, m: &Module, name: &str, families: &[Family], idents: &[String], ty: &str) {
    let rows: Vec<(String, String, String)> = families
        .iter()
        .zip(idents)
        .map(|(f, n)| {
            let leaf = &m.leaves[f.leaves[0] as usize];
            let legs: Vec<u32> = leaf.axes.iter().map(|a| a.legs).collect();
            let text = shape_doc(m, &leaf.name, &leaf.dims, &legs);
            let (text, ty) = if f.subscripted {
                (
                    format!("{text} … one slice for each of {} members.", f.leaves.len()),
                    format!("[{ty}; {}]", f.leaves.len()),
                )
            } else {
                (text, ty.to_string())
            };
            (n.clone(), text, ty)
        })
        .collect();
    structure(p, name, &rows);
}

fn simple(p: &mut Printer, name: &str, fields: &[(String, String)], ty: &str) {
    let rows: Vec<_> = fields.iter().map(|(n, text)| (n.clone(), text.clone(), ty.to_string())).collect();
    structure(p, name, &rows);
}

fn structure(p: &mut Printer, name: &str, fields: &[(String, String, String)]) {
    p.line(ALLOW);
    p.open(format!("pub struct {name}<'a>"));
    for (field, text, ty) in fields {
        doc(p, text);
        p.line(format!("pub {field}: {ty},"));
    }
    p.close("");
}

fn error(p: &mut Printer) {
    p.line(
        r##"#[doc = " Why an entry did nothing."]
#[allow(dead_code, non_snake_case, clippy::all)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    #[doc = " A slice has the wrong length."]
    Length {
        #[doc = " Which."]
        name: &'static str,
        #[doc = " Elements that it must have."]
        expected: usize,
        #[doc = " Elements that it has."]
        found: usize,
    },
    #[doc = " A run-time size is out of range."]
    Size {
        #[doc = " Which."]
        name: &'static str,
        #[doc = " The largest that is allowed."]
        max: usize,
        #[doc = " What was given."]
        found: usize,
    },
}
#[allow(non_snake_case, clippy::all)]
impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Error::Length { name, expected, found } => {
                write!(f, "`{name}` has {found} elements, {expected} are needed")
            }
            Error::Size { name, max, found } => write!(f, "size `{name}` is {found}, but must be in 1..={max}"),
        }
    }
}
impl core::error::Error for Error {}"##,
    );
}

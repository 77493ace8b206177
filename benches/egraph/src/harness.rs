//! The text around an emitted module: buffers that are made and filled once, calls of its entries, its results by name.

use num_complex::Complex64;
use std::fmt::Write;
use std::path::Path;
use tn_codegen::{Runtime, RustOptions, emit_rust};
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::program::Init;
use tn_ir::size::{Dim, Poly, SymbolId, numel};
use tn_kernel::module::Family;
use tn_kernel::{Module, Target, lower_plan};
use tn_plan::cost::hint;
use tn_plan::ir::{EntryKind, LeafInfo, Plan};

/// The main file of the generated crate, without the cases.
pub const MAIN: &str = include_str!("main.rs.txt");

/// The files of one plan.
pub struct Files {
    /// The emitted module.
    pub module: String,
    /// What calls it.
    pub harness: String,
}

/// The emitted module of a plan without the lines that name its source: plans that compute in the same way have equal ones.
pub fn emitted(plan: &Plan) -> Result<String, String> {
    let options = RustOptions { file_stem: "m".into(), runtime: Runtime::Embedded };
    let text = emit_rust(plan, &options).map_err(|e| format!("{}: {e}", plan.name))?.text;
    let mut lines = text.lines();
    let head = lines.by_ref().take_while(|l| l.starts_with("//") && !l.starts_with("///")).count();
    Ok(text.lines().skip(head).fold(String::new(), |s, l| s + l + "\n"))
}

/// With `profiled`, every call of a kernel is timed.
pub fn files(
    (plan, at): (&Plan, Option<u64>),
    module: String,
    name: &str,
    folder: &Path,
    profiled: bool,
) -> Result<Files, String> {
    let m = lower_plan(plan, Target::Cpu).map_err(|e| format!("{}: {e}", plan.name))?;
    let harness = Harness { plan, at, m: &m, name, folder }.text()?;
    Ok(Files { module: if profiled { timed(&module) } else { module }, harness })
}

/// Times every call of a kernel in the entries: a statement `contract_7(…);`, over one or more lines.
fn timed(module: &str) -> String {
    let mut out = String::with_capacity(module.len());
    let mut open: Option<&str> = None;
    for line in module.lines() {
        let words = line.trim_start();
        if open.is_none()
            && let Some((name, _)) = words.split_once('(')
            && let Some((what, number)) = name.rsplit_once('_')
            && ["contract", "reduce", "map", "copy", "max_abs"].contains(&what)
            && number.chars().all(|c| c.is_ascii_digit())
        {
            out.push_str("let started = crate::start();\n");
            open = Some(name);
        }
        out.push_str(line);
        out.push('\n');
        if words.ends_with(");")
            && let Some(name) = open.take()
        {
            let _ = writeln!(out, "crate::stop({name:?}, started);");
        }
    }
    out
}

struct Harness<'a> {
    plan: &'a Plan,
    /// The run-time size.
    at: Option<u64>,
    m: &'a Module,
    name: &'a str,
    folder: &'a Path,
}

impl Harness<'_> {
    fn size(&self, s: SymbolId) -> i64 {
        self.at.map_or_else(|| hint(self.plan, s), |n| n as i64)
    }
    fn eval(&self, p: &Poly) -> usize {
        p.eval(|s| self.size(s)).max(0) as usize
    }
    fn len(&self, dims: &[Dim]) -> usize {
        self.eval(&numel(dims))
    }
    fn is_complex(&self) -> bool {
        self.plan.dtype.is_complex()
    }

    /// An expression for the values of a leaf. Isometries are read from a file; everything else is drawn by name, so that contractions over all
    /// legs but one keep the size of entries about as it is.
    fn values(&self, leaf: &LeafInfo) -> Result<String, String> {
        let n = self.len(&leaf.dims);
        let scale = 3f64.sqrt() / (n.max(1) as f64).powf(0.25);
        let Some(structure) = &leaf.structure else {
            return Ok(format!("crate::drawn({:?}, {n}, {scale:?})", leaf.name));
        };
        let leaf =
            LeafInfo { init: Some(Init::Isometry), structure: Some(structure.clone()), ..leaf.clone() };
        let stream = leaf.name.bytes().fold(7usize, |h, b| (h * 31 + usize::from(b)) % 1_000_003);
        let values: Vec<Complex64> = tn_driver::init::initial_values(&leaf, stream, self.plan.dtype, 1)
            .map_err(|e| e.render(false))?;
        let file = self.folder.join(format!("{}.{}.{stream}.bin", self.plan.name, self.plan.dtype));
        let bytes: Vec<u8> =
            values.iter().flat_map(|v| [v.re.to_le_bytes(), v.im.to_le_bytes()].concat()).collect();
        std::fs::write(&file, bytes).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(format!("crate::read({:?})", file.display().to_string()))
    }

    fn families(&self, ty: &str, prefix: &str, families: &[Family], borrow: &str) -> String {
        let mut out = format!("m::{ty} {{ ");
        for f in families {
            let parts: Vec<String> =
                f.leaves.iter().map(|l| format!("{borrow}self.{prefix}{l}[..]")).collect();
            let value = if f.subscripted { format!("[{}]", parts.join(", ")) } else { parts[0].clone() };
            let _ = write!(out, "{}: {value}, ", f.name.replace('.', "_"));
        }
        out + "}"
    }
    fn outputs(&self, ty: &str, prefix: &str, borrow: &str) -> String {
        let mut out = format!("m::{ty} {{ ");
        for (i, o) in self.plan.outputs.iter().enumerate() {
            let _ = write!(out, "{}: {borrow}self.{prefix}{i}[..], ", o.name.replace('.', "_"));
        }
        out + "}"
    }

    fn call(&self, kind: EntryKind) -> String {
        let m = self.m;
        let mut args = vec![];
        if !m.sizes.is_empty() {
            let parts: Vec<String> =
                m.sizes.iter().map(|&z| format!("{}: {}", m.symbols[z].name, self.size(z))).collect();
            args.push(format!("m::Sizes {{ {} }}", parts.join(", ")));
        }
        args.push("&self.params".into());
        if !m.inputs.is_empty() {
            args.push(format!("&{}", self.families("Inputs", "in", &m.inputs, "&")));
        }
        let name = match kind {
            EntryKind::ForwardSaving => {
                args.push(format!("&mut {}", self.outputs("Outputs", "out", "&mut ")));
                args.push("&mut self.saved".into());
                "forward_saving"
            }
            EntryKind::Vjp => {
                args.push("&self.saved".into());
                args.push(format!("&{}", self.outputs("Cotangents", "ct", "&")));
                args.push("&mut self.grad_params".into());
                if !m.grads.is_empty() {
                    args.push(format!("&mut {}", self.families("InputGrads", "grad", &m.grads, "&mut ")));
                }
                "vjp"
            }
            EntryKind::Forward | EntryKind::Jvp => {
                args.push(format!("&mut {}", self.outputs("Outputs", "out", "&mut ")));
                "forward"
            }
        };
        args.push("&mut self.workspace".into());
        format!("m::{name}({}).unwrap();\n", args.join(", "))
    }

    fn text(&self) -> Result<String, String> {
        let (plan, m) = (self.plan, self.m);
        let (elem, make, real) = match plan.dtype {
            DType::F32 => ("f32", "re as f32", "f32"),
            DType::F64 => ("f64", "re", "f64"),
            DType::C64 => ("m::C64", "m::C64::new(re as f32, im as f32)", "f32"),
            DType::C128 => ("m::C128", "m::C128::new(re, im)", "f64"),
        };
        let flat = if self.is_complex() { "[x.re as f64, x.im as f64]" } else { "[*x as f64]" };
        let all = |f: &dyn Fn(&tn_kernel::module::ModuleEntry) -> &Poly| {
            m.entries.iter().map(|e| self.eval(f(e))).max().unwrap_or(0)
        };
        let (workspace, saved) = (all(&|e| &e.workspace_len), all(&|e| &e.saved_len));
        let has_grad = m.entries.iter().any(|e| e.kind == EntryKind::Vjp);

        let mut params = String::new();
        let mut made: Vec<(String, String)> = vec![];
        for (k, leaf) in plan.leaves.iter().enumerate() {
            match leaf.role {
                ArrayRole::Param => {
                    let _ = writeln!(params, "params.extend(arr({}));", self.values(leaf)?);
                }
                ArrayRole::Const => {}
                _ => made.push((format!("in{k}"), format!("arr({})", self.values(leaf)?))),
            }
        }
        // touched, and not zeros: what a kernel must overwrite shows if it does not
        let blank = |n: usize| format!("vec![el(7.25, -3.5); {n}]");
        for (k, o) in plan.outputs.iter().enumerate() {
            let n = self.len(&o.dims);
            made.push((format!("out{k}"), blank(n)));
            made.push((
                format!("ct{k}"),
                format!("arr(crate::drawn({:?}, {n}, 1.0))", format!("ct.{}", o.name)),
            ));
        }
        made.push(("workspace".into(), blank(workspace)));
        made.push(("saved".into(), blank(saved)));
        made.push(("grad_params".into(), blank(if has_grad { m.param_count as usize } else { 0 })));
        let mut results: Vec<(String, String)> = vec![];
        for (k, o) in plan.outputs.iter().enumerate() {
            results.push((o.name.clone(), format!("&self.out{k}")));
        }
        let mut grads: Vec<(String, String)> = vec![];
        for l in m.grads.iter().flat_map(|f| f.leaves.clone()) {
            let leaf = &plan.leaves[l as usize];
            made.push((format!("grad{l}"), blank(self.len(&leaf.dims))));
            // along an isometry gradients agree, in other directions they need not
            if leaf.structure.is_none() {
                grads.push((format!("grad {}", leaf.name), format!("&self.grad{l}")));
            }
        }
        for (k, leaf) in plan.leaves.iter().enumerate().filter(|(_, l)| has_grad && l.needs_grad) {
            if let (ArrayRole::Param, Some(at), None) = (&leaf.role, m.flat_offsets[k], &leaf.structure) {
                let to = at as usize + self.len(&leaf.dims);
                grads.push((format!("grad {}", leaf.name), format!("&self.grad_params[{at}..{to}]")));
            }
        }
        let fields: String = made.iter().map(|(n, _)| format!("{n}: Vec<T>, ")).collect();
        let inits: String = made.iter().map(|(n, e)| format!("{n}: {e},\n")).collect();
        let list = |of: &[(String, String)]| -> String {
            of.iter().map(|(n, e)| format!("({n:?}.to_owned(), flat({e})),\n")).collect()
        };
        let pair = if has_grad {
            format!("{}{}true", self.call(EntryKind::ForwardSaving), self.call(EntryKind::Vjp))
        } else {
            "false".into()
        };
        let name = self.name;
        Ok(format!(
            "use crate::{name} as m;\ntype T = {elem};\n\
             fn el(re: f64, im: f64) -> T {{ {make} }}\n\
             fn arr(v: Vec<(f64, f64)>) -> Vec<T> {{ v.into_iter().map(|(re, im)| el(re, im)).collect() }}\n\
             fn flat(v: &[T]) -> Vec<f64> {{ v.iter().flat_map(|x| {flat}).collect() }}\n\
             struct Data {{ params: Vec<T>, {fields} }}\n\
             pub fn new() -> Box<dyn crate::Run> {{\nlet mut params: Vec<T> = vec![];\n{params}Box::new(Data {{ params,\n{inits} }})\n}}\n\
             impl crate::Run for Data {{\n\
             fn is_single(&self) -> bool {{ {:?} == \"f32\" }}\n\
             fn forward(&mut self) {{\n{}}}\n\
             fn pair(&mut self) -> bool {{\n{pair}\n}}\n\
             fn outputs(&self) -> Vec<(String, Vec<f64>)> {{ vec![\n{}] }}\n\
             fn gradients(&self) -> Vec<(String, Vec<f64>)> {{ vec![\n{}] }}\n}}\n",
            real,
            self.call(EntryKind::Forward),
            list(&results),
            list(&grads),
        ))
    }
}

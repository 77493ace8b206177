//! Rust: one module for a network.
//!
//! The file stands alone: it compiles as a crate (`no_std` too), as a `mod` and through `include!`; it allocates nothing, has no
//! `unsafe` and returns an error where a length does not fit. See [`api`] for what it offers.

mod api;
mod c_abi;
mod entry;
mod init;
mod kernel;
mod support;

use crate::expr::SizeNames;
use crate::namer::{Namer, identifier};
use crate::printer::Printer;
use crate::{EmitError, EmittedFile};
use tn_ir::dtype::DType;
use tn_kernel::{Module, Target, lower_plan};
use tn_plan::ir::Plan;

/// Where the functions come from that kernels call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// They are written into the module.
    #[default]
    Embedded,
    /// The crate `tn-runtime` with its feature `std`. Kernels then exist in versions for several instruction sets, and the best that the machine
    /// has is taken at run time; where it fuses multiply-adds, results differ by roundings from one machine to another.
    Crate,
}

/// How Rust is written.
#[derive(Clone, Debug, Default)]
pub struct RustOptions {
    /// Where functions come from.
    pub runtime: Runtime,
    /// File name without `.rs`; the network's name if empty.
    pub file_stem: String,
}

/// What the text of a module, or of the crate that exports it to C, calls things where run-time sizes and loop variables
/// are at hand.
const OWN_NAMES: &[&str] = &[
    "y",
    "x0",
    "x1",
    "sizes",
    "params",
    "inputs",
    "outputs",
    "saved",
    "workspace",
    "workspace_len",
    "cotangents",
    "grad_params",
    "grad_inputs",
    "tan_params",
    "tan_inputs",
    "tan_outputs",
    "before",
    "after",
    "part",
    "round",
    "check",
    "check_at_least",
    "called",
    "read",
    "write",
    "status",
    "module",
    "saved_len",
    "forward",
    "forward_saving",
    "vjp",
    "jvp",
    "init",
    "core",
    "usize",
    "isize",
    "None",
    "Some",
    "Ok",
    "Err",
    "NULL",
    "OK",
    "SIZE",
    "LENGTH",
    "PARAM_COUNT",
    "PARAMS",
    "RULES",
    "COSTS",
    "CONSTANTS",
    "FUSED",
    "times_plus",
    "stream",
    "settle",
    "pow",
    "exp",
    "ln",
    "sin",
    "cos",
    "sqrt",
    "tanh",
    "erf",
    "c_abs",
    "c_pow",
    "c_exp",
    "c_ln",
    "c_sin",
    "c_cos",
    "c_sqrt",
];

/// Names that are decided once for a module.
pub(crate) struct Names {
    pub sizes: SizeNames,
    pub inputs: Vec<String>,
    pub grads: Vec<String>,
    pub outputs: Vec<String>,
    pub elem: &'static str,
    pub real: &'static str,
}

impl Names {
    fn of(m: &Module) -> Names {
        let mut namer = Namer::with(OWN_NAMES);
        let sizes = m.sizes.iter().map(|&s| (s, namer.fresh(&m.symbols[s].name))).collect();
        let fields = |wishes: Vec<&str>| {
            let mut namer = Namer::default();
            wishes.into_iter().map(|w| namer.fresh(w)).collect::<Vec<_>>()
        };
        let inputs = fields(m.inputs.iter().map(|f| f.name.as_str()).collect());
        // A gradient has the field name of its input.
        let grads = m
            .grads
            .iter()
            .map(|g| {
                let at = m.inputs.iter().position(|f| f.name == g.name && f.subscripted == g.subscripted);
                at.map_or_else(|| identifier(&g.name), |i| inputs[i].clone())
            })
            .collect();
        let outputs = fields(m.outputs.iter().map(|o| o.name.as_str()).collect());
        let (elem, real) = match m.dtype {
            DType::F32 => ("f32", "f32"),
            DType::F64 => ("f64", "f64"),
            DType::C64 => ("C64", "f32"),
            DType::C128 => ("C128", "f64"),
        };
        Names { sizes, inputs, grads, outputs, elem, real }
    }
}

/// Writes a plan as a Rust module.
///
/// # Errors
/// If the plan is not valid (see [`tn_kernel::LowerError`]).
pub fn emit_rust(plan: &Plan, opts: &RustOptions) -> Result<EmittedFile, EmitError> {
    let module = lower_plan(plan, Target::Cpu)?;
    written(plan, &module, &Names::of(&module), opts)
}

/// Writes a plan as a Rust module, a header for C, a crate that exports what the header declares, and that crate's manifest.
///
/// # Errors
/// As for [`emit_rust`].
pub fn emit_c_abi(plan: &Plan, opts: &RustOptions) -> Result<Vec<EmittedFile>, EmitError> {
    let module = lower_plan(plan, Target::Cpu)?;
    let names = Names::of(&module);
    let file = written(plan, &module, &names, opts)?;
    let mut all = c_abi::files(&module, &names, &stem(plan, opts), opts.runtime, &header(plan, "//"));
    for made in all.iter_mut().filter(|f| f.name.ends_with(".rs")) {
        let tree = syn::parse_file(&made.text).map_err(|e| EmitError::Syntax(e.to_string()))?;
        made.text = format!("{}{}", header(plan, "//"), prettyplease::unparse(&tree));
    }
    all.insert(0, file);
    Ok(all)
}

fn stem(plan: &Plan, opts: &RustOptions) -> String {
    let own = identifier(&plan.name);
    match (opts.file_stem.as_str(), own.as_str()) {
        // a header must not hide one that it includes itself
        ("", "stddef" | "stdint") => format!("{own}_2"),
        ("", _) => own,
        (given, _) => given.into(),
    }
}

fn written(
    plan: &Plan,
    module: &Module,
    names: &Names,
    opts: &RustOptions,
) -> Result<EmittedFile, EmitError> {
    let mut entries = Printer::default();
    let mut wanted = support::Wanted::default();
    for kind in module.kinds() {
        entry::print_choice(&mut entries, module, kind, names);
    }
    for entry in &module.entries {
        entry::print(&mut entries, module, entry, names, &mut wanted)?;
    }
    let mut kernels = Printer::default();
    for (id, k) in module.kernels.enumerate() {
        kernel::print(&mut kernels, module, id, k, names, &mut wanted, opts.runtime);
    }
    let mut body = Printer::default();
    api::print(&mut body, module, names, &mut wanted);
    init::print(&mut body, module, names, &mut wanted);
    api::costs(&mut body, plan);
    let text = format!("{}{}{}", body.finish(), entries.finish(), kernels.finish());
    let text = format!("{text}{}", support::text(&wanted, module, names, opts.runtime)?);
    let tree = syn::parse_file(&text).map_err(|e| EmitError::Syntax(e.to_string()))?;
    let (stem, pretty) = (stem(plan, opts), prettyplease::unparse(&tree));
    Ok(EmittedFile { name: format!("{stem}.rs"), text: format!("{}{pretty}", header(plan, "//")) })
}

/// The first lines of a generated file.
pub(crate) fn header(plan: &Plan, comment: &str) -> String {
    format!(
        "{comment} Generated by tn-codegen {} from `{}`, network `{}`. Do not edit: change the source and emit again.\n\
         {comment} source {} · plan {}\n\n",
        env!("CARGO_PKG_VERSION"),
        plan.source.replace('\n', " "),
        plan.name,
        plan.source_hash,
        crate::plan_hash(plan),
    )
}

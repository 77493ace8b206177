//! CUDA C++: `{name}.cu`, `{name}.h`, and `tn_device.h`, which every network shares.
//!
//! The header is C: every entry is a function over device pointers that launches kernels on a stream and returns a code. Complex
//! elements are pairs (re, im). The same text compiles with `nvcc` and, through `cusim.hpp`, with a host compiler.

mod entry;
mod kernel;

use crate::expr::SizeNames;
use crate::namer::{Namer, identifier};
use crate::printer::Printer;
use crate::{EmitError, EmittedFile};
use tn_ir::dtype::DType;
use tn_kernel::{Module, Target, lower_plan};
use tn_plan::ir::{EntryKind, Plan};

/// The header that generated files include: types, functions, launches.
pub const TN_DEVICE_H: &str = include_str!("../../cuda/tn_device.h");

/// The simulation of CUDA on a CPU that `tn_device.h` includes where the compiler is not `nvcc`. It checks semantics (barriers, races,
/// bounds under sanitizers), and says nothing about speed.
pub const CUSIM_HPP: &str = include_str!("../../cuda/cusim.hpp");

/// How CUDA is written.
#[derive(Clone, Debug, Default)]
pub struct CudaOptions {
    /// File name without extension; the network's name if empty.
    pub file_stem: String,
}

/// Names that are decided once for a module.
pub(crate) struct Names {
    /// Prefix of everything visible from outside.
    pub prefix: String,
    pub sizes: SizeNames,
    pub inputs: Vec<String>,
    pub tangents: Vec<String>,
    pub grads: Vec<String>,
    pub outputs: Vec<String>,
    pub cotangents: Vec<String>,
    pub out_tangents: Vec<String>,
    /// Element type within kernels.
    pub elem: &'static str,
    /// Element type of the header's pointers.
    pub real: &'static str,
    pub complex: bool,
}

impl Names {
    fn of(m: &Module) -> Names {
        let mut namer = Namer::with(&[
            "params",
            "workspace",
            "saved",
            "grad_params",
            "tan_params",
            "stream",
            "constants",
            "y",
            "code",
            "round",
        ]);
        let sizes = m.sizes.iter().map(|&s| (s, namer.fresh(&m.symbols[s].name))).collect();
        let mut all = |prefix: &str, wishes: Vec<&str>| -> Vec<String> {
            wishes.into_iter().map(|w| namer.fresh(&format!("{prefix}{w}"))).collect()
        };
        let inputs: Vec<&str> = m.inputs.iter().map(|f| f.name.as_str()).collect();
        let grads: Vec<&str> = m.grads.iter().map(|f| f.name.as_str()).collect();
        let outputs: Vec<&str> = m.outputs.iter().map(|o| o.name.as_str()).collect();
        let (elem, real) = match m.dtype {
            DType::F32 => ("float", "float"),
            DType::F64 => ("double", "double"),
            DType::C64 => ("tn_complex<float>", "float"),
            DType::C128 => ("tn_complex<double>", "double"),
        };
        Names {
            prefix: identifier(&m.name),
            sizes,
            inputs: all("", inputs.clone()),
            outputs: all("", outputs.clone()),
            tangents: all("tan_", inputs),
            grads: all("grad_", grads),
            cotangents: all("ct_", outputs.clone()),
            out_tangents: all("tan_", outputs),
            elem,
            real,
            complex: m.dtype.is_complex(),
        }
    }
}

/// Writes a plan as CUDA: the kernels' file, its header, and `tn_device.h`.
///
/// # Errors
/// If the plan is not valid (see [`tn_kernel::LowerError`]).
pub fn emit_cuda(plan: &Plan, opts: &CudaOptions) -> Result<Vec<EmittedFile>, EmitError> {
    let module = lower_plan(plan, Target::Gpu)?;
    let names = Names::of(&module);
    let stem = if opts.file_stem.is_empty() { names.prefix.clone() } else { opts.file_stem.clone() };
    let head = crate::rust::header(plan, "//");
    let mut p = Printer::default();
    p.line(format!("#include \"{stem}.h\""));
    p.line("#include \"tn_device.h\"");
    p.line("");
    p.line(format!("namespace {}_kernels {{", names.prefix));
    if !module.constants.is_empty() {
        let values: Vec<String> =
            module.constants.iter().map(|c| kernel::constant(&names, c.re, c.im)).collect();
        p.line(format!(
            "static __device__ const {} constants_data[{}] = {{{}}};",
            names.elem,
            values.len(),
            values.join(", ")
        ));
    }
    for (id, k) in module.kernels.enumerate() {
        kernel::print(&mut p, &module, id, k, &names);
    }
    p.line(format!("}} // namespace {}_kernels", names.prefix));
    for e in &module.entries {
        entry::print(&mut p, &module, e, &names);
    }
    for kind in module.kinds() {
        entry::print_choice(&mut p, &module, kind, &names);
    }
    entry::print_lengths(&mut p, &module, &names);
    let text = format!("{head}{}", p.finish());
    Ok(vec![
        EmittedFile { name: format!("{stem}.cu"), text },
        EmittedFile { name: format!("{stem}.h"), text: format!("{head}{}", c_header(&module, &names)) },
        EmittedFile { name: "tn_device.h".into(), text: TN_DEVICE_H.into() },
    ])
}

fn c_header(m: &Module, names: &Names) -> String {
    let mut p = Printer::default();
    p.line("#pragma once");
    p.line("");
    p.line("#ifdef __cplusplus");
    p.line("extern \"C\" {");
    p.line("#endif");
    p.line("");
    for line in m.doc.trim().lines() {
        p.line(format!("// {line}"));
    }
    let pairs = if names.complex { "; elements are pairs (re, im)" } else { "" };
    p.line(format!("// Arrays are row-major, on the device, `{}`{pairs}.", m.dtype));
    p.line("// `params` are flat, in this order:");
    for (i, l) in m.leaves.iter().enumerate().filter(|(_, l)| l.role == tn_ir::dag::ArrayRole::Param) {
        let len = m.leaf_len(i as u32).as_constant().unwrap_or(0);
        p.line(format!("//   {} from {}, {len} elements", l.name, m.flat_offsets[i].unwrap_or(0)));
    }
    p.line("// A family of inputs is an array on the host of pointers to the device. `stream` is a cudaStream_t, or null.");
    p.line("// Functions return 0, or: 1 a size is out of range, 2 a pointer is null, 3 a launch failed.");
    p.line("");
    for kind in m.kinds() {
        p.line(format!("{};", entry::signature(m, kind, names, "")));
    }
    let sizes = entry::size_arguments(m, names);
    p.line("// Elements of workspace that every entry is content with, and of what `forward_saving` leaves for `vjp`.");
    p.line(format!("long long {}_workspace_len({sizes});", names.prefix));
    if m.kinds().iter().any(|k| matches!(k, EntryKind::ForwardSaving | EntryKind::Vjp)) {
        p.line(format!("long long {}_saved_len({sizes});", names.prefix));
    }
    p.line("");
    p.line("#ifdef __cplusplus");
    p.line("}");
    p.line("#endif");
    p.finish()
}

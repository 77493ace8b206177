//! Kernels as text, for `tnc emit` and `tn-build`.

use crate::error::Error;
use tn_codegen::{CudaOptions, EmitError, Runtime, RustOptions, emit_c_abi, emit_cuda, emit_rust};
use tn_plan::ir::Plan;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emission {
    /// A Rust module.
    Rust {
        /// It uses the crate `tn-runtime` instead of functions of its own.
        runtime_crate: bool,
        /// With a header, and a crate that exports the entries to C.
        c_abi: bool,
    },
    /// CUDA files.
    Cuda,
}

/// File names and texts of a plan's kernels. The text depends on the plan only.
///
/// # Errors
/// The plan has no kernels for the target; a text of our own that is no Rust is internal.
pub fn emit(plan: &Plan, emission: Emission) -> Result<Vec<(String, String)>, Error> {
    let files = match emission {
        Emission::Rust { runtime_crate, c_abi } => {
            let runtime = if runtime_crate { Runtime::Crate } else { Runtime::Embedded };
            let options = RustOptions { runtime, ..RustOptions::default() };
            if c_abi { emit_c_abi(plan, &options) } else { emit_rust(plan, &options).map(|f| vec![f]) }
        }
        Emission::Cuda => emit_cuda(plan, &CudaOptions::default()),
    };
    let files = files.map_err(|e| match e {
        EmitError::Syntax(_) => Error::internal("emission", e),
        other => Error::Input(other.to_string()),
    })?;
    Ok(files.into_iter().map(|f| (f.name, f.text)).collect())
}

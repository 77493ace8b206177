//! CUDA C++.

use crate::{EmitError, EmittedFile};
use tn_plan::ir::Plan;

/// How CUDA is written.
#[derive(Clone, Debug, Default)]
pub struct CudaOptions {
    /// File name without extension; the network's name if empty.
    pub file_stem: String,
}

/// Writes a plan as CUDA files.
///
/// # Errors
/// If the plan is not valid.
pub fn emit_cuda(_plan: &Plan, _opts: &CudaOptions) -> Result<Vec<EmittedFile>, EmitError> {
    Ok(vec![])
}

//! Plans as source text: Rust modules and CUDA files.
//!
//! Both printers print the same L5 modules (`tn-kernel`), which are verified when they are made; neither knows plans.
//! The text depends on the plan and the options only: no time stamps, no paths, the same bytes every time.

pub mod cuda;
mod error;
mod expr;
mod namer;
mod printer;
pub mod rust;

pub use cuda::{CudaOptions, emit_cuda};
pub use error::EmitError;
pub use rust::{Runtime, RustOptions, emit_c_abi, emit_rust};

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedFile {
    /// File name, without folders.
    pub name: String,
    /// Text.
    pub text: String,
}

/// A stable 64-bit hash of text (FNV-1a), as sixteen hexadecimal digits.
pub fn text_hash(text: &str) -> String {
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// What a plan's text is hashed for in headers: everything that decides the kernels.
pub fn plan_hash(plan: &tn_plan::ir::Plan) -> String {
    text_hash(&format!("{plan:?}"))
}

//! Errors of emission.

use tn_kernel::LowerError;

/// Why no code was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// The plan has no kernels.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A call that the printer has no form for.
    #[error("{0}\nhelp: plan again with other options")]
    Unsupported(String),
    /// The text that was made is no Rust.
    #[error("the text that was made cannot be parsed: {0}\nhelp: this is a bug of the compiler")]
    Syntax(String),
}

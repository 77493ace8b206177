//! The intermediate representations that the whole compiler shares.
//!
//! | level | module | what a value of it says |
//! | --- | --- | --- |
//! | L1 | [`program`] | named indices, an SSA graph of contractions, maps, sums and views |
//! | L2 | [`region`]  | one maximal multilinear part of a program, as a flat network |
//! | L3 | [`dag`]     | binary, positional, hash-consed: forward and adjoint roots together |
//!
//! L4 (plans) lives in `tn-plan`, L5 (kernels) in `tn-kernel`. Everything here is plain data with
//! constructors that keep its invariants; no pass of the compiler lives in this crate except the
//! ones that take one of these levels to the next.

pub mod build;
mod carriers;
pub(crate) mod copies;
pub mod dag;
pub mod dag_build;
pub mod dag_place;
pub mod definitions;
pub mod dtype;
pub mod eval;
pub mod field;
#[doc(hidden)]
pub mod fuzz;
pub mod ids;
pub mod lower;
pub mod naive;
pub mod normalise;
pub mod program;
pub mod region;
pub mod regions;
pub mod scalar;
pub mod size;
pub(crate) mod slip {
    crate::slips!();
}
#[cfg(test)]
mod rule_tests;
mod slips;
pub mod span;
pub(crate) mod structure;
pub mod verify;

pub use num_complex::Complex64;

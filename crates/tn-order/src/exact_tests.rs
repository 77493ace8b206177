//! The exact searches against each other and against brute force.

use crate::exact::{Bounds, Exact, Proof};
use crate::model::Model;
use crate::objective::{Limits, Score, figures, grad_times, step_log2};
use crate::sub::Sub;
use crate::tests::{Reference, brute, networks, quick, reference};
use crate::{Minimize, Network, exact_sparse, exact_twins, plan};
use proptest::prelude::*;

/// No bounds at all.
const FREE: Bounds =
    Bounds { upper: f64::INFINITY, max_size: f64::INFINITY, shift: 0.0, work: u64::MAX, threads: 1 };

/// All of a network as a part.
fn whole(model: &Model) -> Sub {
    let leaves: Vec<&[u32]> = model.legs.iter().map(Vec::as_slice).collect();
    Sub::new(&leaves, &model.out, &model.lg, model.grad.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_exact_searches_agree(net in networks(9), kind in 0usize..3) {
        let kind = [Minimize::Macs, Minimize::Time, Minimize::Bytes][kind];
        let model = Model::new(&net);
        prop_assume!(model.n() > 1);
        let (sub, free) = (whole(&model), FREE);
        let worth = |path: &[(u32, u32)]| figures(&model, path, &[], kind, &Limits::default()).score.value;
        let (mut dense, mut sparse) = (Vec::new(), Vec::new());
        let (value, proof) = Exact::default().solve(&sub, kind, free, &|| false, &mut dense);
        prop_assert_eq!(proof, Proof::Optimal);
        prop_assert!((value.log2() - worth(&dense)).abs() < 1e-9 || value == 0.0);
        for (upper, found) in [(f64::INFINITY, true), (value * (1.0 + 1e-9), true), (value * (1.0 - 1e-6), false)] {
            let bounds = Bounds { upper, ..free };
            let proof = exact_sparse::solve(&sub, kind, bounds, &|| false, &mut sparse);
            prop_assert_eq!(proof, if found { Proof::Optimal } else { Proof::NoBetter });
            prop_assert!(!found || (worth(&sparse) - worth(&dense)).abs() < 1e-9);
            let (_, proof) = Exact::default().solve(&sub, kind, bounds, &|| false, &mut dense);
            prop_assert_eq!(proof, if found { Proof::Optimal } else { Proof::NoBetter });
            if !found {
                Exact::default().solve(&sub, kind, free, &|| false, &mut dense);
            }
        }
    }
}

/// A network in which every leg is on two tensors, or on one and in the result: a tree with a few more legs, which falls apart at legs of length 1. Extents
/// lie far apart, so that outer products pay now and then.
fn plain(n: usize) -> impl Strategy<Value = Network> {
    let extent = || prop_oneof![4 => 2u64..4, 4 => 2u64..40, 1 => Just(1u64)];
    let tensor = (any::<prop::sample::Index>(), extent(), prop::option::weighted(0.2, extent()));
    let more = prop::collection::vec((0..n, 0..n, extent()), 0..3);
    (prop::collection::vec(tensor, 3..n), more).prop_map(|(tensors, more)| {
        let mut net = Network { inputs: vec![vec![]], ..Network::default() };
        let mut legs: Vec<(usize, Option<usize>, u64)> = Vec::new();
        for (k, (to, size, open)) in tensors.iter().enumerate() {
            legs.push((k + 1, Some(to.index(k + 1)), *size));
            legs.extend(open.map(|size| (k + 1, None, size)));
            net.inputs.push(vec![]);
        }
        let n = net.inputs.len();
        legs.extend(
            more.into_iter().map(|(a, b, size)| (a % n, Some(b % n), size)).filter(|l| Some(l.0) != l.1),
        );
        for (i, (a, b, size)) in legs.into_iter().enumerate() {
            net.sizes.push(size);
            net.inputs[a].push(i as u32);
            match b {
                Some(b) => net.inputs[b].push(i as u32),
                None => net.output.push(i as u32),
            }
        }
        net
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What the search over sets leaves out of outer products is never best.
    #[test]
    fn outer_products_that_are_left_out_are_never_best(net in plain(9)) {
        let model = Model::new(&net);
        let (sub, free) = (whole(&model), FREE);
        let (mut dense, mut sparse) = (Vec::new(), Vec::new());
        let (value, proof) = Exact::default().solve(&sub, Minimize::Macs, free, &|| false, &mut dense);
        prop_assert_eq!(proof, Proof::Optimal);
        for upper in [f64::INFINITY, value * (1.0 + 1e-9)] {
            let proof =
                exact_sparse::solve(&sub, Minimize::Macs, Bounds { upper, ..free }, &|| false, &mut sparse);
            prop_assert_eq!(proof, Proof::Optimal);
            let worth = figures(&model, &sparse, &[], Minimize::Macs, &Limits::default()).score.value;
            prop_assert!((worth - value.log2()).abs() < 1e-9, "{worth}, not {}", value.log2());
        }
    }
}

/// A hub with a leg to every leaf, or one leg that all leaves share; the leaves may have an open leg, and some two another leg.
fn stars(leaves: usize) -> impl Strategy<Value = Network> {
    let leaf = (2u64..6, prop::option::of(2u64..5), any::<bool>());
    (prop::collection::vec(leaf, 2..leaves + 1), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(leaves, hyper, open, shared_open, tied)| {
            let mut net = Network::default();
            let mut index = |size: u64| {
                net.sizes.push(size);
                net.sizes.len() as u32 - 1
            };
            let (mut hub, all) = (Vec::new(), index(3));
            for (size, out, grad) in leaves {
                let i = if hyper { all } else { index(size) };
                let mut t = vec![i];
                hub.push(i);
                if let Some(size) = out.filter(|_| open) {
                    t.push(index(size));
                    net.output.push(t[1]);
                }
                net.inputs.push(t);
                net.needs_grad.push(grad);
            }
            if !hyper {
                net.inputs.push(hub);
                net.needs_grad.push(false);
            } else if shared_open {
                net.output.push(all);
            }
            if tied {
                let i = net.sizes.len() as u32;
                net.sizes.push(2);
                net.inputs[0].push(i);
                net.inputs[1].push(i);
            }
            net
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn stars_are_solved_as_by_brute_force(net in stars(5), kind in 0usize..2) {
        let kind = [Minimize::Macs, Minimize::Bytes][kind];
        let net = if kind == Minimize::Bytes { Network { needs_grad: vec![], ..net } } else { net };
        let of = |r: Reference| if kind == Minimize::Macs { r.weighted } else { r.traffic };
        let out = plan(&net, &quick(kind)).unwrap();
        prop_assert!(out.optimal);
        prop_assert_eq!(of(reference(&net, &out.tree)), brute(&net, &|t| of(reference(&net, t))));
    }

    #[test]
    fn twins_change_nothing(net in prop_oneof![stars(9), networks(9)], kind in 0usize..3) {
        let kind = [Minimize::Macs, Minimize::Time, Minimize::Bytes][kind];
        let model = Model::new(&net);
        prop_assume!(model.n() > 1);
        let (sub, free) = (whole(&model), FREE);
        let worth = |path: &[(u32, u32)]| figures(&model, path, &[], kind, &Limits::default()).score.value;
        let mut path = Vec::new();
        let (value, _) = Exact::default().solve(&sub, kind, free, &|| false, &mut path);
        let known = worth(&path);
        for (upper, found) in [(f64::INFINITY, true), (value * (1.0 + 1e-9), true), (value * (1.0 - 1e-6), false)] {
            let proof = exact_twins::solve(&sub, kind, Bounds { upper, ..free }, &|| false, &mut path);
            prop_assert_eq!(proof, if found { Proof::Optimal } else { Proof::NoBetter });
            prop_assert!(!found || (worth(&path) - known).abs() < 1e-9, "{} is not {known}", worth(&path));
        }
        for max_size in [1.0, 4.0, 20.0] {
            let bounds = Bounds { max_size, ..free };
            let mut other = Vec::new();
            let (_, want) = Exact::default().solve(&sub, kind, bounds, &|| false, &mut other);
            prop_assert_eq!(exact_twins::solve(&sub, kind, bounds, &|| false, &mut path), want);
            prop_assert!(want != Proof::Optimal || (worth(&path) - worth(&other)).abs() < 1e-9);
        }
    }
}

/// Tensors around a hub, on one leg of all, or both, with sizes that nearly all differ; every leaf may have an open leg.
fn uneven_stars(leaves: usize) -> impl Strategy<Value = Network> {
    let leaf = (2u64..60, prop::option::of(2u64..20), any::<bool>());
    let flags = any::<(bool, bool, bool, bool, bool, bool)>();
    (prop::collection::vec(leaf, 2..leaves + 1), flags).prop_map(|(leaves, flags)| {
        let (hub, open, all, all_open, hub_has_all, grad) = flags;
        let mut net = Network::default();
        let mut index = |size: u64| {
            net.sizes.push(size);
            net.sizes.len() as u32 - 1
        };
        let shared = index(5);
        let mut center = Vec::new();
        for (size, out, g) in leaves {
            let mut t = Vec::new();
            if hub {
                t.push(index(size));
                center.push(t[0]);
            }
            if all || !hub {
                t.push(shared);
            }
            if let Some(size) = out.filter(|_| open) {
                t.push(index(size));
                net.output.extend(t.last());
            }
            net.inputs.push(t);
            net.needs_grad.push(g && grad);
        }
        if hub {
            if all && hub_has_all {
                center.push(shared);
            }
            net.inputs.push(center);
            net.needs_grad.push(false);
        }
        if (all || !hub) && all_open {
            net.output.push(shared);
        }
        net
    })
}

/// The least cost (log2) of any tree: the dynamic program over all subsets, without bounds.
fn plain_optimum(m: &Model, kind: Minimize) -> f64 {
    let full = (1usize << m.n()) - 1;
    let held = |s: usize, leg: &u32| (0..m.n()).any(|k| s >> k & 1 == 1 && m.legs[k].contains(leg));
    let legs = |s: usize| -> Vec<u32> {
        let open = |l: &u32| held(s, l) && (held(full ^ s, l) || m.out.contains(l));
        (0..m.lg.len() as u32).filter(open).collect()
    };
    let legs: Vec<Vec<u32>> = (0..=full).map(legs).collect();
    let size: Vec<f64> = legs.iter().map(|l| m.log_size(l)).collect();
    let grad = |s: usize| (0..m.n()).any(|k| s >> k & 1 == 1 && m.grad[k]);
    let mut best = vec![0.0f64; full + 1];
    for s in (1..=full).filter(|s| s & (s - 1) != 0) {
        best[s] = f64::INFINITY;
        let mut a = (s - 1) & s;
        while a != 0 {
            let c = s ^ a;
            let mut union = [legs[a].as_slice(), &legs[c]].concat();
            union.sort_unstable();
            union.dedup();
            let times = grad_times(grad(a), grad(c));
            let step = step_log2(kind, m.log_size(&union), size[a], size[c], size[s], times);
            best[s] = best[s].min(best[a] + best[c] + step.exp2());
            a = (a - 1) & s;
        }
    }
    best[full].log2()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn bounds_rule_nothing_out(net in prop_oneof![3 => uneven_stars(8), 1 => networks(8)], kind in 0usize..3) {
        let kind = [Minimize::Macs, Minimize::Time, Minimize::Bytes][kind];
        let m = Model::new(&net);
        prop_assume!(m.n() > 1);
        let want = plain_optimum(&m, kind);
        let leaves: Vec<&[u32]> = m.legs.iter().map(Vec::as_slice).collect();
        let sub = Sub::new(&leaves, &m.out, &m.lg, m.grad.clone());
        let worth = |path: &[(u32, u32)]| figures(&m, path, &[], kind, &Limits::default()).score.value;
        // bounds far above, just above and just below the optimum
        for (more, found) in [(f64::INFINITY, true), (4.0, true), (1e-3, true), (1e-9, true), (-1e-9, false), (-1e-4, false)] {
            let upper = (want + more).exp2();
            let b = Bounds { upper, max_size: f64::INFINITY, shift: 0.0, work: u64::MAX, threads: 1 };
            let mut path = Vec::new();
            let (_, proof) = Exact::default().solve(&sub, kind, b, &|| false, &mut path);
            prop_assert_eq!(proof, if found { Proof::Optimal } else { Proof::NoBetter }, "{}", more);
            prop_assert!(!found || (worth(&path) - want).abs() < 1e-11 * want.max(1.0), "{} is not {want}", worth(&path));
        }
        let out = plan(&net, &quick(kind)).unwrap();
        prop_assert!(out.optimal);
        let got = worth(&out.tree.ssa_path);
        prop_assert!(got <= want + Score::rounding(want) * 1.01, "{got} is not {want}");
    }
}

/// The best outer product is of two others: of the four vectors in pairs, against one after the other.
#[test]
fn outer_products_of_outer_products_are_found() {
    let net = Network {
        inputs: vec![vec![0, 1, 6], vec![0], vec![1, 2, 3, 4, 5], vec![3], vec![4], vec![5], vec![6]],
        output: vec![2],
        sizes: vec![2, 2, 13, 2, 2, 2, 2],
        needs_grad: vec![],
    };
    let out = plan(&net, &quick(Minimize::Macs)).unwrap();
    assert!(out.optimal);
    assert_eq!(10f64.powf(out.cost.log10_macs).round() as u128, brute_macs(&net));
}

fn brute_macs(net: &Network) -> u128 {
    brute(net, &|t| reference(net, t).macs)
}

/// A tensor for each place and a leg between neighbours.
fn graph(tensors: u32, legs: impl IntoIterator<Item = (u32, u32, u64)>) -> Network {
    let mut net = Network { inputs: vec![vec![]; tensors as usize], ..Network::default() };
    for (a, b, size) in legs {
        let i = net.sizes.len() as u32;
        net.sizes.push(size);
        net.inputs[a as usize].push(i);
        net.inputs[b as usize].push(i);
    }
    net
}

#[test]
fn sparse_networks_of_many_tensors_are_proven() {
    let uneven = |k: u32| [4u64, 2, 16, 3, 8, 5][k as usize % 6];
    let ring = |n: u32| graph(n, (0..n).map(move |k| (k, (k + 1) % n, 4)));
    let chain = |n: u32| graph(n, (1..n).map(move |k| (k - 1, k, uneven(k))));
    let binary = |n: u32| graph(n, (1..n).map(move |k| ((k - 1) / 2, k, uneven(k))));
    let lattice = |r: u32, c: u32| {
        let across = (0..r).flat_map(move |i| (1..c).map(move |j| (i * c + j - 1, i * c + j, 2)));
        let down = (1..r).flat_map(move |i| (0..c).map(move |j| ((i - 1) * c + j, i * c + j, 2)));
        graph(r * c, across.chain(down))
    };
    for net in [ring(40), chain(40), binary(28), lattice(5, 5), lattice(2, 20)] {
        let out = plan(&net, &quick(Minimize::Macs)).unwrap();
        assert!(out.optimal, "{} tensors", net.inputs.len());
    }
}

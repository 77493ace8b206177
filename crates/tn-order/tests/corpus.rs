//! The planning corpus: proven optima are reached, every instance gets a valid plan no worse than the peers' greedy ones,
//! and limits on the largest result hold.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tn_order::{Minimize, Network, Options, evaluate, from_linear_path, linear_path, plan};

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/corpus").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn network(name: &str) -> Network {
    let v = read(&format!("{name}.json"));
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut sizes = Vec::new();
    for (name, size) in v["sizes"].as_object().unwrap() {
        ids.insert(name.clone(), sizes.len() as u32);
        sizes.push(size.as_u64().unwrap());
    }
    let term =
        |t: &Value| t.as_array().unwrap().iter().map(|i| ids[i.as_str().unwrap()]).collect::<Vec<u32>>();
    Network {
        inputs: v["inputs"].as_array().unwrap().iter().map(term).collect(),
        output: term(&v["output"]),
        sizes,
        needs_grad: vec![],
    }
}

fn options(trials: u32) -> Options {
    Options { minimize: Minimize::Macs, trials: Some(trials), threads: 2, ..Options::default() }
}

#[test]
fn proven_optima_are_reached_and_proven() {
    for (name, want) in read("optima.json").as_object().unwrap() {
        let out = plan(&network(name), &options(4)).unwrap();
        let want = want["log10_macs"].as_f64().unwrap();
        assert!(out.optimal, "{name}");
        assert!((out.cost.log10_macs - want).abs() < 1e-6, "{name}: {} is not {want}", out.cost.log10_macs);
    }
}

#[test]
fn a_small_budget_beats_the_greedy_peers_everywhere() {
    for (name, planners) in read("baselines.json").as_object().unwrap() {
        let net = network(name);
        let out = plan(&net, &options(8)).unwrap();
        assert_eq!(out.tree.check(&net), Ok(()), "{name}");
        let greedy = ["cotengrust-greedy", "omeco-greedy"]
            .iter()
            .filter_map(|p| planners[p]["default"]["log10_macs"].as_f64())
            .fold(f64::INFINITY, f64::min);
        assert!(out.cost.log10_macs <= greedy + 0.02, "{name}: {} against {greedy}", out.cost.log10_macs);
        let n = net.inputs.len();
        let linear: Vec<Vec<usize>> = linear_path(&out.tree, n).iter().map(|&(a, b)| vec![a, b]).collect();
        let back = from_linear_path(&linear, n).unwrap();
        assert_eq!(evaluate(&net, &back), out.cost, "{name}");
    }
}

#[test]
fn sliced_circuits_stay_below_the_limit() {
    let net = network("qc_sycamore53_m12");
    let out = plan(&net, &Options { max_size: Some(1 << 27), ..options(8) }).unwrap();
    assert!(out.cost.log2_max_size <= 27.0 && !out.tree.sliced.is_empty());
    assert!(out.cost.log10_macs < 13.6, "{}", out.cost.log10_macs);
    assert!(out.cost.log10_macs_hoisted < out.cost.log10_macs);
}

#[test]
fn peak_limits_are_met_by_slicing() {
    for name in ["phys_peps_norm_6x6_chi3", "phys_ising3d_5x5x5", "qc_sycamore53_m12"] {
        let net = network(name);
        let free = plan(&net, &options(8)).unwrap().cost.log2_peak;
        for part in [1.0, 2.0, 3.4] {
            let limit = free - part;
            let out = plan(&net, &Options { max_peak: Some(limit), ..options(8) }).unwrap();
            assert!(out.cost.log2_peak <= limit + 1e-9, "{name}: {} above {limit}", out.cost.log2_peak);
        }
    }
}

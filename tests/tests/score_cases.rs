//! The judge of the comparison with the peers is written anew in Python; `benches/planner/score_cases.json` ties it to
//! [`tn_order::evaluate`]. This test holds the Rust side of it, `benches/planner/test_score.py` the other.
//!
//! `TN_WRITE_SCORE_CASES=1 cargo test -p tn-tests --test score_cases` writes the file anew.

use serde::{Deserialize, Serialize};
use tn_benches::{corpus, random_tree};
use tn_order::{evaluate, from_linear_path, linear_path};

#[derive(Serialize, Deserialize)]
struct Case {
    instance: String,
    path: Vec<Vec<usize>>,
    sliced: Vec<String>,
    log10_macs: f64,
    log10_write: f64,
    log2_max_size: f64,
    log2_slices: f64,
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/planner/score_cases.json");

/// Small networks of every kind: hyperedges, batch indices, outputs, unequal sizes.
const INSTANCES: [&str; 9] = [
    "ml_attention_bert_hyper",
    "ml_cp_layer_b256",
    "ml_mpo_ffn_4096x11008_b2048",
    "ml_tt_layer_1024_b512",
    "phys_mera_pbc_L32_chi8",
    "phys_peps_norm_6x6_chi3",
    "qc_qaoa_3reg_n60_p3",
    "small_rand_n10_batch",
    "small_rand_n12",
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for instance in INSTANCES {
        let (net, names) = corpus(instance);
        for seed in 0..3u64 {
            let mut tree = random_tree(&net, seed);
            tree.sliced = (0..seed as u32).map(|k| (7 * k + seed as u32) % net.sizes.len() as u32).collect();
            let cost = evaluate(&net, &tree);
            let path = linear_path(&tree, net.inputs.len());
            cases.push(Case {
                instance: instance.into(),
                path: path.into_iter().map(|(a, b)| vec![a, b]).collect(),
                sliced: tree.sliced.iter().map(|&i| names[i as usize].clone()).collect(),
                log10_macs: cost.log10_macs,
                log10_write: cost.log10_write,
                log2_max_size: cost.log2_max_size,
                log2_slices: cost.log2_slices,
            });
        }
    }
    cases
}

#[test]
fn the_planner_agrees_with_the_judge() {
    if std::env::var_os("TN_WRITE_SCORE_CASES").is_some() {
        let lines: Vec<String> = cases().iter().map(|c| serde_json::to_string(c).unwrap()).collect();
        std::fs::write(FILE, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let (net, names) = corpus(&case.instance);
        let mut tree = from_linear_path(&case.path, net.inputs.len()).unwrap();
        let id = |name: &String| names.iter().position(|n| n == name).unwrap() as u32;
        tree.sliced = case.sliced.iter().map(id).collect();
        let cost = evaluate(&net, &tree);
        for (found, expected) in [
            (cost.log10_macs, case.log10_macs),
            (cost.log10_write, case.log10_write),
            (cost.log2_max_size, case.log2_max_size),
            (cost.log2_slices, case.log2_slices),
        ] {
            assert!((found - expected).abs() < 1e-9, "{}: {found} is not {expected}", case.instance);
        }
    }
}

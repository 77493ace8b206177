//! Plans instances of the corpus and prints what the plans cost beside the best peer.
//!
//! `corpus [--time SECONDS] [--seed N] [--threads N] [--max-size LOG2] [--trials N] [--write DIR] [--all] [NAME…]`

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tn_order::{Minimize, Network, Options, plan};

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the instance is readable");
    serde_json::from_str(&text).expect("the instance is JSON")
}

fn network(v: &Value) -> (Network, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut sizes = Vec::new();
    for (name, size) in v["sizes"].as_object().expect("sizes") {
        ids.insert(name.clone(), names.len() as u32);
        names.push(name.clone());
        sizes.push(size.as_u64().expect("a size"));
    }
    let term = |t: &Value| -> Vec<u32> {
        t.as_array().expect("a term").iter().map(|i| ids[i.as_str().expect("a name")]).collect()
    };
    let inputs = v["inputs"].as_array().expect("inputs").iter().map(term).collect();
    (Network { inputs, output: term(&v["output"]), sizes, needs_grad: vec![] }, names)
}

/// The best multiply-adds of any peer: at any budget, and at budgets up to `seconds`.
fn peers(baselines: &Value, name: &str, seconds: f64) -> (f64, f64) {
    let (mut any, mut near) = (f64::INFINITY, f64::INFINITY);
    for budgets in baselines[name].as_object().into_iter().flat_map(|o| o.values()) {
        for (budget, run) in budgets.as_object().into_iter().flatten() {
            if run["valid"] != Value::Bool(true) || run["log2_nslices"].as_f64() != Some(0.0) {
                continue;
            }
            let cost = run["log10_macs"].as_f64().unwrap_or(f64::INFINITY);
            any = any.min(cost);
            if budget.parse::<f64>().map_or(true, |b| b <= seconds + 1e-9) {
                near = near.min(cost);
            }
        }
    }
    (any, near)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut opts = Options { minimize: Minimize::Macs, threads: 2, ..Options::default() };
    let (mut names, mut write, mut all) = (Vec::new(), None, false);
    while let Some(a) = args.next() {
        let mut value = || args.next().expect("a value follows the option");
        match a.as_str() {
            "--time" => opts.max_time = Some(Duration::from_secs_f64(value().parse().expect("seconds"))),
            "--seed" => opts.seed = value().parse().expect("a seed"),
            "--threads" => opts.threads = value().parse().expect("a count"),
            "--trials" => opts.trials = Some(value().parse().expect("a count")),
            "--max-size" => opts.max_size = Some(1 << value().parse::<u32>().expect("a log2")),
            "--write" => write = Some(PathBuf::from(value())),
            "--all" => all = true,
            _ => names.push(a),
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/corpus");
    let baselines = read(&folder.join("baselines.json"));
    if all || names.is_empty() {
        names = baselines.as_object().expect("names").keys().cloned().collect();
    }
    let seconds = opts.max_time.map_or(f64::INFINITY, |t| t.as_secs_f64());
    println!(
        "{:34} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>6}",
        "instance", "log10macs", "any peer", "peer@t", "max_size", "peak", "slices", "s"
    );
    for name in &names {
        let path =
            if name.ends_with(".json") { PathBuf::from(name) } else { folder.join(format!("{name}.json")) };
        let (net, labels) = network(&read(&path));
        let begin = Instant::now();
        let result = plan(&net, &opts);
        let took = begin.elapsed().as_secs_f64();
        let (any, near) = peers(&baselines, name, seconds);
        match result {
            Ok(o) => {
                println!(
                    "{name:34} {:9.3} {any:9.3} {near:9.3} {:8.2} {:8.2} {:7.1} {took:6.2}{}{}",
                    o.cost.log10_macs,
                    o.cost.log2_max_size,
                    o.cost.log2_peak,
                    o.cost.log2_slices,
                    if o.optimal { " optimal" } else { "" },
                    if o.cost.log10_macs > any + 0.02 { "  <<" } else { "" },
                );
                if let Some(dir) = &write {
                    let sliced: Vec<&String> = o.tree.sliced.iter().map(|&i| &labels[i as usize]).collect();
                    let v =
                        serde_json::json!({ "ssa_path": o.tree.ssa_path, "sliced": sliced, "cost": o.cost });
                    std::fs::write(dir.join(format!("{name}.path.json")), v.to_string()).expect("written");
                }
            }
            Err(e) => println!("{name:34} {e}"),
        }
    }
}

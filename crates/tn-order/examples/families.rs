//! Measures the planner on the families of the tests, or writes them as JSON instances.
//!
//! `families write DIR` · `families plan SECONDS|TRIALSt [FILTER,FILTER] [SEEDS]` · the same with `large` or `small` for `plan`

use std::io::Write;
use std::time::{Duration, Instant};
use tn_order::{Minimize, Network, Options, plan};

#[path = "../tests/common/families.rs"]
mod families;

fn json(net: &Network) -> serde_json::Value {
    let name = |i: u32| format!("i{i}");
    let term = |t: &Vec<u32>| t.iter().map(|&i| name(i)).collect::<Vec<_>>();
    let sizes: serde_json::Map<String, serde_json::Value> =
        net.sizes.iter().enumerate().map(|(i, &s)| (name(i as u32), s.into())).collect();
    serde_json::json!({
        "inputs": net.inputs.iter().map(term).collect::<Vec<_>>(),
        "output": term(&net.output),
        "sizes": sizes,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |k: usize| args.get(k).map_or("", String::as_str);
    let mut out = std::io::stdout().lock();
    let mut nets = match arg(0) {
        "large" => families::large(),
        "small" => families::small(),
        _ => families::all(),
    };
    if arg(0) == "write" {
        nets.extend(families::large());
        for (name, net) in nets {
            let path = std::path::Path::new(arg(1)).join(format!("{name}.json"));
            std::fs::write(path, serde_json::to_string(&json(&net))?)?;
        }
        return Ok(());
    }
    let wanted: Vec<&str> = arg(2).split(',').collect();
    let seeds: u64 = arg(3).parse().unwrap_or(1);
    let (time, trials) = match arg(1).strip_suffix('t') {
        Some(t) => (None, t.parse().ok()),
        None => (arg(1).parse().ok().map(Duration::from_secs_f64), None),
    };
    for (name, net) in nets {
        if !wanted.iter().any(|w| name.contains(w)) {
            continue;
        }
        for seed in 0..seeds {
            let opts = Options {
                minimize: Minimize::Macs,
                max_time: time,
                trials,
                seed,
                threads: 2,
                ..Options::default()
            };
            let begin = Instant::now();
            let found = plan(&net, &opts);
            let seconds = begin.elapsed().as_secs_f64();
            match found {
                Ok(o) => writeln!(
                    out,
                    "{name:28} n {:6} macs {:9.4} size {:7.2} {} {seconds:.3}",
                    net.inputs.len(),
                    o.cost.log10_macs,
                    o.cost.log2_max_size,
                    if o.optimal { "optimal" } else { "-" }
                )?,
                Err(e) => writeln!(out, "{name:28} {e}")?,
            }
        }
    }
    Ok(())
}

//! Where candidate trees meet: trees of several searches in one graph, against the best of them.

use crate::case::{Settings, root};
use crate::report::Table;
use tn_order::{Minimize, Network, Options, Tree};

/// Searches of one network, and the trials of each.
const SEARCHES: u64 = 8;
const TRIALS: u32 = 8;
/// What counts as better.
const WORTH: f64 = 1.001;
/// What is 1.000 in the table.
const NOTHING: f64 = 1.0005;

/// The table of the section.
pub fn table(settings: &Settings) -> Result<String, String> {
    let mut out = Table::new(
        1,
        &["network", "tensors", "objective", "best single tree", "met", "gain", "and windows", "gain in all"],
    );
    let mut gains: Vec<f64> = vec![];
    for name in names()?.into_iter().filter(|n| settings.wants(n)) {
        let (net, _) = tn_benches::corpus(&name);
        for (minimize, label) in [(Minimize::Macs, "macs"), (Minimize::Time, "time")] {
            let Some(trees) = searched(&net, minimize, if settings.quick { 4 } else { SEARCHES })? else {
                continue;
            };
            let joined = tn_order::bench::joined(&net, &trees, minimize);
            let gain = |x: f64| (joined.single - x).exp2();
            gains.push(gain(joined.windows));
            let power = |x: f64| format!("10^{:.3}", x * std::f64::consts::LOG10_2);
            out.row(&[
                name.clone(),
                net.inputs.len().to_string(),
                label.to_owned(),
                power(joined.single),
                power(joined.met),
                format!("{:.3}", gain(joined.met)),
                power(joined.windows),
                format!("{:.3}", gain(joined.windows)),
            ]);
        }
    }
    gains.sort_by(f64::total_cmp);
    let better = gains.iter().filter(|g| **g > WORTH).count();
    let none = gains.iter().filter(|g| **g < NOTHING).count();
    let summary = match (gains.get(gains.len() / 2), gains.last()) {
        (Some(median), Some(most)) => format!(
            "Better than the best single tree by a thousandth or more in {better} of {} cases, by nothing (1.000) in {none}; median gain {median:.3}, largest {most:.2}.",
            gains.len()
        ),
        _ => "No network was searched.".to_owned(),
    };
    Ok(format!("{}\n{summary} Networks that are solved exactly are left out.\n", out.finish()))
}

/// The instances of the corpus.
fn names() -> Result<Vec<String>, String> {
    let folder = root().join("benches/corpus");
    let files = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> = files
        .filter_map(|f| f.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|n| n != "baselines" && n != "optima")
        .collect();
    names.sort();
    Ok(names)
}

/// The best trees of several searches, each without the others'; none if the network is solved exactly.
fn searched(net: &Network, minimize: Minimize, count: u64) -> Result<Option<Vec<Tree>>, String> {
    let mut trees = vec![];
    for seed in 0..count {
        let options =
            Options { minimize, seed, trials: Some(TRIALS), meet: false, threads: 2, ..Options::default() };
        let found =
            tn_order::plan(net, &options).map_err(|_| "a network of the corpus has no plan".to_owned())?;
        if found.optimal {
            return Ok(None);
        }
        trees.push(found.tree);
    }
    Ok(Some(trees))
}

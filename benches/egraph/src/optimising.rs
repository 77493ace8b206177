//! How long optimising takes, and whether its budgets hold.

use crate::case::{Settings, example};
use crate::report::{Table, bytes, ratio, seconds};
use crate::stats::median;
use std::time::Instant;
use tn_driver::{Options, Rules};

/// The budgets of `--egraph-nodes` and `--egraph-steps` if they are not given (docs/rewrites.md).
const NODES: usize = 20_000;
const STEPS: usize = 4;
const EXAMPLES: [&str; 8] =
    ["amplitude", "ising", "lora", "mera_energy", "mps_overlap", "peps_norm", "tt_linear", "vgg16_fc2"];

/// The table of the section.
pub fn table(settings: &Settings) -> Result<String, String> {
    let mut out = Table::new(
        1,
        &[
            "example, with its gradient",
            "compile",
            "without rewrites",
            "the graph",
            "modelled",
            "without rewrites",
            "ratio",
            "peak",
            "nodes of the graph",
            "rounds",
        ],
    );
    for name in EXAMPLES.into_iter().filter(|n| settings.wants(n)) {
        let one = |rules: Rules, egraph_steps: Option<usize>| -> Result<_, String> {
            let options = Options { grad: true, rules, egraph_steps, ..settings.options() };
            let (mut times, mut last) = (vec![], None);
            for _ in 0..if settings.quick { 1 } else { 3 } {
                let began = Instant::now();
                let compiled = tn_driver::compile(&example(name), &options);
                times.push(began.elapsed().as_secs_f64());
                last = Some(compiled.map_err(|e| format!("{name}: {}", e.render(false)))?);
            }
            let compiled = last.ok_or("not compiled")?;
            let s = compiled.plan().map_err(|e| format!("{name}: {}", e.render(false)))?.summary.clone();
            let report = compiled
                .built
                .as_ref()
                .and_then(|b| b.rewritten.as_ref())
                .map(|r| (r.report.size.0, r.report.derivation.rounds.len()));
            Ok((median(&times), s, report))
        };
        let (on, off) = (one(Rules::default(), None)?, one(Rules::NONE, None)?);
        let searched = one(Rules::default(), Some(0))?.0;
        let (nodes, rounds) = on.2.unwrap_or((0, 0));
        if rounds > STEPS {
            return Err(format!("{name}: {rounds} rounds where {STEPS} are allowed"));
        }
        let over = if nodes > NODES { " (over)" } else { "" };
        let shown = |n: usize| if on.2.is_none() { "–".to_owned() } else { n.to_string() };
        out.row(&[
            format!("`{name}`"),
            seconds(on.0),
            seconds(off.0),
            seconds((on.0 - searched).max(0.0)),
            seconds(on.1.modelled_seconds),
            seconds(off.1.modelled_seconds),
            ratio(off.1.modelled_seconds / on.1.modelled_seconds),
            bytes(on.1.peak_bytes),
            shown(nodes) + over,
            shown(rounds),
        ]);
    }
    Ok(format!(
        "{}\n*The graph*: what rewriting adds to the time of a compilation with the same search and no rounds. A dash: no rewrite was chosen. The budgets are {NODES} nodes and {STEPS} rounds.\n",
        out.finish()
    ))
}

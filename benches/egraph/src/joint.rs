//! Joint planning of forward and backward pass against the best plan of the forward pass alone, whose tree is then differentiated as it stands.

use crate::case::{Case, Settings, Variant, example, own, variant};
use crate::clock::measure;
use crate::groups::limit;
use crate::report::{Table, bytes, ratio, seconds};
use crate::trees::given_plan;
use tn_driver::{Options, Rules, Source};

struct Task {
    name: &'static str,
    source: Source,
    set: Vec<(&'static str, &'static str)>,
    wrt: Option<&'static str>,
    part: Option<u128>,
}

fn tasks(quick: bool) -> Vec<Task> {
    let plain = |name, source, wrt| Task { name, source, set: vec![], wrt, part: None };
    let tt = |part, name| Task { part: Some(part), ..plain(name, example("tt_linear"), None) };
    let mut all = vec![
        plain("tt_linear, all gradients", example("tt_linear"), None),
        plain("tt_linear, batch without gradient", example("tt_linear"), Some("w.*,bias")),
        plain("lora_frozen, frozen weights", own("lora_frozen"), Some("up,down")),
        plain("tucker, only the core trained", own("tucker"), Some("core")),
        plain("two_outputs, norm and energy", own("two_outputs"), Some("psi.*")),
        tt(2, "tt_linear, 1/2 of the bytes"),
        tt(4, "tt_linear, 1/4 of the bytes"),
        tt(10, "tt_linear, 1/10 of the bytes"),
    ];
    for (part, name) in [
        (2, "peps_norm, 1/2 of the bytes"),
        (4, "peps_norm, 1/4 of the bytes"),
        (10, "peps_norm, 1/10 of the bytes"),
    ] {
        all.push(Task { part: Some(part), ..plain(name, example("peps_norm"), None) });
    }
    if !quick {
        all.push(plain("ring, only one core trained", own("ring"), Some("w[0]")));
        for (part, name) in
            [(2, "mps, 1/2 of the bytes"), (4, "mps, 1/4 of the bytes"), (10, "mps, 1/10 of the bytes")]
        {
            let set = vec![("sites", "16"), ("chi", "32")];
            all.push(Task { part: Some(part), set, ..plain(name, example("mps_overlap"), None) });
        }
    }
    all
}

/// The best plan of the forward pass over some seeds, with the gradient of its tree: no rewrites, and no costs of the gradient in the search. Under a
/// limit values are made again, as they may be in the joint plan.
fn forward_only(task: &Task, joint: &Options, seeds: u64) -> Result<Variant, String> {
    let mut best: Option<(f64, Options)> = None;
    for seed in 0..seeds {
        let alone =
            Options { grad: false, wrt: None, memory: None, rules: Rules::NONE, seed, ..joint.clone() };
        let found = variant("forward only", &task.source, &alone)?;
        if best.as_ref().is_none_or(|(s, _)| found.modelled() < *s) {
            let rules = Rules { recompute: true, ..Rules::NONE };
            let derived = Options { rules, ..joint.clone() };
            best = Some((found.modelled(), given_plan(&found.plan.regions, &derived)?));
        }
    }
    let (_, options) = best.ok_or("no seeds")?;
    variant("forward only", &task.source, &options)
}

/// The table of the section.
pub fn table(settings: &Settings) -> Result<String, String> {
    let seeds = if settings.quick { 2 } else { 5 };
    let (mut cases, mut refused) = (vec![], vec![]);
    for task in tasks(settings.quick).into_iter().filter(|t| settings.wants(t.name)) {
        let set = task.set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut options = Options { set, grad: true, wrt: task.wrt.map(str::to_owned), ..settings.options() };
        if let Some(part) = task.part {
            // of what the forward-only tree takes with everything saved: the same bytes for both
            options.memory = limit(&forward_only(&task, &options, seeds)?.plan, part);
        }
        let joint = match variant("joint", &task.source, &options) {
            Ok(v) => v,
            Err(why) => {
                refused.push(format!("{}: no joint plan ({}).", task.name, why.lines().next().unwrap_or("")));
                continue;
            }
        };
        match forward_only(&task, &options, seeds) {
            Ok(alone) => cases.push(Case { name: task.name.into(), variants: vec![joint, alone] }),
            Err(why) => {
                let first = why.lines().next().unwrap_or("");
                refused.push(format!(
                    "{}: the forward-only tree has no plan ({first}); the joint one is modelled with {} at {}.",
                    task.name,
                    seconds(joint.modelled()),
                    bytes(joint.plan.summary.peak_bytes)
                ));
            }
        }
    }
    let timings = measure(&cases, "joint", settings)?;
    let mut out = Table::new(
        1,
        &[
            "case",
            "modelled joint",
            "forward only",
            "ratio",
            "peak joint",
            "forward only",
            "saving + vjp joint",
            "forward only",
            "ratio",
            "forward joint",
            "forward only",
        ],
    );
    for (case, t) in cases.iter().zip(&timings) {
        let [a, b] = [&case.variants[0], &case.variants[1]];
        out.row(&[
            case.name.clone(),
            seconds(a.modelled()),
            seconds(b.modelled()),
            ratio(b.modelled() / a.modelled()),
            bytes(a.plan.summary.peak_bytes),
            bytes(b.plan.summary.peak_bytes),
            seconds(t[0].pair),
            seconds(t[1].pair),
            ratio(t[1].pair / t[0].pair),
            seconds(t[0].forward),
            seconds(t[1].forward),
        ]);
    }
    let refused = refused.iter().fold(String::new(), |s, r| s + "\n" + r + "\n");
    Ok(out.finish() + &refused)
}

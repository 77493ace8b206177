//! The cost model against the clock: plans of one network, ranked by both.

use crate::case::{Case, Settings, Variant, example, own, variant};
use crate::clock::{Timing, measure};
use crate::harness::emitted;
use crate::report::{Table, ratio, seconds};
use crate::stats::{geometric_mean, kendall, median};
use crate::trees::{Random, given, greedy, left_to_right};
use std::collections::HashSet;
use tn_driver::machine::load;
use tn_driver::{Options, Rules, Source};
use tn_ir::size::Dim;
use tn_kernel::{Target, lower_plan};
use tn_plan::cost::step_costs;
use tn_plan::ir::EntryKind;

/// Plans slower than the best by more than this, by the model, are not timed.
const RANGE: f64 = 12.0;
/// Plans that the model gives more than so many seconds are not timed.
const LONGEST: f64 = 0.4;
/// Modelled and measured times closer than this are ties.
const GRAIN: f64 = 0.02;

/// Name, network, its parameters, whether the gradient is timed.
type Workload = (&'static str, Source, Vec<(&'static str, &'static str)>, bool);

fn workloads(quick: bool) -> Vec<Workload> {
    let mut all = vec![
        ("tensor-train layer", example("tt_linear"), vec![], false),
        ("MPS overlap", example("mps_overlap"), vec![("sites", "16"), ("chi", "32")], false),
        ("PEPS norm", example("peps_norm"), vec![], false),
        ("MERA energy", example("mera_energy"), vec![("sites", "16"), ("chi", "4"), ("site", "5")], false),
        ("circuit amplitude", example("amplitude"), vec![("sites", "14"), ("layers", "8")], false),
        ("tensor-ring layer", own("ring"), vec![], false),
        ("Tucker layer", own("tucker"), vec![], false),
        ("FC2 as a tree", own("fc2_layer"), vec![], false),
        ("Ising, hyperedges", example("ising"), vec![("n", "9")], false),
        ("tensor-train layer, gradient", example("tt_linear"), vec![], true),
        ("MPS overlap, gradient", example("mps_overlap"), vec![("sites", "10"), ("chi", "32")], true),
    ];
    if quick {
        all.truncate(8);
    }
    all
}

/// Plans of one network from good to bad, the best by the model first.
fn plans(name: &str, source: &Source, options: &Options, count: usize) -> Result<Vec<Variant>, String> {
    let fail = |e: tn_driver::Error| format!("{name}: {}", e.render(false));
    let mut all = vec![variant("searched", source, options)?];
    for seed in 1..3 {
        let other = Options { seed, preset: tn_driver::Preset::Fast, ..options.clone() };
        all.push(variant(&format!("seed {seed}"), source, &other)?);
    }
    let prepared = tn_driver::prepare(source, options).map_err(fail)?;
    let networks = prepared.networks();
    let mut add = |label: String, paths: Vec<Vec<(u32, u32)>>| -> Result<(), String> {
        let options = given(&prepared, &paths, options)?;
        let compiled = tn_driver::compile(source, &options).map_err(fail)?;
        // one that no memory holds is not timed either
        if let Ok(plan) = compiled.plan() {
            all.push(Variant::new(label, plan));
        }
        Ok(())
    };
    add("left to right".into(), networks.iter().map(left_to_right).collect())?;
    for (t, temperature) in [0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0].into_iter().enumerate() {
        for k in 0..if t == 0 { 1 } else { 8 } {
            let mut random = Random::new(100 * t as u64 + k);
            let paths = networks.iter().map(|n| greedy(n, temperature, &mut random)).collect();
            add(format!("greedy {temperature} #{k}"), paths)?;
        }
    }
    all.sort_by(|a, b| a.modelled().total_cmp(&b.modelled()));
    let best = all[0].modelled();
    all.retain(|v| v.modelled() <= best * RANGE && v.modelled() <= LONGEST.max(2.0 * best));
    let mut known = HashSet::new();
    let mut distinct = vec![];
    for v in all {
        if known.insert(emitted(&v.plan)?) {
            distinct.push(v);
        }
    }
    // evenly in the logarithm of the modelled time, both ends included
    let log: Vec<f64> = distinct.iter().map(|v| v.modelled().ln()).collect();
    let mut left: Vec<Option<Variant>> = distinct.into_iter().map(Some).collect();
    let (from, to) = (log[0], log[log.len() - 1]);
    let mut picked = vec![];
    for k in 0..count {
        let want = from + (to - from) * k as f64 / (count - 1) as f64;
        let nearest = (0..left.len())
            .filter(|&i| left[i].is_some())
            .min_by(|&i, &j| (log[i] - want).abs().total_cmp(&(log[j] - want).abs()));
        picked.extend(nearest.and_then(|i| left[i].take()));
    }
    picked.sort_by(|a, b| a.modelled().total_cmp(&b.modelled()));
    Ok(picked)
}

/// The table of the section.
pub fn table(settings: &Settings) -> Result<String, String> {
    let count = if settings.quick { 8 } else { 12 };
    let mut cases = vec![];
    for (name, source, set, grad) in workloads(settings.quick) {
        if !settings.wants(name) {
            continue;
        }
        let set = set.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let options = Options { set, grad, rules: Rules::NONE, ..settings.options() };
        cases.push(Case { name: name.into(), variants: plans(name, &source, &options, count)? });
    }
    let timings = measure(&cases, "model", settings)?;
    let mut out = Table::new(
        1,
        &[
            "workload",
            "plans",
            "fastest",
            "slowest / fastest",
            "Kendall's τ",
            "first choice / fastest",
            "modelled / measured",
        ],
    );
    let (mut taus, mut firsts) = (vec![], vec![]);
    for (case, times) in cases.iter().zip(&timings) {
        let modelled: Vec<f64> = case.variants.iter().map(Variant::modelled).collect();
        let measured: Vec<f64> = times.iter().map(Timing::whole).collect();
        let fastest = measured.iter().copied().fold(f64::INFINITY, f64::min);
        let slowest = measured.iter().copied().fold(0.0, f64::max);
        let tau = kendall(&modelled, &measured, GRAIN);
        let off: Vec<f64> = modelled.iter().zip(&measured).map(|(m, t)| m / t).collect();
        taus.push(tau);
        firsts.push(measured[0] / fastest);
        out.row(&[
            case.name.clone(),
            case.variants.len().to_string(),
            seconds(fastest),
            ratio(slowest / fastest),
            ratio(tau),
            ratio(measured[0] / fastest),
            ratio(median(&off)),
        ]);
        eprintln!("{}", case.name);
        for (v, t) in case.variants.iter().zip(times) {
            let (m, w) = (v.modelled(), t.whole());
            eprintln!("  {:<18} modelled {:>9} measured {:>9} {:.2}", v.label, seconds(m), seconds(w), m / w);
            if settings.profile {
                profile(v, t, settings)?;
            }
        }
    }
    let worst = firsts.iter().copied().fold(0.0, f64::max);
    Ok(format!(
        "{}\nThe median of τ is {:.2}; the first choice takes {:.2} times the fastest plan's time on average (geometric), {worst:.2} times at worst.\n",
        out.finish(),
        median(&taus),
        geometric_mean(&firsts)
    ))
}

/// What the kernels of `forward` take, the largest first: by the clock, by the model, and where they walk.
fn profile(v: &Variant, t: &Timing, settings: &Settings) -> Result<(), String> {
    let machine = load(settings.machine.as_deref()).map_err(|e| e.render(false))?;
    let m = lower_plan(&v.plan, Target::Cpu).map_err(|e| e.to_string())?;
    let Some(entry) = v.plan.entries.iter().find(|e| e.kind == EntryKind::Forward) else { return Ok(()) };
    let costs = step_costs(&v.plan, entry, &machine);
    let size = |d: Dim| d.eval(|s| tn_plan::cost::hint(&v.plan, s).max(0) as u64);
    let mut rows = vec![];
    for (id, k) in m.kernels.enumerate() {
        let name = format!("{}_{}", k.what, id.0);
        let Some((_, calls, clock)) = t.kernels.iter().find(|(n, ..)| *n == name) else { continue };
        let Some((step, cost)) = costs.iter().find(|(s, _)| s.text == m.uses[id.0 as usize].0) else {
            continue;
        };
        let axes: Vec<String> = step
            .space
            .iter()
            .enumerate()
            .map(|(x, a)| {
                let strides: Vec<String> = step
                    .ins
                    .iter()
                    .chain([&step.out])
                    .map(|o| format!("{}", o.strides[x].eval(|s| tn_plan::cost::hint(&v.plan, s))))
                    .collect();
                format!("{}{}({})", size(a.size), if a.reduce { "Σ" } else { "" }, strides.join(" "))
            })
            .collect();
        rows.push((
            *clock,
            format!(
                "{name} ×{calls} {} model {} {}",
                seconds(*clock),
                seconds(cost.seconds * *calls as f64 / cost.rounds),
                axes.join(" ")
            ),
        ));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.iter().take(6).for_each(|(_, text)| eprintln!("      {text}"));
    Ok(())
}

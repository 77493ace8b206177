//! The report of `tnc plan` for people: totals, regions, and a table of steps.

use crate::json::entry_name;
use crate::live::timeline;
use crate::region_plan::log10_sum;
use crate::table::Table;
use crate::values::{show_bytes, show_log10};
use std::fmt::Write;
use tn_plan::cost::{Machine, hint, step_costs};
use tn_plan::ir::{Entry, Plan, RegionPlan};

/// Steps shown of one entry: those that cost most, in the order in which they run.
const MAX_STEPS: usize = 40;
/// Tensors that are named at the peak.
const AT_PEAK: usize = 6;
/// Sliced indices named of one region.
const MAX_SLICED: usize = 40;
/// The longest index expression that is shown whole.
const MAX_TEXT: usize = 96;

/// The report on a plan.
pub fn report(plan: &Plan, machine: &Machine) -> String {
    let mut out = String::new();
    let s = &plan.summary;
    let _ = writeln!(
        out,
        "plan of {} from {} ({}, seed {}, machine {})",
        plan.name, plan.source, plan.dtype, s.seed, s.machine
    );
    let macs = log10_sum(plan.regions.iter().map(|r| r.log10_macs));
    let naive = log10_sum(plan.regions.iter().map(|r| r.log10_macs_naive));
    let largest = plan.regions.iter().map(|r| r.log2_max_size).fold(0.0, f64::max);
    let bytes: f64 = s.entries.first().map_or(0.0, |e| e.bytes_moved);
    let mut totals = Table::new(["total", ""]);
    totals.row(["multiply-adds of contractions", &power(macs)]);
    totals.row([
        "gain over left to right",
        &format!("{} times", show_log10(if naive > macs { naive - macs } else { 0.0 })),
    ]);
    totals.row(["largest intermediate", &format!("2^{largest:.2} elements")]);
    totals.row(["peak memory", &show_bytes(s.peak_bytes)]);
    totals.row(["workspace", &show_bytes(s.workspace_bytes)]);
    totals.row(["saved for the gradient", &show_bytes(s.saved_bytes)]);
    totals.row(["bytes moved, forward", &show_bytes(bytes as u128)]);
    totals.row(["modelled time", &show_seconds(s.modelled_seconds)]);
    out.push_str(&totals.render());
    out.push_str(&regimes_text(plan));
    regions(&mut out, &plan.regions);
    for entry in &plan.entries {
        steps(&mut out, plan, entry, machine);
    }
    out
}

/// The schedules of a plan that has several: the sizes that each is for, and what it costs at one of them.
pub fn regimes_text(plan: &Plan) -> String {
    let Some(regimes) = &plan.regimes else { return String::new() };
    let name = plan.symbols.get(regimes.symbol).map_or("?", |s| s.name.as_str());
    let mut table = Table::new([name, "figures at", "multiply-adds", "peak", "saved", "modelled"]);
    for (range, schedule) in plan.ranges().into_iter().zip(plan.schedules()) {
        let s = &schedule.summary;
        let own = if range == regimes.own { " *" } else { "" };
        table.row([
            format!("{range}{own}"),
            hint(&schedule, regimes.symbol).to_string(),
            show_log10(log10_sum(schedule.regions.iter().map(|r| r.log10_macs))),
            show_bytes(s.peak_bytes),
            show_bytes(s.saved_bytes),
            show_seconds(s.modelled_seconds),
        ]);
    }
    format!(
        "{} schedules, each for a range of `{name}`; steps and totals are of the one for the hint, marked *\n{}",
        table.len(),
        table.render()
    )
}

/// `48584 (10^4.686)`: a count by its logarithm; nothing is `0`.
fn power(log10: f64) -> String {
    if log10 == f64::NEG_INFINITY { "0".into() } else { format!("{} (10^{log10:.3})", show_log10(log10)) }
}

/// `1.23 ms`: a time for people.
pub fn show_seconds(s: f64) -> String {
    match s {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} µs", s * 1e6),
    }
}

fn regions(out: &mut String, regions: &[RegionPlan]) {
    let mut table = Table::new([
        "region",
        "tensors",
        "multiply-adds",
        "left to right",
        "log2 largest",
        "slices",
        "order",
    ]);
    for r in regions {
        let slices: f64 = r.sliced.iter().map(|&i| (r.sizes[i as usize] as f64).log10()).sum();
        table.row([
            r.name.clone(),
            r.inputs.len().to_string(),
            show_log10(r.log10_macs),
            show_log10(r.log10_macs_naive),
            format!("{:.2}", r.log2_max_size),
            show_log10(slices),
            match (r.optimal, r.time_limited) {
                (true, _) => "proven best".to_owned(),
                (_, true) => "cut by the clock".to_owned(),
                _ => String::new(),
            },
        ]);
    }
    if !table.is_empty() {
        out.push_str(&table.render());
    }
    for r in regions.iter().filter(|r| !r.sliced.is_empty()) {
        let names = r.sliced.iter().take(MAX_SLICED).map(|&i| r.index_names[i as usize].as_str());
        let names: Vec<&str> = names.collect();
        let more = match r.sliced.len().saturating_sub(MAX_SLICED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let _ = writeln!(out, "  {} is sliced over {}{more}", r.name, names.join(", "));
    }
}

fn steps(out: &mut String, plan: &Plan, entry: &Entry, machine: &Machine) {
    let costs = step_costs(plan, entry, machine);
    let total: f64 = costs.iter().map(|(_, c)| c.seconds).sum();
    let _ = writeln!(out, "{}: {} steps, {}", entry_name(entry.kind), costs.len(), show_seconds(total));
    let memory = timeline(plan, entry, &|s| hint(plan, s), AT_PEAK);
    let mut order: Vec<usize> = (0..costs.len()).collect();
    if costs.len() > MAX_STEPS {
        order.sort_by(|&a, &b| costs[b].1.seconds.total_cmp(&costs[a].1.seconds).then(a.cmp(&b)));
        order.truncate(MAX_STEPS);
        if !order.contains(&memory.peak_step) {
            order.push(memory.peak_step);
        }
        order.sort_unstable();
    }
    let mut table =
        Table::new(["step", "index expression", "rounds", "operations", "bytes", "modelled", "live"]);
    let shown = order.len();
    for k in order {
        let (step, cost) = &costs[k];
        table.row([
            k.to_string(),
            shorten(&step.text),
            if cost.rounds == 1.0 { String::new() } else { show_log10(cost.rounds.log10()) },
            show_log10(cost.macs.log10()),
            show_bytes(cost.bytes as u128),
            show_seconds(cost.seconds),
            memory.live.get(k).map_or_else(String::new, |&b| show_bytes(b)),
        ]);
    }
    out.push_str(&table.render());
    if costs.len() > shown {
        let _ = writeln!(
            out,
            "  {shown} steps: those that take longest, and the one at the peak; `--format ron` has all `{}`",
            costs.len()
        );
    }
    if let Some((step, _)) = costs.get(memory.peak_step) {
        let _ = writeln!(
            out,
            "  most is live at step {}, {}: {}",
            memory.peak_step,
            shorten(&step.text),
            show_bytes(memory.peak())
        );
        for (name, bytes) in &memory.at_peak {
            let _ = writeln!(out, "    {:>12}  {name}", show_bytes(*bytes));
        }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

/// The report on a plan that is too large to allocate: its trees.
pub fn trees_report(name: &str, plans: &[RegionPlan]) -> String {
    let mut out = format!("plan of {name}: too large to allocate or to run, the trees alone\n");
    regions(&mut out, plans);
    out.push_str("help: `--memory` or `--max-size` slices indices until a plan fits; larger limits take fewer slices\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people_and_long_expressions() {
        assert_eq!(show_seconds(0.00123), "1.23 ms");
        assert_eq!(show_seconds(2.0), "2.00 s");
        assert_eq!(shorten(&"x".repeat(200)).chars().count(), MAX_TEXT);
    }
}

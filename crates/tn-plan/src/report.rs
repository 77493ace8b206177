//! Plans for people: totals, regions, and a table of steps.

use crate::cost::{Machine, StepCost, hint, peak_bytes_at_max, step_costs};
use crate::ir::*;
use std::fmt::Write as _;
use tn_ir::size::{Dim, Poly};

/// What a report shows.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportOptions {
    /// Rows of each table of steps; none for all.
    pub rows: Option<usize>,
    /// What times are modelled with.
    pub machine: Machine,
}

impl Default for ReportOptions {
    fn default() -> ReportOptions {
        ReportOptions { rows: Some(24), machine: Machine::default() }
    }
}

/// The report of a plan.
pub fn report(plan: &Plan, options: &ReportOptions) -> String {
    let mut out = String::new();
    header(plan, &mut out);
    regions(plan, &mut out);
    for (i, entry) in plan.entries.iter().enumerate() {
        let _ = writeln!(out);
        totals(plan, i, entry, &mut out);
        table(plan, entry, options, &mut out);
    }
    out
}

fn header(plan: &Plan, out: &mut String) {
    let s = &plan.summary;
    let _ = write!(out, "plan `{}` ({})", plan.name, plan.dtype);
    if !plan.source.is_empty() {
        let _ = write!(out, " from {}", plan.source);
    }
    let _ = writeln!(out);
    let sizes: Vec<String> = plan
        .symbols
        .iter()
        .filter(|x| x.is_dyn())
        .map(|x| format!("{} = {} (run-time size)", x.name, x.value()))
        .collect();
    if !sizes.is_empty() {
        let _ = writeln!(out, "  at             {}", sizes.join(", "));
    }
    let _ = writeln!(out, "  peak           {}", bytes(s.peak_bytes));
    let at_max = peak_bytes_at_max(plan);
    if at_max != s.peak_bytes {
        let _ = writeln!(out, "  peak at most   {} (run-time sizes at their maxima)", bytes(at_max));
    }
    let _ = writeln!(out, "  workspace      {}", bytes(s.workspace_bytes));
    if s.saved_bytes > 0 {
        let _ = writeln!(out, "  saved          {}", bytes(s.saved_bytes));
    }
    let _ = writeln!(out, "  modelled time  {} on `{}`", seconds(s.modelled_seconds), s.machine);
}

fn regions(plan: &Plan, out: &mut String) {
    if plan.regions.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nregions");
    let name_width = plan.regions.iter().map(|r| r.name.chars().count()).max().unwrap_or(0).max(4);
    let _ = writeln!(
        out,
        "  {:name_width$}  {:>6}  {:>12}  {:>12}  {:>9}  {:>9}  sliced",
        "name", "inputs", "log10 macs", "naive", "log2 size", "log2 peak"
    );
    for r in &plan.regions {
        let sliced: Vec<&str> =
            r.sliced.iter().filter_map(|&i| r.index_names.get(i as usize).map(String::as_str)).collect();
        let mark = if r.optimal { "  optimal" } else { "" };
        let _ = writeln!(
            out,
            "  {:name_width$}  {:>6}  {:>12.3}  {:>12.3}  {:>9.2}  {:>9.2}  {}{mark}",
            r.name,
            r.inputs.len(),
            r.log10_macs,
            r.log10_macs_naive,
            r.log2_max_size,
            r.log2_peak,
            if sliced.is_empty() { "-".to_string() } else { sliced.join(", ") },
        );
        let gain = r.log10_macs_naive - r.log10_macs;
        if gain > 0.01 {
            let _ = writeln!(
                out,
                "  {:name_width$}  {} times fewer than from left to right",
                "",
                count(10f64.powf(gain))
            );
        }
    }
}

/// The name of an entry, as in options and generated code.
pub fn entry_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    }
}

fn totals(plan: &Plan, i: usize, entry: &Entry, out: &mut String) {
    let default = EntrySummary::default();
    let s = plan.summary.entries.get(i).unwrap_or(&default);
    let _ = writeln!(
        out,
        "{}: {} multiply-adds, {} moved, {} in {} step{}, workspace {}, peak {}",
        entry_name(entry.kind),
        count(s.macs),
        bytes(s.bytes_moved as u128),
        seconds(s.seconds),
        s.steps,
        if s.steps == 1 { "" } else { "s" },
        bytes(s.workspace_bytes),
        bytes(s.peak_bytes),
    );
    let value = |p: &Poly| p.eval(|x| hint(plan, x)).max(0) as u128 * u128::from(plan.dtype.bytes());
    let largest = entry
        .buffers
        .iter()
        .filter(|b| b.class == Class::Workspace)
        .max_by(|x, y| value(&x.len).cmp(&value(&y.len)).then(y.name.cmp(&x.name)));
    if let Some(b) = largest {
        let _ = writeln!(out, "  largest intermediate: {} of {}", b.name, bytes(value(&b.len)));
    }
}

fn table(plan: &Plan, entry: &Entry, options: &ReportOptions, out: &mut String) {
    let costs = step_costs(plan, entry, &options.machine);
    let shown = options.rows.unwrap_or(costs.len()).min(costs.len());
    if shown == 0 {
        return;
    }
    let rows: Vec<[String; 7]> = costs.iter().take(shown).enumerate().map(|(i, c)| row(plan, i, c)).collect();
    let head = ["step", "expression", "sizes", "rounds", "multiply-adds", "moved", "time"];
    let mut widths: Vec<usize> = head.iter().map(|h| h.len()).collect();
    for r in &rows {
        for (w, cell) in widths.iter_mut().zip(r) {
            *w = (*w).max(cell.chars().count());
        }
    }
    let mut line = |cells: Vec<&str>| {
        let mut text = String::from(" ");
        for (k, (cell, w)) in cells.iter().zip(&widths).enumerate() {
            let fill = " ".repeat(w.saturating_sub(cell.chars().count()));
            // Text to the left, numbers to the right.
            let cell = if k == 1 || k == 2 { format!("{cell}{fill}") } else { format!("{fill}{cell}") };
            text.push(' ');
            text.push_str(&cell);
            text.push(' ');
        }
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(head.to_vec());
    for r in &rows {
        line(r.iter().map(String::as_str).collect());
    }
    if shown < costs.len() {
        let rest: f64 = costs[shown..].iter().map(|c| c.1.macs).sum();
        let _ = writeln!(out, "  … {} more steps with {} multiply-adds", costs.len() - shown, count(rest));
    }
}

fn row(plan: &Plan, i: usize, (step, cost): &(&Step, StepCost)) -> [String; 7] {
    let size = |d: Dim| match d {
        Dim::Const(n) => n.to_string(),
        Dim::Dyn(s) => plan.symbols.get(s).map_or_else(|| "?".into(), |x| x.name.clone()),
    };
    let list = |reduce: bool| -> Vec<String> {
        step.space.iter().filter(|a| a.reduce == reduce).map(|a| size(a.size)).collect()
    };
    let (kept, folded) = (list(false).join("·"), list(true).join("·"));
    let sizes = match (kept.is_empty(), folded.is_empty()) {
        (_, true) => kept,
        (true, _) => format!("Σ {folded}"),
        _ => format!("{kept} Σ {folded}"),
    };
    [
        i.to_string(),
        step.text.clone(),
        sizes,
        count(cost.rounds),
        count(cost.macs),
        bytes(cost.bytes as u128),
        seconds(cost.seconds),
    ]
}

/// A number with three digits and a power of ten where it is long.
fn count(x: f64) -> String {
    if x < 1e6 && x.fract() == 0.0 {
        format!("{x:.0}")
    } else if x < 1e3 {
        format!("{x:.1}")
    } else {
        format!("{x:.2e}")
    }
}

/// Bytes in binary units.
fn bytes(n: u128) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut x, mut unit) = (n as f64, 0);
    while x >= 1024.0 && unit + 1 < UNITS.len() {
        x /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{x:.2} {}", UNITS[unit]) }
}

/// Seconds in a unit of their size.
fn seconds(t: f64) -> String {
    if t < 1e-3 {
        format!("{:.1} µs", t * 1e6)
    } else if t < 1.0 {
        format!("{:.2} ms", t * 1e3)
    } else {
        format!("{t:.2} s")
    }
}

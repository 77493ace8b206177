//! What is in memory when a plan needs the most of it.

use tn_ir::size::SymbolId;
use tn_plan::cost::{declared_max, entry_bytes, peak_bytes_at_max};
use tn_plan::ir::{Buffer, Class, Entry, Plan};

/// How many tensors are named; the rest are of no help.
const SHOWN: usize = 8;

/// What is live while an entry runs, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What is there throughout: parameters, inputs, outputs, what is saved.
    pub held: u128,
    /// That, and the whole workspace: what is allocated.
    pub allocated: u128,
    /// That, and what is live in the workspace, for each step.
    pub live: Vec<u128>,
    /// The step where most is live, the first of equals.
    pub peak_step: usize,
    /// Names and bytes of what is live there, largest first.
    pub at_peak: Vec<(String, u128)>,
}

impl Timeline {
    /// What is live at the worst moment.
    pub fn peak(&self) -> u128 {
        self.live.get(self.peak_step).copied().unwrap_or(self.held)
    }
}

/// The timeline of an entry at these run-time sizes. At most `shown` tensors at the peak are named.
pub fn timeline(plan: &Plan, entry: &Entry, value_of: &dyn Fn(SymbolId) -> i64, shown: usize) -> Timeline {
    let allocated = entry_bytes(plan, entry, value_of);
    let arena = elements(&entry.workspace_len, value_of).saturating_mul(plan.dtype.bytes() as u128);
    let held = allocated.saturating_sub(arena);
    let moments = tn_plan::timeline::timeline(plan, entry, value_of);
    let live: Vec<u128> = moments.iter().map(|m| held.saturating_add(m.workspace_bytes)).collect();
    let mut peak_step = 0;
    for (k, &bytes) in live.iter().enumerate() {
        if bytes > live[peak_step] {
            peak_step = k;
        }
    }
    let when = moments.get(peak_step).map_or(0, |m| m.position);
    let mut at_peak: Vec<(String, u128)> = entry
        .buffers
        .iter()
        .filter(|b| b.class != Class::Workspace || (b.live.0 <= when && when <= b.live.1))
        .map(|b| (b.name.clone(), bytes(plan, b, value_of)))
        .collect();
    let named: u128 = at_peak.iter().map(|x| x.1).fold(0, u128::saturating_add);
    let peak = live.get(peak_step).copied().unwrap_or(held);
    if peak > named {
        // A backward pass does not read the outputs, say, but they are there.
        at_peak.push(("held, not used here".into(), peak - named));
    }
    at_peak.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if at_peak.len() > shown {
        let rest: u128 = at_peak[shown..].iter().map(|x| x.1).fold(0, u128::saturating_add);
        let count = at_peak.len() - shown;
        at_peak.truncate(shown);
        at_peak.push((format!("{count} more"), rest));
    }
    Timeline { held, allocated, live, peak_step, at_peak }
}

/// Names and bytes of the tensors that are live at the worst moment of the entry that needs most, largest first.
pub fn live_at_worst(plan: &Plan, value_of: &dyn Fn(SymbolId) -> i64) -> Vec<(String, u128)> {
    // The first of equals, so that the answer is stable.
    let mut worst: Option<(u128, &Entry)> = None;
    for entry in &plan.entries {
        let peak = entry_bytes(plan, entry, value_of);
        if worst.is_none_or(|(p, _)| peak > p) {
            worst = Some((peak, entry));
        }
    }
    worst.map(|(_, entry)| timeline(plan, entry, value_of, SHOWN).at_peak).unwrap_or_default()
}

/// The same with run-time sizes at their declared maxima; of several schedules, those of the one that needs most at the end of its range.
pub fn live_at_max(plan: &Plan) -> Vec<(String, u128)> {
    let schedules = plan.schedules();
    let peaks: Vec<u128> = schedules.iter().map(|p| peak_bytes_at_max(p)).collect();
    let worst = (0..peaks.len()).fold(0, |w, k| if peaks[k] > peaks[w] { k } else { w });
    schedules.get(worst).map(|p| live_at_worst(p, &|s| declared_max(p, s))).unwrap_or_default()
}

fn elements(p: &tn_ir::size::Poly, value_of: &dyn Fn(SymbolId) -> i64) -> u128 {
    u128::try_from(p.eval(value_of)).unwrap_or(0)
}

fn bytes(plan: &Plan, b: &Buffer, value_of: &dyn Fn(SymbolId) -> i64) -> u128 {
    elements(&b.len, value_of).saturating_mul(plan.dtype.bytes() as u128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, compile};
    use tn_plan::cost::hint;

    #[test]
    fn the_worst_moment_is_found() {
        let n = 12;
        let letters: Vec<char> = ('a'..='z').take(n + 1).collect();
        let inputs: Vec<String> = letters.windows(2).map(|w| w.iter().collect()).collect();
        let source = Source::Einsum {
            expression: format!("{}->{}{}", inputs.join(","), letters[0], letters[n]),
            sizes: letters.iter().enumerate().map(|(k, c)| (c.to_string(), 2 + k as u64 % 5)).collect(),
        };
        let compiled = compile(&source, &Options { grad: true, ..Options::default() }).unwrap();
        let plan = compiled.plan().unwrap();
        let mut worst = 0;
        for entry in &plan.entries {
            let t = timeline(plan, entry, &|s| hint(plan, s), usize::MAX);
            let steps = tn_plan::cost::step_costs(plan, entry, &compiled.machine).len();
            assert_eq!(t.live.len(), steps);
            assert!(t.live.iter().all(|&b| t.held <= b && b <= t.peak() && b <= t.allocated));
            // The tensors that are named are all that is live.
            assert_eq!(t.at_peak.iter().map(|x| x.1).sum::<u128>(), t.peak());
            assert!(t.at_peak.is_sorted_by(|a, b| a.1 >= b.1));
            worst = worst.max(t.allocated);
        }
        assert_eq!(worst, plan.summary.peak_bytes);
        let named = live_at_worst(plan, &|s| hint(plan, s));
        assert!(named.len() == SHOWN + 1 && named[SHOWN].0.ends_with(" more"), "{named:?}");
    }
}

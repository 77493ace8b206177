//! The ranges of a plan with several schedules, and each schedule as a plan of its own.

use super::Errors;
use crate::ir::*;
use tn_ir::size::SymbolKind;

/// Checks that the plan has the version of its form, and exactly one schedule for each size.
pub(super) fn check(plan: &Plan, errors: &mut Errors) {
    let version = if plan.regimes.is_some() { REGIMES_VERSION } else { PLAN_VERSION };
    if plan.version != version {
        errors.add(format!("the plan has version {}, not {version}", plan.version));
    }
    if let Some(regimes) = &plan.regimes {
        ranges(plan, regimes, errors);
    }
}

fn ranges(plan: &Plan, regimes: &Regimes, errors: &mut Errors) {
    let Some(SymbolKind::Dyn { hint, max }) = plan.symbols.get(regimes.symbol).map(|s| &s.kind) else {
        return errors.add("the schedules are told apart by a size that is not known at run time only");
    };
    if regimes.others.is_empty() {
        errors.add("the plan has ranges of sizes but one schedule");
    }
    if !regimes.own.contains(*hint) {
        errors.add(format!("the hint {hint} is not among the sizes {} of its own schedule", regimes.own));
    }
    for r in &regimes.others {
        if !r.range.contains(r.at) {
            errors.add(format!(
                "the totals of the schedule for sizes {} are for {}, which is not among them",
                r.range, r.at
            ));
        }
        let kinds = |entries: &[Entry]| entries.iter().map(|e| e.kind).collect::<Vec<_>>();
        if kinds(&r.entries) != kinds(&plan.entries) {
            errors.add(format!("the schedule for sizes {} has not the entries of the plan", r.range));
        }
    }
    // From 0 to the maximum, without a gap and without a size that two have.
    let mut next = Some(0);
    for range in plan.ranges() {
        match next {
            Some(n) if range.low == n => {}
            Some(n) if range.low > n => {
                errors.add(format!("no schedule is for sizes from {n} to {}", range.low - 1));
            }
            _ => errors.add(format!("several schedules are for size {}", range.low)),
        }
        if range.high.is_some_and(|h| h < range.low) {
            errors.add(format!("the range {range} is empty"));
        }
        next = range.high.map(|h| h.saturating_add(1));
    }
    if next.map(|n| n - 1) != *max {
        let end = max.map_or("without end".to_owned(), |m| format!("to the declared maximum {m}"));
        errors.add(format!("the ranges do not go on {end}"));
    }
}

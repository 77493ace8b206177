//! Values that are made again instead of saved: gradients are what the dag says, and slips are found out.

#[path = "../../tests/common/mod.rs"]
mod common;

use super::{PlanMeta, SavePolicy, ScheduleOptions, plan, save, views};
use crate::interpret::interpret;
use crate::ir::*;
use crate::slip::assert_sound;
use common::{Evaluator, arrays, random_dag};
use std::collections::BTreeMap;
use tn_ir::Complex64;
use tn_ir::dag::{Dag, RootKind};

fn close(got: &[Complex64], want: &[Complex64]) -> bool {
    let scale = want.iter().map(|v| v.norm()).fold(1.0, f64::max);
    let same =
        |g: &Complex64, w: &Complex64| (g - w).norm() <= 1e-9 * scale || !w.is_finite() && !g.is_finite();
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| same(g, w))
}

/// Whether the gradients of a plan are those of the dag.
fn agrees(dag: &Dag, plan: &Plan, size: u64) -> bool {
    let (by_id, by_class) = arrays(dag, size, 5);
    let mut evaluator = Evaluator::new(dag, size, by_id);
    let mut saved = vec![];
    plan.entries.iter().all(|entry| {
        let Ok(results) = interpret(plan, entry, &|_| size, &by_class, &mut saved) else { return false };
        let gradients = dag.roots.iter().filter(|r| r.kind == RootKind::Grad && entry.kind == EntryKind::Vjp);
        gradients.into_iter().all(|root| {
            let want = evaluator.value(root.node, &BTreeMap::new());
            results.get(&Class::Grad(root.source)).is_some_and(|got| close(got, &want.data))
        })
    })
}

#[test]
fn what_is_made_again_has_its_value() {
    let slips = [
        "a value of one round is that of all rounds",
        "saved values have one place",
        "what was given up is there all the same",
    ];
    assert_sound(&slips, |seed| {
        let (dag, leaves, outputs) = random_dag(seed);
        let all = save::saved(&dag, &views::views(&dag), SavePolicy::SaveAll).len();
        let policies = [SavePolicy::Recompute, SavePolicy::Keep(100), SavePolicy::Keep(1000)];
        let save = policies[seed as usize % 3];
        let kept = save::saved(&dag, &views::views(&dag), save).len();
        let options = ScheduleOptions { save, ..ScheduleOptions::default() };
        let kinds = [EntryKind::ForwardSaving, EntryKind::Vjp];
        let plan = plan(&dag, leaves, outputs, PlanMeta::default(), &kinds, &options);
        (kept < all).then(|| agrees(&dag, &plan, 4))
    });
}

//! Plans of random dags mean what the dags mean, at several run-time sizes and under every policy.

mod common;

use common::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tn_ir::Complex64;
use tn_ir::dag::{Dag, RootKind};
use tn_plan::interpret::interpret;
use tn_plan::ir::*;
use tn_plan::{PlanMeta, SavePolicy, ScheduleOptions, plan, verify};

const KINDS: [EntryKind; 3] = [EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp];

fn close(got: &[Complex64], want: &[Complex64]) -> bool {
    let scale = want.iter().map(|v| v.norm()).fold(1.0, f64::max);
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(g, w)| (g - w).norm() <= 1e-9 * scale || (!w.is_finite() && !g.is_finite()))
}

fn check(dag: &Dag, plan: &Plan, size: u64) -> Result<(), String> {
    let (by_id, by_class) = arrays(dag, size, 5);
    let mut evaluator = Evaluator::new(dag, size, by_id);
    let mut saved = vec![];
    for entry in &plan.entries {
        let results = interpret(plan, entry, &|_| size, &by_class, &mut saved)?;
        for root in &dag.roots {
            let class = match root.kind {
                RootKind::Output => Class::Output(root.source),
                RootKind::Grad => Class::Grad(root.source),
                RootKind::Jvp => Class::Jvp(root.source),
            };
            let belongs = (root.kind == RootKind::Grad) == (entry.kind == EntryKind::Vjp);
            if !belongs {
                continue;
            }
            let want = evaluator.value(root.node, &BTreeMap::new());
            let got = results.get(&class).ok_or(format!("{} is missing", root.name))?;
            if !close(got, &want.data) {
                return Err(format!("{:?} {} is {got:?}, not {:?}", entry.kind, root.name, want.data));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn plans_mean_what_dags_mean(seed in any::<u64>()) {
        let (dag, leaves, outputs) = random_dag(seed);
        for save in [SavePolicy::SaveAll, SavePolicy::Recompute, SavePolicy::Keep(100)] {
            for in_place in [false, true] {
                let options = ScheduleOptions { save, in_place, ..ScheduleOptions::default() };
                let meta = PlanMeta::default();
                let plan = plan(&dag, leaves.clone(), outputs.clone(), meta, &KINDS, &options);
                if let Err(e) = verify(&plan, &dag) {
                    return Err(TestCaseError::fail(format!("{e:#?}\n{:#?}\n{:#?}", dag, plan.entries)));
                }
                for size in [1, 4, 5] {
                    if let Err(e) = check(&dag, &plan, size) {
                        return Err(TestCaseError::fail(format!("{e}\n{:#?}", plan.entries)));
                    }
                }
            }
        }
    }
}

//! Large dags, plan files, limits.

use std::time::Instant;
use tn_ir::dag::*;
use tn_ir::dtype::DType;
use tn_ir::size::{Dim, Symbol, SymbolId, SymbolKind};
use tn_plan::ir::*;
use tn_plan::{PlanMeta, SavePolicy, ScheduleOptions, VerifiedPlan, from_ron, plan, to_ron, verify};

fn leaf(dag: &mut Dag, leaves: &mut Vec<LeafInfo>, dims: &[Dim]) -> DagId {
    let source = leaves.len() as u32;
    let name = format!("core[{source}]");
    let array = Array { name: name.clone(), role: ArrayRole::Param, dims: dims.to_vec(), source };
    let a = dag.arrays.push(array);
    leaves.push(LeafInfo {
        name,
        role: ArrayRole::Param,
        dims: dims.to_vec(),
        axes: vec![],
        value: None,
        init: None,
        structure: None,
        needs_grad: true,
    });
    dag.add(Op::Leaf(a), dims.to_vec())
}

fn times(dag: &mut Dag, a: DagId, b: DagId) -> DagId {
    let dims = vec![dag.dims(a)[0], dag.dims(b)[1]];
    let op = Op::Einsum2 {
        a,
        b,
        a_labels: vec![0, 1],
        b_labels: vec![1, 2],
        out_labels: vec![0, 2],
        conj_a: false,
        conj_b: false,
    };
    dag.add(op, dims)
}

/// v M M … M with all gradients: environments from the left are forward values.
fn chain(n: usize, rows: Dim) -> (Dag, Vec<LeafInfo>, Vec<OutputInfo>) {
    let mut dag = Dag::default();
    dag.dtype = DType::F64;
    dag.symbols.push(Symbol { name: "b".into(), kind: SymbolKind::Dyn { hint: 2, max: Some(8) } });
    let mut leaves = vec![];
    let d = Dim::Const(2);
    let mut left = vec![leaf(&mut dag, &mut leaves, &[rows, d])];
    let mut cores = vec![];
    for _ in 0..n {
        let m = leaf(&mut dag, &mut leaves, &[d, d]);
        cores.push(m);
        let next = times(&mut dag, left[left.len() - 1], m);
        left.push(next);
    }
    let y = left[n];
    dag.roots.push(Root { name: "y".into(), kind: RootKind::Output, node: y, source: 0 });
    dag.in_adjoint = true;
    let ct = Array { name: "ct.y".into(), role: ArrayRole::Cotangent, dims: vec![rows, d], source: 0 };
    let ct = dag.arrays.push(ct);
    let mut right = dag.add(Op::Leaf(ct), vec![rows, d]);
    for i in (0..n).rev() {
        let grad = Op::Einsum2 {
            a: left[i],
            b: right,
            a_labels: vec![0, 1],
            b_labels: vec![0, 2],
            out_labels: vec![1, 2],
            conj_a: false,
            conj_b: false,
        };
        let node = dag.add(grad, vec![d, d]);
        let source = i as u32 + 1;
        dag.roots.push(Root { name: format!("grad.core[{source}]"), kind: RootKind::Grad, node, source });
        let back = Op::Einsum2 {
            a: right,
            b: cores[i],
            a_labels: vec![0, 1],
            b_labels: vec![2, 1],
            out_labels: vec![0, 2],
            conj_a: false,
            conj_b: false,
        };
        right = dag.add(back, vec![rows, d]);
    }
    let outputs = vec![OutputInfo { name: "y".into(), dims: vec![rows, d], axes: vec![] }];
    (dag, leaves, outputs)
}

const ALL: [EntryKind; 3] = [EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp];

fn planned(n: usize, rows: Dim, options: &ScheduleOptions) -> (Dag, Plan) {
    let (dag, leaves, outputs) = chain(n, rows);
    let meta = PlanMeta { name: "chain".into(), ..PlanMeta::default() };
    let plan = plan(&dag, leaves, outputs, meta, &ALL, options);
    (dag, plan)
}

#[test]
fn a_hundred_thousand_nodes_take_seconds() {
    let start = Instant::now();
    let (dag, plan) = planned(33_000, Dim::Const(3), &ScheduleOptions::default());
    assert!(dag.len() > 130_000);
    eprintln!("planned {} nodes in {:?}", dag.len(), start.elapsed());
    // Two vectors of six are enough to walk along the chain.
    assert_eq!(plan.entries[0].workspace_len.as_constant(), Some(12));
    assert_eq!(plan.entries[2].workspace_len.as_constant(), Some(12));
    let verifying = Instant::now();
    verify(&plan, &dag).unwrap_or_else(|e| panic!("{}", e[0]));
    eprintln!("verified in {:?}", verifying.elapsed());
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn nothing_saved_costs_a_second_pass_and_less_memory() {
    let all = planned(400, Dim::Const(3), &ScheduleOptions::default()).1;
    let none = ScheduleOptions { save: SavePolicy::Recompute, ..ScheduleOptions::default() };
    let none = planned(400, Dim::Const(3), &none).1;
    let some = ScheduleOptions { save: SavePolicy::Keep(4800), ..ScheduleOptions::default() };
    let (dag, some) = planned(400, Dim::Const(3), &some);
    verify(&some, &dag).unwrap_or_else(|e| panic!("{}", e[0]));
    // left[1..400], 6 elements of 8 bytes each.
    assert_eq!(all.summary.saved_bytes, 399 * 48);
    assert_eq!(none.summary.saved_bytes, 0);
    assert_eq!(some.summary.saved_bytes, 4800);
    let macs = |p: &Plan| p.summary.entries[2].macs;
    assert!(macs(&all) < macs(&some) && macs(&some) < macs(&none));
    assert_eq!(macs(&none) - macs(&all), 399.0 * 12.0);
}

#[test]
fn totals_of_a_chain() {
    let (_, plan) = planned(10, Dim::Const(3), &ScheduleOptions::default());
    let [forward, saving, vjp] = &plan.summary.entries[..] else { panic!("three entries") };
    assert_eq!(forward.macs, 10.0 * 12.0);
    assert_eq!(forward.steps, 10);
    assert_eq!(vjp.macs, 10.0 * 12.0 + 9.0 * 12.0);
    // Leaves 6 + 10·4, output 6, workspace 12 elements.
    assert_eq!(forward.peak_bytes, 8 * (46 + 6 + 12));
    // The cotangent and 10 gradients, 9 saved values.
    assert_eq!(vjp.peak_bytes, 8 * (46 + 6 + 6 + 40 + 9 * 6 + 12));
    // Values on the way to `y` are saved in place, not copied.
    assert_eq!(saving.workspace_bytes, 0);
    assert_eq!(plan.summary.peak_bytes, vjp.peak_bytes);
}

#[test]
fn run_time_sizes_stay_symbols() {
    let (dag, plan) = planned(10, Dim::Dyn(SymbolId(0)), &ScheduleOptions::default());
    verify(&plan, &dag).unwrap_or_else(|e| panic!("{}", e[0]));
    assert_eq!(plan.entries[0].workspace_len.eval(|_| 5), 20);
    // At b = 8: leaves 16 + 40, output and cotangent 16 each, gradients 40, saved 9·16, workspace 32.
    assert_eq!(tn_plan::cost::peak_bytes_at_max(&plan), 8 * (56 + 32 + 40 + 144 + 32));
}

#[test]
fn plan_files_come_back_as_they_were() {
    let (dag, plan) = planned(5_000, Dim::Dyn(SymbolId(0)), &ScheduleOptions::default());
    let steps: u64 = plan.summary.entries.iter().map(|e| e.steps).sum();
    assert!(steps >= 19_998);
    let start = Instant::now();
    let text = to_ron(&plan).unwrap();
    let written = start.elapsed();
    let back = from_ron(&text).unwrap();
    eprintln!(
        "{steps} steps: {} bytes written in {written:?}, read in {:?}",
        text.len(),
        start.elapsed() - written
    );
    assert!(back == plan);
    assert!(written.as_secs() < 10);
    VerifiedPlan::load(&text).unwrap();
    VerifiedPlan::new(back, &dag).unwrap();
}

#[test]
fn wrong_files_are_refused() {
    let (_, plan) = planned(3, Dim::Const(3), &ScheduleOptions::default());
    let text = to_ron(&plan).unwrap();
    let other = text.replacen("version: 1", "version: 7", 1);
    assert!(from_ron(&other).unwrap_err().contains("version 7"));
    assert!(from_ron("tensor t [i]").unwrap_err().contains("not a plan"));
    assert!(from_ron(&text[..text.len() / 2]).unwrap_err().contains("not a plan"));
    let short = text.replacen("offset: {}", "offset: {[]: 1000}", 1);
    assert!(short != text);
    assert!(!VerifiedPlan::load(&short).unwrap_err().is_empty());
}

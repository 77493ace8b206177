//! Schedules of different dags in one plan: constants and scalar functions of each keep their places.

use tn_ir::Complex64;
use tn_ir::dag::*;
use tn_ir::dtype::DType;
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::{Dim, Symbol, SymbolId, SymbolKind};
use tn_plan::interpret::{Arrays, interpret};
use tn_plan::ir::*;
use tn_plan::{PlanMeta, ScheduleOptions, VerifiedPlan, from_ron, plan, to_ron};

const SIZE: Dim = Dim::Dyn(SymbolId(0));

/// `y[b] = f(x[b] * c0 * c1 * …)` with constants of its own, planned at this size.
fn scaled(constants: &[f64], f: ScalarOp, hint: u64) -> (Dag, Plan) {
    let mut dag = Dag::default();
    dag.dtype = DType::F64;
    dag.symbols.push(Symbol { name: "b".into(), kind: SymbolKind::Dyn { hint, max: Some(100) } });
    let mut leaves = Vec::new();
    let mut leaf = |dag: &mut Dag, role: ArrayRole, dims: Vec<Dim>, value: Option<f64>| {
        let source = leaves.len() as u32;
        leaves.push(LeafInfo {
            name: format!("leaf {source}"),
            role: role.clone(),
            dims: dims.clone(),
            axes: vec![],
            value: value.map(|v| vec![Complex64::new(v, 0.0)]),
            init: None,
            structure: None,
            needs_grad: false,
        });
        let array = dag.arrays.push(Array { name: format!("leaf {source}"), role, dims, source });
        dag.leaf(array)
    };
    let mut y = leaf(&mut dag, ArrayRole::Input, vec![SIZE], None);
    for &c in constants {
        let c = leaf(&mut dag, ArrayRole::Const, vec![], Some(c));
        y = dag.times(c, y);
    }
    let y = dag.map(ScalarFn { arity: 1, ops: vec![ScalarOp::Arg(0), f] }, vec![y]);
    dag.roots.push(Root { name: "y".into(), kind: RootKind::Output, node: y, source: 0 });
    let outputs = vec![OutputInfo { name: "y".into(), dims: vec![SIZE], axes: vec![] }];
    let meta = PlanMeta { name: "n".into(), ..PlanMeta::default() };
    let made = plan(&dag, leaves, outputs, meta, &[EntryKind::Forward], &ScheduleOptions::default());
    (dag, made)
}

fn value(plan: &Plan, n: u64) -> f64 {
    let mut given = Arrays::from([(Class::Leaf(0), vec![Complex64::new(1.0, 0.0); n as usize])]);
    for (i, l) in plan.leaves.iter().enumerate() {
        if let Some(v) = &l.value {
            given.insert(Class::Leaf(i as u32), v.clone());
        }
    }
    let entry = &plan.entries_at(|_| n)[0];
    let out = interpret(plan, entry, &|_| n, &given, &mut vec![]).unwrap();
    out[&Class::Output(0)][0].re
}

#[test]
fn each_schedule_has_its_own_constants_and_functions() {
    let first = scaled(&[2.0, 3.0], ScalarOp::Sin(0), 10);
    // two equal constants of one schedule stay two, though the other has the same value once
    let second = scaled(&[3.0, 3.0], ScalarOp::Exp(0), 1);
    let third = scaled(&[2.0], ScalarOp::Neg(0), 100);
    let range = |low, high| SizeRange { low, high: Some(high) };
    let mut whole = first.1.clone();
    whole.regimes = Some(Regimes { symbol: SymbolId(0), own: range(5, 20), others: vec![] });
    let mut dags = vec![(5, first.0)];
    for ((mut dag, plan), range, at) in [(third, range(21, 100), 100), (second, range(0, 4), 1)] {
        let places = whole.add_schedule(&plan, 1, range, at);
        for a in dag.arrays.ids().skip(1) {
            dag.arrays[a].source = places[dag.arrays[a].source as usize - 1];
        }
        dags.push((range.low, dag));
    }
    dags.sort_by_key(|d| d.0);
    let dags: Vec<&Dag> = dags.iter().map(|d| &d.1).collect();
    let plan = VerifiedPlan::of_schedules(whole.clone(), &dags).unwrap_or_else(|e| panic!("{}", e[0]));
    for (n, want) in
        [(1, 9f64.exp()), (4, 9f64.exp()), (5, 6f64.sin()), (20, 6f64.sin()), (21, -2.0), (100, -2.0)]
    {
        assert_eq!(value(&plan, n), want, "at {n}");
    }
    assert_eq!(from_ron(&to_ron(&whole).unwrap()).unwrap(), whole);
    // every schedule against its own dag
    let wrong = [dags[1], dags[1], dags[2]];
    assert!(VerifiedPlan::of_schedules(whole.clone(), &wrong).is_err());
    assert!(VerifiedPlan::of_schedules(whole.clone(), &dags[..2]).is_err());
    assert!(VerifiedPlan::new(whole, dags[0]).is_err());
}

//! The executor against the interpreter of plans, which says what plans mean as simply as possible.

#[path = "../../tn-plan/tests/common/mod.rs"]
mod common;

use common::*;
use num_complex::{Complex32, Complex64};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tn_exec::{Element, Executor, Given};
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::ids::Arena;
use tn_ir::scalar::ScalarFn;
use tn_ir::size::{Dim, Poly};
use tn_ir::span::Span;
use tn_plan::interpret::{Arrays, interpret_watched};
use tn_plan::ir::*;
use tn_plan::{PlanMeta, SavePolicy, ScheduleOptions, plan};

const KINDS: [EntryKind; 3] = [EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp];

fn compare<T: Element>(plan: &Plan, given: &Arrays, size: u64, tolerance: f64) -> Result<(), String> {
    let typed = Given {
        arrays: given
            .iter()
            .map(|(c, v)| (c.clone(), v.iter().map(|&z| T::from_complex(z)).collect()))
            .collect(),
    };
    let eps = if T::DTYPE.real() == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for threads in [1, 3] {
        let executor = Executor::<T>::new(plan, &|_| size, threads).map_err(|e| e.to_string())?;
        let (mut saved, mut wanted_saved, mut largest) = (vec![], vec![], 0f64);
        for entry in &plan.entries {
            let (want, modulus) = interpret_watched(plan, entry, &|_| size, given, &mut wanted_saved)?;
            let got = executor.run(entry.kind, &typed, &mut saved).map_err(|e| e.to_string())?;
            // What periodic functions and cancellation make of roundings of larger numbers is no part of what a plan means.
            largest = largest.max(modulus);
            if largest > 0.01 * tolerance / eps {
                continue;
            }
            for (class, want) in &want {
                let got: Vec<Complex64> = got.arrays[class].iter().map(|x| x.to_complex()).collect();
                if want.iter().chain(&got).any(|v| !v.is_finite()) {
                    continue;
                }
                let scale = want.iter().map(|v| v.norm()).fold(1.0, f64::max);
                let close = got
                    .iter()
                    .zip(want)
                    .all(|(g, w)| (g - w).norm() <= tolerance * scale || (!w.is_finite() && !g.is_finite()));
                if !close {
                    return Err(format!("{:?} {class:?} is {got:?}, not {want:?}", entry.kind));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn runs_mean_what_plans_mean(seed in any::<u64>()) {
        let (dag, leaves, outputs) = random_dag(seed);
        let plan = plan(&dag, leaves, outputs, PlanMeta::default(), &KINDS, &ScheduleOptions { save: SavePolicy::SaveAll, ..ScheduleOptions::default() });
        for size in [1, 4, 5] {
            let (_, given) = arrays(&dag, size, 5);
            let result = match plan.dtype {
                DType::F32 => compare::<f32>(&plan, &given, size, 1e-3),
                DType::F64 => compare::<f64>(&plan, &given, size, 1e-9),
                DType::C64 => compare::<Complex32>(&plan, &given, size, 1e-3),
                DType::C128 => compare::<Complex64>(&plan, &given, size, 1e-9),
            };
            if let Err(e) = result {
                return Err(TestCaseError::fail(format!("{e}\n{:#?}", plan.entries)));
            }
        }
    }
}

/// `y[m, n] = Σ a[m, k] · b[k, n]` with any strides.
fn product(m: u64, k: u64, n: u64, strides: [[u64; 3]; 3]) -> Plan {
    let poly = |x: u64| Poly::constant(i128::from(x));
    let leaf = |name: &str, len: u64| LeafInfo {
        name: name.into(),
        role: ArrayRole::Input,
        dims: vec![Dim::Const(len)],
        axes: vec![],
        value: None,
        init: None,
        structure: None,
        needs_grad: false,
    };
    let mut buffers: Arena<BufferId, Buffer> = Arena::new();
    let mut buffer = |class: Class, len: u64| {
        buffers.push(Buffer { class, name: "t".into(), len: poly(len), offset: Poly::zero(), live: (0, 0) })
    };
    let (a, b, y) =
        (buffer(Class::Leaf(0), m * k), buffer(Class::Leaf(1), k * n), buffer(Class::Output(0), m * n));
    let access = |buffer, s: [u64; 3]| Access {
        buffer,
        offset: Poly::zero(),
        moves: vec![],
        strides: s.iter().map(|&x| poly(x)).collect(),
    };
    let axis = |size, reduce| Axis { size: Dim::Const(size), reduce };
    let step = Step {
        node: tn_ir::dag::DagId(0),
        space: vec![axis(m, false), axis(n, false), axis(k, true)],
        ins: vec![access(a, strides[0]), access(b, strides[1])],
        out: access(y, strides[2]),
        body: BodyId(0),
        fold: Fold::Sum,
        write: Write::Set,
        text: "y = a * b".into(),
        span: Span::default(),
    };
    let entry = Entry {
        kind: EntryKind::Forward,
        buffers,
        vars: vec![],
        body: vec![Item::Step(Box::new(step))],
        workspace_len: Poly::zero(),
        saved_len: Poly::zero(),
    };
    Plan {
        version: PLAN_VERSION,
        name: "product".into(),
        doc: String::new(),
        source: String::new(),
        source_hash: String::new(),
        dtype: DType::F64,
        symbols: Arena::new(),
        leaves: vec![leaf("a", m * k), leaf("b", k * n)],
        outputs: vec![OutputInfo { name: "y".into(), dims: vec![Dim::Const(m * n)], axes: vec![] }],
        bodies: vec![ScalarFn::product(false, false)],
        entries: vec![entry],
        regions: vec![],
        summary: Summary::default(),
        regimes: None,
    }
}

#[test]
fn large_products_are_the_same_on_any_number_of_threads() {
    let (m, k, n) = (67, 301, 131);
    for strides in [[[k, 0, 1], [0, 1, n], [n, 1, 0]], [[1, 0, m], [0, k, 1], [1, m, 0]]] {
        let plan = product(m, k, n, strides);
        let mut random = Random(3);
        let mut draw = |len: u64| (0..len).map(|_| random.unit()).collect::<Vec<f64>>();
        let (a, b) = (draw(m * k), draw(k * n));
        let given =
            Given { arrays: BTreeMap::from([(Class::Leaf(0), a.clone()), (Class::Leaf(1), b.clone())]) };
        let run = |threads| {
            let e = Executor::<f64>::new(&plan, &|_| 0, threads).unwrap();
            e.run(EntryKind::Forward, &given, &mut vec![]).unwrap().arrays.remove(&Class::Output(0)).unwrap()
        };
        let got = run(4);
        assert_eq!(got, run(1));
        for i in 0..m {
            for j in 0..n {
                let want: f64 = (0..k)
                    .map(|x| {
                        a[(i * strides[0][0] + x * strides[0][2]) as usize]
                            * b[(j * strides[1][1] + x * strides[1][2]) as usize]
                    })
                    .sum();
                let got = got[(i * strides[2][0] + j * strides[2][1]) as usize];
                assert!((got - want).abs() < 1e-11, "{i}, {j}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_nothing_is_read() {
    let mut plan = product(2, 3, 4, [[3, 0, 1], [0, 1, 4], [4, 1, 0]]);
    let e = Executor::<f64>::new(&plan, &|_| 0, 1).unwrap();
    let short =
        Given { arrays: BTreeMap::from([(Class::Leaf(0), vec![0.0; 5]), (Class::Leaf(1), vec![0.0; 12])]) };
    let why = e.run(EntryKind::Forward, &short, &mut vec![]).unwrap_err().to_string();
    assert!(why.contains("`5` elements"), "{why}");
    assert!(e.run(EntryKind::Vjp, &short, &mut vec![]).is_err());
    assert!(Executor::<f32>::new(&plan, &|_| 0, 1).is_err());
    if let Item::Step(s) = &mut plan.entries[0].body[0] {
        s.ins[0].offset = Poly::one();
    }
    let why = Executor::<f64>::new(&plan, &|_| 0, 1).err().unwrap().to_string();
    assert!(why.contains("leaves buffer"), "{why}");
}

//! Every rule of the table: both sides have the same value, and a rule that is a little wrong is found out.

use proptest::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tn_ir::Complex64;
use tn_ir::dag::{Array, ArrayId, ArrayRole, Coef, Dag, DagId, Op, Root, RootKind};
use tn_ir::dag_build::Labelled;
use tn_ir::dtype::DType;
use tn_ir::eval::{Dense, evaluate};
use tn_ir::scalar::{ScalarBuilder, ScalarFn, ScalarOp};
use tn_ir::size::Dim;
use tn_opt::cost::{Costs, Goal, Rates};
use tn_opt::graph::Joint;
use tn_opt::rules::{Context, Pairs, RULES};
use tn_opt::{Settings, optimise};

/// Small numbers whose sums and products are exact, and a generator of them.
struct Draw(u64);
impl Draw {
    fn next(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
    fn size(&mut self) -> u64 {
        1 + self.next(3)
    }
    fn coin(&mut self) -> bool {
        self.next(2) == 0
    }
    fn coef(&mut self) -> Complex64 {
        Complex64::new(1.0 + self.next(4) as f64, self.next(3) as f64)
    }
}

fn leaf(dag: &mut Dag, dims: &[u64]) -> DagId {
    let k = dag.arrays.len() as u32;
    let dims = dims.iter().map(|&d| Dim::Const(d)).collect();
    let a = dag.arrays.push(Array { name: format!("t{k}"), role: ArrayRole::Param, dims, source: k });
    dag.leaf(a)
}

fn product(dag: &mut Dag, a: (DagId, &[u32]), b: (DagId, &[u32]), out: &[u32], conj: bool) -> DagId {
    let x = Labelled { node: a.0, labels: a.1.to_vec(), conj };
    let y = Labelled { node: b.0, labels: b.1.to_vec(), conj: false };
    dag.einsum2(x, y, out)
}

fn unary(build: impl Fn(&mut ScalarBuilder, u32) -> u32) -> ScalarFn {
    let mut b = ScalarBuilder::new();
    let x = b.push(ScalarOp::Arg(0));
    let r = build(&mut b, x);
    b.finish(1, r)
}

/// A dag in which the rule applies to the returned node, at sizes and coefficients drawn anew.
fn instance(rule: &str, d: &mut Draw) -> (Dag, DagId) {
    let real = d.coin() || rule == "compose" || rule == "simplify";
    let mut dag = Dag::default();
    dag.dtype = if real { DType::F64 } else { DType::C128 };
    let (i, j, k, l) = (d.size() + 1, d.size() + 1, d.size(), d.size());
    let node = match rule {
        "window" => {
            let (a, b) = (leaf(&mut dag, &[i, j]), leaf(&mut dag, &[j, k]));
            let (c, e) = (leaf(&mut dag, &[k, l, i]), leaf(&mut dag, &[l]));
            let ab = product(&mut dag, (a, &[0, 1]), (b, &[1, 2]), &[2, 0], d.coin());
            let abc = product(&mut dag, (ab, &[2, 0]), (c, &[2, 3, 0]), &[0, 3], d.coin());
            product(&mut dag, (abc, &[0, 3]), (e, &[3]), &[0], d.coin())
        }
        "distribute" | "factor" | "flatten" => {
            let (a, b, c) = (leaf(&mut dag, &[i, j]), leaf(&mut dag, &[i, j]), leaf(&mut dag, &[j, k]));
            let (p, q) = (d.coef(), d.coef());
            if rule == "distribute" {
                let sum = dag.sum(&[(p, a), (q, b)]);
                product(&mut dag, (sum, &[0, 1]), (c, &[1, 2]), &[2, 0], d.coin())
            } else if rule == "factor" {
                let conj = d.coin();
                let x = product(&mut dag, (a, &[0, 1]), (c, &[1, 2]), &[2, 0], conj);
                let y = product(&mut dag, (b, &[0, 1]), (c, &[1, 2]), &[2, 0], conj);
                let rest = leaf(&mut dag, &[k, i]);
                dag.sum(&[(p, x), (q, y), (d.coef(), rest)])
            } else {
                let inner = dag.sum(&[(p, a), (q, b)]);
                let rest = leaf(&mut dag, &[i, j]);
                dag.sum(&[(d.coef(), inner), (d.coef(), rest)])
            }
        }
        "scale" => {
            let (a, b) = (leaf(&mut dag, &[i + 1]), leaf(&mut dag, &[j + 1]));
            let outer = product(&mut dag, (a, &[0]), (b, &[1]), &[0, 1], d.coin());
            dag.scale(d.coef() + 1.0, outer)
        }
        "compose" => {
            let (a, b) = (leaf(&mut dag, &[i, j]), leaf(&mut dag, &[i, j]));
            let square = unary(|b, x| b.push(ScalarOp::Mul(x, x)));
            let inner = dag.map(square, vec![a]);
            dag.map(ScalarFn::product(false, false), vec![inner, b])
        }
        "simplify" => {
            let a = leaf(&mut dag, &[i, j]);
            // x·3 + x·5 = x·(3 + 5), exactly
            let f = unary(|b, x| {
                let (three, five) = (b.real(3.0), b.real(5.0));
                let (p, q) = (b.push(ScalarOp::Mul(x, three)), b.push(ScalarOp::Mul(x, five)));
                b.push(ScalarOp::Add(p, q))
            });
            dag.map(f, vec![a])
        }
        other => panic!("no instance of `{other}`: every rule needs one"),
    };
    (dag, node)
}

fn arrays(dag: &Dag, d: &mut Draw) -> HashMap<ArrayId, Dense> {
    let complex = dag.dtype.is_complex();
    let one = |d: &mut Draw| {
        let im = if complex { d.next(7) as f64 - 3.0 } else { 0.0 };
        Complex64::new(d.next(9) as f64 - 4.0, im)
    };
    let mut all = HashMap::new();
    for (id, a) in dag.arrays.enumerate() {
        let shape: Vec<u64> = a.dims.iter().map(|d| d.eval(|_| 0)).collect();
        let n = shape.iter().product::<u64>();
        all.insert(id, Dense { data: (0..n).map(|_| one(d)).collect(), shape });
    }
    all
}

/// Nodes that are a little different: what a slip in the rule's code would make.
fn mutants(dag: &mut Dag, n: DagId) -> Vec<DagId> {
    let dims = dag.dims(n).to_vec();
    let mut ops = vec![];
    match dag.op(n).clone() {
        Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
            if dag.dtype.is_complex() {
                let (a_labels, b_labels, out_labels) =
                    (a_labels.clone(), b_labels.clone(), out_labels.clone());
                ops.push(Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a: !conj_a, conj_b });
            }
            let twice = dag.scale(Complex64::new(2.0, 0.0), a);
            ops.push(Op::Einsum2 { a: twice, b, a_labels, b_labels, out_labels, conj_a, conj_b });
        }
        Op::Add { terms } => {
            if terms.len() > 1 {
                ops.push(Op::Add { terms: terms[1..].to_vec() });
            }
            let mut wrong = terms.clone();
            wrong[0].0 = Coef { re: -wrong[0].0.re, im: wrong[0].0.im };
            ops.push(Op::Add { terms: wrong });
        }
        Op::Map { f, args } => {
            let old = dag.fns[f.0 as usize].clone();
            let mut b = ScalarBuilder::new();
            let given: Vec<u32> = (0..old.arity).map(|k| b.push(ScalarOp::Arg(k))).collect();
            let value = b.call(&old, &given);
            let one = b.real(1.0);
            let off = b.push(ScalarOp::Add(value, one));
            let f = dag.add_fn(b.finish(old.arity, off));
            ops.push(Op::Map { f, args });
        }
        _ => {}
    }
    ops.into_iter().map(|op| dag.add(op, dims.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn rules_keep_values_and_wrong_ones_do_not(seed in any::<u64>()) {
        for rule in &RULES {
            let mut d = Draw(seed);
            let (dag, n) = instance(rule.name, &mut d);
            let mut joint = Joint::new(dag);
            let mut pairs = Pairs::default();
            let cx = &mut Context { joint: &mut joint, pairs: &mut pairs, window: 6 };
            let made = (rule.apply)(cx, n);
            let mut dag = joint.dag;
            prop_assert!(!made.is_empty(), "{} makes nothing of {:?}", rule.name, dag.op(n));
            let wrong: Vec<DagId> = made.iter().flat_map(|&m| mutants(&mut dag, m)).collect();
            prop_assert!(!wrong.is_empty(), "{} has no mutants", rule.name);
            let mut found = vec![false; wrong.len()];
            let mut visible = false;
            for _ in 0..4 {
                let given = arrays(&dag, &mut d);
                let all: Vec<DagId> =
                    std::iter::once(n).chain(made.iter().copied()).chain(wrong.iter().copied()).collect();
                let values = evaluate(&dag, &given, &HashMap::new(), &all);
                for m in &values[1..=made.len()] {
                    prop_assert_eq!(m, &values[0], "{}", rule.name);
                }
                for (f, v) in found.iter_mut().zip(&values[1 + made.len()..]) {
                    *f |= v != &values[0];
                }
                // a value that is zero throughout hides everything
                visible |= values[0].data.iter().any(|z| z.norm() > 0.0);
            }
            prop_assert!(!visible || found.contains(&true), "no mutant of {} is found out", rule.name);
        }
    }
}

#[test]
fn the_table_is_complete() {
    let mut names: Vec<&str> = RULES.iter().map(|r| r.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    assert!(RULES.iter().all(|r| !r.pattern.is_empty() && !r.condition.is_empty() && !r.why.is_empty()));
}

/// Scalar rules are equations of numbers.
#[test]
fn scalar_rules_hold_and_slips_are_found() {
    use tn_opt::scalar::{SCALAR_RULES, value};
    for (name, from, to) in SCALAR_RULES {
        let mut d = Draw(7);
        for _ in 0..20 {
            let given: Vec<f64> = (0..4).map(|_| 0.25 + d.next(1000) as f64 / 400.0).collect();
            let (Some(x), Some(y)) = (value(from, &given), value(to, &given)) else {
                panic!("`{name}` is no pair of expressions")
            };
            assert!((x - y).abs() <= 1e-12 * x.abs().max(1.0), "{name}: {x} is not {y}");
            if to.contains("?b") {
                let wrong = value(&to.replace("?b", "?z"), &given);
                assert!(wrong.is_some_and(|w| (w - x).abs() > 1e-9), "{name}: a slip is not found");
            }
        }
    }
}

/// A chain of matrices, multiplied from the wrong end.
fn chain() -> Dag {
    let mut dag = Dag::default();
    dag.dtype = DType::F64;
    let sizes = [40, 3, 30, 5, 20, 1];
    let matrices: Vec<DagId> = sizes.windows(2).map(|s| leaf(&mut dag, s)).collect();
    let mut whole = matrices[0];
    for (k, &m) in matrices.iter().enumerate().skip(1) {
        let k = k as u32;
        whole = product(&mut dag, (whole, &[0, k]), (m, &[k, k + 1]), &[0, k + 1], false);
    }
    dag.roots.push(Root { name: "y".into(), kind: RootKind::Output, node: whole, source: 0 });
    dag
}

#[test]
fn where_the_time_ends_what_was_found_is_a_dag_of_the_roots() {
    let rates = Rates { macs_per_second: 1e9, bytes_per_second: 1e10, step_seconds: 0.0, element_bytes: 8.0 };
    let settings = |end| Settings {
        costs: Costs { rates, goal: Goal::Macs },
        rules: (0..RULES.len()).collect(),
        max_nodes: 1000,
        rounds: 4,
        explain: true,
        clock: tn_opt::Clock(end),
        limits: vec![],
    };
    let dag = chain();
    let free = optimise(&dag, &[], &settings(None));
    assert!(free.cost.1 < free.cost.0, "{:?}", free.cost);
    let cut = optimise(&dag, &[], &settings(Some(Instant::now())));
    assert!(cut.limited == Some(tn_opt::Limit::Time) && cut.cost.1 == cut.cost.0, "{:?}", cut.cost);
    // wherever it is cut
    for micros in (0..40).map(|k| 25 * k) {
        let end = Instant::now() + Duration::from_micros(micros);
        let cut = optimise(&dag, &[], &settings(Some(end)));
        assert!(cut.cost.1 <= cut.cost.0 && cut.cost.1 >= free.cost.1 * (1.0 - 1e-9), "{:?}", cut.cost);
        assert_eq!(tn_ir::verify::verify(&cut.dag).map_err(|e| e.to_string()), Ok(()));
        let again = tn_opt::replay(&dag, &[], &cut.derivation).unwrap();
        assert_eq!(again.len(), cut.dag.len());
    }
}

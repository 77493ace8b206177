//! Every rule of the table: both sides have the same value, and a rule that is a little wrong is found out.

use proptest::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tn_ir::Complex64;
use tn_ir::dag::{Array, ArrayId, ArrayRole, Dag, DagId, Root, RootKind};
use tn_ir::dag_build::Labelled;
use tn_ir::dtype::DType;
use tn_ir::eval::{Dense, evaluate};
use tn_ir::scalar::{ScalarBuilder, ScalarFn, ScalarOp};
use tn_ir::size::Dim;
use tn_opt::cost::{Costs, Goal, Rates};
use tn_opt::graph::Joint;
use tn_opt::rules::{Context, Pairs, RULES};
use tn_opt::scalar::{SCALAR_RULES, ScalarRules, value};
use tn_opt::{Settings, optimise};

mod mutants;

/// What a rule does.
type Apply = fn(&mut Context<'_>, DagId) -> Vec<DagId>;

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
                // now and then the two contract c in different ways
                let (c, k, turned) =
                    if d.coin() { (c, k, [1, 2]) } else { (leaf(&mut dag, &[j, j]), j, [2, 1]) };
                let x = product(&mut dag, (a, &[0, 1]), (c, &[1, 2]), &[2, 0], conj);
                let y = product(&mut dag, (b, &[0, 1]), (c, &turned), &[2, 0], conj);
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
            let mut f = ScalarBuilder::new();
            let (x, y) = (f.push(ScalarOp::Arg(0)), f.push(ScalarOp::Arg(1)));
            let two = f.real(2.0);
            let twice = f.push(ScalarOp::Mul(x, two));
            let difference = f.push(ScalarOp::Sub(twice, y));
            let f = f.finish(2, difference);
            if d.coin() { dag.map(f, vec![inner, b]) } else { dag.map(f, vec![b, inner]) }
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
        "support" => on_support(&mut dag, d, [i, j, k]),
        other => panic!("no instance of `{other}`: every rule needs one"),
    };
    (dag, node)
}

/// A product with a placement, a view of one, a sum of two, or a diagonal of a product or a sum.
fn on_support(dag: &mut Dag, d: &mut Draw, [i, j, k]: [u64; 3]) -> DagId {
    let sizes = [Dim::Const(i), Dim::Const(j), Dim::Const(k)];
    let v = leaf(dag, &[i]);
    let conj = d.coin();
    let diagonal = dag.einsum1(v, &[0], &[0, 0], conj, |_| Dim::Const(1));
    match d.next(6) {
        0 => {
            let b = leaf(dag, &[i, k]);
            let out: &[u32] = if d.coin() { &[2, 0] } else { &[0, 1, 2] };
            let conj = d.coin();
            product(dag, (diagonal, &[0, 1]), (b, &[1, 2]), out, conj)
        }
        1 => {
            // repeated along an axis that is summed against another tensor, or kept
            let wide = dag.einsum1(v, &[0], &[0, 1], conj, |l| sizes[l as usize]);
            let b = leaf(dag, &[j, k]);
            let out: &[u32] = if d.coin() { &[0, 2] } else { &[1, 0] };
            product(dag, (wide, &[0, 1]), (b, &[1, 2]), out, false)
        }
        2 => dag.einsum1(diagonal, &[0, 1], if d.coin() { &[0] } else { &[] }, d.coin(), |_| Dim::Const(1)),
        3 => {
            let w = leaf(dag, &[i]);
            let other: &[u32] = if d.coin() { &[0, 0] } else { &[0, 1] };
            let second = dag.einsum1(w, &[0], other, false, |_| Dim::Const(i));
            let first = dag.einsum1(v, &[0], &[0, 0], false, |_| Dim::Const(1));
            let (p, q) = (d.coef(), d.coef());
            dag.sum(&[(p, first), (q, second)])
        }
        4 => {
            let (a, b) = (leaf(dag, &[i, j]), leaf(dag, &[j, i]));
            let outer = product(dag, (a, &[0, 1]), (b, &[1, 2]), &[0, 2], conj);
            dag.einsum1(outer, &[0, 0], &[0], d.coin(), |_| Dim::Const(1))
        }
        _ => {
            let (a, b) = (leaf(dag, &[i, i]), leaf(dag, &[i, i]));
            let (p, q) = (d.coef(), d.coef());
            let sum = dag.sum(&[(p, a), (q, b)]);
            dag.einsum1(sum, &[0, 0], &[0], d.coin(), |_| Dim::Const(1))
        }
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn rules_keep_values(seed in any::<u64>()) {
        for rule in &RULES {
            let mut d = Draw(seed);
            let (dag, n) = instance(rule.name, &mut d);
            let (dag, made) = applied(rule.apply, dag, n);
            for _ in 0..3 {
                let given = arrays(&dag, &mut d);
                let all: Vec<DagId> = std::iter::once(n).chain(made.iter().copied()).collect();
                let values = evaluate(&dag, &given, &HashMap::new(), &all);
                for m in &values[1..] {
                    prop_assert_eq!(m, &values[0], "{}", rule.name);
                }
            }
        }
    }
}

/// What a rule makes of a node, in the shape that an equal node has.
fn applied(apply: Apply, dag: Dag, n: DagId) -> (Dag, Vec<DagId>) {
    let mut joint = Joint::new(dag);
    let mut pairs = Pairs::default();
    let cx = &mut Context { joint: &mut joint, pairs: &mut pairs, window: 6, scalar: ScalarRules::ALL };
    let mut made = apply(cx, n);
    made.retain(|&m| joint.dag.dims(m) == joint.dag.dims(n));
    (joint.dag, made)
}

/// Every rule applies to its instances, and every mutant makes something wrong of some of them.
#[test]
fn wrong_rules_are_found_out() {
    for rule in &RULES {
        let mutants = mutants::of(rule.name);
        assert!(!mutants.is_empty(), "{} has no mutants", rule.name);
        let all = std::iter::once(("as it is", rule.apply)).chain(mutants);
        for (k, (slip, apply)) in all.enumerate() {
            let (mut applications, mut wrong) = (0, 0);
            for seed in 0..240 {
                let mut d = Draw(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
                d.next(2);
                let (dag, n) = instance(rule.name, &mut d);
                let (dag, made) = applied(apply, dag, n);
                let given = arrays(&dag, &mut d);
                let all: Vec<DagId> = std::iter::once(n).chain(made.iter().copied()).collect();
                let values = evaluate(&dag, &given, &HashMap::new(), &all);
                applications += usize::from(!made.is_empty());
                wrong += usize::from(values[1..].iter().any(|v| v != &values[0]));
            }
            assert!(applications >= 20, "{} ({slip}) applies to {applications} instances", rule.name);
            assert_eq!(wrong > 0, k > 0, "{} ({slip}) is wrong in {wrong} cases", rule.name);
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

/// Right sides with one slip: another operation, another variable, a sign that is left out.
fn slips(side: &str) -> Vec<String> {
    let mut out = vec![];
    for (at, token) in side.match_indices(|c: char| "+-*/".contains(c)) {
        for other in ["+", "-", "*", "/"].iter().filter(|o| **o != token) {
            out.push(format!("{}{other}{}", &side[..at], &side[at + 1..]));
        }
    }
    for (at, _) in side.match_indices('?') {
        for other in ["?a", "?b", "?c", "?d"].iter().filter(|o| **o != &side[at..at + 2]) {
            out.push(format!("{}{other}{}", &side[..at], &side[at + 2..]));
        }
    }
    for name in ["neg", "exp"] {
        if side.contains(name) {
            out.push(side.replace(name, "sin"));
        }
    }
    out
}

/// Scalar rules are equations of numbers: both sides are evaluated, and no rule with a slip on its right side holds.
#[test]
fn scalar_rules_hold_and_no_slip_does() {
    for r in SCALAR_RULES {
        let differs = |to: &str| {
            let mut d = Draw(7);
            (0..20).any(|_| {
                let given: Vec<f64> = (0..4).map(|_| 0.25 + d.next(1000) as f64 / 400.0).collect();
                let (Some(x), Some(y)) = (value(r.from, &given), value(to, &given)) else {
                    panic!("`{}` is no pair of expressions: {to}", r.name)
                };
                (x - y).abs() > 1e-12 * x.abs().max(1.0)
            })
        };
        assert!(!differs(r.to), "{} does not hold", r.name);
        let slips = slips(r.to);
        assert!(slips.len() >= 3, "{}", r.name);
        for slip in slips {
            assert!(differs(&slip), "{}: {slip} is not found out", r.name);
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
        scalar: ScalarRules::ALL,
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

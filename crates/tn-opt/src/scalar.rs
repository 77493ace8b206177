//! Scalar functions with fewer operations, by equality saturation over their expressions.
//!
//! The rules hold for all numbers for which both sides are finite; none drops an operand, so that what is not finite stays that. A function is
//! small, so all rules run until nothing is new or a counted limit is met.

use crate::untimed::untimed;
use egg::{CostFunction, Extractor, Id, Language, RecExpr, Rewrite, Runner};
use std::time::Duration;
use tn_ir::scalar::{Cmp, ScalarBuilder, ScalarFn, ScalarOp};

mod language {
    #![allow(missing_docs)] // the macro's variants are their own names
    use super::Argument;
    use egg::{Id, define_language};
    define_language! {
        /// A scalar expression. A number stands for the bits of a real constant.
        pub enum Scalar {
            "+" = Add([Id; 2]),
            "-" = Sub([Id; 2]),
            "*" = Mul([Id; 2]),
            "/" = Div([Id; 2]),
            "neg" = Neg([Id; 1]),
            "exp" = Exp([Id; 1]),
            "log" = Log([Id; 1]),
            "sin" = Sin([Id; 1]),
            "cos" = Cos([Id; 1]),
            "sqrt" = Sqrt([Id; 1]),
            "tanh" = Tanh([Id; 1]),
            "erf" = Erf([Id; 1]),
            "abs" = Abs([Id; 1]),
            "pow" = Pow([Id; 2]),
            "min" = Min([Id; 2]),
            "max" = Max([Id; 2]),
            "lt" = Lt([Id; 4]),
            "le" = Le([Id; 4]),
            "gt" = Gt([Id; 4]),
            "ge" = Ge([Id; 4]),
            "eq" = Eq([Id; 4]),
            "ne" = Ne([Id; 4]),
            Number(u64),
            Arg(Argument),
        }
    }
}
pub use language::Scalar;

/// An argument's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Argument(u32);

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x{}", self.0)
    }
}
impl std::str::FromStr for Argument {
    type Err = String;
    fn from_str(s: &str) -> Result<Argument, String> {
        let n = s.strip_prefix('x').and_then(|n| n.parse().ok());
        n.map(Argument).ok_or_else(|| format!("`{s}` is no argument"))
    }
}

/// Nodes and rounds of one saturation.
const NODES: usize = 2_000;
const ROUNDS: usize = 8;
/// Larger functions are left alone.
const MAX_OPS: usize = 80;

/// The bits of 1.0, as patterns spell constants.
const ONE: &str = "4607182418800017408";

/// A scalar rule: both sides as patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalarRule {
    /// Its name.
    pub name: &'static str,
    /// What it matches; `1` is the number one.
    pub from: &'static str,
    /// What it makes.
    pub to: &'static str,
    /// Why it is there.
    pub why: &'static str,
}

/// Which scalar rules are on, by their position in [`SCALAR_RULES`], a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalarRules(pub u32);

impl ScalarRules {
    /// Every rule.
    pub const ALL: ScalarRules = ScalarRules(u32::MAX);
}

const fn rule(name: &'static str, from: &'static str, to: &'static str, why: &'static str) -> ScalarRule {
    ScalarRule { name, from, to, why }
}

/// All scalar rules.
pub const SCALAR_RULES: [ScalarRule; 19] = [
    rule("add-commutes", "(+ ?a ?b)", "(+ ?b ?a)", "equal sums are found equal"),
    rule("multiply-commutes", "(* ?a ?b)", "(* ?b ?a)", "factors that belong together come together"),
    rule(
        "multiply-associates",
        "(* (* ?a ?b) ?c)",
        "(* ?a (* ?b ?c))",
        "factors that belong together come together",
    ),
    rule("add-associates", "(+ (+ ?a ?b) ?c)", "(+ ?a (+ ?b ?c))", "equal sums are found equal"),
    rule("factor-sum", "(+ (* ?a ?b) (* ?a ?c))", "(* ?a (+ ?b ?c))", "one product instead of two"),
    rule("factor-difference", "(- (* ?a ?b) (* ?a ?c))", "(* ?a (- ?b ?c))", "one product instead of two"),
    rule("add-negated", "(+ ?a (neg ?b))", "(- ?a ?b)", "signs are written in one way"),
    rule("subtract-negated", "(- ?a (neg ?b))", "(+ ?a ?b)", "signs are written in one way"),
    rule("negate-difference", "(neg (- ?a ?b))", "(- ?b ?a)", "signs are written in one way"),
    rule("multiply-negated", "(* ?a (neg ?b))", "(neg (* ?a ?b))", "signs are written in one way"),
    rule("divide-negated", "(/ (neg ?a) ?b)", "(neg (/ ?a ?b))", "signs are written in one way"),
    rule("negate-twice", "(neg (neg ?a))", "?a", "signs are written in one way"),
    rule(
        "product-of-exponentials",
        "(* (exp ?a) (exp ?b))",
        "(exp (+ ?a ?b))",
        "one exponential instead of two",
    ),
    rule(
        "quotient-of-product",
        "(/ (* ?a ?b) ?c)",
        "(* ?a (/ ?b ?c))",
        "quotients that belong together come together",
    ),
    rule("quotient-of-quotient", "(/ (/ ?a ?b) ?c)", "(/ ?a (* ?b ?c))", "one division instead of two"),
    rule(
        "product-of-quotients",
        "(* (/ ?a ?b) (/ ?c ?d))",
        "(/ (* ?a ?c) (* ?b ?d))",
        "one division instead of two",
    ),
    rule("common-denominator", "(+ (/ ?a ?c) (/ ?b ?c))", "(/ (+ ?a ?b) ?c)", "one division instead of two"),
    rule("log-of-exponential", "(log (exp ?a))", "?a", "what undoes each other goes"),
    rule("product-with-reciprocal", "(* ?a (/ 1 ?b))", "(/ ?a ?b)", "one operation instead of two"),
];

/// A side with the number one as expressions spell it.
fn spelled(side: &str) -> String {
    side.replace(" 1 ", &format!(" {ONE} "))
}

fn rewrite(r: &ScalarRule) -> Option<Rewrite<Scalar, ()>> {
    let from: egg::Pattern<Scalar> = spelled(r.from).parse().ok()?;
    let to: egg::Pattern<Scalar> = spelled(r.to).parse().ok()?;
    Rewrite::new(r.name, from, to).ok()
}

/// The time that a function takes: what extraction minimises, for a tree.
struct Time;
impl CostFunction<Scalar> for Time {
    type Cost = usize;
    fn cost<C: FnMut(Id) -> usize>(&mut self, node: &Scalar, mut costs: C) -> usize {
        use Scalar::*;
        let own = match node {
            Number(_) | Arg(_) => 1,
            Div(_) | Sqrt(_) => 40,
            Exp(_) | Log(_) | Sin(_) | Cos(_) | Tanh(_) | Erf(_) | Pow(_) => 200,
            _ => 10,
        };
        node.fold(own, |sum: usize, id| sum.saturating_add(costs(id)))
    }
}

/// A function of the same value with fewer operations, if one is found; real functions only.
pub fn simplified(f: &ScalarFn, complex: bool, on: ScalarRules) -> Option<ScalarFn> {
    let is_on = |k: usize| on.0 & (1 << k) != 0;
    let rules: Vec<ScalarRule> =
        SCALAR_RULES.iter().enumerate().filter(|(k, _)| is_on(*k)).map(|(_, r)| *r).collect();
    simplified_by(f, complex, &rules)
}

/// The same by any rules.
pub fn simplified_by(f: &ScalarFn, complex: bool, rules: &[ScalarRule]) -> Option<ScalarFn> {
    if complex || f.ops.len() > MAX_OPS {
        return None;
    }
    let expr = expression(f)?;
    let rules: Vec<_> = rules.iter().filter_map(rewrite).collect();
    let runner: Runner<Scalar, ()> = untimed(|| {
        let runner = Runner::default().with_expr(&expr).with_node_limit(NODES).with_iter_limit(ROUNDS);
        runner.with_time_limit(Duration::from_secs(3600)).run(&rules)
    });
    let (_, best) = Extractor::new(&runner.egraph, Time).find_best(runner.roots[0]);
    let new = function(&best, f.arity);
    (new != *f).then_some(new)
}

fn expression(f: &ScalarFn) -> Option<RecExpr<Scalar>> {
    use ScalarOp as S;
    let mut expr = RecExpr::default();
    let mut at: Vec<Id> = vec![];
    for op in &f.ops {
        let i = |r: u32| at[r as usize];
        let node = match *op {
            S::Arg(k) => Scalar::Arg(Argument(k)),
            S::Const(re, 0) => Scalar::Number(re),
            S::Const(..) | S::Conj(_) => return None,
            S::Neg(a) => Scalar::Neg([i(a)]),
            S::Exp(a) => Scalar::Exp([i(a)]),
            S::Log(a) => Scalar::Log([i(a)]),
            S::Sin(a) => Scalar::Sin([i(a)]),
            S::Cos(a) => Scalar::Cos([i(a)]),
            S::Sqrt(a) => Scalar::Sqrt([i(a)]),
            S::Tanh(a) => Scalar::Tanh([i(a)]),
            S::Erf(a) => Scalar::Erf([i(a)]),
            S::Abs(a) => Scalar::Abs([i(a)]),
            S::Add(a, b) => Scalar::Add([i(a), i(b)]),
            S::Sub(a, b) => Scalar::Sub([i(a), i(b)]),
            S::Mul(a, b) => Scalar::Mul([i(a), i(b)]),
            S::Div(a, b) => Scalar::Div([i(a), i(b)]),
            S::Pow(a, b) => Scalar::Pow([i(a), i(b)]),
            S::Min(a, b) => Scalar::Min([i(a), i(b)]),
            S::Max(a, b) => Scalar::Max([i(a), i(b)]),
            S::Select { cmp, lhs, rhs, yes, no } => {
                let all = [i(lhs), i(rhs), i(yes), i(no)];
                match cmp {
                    Cmp::Lt => Scalar::Lt(all),
                    Cmp::Le => Scalar::Le(all),
                    Cmp::Gt => Scalar::Gt(all),
                    Cmp::Ge => Scalar::Ge(all),
                    Cmp::Eq => Scalar::Eq(all),
                    Cmp::Ne => Scalar::Ne(all),
                }
            }
        };
        at.push(expr.add(node));
    }
    (!at.is_empty()).then_some(expr)
}

fn function(expr: &RecExpr<Scalar>, arity: u32) -> ScalarFn {
    use ScalarOp as S;
    let mut b = ScalarBuilder::new();
    let mut at: Vec<u32> = vec![];
    for node in expr.as_ref() {
        let i = |id: Id| at[usize::from(id)];
        let select =
            |cmp, x: [Id; 4]| S::Select { cmp, lhs: i(x[0]), rhs: i(x[1]), yes: i(x[2]), no: i(x[3]) };
        let op = match *node {
            Scalar::Number(bits) => S::Const(bits, 0),
            Scalar::Arg(Argument(k)) => S::Arg(k),
            Scalar::Neg([a]) => S::Neg(i(a)),
            Scalar::Exp([a]) => S::Exp(i(a)),
            Scalar::Log([a]) => S::Log(i(a)),
            Scalar::Sin([a]) => S::Sin(i(a)),
            Scalar::Cos([a]) => S::Cos(i(a)),
            Scalar::Sqrt([a]) => S::Sqrt(i(a)),
            Scalar::Tanh([a]) => S::Tanh(i(a)),
            Scalar::Erf([a]) => S::Erf(i(a)),
            Scalar::Abs([a]) => S::Abs(i(a)),
            Scalar::Add([x, y]) => S::Add(i(x), i(y)),
            Scalar::Sub([x, y]) => S::Sub(i(x), i(y)),
            Scalar::Mul([x, y]) => S::Mul(i(x), i(y)),
            Scalar::Div([x, y]) => S::Div(i(x), i(y)),
            Scalar::Pow([x, y]) => S::Pow(i(x), i(y)),
            Scalar::Min([x, y]) => S::Min(i(x), i(y)),
            Scalar::Max([x, y]) => S::Max(i(x), i(y)),
            Scalar::Lt(x) => select(Cmp::Lt, x),
            Scalar::Le(x) => select(Cmp::Le, x),
            Scalar::Gt(x) => select(Cmp::Gt, x),
            Scalar::Ge(x) => select(Cmp::Ge, x),
            Scalar::Eq(x) => select(Cmp::Eq, x),
            Scalar::Ne(x) => select(Cmp::Ne, x),
        };
        at.push(b.push(op));
    }
    let result = at.last().copied().unwrap_or_else(|| b.real(0.0));
    b.finish(arity, result)
}

/// The value of one side of a rule with numbers for `?a`, `?b`, `?c`, `?d`; `?z` is 17. None if it cannot be read.
pub fn value(side: &str, given: &[f64]) -> Option<f64> {
    let mut text = spelled(side);
    for (k, name) in ["?a", "?b", "?c", "?d"].iter().enumerate() {
        text = text.replace(name, &format!("x{k}"));
    }
    let text = text.replace("?z", &17f64.to_bits().to_string());
    let expr: RecExpr<Scalar> = text.parse().ok()?;
    Some(function(&expr, given.len() as u32).eval_real(given))
}

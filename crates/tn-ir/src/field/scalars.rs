//! Scalar functions on the numbers of [`super::number`].

use super::number::{Function, Number};
use crate::scalar::{Cmp, ScalarFn, ScalarOp};
use num_complex::Complex64;
use std::cmp::Ordering;

/// The value of `f`; `at` is scratch space.
pub fn eval<N: Number>(f: &ScalarFn, args: &[N], at: &mut Vec<N>) -> N {
    at.clear();
    for op in &f.ops {
        let v = operation(op, at, args);
        at.push(v);
    }
    at.last().copied().unwrap_or_else(N::zero)
}

fn operation<N: Number>(op: &ScalarOp, at: &[N], args: &[N]) -> N {
    use ScalarOp::*;
    let v = |r: u32| at[r as usize];
    let choose = |holds: Option<bool>, yes: u32, no: u32| match holds {
        Some(true) => v(yes),
        Some(false) => v(no),
        None => N::unknown(),
    };
    match *op {
        Arg(i) => args[i as usize],
        Const(re, im) => N::coef(Complex64::new(f64::from_bits(re), f64::from_bits(im))),
        Neg(a) => v(a).neg(),
        Add(a, b) => v(a).add(v(b)),
        Sub(a, b) => v(a).add(v(b).neg()),
        Mul(a, b) => v(a).mul(v(b)),
        Div(a, b) => v(a).mul(v(b).recip()),
        Pow(a, b) => v(a).power(v(b)),
        Exp(a) => v(a).call(Function::Exp),
        Log(a) => v(a).call(Function::Log),
        Sin(a) => v(a).call(Function::Sin),
        Cos(a) => v(a).call(Function::Cos),
        Sqrt(a) => v(a).call(Function::Sqrt),
        Tanh(a) => v(a).call(Function::Tanh),
        Erf(a) => v(a).call(Function::Erf),
        Abs(a) => v(a).call(Function::Abs),
        Min(a, b) => choose(v(b).order(v(a)).map(|o| o == Ordering::Less), b, a),
        Max(a, b) => choose(v(b).order(v(a)).map(|o| o == Ordering::Greater), b, a),
        Select { cmp, lhs, rhs, yes, no } => choose(v(lhs).order(v(rhs)).map(|o| holds(cmp, o)), yes, no),
        Conj(a) => v(a).conj(),
    }
}

fn holds(cmp: Cmp, o: Ordering) -> bool {
    match cmp {
        Cmp::Lt => o == Ordering::Less,
        Cmp::Le => o != Ordering::Greater,
        Cmp::Gt => o == Ordering::Greater,
        Cmp::Ge => o != Ordering::Less,
        Cmp::Eq => o == Ordering::Equal,
        Cmp::Ne => o != Ordering::Equal,
    }
}

/// Whether a field evaluates `f` by its meaning: no function that it does not have, no comparison, no number that it does not know.
pub fn is_algebraic(f: &ScalarFn) -> bool {
    use ScalarOp::*;
    f.ops.iter().all(|op| match *op {
        Arg(_) | Neg(_) | Add(..) | Sub(..) | Mul(..) | Div(..) | Conj(_) => true,
        Const(re, im) => super::gf::is_simple(Complex64::new(f64::from_bits(re), f64::from_bits(im))),
        _ => false,
    })
}

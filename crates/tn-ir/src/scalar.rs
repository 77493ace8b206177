//! Scalar functions: the bodies of maps and of elementwise steps, in SSA form.
//!
//! A [`ScalarFn`] is a list of operations over earlier ones; the last is the value. [`ScalarFn::derivative`] derives it by an argument;
//! the user never writes a derivative. At kinks the convention is: `abs` 0, `max`/`min` the first argument, `if` the branch taken.
//! Printers give each operation one line, so shared subexpressions are computed once.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A position in a [`ScalarFn`].
pub type Ref = u32;

/// Comparison of real parts in [`ScalarOp::Select`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Cmp {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

/// One operation. `Const` holds the bits of (re, im), so that functions can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ScalarOp {
    Arg(u32),
    Const(u64, u64),
    Neg(Ref),
    Add(Ref, Ref),
    Sub(Ref, Ref),
    Mul(Ref, Ref),
    Div(Ref, Ref),
    Pow(Ref, Ref),
    Exp(Ref),
    Log(Ref),
    Sin(Ref),
    Cos(Ref),
    Sqrt(Ref),
    Tanh(Ref),
    Erf(Ref),
    Abs(Ref),
    Min(Ref, Ref),
    Max(Ref, Ref),
    /// if `lhs cmp rhs` then `yes` else `no`; both branches are pure.
    Select {
        cmp: Cmp,
        lhs: Ref,
        rhs: Ref,
        yes: Ref,
        no: Ref,
    },
    /// Complex conjugate.
    Conj(Ref),
}

/// A function of `arity` scalars. Build it with [`ScalarBuilder`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScalarFn {
    /// Number of arguments.
    pub arity: u32,
    /// Operations; each refers to earlier ones. The last is the result.
    pub ops: Vec<ScalarOp>,
}

/// Builds scalar functions, sharing equal operations and folding constants.
#[derive(Clone, Debug, Default)]
pub struct ScalarBuilder {
    ops: Vec<ScalarOp>,
    known: HashMap<ScalarOp, Ref>,
}

impl ScalarBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }
    /// The number of operations so far.
    pub fn len(&self) -> usize {
        self.ops.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
    /// A real constant.
    pub fn real(&mut self, value: f64) -> Ref {
        self.push(ScalarOp::Const((value + 0.0).to_bits(), 0))
    }
    /// A complex constant.
    pub fn complex(&mut self, value: Complex64) -> Ref {
        self.push(ScalarOp::Const((value.re + 0.0).to_bits(), (value.im + 0.0).to_bits()))
    }
    /// The value of a reference that is a constant.
    pub fn constant(&self, r: Ref) -> Option<Complex64> {
        match self.ops[r as usize] {
            ScalarOp::Const(re, im) => Some(Complex64::new(f64::from_bits(re), f64::from_bits(im))),
            _ => None,
        }
    }
    /// Adds an operation, simplified (x·0, x·1, x+0, constants folded).
    pub fn push(&mut self, op: ScalarOp) -> Ref {
        use ScalarOp::*;
        let is = |b: &Self, r: Ref, v: f64| b.constant(r) == Some(Complex64::new(v, 0.0));
        match op {
            Neg(a) if matches!(self.ops[a as usize], Neg(_)) => {
                if let Neg(inner) = self.ops[a as usize] {
                    return inner;
                }
            }
            Add(a, b) if is(self, a, 0.0) => return b,
            Add(a, b) | Sub(a, b) if is(self, b, 0.0) => return a,
            Sub(a, b) if is(self, a, 0.0) => return self.push(Neg(b)),
            Mul(a, b) if is(self, a, 0.0) || is(self, b, 0.0) => return self.real(0.0),
            Mul(a, b) if is(self, a, 1.0) => return b,
            Mul(a, b) | Div(a, b) if is(self, b, 1.0) => return a,
            Mul(a, b) if is(self, b, -1.0) => return self.push(Neg(a)),
            Mul(a, b) if is(self, a, -1.0) => return self.push(Neg(b)),
            Div(a, _) if is(self, a, 0.0) => return a,
            Pow(a, b) if is(self, b, 1.0) => return a,
            Pow(_, b) if is(self, b, 0.0) => return self.real(1.0),
            Pow(a, b) if is(self, b, 2.0) => return self.push(Mul(a, a)),
            Select { yes, no, .. } if yes == no => return yes,
            _ => {}
        }
        let args = op.args();
        if !args.is_empty() && args.iter().all(|&a| self.constant(a).is_some()) {
            let values: Vec<_> = self.ops.iter().map(|o| const_value(*o)).collect();
            let folded = op.eval(&values, &[]);
            if folded.re.is_finite() && folded.im.is_finite() {
                return self.complex(folded);
            }
        }
        if let Some(&r) = self.known.get(&op) {
            return r;
        }
        let r = self.ops.len() as Ref;
        self.ops.push(op);
        self.known.insert(op, r);
        r
    }
    /// Inlines `f` applied to earlier references (one an argument); returns its result.
    pub fn call(&mut self, f: &ScalarFn, args: &[Ref]) -> Ref {
        let mut at: Vec<Ref> = Vec::with_capacity(f.ops.len());
        for op in &f.ops {
            let r = match *op {
                ScalarOp::Arg(i) => args[i as usize],
                other => {
                    let moved = other.with_args(|r| at[r as usize]);
                    self.push(moved)
                }
            };
            at.push(r);
        }
        at.last().copied().unwrap_or_else(|| self.real(0.0))
    }
    /// The function whose value is `result`; operations that it does not need are dropped.
    pub fn finish(self, arity: u32, result: Ref) -> ScalarFn {
        let mut needed = vec![false; self.ops.len()];
        needed[result as usize] = true;
        for i in (0..=result as usize).rev() {
            if needed[i] {
                for a in self.ops[i].args() {
                    needed[a as usize] = true;
                }
            }
        }
        let mut place = vec![0; self.ops.len()];
        let mut ops = Vec::new();
        for (i, op) in self.ops.iter().enumerate().take(result as usize + 1) {
            if needed[i] {
                place[i] = ops.len() as Ref;
                ops.push(op.with_args(|r| place[r as usize]));
            }
        }
        ScalarFn { arity, ops }
    }
}

fn const_value(op: ScalarOp) -> Complex64 {
    match op {
        ScalarOp::Const(re, im) => Complex64::new(f64::from_bits(re), f64::from_bits(im)),
        _ => Complex64::new(0.0, 0.0),
    }
}

impl ScalarOp {
    /// The references it reads.
    pub fn args(&self) -> Vec<Ref> {
        use ScalarOp::*;
        match *self {
            Arg(_) | Const(..) => vec![],
            Neg(a) | Exp(a) | Log(a) | Sin(a) | Cos(a) | Sqrt(a) | Tanh(a) | Erf(a) | Abs(a) | Conj(a) => {
                vec![a]
            }
            Add(a, b) | Sub(a, b) | Mul(a, b) | Div(a, b) | Pow(a, b) | Min(a, b) | Max(a, b) => {
                vec![a, b]
            }
            Select { lhs, rhs, yes, no, .. } => vec![lhs, rhs, yes, no],
        }
    }
    /// The same operation on other references.
    pub fn with_args(self, mut f: impl FnMut(Ref) -> Ref) -> ScalarOp {
        use ScalarOp::*;
        match self {
            Arg(_) | Const(..) => self,
            Neg(a) => Neg(f(a)),
            Exp(a) => Exp(f(a)),
            Log(a) => Log(f(a)),
            Sin(a) => Sin(f(a)),
            Cos(a) => Cos(f(a)),
            Sqrt(a) => Sqrt(f(a)),
            Tanh(a) => Tanh(f(a)),
            Erf(a) => Erf(f(a)),
            Abs(a) => Abs(f(a)),
            Conj(a) => Conj(f(a)),
            Add(a, b) => Add(f(a), f(b)),
            Sub(a, b) => Sub(f(a), f(b)),
            Mul(a, b) => Mul(f(a), f(b)),
            Div(a, b) => Div(f(a), f(b)),
            Pow(a, b) => Pow(f(a), f(b)),
            Min(a, b) => Min(f(a), f(b)),
            Max(a, b) => Max(f(a), f(b)),
            Select { cmp, lhs, rhs, yes, no } => {
                Select { cmp, lhs: f(lhs), rhs: f(rhs), yes: f(yes), no: f(no) }
            }
        }
    }
    /// Its value, given those of earlier operations and the arguments. Real functions of a complex argument (`tanh`, `erf`, `min`,
    /// comparisons) look at the real part; the language allows them in real networks only.
    pub fn eval(&self, at: &[Complex64], args: &[Complex64]) -> Complex64 {
        use ScalarOp::*;
        let v = |r: Ref| at[r as usize];
        let real = |x: f64| Complex64::new(x, 0.0);
        match *self {
            Arg(i) => args[i as usize],
            Const(..) => const_value(*self),
            Neg(a) => -v(a),
            Add(a, b) => v(a) + v(b),
            Sub(a, b) => v(a) - v(b),
            Mul(a, b) if v(a).im == 0.0 && v(b).im == 0.0 => real(v(a).re * v(b).re),
            Mul(a, b) => v(a) * v(b),
            Div(a, b) if v(a).im == 0.0 && v(b).im == 0.0 => real(v(a).re / v(b).re),
            Div(a, b) => v(a) / v(b),
            Pow(a, b) if v(a).im == 0.0 && v(b).im == 0.0 => real(v(a).re.powf(v(b).re)),
            Pow(a, b) => v(a).powc(v(b)),
            Exp(a) if v(a).im == 0.0 => real(v(a).re.exp()),
            Exp(a) => v(a).exp(),
            Log(a) if v(a).im == 0.0 => real(v(a).re.ln()),
            Log(a) => v(a).ln(),
            Sin(a) if v(a).im == 0.0 => real(v(a).re.sin()),
            Sin(a) => v(a).sin(),
            Cos(a) if v(a).im == 0.0 => real(v(a).re.cos()),
            Cos(a) => v(a).cos(),
            Sqrt(a) if v(a).im == 0.0 => real(v(a).re.sqrt()),
            Sqrt(a) => v(a).sqrt(),
            Tanh(a) => real(v(a).re.tanh()),
            Erf(a) => real(erf(v(a).re)),
            Abs(a) => real(v(a).norm()),
            Min(a, b) => {
                if v(b).re < v(a).re {
                    v(b)
                } else {
                    v(a)
                }
            }
            Max(a, b) => {
                if v(b).re > v(a).re {
                    v(b)
                } else {
                    v(a)
                }
            }
            Select { cmp, lhs, rhs, yes, no } => {
                if cmp.holds(v(lhs).re, v(rhs).re) {
                    v(yes)
                } else {
                    v(no)
                }
            }
            Conj(a) => v(a).conj(),
        }
    }
}

impl Cmp {
    /// Whether the comparison holds.
    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Cmp::Lt => a < b,
            Cmp::Le => a <= b,
            Cmp::Gt => a > b,
            Cmp::Ge => a >= b,
            Cmp::Eq => a == b,
            Cmp::Ne => a != b,
        }
    }
    /// As written in Rust and C.
    pub fn symbol(self) -> &'static str {
        match self {
            Cmp::Lt => "<",
            Cmp::Le => "<=",
            Cmp::Gt => ">",
            Cmp::Ge => ">=",
            Cmp::Eq => "==",
            Cmp::Ne => "!=",
        }
    }
}

impl ScalarFn {
    /// x ↦ x.
    pub fn identity() -> ScalarFn {
        ScalarFn { arity: 1, ops: vec![ScalarOp::Arg(0)] }
    }
    /// (a, b) ↦ a·b, each conjugated if asked.
    pub fn product(conj_a: bool, conj_b: bool) -> ScalarFn {
        let mut b = ScalarBuilder::new();
        let (mut x, mut y) = (b.push(ScalarOp::Arg(0)), b.push(ScalarOp::Arg(1)));
        if conj_a {
            x = b.push(ScalarOp::Conj(x));
        }
        if conj_b {
            y = b.push(ScalarOp::Conj(y));
        }
        let r = b.push(ScalarOp::Mul(x, y));
        b.finish(2, r)
    }
    /// The value for complex arguments.
    pub fn eval(&self, args: &[Complex64]) -> Complex64 {
        let mut at = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            let v = op.eval(&at, args);
            at.push(v);
        }
        at.last().copied().unwrap_or_default()
    }
    /// The value for real arguments.
    pub fn eval_real(&self, args: &[f64]) -> f64 {
        let args: Vec<_> = args.iter().map(|&x| Complex64::new(x, 0.0)).collect();
        self.eval(&args).re
    }
    /// The (holomorphic, or real) derivative by argument `by`: a function of the same arguments.
    pub fn derivative(&self, by: u32) -> ScalarFn {
        use ScalarOp::*;
        let mut b = ScalarBuilder::new();
        let (mut value, mut slope): (Vec<Ref>, Vec<Ref>) = (vec![], vec![]);
        for op in &self.ops {
            let y = {
                let moved = op.with_args(|r| value[r as usize]);
                b.push(moved)
            };
            let v = |r: Ref| value[r as usize];
            let s = |r: Ref| slope[r as usize];
            let zero = b.real(0.0);
            let dy = match *op {
                Arg(i) if i == by => b.real(1.0),
                Arg(_) | Const(..) => zero,
                Neg(a) => b.push(Neg(s(a))),
                Add(p, q) => b.push(Add(s(p), s(q))),
                Sub(p, q) => b.push(Sub(s(p), s(q))),
                Mul(p, q) => {
                    let (l, r) = (b.push(Mul(s(p), v(q))), b.push(Mul(v(p), s(q))));
                    b.push(Add(l, r))
                }
                Div(p, q) => {
                    // (p' − y q') / q
                    let t = b.push(Mul(y, s(q)));
                    let n = b.push(Sub(s(p), t));
                    b.push(Div(n, v(q)))
                }
                Pow(p, q) => {
                    // q p^(q−1) p' + y log(p) q'
                    let one = b.real(1.0);
                    let e = b.push(Sub(v(q), one));
                    let power = b.push(Pow(v(p), e));
                    let lead = b.push(Mul(v(q), power));
                    let l = b.push(Mul(lead, s(p)));
                    let r = if s(q) == zero {
                        zero
                    } else {
                        let log = b.push(Log(v(p)));
                        let t = b.push(Mul(y, log));
                        b.push(Mul(t, s(q)))
                    };
                    b.push(Add(l, r))
                }
                Exp(a) => b.push(Mul(y, s(a))),
                Log(a) => b.push(Div(s(a), v(a))),
                Sin(a) => {
                    let c = b.push(Cos(v(a)));
                    b.push(Mul(c, s(a)))
                }
                Cos(a) => {
                    let c = b.push(Sin(v(a)));
                    let n = b.push(Neg(c));
                    b.push(Mul(n, s(a)))
                }
                Sqrt(a) => {
                    let two = b.real(2.0);
                    let d = b.push(Mul(two, y));
                    b.push(Div(s(a), d))
                }
                Tanh(a) => {
                    let one = b.real(1.0);
                    let sq = b.push(Mul(y, y));
                    let d = b.push(Sub(one, sq));
                    b.push(Mul(d, s(a)))
                }
                Erf(a) => {
                    let sq = b.push(Mul(v(a), v(a)));
                    let n = b.push(Neg(sq));
                    let e = b.push(Exp(n));
                    let c = b.real(std::f64::consts::FRAC_2_SQRT_PI);
                    let d = b.push(Mul(c, e));
                    b.push(Mul(d, s(a)))
                }
                Abs(a) => {
                    let (one, minus) = (b.real(1.0), b.real(-1.0));
                    let neg = b.push(Select { cmp: Cmp::Lt, lhs: v(a), rhs: zero, yes: minus, no: zero });
                    let sign = b.push(Select { cmp: Cmp::Gt, lhs: v(a), rhs: zero, yes: one, no: neg });
                    b.push(Mul(sign, s(a)))
                }
                Min(p, q) => b.push(Select { cmp: Cmp::Lt, lhs: v(q), rhs: v(p), yes: s(q), no: s(p) }),
                Max(p, q) => b.push(Select { cmp: Cmp::Gt, lhs: v(q), rhs: v(p), yes: s(q), no: s(p) }),
                Select { cmp, lhs, rhs, yes, no } => {
                    b.push(Select { cmp, lhs: v(lhs), rhs: v(rhs), yes: s(yes), no: s(no) })
                }
                Conj(a) => b.push(Conj(s(a))),
            };
            value.push(y);
            slope.push(dy);
        }
        let result = slope.last().copied().unwrap_or_else(|| b.real(0.0));
        b.finish(self.arity, result)
    }
}

/// The error function, to double precision: the Maclaurin series below 2.5, the continued fraction of erfc (Abramowitz
/// and Stegun 7.1.5, 7.1.14) above.
pub fn erf(x: f64) -> f64 {
    let z = x.abs();
    if z.is_nan() {
        return x;
    }
    let value = if z < 2.5 {
        // erf z = 2/√π e^(−z²) Σ 2^n z^(2n+1) / (2n+1)!!: all terms positive, so nothing cancels.
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while term > sum * 1e-18 {
            n += 1.0;
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp() * sum
    } else if z < 6.0 {
        let fraction = (1..=60).rev().fold(z, |f, k| z + 0.5 * k as f64 / f);
        1.0 - (-z * z).exp() / (fraction * std::f64::consts::PI.sqrt())
    } else {
        1.0
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silu() -> ScalarFn {
        let mut b = ScalarBuilder::new();
        let (x, beta) = (b.push(ScalarOp::Arg(0)), b.push(ScalarOp::Arg(1)));
        let t = b.push(ScalarOp::Mul(beta, x));
        let n = b.push(ScalarOp::Neg(t));
        let e = b.push(ScalarOp::Exp(n));
        let one = b.real(1.0);
        let d = b.push(ScalarOp::Add(one, e));
        let r = b.push(ScalarOp::Div(x, d));
        b.finish(2, r)
    }

    #[test]
    fn derivatives_agree_with_central_differences() {
        let f = silu();
        for by in 0..2 {
            let d = f.derivative(by);
            for x in [-2.0, -0.3, 0.1, 1.7] {
                let (mut hi, mut lo) = ([x, 1.3], [x, 1.3]);
                hi[by as usize] += 1e-6;
                lo[by as usize] -= 1e-6;
                let want = (f.eval_real(&hi) - f.eval_real(&lo)) / 2e-6;
                assert!((d.eval_real(&[x, 1.3]) - want).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn erf_at_known_points() {
        for (x, want) in [
            (0.5, 0.5204998778130465),
            (1.0, 0.8427007929497149),
            (2.4, 0.9993114861033549),
            (3.0, 0.9999779095030014),
        ] {
            assert!((erf(x) - want).abs() < 1e-15, "erf({x})");
            assert_eq!(erf(-x), -erf(x));
        }
    }
}

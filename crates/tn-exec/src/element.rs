//! Element types.

use num_complex::{Complex32, Complex64};
use std::ops::{Add, AddAssign, Mul};
use tn_ir::dtype::DType;
use tn_ir::scalar::ScalarOp;

/// What arrays hold.
pub trait Element:
    Copy
    + Default
    + Send
    + Sync
    + PartialEq
    + std::fmt::Debug
    + Add<Output = Self>
    + AddAssign
    + Mul<Output = Self>
    + 'static
{
    /// Its name in plans.
    const DTYPE: DType;
    /// Rounded to this type; the imaginary part is dropped for a real type.
    fn from_complex(z: Complex64) -> Self;
    /// Exactly the same number.
    fn to_complex(self) -> Complex64;
    /// The complex conjugate.
    fn conj(self) -> Self;
    /// The modulus, as an element.
    fn modulus(self) -> Self;
    /// The larger real part of two moduli.
    fn larger(self, other: Self) -> Self;
    /// Whether the real part is finite and not zero.
    fn usable(self) -> bool;
    /// One operation of a scalar function whose operands are looked up in `at`. `Arg` and `Const` do not occur.
    fn op(op: ScalarOp, at: impl Fn(u32) -> Self) -> Self;
}

macro_rules! real {
    ($t:ty, $dtype:expr, $f:ident) => {
        impl Element for $t {
            const DTYPE: DType = $dtype;
            #[inline(always)]
            fn from_complex(z: Complex64) -> Self {
                z.re as $t
            }
            #[inline(always)]
            fn to_complex(self) -> Complex64 {
                Complex64::new(self as f64, 0.0)
            }
            #[inline(always)]
            fn conj(self) -> Self {
                self
            }
            #[inline(always)]
            fn modulus(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                if other > self { other } else { self }
            }
            #[inline(always)]
            fn usable(self) -> bool {
                self.is_finite() && self != 0.0
            }
            #[inline(always)]
            fn op(op: ScalarOp, at: impl Fn(u32) -> Self) -> Self {
                use ScalarOp::*;
                use tn_runtime::$f as f;
                match op {
                    Arg(_) | Const(..) => 0.0,
                    Neg(a) => -at(a),
                    Add(a, b) => at(a) + at(b),
                    Sub(a, b) => at(a) - at(b),
                    Mul(a, b) => at(a) * at(b),
                    Div(a, b) => at(a) / at(b),
                    Pow(a, b) => f::pow(at(a), at(b)),
                    Exp(a) => f::exp(at(a)),
                    Log(a) => f::ln(at(a)),
                    Sin(a) => f::sin(at(a)),
                    Cos(a) => f::cos(at(a)),
                    Sqrt(a) => at(a).sqrt(),
                    Tanh(a) => f::tanh(at(a)),
                    Erf(a) => f::erf(at(a)),
                    Abs(a) => at(a).abs(),
                    Min(a, b) => {
                        if at(b) < at(a) {
                            at(b)
                        } else {
                            at(a)
                        }
                    }
                    Max(a, b) => {
                        if at(b) > at(a) {
                            at(b)
                        } else {
                            at(a)
                        }
                    }
                    Select { cmp, lhs, rhs, yes, no } => {
                        if cmp.holds(at(lhs) as f64, at(rhs) as f64) {
                            at(yes)
                        } else {
                            at(no)
                        }
                    }
                    Conj(a) => at(a),
                }
            }
        }
    };
}

macro_rules! complex {
    ($t:ty, $r:ty, $dtype:expr, $f:ident) => {
        impl Element for $t {
            const DTYPE: DType = $dtype;
            #[inline(always)]
            fn from_complex(z: Complex64) -> Self {
                <$t>::new(z.re as $r, z.im as $r)
            }
            #[inline(always)]
            fn to_complex(self) -> Complex64 {
                Complex64::new(self.re as f64, self.im as f64)
            }
            #[inline(always)]
            fn conj(self) -> Self {
                <$t>::new(self.re, -self.im)
            }
            #[inline(always)]
            fn modulus(self) -> Self {
                <$t>::new(tn_runtime::$f::hypot(self.re, self.im), 0.0)
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                if other.re > self.re { other } else { self }
            }
            #[inline(always)]
            fn usable(self) -> bool {
                self.re.is_finite() && self.re != 0.0
            }
            #[inline(always)]
            fn op(op: ScalarOp, at: impl Fn(u32) -> Self) -> Self {
                use ScalarOp::*;
                use tn_runtime::$f as f;
                let c = |z: f::Cx| <$t>::new(z.re, z.im);
                let cx = |r: u32| {
                    let z = at(r);
                    f::Cx::new(z.re, z.im)
                };
                let real = |x: $r| <$t>::new(x, 0.0);
                match op {
                    Arg(_) | Const(..) => Self::default(),
                    Neg(a) => -at(a),
                    Add(a, b) => at(a) + at(b),
                    Sub(a, b) => at(a) - at(b),
                    Mul(a, b) => at(a) * at(b),
                    Div(a, b) => c(cx(a) / cx(b)),
                    Pow(a, b) => c(f::c_pow(cx(a), cx(b))),
                    Exp(a) => c(f::c_exp(cx(a))),
                    Log(a) => c(f::c_ln(cx(a))),
                    Sin(a) => c(f::c_sin(cx(a))),
                    Cos(a) => c(f::c_cos(cx(a))),
                    Sqrt(a) => c(f::c_sqrt(cx(a))),
                    Tanh(a) => real(f::tanh(at(a).re)),
                    Erf(a) => real(f::erf(at(a).re)),
                    Abs(a) => real(f::c_abs(cx(a))),
                    Min(a, b) => {
                        if at(b).re < at(a).re {
                            at(b)
                        } else {
                            at(a)
                        }
                    }
                    Max(a, b) => {
                        if at(b).re > at(a).re {
                            at(b)
                        } else {
                            at(a)
                        }
                    }
                    Select { cmp, lhs, rhs, yes, no } => {
                        if cmp.holds(at(lhs).re as f64, at(rhs).re as f64) {
                            at(yes)
                        } else {
                            at(no)
                        }
                    }
                    Conj(a) => at(a).conj(),
                }
            }
        }
    };
}

real!(f32, DType::F32, single);
real!(f64, DType::F64, double);
complex!(Complex32, f32, DType::C64, single);
complex!(Complex64, f64, DType::C128, double);

//! What the two evaluators calculate with: elements of the field, pairs of a value and a tangent, and floating-point numbers with a bound of
//! their error where the field cannot tell.

use super::gf::{Fp, Fp2, P, mix};
use crate::fuzz::Rng;
use num_complex::Complex64;
use std::cmp::Ordering;

/// Functions that a field does not have: there each is some fixed function, known by its name and its derivative only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    Exp,
    Log,
    Sin,
    Cos,
    Sqrt,
    Tanh,
    Erf,
    Abs,
}

/// Numbers that programs can be evaluated on.
pub trait Number: Copy {
    /// A natural number.
    fn natural(n: u64) -> Self;
    /// A coefficient.
    fn coef(c: Complex64) -> Self;
    /// Sum.
    fn add(self, o: Self) -> Self;
    /// Negative.
    fn neg(self) -> Self;
    /// Product.
    fn mul(self, o: Self) -> Self;
    /// Inverse.
    fn recip(self) -> Self;
    /// Conjugate.
    fn conj(self) -> Self;
    /// The real part.
    fn real(self) -> Self;
    /// Whether it is zero.
    fn is_zero(self) -> bool;
    /// A function of it.
    fn call(self, f: Function) -> Self;
    /// `self` to the power `e`.
    fn power(self, e: Self) -> Self;
    /// How the real parts compare; none if that cannot be told.
    fn order(self, o: Self) -> Option<Ordering>;
    /// What stands where nothing can be told.
    fn unknown() -> Self;
    /// Zero.
    fn zero() -> Self {
        Self::natural(0)
    }
    /// One.
    fn one() -> Self {
        Self::natural(1)
    }
}

/// Numbers that are drawn and compared.
pub trait Plain: Number {
    /// A random number, of a modulus about `scale` where there is one.
    fn random(rng: &mut Rng, complex: bool, scale: f64) -> Self;
    /// The largest modulus; in a field, where it only rescales, some number that `salt` decides.
    fn largest(values: &[Self], salt: u64) -> Self;
    /// Whether two results of one meaning are equal; none if that cannot be told.
    fn same(self, o: Self) -> Option<bool>;
}

/// A pseudo-random function of an argument.
fn hashed(tag: u64, x: u64, y: u64) -> Fp {
    Fp::new(mix(mix(tag.wrapping_mul(0x517c_c1b7_2722_0a95) ^ x) ^ y.rotate_left(32)))
}

fn small_integer(x: Fp) -> Option<i64> {
    Some(x.signed()).filter(|e| e.abs() <= 1024)
}

impl Number for Fp {
    fn natural(n: u64) -> Fp {
        Fp::new(n)
    }
    fn coef(c: Complex64) -> Fp {
        Fp::number(c.re)
    }
    fn add(self, o: Fp) -> Fp {
        self.plus(o)
    }
    fn neg(self) -> Fp {
        self.minus()
    }
    fn mul(self, o: Fp) -> Fp {
        self.times(o)
    }
    fn recip(self) -> Fp {
        self.inverse()
    }
    fn conj(self) -> Fp {
        self
    }
    fn real(self) -> Fp {
        self
    }
    fn is_zero(self) -> bool {
        self == Fp::ZERO
    }
    fn call(self, f: Function) -> Fp {
        match f {
            // with the order below, |x| = sign(x)·x as in the derivatives
            Function::Abs => Fp::new(self.signed().unsigned_abs()),
            _ => hashed(f as u64 + 1, self.0, 0),
        }
    }
    fn power(self, e: Fp) -> Fp {
        match small_integer(e) {
            Some(n) if n >= 0 => self.pow(n as u64),
            Some(n) => self.inverse().pow(n.unsigned_abs()),
            None => hashed(100, self.0, e.0),
        }
    }
    fn order(self, o: Fp) -> Option<Ordering> {
        Some(self.signed().cmp(&o.signed()))
    }
    fn unknown() -> Fp {
        Fp::ZERO
    }
}

impl Plain for Fp {
    fn random(rng: &mut Rng, _: bool, _: f64) -> Fp {
        Fp::new(rng.bits())
    }
    fn largest(_: &[Fp], salt: u64) -> Fp {
        Fp::new(1 + mix(salt) % (P - 1))
    }
    fn same(self, o: Fp) -> Option<bool> {
        Some(self == o)
    }
}

/// A function with f(z̄) = conj f(z), real on the reals, as the elementary ones are.
fn symmetric(z: Fp2, f: impl Fn(Fp2) -> (Fp, Fp)) -> Fp2 {
    let lower = z.im.signed() < 0;
    let (re, im) = f(if lower { z.conjugate() } else { z });
    let w = Fp2 { re, im: if z.im == Fp::ZERO { Fp::ZERO } else { im } };
    if lower { w.conjugate() } else { w }
}

impl Number for Fp2 {
    fn natural(n: u64) -> Fp2 {
        Fp2::real(Fp::new(n))
    }
    fn coef(c: Complex64) -> Fp2 {
        Fp2 { re: Fp::number(c.re), im: Fp::number(c.im) }
    }
    fn add(self, o: Fp2) -> Fp2 {
        self.plus(o)
    }
    fn neg(self) -> Fp2 {
        self.minus()
    }
    fn mul(self, o: Fp2) -> Fp2 {
        self.times(o)
    }
    fn recip(self) -> Fp2 {
        self.inverse()
    }
    fn conj(self) -> Fp2 {
        self.conjugate()
    }
    fn real(self) -> Fp2 {
        Fp2::real(self.re)
    }
    fn is_zero(self) -> bool {
        self == Fp2::real(Fp::ZERO)
    }
    fn call(self, f: Function) -> Fp2 {
        if f == Function::Abs && self.im == Fp::ZERO {
            return Fp2::real(self.re.call(f));
        }
        let tag = f as u64 + 1;
        let w = symmetric(self, |z| (hashed(tag, z.re.0, z.im.0), hashed(tag + 50, z.re.0, z.im.0)));
        if f == Function::Abs { w.real() } else { w }
    }
    fn power(self, e: Fp2) -> Fp2 {
        match small_integer(e.re).filter(|_| e.im == Fp::ZERO) {
            Some(n) if n >= 0 => self.pow(n as u64),
            Some(n) => self.inverse().pow(n.unsigned_abs()),
            None => {
                let salt = mix(e.re.0 ^ mix(e.im.0));
                symmetric(self, |z| (hashed(salt, z.re.0, z.im.0), hashed(!salt, z.re.0, z.im.0)))
            }
        }
    }
    fn order(self, o: Fp2) -> Option<Ordering> {
        self.re.order(o.re)
    }
    fn unknown() -> Fp2 {
        Fp2::real(Fp::ZERO)
    }
}

impl Plain for Fp2 {
    fn random(rng: &mut Rng, _: bool, _: f64) -> Fp2 {
        Fp2 { re: Fp::new(rng.bits()), im: Fp::new(rng.bits()) }
    }
    fn largest(_: &[Fp2], salt: u64) -> Fp2 {
        Fp2::real(Fp::new(1 + mix(salt) % (P - 1)))
    }
    fn same(self, o: Fp2) -> Option<bool> {
        Some(self == o)
    }
}

/// A value and the derivative of it along one direction.
#[derive(Clone, Copy, Debug)]
pub struct Dual<N> {
    /// The value.
    pub value: N,
    /// The tangent.
    pub slope: N,
}

impl<N: Number> Number for Dual<N> {
    fn natural(n: u64) -> Self {
        Dual { value: N::natural(n), slope: N::zero() }
    }
    fn coef(c: Complex64) -> Self {
        Dual { value: N::coef(c), slope: N::zero() }
    }
    fn add(self, o: Self) -> Self {
        Dual { value: self.value.add(o.value), slope: self.slope.add(o.slope) }
    }
    fn neg(self) -> Self {
        Dual { value: self.value.neg(), slope: self.slope.neg() }
    }
    fn mul(self, o: Self) -> Self {
        let slope = self.value.mul(o.slope).add(self.slope.mul(o.value));
        Dual { value: self.value.mul(o.value), slope }
    }
    fn recip(self) -> Self {
        let r = self.value.recip();
        Dual { value: r, slope: r.mul(r).mul(self.slope).neg() }
    }
    fn conj(self) -> Self {
        Dual { value: self.value.conj(), slope: self.slope.conj() }
    }
    fn real(self) -> Self {
        Dual { value: self.value.real(), slope: self.slope.real() }
    }
    fn is_zero(self) -> bool {
        self.value.is_zero() && self.slope.is_zero()
    }
    fn call(self, f: Function) -> Self {
        let x = self.value;
        let y = x.call(f);
        let by = match f {
            Function::Exp => y,
            Function::Log => x.recip(),
            Function::Sin => x.call(Function::Cos),
            Function::Cos => x.call(Function::Sin).neg(),
            Function::Sqrt => N::natural(2).mul(y).recip(),
            Function::Tanh => N::one().add(y.mul(y).neg()),
            Function::Erf => {
                let c = N::coef(Complex64::new(std::f64::consts::FRAC_2_SQRT_PI, 0.0));
                c.mul(x.mul(x).neg().call(Function::Exp))
            }
            Function::Abs => match x.order(N::zero()) {
                Some(Ordering::Greater) => N::one(),
                Some(Ordering::Less) => N::one().neg(),
                Some(Ordering::Equal) => N::zero(),
                None => N::unknown(),
            },
        };
        Dual { value: y, slope: by.mul(self.slope) }
    }
    fn power(self, e: Self) -> Self {
        let (x, y) = (self.value, self.value.power(e.value));
        let less = e.value.add(N::one().neg());
        let mut slope = N::zero();
        if !self.slope.is_zero() {
            slope = e.value.mul(x.power(less)).mul(self.slope);
        }
        if !e.slope.is_zero() {
            slope = slope.add(y.mul(x.call(Function::Log)).mul(e.slope));
        }
        Dual { value: y, slope }
    }
    fn order(self, o: Self) -> Option<Ordering> {
        self.value.order(o.value)
    }
    fn unknown() -> Self {
        Dual { value: N::unknown(), slope: N::unknown() }
    }
}

/// A floating-point number with a bound of what rounding can have done to it.
#[derive(Clone, Copy, Debug)]
pub struct Approx {
    /// The value.
    pub value: Complex64,
    /// At least the distance to the exact one; infinite where nothing is known.
    pub error: f64,
}

/// Twice the unit of rounding.
const ROUNDING: f64 = 4.0 * f64::EPSILON;
/// A result that is less certain than this, relatively, tells nothing.
const UNCERTAIN: f64 = 1e-4;

impl Approx {
    fn new(value: Complex64, error: f64) -> Approx {
        let error = error + ROUNDING * value.norm();
        Approx { value, error: if error.is_finite() { error } else { f64::INFINITY } }
    }
    /// A function of it; its error is seen by moving the argument.
    fn through(self, f: impl Fn(Complex64) -> Complex64) -> Approx {
        let y = f(self.value);
        let step = self.error;
        let moved = [step, -step].map(|s| (f(self.value + s) - y).norm());
        let turned = (f(self.value + Complex64::new(0.0, step)) - y).norm();
        let turned = if self.value.im == 0.0 { 0.0 } else { turned };
        let error = moved.iter().fold(turned, |m, x| if x.is_nan() { f64::INFINITY } else { m.max(*x) });
        Approx::new(y, 4.0 * error + ROUNDING * y.norm())
    }
}

impl Number for Approx {
    fn natural(n: u64) -> Approx {
        Approx { value: Complex64::new(n as f64, 0.0), error: 0.0 }
    }
    fn coef(c: Complex64) -> Approx {
        Approx::new(c, 8.0 * ROUNDING * c.norm())
    }
    fn add(self, o: Approx) -> Approx {
        Approx::new(self.value + o.value, self.error + o.error)
    }
    fn neg(self) -> Approx {
        Approx { value: -self.value, ..self }
    }
    fn mul(self, o: Approx) -> Approx {
        if self.is_zero() || o.is_zero() {
            return Approx::natural(0);
        }
        let error = self.error * (o.value.norm() + o.error) + self.value.norm() * o.error;
        Approx::new(self.value * o.value, error)
    }
    fn recip(self) -> Approx {
        let n = self.value.norm();
        if n <= 2.0 * self.error {
            return Approx::unknown();
        }
        Approx::new(self.value.inv(), 2.0 * self.error / (n * n))
    }
    fn conj(self) -> Approx {
        Approx { value: self.value.conj(), ..self }
    }
    fn real(self) -> Approx {
        Approx { value: Complex64::new(self.value.re, 0.0), ..self }
    }
    fn is_zero(self) -> bool {
        self.error == 0.0 && self.value == Complex64::new(0.0, 0.0)
    }
    fn call(self, f: Function) -> Approx {
        let real = |g: fn(f64) -> f64| {
            move |z: Complex64| {
                if z.im == 0.0 { Complex64::new(g(z.re), 0.0) } else { Complex64::new(f64::NAN, 0.0) }
            }
        };
        match f {
            Function::Exp => self.through(|z| z.exp()),
            Function::Log if self.value.im == 0.0 => self.through(real(f64::ln)),
            Function::Log => self.through(|z| z.ln()),
            Function::Sin => self.through(|z| z.sin()),
            Function::Cos => self.through(|z| z.cos()),
            Function::Sqrt if self.value.im == 0.0 => self.through(real(f64::sqrt)),
            Function::Sqrt => self.through(|z| z.sqrt()),
            Function::Tanh => self.through(real(f64::tanh)),
            Function::Erf => self.through(real(crate::scalar::erf)),
            Function::Abs => self.through(|z| Complex64::new(z.norm(), 0.0)),
        }
    }
    fn power(self, e: Approx) -> Approx {
        if self.value.im == 0.0 && e.value.im == 0.0 {
            let in_base = self.through(|x| Complex64::new(x.re.powf(e.value.re), 0.0));
            let in_exponent = e.through(|y| Complex64::new(self.value.re.powf(y.re), 0.0));
            return Approx::new(in_base.value, in_base.error + in_exponent.error);
        }
        let in_base = self.through(|x| x.powc(e.value));
        let in_exponent = e.through(|y| self.value.powc(y));
        Approx::new(in_base.value, in_base.error + in_exponent.error)
    }
    fn order(self, o: Approx) -> Option<Ordering> {
        let (a, b) = (self.value.re, o.value.re);
        if a != b && (a - b).abs() <= self.error + o.error {
            return None;
        }
        a.partial_cmp(&b)
    }
    fn unknown() -> Approx {
        Approx { value: Complex64::new(0.0, 0.0), error: f64::INFINITY }
    }
}

impl Plain for Approx {
    fn random(rng: &mut Rng, complex: bool, scale: f64) -> Approx {
        let value = match complex {
            true => Complex64::from_polar(scale * (0.75 + 0.25 * rng.real()), 6.0 * rng.real()),
            false => Complex64::new(scale * rng.real(), 0.0),
        };
        Approx { value, error: 0.0 }
    }
    fn largest(values: &[Approx], _: u64) -> Approx {
        let top = values.iter().max_by(|a, b| a.value.norm().total_cmp(&b.value.norm()));
        match top {
            Some(x) if x.value.norm() > 0.0 && x.value.norm().is_finite() => x.call(Function::Abs),
            _ => Approx::one(),
        }
    }
    fn same(self, o: Approx) -> Option<bool> {
        let (scale, error) = (self.value.norm().max(o.value.norm()), self.error + o.error);
        let distance = (self.value - o.value).norm();
        if distance > 16.0 * error + f64::MIN_POSITIVE {
            return Some(false);
        }
        (error <= UNCERTAIN * scale || error == 0.0).then_some(true)
    }
}

//! The field GF(p) for p = 2^61 − 1, and GF(p²) = GF(p)\[i\], i² = −1 (p ≡ 3 mod 4), whose conjugation negates the second part.
//!
//! **Coefficients.** Numbers of programs are `f64`, and passes multiply and add them in `f64`. A number that is a fraction with a small
//! denominator up to rounding, or √2 times one, stands for that fraction, so that 0.1 · 3 and 0.3 are one element. Any other stands for the
//! dyadic number that it is: equal numbers are equal elements, but their products are not those of the rounded products ([`is_simple`]).

use num_complex::Complex64;

/// 2^61 − 1.
pub const P: u64 = (1 << 61) - 1;
/// Largest denominator of a fraction that is recognised.
const MAX_DENOMINATOR: f64 = 131_072.0;
/// How near a number must be to a fraction, relatively.
const NEAR: f64 = 1e-14;

/// An element of GF(p).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fp(pub(super) u64);

/// An element of GF(p²).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fp2 {
    /// The part that conjugation keeps.
    pub re: Fp,
    /// The part that it negates.
    pub im: Fp,
}

impl Fp {
    /// Zero.
    pub const ZERO: Fp = Fp(0);
    /// One.
    pub const ONE: Fp = Fp(1);

    /// The residue of a natural number.
    pub fn new(n: u64) -> Fp {
        Fp(n % P)
    }
    /// Sum.
    pub fn plus(self, o: Fp) -> Fp {
        let s = self.0 + o.0;
        Fp(if s >= P { s - P } else { s })
    }
    /// Negative.
    pub fn minus(self) -> Fp {
        Fp(if self.0 == 0 { 0 } else { P - self.0 })
    }
    /// Product.
    pub fn times(self, o: Fp) -> Fp {
        let x = self.0 as u128 * o.0 as u128;
        let s = (x as u64 & P) + (x >> 61) as u64;
        Fp(if s >= P { s - P } else { s })
    }
    /// Power.
    pub fn pow(self, e: u64) -> Fp {
        power(self, Fp::ONE, e, Fp::times)
    }
    /// The inverse; zero for zero.
    pub fn inverse(self) -> Fp {
        self.pow(P - 2)
    }
    /// The representative of least modulus.
    pub fn signed(self) -> i64 {
        if self.0 > P / 2 { self.0 as i64 - P as i64 } else { self.0 as i64 }
    }
    /// The element that stands for a finite number.
    pub fn number(x: f64) -> Fp {
        match fraction(x) {
            Some((numerator, denominator)) => ratio(numerator, denominator),
            None => match fraction(x / std::f64::consts::SQRT_2) {
                // 2^62 = 2
                Some((numerator, denominator)) => ratio(numerator, denominator).times(Fp(1 << 31)),
                None => dyadic(x),
            },
        }
    }
}

fn ratio(numerator: f64, denominator: f64) -> Fp {
    let n = dyadic(numerator);
    if denominator == 1.0 { n } else { n.times(Fp::new(denominator as u64).inverse()) }
}

/// The exact value of a finite number: 2 has the order 61.
fn dyadic(x: f64) -> Fp {
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64;
    let mantissa = bits & ((1 << 52) - 1) | if exponent > 0 { 1 << 52 } else { 0 };
    let shift = (exponent.max(1) - 1075).rem_euclid(61);
    let n = Fp::new(mantissa).times(Fp(1 << shift));
    if x < 0.0 { n.minus() } else { n }
}

/// The fraction with the least denominator that is within rounding of `x`, by its continued fraction.
fn fraction(x: f64) -> Option<(f64, f64)> {
    if x == x.trunc() {
        return Some((x, 1.0));
    }
    if !x.is_finite() {
        return None;
    }
    let (mut p, mut q) = ((1.0, x.floor()), (0.0, 1.0));
    let mut rest = x - x.floor();
    for _ in 0..24 {
        if (x - p.1 / q.1).abs() <= NEAR * x.abs() {
            return Some((p.1, q.1));
        }
        let next = 1.0 / rest;
        let digit = next.floor();
        rest = next - digit;
        p = (p.1, digit * p.1 + p.0);
        q = (q.1, digit * q.1 + q.0);
        if q.1 > MAX_DENOMINATOR || !q.1.is_finite() {
            return None;
        }
    }
    None
}

/// Whether sums and products of this number and its like are those of the elements that stand for them, up to rounding.
pub fn is_simple(c: Complex64) -> bool {
    let one = |x: f64| fraction(x).or_else(|| fraction(x / std::f64::consts::SQRT_2)).is_some();
    one(c.re) && one(c.im)
}

impl Fp2 {
    /// From GF(p).
    pub fn real(re: Fp) -> Fp2 {
        Fp2 { re, im: Fp::ZERO }
    }
    /// Sum.
    pub fn plus(self, o: Fp2) -> Fp2 {
        Fp2 { re: self.re.plus(o.re), im: self.im.plus(o.im) }
    }
    /// Negative.
    pub fn minus(self) -> Fp2 {
        Fp2 { re: self.re.minus(), im: self.im.minus() }
    }
    /// Product.
    pub fn times(self, o: Fp2) -> Fp2 {
        let (rr, ii) = (self.re.times(o.re), self.im.times(o.im));
        let cross = self.re.plus(self.im).times(o.re.plus(o.im));
        Fp2 { re: rr.plus(ii.minus()), im: cross.plus(rr.plus(ii).minus()) }
    }
    /// Conjugate.
    pub fn conjugate(self) -> Fp2 {
        Fp2 { re: self.re, im: self.im.minus() }
    }
    /// The inverse; zero for zero.
    pub fn inverse(self) -> Fp2 {
        let norm = self.re.times(self.re).plus(self.im.times(self.im));
        self.conjugate().times(Fp2::real(norm.inverse()))
    }
    /// Power.
    pub fn pow(self, e: u64) -> Fp2 {
        power(self, Fp2::real(Fp::ONE), e, Fp2::times)
    }
}

/// `base` to the power `e` by repeated squaring.
fn power<T: Copy>(mut base: T, one: T, mut e: u64, times: impl Fn(T, T) -> T) -> T {
    let mut out = one;
    while e > 0 {
        if e & 1 == 1 {
            out = times(out, base);
        }
        base = times(base, base);
        e >>= 1;
    }
    out
}

/// Mixes 64 bits (the finaliser of SplitMix64).
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Rng;

    #[test]
    fn the_laws_of_a_field() {
        let mut rng = Rng(1);
        let mut one = || Fp::new(rng.bits());
        for _ in 0..200 {
            let (a, b, c) = (one(), one(), one());
            assert_eq!(a.times(b.plus(c)), a.times(b).plus(a.times(c)));
            assert_eq!(a.times(a.inverse()), Fp::ONE);
            assert_eq!(a.plus(a.minus()), Fp::ZERO);
            let (x, y) = (Fp2 { re: a, im: b }, Fp2 { re: c, im: one() });
            assert_eq!(x.times(y).conjugate(), x.conjugate().times(y.conjugate()));
            assert_eq!(x.times(x.inverse()), Fp2::real(Fp::ONE));
            assert_eq!(x.times(y).times(x), x.times(y.times(x)));
        }
        assert_eq!(Fp(P - 1).times(Fp(P - 1)), Fp::ONE);
    }

    #[test]
    fn fractions_are_seen_through_rounding() {
        let of = Fp::number;
        assert_eq!(of(0.1).times(of(3.0)), of(0.1 * 3.0));
        assert_eq!(of(0.1).plus(of(0.2)), of(0.1 + 0.2));
        assert_eq!(of(1.0 / 3.0).times(of(3.0)), Fp::ONE);
        assert_eq!(of(-0.7).times(of(0.7)), of(-0.49));
        assert_eq!(of(0.5f64.sqrt()).times(of(0.5f64.sqrt())), of(0.5));
        assert_eq!(of(2f64.powi(-60)).times(of(2f64.powi(60))), Fp::ONE);
        assert_eq!(of(-1e300), of(1e300).minus());
        assert!(is_simple(Complex64::new(0.3, -1.25)));
        assert!(!is_simple(Complex64::new(0.123_456_789_012_3, 0.0)));
        assert!(!is_simple(Complex64::new(1.0, std::f64::consts::PI)));
    }
}

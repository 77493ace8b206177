// Numbers of one precision: included once for `f32` and once for `f64`, with `Real` the real type. Generated modules take the
// items that they use, with `Real` and `Cx` replaced.

/// A complex number.
#[allow(dead_code)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Cx {
    /// Real part.
    pub re: Real,
    /// Imaginary part.
    pub im: Real,
}
#[allow(dead_code, clippy::all)]
impl Cx {
    /// `re + im·i`.
    #[inline(always)]
    pub const fn new(re: Real, im: Real) -> Cx {
        Cx { re, im }
    }
    /// The complex conjugate.
    #[inline(always)]
    pub const fn conj(self) -> Cx {
        Cx { re: self.re, im: -self.im }
    }
}
impl core::ops::Neg for Cx {
    type Output = Cx;
    #[inline(always)]
    fn neg(self) -> Cx {
        Cx { re: -self.re, im: -self.im }
    }
}
impl core::ops::Add for Cx {
    type Output = Cx;
    #[inline(always)]
    fn add(self, o: Cx) -> Cx {
        Cx { re: self.re + o.re, im: self.im + o.im }
    }
}
impl core::ops::AddAssign for Cx {
    #[inline(always)]
    fn add_assign(&mut self, o: Cx) {
        *self = *self + o;
    }
}
impl core::ops::Sub for Cx {
    type Output = Cx;
    #[inline(always)]
    fn sub(self, o: Cx) -> Cx {
        Cx { re: self.re - o.re, im: self.im - o.im }
    }
}
impl core::ops::Mul for Cx {
    type Output = Cx;
    #[inline(always)]
    fn mul(self, o: Cx) -> Cx {
        Cx { re: self.re * o.re - self.im * o.im, im: self.re * o.im + self.im * o.re }
    }
}
impl core::ops::Div for Cx {
    type Output = Cx;
    #[inline(always)]
    fn div(self, o: Cx) -> Cx {
        // Smith's division: the larger part of the divisor is divided out first, so that nothing overflows on the way.
        let (a, b) = (if o.re < 0.0 { -o.re } else { o.re }, if o.im < 0.0 { -o.im } else { o.im });
        if a >= b {
            let (r, d) = (o.im / o.re, o.re + o.im * (o.im / o.re));
            Cx { re: (self.re + self.im * r) / d, im: (self.im - self.re * r) / d }
        } else {
            let (r, d) = (o.re / o.im, o.im + o.re * (o.re / o.im));
            Cx { re: (self.re * r + self.im) / d, im: (self.im * r - self.re) / d }
        }
    }
}

/// `eᵃ`.
#[allow(clippy::all)]
#[inline]
pub fn exp(a: Real) -> Real { exp_(a as f64) as Real }

/// Natural logarithm.
#[allow(clippy::all)]
#[inline]
pub fn ln(a: Real) -> Real { ln_(a as f64) as Real }

/// Sine.
#[allow(clippy::all)]
#[inline]
pub fn sin(a: Real) -> Real { sin_cos_(a as f64).0 as Real }

/// Cosine.
#[allow(clippy::all)]
#[inline]
pub fn cos(a: Real) -> Real { sin_cos_(a as f64).1 as Real }

/// Hyperbolic sine.
#[allow(clippy::all)]
#[inline]
pub fn sinh(a: Real) -> Real { sinh_(a as f64) as Real }

/// Hyperbolic cosine.
#[allow(clippy::all)]
#[inline]
pub fn cosh(a: Real) -> Real { cosh_(a as f64) as Real }

/// Square root.
#[allow(clippy::all)]
#[inline]
pub fn sqrt(a: Real) -> Real { sqrt_(a as f64) as Real }

/// Hyperbolic tangent.
#[allow(clippy::all)]
#[inline]
pub fn tanh(a: Real) -> Real { tanh_(a as f64) as Real }

/// `√(a² + b²)`.
#[allow(clippy::all)]
#[inline]
pub fn hypot(a: Real, b: Real) -> Real { hypot_(a as f64, b as f64) as Real }

/// The angle of (b, a).
#[allow(clippy::all)]
#[inline]
pub fn atan2(a: Real, b: Real) -> Real { atan2_(a as f64, b as f64) as Real }

/// `aᵇ`.
#[allow(clippy::all)]
#[inline]
pub fn pow(a: Real, b: Real) -> Real { pow_(a as f64, b as f64) as Real }

/// The error function.
#[allow(clippy::all)]
#[inline]
pub fn erf(a: Real) -> Real { erf_(a as f64) as Real }

/// Modulus.
#[allow(clippy::all)]
#[inline]
pub fn c_abs(a: Cx) -> Real { hypot(a.re, a.im) }

/// `eᵃ`.
#[allow(clippy::all)]
#[inline]
pub fn c_exp(a: Cx) -> Cx {
    let size = exp(a.re);
    Cx::new(size * cos(a.im), size * sin(a.im))
}

/// Principal logarithm.
#[allow(clippy::all)]
#[inline]
pub fn c_ln(a: Cx) -> Cx { Cx::new(ln(hypot(a.re, a.im)), atan2(a.im, a.re)) }

/// Sine.
#[allow(clippy::all)]
#[inline]
pub fn c_sin(a: Cx) -> Cx { Cx::new(sin(a.re) * cosh(a.im), cos(a.re) * sinh(a.im)) }

/// Cosine.
#[allow(clippy::all)]
#[inline]
pub fn c_cos(a: Cx) -> Cx { Cx::new(cos(a.re) * cosh(a.im), -(sin(a.re) * sinh(a.im))) }

/// Principal square root.
#[allow(clippy::all)]
#[inline]
pub fn c_sqrt(a: Cx) -> Cx {
    let large = sqrt((hypot(a.re, a.im) + if a.re < 0.0 { -a.re } else { a.re }) / 2.0);
    if large == 0.0 {
        return Cx::new(0.0, a.im);
    }
    let small = (if a.im < 0.0 { -a.im } else { a.im }) / (2.0 * large);
    let (re, im) = if a.re >= 0.0 { (large, small) } else { (small, large) };
    Cx::new(re, if a.im < 0.0 { -im } else { im })
}

/// Principal value of `aᵇ`.
#[allow(clippy::all)]
#[inline]
pub fn c_pow(a: Cx, b: Cx) -> Cx {
    if a == Cx::new(0.0, 0.0) {
        return Cx::new(if b == Cx::new(0.0, 0.0) { 1.0 } else { 0.0 }, 0.0);
    }
    if a.im == 0.0 && b.im == 0.0 && a.re > 0.0 {
        return Cx::new(pow(a.re, b.re), 0.0);
    }
    c_exp(b * c_ln(a))
}


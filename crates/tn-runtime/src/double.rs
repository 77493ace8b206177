// Real functions without `std`, in double precision. Included by `lib.rs`; generated modules take the items that they call.
//
// Each is an argument reduction and a series: a few units in the last place where the reduction is exact (angles up to about 10⁵), which
// is far below what a contraction loses.

/// `eˣ`.
#[allow(clippy::all)]
#[inline]
pub fn exp_(x: f64) -> f64 {
    if x != x {
        return x;
    }
    if x > 709.8 {
        return f64::INFINITY;
    }
    if x < -745.2 {
        return 0.0;
    }
    let k = (x * core::f64::consts::LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }) as i64;
    // ln 2 in two parts: the first times k is exact.
    let r = x - k as f64 * 0.693147180369123816490 - k as f64 * 1.90821492927058770002e-10;
    let (mut sum, mut n) = (1.0, 14.0);
    while n > 0.0 {
        sum = 1.0 + sum * r / n;
        n -= 1.0;
    }
    // Two factors, so that neither over- nor underflows before the product does.
    let half = k / 2;
    let power = |e: i64| f64::from_bits(((1023 + e) as u64) << 52);
    sum * power(half) * power(k - half)
}

/// Natural logarithm.
#[allow(clippy::all)]
#[inline]
pub fn ln_(x: f64) -> f64 {
    if x != x || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * 18014398509481984.0, 54) } else { (x, 0) };
    let bits = x.to_bits();
    let mut e = (bits >> 52) as i64 - 1023 - shift;
    let mut m = f64::from_bits((bits & 0xf_ffff_ffff_ffff) | (1023 << 52));
    if m > core::f64::consts::SQRT_2 {
        m /= 2.0;
        e += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let (z, mut sum, mut n) = (s * s, 0.0, 25.0);
    while n > 1.0 {
        sum = (sum + 1.0 / n) * z;
        n -= 2.0;
    }
    let k = e as f64;
    k * 0.693147180369123816490 + (2.0 * s + (2.0 * s * sum + k * 1.90821492927058770002e-10))
}

/// Sine and cosine.
#[allow(clippy::all)]
#[inline]
pub fn sin_cos_(x: f64) -> (f64, f64) {
    if x - x != 0.0 {
        return (f64::NAN, f64::NAN);
    }
    let q = (x * core::f64::consts::FRAC_2_PI + if x < 0.0 { -0.5 } else { 0.5 }) as i64;
    let k = q as f64;
    // π/2 in three parts of 33 bits.
    let r = x - k * 1.57079632673412561417 - k * 6.07710050630396597660e-11 - k * 2.02226624879595063154e-21;
    let z = r * r;
    let (mut s, mut c, mut n) = (1.0, 1.0, 18.0);
    while n > 0.0 {
        s = 1.0 - s * z / (n * (n + 1.0));
        c = 1.0 - c * z / (n * (n - 1.0));
        n -= 2.0;
    }
    s *= r;
    match q & 3 {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// Hyperbolic sine.
#[allow(clippy::all)]
#[inline]
pub fn sinh_(x: f64) -> f64 {
    if x > -1.0 && x < 1.0 {
        let (z, mut sum, mut n) = (x * x, 1.0, 18.0);
        while n > 0.0 {
            sum = 1.0 + sum * z / (n * (n + 1.0));
            n -= 2.0;
        }
        return sum * x;
    }
    // e^(x/2) twice: e^x alone overflows too early.
    let (up, down) = (exp_(x / 2.0), exp_(-x / 2.0));
    up / 2.0 * up - down / 2.0 * down
}

/// Hyperbolic cosine.
#[allow(clippy::all)]
#[inline]
pub fn cosh_(x: f64) -> f64 {
    let (up, down) = (exp_(x / 2.0), exp_(-x / 2.0));
    up / 2.0 * up + down / 2.0 * down
}

/// Hyperbolic tangent.
#[allow(clippy::all)]
#[inline]
pub fn tanh_(x: f64) -> f64 {
    if x > 20.0 {
        1.0
    } else if x < -20.0 {
        -1.0
    } else {
        sinh_(x) / cosh_(x)
    }
}

/// Square root.
#[allow(clippy::all)]
#[inline]
pub fn sqrt_(x: f64) -> f64 {
    if x != x || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return x;
    }
    // Newton's method from half the exponent; subnormal numbers are scaled up first.
    let (x, scale) = if x < f64::MIN_POSITIVE { (x * 18014398509481984.0, 7.450580596923828e-9) } else { (x, 1.0) };
    let mut r = f64::from_bits((x.to_bits() >> 1) + (511 << 52) + (1 << 51));
    let mut n = 0;
    while n < 5 {
        r = 0.5 * (r + x / r);
        n += 1;
    }
    r * scale
}

/// `√(x² + y²)` without overflow on the way.
#[allow(clippy::all)]
#[inline]
pub fn hypot_(x: f64, y: f64) -> f64 {
    let (a, b) = (if x < 0.0 { -x } else { x }, if y < 0.0 { -y } else { y });
    let (large, small) = if a < b { (b, a) } else { (a, b) };
    if large == 0.0 || large == f64::INFINITY {
        return large;
    }
    let ratio = small / large;
    large * sqrt_(1.0 + ratio * ratio)
}

/// The angle of (x, y).
#[allow(clippy::all)]
#[inline]
pub fn atan2_(y: f64, x: f64) -> f64 {
    use core::f64::consts::{FRAC_PI_2, PI};
    let (a, b) = (if y < 0.0 { -y } else { y }, if x < 0.0 { -x } else { x });
    if a == 0.0 && b == 0.0 {
        return if x.is_sign_negative() { if y.is_sign_negative() { -PI } else { PI } } else { y };
    }
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    // The half-angle formula twice, then the series: the argument is below tan(π/16).
    let mut t = if low == high { 1.0 } else { low / high };
    t /= 1.0 + sqrt_(1.0 + t * t);
    t /= 1.0 + sqrt_(1.0 + t * t);
    let (z, mut sum, mut n) = (t * t, 0.0, 25.0);
    while n > 1.0 {
        sum = (1.0 / n - sum) * z;
        n -= 2.0;
    }
    let mut angle = 4.0 * (t - t * sum);
    if a > b {
        angle = FRAC_PI_2 - angle;
    }
    if x < 0.0 {
        angle = PI - angle;
    }
    if y < 0.0 { -angle } else { angle }
}

/// `xʸ`.
#[allow(clippy::all)]
#[inline]
pub fn pow_(x: f64, y: f64) -> f64 {
    let whole = y > -9e15 && y < 9e15 && (y as i64) as f64 == y;
    if whole && y > -65.0 && y < 65.0 {
        let (mut out, mut base, mut n) = (1.0, x, if y < 0.0 { -y as i64 } else { y as i64 });
        while n > 0 {
            if n & 1 == 1 {
                out *= base;
            }
            base *= base;
            n >>= 1;
        }
        return if y < 0.0 { 1.0 / out } else { out };
    }
    if x < 0.0 {
        if !whole {
            return f64::NAN;
        }
        let size = exp_(y * ln_(-x));
        return if (y as i64) & 1 == 1 { -size } else { size };
    }
    exp_(y * ln_(x))
}

/// The error function.
#[allow(clippy::all)]
#[inline]
pub fn erf_(x: f64) -> f64 {
    let z = if x < 0.0 { -x } else { x };
    if z != z {
        return x;
    }
    let value = if z < 2.5 {
        // The series with positive terms only: nothing cancels.
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while term > sum * 1e-18 {
            n += 1.0;
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
        }
        core::f64::consts::FRAC_2_SQRT_PI * exp_(-z * z) * sum
    } else if z < 6.0 {
        let (mut fraction, mut k) = (z, 60.0);
        while k > 0.0 {
            fraction = z + 0.5 * k / fraction;
            k -= 1.0;
        }
        1.0 - exp_(-z * z) / (fraction * sqrt_(core::f64::consts::PI))
    } else {
        1.0
    };
    if x < 0.0 { -value } else { value }
}


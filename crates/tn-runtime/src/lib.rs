//! What generated Rust may use, and what initial values are drawn with. No allocation, and no `std` without the feature of that name.
//!
//! | module | what |
//! | --- | --- |
//! | [`single`], [`double`] | functions and complex numbers of `f32` and of `f64` |
//! | [`slices`] | parts of arrays |
//! | [`random`] | the one random generator (Philox 4×32-10) and the distributions drawn from it |
//! | `fused` (feature `std`) | multiply-adds in one rounding where a kernel's version has them |
//! | `stream` (feature `std`) | stores past the caches |
//!
//! The texts of the first two are also written into generated modules that stand alone ([`SOURCES`]): there is one definition of each.

#![no_std]
// Only `stream`, whose instructions have no safe form, has leave.
#![deny(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

/// Functions in versions for several instruction sets.
#[cfg(feature = "std")]
pub use multiversion;
#[cfg(feature = "std")]
pub mod fused;
pub mod random;
#[cfg(feature = "std")]
#[allow(unsafe_code)]
pub mod stream;

/// Real functions in double precision, on which the others rest.
pub mod work {
    include!("double.rs");
}

/// `f32` and pairs of them.
pub mod single {
    #[allow(unused_imports)]
    use crate::work::*;
    type Real = f32;
    include!("typed.rs");
}

/// `f64` and pairs of them.
pub mod double {
    #[allow(unused_imports)]
    use crate::work::*;
    type Real = f64;
    include!("typed.rs");
}

/// Lengths and parts of arrays.
pub mod slices {
    include!("slices.rs");
}

/// The source texts from which generated modules take what they call: functions in double precision, functions and complex numbers
/// in terms of `Real` and `Cx`, parts of arrays, random numbers.
pub const SOURCES: [&str; 4] = [
    include_str!("double.rs"),
    include_str!("typed.rs"),
    include_str!("slices.rs"),
    include_str!("draws.rs"),
];

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    fn close(got: f64, want: f64, name: &str, x: f64) {
        let bad = if want.is_finite() {
            (got - want).abs() > 8e-16 * want.abs().max(1e-300)
        } else {
            got != want && !(got.is_nan() && want.is_nan())
        };
        assert!(!bad, "{name}({x:e}) = {got:e}, not {want:e}");
    }

    #[test]
    fn real_functions_agree_with_the_standard_library() {
        let mut x = -30.0f64;
        while x < 30.0 {
            close(work::exp_(x), x.exp(), "exp", x);
            close(work::sinh_(x), x.sinh(), "sinh", x);
            close(work::cosh_(x), x.cosh(), "cosh", x);
            close(work::tanh_(x), x.tanh(), "tanh", x);
            close(work::sqrt_(x.abs()), x.abs().sqrt(), "sqrt", x);
            close(work::hypot_(x, 3.0), x.hypot(3.0), "hypot", x);
            close(work::atan2_(x, -2.0), x.atan2(-2.0), "atan2", x);
            if x.abs() > 1e-3 {
                close(work::ln_(x.abs()), x.abs().ln(), "ln", x);
            }
            let (s, c) = work::sin_cos_(x);
            assert!((s - x.sin()).abs() < 4e-16 && (c - x.cos()).abs() < 4e-16, "sin, cos at {x}");
            x += 0.0371;
        }
        for x in [0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 710.0, -746.0] {
            close(work::exp_(x), x.exp(), "exp", x);
            close(work::tanh_(x), x.tanh(), "tanh", x);
        }
        for x in [0.0, -1.0, f64::INFINITY, 5e-324, 1e300] {
            close(work::ln_(x), x.ln(), "ln", x);
            close(work::sqrt_(x), x.sqrt(), "sqrt", x);
        }
    }

    #[test]
    fn powers() {
        for (x, y) in [(2.0, 10.0), (2.0, -3.0), (9.0, 0.5), (-2.0, 3.0), (1.5, 2.25), (0.0, 2.0), (7.0, 0.0)]
        {
            let (got, want) = (work::pow_(x, y), f64::powf(x, y));
            assert!((got - want).abs() <= 4e-15 * want.abs(), "{x}^{y} = {got}, not {want}");
        }
        assert!(work::pow_(-2.0, 0.5).is_nan());
    }

    #[test]
    fn the_error_function() {
        // Abramowitz and Stegun, table 7.1.
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
        ] {
            close(work::erf_(x), want, "erf", x);
            close(work::erf_(-x), -want, "erf", -x);
        }
        assert_eq!(work::erf_(7.0), 1.0);
    }

    #[test]
    fn complex_functions() {
        use double::*;
        let z = Cx::new(0.7, -1.3);
        let close = |a: Cx, b: Cx| assert!((a.re - b.re).abs() + (a.im - b.im).abs() < 1e-14, "{a:?} {b:?}");
        close(c_exp(c_ln(z)), z);
        close(c_sqrt(z) * c_sqrt(z), z);
        close(c_sin(z) * c_sin(z) + c_cos(z) * c_cos(z), Cx::new(1.0, 0.0));
        close(c_pow(z, Cx::new(2.0, 0.0)), z * z);
        close(z / z, Cx::new(1.0, 0.0));
        assert!((c_abs(z) - z.re.hypot(z.im)).abs() < 1e-15);
    }

    #[test]
    fn parts_of_arrays() {
        let mut a = [0, 1, 2, 3, 4, 5];
        let (before, y, after) = slices::cut(&mut a, 2, 2);
        assert_eq!((before, &*y, after), (&[0, 1][..], &[2, 3][..], &[4, 5][..]));
        assert_eq!(slices::part(before, after, 2, 4, 1), [4]);
        assert_eq!(slices::part(before, after, 2, 0, 2), [0, 1]);
    }
}

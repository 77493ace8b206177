//! Multiply-adds of kernels that exist in versions for several instruction sets.
//!
//! Whether the version at hand has fused multiply-adds is known where the kernel is compiled, so it is an argument of the type: without
//! them, one in software would take some hundred times as long as a product and a sum.

use crate::{double, single};

/// Numbers that are multiplied and added.
pub trait Fused: Sized {
    /// `self · b + c`, rounded once if `FUSED`.
    fn times_plus<const FUSED: bool>(self, b: Self, c: Self) -> Self;
}

macro_rules! real {
    ($real:ty) => {
        impl Fused for $real {
            #[inline(always)]
            fn times_plus<const FUSED: bool>(self, b: $real, c: $real) -> $real {
                if FUSED { self.mul_add(b, c) } else { self * b + c }
            }
        }
    };
}
real!(f32);
real!(f64);

macro_rules! complex {
    ($cx:ty) => {
        impl Fused for $cx {
            #[inline(always)]
            fn times_plus<const FUSED: bool>(self, b: $cx, c: $cx) -> $cx {
                if FUSED {
                    let re = self.im.mul_add(-b.im, self.re.mul_add(b.re, c.re));
                    Self { re, im: self.im.mul_add(b.re, self.re.mul_add(b.im, c.im)) }
                } else {
                    self * b + c
                }
            }
        }
    };
}
complex!(single::Cx);
complex!(double::Cx);

/// `a · b + c`, rounded once if `FUSED`.
#[inline(always)]
pub fn times_plus<const FUSED: bool, T: Fused>(a: T, b: T, c: T) -> T {
    a.times_plus::<FUSED>(b, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_and_unfused_agree_but_for_a_rounding() {
        let e = f64::EPSILON;
        assert_eq!(times_plus::<true, f64>(1.0 + e, 1.0 - e, -1.0), -e * e);
        assert_eq!(times_plus::<false, f64>(1.0 + e, 1.0 - e, -1.0), 0.0);
        let (a, b, c) = (double::Cx::new(1.0, 2.0), double::Cx::new(-3.0, 0.5), double::Cx::new(0.25, 4.0));
        assert_eq!(times_plus::<true, _>(a, b, c), a * b + c);
        assert_eq!(times_plus::<false, _>(a, b, c), a * b + c);
        assert_eq!(times_plus::<true, _>(2f32, 3.0, 1.0), 7.0);
    }
}

//! Random numbers that are the same bytes everywhere: Philox 4×32-10 (Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as
//! 1, 2, 3*, SC11), and normal numbers by the method of Box and Muller with the functions of this crate.
//!
//! A [`Stream`] is a key and a stream number; number `i` of it depends on (key, stream, i) alone, so parts can be drawn in any order.

#[allow(unused_imports)]
use crate::work::{ln_, sin_cos_, sqrt_};

include!("draws.rs");

/// The random numbers of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    stream: u64,
}

impl Stream {
    /// Stream number `stream` of a seed.
    pub const fn new(seed: u64, stream: u64) -> Stream {
        Stream { seed, stream }
    }

    /// Number `i`, uniform on [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(self, i: u64) -> f64 {
        drawn_uniform(self.seed, self.stream, i)
    }

    /// Numbers `2i` and `2i + 1`, independent and normal with mean 0 and variance 1.
    pub fn normal_pair(self, i: u64) -> (f64, f64) {
        drawn_normals(self.seed, self.stream, i)
    }

    /// Number `i`, normal with mean 0 and variance 1.
    pub fn normal(self, i: u64) -> f64 {
        drawn_normal(self.seed, self.stream, i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // From the test vectors of the authors' library (Random123, kat_vectors).
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn moments() {
        let s = Stream::new(7, 3);
        let n = 20_000;
        let (mut m, mut v, mut u) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let x = s.normal(i);
            m += x;
            v += x * x;
            u += s.uniform(i);
        }
        let n = n as f64;
        assert!((m / n).abs() < 0.03 && (v / n - 1.0).abs() < 0.04 && (u / n - 0.5).abs() < 0.01);
    }
}

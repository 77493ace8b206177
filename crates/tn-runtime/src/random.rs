//! Random numbers that are the same bytes everywhere: Philox 4×32-10 (Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as
//! 1, 2, 3*, SC11), and normal numbers by the method of Box and Muller with the functions of this crate.
//!
//! A [`Stream`] is a key and a stream number; number `i` of it depends on (key, stream, i) alone, so parts can be drawn in any order.

use crate::work::{ln_, sin_cos_, sqrt_};

const ROUNDS: u32 = 10;

/// One block of four words for a counter and a key.
pub const fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    let mut round = 0;
    while round < ROUNDS {
        let a = 0xD251_1F53u64 * c[0] as u64;
        let b = 0xCD9E_8D57u64 * c[2] as u64;
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        round += 1;
    }
    c
}

/// The random numbers of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    stream: u64,
}

impl Stream {
    /// Stream number `stream` of a seed.
    pub const fn new(seed: u64, stream: u64) -> Stream {
        Stream { key: [seed as u32, (seed >> 32) as u32], stream }
    }

    /// Two numbers of 64 bits.
    fn block(self, i: u64) -> (u64, u64) {
        let w =
            philox([i as u32, (i >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32], self.key);
        (u64::from(w[0]) | u64::from(w[1]) << 32, u64::from(w[2]) | u64::from(w[3]) << 32)
    }

    /// Number `i`, uniform on [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(self, i: u64) -> f64 {
        unit(self.block(i).0)
    }

    /// Numbers `2i` and `2i + 1`, independent and normal with mean 0 and variance 1.
    pub fn normal_pair(self, i: u64) -> (f64, f64) {
        let (a, b) = self.block(i);
        // 1 - u is never zero.
        let r = sqrt_(-2.0 * ln_(1.0 - unit(a)));
        let (s, c) = sin_cos_(core::f64::consts::TAU * unit(b));
        (r * c, r * s)
    }

    /// Number `i`, normal with mean 0 and variance 1.
    pub fn normal(self, i: u64) -> f64 {
        let pair = self.normal_pair(i / 2);
        if i.is_multiple_of(2) { pair.0 } else { pair.1 }
    }
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
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

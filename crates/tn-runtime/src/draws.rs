// Random numbers by their position, and what initial values are made of them. Generated modules take the items that they call.

/// One block of four words for a counter and a key.
#[allow(clippy::all)]
pub const fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    let mut round = 0;
    while round < 10 {
        let a = 0xD251_1F53u64 * c[0] as u64;
        let b = 0xCD9E_8D57u64 * c[2] as u64;
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        round += 1;
    }
    c
}

/// Two numbers of 53 bits on [0, 1).
#[allow(clippy::all)]
fn drawn_units(seed: u64, stream: u64, i: u64) -> (f64, f64) {
    let counter = [i as u32, (i >> 32) as u32, stream as u32, (stream >> 32) as u32];
    let w = philox(counter, [seed as u32, (seed >> 32) as u32]);
    let unit = |low: u32, high: u32| {
        ((low as u64 | (high as u64) << 32) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    };
    (unit(w[0], w[1]), unit(w[2], w[3]))
}

/// Number `i` of a stream, uniform on [0, 1), a multiple of 2⁻⁵³.
#[allow(clippy::all)]
pub fn drawn_uniform(seed: u64, stream: u64, i: u64) -> f64 {
    drawn_units(seed, stream, i).0
}

/// Numbers `2i` and `2i + 1` of a stream, independent and normal with mean 0 and variance 1.
#[allow(clippy::all)]
pub fn drawn_normals(seed: u64, stream: u64, i: u64) -> (f64, f64) {
    let (a, b) = drawn_units(seed, stream, i);
    // 1 - u is never zero
    let r = sqrt_(-2.0 * ln_(1.0 - a));
    let (s, c) = sin_cos_(core::f64::consts::TAU * b);
    (r * c, r * s)
}

/// Number `i` of a stream, normal with mean 0 and variance 1.
#[allow(clippy::all)]
pub fn drawn_normal(seed: u64, stream: u64, i: u64) -> f64 {
    let pair = drawn_normals(seed, stream, i / 2);
    if i % 2 == 0 { pair.0 } else { pair.1 }
}

/// Makes the columns of a tensor orthonormal by the modified method of Gram and Schmidt, twice, so that they are so to rounding. Entries are pairs of a
/// real and an imaginary part; a column is one position of the axes `columns`, and holds all of the axes `rows`. An axis is its length and its step.
#[allow(clippy::all)]
pub fn orthonormalise(values: &mut [f64], columns: &[(usize, usize)], rows: &[(usize, usize)]) {
    let count = |axes: &[(usize, usize)]| axes.iter().fold(1, |n, a| n * a.0);
    let place = |axes: &[(usize, usize)], mut i: usize| {
        let mut at = 0;
        for &(len, step) in axes.iter().rev() {
            at += i % len * step;
            i /= len;
        }
        2 * at
    };
    let height = count(rows);
    for j in 0..count(columns) {
        let c = place(columns, j);
        for _ in 0..2 {
            for k in 0..j {
                let b = place(columns, k);
                let (mut re, mut im) = (0.0, 0.0);
                for i in 0..height {
                    let r = place(rows, i);
                    let (p, q) = ((values[r + b], values[r + b + 1]), (values[r + c], values[r + c + 1]));
                    re += p.0 * q.0 + p.1 * q.1;
                    im += p.0 * q.1 - p.1 * q.0;
                }
                for i in 0..height {
                    let r = place(rows, i);
                    let p = (values[r + b], values[r + b + 1]);
                    values[r + c] -= re * p.0 - im * p.1;
                    values[r + c + 1] -= re * p.1 + im * p.0;
                }
            }
            let mut size = 0.0;
            for i in 0..height {
                let r = place(rows, i);
                size += values[r + c] * values[r + c] + values[r + c + 1] * values[r + c + 1];
            }
            let size = sqrt_(size);
            for i in 0..height {
                let r = place(rows, i);
                values[r + c] /= size;
                values[r + c + 1] /= size;
            }
        }
    }
}

//! The layer on the machine that builds it, against plain loops in double precision.

use microcontroller::{PARAMS, SAMPLES, SCORES, net, scores};

/// `tanh(W x + b)` with the matrix written out: entry by entry, a product of three cores.
fn plain(x: &[f32; SAMPLES]) -> [f64; SCORES] {
    const RANK: usize = 4;
    let p = |at: usize| f64::from(PARAMS[at]);
    std::array::from_fn(|row| {
        let o = [row / 4, row / 2 % 2, row % 2];
        let mut sum = p(192 + row);
        for (column, &x) in x.iter().enumerate() {
            let i = [column / 16, column / 4 % 4, column % 4];
            for (r, s) in (0..RANK).flat_map(|r| (0..RANK).map(move |s| (r, s))) {
                let first = p((o[0] * 4 + i[0]) * RANK + r);
                let second = p(32 + ((r * 2 + o[1]) * 4 + i[1]) * RANK + s);
                let third = p(160 + (s * 2 + o[2]) * 4 + i[2]);
                sum += first * second * third * f64::from(x);
            }
        }
        sum.tanh()
    })
}

fn main() {
    for window in 0..3 {
        let x: [f32; SAMPLES] = std::array::from_fn(|k| (0.21 * k as f32 + window as f32).sin());
        let (got, want) = (scores(&x).expect("lengths are constants"), plain(&x));
        let off = got.iter().zip(want).fold(0.0f64, |m, (&g, w)| m.max((f64::from(g) - w).abs()));
        println!("window {window}: scores {got:.3?}, off by {off:.1e}");
        assert!(off < 1e-5);
    }
    let ram = 4 * (net::WORKSPACE_LEN + SCORES);
    println!("{} parameters in flash, {ram} bytes of stack beside the frames", net::PARAM_COUNT);
}

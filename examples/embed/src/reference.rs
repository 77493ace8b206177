//! The two networks written down with loops, in double precision.

/// Takes the next `n` entries of a slice.
fn take<'a>(from: &mut &'a [f64], n: usize) -> &'a [f64] {
    let (head, tail) = from.split_at(n);
    *from = tail;
    head
}

/// `std::generators::mera(modes = 24, latent = 5, radix = 2, bond = 2, act = elu)` from its 536 parameters. All modes have size 2, so a
/// state of m modes is a vector of 2^m entries, mode 0 slowest.
pub fn mera(params: &[f64]) -> Vec<f64> {
    const MODES: [usize; 4] = [5, 10, 12, 24];
    let layers = || MODES.windows(2).map(|w| (w[0], w[1]));
    // The flattened order is that of the declarations: latent, all cores, all leaf maps, all disentanglers.
    let mut rest = params;
    let mut state = take(&mut rest, 32).to_vec();
    let mut core = take(&mut rest, layers().map(|(a, b)| (b - a) * 8).sum());
    let mut leaf = take(&mut rest, layers().map(|(a, b)| (2 * a - b) * 4).sum());
    let mut mix = rest;
    for (layer, (before, after)) in layers().enumerate() {
        let split = after - before;
        let cores = take(&mut core, split * 8);
        let leaves = take(&mut leaf, (before - split) * 4);
        // From the last branch to the first: what stands before it has its old place.
        for j in (split..before).rev() {
            let k = 4 * (j - split);
            state = widen(&state, before - 1 - j, 2, &leaves[k..k + 4]);
        }
        for j in (0..split).rev() {
            let behind = 2 * (split - 1 - j) + (before - split);
            state = widen(&state, behind, 4, &cores[8 * j..8 * j + 8]);
        }
        for q in 0..(after - 1) / 2 {
            state = disentangle(&state, after - 3 - 2 * q, take(&mut mix, 16));
        }
        if layer + 2 < MODES.len() {
            state.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { x.exp_m1() });
        }
    }
    assert!(core.is_empty() && leaf.is_empty() && mix.is_empty());
    state
}

/// The mode with `behind` modes behind it becomes one of `size` entries: out[a, s, c] = Σ_p state[a, p, c] · core[p, s].
fn widen(state: &[f64], behind: usize, size: usize, core: &[f64]) -> Vec<f64> {
    let back = 1usize << behind;
    let front = state.len() / (2 * back);
    let mut out = vec![0.0; front * size * back];
    for a in 0..front {
        for p in 0..2 {
            for s in 0..size {
                for c in 0..back {
                    out[(a * size + s) * back + c] += state[(a * 2 + p) * back + c] * core[p * size + s];
                }
            }
        }
    }
    out
}

/// out[a, o, c] = Σ_i gate[o, i] · state[a, i, c] over two neighbouring modes with `behind` modes behind them.
fn disentangle(state: &[f64], behind: usize, gate: &[f64]) -> Vec<f64> {
    let back = 1usize << behind;
    let mut out = vec![0.0; state.len()];
    for a in 0..state.len() / (4 * back) {
        for o in 0..4 {
            for i in 0..4 {
                for c in 0..back {
                    out[(a * 4 + o) * back + c] += gate[o * 4 + i] * state[(a * 4 + i) * back + c];
                }
            }
        }
    }
    out
}

/// Value and slope of x/2 · (1 + erf(x/√2)).
pub fn gelu(x: f64) -> (f64, f64) {
    let phi = 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (x * phi, phi + x * density)
}

/// The error function by its Maclaurin series, beyond 6 by its limit.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

/// Four cores [left, out 8, in 8, right] and a bias.
pub struct TensorTrain {
    cores: Vec<Vec<f64>>,
    ranks: [usize; 5],
    bias: Vec<f64>,
}

impl TensorTrain {
    /// From the flattened parameters: `w.core[0..4]`, then `bias`.
    pub fn new(params: &[f64], rank: usize) -> TensorTrain {
        let ranks = [1, rank, rank, rank, 1];
        let mut rest = params;
        let cores = (0..4).map(|k| take(&mut rest, ranks[k] * 64 * ranks[k + 1]).to_vec()).collect();
        assert_eq!(rest.len(), 4096);
        TensorTrain { cores, ranks, bias: rest.to_vec() }
    }

    /// W x + bias for every row of `x`.
    pub fn before(&self, x: &[f64], batch: usize) -> Vec<f64> {
        let mut y = self.apply(x, batch, false);
        y.iter_mut().enumerate().for_each(|(k, v)| *v += self.bias[k % 4096]);
        y
    }

    /// Wᵀ y for every row of `y`.
    pub fn transposed(&self, y: &[f64], batch: usize) -> Vec<f64> {
        self.apply(y, batch, true)
    }

    /// Core by core: the state is [done (batch and finished legs), rank, rest (legs to come)].
    fn apply(&self, x: &[f64], batch: usize, transpose: bool) -> Vec<f64> {
        let mut state = x.to_vec();
        let (mut done, mut rest) = (batch, 4096);
        for k in 0..4 {
            let (left, right) = (self.ranks[k], self.ranks[k + 1]);
            rest /= 8;
            let mut next = vec![0.0; done * 8 * right * rest];
            for d in 0..done {
                for l in 0..left {
                    for from in 0..8 {
                        for to in 0..8 {
                            let (o, i) = if transpose { (from, to) } else { (to, from) };
                            for r in 0..right {
                                let w = self.cores[k][((l * 8 + o) * 8 + i) * right + r];
                                for c in 0..rest {
                                    next[((d * 8 + to) * right + r) * rest + c] +=
                                        w * state[((d * left + l) * 8 + from) * rest + c];
                                }
                            }
                        }
                    }
                }
            }
            state = next;
            done *= 8;
        }
        state
    }
}

//! A part of a network with its legs as bit rows: the form on which the exact search and the annealing work.
//!
//! Legs of equal extent share words, so that log2 of a set of legs is a sum of popcounts times the weight
//! of the word.

/// Leaves, result and weights of a part of a network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sub {
    /// Words a row.
    pub w: usize,
    /// The number of leaves.
    pub n: usize,
    /// The rows of the leaves, one after the other.
    pub rows: Vec<u64>,
    /// The row of the result.
    pub out: Vec<u64>,
    /// log2 of the extent of the legs of every word.
    pub weight: Vec<f64>,
    /// Which leaves hold a term that needs a gradient.
    pub grad: Vec<bool>,
    /// The leg of every bit (`u32::MAX` where there is none).
    pub leg: Vec<u32>,
}

impl Sub {
    /// Builds the part from sorted legs of leaves and result. Legs of extent 1 (`lg` 0) are left out.
    pub fn new(leaves: &[&[u32]], out: &[u32], lg: &[f64], grad: Vec<bool>) -> Self {
        let mut legs: Vec<u32> =
            leaves.iter().flat_map(|t| t.iter()).copied().filter(|&i| lg[i as usize] > 0.0).collect();
        legs.sort_unstable();
        legs.dedup();
        legs.sort_by(|&a, &b| lg[a as usize].total_cmp(&lg[b as usize]));
        let mut sub = Self { n: leaves.len(), grad, ..Self::default() };
        let mut place: Vec<(u32, u32)> = Vec::with_capacity(legs.len());
        let mut last = f64::NAN;
        for &i in &legs {
            let l = lg[i as usize];
            if l != last {
                sub.leg.resize(sub.leg.len().next_multiple_of(64), u32::MAX);
                last = l;
            }
            if sub.leg.len().is_multiple_of(64) {
                sub.weight.push(l);
            }
            place.push((i, sub.leg.len() as u32));
            sub.leg.push(i);
        }
        sub.leg.resize(sub.leg.len().next_multiple_of(64), u32::MAX);
        if sub.weight.is_empty() {
            sub.weight.push(0.0);
            sub.leg.resize(64, u32::MAX);
        }
        sub.w = sub.weight.len();
        place.sort_unstable();
        let row = |t: &[u32], into: &mut [u64]| {
            for i in t {
                if let Ok(k) = place.binary_search_by_key(i, |p| p.0) {
                    let bit = place[k].1 as usize;
                    into[bit / 64] |= 1 << (bit % 64);
                }
            }
        };
        sub.rows = vec![0; sub.n * sub.w];
        for (k, t) in leaves.iter().enumerate() {
            row(t, &mut sub.rows[k * sub.w..(k + 1) * sub.w]);
        }
        sub.out = vec![0; sub.w];
        row(out, &mut sub.out);
        sub
    }

    /// The same part with two leaves in each other's place.
    pub fn swapped(&self, x: usize, y: usize) -> Self {
        let mut sub = self.clone();
        for k in 0..self.w {
            sub.rows.swap(x * self.w + k, y * self.w + k);
        }
        sub.grad.swap(x, y);
        sub
    }

    /// The row of leaf `k`.
    pub fn row(&self, k: usize) -> &[u64] {
        &self.rows[k * self.w..(k + 1) * self.w]
    }
}

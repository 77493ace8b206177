//! The reduced network that the search works on: diagonals taken, lonely summed indices and
//! indices of size 1 dropped, extents as log2.

use crate::Network;

/// A network after the reductions that cost nothing. Terms keep their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The legs of every term, sorted, without repeats.
    pub legs: Vec<Vec<u32>>,
    /// The legs of the result, sorted.
    pub out: Vec<u32>,
    /// log2 of the extent of every leg.
    pub lg: Vec<f64>,
    /// Which terms need a gradient.
    pub grad: Vec<bool>,
    /// The caller's index id of every leg.
    pub orig: Vec<u32>,
}

impl Model {
    /// Reduces a network that passed [`Network::check`].
    pub fn new(net: &Network) -> Self {
        let m = net.sizes.len();
        let mut count = vec![0u32; m];
        let mut terms: Vec<Vec<u32>> = net.inputs.clone();
        for t in &mut terms {
            t.sort_unstable();
            t.dedup();
            for &i in t.iter() {
                count[i as usize] += 1;
            }
        }
        let mut is_out = vec![false; m];
        for &i in &net.output {
            is_out[i as usize] = true;
        }
        let mut name = vec![u32::MAX; m];
        let (mut lg, mut orig) = (Vec::new(), Vec::new());
        for i in 0..m {
            if net.sizes[i] > 1 && count[i] > 0 && (count[i] > 1 || is_out[i]) {
                name[i] = lg.len() as u32;
                lg.push((net.sizes[i] as f64).log2());
                orig.push(i as u32);
            }
        }
        let map = |t: &[u32]| -> Vec<u32> {
            t.iter().map(|&i| name[i as usize]).filter(|&i| i != u32::MAX).collect()
        };
        let legs = terms.iter().map(|t| map(t)).collect();
        let mut out = map(&net.output);
        out.sort_unstable();
        out.dedup();
        let grad = (0..net.inputs.len()).map(|k| net.grad(k)).collect();
        Self { legs, out, lg, grad, orig }
    }

    /// The number of terms.
    pub fn n(&self) -> usize {
        self.legs.len()
    }

    /// Which legs are in the result.
    pub fn is_out(&self) -> Vec<bool> {
        let mut v = vec![false; self.lg.len()];
        for &i in &self.out {
            v[i as usize] = true;
        }
        v
    }

    /// On how many terms every leg is.
    pub fn counts(&self) -> Vec<u32> {
        let mut v = vec![0; self.lg.len()];
        for &i in self.legs.iter().flatten() {
            v[i as usize] += 1;
        }
        v
    }

    /// log2 of the product of the extents of `legs`.
    pub fn log_size(&self, legs: &[u32]) -> f64 {
        legs.iter().map(|&i| self.lg[i as usize]).sum()
    }
}

/// Contracts legs symbolically: how often each leg is still held decides what survives.
pub(crate) struct Stepper {
    held: Vec<u32>,
}

impl Stepper {
    pub fn new(model: &Model) -> Self {
        let mut held = model.counts();
        for &i in &model.out {
            held[i as usize] += 1; // the result holds it, so it never closes
        }
        Self { held }
    }

    /// Contracts `a` with `b`: the legs of the result into `out`, and every leg of the union to `seen`.
    pub fn contract(&mut self, a: &[u32], b: &[u32], out: &mut Vec<u32>, mut seen: impl FnMut(u32, bool)) {
        out.clear();
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            let leg = match (a.get(i), b.get(j)) {
                (Some(&x), Some(&y)) if x == y => {
                    i += 1;
                    j += 1;
                    let h = &mut self.held[x as usize];
                    *h -= 1;
                    let stays = *h > 1;
                    seen(x, stays);
                    if stays {
                        out.push(x);
                    }
                    continue;
                }
                (Some(&x), Some(&y)) if x < y => {
                    i += 1;
                    x
                }
                (Some(_), Some(&y)) => {
                    j += 1;
                    y
                }
                (Some(&x), None) => {
                    i += 1;
                    x
                }
                (None, Some(&y)) => {
                    j += 1;
                    y
                }
                (None, None) => break,
            };
            seen(leg, true);
            out.push(leg);
        }
    }
}

impl Model {
    /// The legs of one node of a valid path.
    pub fn node_legs(&self, path: &[(u32, u32)], node: usize) -> Vec<u32> {
        let mut stepper = Stepper::new(self);
        let mut legs = self.legs.clone();
        for &(a, b) in path {
            if legs.len() > node {
                break;
            }
            let (ta, tb) = (std::mem::take(&mut legs[a as usize]), std::mem::take(&mut legs[b as usize]));
            let mut out = Vec::new();
            stepper.contract(&ta, &tb, &mut out, |_, _| {});
            legs.push(out);
        }
        legs.get(node).cloned().unwrap_or_default()
    }
}

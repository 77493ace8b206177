//! The best tree for a linear order: every result is a run of neighbours, and dynamic programming over all runs finds the cheapest way
//! to make each, as for a product of matrices. It holds both the sweep and the nested dissection along the order.

use crate::model::Model;

/// The part of a table of runs `[from, to)` that a row or a column of it needs, in single precision: the costs are compared, not reported.
struct Table {
    n: usize,
    /// The cost of run `[i, j)` at `i * (n + 1) + j`, and once more at `j * (n + 1) + i`, so that both operands are read forwards.
    cost: Vec<f32>,
    /// The root of its size, likewise.
    root: Vec<f32>,
}

/// log2 of the sizes of all runs, at `i * (n + 1) + j`.
pub(crate) fn sizes(model: &Model, order: &[u32]) -> Vec<f32> {
    let n = order.len();
    let mut left = model.counts();
    for &i in &model.out {
        left[i as usize] += 1;
    }
    let all = left.clone();
    let mut size = vec![0.0f32; (n + 1) * (n + 1)];
    for from in 0..n {
        let mut now = 0.0f64;
        for to in from..n {
            for &i in &model.legs[order[to] as usize] {
                let i = i as usize;
                now += if left[i] == all[i] { model.lg[i] } else { 0.0 };
                left[i] -= 1;
                now -= if left[i] == 0 { model.lg[i] } else { 0.0 };
            }
            size[from * (n + 1) + to + 1] = now as f32;
        }
        for &k in &order[from..] {
            for &i in &model.legs[k as usize] {
                left[i as usize] = all[i as usize];
            }
        }
    }
    size
}

/// Multiply-adds of a tree that is known, as a power of two, in the unit of the table: far from both ends of single precision.
const KNOWN: f64 = 60.0;

/// The cheapest path over contiguous runs of `order`; `known` is log2 of the multiply-adds of a tree at hand. None if every path costs far more.
///
/// Sizes of hyperedges count half on each of the three tensors of a step, so there the optimum is that of an approximation.
/// Takes time in the cube and memory in the square of the number of terms.
pub(crate) fn interval(model: &Model, order: &[u32], known: f64) -> Option<Vec<(u32, u32)>> {
    let n = order.len();
    if n < 2 {
        return Some(Vec::new());
    }
    let w = n + 1;
    // the unit is the product of the units of three roots
    let shift = (known - KNOWN) / 3.0;
    let root = sizes(model, order).iter().map(|&s| (f64::from(s) / 2.0 - shift).exp2() as f32).collect();
    let mut t = Table { n, cost: vec![f32::INFINITY; w * w], root };
    for i in 0..n {
        t.cost[i * w + i + 1] = 0.0;
        t.cost[(i + 1) * w + i] = 0.0;
        for j in i + 1..=n {
            t.root[j * w + i] = t.root[i * w + j];
        }
    }
    for length in 2..=n {
        for i in 0..=n - length {
            let j = i + length;
            let best = t.best(i, j);
            t.cost[i * w + j] = best;
            t.cost[j * w + i] = best;
        }
    }
    t.cost[n].is_finite().then(|| t.path(order))
}

impl Table {
    /// The least cost of a run of at least two terms.
    fn best(&self, i: usize, j: usize) -> f32 {
        let w = self.n + 1;
        let (a, b) = (i * w + i + 1..i * w + j, j * w + i + 1..j * w + j);
        let out = self.root[i * w + j];
        let (ca, cb, ra, rb) = (&self.cost[a.clone()], &self.cost[b.clone()], &self.root[a], &self.root[b]);
        const LANES: usize = 8;
        let mut least = [f32::INFINITY; LANES];
        let blocks = ca.len() / LANES * LANES;
        for k in (0..blocks).step_by(LANES) {
            let (ca, cb, ra, rb) =
                (&ca[k..k + LANES], &cb[k..k + LANES], &ra[k..k + LANES], &rb[k..k + LANES]);
            for l in 0..LANES {
                let x = ca[l] + cb[l] + ra[l] * rb[l] * out;
                least[l] = if x < least[l] { x } else { least[l] };
            }
        }
        let rest = (blocks..ca.len()).map(|k| ca[k] + cb[k] + ra[k] * rb[k] * out);
        rest.chain(least).fold(f32::INFINITY, |x, y| if y < x { y } else { x })
    }

    /// Where a run is split.
    fn split(&self, i: usize, j: usize) -> usize {
        let w = self.n + 1;
        let cost = |k: usize| {
            let (a, b) = (i * w + k, j * w + k);
            self.cost[a] + self.cost[b] + self.root[a] * self.root[b] * self.root[i * w + j]
        };
        (i + 1..j).map(|k| (cost(k), k)).fold((f32::INFINITY, i + 1), |x, y| if y.0 < x.0 { y } else { x }).1
    }

    fn path(&self, order: &[u32]) -> Vec<(u32, u32)> {
        path_of_runs(order, |i, j| self.split(i, j))
    }
}

/// The path in SSA form over runs `[i, j)` of `order` that are split where `split` says.
pub(crate) fn path_of_runs(order: &[u32], split: impl Fn(usize, usize) -> usize) -> Vec<(u32, u32)> {
    let n = order.len();
    let mut path = Vec::with_capacity(n.saturating_sub(1));
    // a run is met twice: to open it, and when both its parts are made
    let mut stack = vec![(0, n, false)];
    let mut made: Vec<u32> = Vec::new();
    while let Some((i, j, opened)) = stack.pop() {
        if opened {
            if let (Some(b), Some(a)) = (made.pop(), made.pop()) {
                path.push((a, b));
                made.push((n + path.len() - 1) as u32);
            }
        } else if j - i == 1 {
            made.push(order[i]);
        } else {
            let k = split(i, j);
            stack.extend([(i, j, true), (k, j, false), (i, k, false)]);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Minimize;
    use crate::objective::{Limits, figures};
    use crate::rng::Rng;
    use crate::sweep::{chain, chain_cost};

    /// A random graph with some open legs.
    fn model(n: usize, rng: &mut Rng) -> Model {
        let mut net = crate::Network { inputs: vec![Vec::new(); n], ..Default::default() };
        for k in 0..2 * n {
            let (a, b) = (rng.below(n), rng.below(n));
            net.inputs[a].push(k as u32);
            if k % 5 == 0 {
                net.output.push(k as u32);
            } else {
                net.inputs[b].push(k as u32);
            }
            net.sizes.push(1 + rng.below(5) as u64);
        }
        Model::new(&net)
    }

    /// log2 of the least multiply-adds over all trees of runs, each priced by the rules for paths.
    fn brute(model: &Model, order: &[u32]) -> f64 {
        fn trees(order: &[u32], next: u32) -> Vec<Vec<(u32, u32)>> {
            if order.len() < 2 {
                return vec![Vec::new()];
            }
            let mut all = Vec::new();
            for k in 1..order.len() {
                for left in trees(&order[..k], next) {
                    let base = next + left.len() as u32;
                    for right in trees(&order[k..], base) {
                        let top =
                            |part: &[u32], steps: usize, end: u32| if steps == 0 { part[0] } else { end - 1 };
                        let a = top(&order[..k], left.len(), base);
                        let b = top(&order[k..], right.len(), base + right.len() as u32);
                        all.push([left.clone(), right, vec![(a, b)]].concat());
                    }
                }
            }
            all
        }
        let price = |path: &Vec<(u32, u32)>| {
            figures(model, path, &[], Minimize::Macs, &Limits::default()).score.value
        };
        trees(order, model.n() as u32).iter().map(price).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_tree_of_runs_is_cheaper() {
        let mut rng = Rng::new(7, 0);
        for n in (2..8).cycle().take(60) {
            let m = model(n, &mut rng);
            let mut order: Vec<u32> = (0..n as u32).collect();
            for k in (1..n).rev() {
                order.swap(k, rng.below(k + 1));
            }
            let sweep = chain_cost(&m, &order);
            let path = interval(&m, &order, sweep).unwrap();
            let cost = figures(&m, &path, &[], Minimize::Macs, &Limits::default()).score.value;
            assert!((cost - brute(&m, &order)).abs() < 1e-4, "{cost} {}", brute(&m, &order));
            assert!(cost <= sweep + 1e-4 && chain(&m, &order).len() == path.len());
        }
    }
}

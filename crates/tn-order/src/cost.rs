//! What a tree costs.
//!
//! The counting rules: diagonals and lonely summed indices of the inputs are reduced free of charge; a
//! contraction costs the product of the extents of the union of its operands' indices; an index survives iff it
//! is in the output or on another remaining tensor. Sliced indices count 1 and everything is multiplied by
//! the number of slices.

use crate::model::Model;
use crate::walk::Walk;
use crate::{Network, Tree};

/// The cost of a tree. A quantity that is zero has the logarithm minus infinity.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// log10 of the multiply-adds, all slices charged in full.
    pub log10_macs: f64,
    /// log10 of the multiply-adds when a step is done once for every value of the slice loops down to the
    /// deepest one it depends on, in the order of the tree's `sliced`.
    pub log10_macs_hoisted: f64,
    /// log2 of the largest result of any contraction.
    pub log2_max_size: f64,
    /// The same, the reduced inputs included.
    pub log2_max_tensor: f64,
    /// log10 of the summed sizes of all results.
    pub log10_write: f64,
    /// log10 of the summed sizes of both operands and the result of every contraction.
    pub log10_traffic: f64,
    /// log2 of the peak of live elements along the best depth-first order, inputs resident throughout, and
    /// with slices the whole output as accumulator.
    pub log2_peak: f64,
    /// The same, the inputs not counted.
    pub log2_peak_inter: f64,
    /// The number of slices (infinite past the range of `f64`).
    pub slices: f64,
    /// log2 of the number of slices.
    pub log2_slices: f64,
}

impl Cost {
    /// The cost of something that is not a contraction order of the network.
    fn invalid() -> Self {
        let x = f64::NAN;
        Self {
            log10_macs: x,
            log10_macs_hoisted: x,
            log2_max_size: x,
            log2_max_tensor: x,
            log10_write: x,
            log10_traffic: x,
            log2_peak: x,
            log2_peak_inter: x,
            slices: x,
            log2_slices: x,
        }
    }
}

/// A sum of powers of two with exponents of any size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSum {
    base: f64,
    sum: f64,
}

impl LogSum {
    pub fn new() -> Self {
        Self { base: 0.0, sum: 0.0 }
    }

    /// Adds `2^l`.
    pub fn add(&mut self, l: f64) {
        if l == f64::NEG_INFINITY {
            return;
        }
        if l > self.base + 900.0 {
            let base = l - 100.0;
            self.sum *= (self.base - base).exp2();
            self.base = base;
        }
        self.sum += (l - self.base).exp2();
    }

    /// log2 of the sum.
    pub fn log2(&self) -> f64 {
        self.base + self.sum.log2()
    }
}

/// log2 of the least peak of live intermediates along any depth-first order, and the same with `resident`
/// (log2 of each summand) counted throughout.
pub(crate) fn peaks(walk: &Walk, n: usize, resident: &LogSum, acc_out: Option<f64>) -> (f64, f64) {
    let biggest = walk.size.iter().copied().fold(0.0, f64::max);
    let shift = (biggest - 900.0).max(0.0);
    let mut size: Vec<f64> = walk.size.iter().map(|l| (l - shift).exp2()).collect();
    size[..n].fill(0.0);
    let mut peak = vec![0.0f64; size.len()];
    for (k, &(a, b)) in walk.kids.iter().enumerate() {
        let (a, b) = (a as usize, b as usize);
        let end = size[a] + size[b] + size[n + k];
        let ab = peak[a].max(size[a] + peak[b]).max(end);
        let ba = peak[b].max(size[b] + peak[a]).max(end);
        peak[n + k] = ab.min(ba);
    }
    let inter = if walk.kids.is_empty() { 0.0 } else { peak[peak.len() - 1] };
    let mut inner = LogSum::new();
    inner.add(inter.log2() + shift);
    if let Some(l) = acc_out {
        inner.add(l);
    }
    let mut all = *resident;
    all.add(inner.log2());
    (inner.log2(), all.log2())
}

/// The cost of `tree` on `net`, in time linear in the tree times the number of legs of a tensor. Every figure is
/// NaN if the tree is not a contraction order of the network ([`Tree::check`], [`Network::check`]).
pub fn evaluate(net: &Network, tree: &Tree) -> Cost {
    if net.check().is_err() || tree.check(net).is_err() {
        return Cost::invalid();
    }
    let model = Model::new(net);
    let mut name = vec![u32::MAX; net.sizes.len()];
    for (k, &i) in model.orig.iter().enumerate() {
        name[i as usize] = k as u32;
    }
    // legs that the reductions dropped still multiply the number of slices
    let loops: Vec<f64> = tree.sliced.iter().map(|&i| (net.sizes[i as usize] as f64).log2()).collect();
    let kept: Vec<(u32, f64)> = tree
        .sliced
        .iter()
        .scan(0.0, |below, &i| {
            *below += (net.sizes[i as usize] as f64).log2();
            Some((name[i as usize], *below))
        })
        .filter(|&(leg, _)| leg != u32::MAX)
        .collect();
    let legs: Vec<u32> = kept.iter().map(|k| k.0).collect();
    let walk = model.walk(&tree.ssa_path, &legs);
    let n = model.n();
    let log2_slices: f64 = 0.0 + loops.iter().sum::<f64>(); // an empty sum is -0
    let (mut macs, mut hoisted, mut write, mut traffic) =
        (LogSum::new(), LogSum::new(), LogSum::new(), LogSum::new());
    let mut max_size = 0.0f64;
    for (k, &(a, b)) in walk.kids.iter().enumerate() {
        let out = walk.size[n + k];
        macs.add(walk.macs[k]);
        let depth = walk.depth[n + k];
        let times = if depth == 0 { 0.0 } else { kept[depth as usize - 1].1 };
        hoisted.add(walk.macs[k] + times);
        write.add(out);
        for l in [walk.size[a as usize], walk.size[b as usize], out] {
            traffic.add(l);
        }
        max_size = max_size.max(out);
    }
    let sliced: Vec<bool> = {
        let mut v = vec![false; net.sizes.len()];
        for &i in &tree.sliced {
            v[i as usize] = true;
        }
        v
    };
    let mut resident = LogSum::new();
    for t in &net.inputs {
        let mut t = t.clone();
        t.sort_unstable();
        t.dedup();
        resident.add(
            t.iter().filter(|&&i| !sliced[i as usize]).map(|&i| (net.sizes[i as usize] as f64).log2()).sum(),
        );
    }
    let acc = (log2_slices > 0.0).then(|| model.log_size(&model.out));
    let (log2_peak_inter, log2_peak) = peaks(&walk, n, &resident, acc);
    let ten = std::f64::consts::LOG10_2;
    Cost {
        log10_macs: (macs.log2() + log2_slices) * ten,
        log10_macs_hoisted: hoisted.log2() * ten,
        log2_max_size: max_size,
        log2_max_tensor: walk.size[..n].iter().copied().fold(max_size, f64::max),
        log10_write: (write.log2() + log2_slices) * ten,
        log10_traffic: (traffic.log2() + log2_slices) * ten,
        log2_peak,
        log2_peak_inter,
        slices: tree.sliced.iter().map(|&i| net.sizes[i as usize] as f64).product(),
        log2_slices,
    }
}

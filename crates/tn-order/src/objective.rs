//! Objectives as numbers: what a step adds, and what a whole tree is worth.

use crate::Minimize;
use crate::cost::{LogSum, peaks};
use crate::model::Model;

/// A machine moves one element in the time of this many multiply-adds (log2).
const LOG2_MACS_PER_ELEMENT: f64 = 3.0;
/// The overhead of one step in multiply-adds (log2).
const LOG2_STEP_OVERHEAD: f64 = 12.0;

/// log2(2^x + 2^y).
#[inline]
pub(crate) fn log2_add(x: f64, y: f64) -> f64 {
    let (hi, lo) = if x > y { (x, y) } else { (y, x) };
    if hi == f64::NEG_INFINITY { hi } else { hi + (lo - hi).exp2().ln_1p() * std::f64::consts::LOG2_E }
}

/// How many times the multiply-adds of a step are done, gradients included.
#[inline]
pub(crate) fn grad_times(a: bool, b: bool) -> f64 {
    1.0 + f64::from(u8::from(a)) + f64::from(u8::from(b))
}

/// log2 of what a step adds under an additive objective. `Size` and `Peak` use multiply-adds here.
#[inline]
pub(crate) fn step_log2(kind: Minimize, macs: f64, a: f64, b: f64, out: f64, times: f64) -> f64 {
    match kind {
        Minimize::Time => {
            let all = log2_add(work_log2(kind, macs, a, b, out, 1.0), LOG2_STEP_OVERHEAD);
            if times > 1.0 { all + times.log2() } else { all }
        }
        _ => work_log2(kind, macs, a, b, out, times),
    }
}

/// The same without the overhead of a step. All trees of a network have as many steps, so without slices these compare alike, and a
/// search that looks at a few steps at a time sees differences that would drown in the overhead.
#[inline]
pub(crate) fn work_log2(kind: Minimize, macs: f64, a: f64, b: f64, out: f64, times: f64) -> f64 {
    let base = match kind {
        Minimize::Macs | Minimize::Size | Minimize::Peak => macs,
        Minimize::Bytes => log2_add(log2_add(a, b), out),
        Minimize::Time => {
            let bytes = log2_add(log2_add(a, b), out) + LOG2_MACS_PER_ELEMENT;
            macs.max(bytes)
        }
    };
    if times > 1.0 { base + times.log2() } else { base }
}

/// The worth of a tree: compared in order, smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Score {
    /// By how much (log2) the limits are exceeded; 0 where they hold.
    pub excess: f64,
    /// The objective (log2).
    pub value: f64,
    /// log2 of the additive cost, to decide between equals.
    pub second: f64,
}

impl Score {
    /// By how much smaller than this one a figure (log2) must be to be better.
    pub fn rounding(figure: f64) -> f64 {
        1e-9 * figure.abs().max(1.0)
    }

    /// Better by more than rounding.
    pub fn better(&self, than: &Self) -> bool {
        let lt = |a: f64, b: f64| a < b - Self::rounding(b);
        if lt(self.excess, than.excess) || lt(than.excess, self.excess) {
            return lt(self.excess, than.excess);
        }
        if lt(self.value, than.value) || lt(than.value, self.value) {
            return lt(self.value, than.value);
        }
        lt(self.second, than.second)
    }
}

/// The limits of a search, in log2.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// Of the largest result.
    pub size: Option<f64>,
    /// Of the peak.
    pub peak: Option<f64>,
    /// Per leg: must not be sliced.
    pub keep: Vec<bool>,
    /// The legs of every input before the free reduction: what is resident (log2 of dropped extents).
    pub resident_extra: Vec<f64>,
}

/// Everything the search wants to know of a tree with slices.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub score: Score,
    pub max_size: f64,
    /// log2 of the elements read and written, where the size or the peak is the objective.
    pub elements: f64,
}

/// Scores a path with slices.
pub(crate) fn figures(
    model: &Model,
    path: &[(u32, u32)],
    sliced: &[u32],
    kind: Minimize,
    limits: &Limits,
) -> Figures {
    let walk = model.walk(path, sliced);
    let n = model.n();
    let slices: f64 = sliced.iter().map(|&i| model.lg[i as usize]).sum();
    let (mut total, mut elements) = (LogSum::new(), LogSum::new());
    let plateau = matches!(kind, Minimize::Size | Minimize::Peak);
    let mut max_size = 0.0f64;
    for (k, &(a, b)) in walk.kids.iter().enumerate() {
        let (a, b) = (a as usize, b as usize);
        let out = walk.size[n + k];
        max_size = max_size.max(out);
        let times = grad_times(walk.grad[a], walk.grad[b]);
        total.add(step_log2(kind, walk.macs[k], walk.size[a], walk.size[b], out, times));
        if plateau {
            [walk.size[a], walk.size[b], out].into_iter().for_each(|l| elements.add(l));
        }
    }
    let total = total.log2() + slices;
    let peak = if limits.peak.is_some() || kind == Minimize::Peak {
        let mut resident = LogSum::new();
        for (k, l) in walk.size[..n].iter().enumerate() {
            resident.add(l + limits.resident_extra.get(k).copied().unwrap_or(0.0));
        }
        let acc = (slices > 0.0).then(|| model.log_size(&model.out));
        peaks(&walk, n, &resident, acc).1
    } else {
        f64::NAN
    };
    let mut excess = 0.0f64;
    if let Some(l) = limits.size {
        excess = excess.max(max_size - l);
    }
    if let Some(l) = limits.peak {
        excess = excess.max(peak - l);
    }
    if excess < 1e-9 {
        excess = 0.0;
    }
    let value = match kind {
        Minimize::Size => max_size,
        Minimize::Peak => peak,
        _ => total,
    };
    Figures { score: Score { excess, value, second: total }, max_size, elements: elements.log2() + slices }
}

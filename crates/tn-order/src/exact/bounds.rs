//! What the exact search knows before it splits a set: the legs and sizes of all sets, what the steps outside a set cost at least, and the table by which
//! splits are ruled out.

use super::{Bounds, Exact, LANES, TRAFFIC, Value, next_of_count};
use crate::Minimize;
use crate::portfolio::parallel;
use crate::sub::Sub;

/// The highest leaves by which sets are dealt out to threads.
const PARTS: u32 = 5;
/// Factors above this are taken for it: products of two, in single precision, stay finite.
const LARGEST: f64 = (1u64 << 41) as f64;

impl Exact {
    /// The part of the cost of the step that makes a set's tensor that is the tensor's own, beside that of the operands.
    #[inline(always)]
    pub(super) fn base(&self, kind: Minimize, s: usize) -> f64 {
        match kind {
            Minimize::Time => TRAFFIC * self.size[s],
            Minimize::Macs => self.made[s],
            _ => self.size[s],
        }
    }

    /// What it takes to read a set's tensor.
    #[inline(always)]
    pub(super) fn read(&self, kind: Minimize, s: usize) -> f64 {
        if kind == Minimize::Time { TRAFFIC * self.size[s] } else { self.size[s] }
    }

    /// The least cost of the step that makes a set's tensor.
    #[inline(always)]
    pub(super) fn made(&self, kind: Minimize, s: usize) -> f64 {
        match kind {
            Minimize::Time => self.made[s].max(TRAFFIC * self.size[s]),
            _ => self.base(kind, s),
        }
    }

    /// What a tree costs at least besides the steps inside the set `s`: `s` and the leaves outside it are used, and the result is made.
    pub(super) fn rest(&self, kind: Minimize, s: usize, full: usize) -> f64 {
        if s == full || matches!(kind, Minimize::Size | Minimize::Peak) {
            return 0.0;
        }
        let (mut sum, mut most) = (self.size[s], self.size[s]);
        let mut outside = full ^ s;
        while outside != 0 {
            let leaf = self.size[outside & outside.wrapping_neg()];
            sum += leaf;
            most = most.max(leaf);
            outside &= outside - 1;
        }
        // a step uses two of them, and costs no less than the larger
        let mut macs = most.max(self.made[full]).max(0.5 * sum);
        if s & 1 == 0 && !self.near.is_empty() {
            macs = macs.max(self.meets(s, full));
        }
        match kind {
            Minimize::Time => macs.max(TRAFFIC * (sum + self.size[full])),
            Minimize::Bytes => sum + self.size[full],
            _ => macs,
        }
    }

    /// What the step costs at least that brings the leaves of `s` together with the first one, which is not among them. One operand is made of
    /// the first leaf and others outside of `s`; the other has all legs of the result that only leaves of `s` have. If the first leaf
    /// meets all others at once, making their tensor is such a step too.
    pub(super) fn meets(&self, s: usize, full: usize) -> f64 {
        let outside = full ^ s;
        if outside == 1 {
            return self.size[1];
        }
        let with = self.near[outside] * self.own[s];
        with.max(self.toll.min(self.size[1].max(self.made[full ^ 1])))
    }

    /// Sizes of the tensors of all subsets, and what the multiply-adds of a split follow from: sums over the legs by the leaves that hold them, taken over
    /// all subsets at once (Yates's algorithm).
    pub(super) fn tables(&mut self, sub: &Sub, shift: f64) {
        let n = sub.n;
        let total = 1usize << n;
        for table in [&mut self.size, &mut self.made, &mut self.own, &mut self.half, &mut self.gap] {
            table.clear();
            table.resize(total, 0.0);
        }
        self.grad.clear();
        self.grad.resize(total, false);
        self.near.clear();
        self.hyper = false;
        // of the legs that are summed, and of those of the result
        let (mut summed, mut kept, mut whole) = (vec![0.0; total], vec![0.0; total], 0.0);
        let mut share = vec![0.0; n];
        for (bit, weight) in (0..64 * sub.w).map(|bit| (bit, sub.weight[bit / 64])) {
            let on = |row: &[u64]| row[bit / 64] >> (bit % 64) & 1 == 1;
            let holders = (0..n).filter(|&k| on(sub.row(k))).fold(0usize, |m, k| m | 1 << k);
            if holders == 0 {
                continue;
            }
            let is_out = on(&sub.out);
            let times = holders.count_ones() + u32::from(is_out);
            self.hyper |= times > 2;
            whole += weight;
            if is_out {
                kept[holders] += weight
            } else {
                summed[holders] += weight
            }
            for k in (0..n).filter(|k| holders >> k & 1 == 1) {
                share[k] += weight / f64::from(times);
            }
        }
        // legs that all leaves of a set have and no other: on one operand whatever the split
        self.made.copy_from_slice(&summed);
        for table in [&mut summed, &mut kept] {
            for bit in (0..n).map(|k| 1usize << k) {
                for pair in table.chunks_exact_mut(2 * bit) {
                    let (without, with) = pair.split_at_mut(bit);
                    with.iter_mut().zip(without).for_each(|(x, y)| *x += *y);
                }
            }
        }
        for s in 1..total {
            let (other, rest, low) = (total - 1 - s, s & (s - 1), s.trailing_zeros() as usize);
            let legs = whole - summed[other] - kept[other] - summed[s];
            let shared = share[low] + if rest == 0 { 0.0 } else { self.half[rest] + summed[rest] };
            self.half[s] = shared - summed[s];
            self.gap[s] = legs - self.half[s];
            self.size[s] = (legs - shift).exp2();
            self.made[s] =
                if self.made[s] > 0.0 { (legs - shift + self.made[s]).exp2() } else { self.size[s] };
            self.own[s] = if kept[s] > 0.0 { kept[s].exp2() } else { 1.0 };
            self.grad[s] = self.grad[rest] | sub.grad.get(low).copied().unwrap_or(false);
        }
    }

    /// The table of bounds; values come as sets are done.
    pub(super) fn keys(&mut self, sub: &Sub, kind: Minimize, b: Bounds) {
        let total = self.size.len();
        self.key.reset(total);
        // the known upper bound is at 2^60, far from both ends of single precision
        let top = if b.upper.is_finite() { b.upper.log2() - 60.0 } else { 0.0 };
        self.unit = (-top).exp2();
        self.root.clear();
        self.least.clear();
        self.moved.clear();
        self.toll = 0.0;
        if matches!(kind, Minimize::Size | Minimize::Peak) {
            return;
        }
        self.least.resize(sub.n + 1, [[f64::INFINITY; 3]; 2]);
        if kind == Minimize::Bytes {
            return;
        }
        self.root.resize(total, 0.0);
        // legs that all leaves but the first have are on whatever it meets, unless that is all of them
        let apart: f64 = (0..sub.w)
            .map(|k| {
                let shared = (1..sub.n).fold(u64::MAX, |m, leaf| m & sub.row(leaf)[k]);
                f64::from((shared & !sub.rows[k]).count_ones()) * sub.weight[k]
            })
            .sum();
        self.toll = self.size[1] * if sub.n > 2 { apart.exp2() } else { 1.0 };
        if self.near.is_empty() {
            self.fill_near(sub.n);
        }
        if kind == Minimize::Time && self.hyper {
            self.moved.resize(total.div_ceil(LANES), [f32::INFINITY; LANES]);
        }
        let scale = (-top / 3.0).exp2();
        for s in 1..total {
            self.root[s] = self.third(self.half[s], b.shift);
            // smaller roots make smaller bounds, so clipping them keeps every bound true
            self.key.set(s, 1, (self.root[s] * scale).min(LARGEST) as f32);
        }
    }

    /// The least sizes of tensors with the first leaf.
    fn fill_near(&mut self, n: usize) {
        let total = self.size.len();
        self.near.resize(total, f64::INFINITY);
        for s in (1..total).step_by(2) {
            self.near[s] = self.size[s];
        }
        for bit in (1..n).map(|k| 1 << k) {
            for s in (1..total).step_by(2).filter(|s| s & bit != 0) {
                self.near[s] = self.near[s].min(self.near[s ^ bit]);
            }
        }
    }

    /// One of the three factors of a step's multiply-adds, from its logarithm.
    pub(super) fn third(&self, log: f64, shift: f64) -> f64 {
        (log - shift / 3.0).min(300.0).exp2()
    }

    /// The factor of the result in single precision, in units as those of the operands in [`Exact::key`].
    pub(super) fn result_key(&self, s: usize, shift: f64) -> f32 {
        let top = -self.unit.log2();
        (self.gap[s] - (shift + top) / 3.0).min(41.0).exp2() as f32
    }

    /// Enters the value of a set.
    pub(super) fn set(&mut self, s: usize, value: Value, kind: Minimize) {
        self.best[s] = value;
        let (read, toll) = (self.read(kind, s), self.toll_of(s));
        let key = match (s, self.toll > 0.0) {
            (1, true) => f64::INFINITY,
            _ if kind == Minimize::Bytes => value.0 + read,
            _ => value.0 - toll,
        };
        self.key.set(s, 0, (key * self.unit) as f32);
        if let Some(moved) = self.moved.get_mut(s / LANES) {
            moved[s % LANES] = ((value.0 + read - toll) * self.unit) as f32;
        }
        match kind {
            Minimize::Peak => self.key.set(s, 1, (self.held(s) * self.unit) as f32),
            Minimize::Size => {}
            Minimize::Macs | Minimize::Time | Minimize::Bytes => {
                let root = self.root.get(s).copied().unwrap_or(0.0);
                let least = &mut self.least[s.count_ones() as usize][s & 1];
                *least = [least[0].min(value.0), least[1].min(root), least[2].min(value.0 + read)];
            }
        }
    }

    /// The toll, for the sets that pay it.
    #[inline(always)]
    pub(super) fn toll_of(&self, s: usize) -> f64 {
        if s & 1 == 1 { self.toll } else { 0.0 }
    }

    /// What a set's tensor takes while another is computed: leaves are there anyway.
    #[inline(always)]
    pub(super) fn held(&self, s: usize) -> f64 {
        if s & (s - 1) == 0 { 0.0 } else { self.size[s] }
    }

    /// The sets of `count` leaves that may be part of a tree below the bounds.
    pub(super) fn layer(&self, n: usize, count: u32, kind: Minimize, b: Bounds, threads: usize) -> Vec<u32> {
        let full = (1usize << n) - 1;
        // by the highest leaves that they have, one part a thread and time
        let (top, low) = (PARTS.min(n as u32), n as u32 - PARTS.min(n as u32));
        let parts = parallel(threads, 1 << top, |part| {
            let mut out = Vec::new();
            let Some(others) = count.checked_sub((part as u32).count_ones()).filter(|&k| k <= low) else {
                return out;
            };
            let mut x = (1usize << others) - 1;
            while x < 1 << low {
                let set = part << low | x;
                let least = match kind {
                    Minimize::Size if set == full => 0.0,
                    _ => self.made(kind, set) + self.rest(kind, set, full),
                };
                if self.size[set] <= b.max_size && least <= b.upper {
                    out.push(set as u32);
                }
                if x == 0 {
                    break;
                }
                x = next_of_count(x);
            }
            out
        });
        parts.concat()
    }
}

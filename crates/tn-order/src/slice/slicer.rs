//! A tree whose legs are sliced and unsliced one by one, with its sizes, costs and limits kept up to date.

use crate::Minimize;
use crate::cost::{LogSum, peaks};
use crate::model::Model;
use crate::objective::{Limits, grad_times, step_log2};
use crate::walk::{Heavy, Walk};

const NONE: u32 = u32::MAX;

/// A tree with slices that can be put on and taken off.
pub(super) struct Slicer<'a> {
    pub(super) model: &'a Model,
    pub(super) path: &'a [(u32, u32)],
    kind: Minimize,
    pub(super) limits: &'a Limits,
    parent: Vec<u32>,
    /// The terms that hold a leg: those of leg `i` are `holders[first[i]..first[i + 1]]`.
    holders: Vec<u32>,
    first: Vec<usize>,
    /// The node at which a leg closes; none for those of the result.
    pub(super) top: Vec<u32>,
    /// Sizes and multiply-adds of one slice.
    pub(super) walk: Walk,
    /// The cost of every step, as a multiple of `2^base`.
    pub(super) cost: Vec<f64>,
    base: f64,
    pub(super) sliced: Vec<u32>,
    pub(super) is_sliced: Vec<bool>,
    /// log2 of the number of slices.
    slices: f64,
    /// The nodes that hold the leg looked at last; when a node or a leg was seen last.
    pub(super) nodes: Vec<u32>,
    seen: Vec<u32>,
    pub(super) seen_leg: Vec<u32>,
    pub(super) now: u32,
}

impl<'a> Slicer<'a> {
    pub(super) fn new(
        model: &'a Model,
        path: &'a [(u32, u32)],
        kind: Minimize,
        limits: &'a Limits,
        from: &[u32],
    ) -> Self {
        let (n, legs) = (model.n(), model.lg.len());
        let mut parent = vec![NONE; n + path.len()];
        for (k, &(a, b)) in path.iter().enumerate() {
            parent[a as usize] = (n + k) as u32;
            parent[b as usize] = (n + k) as u32;
        }
        let mut first = vec![0; legs + 1];
        for &i in model.legs.iter().flatten() {
            first[i as usize + 1] += 1;
        }
        for i in 0..legs {
            first[i + 1] += first[i];
        }
        let mut at = first.clone();
        let mut holders = vec![0; first[legs]];
        for (k, t) in model.legs.iter().enumerate() {
            for &i in t {
                holders[at[i as usize]] = k as u32;
                at[i as usize] += 1;
            }
        }
        let heavy = Heavy::new(n, path);
        let is_out = model.is_out();
        let top = (0..legs).map(|i| {
            let all = &holders[first[i]..first[i + 1]];
            if is_out[i] {
                return NONE;
            }
            // where all meet is an ancestor of the first, and ancestors have larger numbers
            all.iter().map(|&h| heavy.meet(all[0], h)).max().unwrap_or(NONE)
        });
        let top = top.collect();
        let mut is_sliced = vec![false; legs];
        for &i in from {
            is_sliced[i as usize] = true;
        }
        let mut s = Self {
            model,
            path,
            kind,
            limits,
            seen: vec![0; parent.len()],
            parent,
            holders,
            first,
            top,
            walk: model.walk(path, from),
            cost: vec![0.0; path.len()],
            base: 0.0,
            sliced: from.to_vec(),
            is_sliced,
            slices: model.log_size(from),
            nodes: Vec::new(),
            seen_leg: vec![0; legs],
            now: 0,
        };
        s.rebase();
        s
    }

    fn price(&self, k: usize) -> f64 {
        let (n, w) = (self.model.n(), &self.walk);
        let (a, b) = (w.kids[k].0 as usize, w.kids[k].1 as usize);
        let times = grad_times(w.grad[a], w.grad[b]);
        step_log2(self.kind, w.macs[k], w.size[a], w.size[b], w.size[n + k], times)
    }

    fn rebase(&mut self) {
        let log2: Vec<f64> = (0..self.path.len()).map(|k| self.price(k)).collect();
        self.base = log2.iter().copied().fold(0.0, f64::max);
        self.cost = log2.iter().map(|c| (c - self.base).exp2()).collect();
    }

    /// The cost of one slice, as a multiple of `2^base`.
    pub(super) fn total(&mut self) -> f64 {
        let sum: f64 = self.cost.iter().sum();
        if sum > 1e-60 || self.path.is_empty() {
            return sum;
        }
        self.rebase();
        self.cost.iter().sum()
    }

    /// log2 of the cost of all slices.
    pub(super) fn all(&mut self) -> f64 {
        self.total().log2() + self.base + self.slices
    }

    /// Finds the nodes that hold a leg.
    pub(super) fn find(&mut self, leg: u32) {
        let i = leg as usize;
        self.now += 1;
        self.nodes.clear();
        for k in self.first[i]..self.first[i + 1] {
            let mut v = self.holders[k];
            while v != self.top[i] && self.seen[v as usize] != self.now {
                self.seen[v as usize] = self.now;
                self.nodes.push(v);
                v = self.parent[v as usize];
                if v == NONE {
                    break;
                }
            }
        }
    }

    /// The steps that have the leg found last.
    pub(super) fn steps(&self, leg: u32) -> impl Iterator<Item = usize> + '_ {
        let top = self.top[leg as usize];
        let n = self.model.n();
        let last = std::iter::once(top).filter(|&t| t != NONE);
        self.nodes.iter().copied().chain(last).filter_map(move |v| (v as usize).checked_sub(n))
    }

    /// Puts a slice on or takes it off; the list is the caller's.
    pub(super) fn flip(&mut self, leg: u32) {
        let on = !self.is_sliced[leg as usize];
        self.is_sliced[leg as usize] = on;
        let change = if on { -self.model.lg[leg as usize] } else { self.model.lg[leg as usize] };
        self.slices -= change;
        self.find(leg);
        for &v in &self.nodes {
            self.walk.size[v as usize] += change;
        }
        let steps: Vec<usize> = self.steps(leg).collect();
        for k in steps {
            self.walk.macs[k] += change;
            self.cost[k] = (self.price(k) - self.base).exp2();
        }
    }

    pub(super) fn add(&mut self, leg: u32) {
        self.sliced.push(leg);
        self.flip(leg);
    }

    pub(super) fn max_size(&self) -> f64 {
        self.walk.size[self.model.n()..].iter().copied().fold(0.0, f64::max)
    }

    pub(super) fn peak(&self) -> f64 {
        let n = self.model.n();
        let mut resident = LogSum::new();
        for (k, l) in self.walk.size[..n].iter().enumerate() {
            resident.add(l + self.limits.resident_extra.get(k).copied().unwrap_or(0.0));
        }
        let acc = (self.slices > 0.0).then(|| self.model.log_size(&self.model.out));
        peaks(&self.walk, n, &resident, acc).1
    }

    pub(super) fn over_size(&self) -> bool {
        self.limits.size.is_some_and(|l| self.max_size() > l + 1e-9)
    }

    pub(super) fn over_peak(&self) -> bool {
        self.limits.peak.is_some_and(|l| self.peak() > l + 1e-9)
    }

    /// Makes these the slices.
    pub(super) fn set(&mut self, sliced: &[u32]) {
        for i in std::mem::take(&mut self.sliced) {
            if !sliced.contains(&i) {
                self.flip(i);
            }
        }
        for &i in sliced {
            if !self.is_sliced[i as usize] {
                self.flip(i);
            }
        }
        self.sliced = sliced.to_vec();
    }
}

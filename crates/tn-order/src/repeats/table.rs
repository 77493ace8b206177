//! Which tensors of a contraction are equal up to the names of their indices.
//!
//! A tensor here is a list of labels, one an axis, and a *value*: a number that two tensors share if they are the same array. A contraction
//! is described by a key (the values of its operands, where their axes meet, and which indices live on); equal keys have equal results,
//! axis for axis. The caller that shares equal contractions orders the axes of a result as [`Table::result`] does.

use crate::objective::{grad_times, step_log2};
use crate::{Minimize, Network};
use std::collections::HashMap;

/// What stands first in the key of a given tensor; the key of a contraction begins with a value.
const GIVEN: u32 = u32::MAX;
/// The word between the parts of a key.
const MARK: u32 = u32::MAX - 1;

/// Networks side by side: the tensors, who carries an index, and the values met so far.
pub(crate) struct Table {
    /// The labels of every tensor by axis; those of used tensors stay.
    pub labels: Vec<Vec<u32>>,
    /// The value of every tensor.
    pub value: Vec<u32>,
    /// log2 of the extent of every index.
    lg: Vec<f64>,
    /// How many tensors carry an index; an open one counts once more.
    carriers: Vec<u32>,
    /// Which indices are open.
    open: Vec<bool>,
    known: HashMap<Box<[u32]>, u32>,
    /// Whether a leaf that needs a gradient is below a value.
    grad: Vec<bool>,
    /// Labels are numbered by their first occurrence in a key: the number, and the key for which it holds.
    number: Vec<(u32, u32)>,
    round: u32,
    met: Vec<Met>,
}

/// A label of a contraction.
#[derive(Clone, Copy)]
struct Met {
    label: u32,
    in_a: bool,
    in_b: bool,
    kept: bool,
}

/// What a contraction costs, as log2 of multiply-adds and of the sizes of operands and result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub macs: f64,
    pub a: f64,
    pub b: f64,
    pub out: f64,
    times: f64,
}

impl Step {
    /// log2 of what the step adds under an objective.
    pub fn cost(&self, kind: Minimize) -> f64 {
        step_log2(kind, self.macs, self.a, self.b, self.out, self.times)
    }
    /// By how much (log2) the result is larger than both operands together.
    pub fn growth(&self) -> f64 {
        self.out - crate::objective::log2_add(self.a, self.b)
    }
}

impl Table {
    /// The tensors of all networks, in order; an index of network `k` is its id plus the sizes of the networks before.
    /// Inputs with equal colours read the same array.
    pub fn new(nets: &[&Network], colours: &[Vec<u32>]) -> Table {
        let count: usize = nets.iter().map(|n| n.sizes.len()).sum();
        let mut t = Table {
            labels: Vec::new(),
            value: Vec::new(),
            lg: Vec::with_capacity(count),
            carriers: vec![0; count],
            open: vec![false; count],
            known: HashMap::new(),
            grad: Vec::new(),
            number: vec![(0, 0); count],
            round: 0,
            met: Vec::new(),
        };
        let mut key = Vec::new();
        for (net, colours) in nets.iter().zip(colours) {
            let base = t.lg.len() as u32;
            t.lg.extend(net.sizes.iter().map(|&s| (s as f64).log2()));
            for (k, (input, &colour)) in net.inputs.iter().zip(colours).enumerate() {
                key.clear();
                key.extend([GIVEN, colour, u32::from(net.grad(k))]);
                for &i in input {
                    let size = net.sizes[i as usize];
                    key.extend([size as u32, (size >> 32) as u32]);
                }
                let value = t.intern(&key, || net.grad(k));
                t.push(input.iter().map(|i| i + base).collect(), value);
            }
            for &i in &net.output {
                let i = (i + base) as usize;
                if !std::mem::replace(&mut t.open[i], true) {
                    t.carriers[i] += 1;
                }
            }
        }
        t
    }

    /// The value of a key, a new one if it is new.
    fn intern(&mut self, key: &[u32], grad: impl FnOnce() -> bool) -> u32 {
        if let Some(&value) = self.known.get(key) {
            return value;
        }
        let value = self.grad.len() as u32;
        self.grad.push(grad());
        self.known.insert(key.into(), value);
        value
    }

    fn push(&mut self, labels: Vec<u32>, value: u32) {
        count(&labels, &mut self.carriers, 1);
        self.labels.push(labels);
        self.value.push(value);
    }

    /// How many tensors carry an index, without the result.
    pub fn holders(&self, index: u32) -> u32 {
        self.carriers[index as usize] - u32::from(self.open[index as usize])
    }

    /// Whether an index is open.
    pub fn is_open(&self, index: u32) -> bool {
        self.open[index as usize]
    }

    /// Whether a leaf that needs a gradient is below a tensor.
    pub fn needs_grad(&self, t: u32) -> bool {
        self.grad[self.value[t as usize] as usize]
    }

    /// Counts an index as of extent 1.
    pub fn slice(&mut self, index: u32) {
        self.lg[index as usize] = 0.0;
    }

    /// The number of indices.
    pub fn indices(&self) -> usize {
        self.lg.len()
    }

    /// The number of values so far.
    pub fn values(&self) -> usize {
        self.grad.len()
    }

    /// Writes the key of contracting `a` with `b`, in this order.
    pub fn key(&mut self, a: u32, b: u32, key: &mut Vec<u32>) {
        key.clear();
        key.extend([self.value[a as usize], self.value[b as usize]]);
        self.round += 1;
        self.met.clear();
        for (first, labels) in [(true, &self.labels[a as usize]), (false, &self.labels[b as usize])] {
            for &label in labels {
                let slot = &mut self.number[label as usize];
                if slot.1 != self.round {
                    *slot = (self.met.len() as u32, self.round);
                    self.met.push(Met { label, in_a: false, in_b: false, kept: false });
                }
                let met = &mut self.met[slot.0 as usize];
                if first {
                    met.in_a = true
                } else {
                    met.in_b = true
                }
                key.push(slot.0);
            }
        }
        key.push(MARK);
        let mut bits = 0u32;
        for (k, met) in self.met.iter_mut().enumerate() {
            let here = u32::from(met.in_a) + u32::from(met.in_b);
            met.kept = self.carriers[met.label as usize] > here;
            bits |= u32::from(met.kept) << (k % 31);
            if k % 31 == 30 {
                key.push(std::mem::take(&mut bits));
            }
        }
        key.push(bits);
    }

    /// The key of the better of both orders: two tensors give the same key whichever is named first. Returns them in that order.
    pub fn oriented(&mut self, a: u32, b: u32, key: &mut Vec<u32>, spare: &mut Vec<u32>) -> (u32, u32) {
        let (va, vb) = (self.value[a as usize], self.value[b as usize]);
        let (a, b) = if va <= vb { (a, b) } else { (b, a) };
        if va == vb {
            self.key(b, a, spare);
            self.key(a, b, key);
            if spare < key {
                // what the key left behind must be that of this order
                self.key(b, a, key);
                return (b, a);
            }
        } else {
            self.key(a, b, key);
        }
        (a, b)
    }

    /// What the contraction of the last key costs. Axes that one operand alone sums are summed before, for nothing.
    pub fn step(&self, a: u32, b: u32) -> Step {
        let mut s = Step { macs: 0.0, a: 0.0, b: 0.0, out: 0.0, times: 1.0 };
        for met in self.met.iter().filter(|m| m.kept || m.in_a && m.in_b) {
            let lg = self.lg[met.label as usize];
            s.macs += lg;
            s.a += if met.in_a { lg } else { 0.0 };
            s.b += if met.in_b { lg } else { 0.0 };
            s.out += if met.kept { lg } else { 0.0 };
        }
        s.times = grad_times(self.needs_grad(a), self.needs_grad(b));
        s
    }

    /// The number of axes of the result of the last key.
    pub fn axes(&self) -> usize {
        self.met.iter().filter(|m| m.kept).count()
    }

    /// The labels of the result of the last key: those on both operands first, then `a`'s, then `b`'s.
    fn result(&self) -> Vec<u32> {
        let kept = |f: fn(&Met) -> bool| self.met.iter().filter(move |m| m.kept && f(m)).map(|m| m.label);
        kept(|m| m.in_a && m.in_b).chain(kept(|m| m.in_a && !m.in_b)).chain(kept(|m| !m.in_a)).collect()
    }

    /// Contracts `a` with `b`, whose key this is: the last one asked for. Returns whether such a contraction was not done before.
    pub fn contract(&mut self, a: u32, b: u32, key: &[u32]) -> bool {
        let before = self.values();
        let grad = self.needs_grad(a) || self.needs_grad(b);
        let value = self.intern(key, || grad);
        let out = self.result();
        for t in [a, b] {
            let labels = std::mem::take(&mut self.labels[t as usize]);
            count(&labels, &mut self.carriers, -1);
            self.labels[t as usize] = labels;
        }
        self.push(out, value);
        self.values() > before
    }

    /// Whether the value of a key is known.
    pub fn is_known(&self, key: &[u32]) -> bool {
        self.known.contains_key(key)
    }

    /// Whether `a` has no neighbour but `b`.
    pub fn hangs_on(&self, a: u32, b: u32) -> bool {
        let other = &self.labels[b as usize];
        self.labels[a as usize].iter().all(|l| self.holders(*l) <= if other.contains(l) { 2 } else { 1 })
    }
}

/// Adds `by` to the count of each different label.
fn count(labels: &[u32], carriers: &mut [u32], by: i32) {
    for (k, &l) in labels.iter().enumerate() {
        if !labels[..k].contains(&l) {
            carriers[l as usize] = carriers[l as usize].wrapping_add_signed(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(inputs: &[&[u32]], output: &[u32], colours: &[u32]) -> Table {
        let size = inputs.iter().flat_map(|t| t.iter()).max().map_or(0, |m| m + 1);
        let net = Network {
            inputs: inputs.iter().map(|t| t.to_vec()).collect(),
            output: output.to_vec(),
            sizes: vec![2; size as usize],
            needs_grad: vec![],
        };
        Table::new(&[&net], &[colours.to_vec()])
    }

    fn oriented(t: &mut Table, a: u32, b: u32) -> Vec<u32> {
        let (mut key, mut spare) = (vec![], vec![]);
        t.oriented(a, b, &mut key, &mut spare);
        key
    }

    #[test]
    fn neighbours_on_a_ring_are_of_one_kind_in_both_orders() {
        let mut t = table(&[&[0, 1], &[1, 2], &[2, 3], &[3, 0]], &[], &[0; 4]);
        let key = oriented(&mut t, 0, 1);
        for (a, b) in [(1, 2), (2, 1), (3, 0), (0, 3)] {
            assert_eq!(oriented(&mut t, a, b), key);
        }
    }

    #[test]
    fn values_positions_and_what_lives_on_tell_kinds_apart() {
        let mut t = table(&[&[0, 1], &[1, 2], &[2, 3], &[4, 3], &[4, 0], &[0, 5]], &[5], &[0, 0, 0, 0, 0, 1]);
        let key = oriented(&mut t, 0, 1);
        assert_eq!(oriented(&mut t, 1, 2), key);
        assert_ne!(oriented(&mut t, 2, 3), key, "the second meets the other end");
        assert_ne!(oriented(&mut t, 0, 4), key, "index 0 is on a third tensor too");
        let mut t = table(&[&[0, 1], &[1, 2], &[2, 3], &[3, 4]], &[0, 2, 4], &[0; 4]);
        assert_ne!(oriented(&mut t, 1, 2), oriented(&mut t, 0, 1), "index 2 is open");
    }

    #[test]
    fn a_result_is_known_again() {
        let mut t = table(&[&[0, 1], &[1, 2], &[2, 3], &[3, 0]], &[], &[0; 4]);
        let (mut key, mut spare) = (vec![], vec![]);
        let (a, b) = t.oriented(0, 1, &mut key, &mut spare);
        assert!(t.contract(a, b, &key));
        let (a, b) = t.oriented(2, 3, &mut key, &mut spare);
        assert!(!t.contract(a, b, &key));
        assert_eq!(t.value[4], t.value[5]);
        assert_eq!(t.oriented(4, 5, &mut key, &mut spare), (4, 5));
        let s = t.step(4, 5);
        assert_eq!((s.macs, s.a, s.out), (2.0, 2.0, 0.0));
    }
}

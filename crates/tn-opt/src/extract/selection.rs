//! A choice that is changed as long as the dag as a whole gets cheaper.

use super::flat::Flat;
use crate::Clock;

/// Rounds of single changes over all classes.
const ROUNDS: usize = 8;

/// Nodes that the tests for cycles of all single changes may look at.
const WALKED: u64 = 50_000_000;

/// A choice with reference counts.
pub(super) struct Selection<'a> {
    flat: &'a Flat,
    pub chosen: Vec<usize>,
    /// How many live nodes (and roots) use each class.
    uses: Vec<u32>,
    pub total: f64,
    walked: u64,
    /// In which walk a class was last seen, and the number of the walk.
    seen: Vec<u32>,
    walk: u32,
    stack: Vec<usize>,
}

impl<'a> Selection<'a> {
    pub fn new(flat: &'a Flat, chosen: Vec<usize>) -> Selection<'a> {
        let n = flat.nodes.len();
        let (uses, seen) = (vec![0; n], vec![0; n]);
        let mut s = Selection { flat, chosen, uses, total: 0.0, walked: 0, seen, walk: 0, stack: vec![] };
        for &r in &flat.roots {
            s.hold(r);
        }
        s
    }

    fn hold(&mut self, k: usize) {
        let mut stack = vec![k];
        while let Some(k) = stack.pop() {
            self.uses[k] += 1;
            if self.uses[k] == 1 {
                let o = &self.flat.nodes[k][self.chosen[k]];
                self.total += o.cost;
                stack.extend(&o.args);
            }
        }
    }

    fn release(&mut self, k: usize) {
        let mut stack = vec![k];
        while let Some(k) = stack.pop() {
            self.uses[k] -= 1;
            if self.uses[k] == 0 {
                let o = &self.flat.nodes[k][self.chosen[k]];
                self.total -= o.cost;
                stack.extend(&o.args);
            }
        }
    }

    /// Computes a class in another way; the caller has made sure that no cycle arises.
    fn switch(&mut self, k: usize, j: usize) {
        let (old, new) = (self.chosen[k], j);
        // new needs first, so that what both need is never given up
        for &a in &self.flat.nodes[k][new].args {
            self.hold(a);
        }
        self.total += self.flat.nodes[k][new].cost - self.flat.nodes[k][old].cost;
        self.chosen[k] = new;
        for &a in &self.flat.nodes[k][old].args {
            self.release(a);
        }
    }

    /// Whether `k` is needed to compute one of `from` as chosen now.
    fn reaches(&mut self, from: &[usize], k: usize) -> bool {
        self.walk += 1;
        self.stack.clear();
        self.stack.extend(from);
        while let Some(x) = self.stack.pop() {
            self.walked += 1;
            if x == k {
                return true;
            }
            if std::mem::replace(&mut self.seen[x], self.walk) != self.walk {
                self.stack.extend(&self.flat.nodes[x][self.chosen[x]].args);
            }
        }
        false
    }

    /// Does without class `k`: all that use it are computed in another way, if that is cheaper together.
    fn avoid(&mut self, k: usize, users: &[usize]) {
        let (flat, before) = (self.flat, self.total);
        let mut changed: Vec<(usize, usize)> = vec![];
        for &u in users {
            let old = self.chosen[u];
            if self.uses[u] == 0 || !flat.nodes[u][old].args.contains(&k) {
                continue;
            }
            let mut best: Option<(f64, usize)> = None;
            for (j, o) in flat.nodes[u].iter().enumerate() {
                // neither itself nor by way of what it needs
                if j == old || self.reaches(&o.args, u) || self.reaches(&o.args, k) {
                    continue;
                }
                let total = self.total;
                self.switch(u, j);
                if best.is_none_or(|b| self.total < b.0) {
                    best = Some((self.total, j));
                }
                self.switch(u, old);
                self.total = total;
            }
            let Some((_, j)) = best else { break };
            self.switch(u, j);
            changed.push((u, old));
        }
        if self.uses[k] > 0 || self.total >= before * (1.0 - 1e-12) {
            changed.into_iter().rev().for_each(|(u, old)| self.switch(u, old));
            self.total = before;
        }
    }

    /// Changes one choice, or all that keep a class needed, as long as the whole gets cheaper.
    pub fn improve(&mut self, clock: Clock) {
        let mut users: Vec<Vec<usize>> = vec![vec![]; self.chosen.len()];
        for (k, options) in self.flat.nodes.iter().enumerate() {
            for &a in options.iter().flat_map(|o| &o.args) {
                if users[a].last() != Some(&k) {
                    users[a].push(k);
                }
            }
        }
        for _ in 0..ROUNDS {
            let before = self.total;
            for k in (0..self.chosen.len()).rev() {
                if self.uses[k] > 0 && self.walked <= WALKED && !clock.is_over() {
                    self.avoid(k, &users[k]);
                }
            }
            for k in (0..self.chosen.len()).rev() {
                if self.uses[k] == 0
                    || self.flat.nodes[k].len() < 2
                    || self.walked > WALKED
                    || clock.is_over()
                {
                    continue;
                }
                let flat = self.flat;
                for j in 0..self.flat.nodes[k].len() {
                    let old = self.chosen[k];
                    if j == old || self.reaches(&flat.nodes[k][j].args, k) {
                        continue;
                    }
                    let total = self.total;
                    self.switch(k, j);
                    if self.total >= total * (1.0 - 1e-12) {
                        self.switch(k, old);
                        // sums of floats do not come back exactly
                        self.total = total;
                    }
                }
            }
            if self.total >= before * (1.0 - 1e-9) {
                break;
            }
        }
    }
}

//! Exhaustive search over the choices of a small graph.

use super::flat::Flat;
use std::collections::BTreeSet;

/// Steps of the exhaustive search.
const EXACT_STEPS: u64 = 20_000;

impl Flat {
    /// Branch and bound over the classes that are needed, in the order in which they turn out to be; gives up after a counted number of steps.
    ///
    /// `accepts` says whether a choice may be taken; `chosen` with its `total` is what there is already.
    pub fn exhaust(
        &self,
        chosen: Vec<usize>,
        total: f64,
        accepts: &mut dyn FnMut(&[usize]) -> bool,
    ) -> (Vec<usize>, f64, bool) {
        let mut search = Exhaust {
            flat: self,
            least: self
                .nodes
                .iter()
                .map(|v| v.iter().map(|o| o.cost).fold(f64::INFINITY, f64::min))
                .collect(),
            best: chosen,
            total,
            now: vec![usize::MAX; self.nodes.len()],
            steps: 0,
            accepts,
        };
        let mut open: BTreeSet<usize> = self.roots.iter().copied().collect();
        let bound = open.iter().map(|&k| search.least[k]).sum();
        search.step(&mut open, 0.0, bound);
        let optimal = search.steps < EXACT_STEPS;
        (search.best, search.total, optimal)
    }
}

struct Exhaust<'a> {
    flat: &'a Flat,
    least: Vec<f64>,
    best: Vec<usize>,
    total: f64,
    now: Vec<usize>,
    steps: u64,
    accepts: &'a mut dyn FnMut(&[usize]) -> bool,
}

impl Exhaust<'_> {
    /// `open` are needed and not decided; `spent` is decided, `bound` the least that the open ones can cost.
    fn step(&mut self, open: &mut BTreeSet<usize>, spent: f64, bound: f64) {
        self.steps += 1;
        if self.steps >= EXACT_STEPS || spent + bound >= self.total * (1.0 - 1e-12) {
            return;
        }
        let Some(k) = open.pop_last() else {
            let mut chosen = self.best.clone();
            (0..chosen.len()).filter(|&i| self.now[i] != usize::MAX).for_each(|i| chosen[i] = self.now[i]);
            if self.flat.is_acyclic(&chosen) && (self.accepts)(&chosen) {
                (self.best, self.total) = (chosen, spent);
            }
            return;
        };
        let flat = self.flat;
        for (j, o) in flat.nodes[k].iter().enumerate() {
            self.now[k] = j;
            let mut added = vec![];
            let mut more = 0.0;
            for &a in &o.args {
                if self.now[a] == usize::MAX && open.insert(a) {
                    added.push(a);
                    more += self.least[a];
                }
            }
            self.step(open, spent + o.cost, bound - self.least[k] + more);
            added.iter().for_each(|a| {
                open.remove(a);
            });
        }
        self.now[k] = usize::MAX;
        open.insert(k);
    }
}

//! In which order things are computed: a few candidates, ranked by the memory that is live at the worst moment.

use super::forest::forest;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// From this number of steps or of axes of tensors on, orders are compared by their live elements alone.
const MANY: usize = 10_000;
const MANY_AXES: usize = 200_000;

/// What is to be ordered: `deps[i]` come before `i`; the result of `i` takes `size[i]` from then until its last user is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// What each needs, without repeats.
    pub deps: Vec<Vec<u32>>,
    /// Elements of each result at the hints (0 where somebody else owns the memory).
    pub size: Vec<f64>,
    /// Elements live only while it is computed.
    pub extra: Vec<f64>,
    /// Stays live to the end.
    pub keep: Vec<bool>,
    /// Position in the order that the dag has.
    pub rank: Vec<u64>,
}

impl Graph {
    /// The number of things.
    pub fn len(&self) -> usize {
        self.deps.len()
    }

    fn users(&self) -> Vec<u32> {
        let mut users = vec![0; self.len()];
        for d in self.deps.iter().flatten() {
            users[*d as usize] += 1;
        }
        users
    }

    /// Orders worth trying, all topological: by rank, depth first, greedily by what stays live, and where nothing is shared the best there is.
    pub fn candidates(&self) -> Vec<Vec<u32>> {
        let mut all = vec![self.by_rank(), self.depth_first(), self.by_priority(true)];
        all.extend(forest(self));
        all.dedup();
        all
    }

    /// The orders to write the steps of and to allocate, where the tensors have so many axes in all. That takes its time: of many or wide steps, only
    /// the order with the smallest peak.
    pub fn orders(&self, axes: usize) -> Vec<Vec<u32>> {
        if self.len() > MANY || axes > MANY_AXES { vec![self.best()] } else { self.candidates() }
    }

    /// The candidate with the smallest peak; the first of equals.
    pub fn best(&self) -> Vec<u32> {
        let mut best: Option<(f64, Vec<u32>)> = None;
        for order in self.candidates() {
            let peak = self.peak(&order);
            if best.as_ref().is_none_or(|b| peak < b.0) {
                best = Some((peak, order));
            }
        }
        best.map(|b| b.1).unwrap_or_default()
    }

    /// Elements live at the worst moment of an order.
    pub fn peak(&self, order: &[u32]) -> f64 {
        let mut left = self.users();
        let (mut live, mut peak) = (0.0, 0.0f64);
        for &i in order {
            live += self.size[i as usize];
            peak = peak.max(live + self.extra[i as usize]);
            for &d in &self.deps[i as usize] {
                left[d as usize] -= 1;
                if left[d as usize] == 0 && !self.keep[d as usize] {
                    live -= self.size[d as usize];
                }
            }
            if left[i as usize] == 0 && !self.keep[i as usize] {
                live -= self.size[i as usize];
            }
        }
        peak
    }

    /// In the order that the dag has, as far as what comes before allows.
    pub fn by_rank(&self) -> Vec<u32> {
        self.by_priority(false)
    }

    /// Repeatedly takes what is ready and has the smallest key: its rank, or how much it adds to what is live.
    fn by_priority(&self, greedy: bool) -> Vec<u32> {
        let n = self.len();
        let mut users = self.users();
        let mut readers: Vec<Vec<u32>> = vec![vec![]; n];
        let mut waits: Vec<usize> = self.deps.iter().map(Vec::len).collect();
        for (i, deps) in self.deps.iter().enumerate() {
            for &d in deps {
                readers[d as usize].push(i as u32);
            }
        }
        let key = |i: usize, users: &[u32]| -> i128 {
            if !greedy {
                return 0;
            }
            let freed: f64 = self.deps[i]
                .iter()
                .filter(|&&d| users[d as usize] == 1 && !self.keep[d as usize])
                .map(|&d| self.size[d as usize])
                .sum();
            (self.size[i] - freed) as i128
        };
        let mut heap: BinaryHeap<Reverse<(i128, u64, u32)>> = (0..n)
            .filter(|&i| waits[i] == 0)
            .map(|i| Reverse((key(i, &users), self.rank[i], i as u32)))
            .collect();
        let mut order = Vec::with_capacity(n);
        while let Some(Reverse((k, rank, i))) = heap.pop() {
            // Keys only fall while others run; an old one is put back with its value of now.
            let now = key(i as usize, &users);
            if now != k {
                heap.push(Reverse((now, rank, i)));
                continue;
            }
            order.push(i);
            for &d in &self.deps[i as usize] {
                users[d as usize] -= 1;
            }
            for &r in &readers[i as usize] {
                waits[r as usize] -= 1;
                if waits[r as usize] == 0 {
                    heap.push(Reverse((key(r as usize, &users), self.rank[r as usize], r)));
                }
            }
        }
        order
    }

    /// Depth first from what nobody uses. The arguments of each are visited by falling (peak − result), the rule that is best on trees
    /// (Sethi and Ullman 1970, for registers; Liu 1987, for sizes), with peaks estimated as if the graph were a tree.
    fn depth_first(&self) -> Vec<u32> {
        let n = self.len();
        let topological = self.by_rank();
        let mut peak = vec![0.0f64; n];
        let mut sorted: Vec<Vec<u32>> = self.deps.clone();
        for &i in &topological {
            let i = i as usize;
            sorted[i].sort_by(|&x, &y| {
                let gain = |d: u32| peak[d as usize] - self.size[d as usize];
                gain(y).total_cmp(&gain(x)).then(self.rank[x as usize].cmp(&self.rank[y as usize]))
            });
            let (mut held, mut worst) = (0.0, 0.0f64);
            for &d in &sorted[i] {
                worst = worst.max(held + peak[d as usize]);
                held += self.size[d as usize];
            }
            peak[i] = worst.max(held + self.size[i] + self.extra[i]);
        }
        let users = self.users();
        let mut ends: Vec<u32> = (0..n as u32).filter(|&i| users[i as usize] == 0).collect();
        ends.sort_by_key(|&i| self.rank[i as usize]);
        let (mut seen, mut order) = (vec![false; n], Vec::with_capacity(n));
        let mut stack: Vec<(u32, usize)> = Vec::new();
        for end in ends {
            if std::mem::replace(&mut seen[end as usize], true) {
                continue;
            }
            stack.push((end, 0));
            while let Some((i, next)) = stack.pop() {
                match sorted[i as usize].get(next) {
                    Some(&d) => {
                        stack.push((i, next + 1));
                        if !std::mem::replace(&mut seen[d as usize], true) {
                            stack.push((d, 0));
                        }
                    }
                    None => order.push(i),
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(deps: &[&[u32]], size: &[f64]) -> Graph {
        let n = deps.len();
        Graph {
            deps: deps.iter().map(|d| d.to_vec()).collect(),
            size: size.to_vec(),
            extra: vec![0.0; n],
            keep: vec![false; n],
            rank: (0..n as u64).collect(),
        }
    }

    #[test]
    fn a_large_branch_goes_first() {
        // Two chains: 0 (1) and 1 (10) -> 2 (1); joined in 3. Best: 1, 2, 0, 3 with peak 11; by rank 0 is held meanwhile: 12.
        let g = graph(&[&[], &[], &[1], &[0, 2]], &[1.0, 10.0, 1.0, 1.0]);
        assert_eq!(g.peak(&[0, 1, 2, 3]), 12.0);
        assert_eq!(g.peak(&g.best()), 11.0);
    }

    #[test]
    fn every_candidate_is_a_topological_order() {
        let g = graph(&[&[], &[0], &[0], &[1, 2], &[2], &[3, 4]], &[3.0, 1.0, 4.0, 1.0, 5.0, 9.0]);
        for order in g.candidates() {
            assert_eq!(order.len(), 6);
            for (at, &i) in order.iter().enumerate() {
                assert!(g.deps[i as usize].iter().all(|d| order[..at].contains(d)));
            }
        }
    }

    #[test]
    fn of_many_or_wide_steps_one_order_is_written() {
        let g = graph(&[&[], &[], &[1], &[0, 2]], &[1.0, 10.0, 1.0, 1.0]);
        assert!(g.orders(10).len() > 1);
        assert_eq!(g.orders(MANY_AXES + 1), [g.best()]);
        let deps: Vec<&[u32]> = vec![&[]; MANY + 1];
        assert_eq!(graph(&deps, &[1.0; MANY + 1]).orders(0).len(), 1);
    }

    #[test]
    fn a_long_chain_is_no_recursion() {
        let n = 200_000;
        let g = Graph {
            deps: (0..n as u32).map(|i| if i == 0 { vec![] } else { vec![i - 1] }).collect(),
            size: vec![1.0; n],
            extra: vec![0.0; n],
            keep: vec![false; n],
            rank: (0..n as u64).collect(),
        };
        assert_eq!(g.peak(&g.best()), 2.0);
    }
}

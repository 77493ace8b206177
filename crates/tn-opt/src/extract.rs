//! Extraction: one node for each class, so that everything that the roots need costs the least, shared parts once.
//!
//! Finding the cheapest dag in an e-graph is NP-hard. The first choice is the best tree for each class (Knuth's generalisation of Dijkstra's algorithm
//! finds it, and it has no cycles); then single choices are changed as long as the dag as a whole gets cheaper, with reference counts telling what a change
//! frees and what it needs; small graphs are searched exhaustively within a counted budget, from that bound on.

use crate::cost::{Costs, FREE};
use crate::fold::{constants, is_small};
use crate::graph::{Class, Joint};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::time::Instant;
use tn_ir::dag::DagId;

/// A node for each class that is needed.
pub type Choice = BTreeMap<Class, DagId>;

/// The e-graph as plain lists: positions of classes, their nodes with own costs and arguments.
#[derive(Debug)]
struct Flat {
    nodes: Vec<Vec<Way>>,
    roots: Vec<usize>,
}

/// One way to compute a class.
#[derive(Debug)]
struct Way {
    node: DagId,
    cost: f64,
    args: Vec<usize>,
}

/// Steps of the exhaustive search.
const EXACT_STEPS: u64 = 20_000;
/// Rounds of single changes over all classes.
const ROUNDS: usize = 8;

/// Nodes that the tests for cycles of all single changes may look at.
const WALKED: u64 = 50_000_000;

/// A total order on costs.
#[derive(Clone, Copy, PartialEq)]
struct Cost(f64);
impl Eq for Cost {}
impl PartialOrd for Cost {
    fn partial_cmp(&self, o: &Cost) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Cost {
    fn cmp(&self, o: &Cost) -> std::cmp::Ordering {
        self.0.total_cmp(&o.0)
    }
}

/// What was chosen, and what it costs.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// A node for each class below the roots.
    pub choice: Choice,
    /// The sum of their costs.
    pub cost: f64,
    /// Proven to be the least.
    pub optimal: bool,
}

/// The cheapest dag found for the roots, without the nodes `banned`. `start` is a choice that is known to be good, used if nothing cheaper is found.
/// No choice is changed any more after `end`.
pub fn extract(
    joint: &Joint,
    costs: &Costs,
    roots: &[DagId],
    start: Option<&Choice>,
    banned: &BTreeSet<DagId>,
    end: Option<Instant>,
) -> Extracted {
    let classes: Vec<Class> = joint.classes().collect();
    let place: HashMap<Class, usize> = classes.iter().enumerate().map(|(k, &c)| (c, k)).collect();
    let constant = constants(&joint.dag);
    let nodes = classes
        .iter()
        .map(|&c| {
            let one = |&n: &DagId| Way {
                node: n,
                cost: match constant[n.0 as usize] && is_small(&joint.dag, n) {
                    true => FREE,
                    false => costs.node(&joint.dag, n),
                },
                args: {
                    let mut args: Vec<usize> = joint.args(n).iter().map(|a| place[a]).collect();
                    args.sort_unstable();
                    args.dedup();
                    args
                },
            };
            {
                let all = joint.members(c);
                // a class that has banned nodes alone is not needed by any other
                let some: Vec<Way> = all.iter().filter(|n| !banned.contains(n)).map(one).collect();
                if some.is_empty() { all.iter().map(one).collect() } else { some }
            }
        })
        .collect();
    let roots: Vec<usize> = roots.iter().map(|&r| place[&joint.known_class(r)]).collect();
    let flat = Flat { nodes, roots };
    let mut best = Selection::new(&flat, flat.trees());
    best.improve(end);
    if let Some(start) = start {
        let chosen: Vec<usize> = classes
            .iter()
            .enumerate()
            .map(|(k, c)| {
                let want = start.get(c);
                let at = want.and_then(|w| flat.nodes[k].iter().position(|o| o.node == *w));
                at.unwrap_or(best.chosen[k])
            })
            .collect();
        if flat.is_acyclic(&chosen) {
            let mut other = Selection::new(&flat, chosen);
            other.improve(end);
            if other.total < best.total {
                best = other;
            }
        }
    }
    let (chosen, total, optimal) = flat.exhaust(best.chosen.clone(), best.total);
    let live = flat.live(&chosen);
    let choice = (0..classes.len())
        .filter(|&k| live[k])
        .map(|k| (classes[k], flat.nodes[k][chosen[k]].node))
        .collect();
    Extracted { choice, cost: total, optimal }
}

impl Flat {
    /// For each class the node that makes the cheapest tree. Each argument is final before its user, so that no cycle arises.
    fn trees(&self) -> Vec<usize> {
        let n = self.nodes.len();
        let mut users: Vec<Vec<(usize, usize)>> = vec![vec![]; n];
        let mut waits: Vec<Vec<usize>> =
            self.nodes.iter().map(|v| v.iter().map(|o| o.args.len()).collect()).collect();
        let mut sums: Vec<Vec<f64>> = self.nodes.iter().map(|v| v.iter().map(|o| o.cost).collect()).collect();
        let mut heap: BinaryHeap<Reverse<(Cost, usize, usize)>> = BinaryHeap::new();
        for (k, options) in self.nodes.iter().enumerate() {
            for (j, o) in options.iter().enumerate() {
                o.args.iter().for_each(|&a| users[a].push((k, j)));
                if o.args.is_empty() {
                    heap.push(Reverse((Cost(o.cost), k, j)));
                }
            }
        }
        let mut chosen = vec![usize::MAX; n];
        while let Some(Reverse((Cost(cost), k, j))) = heap.pop() {
            if chosen[k] != usize::MAX {
                continue;
            }
            chosen[k] = j;
            for &(u, o) in &users[k] {
                waits[u][o] -= 1;
                sums[u][o] += cost;
                if waits[u][o] == 0 && chosen[u] == usize::MAX {
                    heap.push(Reverse((Cost(sums[u][o]), u, o)));
                }
            }
        }
        // every class holds a node that was once part of an acyclic dag
        chosen.iter_mut().filter(|c| **c == usize::MAX).for_each(|c| *c = 0);
        chosen
    }

    fn live(&self, chosen: &[usize]) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        let mut stack = self.roots.clone();
        while let Some(k) = stack.pop() {
            if !std::mem::replace(&mut live[k], true) {
                stack.extend(&self.nodes[k][chosen[k]].args);
            }
        }
        live
    }

    fn is_acyclic(&self, chosen: &[usize]) -> bool {
        // 0 new, 1 open, 2 done
        let mut state = vec![0u8; self.nodes.len()];
        let mut stack: Vec<(usize, usize)> = vec![];
        for &r in &self.roots {
            if state[r] == 0 {
                state[r] = 1;
                stack.push((r, 0));
            }
            while let Some((k, next)) = stack.last_mut() {
                let args = &self.nodes[*k][chosen[*k]].args;
                let Some(&a) = args.get(*next) else {
                    state[*k] = 2;
                    stack.pop();
                    continue;
                };
                *next += 1;
                match state[a] {
                    0 => {
                        state[a] = 1;
                        stack.push((a, 0));
                    }
                    1 => return false,
                    _ => {}
                }
            }
        }
        true
    }

    /// Branch and bound over the classes that are needed, in the order in which they turn out to be; gives up after a counted number of steps.
    fn exhaust(&self, chosen: Vec<usize>, total: f64) -> (Vec<usize>, f64, bool) {
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
            if self.flat.is_acyclic(&chosen) {
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

/// A choice with reference counts.
struct Selection<'a> {
    flat: &'a Flat,
    chosen: Vec<usize>,
    /// How many live nodes (and roots) use each class.
    uses: Vec<u32>,
    total: f64,
    walked: u64,
}

impl<'a> Selection<'a> {
    fn new(flat: &'a Flat, chosen: Vec<usize>) -> Selection<'a> {
        let mut s = Selection { flat, chosen, uses: vec![0; flat.nodes.len()], total: 0.0, walked: 0 };
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
        let mut seen = BTreeSet::new();
        let mut stack = from.to_vec();
        while let Some(x) = stack.pop() {
            self.walked += 1;
            if x == k {
                return true;
            }
            if seen.insert(x) {
                stack.extend(&self.flat.nodes[x][self.chosen[x]].args);
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
    fn improve(&mut self, end: Option<Instant>) {
        let over = || end.is_some_and(|e| Instant::now() >= e);
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
                if self.uses[k] > 0 && self.walked <= WALKED && !over() {
                    self.avoid(k, &users[k]);
                }
            }
            for k in (0..self.chosen.len()).rev() {
                if self.uses[k] == 0 || self.flat.nodes[k].len() < 2 || self.walked > WALKED || over() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A random graph: class k has nodes whose arguments are earlier classes, so that there are no cycles.
    fn graph() -> impl Strategy<Value = Flat> {
        let node = (1u32..20, proptest::collection::vec(any::<u16>(), 0..3));
        proptest::collection::vec(proptest::collection::vec(node, 1..4), 2..10).prop_map(|classes| {
            let nodes: Vec<Vec<Way>> = classes
                .into_iter()
                .enumerate()
                .map(|(k, options)| {
                    let one = |(cost, args): (u32, Vec<u16>)| {
                        let mut args: Vec<usize> =
                            if k == 0 { vec![] } else { args.iter().map(|&a| a as usize % k).collect() };
                        args.sort_unstable();
                        args.dedup();
                        Way { node: DagId(0), cost: f64::from(cost), args }
                    };
                    options.into_iter().map(one).collect()
                })
                .collect();
            let roots = vec![nodes.len() - 1];
            Flat { nodes, roots }
        })
    }

    fn brute(flat: &Flat) -> f64 {
        let mut chosen = vec![0; flat.nodes.len()];
        let mut best = f64::INFINITY;
        loop {
            let live = flat.live(&chosen);
            let cost = (0..chosen.len()).filter(|&k| live[k]).map(|k| flat.nodes[k][chosen[k]].cost).sum();
            best = f64::min(best, cost);
            let Some(k) = (0..chosen.len()).find(|&k| chosen[k] + 1 < flat.nodes[k].len()) else {
                return best;
            };
            chosen[k] += 1;
            chosen[..k].fill(0);
        }
    }

    proptest! {
        #[test]
        fn small_graphs_are_solved_exactly(flat in graph()) {
            let mut s = Selection::new(&flat, flat.trees());
            s.improve(None);
            let (chosen, total, optimal) = flat.exhaust(s.chosen.clone(), s.total);
            let best = brute(&flat);
            prop_assert!(flat.is_acyclic(&chosen));
            prop_assert!(!optimal || (total - best).abs() < 1e-9, "{} is not {}", total, best);
            prop_assert!(total <= 1.05 * best + 1e-9 || !optimal);
            // single changes alone never lose to the trees that they began from
            let trees = Selection::new(&flat, flat.trees());
            prop_assert!(s.total <= trees.total + 1e-9);
        }
    }

    #[test]
    fn sharing_beats_the_cheapest_trees() {
        // class 0 costs 10; 1 and 2 each take it, or cost 9 alone; the root takes both
        let option = |cost: f64, args: &[usize]| Way { node: DagId(0), cost, args: args.to_vec() };
        let flat = Flat {
            nodes: vec![
                vec![option(10.0, &[])],
                vec![option(9.0, &[]), option(1.0, &[0])],
                vec![option(9.0, &[]), option(1.0, &[0])],
                vec![option(1.0, &[1, 2])],
            ],
            roots: vec![3],
        };
        let s = Selection::new(&flat, flat.trees());
        assert_eq!(s.total, 19.0);
        let (_, total, optimal) = flat.exhaust(s.chosen.clone(), s.total);
        assert_eq!((total, optimal), (13.0, true));
    }
}

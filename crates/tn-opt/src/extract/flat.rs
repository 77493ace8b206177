//! The e-graph as plain lists, and the cheapest tree of every class.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tn_ir::dag::DagId;

/// The e-graph as plain lists: positions of classes, their nodes with own costs and arguments.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    pub nodes: Vec<Vec<Way>>,
    pub roots: Vec<usize>,
}

/// One way to compute a class.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub node: DagId,
    pub cost: f64,
    /// What the result takes in memory until its last user is done; 0 for what the caller holds and what is another result's memory.
    pub bytes: f64,
    pub args: Vec<usize>,
}

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

impl Flat {
    /// For each class the node that makes the cheapest tree. Each argument is final before its user, so that no cycle arises.
    pub fn trees(&self) -> Vec<usize> {
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

    pub fn live(&self, chosen: &[usize]) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        let mut stack = self.roots.clone();
        while let Some(k) = stack.pop() {
            if !std::mem::replace(&mut live[k], true) {
                stack.extend(&self.nodes[k][chosen[k]].args);
            }
        }
        live
    }

    pub fn is_acyclic(&self, chosen: &[usize]) -> bool {
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

    /// The cost of a choice, everything that the roots need once.
    pub fn cost(&self, chosen: &[usize]) -> f64 {
        let live = self.live(chosen);
        (0..chosen.len()).filter(|&k| live[k]).map(|k| self.nodes[k][chosen[k]].cost).sum()
    }
}

//! An order of what is chosen, and the most that is live at once.
//!
//! A result is live from the step that makes it to its last user. The order with the least peak is found by dynamic programming over sets of steps
//! where there are few; elsewhere it is the better of two: depth first with the operand that needs the most for itself beforehand (Sethi and Ullman
//! 1970, which is optimal for trees whose results are of one size), and always the step that adds the least to what is live.

use super::flat::Flat;

/// Up to so many steps the table of all sets is filled.
const TABLE: usize = 14;
/// Beyond so many steps, depth first alone.
const GREEDY: usize = 2_000;

/// An order, with the most bytes that are live at once.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub classes: Vec<usize>,
    pub peak: f64,
    /// Whether no order has a smaller peak.
    pub optimal: bool,
}

/// The steps of a choice by their own numbers, in some order in which arguments come first.
struct Steps {
    class: Vec<usize>,
    bytes: Vec<f64>,
    args: Vec<Vec<usize>>,
    users: Vec<Vec<usize>>,
}

impl Flat {
    /// An order of what is chosen. What roots need is held by the caller and takes no memory here.
    pub fn order(&self, chosen: &[usize]) -> Order {
        let steps = Steps::of(self, chosen);
        if steps.class.len() <= TABLE {
            let (order, peak) = steps.table();
            return steps.named(&order, peak, true);
        }
        steps.quick()
    }

    /// The same without the table.
    #[cfg(test)]
    pub fn quick_order(&self, chosen: &[usize]) -> Order {
        Steps::of(self, chosen).quick()
    }
}

impl Steps {
    fn quick(&self) -> Order {
        let first = self.depth_first();
        let mut best = (self.peak(&first), first);
        if self.class.len() <= GREEDY {
            let other = self.least_first();
            let peak = self.peak(&other);
            if peak < best.0 {
                best = (peak, other);
            }
        }
        self.named(&best.1, best.0, false)
    }

    fn of(flat: &Flat, chosen: &[usize]) -> Steps {
        let mut at = vec![usize::MAX; flat.nodes.len()];
        let mut steps = Steps { class: vec![], bytes: vec![], args: vec![], users: vec![] };
        let mut stack: Vec<(usize, usize)> = flat.roots.iter().rev().map(|&r| (r, 0)).collect();
        while let Some((k, next)) = stack.pop() {
            if at[k] != usize::MAX {
                continue;
            }
            let way = &flat.nodes[k][chosen[k]];
            if let Some(&a) = way.args.get(next) {
                stack.extend([(k, next + 1), (a, 0)]);
                continue;
            }
            at[k] = steps.class.len();
            steps.class.push(k);
            steps.bytes.push(if flat.roots.contains(&k) { 0.0 } else { way.bytes });
            steps.args.push(way.args.iter().map(|&a| at[a]).collect());
        }
        steps.users = vec![vec![]; steps.class.len()];
        for (s, args) in steps.args.iter().enumerate() {
            args.iter().for_each(|&a| steps.users[a].push(s));
        }
        steps
    }

    fn named(&self, order: &[usize], peak: f64, optimal: bool) -> Order {
        Order { classes: order.iter().map(|&s| self.class[s]).collect(), peak, optimal }
    }

    /// The most that is live at once.
    fn peak(&self, order: &[usize]) -> f64 {
        let mut waiting: Vec<usize> = self.users.iter().map(Vec::len).collect();
        let (mut live, mut peak) = (0.0, 0.0f64);
        for &s in order {
            live += self.bytes[s];
            peak = peak.max(live);
            for &a in &self.args[s] {
                waiting[a] -= 1;
                if waiting[a] == 0 {
                    live -= self.bytes[a];
                }
            }
        }
        peak
    }

    /// For every set of steps that holds what they need, the least peak with which it can be computed.
    fn table(&self) -> (Vec<usize>, f64) {
        let n = self.class.len();
        let mask = |list: &[usize]| list.iter().fold(0usize, |m, &s| m | 1 << s);
        let args: Vec<usize> = self.args.iter().map(|a| mask(a)).collect();
        let users: Vec<usize> = self.users.iter().map(|u| mask(u)).collect();
        let full = (1usize << n) - 1;
        let mut best = vec![(f64::INFINITY, 0u8); full + 1];
        best[0].0 = 0.0;
        for set in 0..full {
            if best[set].0 == f64::INFINITY {
                continue;
            }
            let held = |s: usize| set >> s & 1 == 1 && users[s] & !set != 0;
            let live: f64 = (0..n).filter(|&s| held(s)).map(|s| self.bytes[s]).sum();
            for s in (0..n).filter(|&s| set >> s & 1 == 0 && args[s] & !set == 0) {
                let peak = best[set].0.max(live + self.bytes[s]);
                let to = &mut best[set | 1 << s];
                if peak < to.0 {
                    *to = (peak, s as u8);
                }
            }
        }
        let mut order = Vec::with_capacity(n);
        let mut set = full;
        while set != 0 {
            let s = best[set].1 as usize;
            order.push(s);
            set &= !(1 << s);
        }
        order.reverse();
        (order, best[full].0)
    }

    fn depth_first(&self) -> Vec<usize> {
        // what a step and all below it take, were it a tree
        let mut need = vec![0.0f64; self.class.len()];
        let mut sorted: Vec<Vec<usize>> = Vec::with_capacity(self.class.len());
        for s in 0..self.class.len() {
            let mut args = self.args[s].clone();
            args.sort_by(|&x, &y| {
                (need[y] - self.bytes[y]).total_cmp(&(need[x] - self.bytes[x])).then(x.cmp(&y))
            });
            let mut held = 0.0;
            for &a in &args {
                need[s] = need[s].max(held + need[a]);
                held += self.bytes[a];
            }
            need[s] = need[s].max(held + self.bytes[s]);
            sorted.push(args);
        }
        let mut tops: Vec<usize> = (0..self.class.len()).filter(|&s| self.users[s].is_empty()).collect();
        tops.sort_by(|&x, &y| need[y].total_cmp(&need[x]).then(x.cmp(&y)));
        let mut done = vec![false; self.class.len()];
        let mut order = vec![];
        let mut stack: Vec<(usize, usize)> = tops.into_iter().rev().map(|s| (s, 0)).collect();
        while let Some((s, next)) = stack.pop() {
            if done[s] {
                continue;
            }
            if let Some(&a) = sorted[s].get(next) {
                stack.extend([(s, next + 1), (a, 0)]);
                continue;
            }
            done[s] = true;
            order.push(s);
        }
        order
    }

    fn least_first(&self) -> Vec<usize> {
        let mut waits: Vec<usize> = self.args.iter().map(Vec::len).collect();
        let mut left: Vec<usize> = self.users.iter().map(Vec::len).collect();
        let mut ready: Vec<usize> = (0..waits.len()).filter(|&s| waits[s] == 0).collect();
        let mut order = vec![];
        let added = |s: usize, left: &[usize]| -> f64 {
            let freed: f64 = self.args[s].iter().filter(|&&a| left[a] == 1).map(|&a| self.bytes[a]).sum();
            self.bytes[s] - freed
        };
        // among equals the one that became ready last goes on with what is there
        while let Some(k) =
            (0..ready.len()).rev().min_by(|&x, &y| added(ready[x], &left).total_cmp(&added(ready[y], &left)))
        {
            let s = ready.remove(k);
            order.push(s);
            self.args[s].iter().for_each(|&a| left[a] -= 1);
            for &u in &self.users[s] {
                waits[u] -= 1;
                if waits[u] == 0 {
                    ready.push(u);
                }
            }
        }
        order
    }
}

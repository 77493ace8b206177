//! Extraction: one node for each class, so that everything that the roots need costs the least, shared parts once.
//!
//! Finding the cheapest dag in an e-graph is NP-hard. The first choice is the best tree for each class (Knuth's generalisation of Dijkstra's algorithm
//! finds it, and it has no cycles); then single choices are changed as long as the dag as a whole gets cheaper, with reference counts telling what a change
//! frees and what it needs; small graphs are searched exhaustively within a counted budget, from that bound on.
//!
//! Under a limit on memory the order counts too: see [`within`].

mod exhaust;
mod flat;
mod order;
mod selection;
mod within;

use crate::Clock;
use crate::cost::{Costs, FREE};
use crate::fold::{constants, is_small};
use crate::graph::{Class, Joint};
use flat::{Flat, Way};
use selection::Selection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tn_ir::dag::DagId;

/// A node for each class that is needed.
pub type Choice = BTreeMap<Class, DagId>;

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
pub fn extract(
    joint: &Joint,
    costs: &Costs,
    roots: &[DagId],
    start: Option<&Choice>,
    banned: &BTreeSet<DagId>,
    clock: Clock,
) -> Extracted {
    let plain = Plain::of(joint, costs, roots, banned);
    let flat = &plain.flat;
    let mut best = Selection::new(flat, flat.trees());
    best.improve(clock);
    if let Some(start) = start {
        let chosen = plain.chosen(start, &best.chosen);
        if flat.is_acyclic(&chosen) {
            let mut other = Selection::new(flat, chosen);
            other.improve(clock);
            if other.total < best.total {
                best = other;
            }
        }
    }
    let (chosen, cost, optimal) = flat.exhaust(best.chosen.clone(), best.total, &mut |_| true);
    Extracted { choice: plain.choice(&chosen), cost, optimal }
}

/// The cheapest dag found for the roots of which some order never has more than `limit` bytes of results live, beside what the caller holds.
/// `start` is the cheapest whatever its memory. None if there is none.
pub fn extract_within(
    joint: &Joint,
    costs: &Costs,
    roots: &[DagId],
    start: &Choice,
    limit: f64,
) -> Option<Extracted> {
    let plain = Plain::of(joint, costs, roots, &BTreeSet::new());
    let chosen = plain.chosen(start, &plain.flat.trees());
    let found = plain.flat.within(&chosen, limit)?;
    Some(Extracted { choice: plain.choice(&found.chosen), cost: found.cost, optimal: found.optimal })
}

/// The most bytes of results that are live at once if a choice is computed in a good order, beside what the caller holds.
pub fn peak(joint: &Joint, costs: &Costs, roots: &[DagId], choice: &Choice) -> f64 {
    let plain = Plain::of(joint, costs, roots, &BTreeSet::new());
    let chosen = plain.chosen(choice, &plain.flat.trees());
    plain.flat.order(&chosen).peak
}

/// The e-graph as lists, with the class and the place of each.
struct Plain {
    flat: Flat,
    classes: Vec<Class>,
}

impl Plain {
    fn of(joint: &Joint, costs: &Costs, roots: &[DagId], banned: &BTreeSet<DagId>) -> Plain {
        let classes: Vec<Class> = joint.classes().collect();
        let place: HashMap<Class, usize> = classes.iter().enumerate().map(|(k, &c)| (c, k)).collect();
        let constant = constants(&joint.dag);
        let way = |&n: &DagId| {
            let folded = constant[n.0 as usize] && is_small(&joint.dag, n);
            let mut args: Vec<usize> = joint.args(n).iter().map(|a| place[a]).collect();
            args.sort_unstable();
            args.dedup();
            Way {
                node: n,
                cost: if folded { FREE } else { costs.node(&joint.dag, n) },
                bytes: if folded { 0.0 } else { costs.held(&joint.dag, n) },
                args,
            }
        };
        let ways = |&c: &Class| {
            let all = joint.members(c);
            // a class that has banned nodes alone is not needed by any other
            let some: Vec<Way> = all.iter().filter(|n| !banned.contains(n)).map(way).collect();
            if some.is_empty() { all.iter().map(way).collect() } else { some }
        };
        let nodes = classes.iter().map(ways).collect();
        let roots = roots.iter().map(|&r| place[&joint.known_class(r)]).collect();
        Plain { flat: Flat { nodes, roots }, classes }
    }

    /// A choice by positions; where it says nothing, as in `otherwise`.
    fn chosen(&self, choice: &Choice, otherwise: &[usize]) -> Vec<usize> {
        let one = |(k, c): (usize, &Class)| {
            let want = choice.get(c);
            let at = want.and_then(|w| self.flat.nodes[k].iter().position(|o| o.node == *w));
            at.unwrap_or(otherwise[k])
        };
        self.classes.iter().enumerate().map(one).collect()
    }

    fn choice(&self, chosen: &[usize]) -> Choice {
        let live = self.flat.live(chosen);
        let one = |k: usize| (self.classes[k], self.flat.nodes[k][chosen[k]].node);
        (0..chosen.len()).filter(|&k| live[k]).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    /// What a result takes, and for each way to make it the cost and numbers that name its arguments.
    type Drawn = (u32, Vec<(u32, Vec<u16>)>);

    /// A random graph of `2..most` classes: class k has nodes whose arguments are earlier classes, so that there are no cycles.
    fn graph(most: usize) -> impl Strategy<Value = Flat> {
        let node = (1u32..20, proptest::collection::vec(any::<u16>(), 1..4));
        let class = (1u32..12, proptest::collection::vec(node, 1..4));
        proptest::collection::vec(class, 4..most).prop_map(|classes| {
            let class = |(k, (bytes, options)): (usize, Drawn)| {
                let way = |(cost, args): (u32, Vec<u16>)| {
                    // near ones, so that most classes are needed; the first two need nothing
                    let args = args.iter().filter(|_| k > 1).map(|&a| k - 1 - a as usize % k.min(5));
                    let args: BTreeSet<usize> = args.collect();
                    let (cost, bytes) = (f64::from(cost), f64::from(bytes));
                    Way { node: DagId(0), cost, bytes, args: args.into_iter().collect() }
                };
                options.into_iter().map(way).collect()
            };
            let nodes: Vec<Vec<Way>> = classes.into_iter().enumerate().map(class).collect();
            let roots = vec![nodes.len() - 1];
            Flat { nodes, roots }
        })
    }

    /// All choices, those of classes that are not needed once.
    fn choices(flat: &Flat) -> Vec<Vec<usize>> {
        let mut out = vec![];
        let mut stack = vec![vec![usize::MAX; flat.nodes.len()]];
        while let Some(chosen) = stack.pop() {
            let mut open = flat.roots.clone();
            let mut seen = BTreeSet::new();
            let mut undecided = None;
            while let Some(k) = open.pop() {
                match chosen[k] {
                    usize::MAX => undecided = Some(k),
                    j if seen.insert(k) => open.extend(&flat.nodes[k][j].args),
                    _ => {}
                }
            }
            let Some(k) = undecided else {
                out.push(chosen.iter().map(|&j| if j == usize::MAX { 0 } else { j }).collect());
                continue;
            };
            for j in 0..flat.nodes[k].len() {
                let mut next = chosen.clone();
                next[k] = j;
                stack.push(next);
            }
        }
        out
    }

    /// The least peak of a choice over all orders, by trying them.
    fn least_peak(flat: &Flat, chosen: &[usize]) -> f64 {
        let live: Vec<usize> = (0..chosen.len()).filter(|&k| flat.live(chosen)[k]).collect();
        let args = |k: usize| &flat.nodes[k][chosen[k]].args;
        let bytes = |k: usize| if flat.roots.contains(&k) { 0.0 } else { flat.nodes[k][chosen[k]].bytes };
        // sets of what is done, with the least peak that leads there
        let mut level: BTreeMap<Vec<usize>, f64> = BTreeMap::from([(vec![], 0.0)]);
        for _ in 0..live.len() {
            let mut next: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
            for (done, peak) in &level {
                let needed = |k: &usize| live.iter().any(|u| !done.contains(u) && args(*u).contains(k));
                let held: f64 = done.iter().filter(|k| needed(k)).map(|&k| bytes(k)).sum();
                for &k in
                    live.iter().filter(|k| !done.contains(k) && args(**k).iter().all(|a| done.contains(a)))
                {
                    let mut set = done.clone();
                    set.push(k);
                    set.sort_unstable();
                    let best = next.entry(set).or_insert(f64::INFINITY);
                    *best = best.min(peak.max(held + bytes(k)));
                }
            }
            level = next;
        }
        level.into_values().fold(f64::INFINITY, f64::min)
    }

    fn drawn(flat: Flat) -> (Flat, Selection<'static>, f64) {
        let kept: &'static Flat = Box::leak(Box::new(flat.clone()));
        let mut s = Selection::new(kept, kept.trees());
        s.improve(Clock::default());
        let best = choices(&flat).iter().map(|c| flat.cost(c)).fold(f64::INFINITY, f64::min);
        (flat, s, best)
    }

    /// `count` graphs, the same every time.
    fn drawings(count: usize, most: usize) -> impl Iterator<Item = Flat> {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        (0..count).map(move |_| graph(most).new_tree(&mut runner).unwrap().current())
    }

    /// Costs that were found, with those that enumeration finds: equal in nine of ten, and never more than a twentieth above.
    fn judge(what: &str, pairs: &[(f64, f64)]) {
        let equal = pairs.iter().filter(|p| (p.0 - p.1).abs() < 1e-6).count();
        let worst = pairs.iter().map(|p| p.0 / p.1).fold(1.0, f64::max);
        assert!(equal * 10 >= pairs.len() * 9, "{what}: {equal} of {} are optimal", pairs.len());
        assert!(worst <= 1.05, "{what}: {worst} times the optimum");
    }

    #[test]
    fn the_cheapest_dag_of_small_graphs_is_found() {
        let mut pairs = vec![];
        for flat in drawings(400, 15) {
            let (flat, s, best) = drawn(flat);
            let trees = Selection::new(&flat, flat.trees()).total;
            assert!(s.total <= trees + 1e-9, "single changes never lose to the trees that they began from");
            let (chosen, total, optimal) = flat.exhaust(s.chosen.clone(), s.total, &mut |_| true);
            assert!(flat.is_acyclic(&chosen) && (flat.cost(&chosen) - total).abs() < 1e-9);
            assert!(!optimal || (total - best).abs() < 1e-6, "{total} is not {best}");
            pairs.push((total, best));
        }
        judge("dags", &pairs);
    }

    #[test]
    fn the_cheapest_dag_and_order_within_a_limit_are_found() {
        let (mut pairs, mut impossible) = (vec![], 0);
        for flat in drawings(400, 15) {
            let (flat, s, _) = drawn(flat);
            let (start, _, _) = flat.exhaust(s.chosen.clone(), s.total, &mut |_| true);
            let all = choices(&flat);
            let free = least_peak(&flat, &start);
            for part in [0.9, 0.7, 0.5] {
                let limit = free * part;
                let mut best = f64::INFINITY;
                for c in &all {
                    let cost = flat.cost(c);
                    if cost < best && least_peak(&flat, c) <= limit {
                        best = cost;
                    }
                }
                let found = flat.within(&start, limit);
                if let Some(f) = &found {
                    assert!(flat.is_acyclic(&f.chosen) && least_peak(&flat, &f.chosen) <= limit);
                    assert!((flat.cost(&f.chosen) - f.cost).abs() < 1e-9);
                    assert!(f.cost >= best - 1e-9 && (!f.optimal || f.cost <= best + 1e-9));
                }
                match found {
                    Some(f) => pairs.push((f.cost, best)),
                    None => {
                        assert_eq!(best, f64::INFINITY, "something fits and nothing was found");
                        impossible += 1;
                    }
                }
            }
        }
        assert!(pairs.len() > 100, "{} limits could be kept, {impossible} not", pairs.len());
        judge("dags and orders", &pairs);
    }

    #[test]
    fn orders_of_many_steps_are_near_the_best() {
        // the same graphs without the table
        let mut ratios = vec![];
        for flat in drawings(300, 13) {
            let chosen = flat.trees();
            let best = least_peak(&flat, &chosen);
            let other = flat.quick_order(&chosen);
            assert!(other.peak >= best - 1e-9);
            if best > 0.0 {
                ratios.push(other.peak / best);
            }
        }
        ratios.sort_by(f64::total_cmp);
        assert!(ratios[ratios.len() * 9 / 10] <= 1.1, "{ratios:?}");
    }

    #[test]
    fn sharing_beats_the_cheapest_trees() {
        // class 0 costs 10; 1 and 2 each take it, or cost 9 alone; the root takes both
        let option =
            |cost: f64, args: &[usize]| Way { node: DagId(0), cost, bytes: 0.0, args: args.to_vec() };
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
        let (_, total, optimal) = flat.exhaust(s.chosen.clone(), s.total, &mut |_| true);
        assert_eq!((total, optimal), (13.0, true));
    }
}

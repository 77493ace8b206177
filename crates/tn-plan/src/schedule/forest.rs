//! The order with the smallest peak where every result has one user at most: a forest.
//!
//! Liu 1987 (an application of generalized tree pebbling to sparse matrix factorization). What a subtree keeps live over time is cut into
//! segments, each from a valley to the next lower hill's end: hills fall and valleys rise from one segment to the next. Segments of
//! different subtrees may be interleaved, and the best way is by falling (hill − valley). A depth-first order is not always the best.

use super::order::Graph;

/// Segments that may be looked at; more would take too long, which needs a deep tree with large side branches everywhere.
const WORK: usize = 20_000_000;

/// Steps that run together.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Live at its worst moment, above what is live when it begins.
    hill: f64,
    /// Live when it ends, above what is live when it begins.
    valley: f64,
    first: u32,
    last: u32,
}

/// The order with the smallest peak; none if a result has several users.
pub(super) fn forest(g: &Graph) -> Option<Vec<u32>> {
    let n = g.len();
    let mut user = vec![u32::MAX; n];
    for (i, deps) in g.deps.iter().enumerate() {
        for &d in deps {
            if std::mem::replace(&mut user[d as usize], i as u32) != u32::MAX {
                return None;
            }
        }
    }
    // The next step in the same segment.
    let mut next = vec![u32::MAX; n];
    let mut segments: Vec<Vec<Segment>> = vec![Vec::new(); n];
    let mut work = 0;
    for i in g.by_rank() {
        let at = i as usize;
        let mut merged: Vec<Segment> = Vec::new();
        for &d in &g.deps[at] {
            merged.append(&mut segments[d as usize]);
        }
        work += merged.len();
        if work > WORK {
            return None;
        }
        interleave(&mut merged);
        let freed: f64 =
            g.deps[at].iter().filter(|&&d| !g.keep[d as usize]).map(|&d| g.size[d as usize]).sum();
        let left = if user[at] == u32::MAX && !g.keep[at] { 0.0 } else { g.size[at] };
        merged.push(Segment { hill: g.size[at] + g.extra[at], valley: left - freed, first: i, last: i });
        segments[at] = canonical(merged, &mut next);
    }
    let mut all: Vec<Segment> =
        (0..n).filter(|&i| user[i] == u32::MAX).flat_map(|i| std::mem::take(&mut segments[i])).collect();
    interleave(&mut all);
    let mut order = Vec::with_capacity(n);
    for s in all {
        let mut at = s.first;
        order.push(at);
        while at != s.last {
            at = next[at as usize];
            order.push(at);
        }
    }
    Some(order)
}

/// By falling (hill − valley); those of one subtree are in that order already.
fn interleave(segments: &mut [Segment]) {
    segments.sort_by(|a, b| (b.hill - b.valley).total_cmp(&(a.hill - a.valley)));
}

/// Joins segments until hills fall and valleys rise.
fn canonical(list: Vec<Segment>, next: &mut [u32]) -> Vec<Segment> {
    // With hills and valleys above what is live before all of them.
    let mut stack: Vec<Segment> = Vec::with_capacity(list.len());
    let mut base = 0.0;
    for s in list {
        let mut s = Segment { hill: base + s.hill, valley: base + s.valley, ..s };
        base = s.valley;
        while let Some(top) = stack.last().copied() {
            if s.hill < top.hill && s.valley > top.valley {
                break;
            }
            next[top.last as usize] = s.first;
            s = Segment { hill: s.hill.max(top.hill), first: top.first, ..s };
            stack.pop();
        }
        stack.push(s);
    }
    let mut base = 0.0;
    for s in &mut stack {
        let end = s.valley;
        (s.hill, s.valley) = (s.hill - base, s.valley - base);
        base = end;
    }
    stack
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The smallest peak over all topological orders.
    fn least(g: &Graph) -> f64 {
        let n = g.len();
        // What is live and the best peak, by the set of what is done.
        let mut best = vec![f64::INFINITY; 1 << n];
        best[0] = 0.0;
        for done in 0..1usize << n {
            if best[done].is_infinite() {
                continue;
            }
            let live: f64 = (0..n)
                .filter(|&i| done >> i & 1 == 1)
                .filter(|&i| {
                    let mut users = (0..n).filter(|&u| g.deps[u].contains(&(i as u32))).peekable();
                    g.keep[i] || (users.peek().is_some() && users.any(|u| done >> u & 1 == 0))
                })
                .map(|i| g.size[i])
                .sum();
            for i in (0..n).filter(|&i| done >> i & 1 == 0) {
                if g.deps[i].iter().all(|&d| done >> d & 1 == 1) {
                    let peak = best[done].max(live + g.size[i] + g.extra[i]);
                    let then = &mut best[done | 1 << i];
                    *then = then.min(peak);
                }
            }
        }
        best[(1 << n) - 1]
    }

    /// A forest of random shape: the user of each node is a later one, or nobody.
    fn graph(raw: &[(u32, u32, u32, u32)]) -> Graph {
        let n = raw.len();
        let mut g = Graph { deps: vec![vec![]; n], rank: (0..n as u64).collect(), ..Graph::default() };
        for (i, &(size, extra, to, keep)) in raw.iter().enumerate() {
            g.size.push(f64::from(size));
            g.extra.push(f64::from(extra.saturating_sub(6)));
            g.keep.push(keep == 0);
            let room = (n - i) as u32;
            if to % 8 != 0 && room > 1 {
                g.deps[i + 1 + (to % (room - 1)) as usize].push(i as u32);
            }
        }
        g
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_topological_order_has_a_smaller_peak(
            raw in proptest::collection::vec((0u32..10, 0u32..12, 0u32..64, 0u32..12), 1..11)
        ) {
            let g = graph(&raw);
            let order = forest(&g).unwrap();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..g.len() as u32).collect::<Vec<_>>());
            for (at, &i) in order.iter().enumerate() {
                prop_assert!(g.deps[i as usize].iter().all(|d| order[..at].contains(d)));
            }
            prop_assert_eq!(g.peak(&order), least(&g));
            prop_assert_eq!(g.peak(&g.best()), least(&g));
        }
    }

    #[test]
    fn subtrees_are_interleaved_where_that_is_better() {
        // Two branches, each a hill of 10 that shrinks to 1, then a hill of 6 that leaves 5: both high hills go first.
        let branch = |from: u32| [vec![], vec![from], vec![from + 1]];
        let mut deps: Vec<Vec<u32>> = [branch(0), branch(3)].concat();
        deps.push(vec![2, 5]);
        let n = deps.len();
        let g = Graph {
            deps,
            size: vec![10.0, 1.0, 5.0, 10.0, 1.0, 5.0, 1.0],
            extra: vec![0.0; n],
            keep: vec![false; n],
            rank: (0..n as u64).collect(),
        };
        assert_eq!((g.peak(&forest(&g).unwrap()), least(&g)), (12.0, 12.0));
    }

    #[test]
    fn shared_results_are_no_forest() {
        let g = graph(&[(1, 0, 1, 1), (1, 0, 1, 1), (1, 0, 0, 1)]);
        assert!(forest(&g).is_some());
        let mut g = g;
        g.deps[2] = vec![0, 1];
        g.deps[1] = vec![0];
        assert!(forest(&g).is_none());
    }
}

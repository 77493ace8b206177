//! Where candidate trees meet.
//!
//! A sub-result is known by the leaves below it: all trees that have it leave the same legs open there. So candidate trees form one graph, whose
//! classes are sets of leaves and whose nodes are the ways in which some tree splits them. The cheapest tree of that graph takes each part from
//! whichever candidate makes it best; it is found by going through the classes from small to large once, as in the extraction of an e-graph whose
//! cost is a sum over the tree. Sets are told apart by sums of 128-bit random numbers, one for each leaf (Zobrist 1970).

use crate::Minimize;
use crate::objective::{grad_times, log2_add, step_log2};
use crate::portfolio::{Candidate, Search};
use std::collections::HashMap;

/// With more tensors than this, it takes a while.
const MANY: usize = 1500;

/// A set of leaves.
type Set = u128;

/// The best way known to make a set.
struct Class {
    leaves: u32,
    /// log2 of the cost of the whole tree below.
    cost: f64,
    split: (Set, Set),
}

/// What tells sets apart: the number of a leaf.
type Name = fn(usize) -> Set;

/// The random number of a leaf: the output of SplitMix64 (Steele, Lea and Flood 2014) at two positions.
fn name(leaf: usize) -> Set {
    let mix = |mut z: u64| {
        z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let k = leaf as u64 * 2 + 1;
    u128::from(mix(k)) << 64 | u128::from(mix(k + 1))
}

/// The best tree that can be put together from parts of the candidates; none if none of it is better than the best of them.
pub(crate) fn meet(search: &Search<'_>, pool: &[Candidate], best: &Candidate) -> Option<Candidate> {
    let n = search.simple.model.n();
    if !search.opts.meet || pool.len() < 2 || n < 4 || matches!(search.kind, Minimize::Size | Minimize::Peak)
    {
        return None;
    }
    // all trees are gone through, and the new one is rated: it takes about as long as where the search began, with a greedy tree
    if n > MANY && search.clock.left().is_some_and(|l| l < search.unit) {
        return None;
    }
    let c = search.rate_core(joined(search, pool, &best.sliced, name)?, &best.sliced);
    c.score.better(&best.score).then_some(c)
}

/// The cheapest tree of parts of the candidates, with these slices: with others the sub-results would be others.
fn joined(search: &Search<'_>, pool: &[Candidate], sliced: &[u32], name: Name) -> Option<Vec<(u32, u32)>> {
    let m = &search.simple.model;
    let n = m.n();
    let max_size = search.limits.size.unwrap_or(f64::INFINITY) + 1e-9;
    let mut ways: Vec<(u32, Set, (Set, Set), f64)> = Vec::with_capacity(pool.len() * n);
    for c in pool {
        if search.clock.over() {
            return None;
        }
        let walk = m.walk(&c.core, sliced);
        let mut sets: Vec<(u32, Set)> = (0..n).map(|leaf| (1, name(leaf))).collect();
        for (k, &(a, b)) in walk.kids.iter().enumerate() {
            let (a, b) = (a as usize, b as usize);
            let whole = (sets[a].0 + sets[b].0, sets[a].1.wrapping_add(sets[b].1));
            sets.push(whole);
            let out = walk.size[n + k];
            let times = grad_times(walk.grad[a], walk.grad[b]);
            let cost = step_log2(search.kind, walk.macs[k], walk.size[a], walk.size[b], out, times);
            if out <= max_size {
                ways.push((whole.0, whole.1, (sets[a].1, sets[b].1), cost));
            }
        }
    }
    ways.sort_unstable_by_key(|w| w.0);
    let mut classes: HashMap<Set, Class> = HashMap::with_capacity(ways.len());
    for leaf in 0..n {
        classes.insert(name(leaf), Class { leaves: 1, cost: f64::NEG_INFINITY, split: (0, 0) });
    }
    for (k, (leaves, set, split, step)) in ways.into_iter().enumerate() {
        if k % 4096 == 0 && search.clock.over() {
            return None;
        }
        let (Some(a), Some(b)) = (classes.get(&split.0), classes.get(&split.1)) else { continue };
        let cost = log2_add(step, log2_add(a.cost, b.cost));
        if classes.get(&set).is_none_or(|c| cost < c.cost) {
            classes.insert(set, Class { leaves, cost, split });
        }
    }
    let all = (0..n).fold(0u128, |s, leaf| s.wrapping_add(name(leaf)));
    path(&classes, all, n, name)
}

/// The tree of a set as pairs in SSA numbering, children before parents.
fn path(classes: &HashMap<Set, Class>, all: Set, n: usize, name: Name) -> Option<Vec<(u32, u32)>> {
    let leaf_of: HashMap<Set, u32> = (0..n).map(|leaf| (name(leaf), leaf as u32)).collect();
    let mut path = Vec::with_capacity(n - 1);
    // ids of what is made, and sets still to make; a set is left once its parts are there
    let mut made: Vec<u32> = vec![];
    let mut stack = vec![(all, false)];
    while let Some((set, ready)) = stack.pop() {
        let class = classes.get(&set)?;
        if class.leaves == 1 {
            made.push(*leaf_of.get(&set)?);
        } else if ready {
            let (b, a) = (made.pop()?, made.pop()?);
            path.push((a, b));
            made.push((n + path.len() - 1) as u32);
        } else {
            stack.extend([(set, true), (class.split.1, false), (class.split.0, false)]);
        }
    }
    (path.len() == n - 1).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::model::Model;
    use crate::objective::Limits;
    use crate::rng::Rng;
    use crate::simplify::Simplified;
    use crate::{Network, Options, Tree};

    /// A network of a few tensors without diagonals.
    fn network(rng: &mut Rng) -> Network {
        let indices = 6 + rng.below(6);
        let mut inputs: Vec<Vec<u32>> = vec![vec![]; 5 + rng.below(5)];
        for i in 0..indices as u32 {
            for _ in 0..2 + rng.below(2) {
                let at = rng.below(inputs.len());
                if !inputs[at].contains(&i) {
                    inputs[at].push(i);
                }
            }
        }
        let sizes = (0..indices).map(|_| 1 + rng.below(4) as u64).collect();
        Network { inputs, output: vec![], sizes, needs_grad: vec![] }
    }

    fn random_path(rng: &mut Rng, n: usize) -> Vec<(u32, u32)> {
        let mut left: Vec<u32> = (0..n as u32).collect();
        let mut step = |k| {
            let [a, b] = [0, 1].map(|_| left.swap_remove(rng.below(left.len())));
            left.push((n + k) as u32);
            (a, b)
        };
        (0..n - 1).map(&mut step).collect()
    }

    /// Whether the candidates' joined tree is one of all leaves, each once, and costs no more than any of theirs.
    fn is_sound(seed: u64, name: Name) -> bool {
        let rng = &mut Rng::new(seed, 0);
        let net = network(rng);
        let n = net.inputs.len();
        let opts = Options { minimize: Minimize::Macs, ..Options::default() };
        let model = Model::new(&net);
        let simple = Simplified::none(&model);
        let limits = Limits { keep: vec![false; model.lg.len()], ..Limits::default() };
        let clock = Clock::new(&opts);
        let kind = Minimize::Macs;
        let search = Search { model, simple, kind, limits, opts: &opts, clock, unit: 0.0 };
        let pool: Vec<Candidate> = (0..4).map(|_| search.rate_core(random_path(rng, n), &[])).collect();
        let Some(path) = joined(&search, &pool, &[], name) else { return false };
        let mut used: Vec<u32> = path.iter().flat_map(|&(a, b)| [a, b]).collect();
        used.sort_unstable();
        if used != (0..2 * n as u32 - 2).collect::<Vec<u32>>() {
            return false;
        }
        let macs = |ssa_path| crate::evaluate(&net, &Tree { ssa_path, sliced: vec![] }).log10_macs;
        let joined = macs(path);
        pool.into_iter().all(|c| joined <= macs(c.core) + 1e-9)
    }

    #[test]
    fn the_joined_tree_is_a_tree_of_the_same_leaves() {
        assert!((0..300).all(|seed| is_sound(seed, name)));
        let few_bits: Name = |leaf| name(leaf) & 7;
        let by_count: Name = |_| 1;
        for (slip, name) in
            [("sets of as many leaves are one", by_count), ("sets are told apart by few bits", few_bits)]
        {
            assert!((0..300).any(|seed| !is_sound(seed, name)), "{slip}");
        }
    }

    #[test]
    fn a_tree_is_read_off_its_classes() {
        let name_of = |set: &[usize]| set.iter().fold(0u128, |s, &l| s.wrapping_add(name(l)));
        let mut classes: HashMap<Set, Class> = HashMap::new();
        for leaf in 0..4 {
            classes.insert(name(leaf), Class { leaves: 1, cost: f64::NEG_INFINITY, split: (0, 0) });
        }
        for (set, split) in [
            (vec![0, 1], (vec![0], vec![1])),
            (vec![2, 3], (vec![2], vec![3])),
            (vec![0, 1, 2, 3], (vec![0, 1], vec![2, 3])),
        ] {
            let class =
                Class { leaves: set.len() as u32, cost: 0.0, split: (name_of(&split.0), name_of(&split.1)) };
            classes.insert(name_of(&set), class);
        }
        assert_eq!(path(&classes, name_of(&[0, 1, 2, 3]), 4, name), Some(vec![(0, 1), (2, 3), (4, 5)]));
        classes.remove(&name_of(&[2, 3]));
        assert_eq!(path(&classes, name_of(&[0, 1, 2, 3]), 4, name), None);
    }
}

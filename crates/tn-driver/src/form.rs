//! One form for all networks that differ in names, in the order of the tensors, of their axes or of the output's axes.
//!
//! Tensors and indices are the nodes of one graph. They are parted by what can be seen of each (size, output, flags, degree), then each
//! class by how many neighbours its members have in every other, until nothing changes. Only the smaller parts of a class are looked at
//! again, so the work is near-linear, for long chains too. Classes that are left are parted by the numbers of nodes at each distance,
//! which tells tensors of random graphs apart. Then one node of a class is singled out and the partition refined again, until every
//! class has one member.
//!
//! Where the members of a class are images of each other under a symmetry, it does not matter which is taken. Where they are not, the choice is by what
//! each leads to, as long as a fixed amount of work is not used up; after that it is by the order given. The form is compared in full, so a choice that
//! depends on the order can make two equal networks look different, but no two different ones look equal.

use std::collections::VecDeque;
use tn_order::{Network, Tree};

/// Edges looked at for the numbers of nodes at each distance, in all, and for one tensor.
const BALL_WORK: usize = 1_000_000;
const BALL: usize = 256;
/// Nodes and edges looked at to choose among the members of classes.
const CHOICE_WORK: usize = 4_000_000;

/// The form of a network, and how it is numbered there.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// The network in full.
    pub bytes: Vec<u8>,
    /// The number of each tensor and of each index (`u32::MAX` for an index on no tensor), and back.
    tensors: Vec<u32>,
    indices: Vec<u32>,
    tensors_back: Vec<u32>,
    indices_back: Vec<u32>,
}

impl Form {
    /// None for a malformed network.
    pub fn of(net: &Network, unsliceable: &[u32]) -> Option<Form> {
        net.check().ok()?;
        let n = net.inputs.len();
        let graph = Graph::of(net);
        let mut fixed = vec![false; net.sizes.len()];
        let mut open = vec![0u32; net.sizes.len()];
        unsliceable.iter().for_each(|&i| fixed.get_mut(i as usize).into_iter().for_each(|f| *f = true));
        net.output.iter().for_each(|&i| open[i as usize] += 1);
        let looks: Vec<[u64; 5]> = (0..graph.start.len() - 1)
            .map(|v| {
                let degree = (graph.start[v + 1] - graph.start[v]) as u64;
                match v.checked_sub(n) {
                    None => [0, u64::from(net.grad(v)), degree, 0, 0],
                    Some(k) => {
                        let i = graph.used[k] as usize;
                        [1, net.sizes[i], u64::from(open[i]), u64::from(fixed[i]), degree]
                    }
                }
            })
            .collect();
        let order = order(&graph, &looks, n);
        let mut form = Form {
            bytes: Vec::new(),
            tensors: vec![0; n],
            indices: vec![u32::MAX; net.sizes.len()],
            tensors_back: order[..n].to_vec(),
            indices_back: order[n..].iter().map(|&v| graph.used[v as usize - n]).collect(),
        };
        for (new, &t) in form.tensors_back.iter().enumerate() {
            form.tensors[t as usize] = new as u32;
        }
        for (new, &i) in form.indices_back.iter().enumerate() {
            form.indices[i as usize] = new as u32;
        }
        let mut bytes = Vec::with_capacity(4 * net.inputs.iter().map(|t| t.len() + 2).sum::<usize>());
        let mut list = |flag: u32, legs: &[u32]| {
            let mut legs: Vec<u32> = legs.iter().map(|&i| form.indices[i as usize]).collect();
            legs.sort_unstable();
            for word in [flag, legs.len() as u32].into_iter().chain(legs) {
                bytes.extend(word.to_le_bytes());
            }
        };
        list(form.indices_back.len() as u32, &net.output);
        form.tensors_back
            .iter()
            .for_each(|&t| list(u32::from(net.grad(t as usize)), &net.inputs[t as usize]));
        for &i in &form.indices_back {
            bytes.extend(net.sizes[i as usize].to_le_bytes());
            bytes.push(u8::from(fixed[i as usize]));
        }
        form.bytes = bytes;
        Some(form)
    }

    /// The tree of the network as a tree of the form. What is no tree of the network stays none.
    pub fn tree_into(&self, tree: &Tree) -> Tree {
        mapped(tree, &self.tensors, &self.indices)
    }

    /// A tree of the form as one of the network.
    pub fn tree_from(&self, tree: &Tree) -> Tree {
        mapped(tree, &self.tensors_back, &self.indices_back)
    }
}

fn mapped(tree: &Tree, tensors: &[u32], indices: &[u32]) -> Tree {
    let tensor = |x: u32| tensors.get(x as usize).copied().unwrap_or(x);
    Tree {
        ssa_path: tree.ssa_path.iter().map(|&(a, b)| (tensor(a), tensor(b))).collect(),
        sliced: tree.sliced.iter().map(|&i| indices.get(i as usize).copied().unwrap_or(u32::MAX)).collect(),
    }
}

/// Tensors, then the indices that are on some, and who is beside whom: node and weight, which says how often.
struct Graph {
    used: Vec<u32>,
    start: Vec<usize>,
    beside: Vec<(u32, u64)>,
}

impl Graph {
    fn of(net: &Network) -> Graph {
        let n = net.inputs.len();
        let (mut node, mut used) = (vec![u32::MAX; net.sizes.len()], Vec::new());
        let mut edges: Vec<(u32, u32, u64)> = Vec::new();
        for (t, legs) in net.inputs.iter().enumerate() {
            let mut legs = legs.clone();
            legs.sort_unstable();
            for same in legs.chunk_by(|a, b| a == b) {
                let node = &mut node[same[0] as usize];
                if *node == u32::MAX {
                    *node = (n + used.len()) as u32;
                    used.push(same[0]);
                }
                // A diagonal is not the same as two indices.
                edges.push((t as u32, *node, 1 + ((same.len() as u64 - 1) << 32)));
            }
        }
        let mut start = vec![0usize; n + used.len() + 1];
        for &(a, b, _) in &edges {
            start[a as usize + 1] += 1;
            start[b as usize + 1] += 1;
        }
        for v in 1..start.len() {
            start[v] += start[v - 1];
        }
        let mut next = start.clone();
        let mut beside = vec![(0, 0); 2 * edges.len()];
        for &(a, b, weight) in &edges {
            for (from, to) in [(a, b), (b, a)] {
                beside[next[from as usize]] = (to, weight);
                next[from as usize] += 1;
            }
        }
        Graph { used, start, beside }
    }
    fn beside(&self, v: u32) -> &[(u32, u64)] {
        &self.beside[self.start[v as usize]..self.start[v as usize + 1]]
    }
}

fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.rotate_left(23) ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 29)
}

/// Nodes in classes, which are ranges of `nodes`; a class is known by its first position.
#[derive(Clone)]
struct Classes {
    nodes: Vec<u32>,
    position: Vec<u32>,
    /// The class of each node.
    class: Vec<u32>,
    /// The number of members, by class.
    len: Vec<u32>,
    queue: VecDeque<u32>,
    queued: Vec<bool>,
    /// What happened so far, in terms that do not depend on the order of nodes.
    trace: u64,
    work: usize,
}

impl Classes {
    /// One class, not yet looked at.
    fn one(n: usize) -> Classes {
        let nodes: Vec<u32> = (0..n as u32).collect();
        let mut len = vec![0; n];
        len.first_mut().into_iter().for_each(|l| *l = n as u32);
        Classes {
            position: nodes.clone(),
            nodes,
            class: vec![0; n],
            len,
            queue: VecDeque::new(),
            queued: vec![false; n],
            trace: 0,
            work: 0,
        }
    }

    fn push(&mut self, class: u32) {
        if !std::mem::replace(&mut self.queued[class as usize], true) {
            self.queue.push_back(class);
        }
    }

    /// Parts a class: members with a value, sorted by it, go behind those without. Of a class that is not due to be looked at, all parts but the
    /// largest are due then, or all.
    fn part(&mut self, class: u32, with: &[(u64, u32)], all: bool) {
        let len = self.len[class as usize];
        let without = len - with.len() as u32;
        for (k, &(_, v)) in with.iter().enumerate() {
            let (from, to) = (self.position[v as usize], class + without + k as u32);
            let other = self.nodes[to as usize];
            self.nodes.swap(from as usize, to as usize);
            (self.position[v as usize], self.position[other as usize]) = (to, from);
        }
        let mut parts = Vec::new();
        if without > 0 {
            parts.push((class, without));
        }
        let mut at = class + without;
        for same in with.chunk_by(|a, b| a.0 == b.0) {
            let size = same.len() as u32;
            self.trace = mix(mix(self.trace, same[0].0), u64::from(at) << 32 | u64::from(size));
            same.iter().for_each(|s| self.class[s.1 as usize] = at);
            self.len[at as usize] = size;
            parts.push((at, size));
            at += size;
        }
        self.len[class as usize] = parts[0].1;
        if parts.len() == 1 && !all {
            return;
        }
        let due = all || self.queued[class as usize];
        let largest = parts.iter().max_by_key(|p| (p.1, std::cmp::Reverse(p.0))).map_or(class, |p| p.0);
        for (part, _) in parts {
            if due || part != largest {
                self.push(part);
            }
        }
    }

    /// Parts every class by the values of its members.
    fn part_by(&mut self, value: impl Fn(u32) -> u64) {
        let mut class = 0;
        while class < self.nodes.len() as u32 {
            let len = self.len[class as usize];
            let members = &self.nodes[class as usize..(class + len) as usize];
            let mut with: Vec<(u64, u32)> = members.iter().map(|&v| (value(v), v)).collect();
            with.sort_unstable();
            if with[0].0 != with[with.len() - 1].0 {
                self.part(class, &with, true);
            }
            class += len;
        }
    }

    /// Until all members of a class have equally many neighbours in every class.
    fn refine(&mut self, graph: &Graph, count: &mut [u64]) {
        let (mut seen, mut with) = (Vec::new(), Vec::new());
        while let Some(class) = self.queue.pop_front() {
            self.queued[class as usize] = false;
            self.trace = mix(self.trace, u64::from(class));
            for &v in &self.nodes[class as usize..(class + self.len[class as usize]) as usize] {
                for &(u, weight) in graph.beside(v) {
                    if count[u as usize] == 0 {
                        seen.push(u);
                    }
                    count[u as usize] += weight;
                    self.work += 1;
                }
            }
            seen.sort_unstable_by_key(|&u| (self.class[u as usize], count[u as usize]));
            let classes: Vec<u32> = seen.iter().map(|&u| self.class[u as usize]).collect();
            let mut from = 0;
            for same in classes.chunk_by(|a, b| a == b) {
                with.clear();
                with.extend(seen[from..from + same.len()].iter().map(|&u| (count[u as usize], u)));
                from += same.len();
                self.part(same[0], &with, false);
            }
            seen.drain(..).for_each(|u| count[u as usize] = 0);
        }
    }

    /// Makes a node of a class one of its own, behind the others.
    fn single_out(&mut self, v: u32) {
        let class = self.class[v as usize];
        self.len[class as usize] -= 1;
        let (from, last) = (self.position[v as usize], class + self.len[class as usize]);
        let other = self.nodes[last as usize];
        self.nodes.swap(from as usize, last as usize);
        (self.position[v as usize], self.position[other as usize]) = (last, from);
        self.class[v as usize] = last;
        self.len[last as usize] = 1;
        self.push(last);
    }
}

/// All nodes in an order that depends on the graph and on `looks` alone, as far as the work goes.
fn order(graph: &Graph, looks: &[[u64; 5]], tensors: usize) -> Vec<u32> {
    let n = looks.len();
    if n == 0 {
        return Vec::new();
    }
    let mut count = vec![0u64; n];
    let mut classes = Classes::one(n);
    let mut kinds = looks.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let kind: Vec<u64> = looks.iter().map(|l| kinds.binary_search(l).unwrap_or_default() as u64).collect();
    classes.part_by(|v| kind[v as usize]);
    classes.push(0);
    classes.refine(graph, &mut count);
    if (0..n).any(|p| classes.len[classes.class[p] as usize] > 1) {
        let values = balls(graph, &classes, tensors);
        classes.part_by(|v| values[v as usize]);
        classes.refine(graph, &mut count);
    }
    let (mut at, mut left) = (0u32, CHOICE_WORK);
    while (at as usize) < n {
        let len = classes.len[at as usize];
        if len == 1 {
            at += 1;
            continue;
        }
        let one = n + graph.beside.len();
        if one.saturating_mul(len as usize) > left {
            left = 0;
            classes.single_out(classes.nodes[at as usize]);
            classes.refine(graph, &mut count);
            continue;
        }
        let mut best: Option<Classes> = None;
        for &v in &classes.nodes[at as usize..(at + len) as usize] {
            let mut next = Classes { work: 0, ..classes.clone() };
            next.single_out(v);
            next.refine(graph, &mut count);
            left = left.saturating_sub(n + next.work);
            if best.as_ref().is_none_or(|b| next.trace < b.trace) {
                best = Some(next);
            }
        }
        classes = best.unwrap_or(classes);
    }
    classes.nodes
}

/// For each tensor that is not alone in its class, a hash of the classes at each distance, as far as a bounded number of edges goes. What is cut is
/// cut before a whole layer, whatever the order.
fn balls(graph: &Graph, classes: &Classes, tensors: usize) -> Vec<u64> {
    let mut out = vec![0u64; classes.nodes.len()];
    let room = (BALL_WORK / tensors.max(1)).min(BALL);
    let mut seen = vec![u32::MAX; out.len()];
    let (mut layer, mut next) = (Vec::new(), Vec::new());
    for t in 0..tensors as u32 {
        if classes.len[classes.class[t as usize] as usize] == 1 {
            continue;
        }
        let (mut hash, mut left) = (0, room);
        layer.clear();
        layer.push(t);
        seen[t as usize] = t;
        while !layer.is_empty() {
            let edges: usize = layer.iter().map(|&v| graph.beside(v).len()).sum();
            let Some(rest) = left.checked_sub(edges) else { break };
            left = rest;
            let mut sum = 0u64;
            for &v in &layer {
                for &(u, _) in graph.beside(v) {
                    if seen[u as usize] != t {
                        seen[u as usize] = t;
                        sum = sum.wrapping_add(mix(1, u64::from(classes.class[u as usize])));
                        next.push(u);
                    }
                }
            }
            hash = mix(mix(hash, next.len() as u64), sum);
            std::mem::swap(&mut layer, &mut next);
            next.clear();
        }
        out[t as usize] = hash;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tn_order::{evaluate, naive};

    /// Numbers from a seed.
    struct Draws(u64);
    impl Draws {
        fn below(&mut self, n: usize) -> usize {
            self.0 = mix(self.0.wrapping_add(1), 77);
            (self.0 >> 11) as usize % n.max(1)
        }
        fn shuffled<T>(&mut self, list: &mut [T]) {
            for k in (1..list.len()).rev() {
                list.swap(k, self.below(k + 1));
            }
        }
    }

    /// The network with other names, and tensors and axes in another order.
    fn permuted(net: &Network, seed: u64) -> Network {
        let mut draws = Draws(seed);
        let mut names: Vec<u32> = (0..net.sizes.len() as u32).collect();
        draws.shuffled(&mut names);
        let mut sizes = vec![0; names.len()];
        names.iter().zip(&net.sizes).for_each(|(&i, &s)| sizes[i as usize] = s);
        let mut list = |legs: &[u32]| {
            let mut legs: Vec<u32> = legs.iter().map(|&i| names[i as usize]).collect();
            draws.shuffled(&mut legs);
            legs
        };
        let mut inputs: Vec<(Vec<u32>, bool)> =
            net.inputs.iter().enumerate().map(|(k, t)| (list(t), net.grad(k))).collect();
        let output = list(&net.output);
        draws.shuffled(&mut inputs);
        let (inputs, needs_grad) = inputs.into_iter().unzip();
        Network { inputs, output, sizes, needs_grad }
    }

    fn uniform(inputs: Vec<Vec<u32>>, output: Vec<u32>) -> Network {
        let indices = inputs.iter().flatten().max().map_or(0, |m| *m as usize + 1);
        Network { inputs, output, sizes: vec![2; indices], needs_grad: vec![] }
    }
    fn chain(n: u32, closed: bool) -> Network {
        let inputs = (0..n).map(|k| vec![k, if closed { (k + 1) % n } else { k + 1 }]);
        uniform(inputs.collect(), vec![])
    }
    fn star(n: u32) -> Network {
        uniform((0..n).map(|k| vec![k]).chain([(0..n).collect()]).collect(), vec![])
    }
    fn lattice(n: u32, closed: bool) -> Network {
        let at = |x: u32, y: u32, down: u32| 2 * (x % n * n + y % n) + down;
        let mut inputs = Vec::new();
        for (x, y) in (0..n).flat_map(|x| (0..n).map(move |y| (x, y))) {
            let mut legs = Vec::new();
            legs.extend((closed || x > 0).then(|| at(x + n - 1, y, 1)));
            legs.extend((closed || y > 0).then(|| at(x, y + n - 1, 0)));
            legs.extend((closed || x + 1 < n).then(|| at(x, y, 1)));
            legs.extend((closed || y + 1 < n).then(|| at(x, y, 0)));
            inputs.push(legs);
        }
        uniform(inputs, vec![])
    }
    /// A random graph in which every tensor has three legs: nothing but its cycles tells one from another.
    fn cubic(n: usize, seed: u64) -> Network {
        let mut ends: Vec<usize> = (0..3 * n).map(|k| k / 3).collect();
        Draws(seed).shuffled(&mut ends);
        let mut inputs = vec![Vec::new(); n];
        for (i, pair) in ends.chunks(2).enumerate() {
            pair.iter().for_each(|&t| inputs[t].push(i as u32));
        }
        uniform(inputs, vec![])
    }

    fn same(a: &Network, b: &Network) -> bool {
        let (a, b) = (Form::of(a, &[]).unwrap(), Form::of(b, &[]).unwrap());
        a.bytes == b.bytes
    }

    #[test]
    fn the_order_of_symmetric_networks_does_not_matter() {
        let nets = [
            chain(2, false),
            chain(40, false),
            chain(41, true),
            star(30),
            lattice(6, false),
            lattice(5, true),
            cubic(10, 3),
            cubic(300, 4),
            uniform(vec![vec![0, 0], vec![0, 1], vec![1, 2, 3], vec![2, 3]], vec![1]),
            uniform(vec![], vec![]),
            uniform(vec![vec![], vec![], vec![0]], vec![0]),
        ];
        for (k, net) in nets.iter().enumerate() {
            for seed in 0..5 {
                assert!(same(net, &permuted(net, seed)), "network {k}, seed {seed}");
            }
        }
    }

    #[test]
    fn what_differs_looks_different() {
        let net = Network { sizes: vec![2, 3, 4], ..uniform(vec![vec![0, 1], vec![1, 2]], vec![0]) };
        let with = |change: &dyn Fn(&mut Network)| {
            let mut other = net.clone();
            change(&mut other);
            other
        };
        for other in [
            with(&|n| n.sizes[2] = 5),
            with(&|n| n.output.push(2)),
            with(&|n| n.inputs[0].push(0)),
            with(&|n| n.inputs[0].push(2)),
            with(&|n| n.inputs.push(vec![])),
            with(&|n| n.needs_grad = vec![true, false]),
        ] {
            assert!(!same(&net, &other), "{other:?}");
        }
        assert!(same(&net, &with(&|n| n.needs_grad = vec![false, false])));
        assert!(same(&net, &with(&|n| n.sizes.push(9))));
        assert_ne!(Form::of(&net, &[1]).unwrap().bytes, Form::of(&net, &[]).unwrap().bytes);
        assert!(Form::of(&with(&|n| n.inputs[0].push(9)), &[]).is_none());
        // One cycle of six, two of three: every tensor has the same neighbours.
        let two = uniform(
            [0, 1, 2].iter().flat_map(|&k| [vec![k, (k + 1) % 3], vec![3 + k, 3 + (k + 1) % 3]]).collect(),
            vec![],
        );
        assert!(!same(&chain(6, true), &two));
    }

    #[test]
    fn large_networks_take_no_time() {
        for net in
            [chain(20_000, false), chain(20_000, true), star(20_000), lattice(141, true), cubic(20_000, 1)]
        {
            let began = std::time::Instant::now();
            let form = Form::of(&net, &[]).unwrap();
            println!("{} tensors: {:?}", net.inputs.len(), began.elapsed());
            // An order of magnitude above what it takes, where tests run beside others and are not optimised.
            assert!(began.elapsed().as_secs_f64() < 3.0 && form.tensors.len() == net.inputs.len());
        }
        for (net, seed) in
            [(chain(3000, true), 1), (star(3000), 2), (lattice(40, true), 3), (cubic(3000, 1), 4)]
        {
            assert!(same(&net, &permuted(&net, seed)), "{seed}");
        }
    }

    proptest! {
        #[test]
        fn a_permuted_network_has_the_same_form_and_the_same_trees(
            lists in prop::collection::vec(prop::collection::vec(0u32..12, 0..5), 1..14),
            sizes in prop::collection::vec(1u64..40, 12),
            flags in any::<u16>(),
            seed in any::<u64>(),
        ) {
            let mut output: Vec<u32> = lists.iter().flatten().copied().filter(|i| flags >> i & 1 == 1).collect();
            output.sort_unstable();
            output.dedup();
            let needs_grad = (0..lists.len()).map(|k| flags >> (k % 16) & 2 == 2).collect();
            let net = Network { inputs: lists, output, sizes, needs_grad };
            let other = permuted(&net, seed);
            let (a, b) = (Form::of(&net, &[]).unwrap(), Form::of(&other, &[]).unwrap());
            prop_assert_eq!(&a.bytes, &b.bytes);
            let sliced = net.inputs.iter().flatten().copied().take(1).collect();
            let tree = Tree { sliced, ..naive(&net) };
            prop_assert_eq!(&a.tree_from(&a.tree_into(&tree)), &tree);
            let moved = b.tree_from(&a.tree_into(&tree));
            prop_assert!(moved.check(&other).is_ok());
            let (x, y) = (evaluate(&net, &tree), evaluate(&other, &moved));
            let close = |a: f64, b: f64| a == b || (a - b).abs() < 1e-9;
            prop_assert!(close(x.log10_macs, y.log10_macs) && close(x.log2_peak, y.log2_peak));
            prop_assert!(close(x.log2_max_size, y.log2_max_size));
        }
    }
}

//! Linear orders by recursive bisection: the hypergraph of tensors and legs is cut in two, each half again, and so on.
//!
//! A cut is found on ever coarser graphs and improved on the way back, by moves of single tensors (Fiduccia and Mattheyses, DAC 1982), as in
//! hMETIS (Karypis and others, IEEE Trans. VLSI Syst. 7, 69 (1999)). The legs that lead out of a part pull towards the side on which they leave it
//! (terminal propagation, Dunlop and Kernighan 1985), so the halves come in an order and the boundary between any two neighbours is small.

use crate::model::Model;
use crate::rng::Rng;
use std::collections::{BinaryHeap, HashMap};

/// Legs on more tensors tell nothing about who is near whom.
const WIDE: usize = 256;
/// Coarsening ends here.
const COARSE: usize = 40;
/// Starts at the coarsest level.
const STARTS: usize = 6;
/// Passes of moves at a level.
const PASSES: usize = 5;

/// Lists of numbers, one after the other.
#[derive(Default)]
struct Lists {
    at: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn new() -> Self {
        Self { at: vec![0], items: Vec::new() }
    }

    fn push(&mut self, list: &[u32]) {
        self.items.extend_from_slice(list);
        self.at.push(self.items.len() as u32);
    }

    fn len(&self) -> usize {
        self.at.len() - 1
    }

    fn of(&self, k: usize) -> &[u32] {
        &self.items[self.at[k] as usize..self.at[k + 1] as usize]
    }

    /// For every item below `count`, the lists that it is on.
    fn transposed(&self, count: usize) -> Lists {
        let mut at = vec![0u32; count + 1];
        for &x in &self.items {
            at[x as usize + 1] += 1;
        }
        for k in 0..count {
            at[k + 1] += at[k];
        }
        let mut fill = at.clone();
        let mut items = vec![0; self.items.len()];
        for k in 0..self.len() {
            for &x in self.of(k) {
                items[fill[x as usize] as usize] = k as u32;
                fill[x as usize] += 1;
            }
        }
        Lists { at, items }
    }
}

/// A hypergraph to be cut: vertices are tensors or groups of them, nets are legs.
struct Graph {
    pins: Lists,
    nets: Lists,
    weight: Vec<f32>,
    /// Whether the net has pins outside, before and behind the part.
    anchor: Vec<[bool; 2]>,
    /// How many tensors a vertex stands for.
    mass: Vec<u32>,
}

impl Graph {
    fn new(pins: Lists, weight: Vec<f32>, anchor: Vec<[bool; 2]>, mass: Vec<u32>) -> Self {
        let nets = pins.transposed(mass.len());
        Self { pins, nets, weight, anchor, mass }
    }

    fn n(&self) -> usize {
        self.mass.len()
    }

    /// Pairs of vertices that share much become one. Returns the smaller graph and where each vertex went; none if there is little to gain.
    fn coarser(&self, rng: &mut Rng) -> Option<(Graph, Vec<u32>)> {
        let n = self.n();
        let total: u32 = self.mass.iter().sum();
        let cap = (total / COARSE as u32 * 2).max(2);
        let mut order: Vec<u32> = (0..n as u32).collect();
        for k in (1..n).rev() {
            order.swap(k, rng.below(k + 1));
        }
        let mut to = vec![u32::MAX; n];
        let mut score = vec![0.0f32; n];
        let mut near: Vec<u32> = Vec::new();
        let mut mass = Vec::with_capacity(n / 2);
        for &v in &order {
            let v = v as usize;
            if to[v] != u32::MAX {
                continue;
            }
            for &e in self.nets.of(v) {
                let pins = self.pins.of(e as usize);
                for &u in pins {
                    let u = u as usize;
                    if u != v && to[u] == u32::MAX && self.mass[u] + self.mass[v] <= cap {
                        if score[u] == 0.0 {
                            near.push(u as u32);
                        }
                        score[u] += self.weight[e as usize] / (pins.len() - 1) as f32;
                    }
                }
            }
            let id = mass.len() as u32;
            to[v] = id;
            let mut weight = self.mass[v];
            let rate = |u: u32| score[u as usize] / self.mass[u as usize] as f32;
            if let Some(&u) = near.iter().max_by(|&&x, &&y| rate(x).total_cmp(&rate(y)).then(y.cmp(&x))) {
                to[u as usize] = id;
                weight += self.mass[u as usize];
            }
            mass.push(weight);
            for u in near.drain(..) {
                score[u as usize] = 0.0;
            }
        }
        if mass.len() * 10 > n * 9 {
            return None;
        }
        let mut known: HashMap<(Vec<u32>, [bool; 2]), u32> = HashMap::new();
        let (mut pins, mut weight, mut anchor) = (Lists::new(), Vec::new(), Vec::new());
        for e in 0..self.pins.len() {
            let mut list: Vec<u32> = self.pins.of(e).iter().map(|&v| to[v as usize]).collect();
            list.sort_unstable();
            list.dedup();
            if list.len() < 2 && self.anchor[e] == [false; 2] {
                continue;
            }
            match known.get(&(list.clone(), self.anchor[e])) {
                Some(&k) => weight[k as usize] += self.weight[e],
                None => {
                    pins.push(&list);
                    weight.push(self.weight[e]);
                    anchor.push(self.anchor[e]);
                    known.insert((list, self.anchor[e]), weight.len() as u32 - 1);
                }
            }
        }
        Some((Graph::new(pins, weight, anchor, mass), to))
    }

    /// How many pins of every net are on either side; an anchor is a pin.
    fn counts(&self, side: &[bool]) -> Vec<[u32; 2]> {
        let count = |e: usize| {
            let mut c = self.anchor[e].map(u32::from);
            for &v in self.pins.of(e) {
                c[usize::from(side[v as usize])] += 1;
            }
            c
        };
        (0..self.pins.len()).map(count).collect()
    }

    fn cut(&self, side: &[bool]) -> f32 {
        let counts = self.counts(side);
        counts.iter().zip(&self.weight).filter(|(c, _)| c[0] > 0 && c[1] > 0).map(|(_, w)| w).sum()
    }

    /// Improves a cut by moves of single vertices, each at most once a pass; `bounds` are the least and the most mass of the second side.
    fn improve(&self, side: &mut [bool], bounds: (u32, u32), rng: &mut Rng) {
        let n = self.n();
        let patience = 40 + n / 8;
        let mut heavy: u32 = (0..n).filter(|&v| side[v]).map(|v| self.mass[v]).sum();
        for _ in 0..PASSES {
            let mut counts = self.counts(side);
            let mut gain: Vec<f32> = (0..n).map(|v| self.gain(v, side, &counts)).collect();
            // moves of equal gain in a random order
            let key =
                |v: usize, gain: f32, rng: &mut Rng| ((gain * 1024.0) as i64, rng.next() as u32, v as u32);
            let mut heap: BinaryHeap<(i64, u32, u32)> = (0..n).map(|v| key(v, gain[v], rng)).collect();
            let mut locked = vec![false; n];
            let mut moves: Vec<u32> = Vec::new();
            let (mut sum, mut best, mut keep) = (0.0f32, 1e-4f32, 0);
            while let Some((g, _, v)) = heap.pop() {
                let v = v as usize;
                if locked[v] || g != (gain[v] * 1024.0) as i64 {
                    continue;
                }
                let after = if side[v] { heavy - self.mass[v] } else { heavy + self.mass[v] };
                if after < bounds.0 || after > bounds.1 {
                    // towards the bounds is always allowed
                    let off = |h: u32| bounds.0.saturating_sub(h).max(h.saturating_sub(bounds.1));
                    if off(after) >= off(heavy) {
                        continue;
                    }
                }
                locked[v] = true;
                heavy = after;
                sum += gain[v];
                let (from, to) = (usize::from(side[v]), usize::from(!side[v]));
                side[v] = !side[v];
                moves.push(v as u32);
                for &e in self.nets.of(v) {
                    let e = e as usize;
                    counts[e][from] -= 1;
                    counts[e][to] += 1;
                    if counts[e][from] > 1 && counts[e][to] > 2 {
                        continue;
                    }
                    for &u in self.pins.of(e) {
                        let u = u as usize;
                        if !locked[u] {
                            let g = self.gain(u, side, &counts);
                            if g != gain[u] {
                                gain[u] = g;
                                heap.push(key(u, g, rng));
                            }
                        }
                    }
                }
                if sum > best {
                    (best, keep) = (sum, moves.len());
                }
                if moves.len() > keep + patience {
                    break;
                }
            }
            for &v in &moves[keep..] {
                let v = v as usize;
                heavy = if side[v] { heavy - self.mass[v] } else { heavy + self.mass[v] };
                side[v] = !side[v];
            }
            if keep == 0 {
                break;
            }
        }
    }

    /// By how much the cut shrinks if a vertex changes sides.
    fn gain(&self, v: usize, side: &[bool], counts: &[[u32; 2]]) -> f32 {
        let (from, to) = (usize::from(side[v]), usize::from(!side[v]));
        let one = |&e: &u32| {
            let c = counts[e as usize];
            match (c[from] == 1, c[to] == 0) {
                (true, false) => self.weight[e as usize],
                (false, true) => -self.weight[e as usize],
                _ => 0.0,
            }
        };
        self.nets.of(v).iter().map(one).sum()
    }

    /// A cut of a small graph: a half grown from a random vertex, or turned round where the anchors want that.
    fn grown(&self, rng: &mut Rng) -> Vec<bool> {
        let n = self.n();
        let total: u32 = self.mass.iter().sum();
        let mut side = vec![false; n];
        let (mut mass, mut queue, mut seen) = (0, vec![rng.below(n) as u32], vec![false; n]);
        let mut next = 0;
        while 2 * mass < total {
            let v = match queue.get(next) {
                Some(&v) => v as usize,
                None => match (0..n).find(|&v| !seen[v]) {
                    Some(v) => v,
                    None => break,
                },
            };
            next += usize::from(next < queue.len());
            if std::mem::replace(&mut side[v], true) {
                continue;
            }
            seen[v] = true;
            mass += self.mass[v];
            for &e in self.nets.of(v) {
                for &u in self.pins.of(e as usize) {
                    if !std::mem::replace(&mut seen[u as usize], true) {
                        queue.push(u);
                    }
                }
            }
        }
        let turned: Vec<bool> = side.iter().map(|s| !s).collect();
        if self.cut(&turned) < self.cut(&side) { turned } else { side }
    }

    /// Cuts the graph in two; `slack` is how far (as a part of all) the cut may be from the middle.
    fn bisect(self, slack: f64, rng: &mut Rng) -> Vec<bool> {
        let total: u32 = self.mass.iter().sum();
        let room = (f64::from(total) * slack) as u32;
        let bounds = ((total / 2).saturating_sub(room).max(1), (total.div_ceil(2) + room).min(total - 1));
        let mut levels: Vec<(Graph, Vec<u32>)> = Vec::new();
        let mut graph = self;
        while graph.n() > COARSE {
            let Some((coarse, to)) = graph.coarser(rng) else { break };
            levels.push((graph, to));
            graph = coarse;
        }
        let mut best: Option<(bool, f32, Vec<bool>)> = None;
        for _ in 0..if graph.n() > 4 { STARTS } else { 1 } {
            let mut side = graph.grown(rng);
            graph.improve(&mut side, bounds, rng);
            let mass: u32 = (0..graph.n()).filter(|&v| side[v]).map(|v| graph.mass[v]).sum();
            let (off, cut) = (mass < bounds.0 || mass > bounds.1, graph.cut(&side));
            if best.as_ref().is_none_or(|b| (off, cut) < (b.0, b.1)) {
                best = Some((off, cut, side));
            }
        }
        let mut side = best.map_or_else(Vec::new, |b| b.2);
        while let Some((finer, to)) = levels.pop() {
            side = to.iter().map(|&v| side[v as usize]).collect();
            finer.improve(&mut side, bounds, rng);
        }
        side
    }
}

/// An order of the terms by recursive bisection; `slack` is how unequal the halves may be, as a part of both.
pub(crate) fn dissect(model: &Model, slack: f64, rng: &mut Rng) -> Vec<u32> {
    let n = model.n();
    let mut holders: Vec<Vec<u32>> = vec![Vec::new(); model.lg.len()];
    for (k, t) in model.legs.iter().enumerate() {
        for &i in t {
            holders[i as usize].push(k as u32);
        }
    }
    let out = model.is_out();
    let counts = |i: u32| !out[i as usize] && (2..=WIDE).contains(&holders[i as usize].len());
    let mut order: Vec<u32> = (0..n as u32).collect();
    // where the part of a term begins; parts are runs of the order
    let mut part = vec![0u32; n];
    let mut place = vec![0u32; n];
    let mut stamp = vec![u32::MAX; model.lg.len()];
    let mut stack = vec![(0usize, n)];
    let mut turn = 0;
    while let Some((from, to)) = stack.pop() {
        if to - from < 2 {
            continue;
        }
        for (k, &v) in order[from..to].iter().enumerate() {
            place[v as usize] = k as u32;
        }
        let (mut pins, mut weight, mut anchor) = (Lists::new(), Vec::new(), Vec::new());
        let mut list = Vec::new();
        for &v in &order[from..to] {
            for &i in &model.legs[v as usize] {
                if std::mem::replace(&mut stamp[i as usize], turn) == turn || !counts(i) {
                    continue;
                }
                list.clear();
                let mut outside = [false; 2];
                for &u in &holders[i as usize] {
                    let at = part[u as usize] as usize;
                    if at == from {
                        list.push(place[u as usize]);
                    } else {
                        outside[usize::from(at > from)] = true;
                    }
                }
                // a leg that leaves on both sides is cut anyway
                if outside != [true; 2] && (list.len() > 1 || outside != [false; 2]) {
                    pins.push(&list);
                    weight.push(model.lg[i as usize] as f32);
                    anchor.push(outside);
                }
            }
        }
        turn += 1;
        let graph = Graph::new(pins, weight, anchor, vec![1; to - from]);
        let side = graph.bisect(slack, rng);
        let run: Vec<u32> = order[from..to].to_vec();
        let half = |which: bool| run.iter().zip(&side).filter(move |(_, s)| **s == which).map(|(&v, _)| v);
        let sorted: Vec<u32> = half(false).chain(half(true)).collect();
        let middle = from + half(false).count();
        order[from..to].copy_from_slice(&sorted);
        for &v in &order[middle..to] {
            part[v as usize] = middle as u32;
        }
        if middle > from && middle < to {
            stack.extend([(middle, to), (from, middle)]);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::sweep::chain_cost;

    fn shuffled(n: usize, rng: &mut Rng) -> Vec<usize> {
        let mut names: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            names.swap(k, rng.below(k + 1));
        }
        names
    }

    /// A lattice whose sites are numbered at random, and its order row by row.
    fn lattice(rows: usize, cols: usize, rng: &mut Rng) -> (Model, Vec<u32>) {
        let name = shuffled(rows * cols, rng);
        let mut net = Network { inputs: vec![Vec::new(); rows * cols], ..Default::default() };
        for v in 0..rows * cols {
            let right = (v % cols + 1 < cols).then_some(v + 1);
            let below = (v + cols < rows * cols).then_some(v + cols);
            for u in [right, below].into_iter().flatten() {
                let i = net.sizes.len() as u32;
                net.inputs[name[v]].push(i);
                net.inputs[name[u]].push(i);
                net.sizes.push(2);
            }
        }
        (Model::new(&net), name.iter().map(|&x| x as u32).collect())
    }

    #[test]
    fn a_shuffled_lattice_is_swept() {
        let mut rng = Rng::new(3, 1);
        for (rows, cols) in [(40, 6), (16, 16)] {
            let (m, rows) = lattice(rows, cols, &mut rng);
            let best =
                (0..8).map(|_| chain_cost(&m, &dissect(&m, 0.2, &mut rng))).fold(f64::INFINITY, f64::min);
            // four legs more than the best front
            assert!(best <= chain_cost(&m, &rows) + 4.0, "{best} {}", chain_cost(&m, &rows));
        }
    }

    #[test]
    fn every_network_has_an_order_with_every_term_once() {
        let mut rng = Rng::new(5, 2);
        for n in 1..60 {
            // hyperedges, parts without a connection, terms without a leg
            let legs = rng.below(2 * n) as u32;
            let mut net =
                Network { inputs: vec![Vec::new(); n], sizes: vec![2; legs as usize], ..Default::default() };
            for i in 0..legs {
                for _ in 0..=rng.below(5) {
                    net.inputs[rng.below(n)].push(i);
                }
            }
            let mut order = dissect(&Model::new(&net), 0.1, &mut rng);
            order.sort_unstable();
            assert_eq!(order, (0..n as u32).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn a_bridge_is_where_two_cliques_are_cut() {
        let mut rng = Rng::new(1, 0);
        let name = shuffled(20, &mut rng);
        let mut net = Network { inputs: vec![Vec::new(); 20], ..Default::default() };
        let cliques = (0..20).flat_map(|a| (0..a).map(move |b| (a, b))).filter(|(a, b)| a / 10 == b / 10);
        for (a, b) in cliques.chain([(3, 14)]) {
            let i = net.sizes.len() as u32;
            net.inputs[name[a]].push(i);
            net.inputs[name[b]].push(i);
            net.sizes.push(2);
        }
        let order = dissect(&Model::new(&net), 0.1, &mut rng);
        let clique = |x: &u32| name.iter().position(|&k| k == *x as usize).map(|v| v / 10);
        assert!(order[..10].iter().all(|x| clique(x) == clique(&order[0])), "{order:?}");
    }
}

//! Replaces pairs that occur more than once, kind by kind, until none is left: Re-Pair (Larsson and Moffat, Proc. DCC 1999, 296) on networks
//! in place of texts.

use super::matching::Matcher;
use super::table::Table;
use crate::objective::log2_add;
use crate::{Minimize, Network};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Between more holders of one index than these only neighbours in its list are looked at.
const NARROW: usize = 6;
/// Holders that may be looked at for each leg of the networks, all in all: keeps networks of long hyperedges near-linear.
const WORK_PER_LEG: usize = 256;

/// Results with more axes are not made: they are far from cheap, and looking at them would take long.
const MOST_AXES: usize = 48;

/// Which kind is replaced first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taste {
    /// Pairs of which one hangs on the other alone: trees and combs are taken in from their ends.
    Ends,
    /// Small results.
    Small,
    /// What occurs most, as long as results do not grow.
    Often,
}

/// What is compared between kinds: smaller is better.
type Rank = (bool, i64, i64);

struct Kind {
    pairs: Vec<(u32, u32)>,
    growth: i64,
    hanging: bool,
    /// The best rank under which it waits.
    waits: Option<Rank>,
}

impl Kind {
    fn rank(&self, taste: Taste) -> Rank {
        let often = -i64::from(self.pairs.len().ilog2());
        match taste {
            Taste::Ends => (!self.hanging, self.growth, often),
            Taste::Small => (false, self.growth, often),
            Taste::Often => (self.growth > 0, often, self.growth),
        }
    }
}

/// A moment of the replacement: after so many steps, with so many tensors left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub steps: usize,
    pub left: usize,
    /// log2 of what the different contractions so far cost, and how many they are.
    pub cost: f64,
    pub different: usize,
}

/// Repeated pairs of networks side by side, replaced.
pub(crate) struct Replaced {
    pub table: Table,
    /// The steps; tensor ids count on from the inputs of all networks.
    pub steps: Vec<(u32, u32)>,
    /// Where to stop: each has at most half the tensors of the one before; the last is the end.
    pub moments: Vec<Moment>,
}

struct Replacing {
    table: Table,
    kind: Minimize,
    taste: Taste,
    limits: Limits,
    /// Whether every index is on two tensors at most, the result among them: then a pair stays of its kind.
    plain: bool,
    /// The network of every tensor.
    part: Vec<u32>,
    /// The tensor that a used tensor is in; itself while it is there.
    into: Vec<u32>,
    /// The tensors that carry an index; after the indices, the tensors without any index of each network.
    holders: Vec<Vec<u32>>,
    kinds: Vec<Kind>,
    kind_of: HashMap<Box<[u32]>, u32>,
    queue: BinaryHeap<Reverse<(Rank, u32)>>,
    matcher: Matcher,
    steps: Vec<(u32, u32)>,
    moments: Vec<Moment>,
    cost: f64,
    different: usize,
    work: usize,
    key: Vec<u32>,
    spare: Vec<u32>,
}

/// Where a replacement ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// log2 of the largest result allowed.
    pub size: Option<f64>,
    /// log2 of what the different contractions may cost: there are cheaper trees.
    pub cost: Option<f64>,
}

/// Contracts all repeated pairs of `nets`, whose inputs are equal where their `colours` are.
pub(crate) fn replace(
    nets: &[&Network],
    colours: &[Vec<u32>],
    kind: Minimize,
    taste: Taste,
    limits: Limits,
) -> Replaced {
    let table = Table::new(nets, colours);
    let n = table.labels.len();
    let part: Vec<u32> =
        nets.iter().enumerate().flat_map(|(k, net)| net.inputs.iter().map(move |_| k as u32)).collect();
    let mut holders: Vec<Vec<u32>> = vec![Vec::new(); table.indices() + nets.len()];
    for (t, labels) in table.labels.iter().enumerate() {
        for &l in labels {
            if holders[l as usize].last() != Some(&(t as u32)) {
                holders[l as usize].push(t as u32);
            }
        }
        if labels.is_empty() {
            holders[table.indices() + part[t] as usize].push(t as u32);
        }
    }
    let plain = (0..table.indices() as u32).all(|i| table.holders(i) + u32::from(table.is_open(i)) <= 2);
    let legs: usize = table.labels.iter().map(|l| l.len() + 1).sum();
    let mut r = Replacing {
        table,
        kind,
        taste,
        limits,
        plain,
        part,
        into: (0..n as u32).collect(),
        holders,
        kinds: Vec::new(),
        kind_of: HashMap::new(),
        queue: BinaryHeap::new(),
        matcher: Matcher::default(),
        steps: Vec::new(),
        moments: Vec::new(),
        cost: f64::NEG_INFINITY,
        different: 0,
        work: legs.saturating_mul(WORK_PER_LEG),
        key: Vec::new(),
        spare: Vec::new(),
    };
    r.run(n);
    Replaced { table: r.table, steps: r.steps, moments: r.moments }
}

impl Replacing {
    fn run(&mut self, n: usize) {
        let all: Vec<u32> = (0..self.holders.len() as u32).collect();
        self.note(&all, 0);
        while let Some(Reverse((rank, k))) = self.queue.pop() {
            let kind = &mut self.kinds[k as usize];
            if kind.waits != Some(rank) {
                continue;
            }
            kind.waits = None;
            if kind.pairs.len() < 2 {
                continue;
            }
            if kind.rank(self.taste) > rank {
                self.enqueue(k);
                continue;
            }
            if self.work == 0 || self.limits.cost.is_some_and(|c| self.cost > c) {
                break;
            }
            let left = n - self.steps.len();
            if self.moments.last().is_none_or(|m| left <= m.left / 2) {
                self.moment(left);
            }
            self.replace(k);
        }
        self.moment(n - self.steps.len());
        // the networks as they were are no result
        self.moments.retain(|m| m.steps > 0);
    }

    fn moment(&mut self, left: usize) {
        let (steps, cost, different) = (self.steps.len(), self.cost, self.different);
        if self.moments.last().is_none_or(|m| m.steps < steps) {
            self.moments.push(Moment { steps, left, cost, different });
        }
    }

    fn enqueue(&mut self, k: u32) {
        let kind = &mut self.kinds[k as usize];
        if kind.pairs.len() < 2 {
            return;
        }
        let rank = kind.rank(self.taste);
        if kind.waits.is_none_or(|w| rank < w) {
            kind.waits = Some(rank);
            self.queue.push(Reverse((rank, k)));
        }
    }

    /// Contracts a largest set of disjoint pairs of a kind, if there are two.
    fn replace(&mut self, k: u32) {
        let mut pairs = std::mem::take(&mut self.kinds[k as usize].pairs);
        pairs.sort_unstable();
        pairs.dedup();
        pairs.retain(|&(a, b)| self.into[a as usize] == a && self.into[b as usize] == b);
        if !self.plain {
            pairs.retain(|&(a, b)| self.kind(a, b) == k);
        }
        let chosen = self.matcher.choose(&pairs, self.into.len());
        if chosen.len() < 2 {
            self.kinds[k as usize].pairs = pairs;
            return;
        }
        let new = self.into.len() as u32;
        let mut touched = Vec::new();
        for e in chosen {
            let (a, b) = pairs[e as usize];
            let (a, b) = self.table.oriented(a, b, &mut self.key, &mut self.spare);
            let step = self.table.step(a, b);
            if self.table.contract(a, b, &self.key) {
                self.cost = log2_add(self.cost, step.cost(self.kind));
                self.different += 1;
            }
            let z = self.into.len() as u32;
            let part = self.part[a as usize];
            self.into[a as usize] = z;
            self.into[b as usize] = z;
            self.into.push(z);
            self.part.push(part);
            self.steps.push((a, b));
            // what neither keeps has no holders any more
            let before = self.table.labels[a as usize].iter().chain(&self.table.labels[b as usize]);
            touched.extend(before);
            if self.table.labels[z as usize].is_empty() {
                let place = self.table.indices() + part as usize;
                self.holders[place].push(z);
                touched.push(place as u32);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        self.note(&touched, new);
    }

    /// The kind of a pair.
    fn kind(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = self.table.oriented(a, b, &mut self.key, &mut self.spare);
        let hanging = self.taste == Taste::Ends && (self.table.hangs_on(a, b) || self.table.hangs_on(b, a));
        // the kind is a matter of the value, and of the place only as far as the taste asks for it
        self.key.push(u32::from(hanging));
        let found = self.kind_of.get(self.key.as_slice()).copied();
        let k = found.unwrap_or_else(|| {
            let k = self.kinds.len() as u32;
            let growth = (self.table.step(a, b).growth() * 1024.0).round() as i64;
            self.kinds.push(Kind { pairs: Vec::new(), growth, hanging, waits: None });
            self.kind_of.insert(self.key.as_slice().into(), k);
            k
        });
        self.key.pop();
        k
    }

    /// Brings the holders of indices up to date and notes the pairs among them of which one is at least `new`.
    fn note(&mut self, indices: &[u32], new: u32) {
        let mut pairs: Vec<u64> = Vec::new();
        for &i in indices {
            let mut list = std::mem::take(&mut self.holders[i as usize]);
            let before = list.len();
            self.work = self.work.saturating_sub(before);
            self.settle(i, &mut list);
            // where a third holder goes, the index no longer lives on
            let fewer = before > 2 && list.len() == 2;
            let mut pair = |x: u32, y: u32| {
                if x >= new || y >= new || fewer {
                    pairs.push(u64::from(x.min(y)) << 32 | u64::from(x.max(y)));
                }
            };
            if list.len() <= NARROW {
                for (k, &x) in list.iter().enumerate() {
                    list[k + 1..].iter().for_each(|&y| pair(x, y));
                }
            } else {
                list.windows(2).for_each(|w| pair(w[0], w[1]));
            }
            self.holders[i as usize] = list;
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut more: Vec<u32> = Vec::new();
        for pair in pairs {
            let (a, b) = ((pair >> 32) as u32, pair as u32);
            let k = self.kind(a, b);
            if self.table.axes() > MOST_AXES
                || self.limits.size.is_some_and(|most| self.table.step(a, b).out > most)
            {
                continue;
            }
            self.kinds[k as usize].pairs.push((a, b));
            more.push(k);
        }
        more.sort_unstable();
        more.dedup();
        more.into_iter().for_each(|k| self.enqueue(k));
    }

    /// Names the tensors of a list by what they are in now, each once, and drops those that do not carry the index any more.
    fn settle(&mut self, index: u32, list: &mut Vec<u32>) {
        let scalars = index as usize >= self.table.indices();
        for t in list.iter_mut() {
            while self.into[*t as usize] != *t {
                let up = self.into[*t as usize];
                self.into[*t as usize] = self.into[up as usize];
                *t = up;
            }
        }
        if list.len() <= NARROW {
            for k in (0..list.len()).rev() {
                if list[..k].contains(&list[k]) {
                    list.remove(k);
                }
            }
        } else {
            let mut seen = std::collections::HashSet::with_capacity(list.len());
            list.retain(|&t| seen.insert(t));
        }
        match scalars {
            true => list.retain(|&t| self.table.labels[t as usize].is_empty()),
            false => list.retain(|&t| self.table.labels[t as usize].contains(&index)),
        }
    }
}

impl Replaced {
    /// The path of each network up to a moment, the rests that are left, and the tensors that their inputs are.
    pub fn rests(&self, nets: &[&Network], moment: Moment) -> Vec<Rest> {
        let mut first = Vec::with_capacity(nets.len());
        let mut total = 0u32;
        for net in nets {
            first.push(total);
            total += net.inputs.len() as u32;
        }
        let part = |t: u32| first.partition_point(|&f| f <= t) - 1;
        let mut rests: Vec<Rest> = nets.iter().map(|_| Rest::default()).collect();
        // the number that each tensor has within its network
        let mut own: Vec<(u32, u32)> = Vec::with_capacity(total as usize + moment.steps);
        for t in 0..total {
            // networks without inputs share their first id with the next one: the last of them has the tensor
            let p = part(t);
            own.push((p as u32, t - first[p]));
        }
        let mut live = vec![true; total as usize + moment.steps];
        for &(a, b) in &self.steps[..moment.steps] {
            let ((p, x), (_, y)) = (own[a as usize], own[b as usize]);
            let rest = &mut rests[p as usize];
            own.push((p, (nets[p as usize].inputs.len() + rest.path.len()) as u32));
            rest.path.push((x, y));
            live[a as usize] = false;
            live[b as usize] = false;
        }
        for (t, &(p, x)) in own.iter().enumerate().filter(|(t, _)| live[*t]) {
            rests[p as usize].tensors.push(x);
            rests[p as usize].ids.push(t as u32);
        }
        rests
    }

    /// The network that is left of one after its repeats were replaced, with the values of its tensors as colours.
    pub fn network(&self, net: &Network, offset: u32, rest: &Rest) -> (Network, Vec<u32>) {
        // only the indices that are left
        let mut number: HashMap<u32, u32> = HashMap::new();
        let mut sizes = Vec::new();
        let mut name = |i: u32| {
            *number.entry(i).or_insert_with(|| {
                sizes.push(net.sizes[i as usize]);
                sizes.len() as u32 - 1
            })
        };
        let inputs = rest
            .ids
            .iter()
            .map(|&t| self.table.labels[t as usize].iter().map(|&l| name(l - offset)).collect::<Vec<u32>>());
        let inputs: Vec<Vec<u32>> = inputs.collect();
        let output = net.output.iter().map(|&i| name(i)).collect();
        let needs_grad = match net.needs_grad.is_empty() {
            true => Vec::new(),
            false => rest.ids.iter().map(|&t| self.table.needs_grad(t)).collect(),
        };
        let colours = rest.ids.iter().map(|&t| self.table.value[t as usize]).collect();
        (Network { inputs, output, sizes, needs_grad }, colours)
    }
}

/// What is left of a network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rest {
    /// The steps that were done, in SSA form.
    pub path: Vec<(u32, u32)>,
    /// The SSA numbers of the tensors that are left.
    pub tensors: Vec<u32>,
    /// The same in the numbering of all networks side by side.
    ids: Vec<u32>,
}

//! Equal parts of networks: what trees cost if equal contractions are done once, and trees that have many of them.
//!
//! Two contractions are equal if their operands are and if they meet in the same way (`table.rs`). Trees found for the sum over all steps
//! share by chance; [`Repeats`] looks for pairs that occur again and again, in one network or in several, and contracts all occurrences of a kind in the
//! same way (`replace.rs`). A ring of `n` equal tensors is halved by every kind, so it has about `2·log2(n)` different contractions.
//! Larger blocks are dearer to contract and fewer to combine; so the replacement may stop early, where the rest, contracted like any network, makes
//! the whole the cheapest.

mod matching;
mod replace;
mod table;
#[cfg(test)]
mod tests;

use crate::greedy::{Taste as GreedyTaste, greedy};
use crate::model::Model;
use crate::objective::{grad_times, log2_add, step_log2};
use crate::rng::Rng;
use crate::simplify::simplify;
use crate::{Minimize, Network, Options, Tree, evaluate};
use replace::{Limits, Moment, Replaced, Rest, Taste, replace};
use std::collections::HashMap;
use table::Table;

/// The replacement stops early only where no more tensors than these are left; that is past where larger blocks stop to pay. Blocks of an open chain with
/// a large bond stop to pay at two sites, so this bounds the chains whose sweep is a run of equal steps.
const MOST_LEFT: usize = 32_768;
/// Of networks with more inputs in all, one order of replacement is tried.
const MANY: usize = 200_000;

/// What trees cost together if equal contractions are done once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// The number of different contractions.
    pub contractions: usize,
    /// log2 of what they add up to under the objective (multiply-adds where that is a maximum), gradients included.
    pub log2_cost: f64,
}

/// A step of one of several trees, in the numbering of a [`Table`] of all their networks.
struct Placed {
    net: usize,
    a: u32,
    b: u32,
}

/// The steps of all trees, those of each network after those of the one before.
fn placed(nets: &[&Network], trees: &[&Tree]) -> Vec<Placed> {
    let mut out = Vec::new();
    let mut first = 0u32;
    let mut next: u32 = nets.iter().map(|n| n.inputs.len() as u32).sum();
    for (net, (network, tree)) in nets.iter().zip(trees).enumerate() {
        let n = network.inputs.len() as u32;
        let id = |x: u32| if x < n { first + x } else { next + x - n };
        out.extend(tree.ssa_path.iter().map(|&(a, b)| Placed { net, a: id(a), b: id(b) }));
        first += n;
        next += tree.ssa_path.len() as u32;
    }
    out
}

/// What `trees` of `nets` cost together if equal contractions are done once. Inputs with equal `colours`, one an input, are equal
/// tensors. Contractions of a tree with slices are counted one by one. The trees must be valid ([`Tree::check`]).
pub fn shared(nets: &[&Network], colours: &[Vec<u32>], trees: &[&Tree], kind: Minimize) -> Shared {
    let mut table = Table::new(nets, colours);
    let mut rounds = Vec::with_capacity(nets.len());
    let mut offset = 0;
    for (net, tree) in nets.iter().zip(trees) {
        tree.sliced.iter().for_each(|i| table.slice(offset + i));
        rounds.push(tree.sliced.iter().map(|&i| (net.sizes[i as usize] as f64).log2()).sum::<f64>());
        offset += net.sizes.len() as u32;
    }
    let mut total = Shared { contractions: 0, log2_cost: f64::NEG_INFINITY };
    let mut key = Vec::new();
    for Placed { net, a, b } in placed(nets, trees) {
        table.key(a, b, &mut key);
        let step = table.step(a, b);
        let new = table.contract(a, b, &key);
        if new || !trees[net].sliced.is_empty() {
            total.contractions += 1;
            total.log2_cost = log2_add(total.log2_cost, step.cost(kind) + rounds[net]);
        }
    }
    total
}

/// The same trees with the operands of steps exchanged where that makes a step equal to an earlier one; none if there is no such step.
pub fn aligned(nets: &[&Network], colours: &[Vec<u32>], trees: &[&Tree]) -> Option<Vec<Tree>> {
    let mut table = Table::new(nets, colours);
    let mut out: Option<Vec<Tree>> = None;
    let mut done = vec![0usize; nets.len()];
    let (mut key, mut other) = (Vec::new(), Vec::new());
    for Placed { net, a, b } in placed(nets, trees) {
        table.key(b, a, &mut other);
        table.key(a, b, &mut key);
        if !table.is_known(&key) && table.is_known(&other) {
            table.key(b, a, &mut other);
            table.contract(b, a, &other);
            let out = out.get_or_insert_with(|| trees.iter().map(|t| (*t).clone()).collect());
            let step = &mut out[net].ssa_path[done[net]];
            *step = (step.1, step.0);
        } else {
            table.contract(a, b, &key);
        }
        done[net] += 1;
    }
    out
}

/// The same trees with the operand first whose first input comes first, for all steps that are equal as for the first of them: results then have
/// their axes more often in the order in which the inputs have them, and as many steps are equal as before. None if nothing is exchanged.
pub fn in_order(nets: &[&Network], colours: &[Vec<u32>], trees: &[&Tree]) -> Option<Vec<Tree>> {
    let mut table = Table::new(nets, colours);
    let mut first: Vec<u32> = (0..table.value.len() as u32).collect();
    // by the value of a result
    let mut exchanged: HashMap<u32, bool> = HashMap::new();
    let mut out: Vec<Tree> = trees.iter().map(|t| (*t).clone()).collect();
    let mut done = vec![0usize; nets.len()];
    let (mut key, mut any) = (Vec::new(), false);
    for Placed { net, a, b } in placed(nets, trees) {
        table.key(a, b, &mut key);
        table.contract(a, b, &key);
        let result = table.value.len() - 1;
        let (x, y) = (first[a as usize], first[b as usize]);
        first.push(x.min(y));
        if *exchanged.entry(table.value[result]).or_insert(x > y) {
            let step = &mut out[net].ssa_path[done[net]];
            *step = (step.1, step.0);
            any = true;
        }
        done[net] += 1;
    }
    any.then_some(out)
}

/// log2 of what any tree costs at least that does no contraction for two places: it reads every input.
pub fn log2_unshared(nets: &[&Network], kind: Minimize) -> f64 {
    let mut least = f64::NEG_INFINITY;
    for net in nets {
        let mut carriers = vec![0u32; net.sizes.len()];
        for t in net.inputs.iter().chain([&net.output]) {
            different(t).for_each(|i| carriers[i as usize] += 1);
        }
        for (k, t) in net.inputs.iter().enumerate() {
            // axes that one input alone has are summed for nothing
            let shared = different(t).filter(|&i| carriers[i as usize] > 1);
            let size: f64 = shared.map(|i| (net.sizes[i as usize] as f64).log2()).sum();
            // half a step for each input, which takes at least as many multiply-adds as it has entries, and as many again for its gradient
            let times = grad_times(net.grad(k), net.grad(k));
            least = log2_add(least, step_log2(kind, size, size, 0.0, 0.0, times) - 1.0);
        }
    }
    least
}

fn different(labels: &[u32]) -> impl Iterator<Item = u32> {
    labels.iter().enumerate().filter(|(k, i)| !labels[..*k].contains(i)).map(|(_, &i)| i)
}

/// Trees with many equal contractions for networks side by side.
pub struct Repeats<'a> {
    nets: &'a [&'a Network],
    kind: Minimize,
    most: Option<f64>,
    /// What the repeated parts cost.
    repeated: Shared,
    parts: Vec<Part>,
}

/// One network: its repeats replaced, and a tree of the rest.
struct Part {
    rest: Rest,
    net: Network,
    colours: Vec<u32>,
    tree: Tree,
    fits: bool,
}

impl<'a> Repeats<'a> {
    /// Replaces what repeats in `nets`, of whose inputs those with equal `colours` are equal tensors, in several ways, and keeps the cheapest.
    /// Objective, seed and `max_size` of `opts` count; nothing is sliced. None if nothing occurs twice. Every network and its colours must be valid
    /// ([`Network::check`]).
    pub fn find(nets: &'a [&'a Network], colours: &[Vec<u32>], opts: &Options) -> Option<Repeats<'a>> {
        let inputs: usize = nets.iter().map(|n| n.inputs.len()).sum();
        let tastes: &[Taste] = match inputs > MANY {
            true => &[Taste::Ends],
            false => &[Taste::Small, Taste::Ends, Taste::Often],
        };
        let most = opts.max_size.map(|s| (s.max(1) as f64).log2());
        let mut best: Option<((bool, f64), Repeats<'a>)> = None;
        // what a tree costs that anybody finds at once
        let mut known = None;
        for &taste in tastes {
            let cost = best.as_ref().map(|b| b.0).filter(|b| !b.0).map(|b| b.1);
            let cost = cost.into_iter().chain(known).reduce(f64::min);
            let replaced = replace(nets, colours, opts.minimize, taste, Limits { size: most, cost });
            if replaced.moments.is_empty() && taste == Taste::Small {
                return None;
            }
            if known.is_none() && most.is_none() && inputs <= MOST_LEFT {
                let trees: Vec<Tree> = nets.iter().map(|n| quick(n, opts.seed)).collect();
                let trees: Vec<&Tree> = trees.iter().collect();
                known = Some(shared(nets, colours, &trees, opts.minimize).log2_cost);
            }
            let last = replaced.moments.len().saturating_sub(1);
            for (k, &moment) in replaced.moments.iter().enumerate() {
                if k < last && moment.left > MOST_LEFT {
                    continue;
                }
                let found = Repeats::at(nets, &replaced, moment, opts, most);
                let rank = (found.parts.iter().any(|p| !p.fits), found.shared().log2_cost);
                if best.as_ref().is_none_or(|(b, _)| rank < *b) {
                    best = Some((rank, found));
                }
            }
        }
        best.map(|b| b.1)
    }

    fn at(
        nets: &'a [&'a Network],
        replaced: &Replaced,
        moment: Moment,
        opts: &Options,
        most: Option<f64>,
    ) -> Repeats<'a> {
        let mut offset = 0;
        let mut parts = Vec::with_capacity(nets.len());
        for (net, rest) in nets.iter().zip(replaced.rests(nets, moment)) {
            let (left, colours) = replaced.network(net, offset, &rest);
            offset += net.sizes.len() as u32;
            let tree = quick(&left, opts.seed);
            let fits = fits(&left, &tree, most);
            parts.push(Part { rest, net: left, colours, tree, fits });
        }
        let repeated = Shared { contractions: moment.different, log2_cost: moment.cost };
        let mut out = Repeats { nets, kind: opts.minimize, most, repeated, parts };
        let trees: Vec<&Tree> = out.parts.iter().map(|p| &p.tree).collect();
        if let Some(trees) = aligned(&out.rests(), &out.colours(), &trees) {
            out.parts.iter_mut().zip(trees).for_each(|(part, tree)| part.tree = tree);
        }
        out
    }

    fn rests(&self) -> Vec<&Network> {
        self.parts.iter().map(|p| &p.net).collect()
    }

    fn colours(&self) -> Vec<Vec<u32>> {
        self.parts.iter().map(|p| p.colours.clone()).collect()
    }

    /// What the trees cost together.
    pub fn shared(&self) -> Shared {
        let trees: Vec<&Tree> = self.parts.iter().map(|p| &p.tree).collect();
        let rest = shared(&self.rests(), &self.colours(), &trees, self.kind);
        Shared {
            contractions: self.repeated.contractions + rest.contractions,
            log2_cost: log2_add(self.repeated.log2_cost, rest.log2_cost),
        }
    }

    /// What is left of network `k` once its repeats are contracted; none where nothing repeats in it.
    pub fn rest(&self, k: usize) -> Option<&Network> {
        self.parts.get(k).filter(|p| !p.rest.path.is_empty()).map(|p| &p.net)
    }

    /// Contracts the rest of network `k` by another tree, if that makes all trees together cheaper.
    pub fn offer(&mut self, k: usize, tree: Tree) {
        let Some(part) = self.parts.get(k) else { return };
        if !tree.sliced.is_empty() || tree.check(&part.net).is_err() || !fits(&part.net, &tree, self.most) {
            return;
        }
        let (before, fitted) = (self.shared().log2_cost, part.fits);
        let old = std::mem::replace(&mut self.parts[k].tree, tree);
        if fitted && self.shared().log2_cost >= before {
            self.parts[k].tree = old;
        }
        self.parts[k].fits = true;
    }

    /// The tree of network `k`; none where nothing repeats in it, or where a result is larger than allowed.
    pub fn tree(&self, k: usize) -> Option<Tree> {
        let part = self.parts.get(k).filter(|p| p.fits && !p.rest.path.is_empty())?;
        let first = (self.nets[k].inputs.len() + part.rest.path.len()) as u32;
        let left = part.rest.tensors.len() as u32;
        let id = |x: u32| if x < left { part.rest.tensors[x as usize] } else { first + x - left };
        let mut ssa_path = part.rest.path.clone();
        ssa_path.extend(part.tree.ssa_path.iter().map(|&(a, b)| (id(a), id(b))));
        Some(Tree { ssa_path, sliced: Vec::new() })
    }
}

/// A greedy tree.
fn quick(net: &Network, seed: u64) -> Tree {
    let model = Model::new(net);
    let simple = simplify(&model);
    let mut rng = Rng::new(seed, 0);
    let taste = GreedyTaste::draw(&mut rng, 0);
    let core = greedy(&simple.model, taste, &mut rng);
    Tree { ssa_path: simple.lift(&core, model.n()), sliced: Vec::new() }
}

fn fits(net: &Network, tree: &Tree, most: Option<f64>) -> bool {
    most.is_none_or(|most| evaluate(net, tree).log2_max_size <= most + 1e-9)
}

//! Work that is done once for several places: trees that repeat, beside those that the search finds.
//!
//! Equal contractions are one node of the dag, whichever region they stand in, but the search adds up all steps of one region at a time. So where values
//! are read more than once, the regions get a second tree each (`tn_order::Repeats`), made for all of them together. Which trees are taken
//! is decided by what is lowered: both dags are scheduled, and the better plan under the objective is kept.

use crate::compile::{Fastest, Found, Planning, endless, is_storable};
use crate::error::Error;
use crate::options::Options;
use crate::search::{MEMORY_SHARE, Searcher};
use crate::stages::{self, Built};
use std::collections::{BTreeMap, HashMap};
use tn_order::{
    Minimize, Network, Outcome, Repeats, Shared, Tree, aligned, evaluate, in_order, log2_unshared, shared,
};
use tn_plan::cost::peak_bytes_at_max;
use tn_plan::ir::{EntryKind, Plan};

/// What repeats leaves of a region is always searched if it has at most so many tensors.
const SMALL_REST: usize = 64;
/// Larger rests are searched if the trees so far are within this factor (log2) of the search's.
const PROMISING_LOG2: f64 = 4.0;
/// Up to so many regions, each may have the tree of its own choice.
const FEW: usize = 16;
/// Plans of more steps are not built to be compared if the other trees are estimated to be so much (log2) better.
const MANY_STEPS: usize = 20_000;
const CLEAR_LOG2: f64 = 3.0;
/// The part of the time that the search has if there are repeats too.
const SEARCH_SHARE: f64 = 0.75;
/// The part of the rest that each rest of a region has.
const REST_SHARE: f64 = 0.5;

/// The regions that may share work.
pub(crate) struct Sharing<'a> {
    /// Their positions among all regions.
    places: Vec<usize>,
    nets: Vec<&'a Network>,
    /// Equal where inputs read the same value in the same way.
    colours: Vec<Vec<u32>>,
}

impl<'a> Sharing<'a> {
    /// None where no value is read twice.
    pub fn of(planning: &Planning<'a>) -> Option<Sharing<'a>> {
        let Planning { prepared, networks, .. } = *planning;
        let complex = prepared.program.dtype.is_complex();
        let mut out = Sharing { places: Vec::new(), nets: Vec::new(), colours: Vec::new() };
        let mut reads: HashMap<u32, u32> = HashMap::new();
        for (k, (region, net)) in prepared.regions.iter().zip(networks).enumerate() {
            if region.inputs.len() < 2 {
                continue;
            }
            let colour = |i: &tn_ir::region::RegionInput| 2 * i.value.0 + u32::from(i.conj && complex);
            let colours: Vec<u32> = region.inputs.iter().map(colour).collect();
            colours.iter().for_each(|&c| *reads.entry(c).or_default() += 1);
            out.places.push(k);
            out.nets.push(net);
            out.colours.push(colours);
        }
        // a part of two tensors that repeats has two that do
        let repeated = out.colours.iter().flatten().filter(|c| reads[*c] > 1).count();
        (repeated > 1 && out.nets.iter().any(|n| n.inputs.len() > 2)).then_some(out)
    }

    fn cost(&self, trees: &[Tree], kind: Minimize) -> Shared {
        let trees: Vec<&Tree> = trees.iter().collect();
        shared(&self.nets, &self.colours, &trees, kind)
    }

    /// The search's outcomes with this region's tree replaced.
    fn outcome(&self, k: usize, tree: Tree) -> Outcome {
        let cost = evaluate(self.nets[k], &tree);
        Outcome { tree, cost, optimal: self.nets[k].inputs.len() < 3, time_limited: false, others: vec![] }
    }

    /// Trees and plan within the limits, with the search's trees or with repeats, whichever is better.
    pub fn planned(&self, planning: &Planning<'a>) -> Found {
        let Planning { prepared, networks, searcher, options, .. } = *planning;
        let asked = tn_order::Options {
            minimize: options.minimize,
            seed: options.seed,
            max_size: options.max_size,
            ..tn_order::Options::default()
        };
        let Some(mut repeats) = Repeats::find(&self.nets, &self.colours, &asked) else {
            let outcomes = searcher.all(prepared, networks, options, &BTreeMap::new(), MEMORY_SHARE)?;
            return planning.built(self.put_right(planning, outcomes));
        };
        // regions of which no tree without repeats comes near are not searched as a whole
        let best = repeats.shared().log2_cost + CLEAR_LOG2;
        let far = |k: usize| best < log2_unshared(&self.nets[k..=k], options.minimize);
        let far: Vec<usize> = (0..self.nets.len()).filter(|&k| far(k) && repeats.tree(k).is_some()).collect();
        for &k in &far {
            improve(&mut repeats, k, searcher, options, 1.0 / (far.len() + 1) as f64);
        }
        let known: BTreeMap<usize, Outcome> =
            far.iter().filter_map(|&k| Some((self.places[k], self.outcome(k, repeats.tree(k)?)))).collect();
        let others = || (0..self.nets.len()).filter(|k| !far.contains(k) && repeats.rest(*k).is_some());
        let others: Vec<usize> = others().collect();
        let less = Options { max_time: options.max_time.map(|t| t.mul_f64(SEARCH_SHARE)), ..options.clone() };
        let search = if others.is_empty() { options } else { &less };
        let outcomes = searcher.all(prepared, networks, search, &known, MEMORY_SHARE)?;
        if far.len() == self.nets.len() {
            return match self.is_planned_twice(planning, &outcomes) {
                true => planning.optimised(self.ordered(planning, outcomes)?),
                false => planning.built(outcomes),
            };
        }
        let first = self.put_right(planning, outcomes);
        if others.is_empty() {
            return planning.built(first);
        }
        let before: Vec<Tree> = self.places.iter().map(|&p| first[p].tree.clone()).collect();
        let cost = self.cost(&before, options.minimize).log2_cost;
        for &k in &others {
            let small = repeats.rest(k).is_some_and(|r| r.inputs.len() <= SMALL_REST);
            if small || repeats.shared().log2_cost < cost + PROMISING_LOG2 {
                improve(&mut repeats, k, searcher, options, REST_SHARE);
            }
        }
        let (trees, estimate) = self.mixed(&before, cost, &repeats, &others, options.minimize);
        if trees == before {
            return planning.built(first);
        }
        let mut second = first.clone();
        for ((k, &place), tree) in self.places.iter().enumerate().zip(trees) {
            if tree != before[k] {
                // the search's trees still meet in the graph
                let Outcome { tree: old, mut others, .. } = second[place].clone();
                others.insert(0, old);
                second[place] = Outcome { others, ..self.outcome(k, tree) };
            }
        }
        self.better(planning, first, second, cost - estimate)
    }

    /// The trees of the search, with operands exchanged where that makes more steps equal, if that pays: the dag finds some equal steps by itself, whichever
    /// operand is named first, new positions of axes may hide others from it, and kernels depend on them.
    fn put_right(&self, planning: &Planning<'a>, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let before: Vec<&Tree> = self.places.iter().map(|&p| &outcomes[p].tree).collect();
        let usable = outcomes.iter().all(|o| is_storable(o) && !endless(o));
        let Some(after) = self.aligned(&before).filter(|_| usable) else { return outcomes };
        let mut other = outcomes.clone();
        self.places.iter().zip(&after).for_each(|(&p, tree)| other[p].tree = tree.clone());
        // the trees that meet them in the graph have these steps too
        for k in 0..other.iter().map(|o| o.others.len()).max().unwrap_or(0) {
            let (nets, colours) = ([self.nets.as_slice(); 2].concat(), [self.colours.as_slice(); 2].concat());
            let meeting =
                self.places.iter().zip(&after).map(|(&p, tree)| other[p].others.get(k).unwrap_or(tree));
            let trees: Vec<&Tree> = after.iter().chain(meeting).collect();
            let Some(found) = aligned(&nets, &colours, &trees) else { continue };
            for (&p, tree) in self.places.iter().zip(found.into_iter().skip(after.len())) {
                if let Some(o) = other[p].others.get_mut(k) {
                    *o = tree;
                }
            }
        }
        if self.is_righter(planning, &outcomes, &other) { other } else { outcomes }
    }

    /// Whether trees with more equal steps are to be taken: if their plan is better, or, where that takes too long to see or a limit on memory changes
    /// the trees anyway, their dag smaller.
    fn is_righter(&self, planning: &Planning<'a>, before: &[Outcome], after: &[Outcome]) -> bool {
        let Planning { prepared, options, .. } = *planning;
        if self.is_planned_twice(planning, before) {
            let plan = |outcomes: &[Outcome]| {
                let found = planning.fastest(outcomes.to_vec()).ok()?;
                Some(worth(&found.outcomes, &found.plan, options.minimize))
            };
            return plan(after).zip(plan(before)).is_some_and(|(after, before)| is_less(after, before));
        }
        // of many steps even the dag takes a while, when most of a given time has gone
        if options.max_time.is_some() && self.is_long(before) {
            return true;
        }
        let nodes =
            |outcomes| stages::dag(prepared, outcomes, options, false).map_or(usize::MAX, |d| d.len());
        nodes(after) < nodes(before)
    }

    /// The trees with operands exchanged, if fewer contractions are different then.
    fn aligned(&self, trees: &[&Tree]) -> Option<Vec<Tree>> {
        let count = |trees: &[&Tree]| shared(&self.nets, &self.colours, trees, Minimize::Macs).contractions;
        let after = aligned(&self.nets, &self.colours, trees)?;
        (count(&after.iter().collect::<Vec<_>>()) < count(trees)).then_some(after)
    }

    /// The best choice for each region of its tree from the search and its tree with repeats, with what all cost together.
    fn mixed(
        &self,
        before: &[Tree],
        cost: f64,
        repeats: &Repeats<'_>,
        others: &[usize],
        kind: Minimize,
    ) -> (Vec<Tree>, f64) {
        let mut all = before.to_vec();
        others.iter().for_each(|&k| all[k] = repeats.tree(k).unwrap_or_else(|| all[k].clone()));
        let estimate = self.cost(&all, kind).log2_cost;
        let (mut best, mut least) =
            if estimate < cost { (all.clone(), estimate) } else { (before.to_vec(), cost) };
        if others.len() > 1 && others.len() <= FEW {
            for &k in others {
                let now = best[k].clone();
                best[k] = if now == before[k] { all[k].clone() } else { before[k].clone() };
                let changed = self.cost(&best, kind).log2_cost;
                if changed < least {
                    least = changed;
                } else {
                    best[k] = now;
                }
            }
        }
        (best, least)
    }

    /// The better plan of two, `gain` (log2) being what the second is estimated to be better by.
    fn better(&self, planning: &Planning<'a>, first: Vec<Outcome>, second: Vec<Outcome>, gain: f64) -> Found {
        let options = planning.options;
        let usable = |o: &Outcome| is_storable(o) && !endless(o);
        if !second.iter().all(usable) {
            return planning.built(first);
        }
        if let Some(limit) = options.memory {
            let other = planning.scheduled(second);
            let fits = |b: &Built| peak_bytes_at_max(&b.plan) <= u128::from(limit);
            let other = other.ok().filter(|(_, b)| b.as_ref().is_some_and(fits));
            // a limit does not make the first ones faster
            return match other {
                Some(found) if gain > CLEAR_LOG2 => Ok(found),
                Some(found) => Ok(match planning.built(first) {
                    Ok(one) if !is_better(&found, &one, options.minimize) => one,
                    _ => found,
                }),
                None => planning.built(first),
            };
        }
        if !first.iter().all(usable) || self.is_long(&first) && gain > CLEAR_LOG2 {
            return planning.built(second);
        }
        // what the optimiser makes of either depends on the trees far less than the plans do, and takes longer than they
        let (one, other) = (planning.fastest(first)?, self.ordered(planning, second)?);
        planning.optimised(better(one, other, options.minimize))
    }

    /// Whether it is worth to plan these trees in two ways.
    fn is_planned_twice(&self, planning: &Planning<'a>, outcomes: &[Outcome]) -> bool {
        let usable = outcomes.iter().all(|o| is_storable(o) && !endless(o));
        planning.options.memory.is_none() && usable && !self.is_long(outcomes)
    }

    /// Whether plans of these trees have many steps.
    fn is_long(&self, outcomes: &[Outcome]) -> bool {
        self.places.iter().map(|&p| outcomes[p].tree.ssa_path.len()).sum::<usize>() > MANY_STEPS
    }

    /// The plan of these trees, with the operands of repeated steps as they are or in the order of the inputs: which axes results have
    /// first decides what their kernels take.
    fn ordered(&self, planning: &Planning<'a>, outcomes: Vec<Outcome>) -> Result<Fastest, Error> {
        let trees: Vec<&Tree> = self.places.iter().map(|&p| &outcomes[p].tree).collect();
        let after = in_order(&self.nets, &self.colours, &trees);
        let other = after.filter(|_| self.is_planned_twice(planning, &outcomes)).map(|after| {
            let mut other = outcomes.clone();
            self.places.iter().zip(after).for_each(|(&p, tree)| other[p].tree = tree);
            other
        });
        let one = planning.fastest(outcomes)?;
        let Some(other) = other.filter(|_| planning.has_time_for_another(&one)) else { return Ok(one) };
        Ok(better(one, planning.fastest(other)?, planning.options.minimize))
    }
}

/// Searches the rest of a region, if there is time.
fn improve(repeats: &mut Repeats<'_>, k: usize, searcher: &Searcher, options: &Options, share: f64) {
    if let Some(rest) = repeats.rest(k).filter(|r| r.inputs.len() > 2)
        && let Some(tree) = searcher.rest(rest, options, share)
    {
        repeats.offer(k, tree);
    }
}

/// The better of two plans; the first of equals.
fn better(one: Fastest, other: Fastest, kind: Minimize) -> Fastest {
    let [x, y] = [&one, &other].map(|f| worth(&f.outcomes, &f.plan, kind));
    if is_less(y, x) { other } else { one }
}

/// Whether the plan of `a` is better under the objective than that of `b`, by more than rounding.
fn is_better(a: &(Vec<Outcome>, Option<Built>), b: &(Vec<Outcome>, Option<Built>), kind: Minimize) -> bool {
    let of = |(outcomes, built): &(Vec<Outcome>, Option<Built>)| match built {
        Some(built) => worth(outcomes, &built.plan, kind),
        None => (f64::INFINITY, f64::INFINITY),
    };
    is_less(of(a), of(b))
}

fn is_less(a: (f64, f64), b: (f64, f64)) -> bool {
    let less = |x: f64, y: f64| x < y * (1.0 - 1e-9);
    less(a.0, b.0) || !less(b.0, a.0) && less(a.1, b.1)
}

/// What a plan is worth, less is better: the objective, then multiply-adds.
fn worth(outcomes: &[Outcome], plan: &Plan, kind: Minimize) -> (f64, f64) {
    let backward = plan.entries.iter().any(|e| e.kind == EntryKind::Vjp);
    let counts = |kind: EntryKind| match kind {
        EntryKind::Forward => !backward,
        EntryKind::ForwardSaving | EntryKind::Vjp => true,
        EntryKind::Jvp => false,
    };
    let entries = || {
        let all = plan.entries.iter().zip(&plan.summary.entries);
        all.filter(|(e, _)| counts(e.kind)).map(|(_, s)| s)
    };
    let macs: f64 = entries().map(|s| s.macs).sum();
    let first = match kind {
        Minimize::Time => plan.summary.modelled_seconds,
        Minimize::Macs => macs,
        Minimize::Bytes => entries().map(|s| s.bytes_moved).sum(),
        Minimize::Size => outcomes.iter().map(|o| o.cost.log2_max_size).fold(0.0, f64::max).exp2(),
        Minimize::Peak => plan.summary.peak_bytes as f64,
    };
    (first, macs)
}

//! The search for orders as the driver asks for it: the network without its names, given paths, kept plans, the clock shared out between
//! regions, and a window for whoever watches.

use crate::cache::{Cache, Whole};
use crate::compile::{MAX_LOG2_ELEMENTS, Prepared};
use crate::error::{Error, Infeasible, Limit};
use crate::kept::{Keeper, Place};
use crate::options::Options;
use crate::stages::{Target, entries};
use crate::watch::{Figure, Seen};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tn_ir::program::NodeId;
use tn_ir::region::Region;
use tn_ir::size::{Symbol, SymbolKind};
use tn_order::{After, Minimize, Network, Outcome, Tree, fit};
use tn_plan::cost::{Machine, peak_bytes_at_max};
use tn_plan::ir::Plan;

/// Trees for regions, by the node that a region computes.
pub(crate) type Trees = BTreeMap<NodeId, Tree>;

/// What all searches of one compilation share.
pub(crate) struct Searcher {
    pub began: Instant,
    /// Trees that were given.
    trees: Trees,
    /// Whether to search from the given trees on, rather than to take them as they are.
    refine: bool,
    keeper: Option<Keeper>,
    /// The position of each region, for whoever watches.
    places: BTreeMap<NodeId, usize>,
    /// Results of regions that outputs give as logarithms.
    rescaled: BTreeSet<NodeId>,
    unit: Unit,
}

/// What the figures of a search of orders are counted in (log10).
#[derive(Clone, Copy)]
struct Unit {
    /// Of the time for a multiply-add, in seconds.
    seconds: f64,
    /// Of an element, in bytes.
    bytes: f64,
}

impl Unit {
    fn of(self, minimize: Minimize) -> f64 {
        match minimize {
            Minimize::Time => self.seconds,
            Minimize::Peak | Minimize::Bytes => self.bytes,
            Minimize::Macs | Minimize::Size => 0.0,
        }
    }
}

/// The declared maxima of run-time sizes, up to which a memory limit holds; nothing if there are none.
fn ranges(prepared: &Prepared) -> String {
    let max = |s: &Symbol| match s.kind {
        SymbolKind::Dyn { max: Some(max), .. } => Some(format!(" max {max}")),
        _ => None,
    };
    prepared.program.symbols.iter().filter_map(max).collect()
}

/// A network whose indices are numbered in the order in which they occur: names and their order do not matter to the search.
struct Canonical {
    net: Network,
    /// The original index of each.
    original: Vec<u32>,
    /// The number of each original index.
    number: Vec<Option<u32>>,
}

impl Canonical {
    fn of(net: &Network) -> Canonical {
        let (mut number, mut original) = (vec![None; net.sizes.len()], Vec::new());
        for &i in net.inputs.iter().flatten().chain(&net.output) {
            if let Some(place @ None) = number.get_mut(i as usize) {
                *place = Some(original.len() as u32);
                original.push(i);
            }
        }
        // A malformed list keeps its ids: the search says what is wrong with it.
        let renumber = |list: &[u32]| {
            list.iter().map(|&i| number.get(i as usize).copied().flatten().unwrap_or(u32::MAX)).collect()
        };
        let net = Network {
            inputs: net.inputs.iter().map(|t| renumber(t)).collect(),
            output: renumber(&net.output),
            sizes: original.iter().map(|&i| net.sizes[i as usize]).collect(),
            needs_grad: net.needs_grad.clone(),
        };
        Canonical { net, original, number }
    }
    fn renumbered(&self, list: impl IntoIterator<Item = u32>) -> Vec<u32> {
        list.into_iter().filter_map(|i| self.number.get(i as usize).copied().flatten()).collect()
    }
    fn back(&self, list: &[u32]) -> Vec<u32> {
        list.iter().filter_map(|&i| self.original.get(i as usize).copied()).collect()
    }
    fn tree_into(&self, tree: &Tree) -> Tree {
        Tree { ssa_path: tree.ssa_path.clone(), sliced: self.renumbered(tree.sliced.iter().copied()) }
    }
    fn tree_back(&self, tree: Tree) -> Tree {
        Tree { sliced: self.back(&tree.sliced), ..tree }
    }
}

/// A region as it is kept: the node that it computes, its network as the search sees it, and what may not be sliced.
type KeptPlace = (NodeId, Canonical, Vec<u32>);

fn borrowed(places: &[KeptPlace]) -> Vec<Place<'_>> {
    places.iter().map(|(node, seen, whole)| (*node, &seen.net, whole.as_slice())).collect()
}

/// The part of the time left that each search has where a memory limit asks for several.
pub(crate) const MEMORY_SHARE: f64 = 0.2;
/// The same for a search that aims at the limit.
pub(crate) const AIMED_SHARE: f64 = 0.5;
/// The same in a small network, where it takes more of them to find how small results must be; and for each but the first.
pub(crate) const AIMED_SHARES: [f64; 2] = [0.25, 0.12];

/// What choosing slices may take when the time is over, beyond which the choice is rough: in all, and for a tensor.
const LATE_SLICES: Duration = Duration::from_millis(50);
const LATE_SLICES_PER_TENSOR: Duration = Duration::from_micros(10);

/// What lowering, scheduling and verifying take for a leg of a step, as a multiple of what loading and elaborating took for a leg of an
/// input. The latter is measured, so the estimate holds on any machine; more entries are more to do.
const AFTER: f64 = 2.1;

fn after_search(loaded: Duration, networks: &[Network], options: &Options) -> After {
    let legs: usize = networks.iter().flat_map(|n| &n.inputs).map(Vec::len).sum();
    let entries = entries(options).len();
    let seconds_per_leg = loaded.as_secs_f64() * AFTER * entries as f64 / legs.max(1) as f64;
    After { seconds_per_leg, log2_storable: MAX_LOG2_ELEMENTS }
}

impl Searcher {
    /// For one compilation. Reads nothing but the given paths.
    pub fn new(
        prepared: &Prepared,
        options: &Options,
        machine: &Machine,
        began: Instant,
    ) -> Result<Searcher, Error> {
        let trees = match &options.path {
            Some(file) => file.trees(prepared)?,
            None => Trees::new(),
        };
        let dtype = prepared.program.dtype;
        let unit = Unit { seconds: -machine.rate(dtype).log10(), bytes: (dtype.bytes() as f64).log10() };
        let machine = machine.to_ron().map_err(|e| Error::internal("machine", e))?;
        Ok(Searcher {
            began,
            trees,
            refine: options.refine,
            // What starts from a given path depends on it, and is not worth a place.
            keeper: options.cache.clone().filter(|_| options.path.is_none()).map(|folder| {
                // with other rules a search finds other trees
                let circumstances = format!("{} {machine} {}", prepared.program.dtype, options.rules);
                let circumstances = circumstances + &ranges(prepared);
                Keeper::new(Cache::new(folder), options.resume, circumstances)
            }),
            places: prepared.regions.iter().enumerate().map(|(k, r)| (r.result, k)).collect(),
            rescaled: prepared.program.outputs.iter().filter(|o| o.log).map(|o| o.node).collect(),
            unit,
        })
    }

    /// The same, but with these trees as they are.
    pub fn fixed(&self, trees: Trees) -> Searcher {
        Searcher {
            began: self.began,
            trees,
            refine: false,
            keeper: None,
            places: self.places.clone(),
            rescaled: self.rescaled.clone(),
            unit: self.unit,
        }
    }

    /// Whether paths were given to be taken as they are.
    pub fn is_given(&self) -> bool {
        !self.trees.is_empty() && !self.refine
    }

    /// Trees than which the whole plan must not be worse, where regions alone cannot promise that.
    pub fn floor(&self, prepared: &Prepared, options: &Options) -> Option<Trees> {
        if self.refine {
            return Some(self.trees.clone());
        }
        let keeper = self.keeper.as_ref()?;
        let places = self.kept_places(prepared);
        let trees = keeper.floor(&borrowed(&places), options)?;
        let back = |((node, seen, _), tree): (&KeptPlace, Tree)| (*node, seen.tree_back(tree));
        Some(places.iter().zip(trees).map(back).collect())
    }

    /// Keeps the trees of a plan under a memory limit, if none that is as fast is kept.
    pub fn keep_whole(&self, prepared: &Prepared, options: &Options, outcomes: &[Outcome], plan: &Plan) {
        if let Some(keeper) = &self.keeper {
            let places = self.kept_places(prepared);
            let trees: Vec<Tree> = places.iter().zip(outcomes).map(|(p, o)| p.1.tree_into(&o.tree)).collect();
            let peak = u64::try_from(peak_bytes_at_max(plan)).unwrap_or(u64::MAX);
            let whole = Whole::new(plan.summary.modelled_seconds, peak);
            keeper.keep_whole(&borrowed(&places), options, &trees, whole, |net| self.is_worth_keeping(net));
        }
    }

    fn kept_places(&self, prepared: &Prepared) -> Vec<KeptPlace> {
        let place = |(region, net): (&Region, Network)| {
            let seen = Canonical::of(&net);
            let unsliceable = self.unsliceable(region, &seen);
            (region.result, seen, unsliceable)
        };
        prepared.regions.iter().zip(prepared.networks()).map(place).collect()
    }

    /// Indices of a region that no loop may take apart, as the search numbers them.
    fn unsliceable(&self, region: &Region, seen: &Canonical) -> Vec<u32> {
        // results that are rescaled on the way to a logarithm are whole: slices would have scales of their own
        let rescaled = self.rescaled.contains(&region.result);
        let whole = region.sizes.iter().enumerate().filter(|(_, s)| rescaled || s.dynamic.is_some());
        let mut out = seen.renumbered(whole.map(|(i, _)| i as u32));
        out.sort_unstable();
        out
    }

    /// When the time is over, if there is a limit.
    pub fn end(&self, options: &Options) -> Option<Instant> {
        options.max_time.and_then(|t| self.began.checked_add(t))
    }

    /// Whether the time is over, or somebody asked to stop.
    pub fn is_over(&self, options: &Options) -> bool {
        options.max_time.is_some_and(|t| self.began.elapsed() >= t)
            || options.watch.as_ref().is_some_and(|w| w.is_stopped())
    }

    /// Whether so large a part of the time has gone, or somebody asked to stop.
    pub fn is_late(&self, options: &Options, part: f64) -> bool {
        options.max_time.is_some_and(|t| self.began.elapsed() >= t.mul_f64(part)) || self.is_over(options)
    }

    /// Whether everything that was searched for had been kept.
    pub fn cached(&self) -> bool {
        self.keeper.as_ref().is_some_and(Keeper::hit)
    }

    /// Called when all searches are done: the cache is bounded.
    pub fn finish(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.finish();
        }
    }

    /// An order for every region, as far as it is not `known` (by position). A time limit is shared out by their numbers of tensors; what one
    /// leaves, the next ones have; under a memory limit, `share` of it. Equal regions have one order, so that they are computed once.
    pub fn all(
        &self,
        prepared: &Prepared,
        networks: &[Network],
        options: &Options,
        known: &BTreeMap<usize, Outcome>,
        share: f64,
    ) -> Result<Vec<Outcome>, Error> {
        // Small regions are solved at once.
        let weight = |net: &Network| if net.inputs.len() < 9 { 1e-3 } else { net.inputs.len() as f64 };
        let open = networks.iter().enumerate().filter(|(k, _)| !known.contains_key(k));
        let mut rest: f64 = open.map(|(_, net)| weight(net)).sum();
        let after = Some(after_search(self.began.elapsed(), networks, options));
        let tensors: usize = networks.iter().map(|n| n.inputs.len()).sum();
        // a step and its operand, and for derivatives about as many again for each
        let rewriting = crate::joint::time_for(options, 2 * tensors * entries(options).len());
        let mut out: Vec<Outcome> = Vec::with_capacity(networks.len());
        let mut alike = Alike::default();
        for (k, (region, net)) in prepared.regions.iter().zip(networks).enumerate() {
            if let Some(outcome) = known.get(&k) {
                out.push(outcome.clone());
                continue;
            }
            // given trees are of one region each
            let equal = alike.earlier(k, region, networks).filter(|_| self.trees.is_empty());
            if let Some(earlier) = equal.filter(|_| !self.rescaled.contains(&region.result)) {
                rest -= weight(net);
                out.push(out[earlier].clone());
                continue;
            }
            let left = options.max_time.map(|t| t.saturating_sub(self.began.elapsed() + rewriting));
            // A memory limit asks for more searches after these.
            let left = left.map(|l| if options.memory.is_some() { l.mul_f64(share) } else { l });
            let share = left.map(|l| l.mul_f64((weight(net) / rest.max(1e-3)).clamp(0.0, 1.0)));
            rest -= weight(net);
            out.push(self.timed(
                region,
                net,
                options,
                Target { after, ..Target::of(options) },
                None,
                share,
            )?);
        }
        Ok(out)
    }

    /// An order for one region within a share of the time that is left.
    ///
    /// # Errors
    /// No order within the limits of options and target.
    pub fn search(
        &self,
        region: &Region,
        net: &Network,
        options: &Options,
        target: Target,
        share: f64,
    ) -> Result<Outcome, Error> {
        let left = options.max_time.map(|t| t.saturating_sub(self.began.elapsed()).mul_f64(share));
        self.timed(region, net, options, target, None, left)
    }

    /// An order without slices for what is left of a region, within a share of the time that is left; none if there is none.
    pub fn rest(&self, net: &Network, options: &Options, share: f64) -> Option<Tree> {
        if self.is_over(options) {
            return None;
        }
        let canonical = Canonical::of(net);
        let left = options.max_time.map(|t| t.saturating_sub(self.began.elapsed()).mul_f64(share));
        let stop = options.watch.as_ref().map(|w| tn_order::Progress { stop: w.stop.clone(), report: None });
        let asked = tn_order::Options {
            minimize: options.minimize,
            seed: options.seed,
            trials: options.budget(),
            max_time: left,
            max_size: options.max_size,
            threads: options.thread_count(),
            unsliceable: (0..canonical.net.sizes.len() as u32).collect(),
            progress: stop.map(Arc::new),
            meet: options.rules.is_on("meet"),
            ..tn_order::Options::default()
        };
        // it is no region, and small: not worth a place among the kept plans
        tn_order::plan(&canonical.net, &asked).ok().map(|o| o.tree)
    }

    /// A better order than `from`, within the target's limits and the given time; once the time is over, `from` with slices.
    ///
    /// # Errors
    /// No order within the limits.
    pub fn improve(
        &self,
        region: &Region,
        net: &Network,
        options: &Options,
        target: Target,
        from: Tree,
        time: Duration,
    ) -> Result<Outcome, Error> {
        self.timed(region, net, options, target, Some(from), Some(time))
    }

    /// What is found within a short time, whatever the clock says and even if somebody asked to stop.
    ///
    /// # Errors
    /// No order within the limits.
    pub fn hasty(
        &self,
        region: &Region,
        net: &Network,
        options: &Options,
        target: Target,
        time: Duration,
    ) -> Result<Outcome, Error> {
        let options = Options { watch: None, ..options.clone() };
        self.timed(region, net, &options, Target { hasty: true, ..target }, None, Some(time))
    }

    fn timed(
        &self,
        region: &Region,
        net: &Network,
        options: &Options,
        target: Target,
        from: Option<Tree>,
        max_time: Option<Duration>,
    ) -> Result<Outcome, Error> {
        let max_size = match (target.max_size, options.max_size) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let canonical = Canonical::of(net);
        let unsliceable = self.unsliceable(region, &canonical);
        let asked = tn_order::Options {
            minimize: target.minimize.unwrap_or(options.minimize),
            seed: options.seed,
            trials: match (options.budget(), target.trials) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            max_time,
            max_size,
            max_peak: target.max_peak,
            after: target.after,
            threads: options.thread_count(),
            unsliceable,
            progress: self.progress(region, options),
            meet: options.rules.is_on("meet"),
            ..tn_order::Options::default()
        };
        let improves = from.is_some();
        let given = from.as_ref().or_else(|| self.trees.get(&region.result));
        let found = match given.map(|t| canonical.tree_into(t)) {
            Some(tree) if improves && self.is_over(options) => {
                // too late for another tree, but not for good slices of this one
                let time = LATE_SLICES + LATE_SLICES_PER_TENSOR * net.inputs.len() as u32;
                let asked = tn_order::Options { max_time: Some(time), progress: None, ..asked };
                fit(&canonical.net, &tree, &asked)
            }
            Some(tree) if self.refine || improves => {
                tn_order::plan(&canonical.net, &tn_order::Options { start: Some(tree), ..asked })
            }
            Some(tree) => fit(&canonical.net, &tree, &asked),
            None => match self.keeper.as_ref().filter(|_| !target.hasty && self.is_worth_keeping(net)) {
                Some(keeper) => keeper.kept_or_found(region.result, &canonical.net, asked, options),
                None => tn_order::plan(&canonical.net, &asked),
            },
        };
        match found {
            Ok(outcome) => Ok(Outcome {
                tree: canonical.tree_back(outcome.tree),
                others: outcome.others.into_iter().map(|t| canonical.tree_back(t)).collect(),
                ..outcome
            }),
            Err(e) => {
                let e = tn_order::Infeasible {
                    indices: canonical.back(&e.indices),
                    suggestion: e.suggestion.and_then(|i| canonical.back(&[i]).first().copied()),
                    ..e
                };
                Err(infeasible(region, &e, max_size, self.rescaled.contains(&region.result)))
            }
        }
    }

    /// Many regions of one or two tensors would cost more to look up than to plan.
    fn is_worth_keeping(&self, net: &Network) -> bool {
        net.inputs.len() > 2 || self.places.len() == 1
    }

    fn progress(&self, region: &Region, options: &Options) -> Option<Arc<tn_order::Progress>> {
        let watch = options.watch.as_ref()?;
        let place = self.places.get(&region.result).map_or(0, |k| k + 1);
        let (name, of, tell) = (region.name.clone(), self.places.len(), watch.tell.clone());
        let minimize = options.minimize;
        let report = tell.map(|tell| -> tn_order::Callback {
            let unit = self.unit.of(options.minimize);
            let whole = options.memory.is_some();
            Box::new(move |report| {
                let log10 = report.log2_value * std::f64::consts::LOG10_2 + unit;
                let best = (report.valid && !whole).then_some(Figure { minimize, log10 });
                tell(&Seen::Region { name: &name, place, of, best });
            })
        });
        Some(Arc::new(tn_order::Progress { stop: watch.stop.clone(), report }))
    }
}

/// Regions by what decides their order, to find equal ones.
#[derive(Default)]
struct Alike<'a> {
    seen: HashMap<u64, Vec<(usize, &'a Region)>>,
}

impl<'a> Alike<'a> {
    /// An earlier region that reads the same values in the same way; else this one is remembered.
    fn earlier(&mut self, k: usize, region: &'a Region, networks: &[Network]) -> Option<usize> {
        let mut hasher = std::hash::DefaultHasher::new();
        for input in &region.inputs {
            (input.value.0, input.conj, &input.indices).hash(&mut hasher);
        }
        let seen = self.seen.entry(hasher.finish()).or_default();
        let equal = |(j, r): &&(usize, &Region)| {
            networks[*j] == networks[k] && r.inputs == region.inputs && r.sizes == region.sizes
        };
        let found = seen.iter().find(equal).map(|s| s.0);
        if found.is_none() {
            seen.push((k, region));
        }
        found
    }
}

fn infeasible(region: &Region, e: &tn_order::Infeasible, max_size: Option<u64>, rescaled: bool) -> Error {
    if let Some(fault) = &e.network {
        return Error::internal("search", format!("region `{}`: {fault}", region.name));
    }
    let name = |i: u32| region.index_names.get(i as usize).map_or("?", String::as_str);
    let indices: Vec<&str> = e.indices.iter().map(|&i| name(i)).collect();
    let mut help = vec![format!("allow `--max-size {}`", elements(e.log2_max_size))];
    if rescaled {
        help.push(format!(
            "`{}` is given as a logarithm, which takes no slices; an output without `: log` does",
            region.name
        ));
    } else if let Some(i) = e.suggestion {
        help.push(format!(
            "index `{}` would help the most, but its size is known at run time only; give it a fixed size",
            name(i)
        ));
    }
    let tensors =
        vec![(format!("the result with indices [{}]", indices.join(", ")), elements(e.log2_max_size))];
    Error::Infeasible(Box::new(Infeasible {
        limit: Limit::MaxSize(max_size.unwrap_or(u64::MAX)),
        smallest: elements(e.log2_max_size),
        tensors,
        help,
    }))
}

fn elements(log2: f64) -> u128 {
    crate::error::from_log2(log2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbering_of_indices_does_not_matter() {
        let net = |ids: [u32; 3], sizes: [u64; 4]| Network {
            inputs: vec![vec![ids[0], ids[1]], vec![ids[1], ids[2]]],
            output: vec![ids[2], ids[0]],
            sizes: sizes.to_vec(),
            needs_grad: vec![],
        };
        let a = Canonical::of(&net([0, 1, 2], [2, 3, 4, 9]));
        let b = Canonical::of(&net([3, 0, 1], [3, 4, 9, 2]));
        assert_eq!(a.net, b.net);
        assert_eq!(b.back(&b.renumbered([1, 3, 2])), [1, 3]);
        assert!(Canonical::of(&net([0, 1, 9], [1; 4])).net.check().is_err());
    }
}

//! Schedules per range of a run-time size.
//!
//! The order that is best for a batch of one may be the worst for a batch of a thousand, and a `dyn` size is known only when the plan
//! runs. So a plan may hold several *schedules*, each for a range of one such size; the executor and the emitted code take the one
//! whose range holds the size. The ranges follow each other without gaps from 0 to the declared maximum (or without end). Every schedule has its
//! own entries, and so its own workspace and its own saved values; leaves, outputs and scalar functions are the plan's.
//!
//! [`Plan::entries`] are the schedule for the range that holds the hint, [`Regimes::others`] the rest. [`Plan::schedules`] gives each
//! as a plan of its own, so that whatever knows plans with one schedule knows them all.

use crate::ir::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tn_ir::size::{SymbolId, SymbolKind};

/// Sizes from `low` to `high`, both inclusive; without `high` there is no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRange {
    /// The smallest.
    pub low: u64,
    /// The largest.
    pub high: Option<u64>,
}

impl SizeRange {
    /// Whether a size is in the range.
    pub fn contains(&self, size: u64) -> bool {
        self.low <= size && self.high.is_none_or(|h| size <= h)
    }
    /// The size of the range that is nearest to this one.
    pub fn clamp(&self, size: u64) -> u64 {
        size.min(self.high.unwrap_or(u64::MAX)).max(self.low)
    }
}

impl std::fmt::Display for SizeRange {
    /// `1..=16`, or `17..` where there is no end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.high {
            Some(high) => write!(f, "{}..={high}", self.low),
            None => write!(f, "{}..", self.low),
        }
    }
}

/// The ranges of a plan with several schedules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regimes {
    /// The run-time size that decides.
    pub symbol: SymbolId,
    /// The range of `Plan::entries`; it holds the symbol's hint.
    pub own: SizeRange,
    /// The schedules for all other sizes, smallest sizes first.
    pub others: Vec<Regime>,
}

/// A schedule for a range of sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regime {
    /// The sizes that it is for.
    pub range: SizeRange,
    /// What the hint is to `Plan::entries`: the size in the range that its totals are for, and that its kernels are chosen for.
    pub at: u64,
    /// The same entries as the plan's, in the same order.
    pub entries: Vec<Entry>,
    /// How each region is contracted.
    pub regions: Vec<RegionPlan>,
    /// Totals at that size.
    pub summary: Summary,
}

impl Plan {
    /// Every schedule as a plan of its own, smallest sizes first: the symbol's hint is the size that its totals are for, its
    /// maximum the end of the range. A plan with one schedule is that schedule.
    pub fn schedules(&self) -> Vec<Cow<'_, Plan>> {
        let Some(regimes) = &self.regimes else { return vec![Cow::Borrowed(self)] };
        let hint = self.symbols.get(regimes.symbol).map_or(0, |s| s.value().max(0) as u64);
        let mut all = vec![(regimes.own, Cow::Owned(self.alone(regimes, regimes.own, hint, None)))];
        for r in &regimes.others {
            all.push((r.range, Cow::Owned(self.alone(regimes, r.range, r.at, Some(r)))));
        }
        all.sort_by_key(|(range, _)| range.low);
        all.into_iter().map(|(_, plan)| plan).collect()
    }

    /// The ranges of [`Plan::schedules`]; none where there is one schedule.
    pub fn ranges(&self) -> Vec<SizeRange> {
        let mut out: Vec<SizeRange> =
            self.regimes.iter().flat_map(|r| r.others.iter().map(|o| o.range).chain([r.own])).collect();
        out.sort_by_key(|r| r.low);
        out
    }

    /// The entries of the schedule for these run-time sizes. Sizes above the declared maximum have those of the last range: whether they are allowed
    /// is for the caller to say.
    pub fn entries_at(&self, size: impl Fn(SymbolId) -> u64) -> &[Entry] {
        let Some(regimes) = &self.regimes else { return &self.entries };
        let n = size(regimes.symbol);
        let holds = |r: &SizeRange| r.contains(n);
        match regimes.others.iter().find(|r| holds(&r.range)) {
            Some(r) => &r.entries,
            None if holds(&regimes.own) => &self.entries,
            None => match regimes.others.iter().max_by_key(|r| r.range.low) {
                Some(last) if last.range.low > regimes.own.low => &last.entries,
                _ => &self.entries,
            },
        }
    }

    /// The entries of all schedules: the plan's own first.
    pub fn all_entries(&self) -> impl Iterator<Item = &Entry> {
        let others = self.regimes.iter().flat_map(|r| r.others.iter().flat_map(|o| o.entries.iter()));
        self.entries.iter().chain(others)
    }

    fn alone(&self, regimes: &Regimes, range: SizeRange, at: u64, other: Option<&Regime>) -> Plan {
        let mut symbols = self.symbols.clone();
        if symbols.get(regimes.symbol).is_some() {
            symbols[regimes.symbol].kind = SymbolKind::Dyn { hint: at, max: range.high };
        }
        let (entries, regions, summary) = match other {
            Some(r) => (r.entries.clone(), r.regions.clone(), r.summary.clone()),
            None => (self.entries.clone(), self.regions.clone(), self.summary.clone()),
        };
        Plan {
            version: PLAN_VERSION,
            name: self.name.clone(),
            doc: self.doc.clone(),
            source: self.source.clone(),
            source_hash: self.source_hash.clone(),
            dtype: self.dtype,
            symbols,
            leaves: self.leaves.clone(),
            outputs: self.outputs.clone(),
            bodies: self.bodies.clone(),
            entries,
            regions,
            summary,
            regimes: None,
        }
    }

    /// Takes the entries of `other`, a plan for the same leaves and outputs, as the schedule for a range; its totals are for the size `at`. Scalar functions and constants
    /// that this plan does not have are added; `own_leaves` says how many leaves both have in common, what comes after them in `other` are constants of
    /// its own. Returns where each of these is among this plan's leaves.
    ///
    /// The plan's own range and symbol must be set before.
    pub fn add_schedule(&mut self, other: &Plan, own_leaves: usize, range: SizeRange, at: u64) -> Vec<u32> {
        let mut entries = other.entries.clone();
        let bodies: Vec<BodyId> = other
            .bodies
            .iter()
            .map(|f| {
                let at = self.bodies.iter().position(|b| b == f).unwrap_or_else(|| {
                    self.bodies.push(f.clone());
                    self.bodies.len() - 1
                });
                BodyId(at as u32)
            })
            .collect();
        for (own, theirs) in self.leaves.iter_mut().zip(&other.leaves).take(own_leaves) {
            // a constant that only one of the schedules reads
            own.value = own.value.take().or_else(|| theirs.value.clone());
        }
        let mut constants: Vec<u32> = Vec::new();
        for leaf in other.leaves.iter().skip(own_leaves) {
            // an entry has one buffer for each leaf, so two that are equal stay two
            let mut known = (own_leaves..self.leaves.len()).filter(|&k| !constants.contains(&(k as u32)));
            let at = known.find(|&k| self.leaves[k] == *leaf).unwrap_or_else(|| {
                self.leaves.push(leaf.clone());
                self.leaves.len() - 1
            });
            constants.push(at as u32);
        }
        for entry in &mut entries {
            for b in entry.buffers.ids() {
                if let Class::Leaf(i) = &mut entry.buffers[b].class
                    && let Some(at) = (*i as usize).checked_sub(own_leaves)
                    && let Some(&to) = constants.get(at)
                {
                    *i = to;
                }
            }
            let mut stack: Vec<&mut Item> = entry.body.iter_mut().collect();
            while let Some(item) = stack.pop() {
                match item {
                    Item::Loop(l) => stack.extend(l.body.iter_mut()),
                    Item::Step(s) => {
                        s.body = bodies.get(s.body.0 as usize).copied().unwrap_or(s.body);
                    }
                    Item::Zero { .. } => {}
                }
            }
        }
        if let Some(regimes) = &mut self.regimes {
            let (regions, summary) = (other.regions.clone(), other.summary.clone());
            regimes.others.push(Regime { range, at, entries, regions, summary });
            regimes.others.sort_by_key(|r| r.range.low);
        }
        self.version = REGIMES_VERSION;
        constants
    }
}

impl std::fmt::Debug for Plan {
    /// As if it were derived, but that `regimes` is shown only where there are several: what is hashed of a plan with one schedule
    /// does not depend on there being others elsewhere.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Plan");
        out.field("version", &self.version)
            .field("name", &self.name)
            .field("doc", &self.doc)
            .field("source", &self.source)
            .field("source_hash", &self.source_hash)
            .field("dtype", &self.dtype)
            .field("symbols", &self.symbols)
            .field("leaves", &self.leaves)
            .field("outputs", &self.outputs)
            .field("bodies", &self.bodies)
            .field("entries", &self.entries)
            .field("regions", &self.regions)
            .field("summary", &self.summary);
        if let Some(regimes) = &self.regimes {
            out.field("regimes", regimes);
        }
        out.finish()
    }
}

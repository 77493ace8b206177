//! What an axis is reduced to for one draw.
//!
//! An axis of n entries is divided into a few *cells*, runs of positions along which every tensor is constant. A sum over the axis is then a sum over cells,
//! each times its length, so the value is that of the true program at its true sizes, for leaves that are constant along cells. Most axes
//! have one cell or two; where a slice begins or an entry is selected, a cell ends.
//!
//! Constants and diagonals are not constant along cells. Where those stand, cells are single positions, and if the axis is long, all but a few
//! positions are left out, in the program and in the dag alike: then a sum over the axis is one over what is left
//! ([`Cells::left_out`] tells whether there is such an axis).

use super::axes::{Axes, Link};
use crate::fuzz::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Axes up to this length are kept whole where entries matter one by one.
const SHORT: u64 = 8;
/// With more cells than this, an axis is sampled.
const MAX_CELLS: usize = 48;

/// The cells of every class: a coarse and a fine choice.
pub struct Cells {
    all: Vec<(u64, u64)>,
    /// Start and end in `all`: coarse, fine.
    ranges: Vec<[(u32, u32); 2]>,
    /// For each class whether its family is fine. All of a family agree.
    fine: Vec<bool>,
    family: Vec<u32>,
    left_out: bool,
}

impl Cells {
    /// Start and length of each cell.
    pub fn of(&self, class: u32) -> &[(u64, u64)] {
        let f = self.fine[self.family[class as usize] as usize];
        let (a, b) = self.ranges[class as usize][usize::from(f)];
        &self.all[a as usize..b as usize]
    }
    /// How many cells.
    pub fn count(&self, class: u32) -> usize {
        self.of(class).len()
    }
    /// Whether a coarser choice makes this class smaller.
    pub fn can_shrink(&self, class: u32) -> bool {
        let [coarse, fine] = self.ranges[class as usize].map(|(a, b)| b - a);
        self.fine[self.family[class as usize] as usize] && coarse < fine
    }
    /// Takes the coarse choice for its family.
    pub fn shrink(&mut self, class: u32) {
        self.fine[self.family[class as usize] as usize] = false;
    }
    /// Takes the fine choice for every family.
    pub fn reset(&mut self) {
        self.fine.fill(true);
    }
    /// Whether every axis is as fine as it can be.
    pub fn is_fine(&self) -> bool {
        self.fine.iter().all(|&f| f)
    }
    /// Whether positions of some axis are left out, so that sizes mean less than they say.
    pub fn left_out(&self) -> bool {
        self.left_out
    }
    /// Makes axes coarser until the product of their cells is at most `most`, if that can be.
    pub fn fit(&mut self, classes: &[u32], most: u64, rng: &mut Rng) {
        let product = |c: &Cells, s: &[u32]| s.iter().fold(1u64, |p, &x| p.saturating_mul(c.count(x) as u64));
        if product(self, classes) <= most {
            return;
        }
        let mut left: Vec<u32> = classes.iter().copied().filter(|&c| self.can_shrink(c)).collect();
        while !left.is_empty() && product(self, classes) > most {
            let c = left.swap_remove(rng.below(left.len()));
            if self.can_shrink(c) {
                self.shrink(c);
            }
        }
    }
}

/// Cells of every class for one draw. With `whole`, no position is left out. Of a class in `quotas`, so many positions are kept, whatever else is
/// chosen. None if the axes that are kept whole have more than `most` entries.
pub fn draw(
    axes: &Axes,
    rng: &mut Rng,
    whole: bool,
    quotas: &BTreeMap<u32, u64>,
    most: u64,
) -> Option<Cells> {
    let mut out = Cells {
        all: vec![],
        ranges: vec![[(0, 0); 2]; axes.size.len()],
        fine: vec![true; axes.families.len()],
        family: axes.family.clone(),
        left_out: false,
    };
    let samples = if whole { Marks::new() } else { super::samples::samples(axes, rng) };
    let none = vec![];
    for (f, family) in axes.families.iter().enumerate() {
        let links = axes.links.get(&(f as u32)).unwrap_or(&none);
        let lengths = |c: &u32| axes.size[*c as usize];
        let largest = family.classes.iter().copied().max_by_key(lengths).unwrap_or(0);
        let marked =
            |c: &u32| axes.apart.contains_key(c) || quotas.contains_key(c) || axes.pins.contains_key(c);
        if links.is_empty() && !family.unit && !marked(&largest) {
            let n = axes.size[largest as usize];
            let coarse = out.push(&[0], n);
            let fine = match n {
                0 | 1 => coarse,
                _ => out.push(&[0, 1 + rng.bits() % (n - 1)], n),
            };
            out.ranges[largest as usize] = [coarse, fine];
            continue;
        }
        if let Some(&quota) = quotas.get(&largest).filter(|_| links.is_empty()) {
            out.exactly(largest, axes.size[largest as usize], quota, rng);
            continue;
        }
        let mut cuts: Marks = family
            .classes
            .iter()
            .filter_map(|c| axes.pins.get(c).map(|p| (*c, p.iter().flat_map(|&at| [at, at + 1]).collect())))
            .collect();
        if !family.unit {
            for c in &family.classes {
                if let Some(apart) = axes.apart.get(c) {
                    cuts.entry(*c).or_default().extend(apart);
                }
            }
            for l in links {
                cuts.entry(l.whole).or_default().extend([l.offset, l.offset + l.len]);
            }
            close(&mut cuts, links, true);
            if whole || cuts.values().all(|c| c.len() <= MAX_CELLS) {
                out.cut(axes, family.classes.as_slice(), links, cuts, largest, rng);
                continue;
            }
        }
        let mut kept: Marks =
            family.classes.iter().filter_map(|c| axes.pins.get(c).map(|p| (*c, p.clone()))).collect();
        for c in &family.classes {
            if let Some(more) = samples.get(c) {
                kept.entry(*c).or_default().extend(more);
            }
        }
        let short = family.classes.iter().all(|&c| axes.size[c as usize] <= SHORT);
        let choice =
            Choice { full: family.full || whole, short: short && !family.exact, exact: family.exact };
        if choice.full || choice.short {
            let entries = family.classes.iter().fold(0u64, |n, &c| n.saturating_add(axes.size[c as usize]));
            if entries > most || out.all.len() as u64 > most.saturating_mul(4) {
                return None;
            }
        }
        out.sample(axes, &family.classes, links, kept, largest, choice, rng);
    }
    Some(out)
}

/// Positions by class.
pub type Marks = BTreeMap<u32, BTreeSet<u64>>;

#[derive(Clone, Copy)]
struct Choice {
    full: bool,
    short: bool,
    exact: bool,
}

impl Cells {
    /// Cells that begin at `starts` (the first is 0) of an axis of length `n`.
    fn push(&mut self, starts: &[u64], n: u64) -> (u32, u32) {
        let from = self.all.len() as u32;
        for (k, &s) in starts.iter().enumerate() {
            let end = starts.get(k + 1).copied().unwrap_or(n);
            if s < end {
                self.all.push((s, end - s));
            }
        }
        (from, self.all.len() as u32)
    }

    /// So many positions, at random.
    fn exactly(&mut self, class: u32, n: u64, quota: u64, rng: &mut Rng) {
        let mut kept = BTreeSet::new();
        while (kept.len() as u64) < quota.min(n) {
            kept.insert(if quota == n { kept.len() as u64 } else { rng.bits() % n });
        }
        let from = self.all.len() as u32;
        self.all.extend(kept.into_iter().map(|at| (at, 1)));
        self.ranges[class as usize] = [(from, self.all.len() as u32); 2];
        self.left_out |= quota < n;
    }

    fn cut(
        &mut self,
        axes: &Axes,
        classes: &[u32],
        links: &[Link],
        cuts: Marks,
        largest: u32,
        rng: &mut Rng,
    ) {
        let mut finer = cuts.clone();
        let n = axes.size[largest as usize];
        if n > 1 {
            finer.entry(largest).or_default().insert(1 + rng.bits() % (n - 1));
            close(&mut finer, links, true);
        }
        for &c in classes {
            let n = axes.size[c as usize];
            self.ranges[c as usize] = [&cuts, &finer].map(|marks| {
                let inner = marks.get(&c).into_iter().flatten().copied().filter(|&at| 0 < at && at < n);
                let starts: Vec<u64> = std::iter::once(0).chain(inner).collect();
                self.push(&starts, n)
            });
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn sample(
        &mut self,
        axes: &Axes,
        classes: &[u32],
        links: &[Link],
        mut kept: Marks,
        largest: u32,
        choice: Choice,
        rng: &mut Rng,
    ) {
        let length = |c: u32| axes.size[c as usize];
        let all = |marks: &mut Marks| {
            for &c in classes {
                marks.insert(c, (0..length(c)).collect());
            }
        };
        let n = length(largest);
        close(&mut kept, links, false);
        if choice.full {
            all(&mut kept);
        } else if kept.values().all(|k| k.is_empty()) && n > 0 {
            kept.entry(largest).or_default().insert(rng.bits() % n);
            close(&mut kept, links, false);
        }
        let mut more = kept.clone();
        if choice.short {
            all(&mut more);
        } else if !choice.full && !choice.exact {
            let wanted = more.get(&largest).map_or(0, |k| k.len()).max(1) as u64 + 1;
            while n > 0 && (more.entry(largest).or_default().len() as u64) < wanted.min(n) {
                more.entry(largest).or_default().insert(rng.bits() % n);
            }
            close(&mut more, links, false);
        }
        for &c in classes {
            self.ranges[c as usize] = [&kept, &more].map(|marks| {
                let from = self.all.len() as u32;
                let positions = marks.get(&c).into_iter().flatten().filter(|&&at| at < length(c));
                self.all.extend(positions.map(|&at| (at, 1)));
                (from, self.all.len() as u32)
            });
            let (a, b) = self.ranges[c as usize][0];
            self.left_out |= ((b - a) as u64) < length(c);
        }
    }
}

/// Carries marks from axes to their parts and back until nothing is new. Marks are cuts between entries, or entries.
fn close(marks: &mut Marks, links: &[Link], cuts: bool) {
    if marks.is_empty() {
        return;
    }
    loop {
        let mut new = false;
        for l in links {
            let end = l.offset + l.len + u64::from(cuts);
            let down: Vec<u64> = marks
                .get(&l.whole)
                .map(|m| m.range(l.offset..end.max(l.offset)).map(|at| at - l.offset).collect())
                .unwrap_or_default();
            if !down.is_empty() {
                let part = marks.entry(l.part).or_default();
                for at in down {
                    new |= part.insert(at);
                }
            }
            let up: Vec<u64> =
                marks.get(&l.part).map(|m| m.iter().map(|at| at + l.offset).collect()).unwrap_or_default();
            if !up.is_empty() {
                let whole = marks.entry(l.whole).or_default();
                for at in up {
                    new |= whole.insert(at);
                }
            }
        }
        if !new {
            return;
        }
    }
}

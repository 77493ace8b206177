//! Positions that belong together: those where windows are one, and those that a change of shape carries to each other. Were each axis sampled for
//! itself, hardly any entry would be left.

use super::axes::{Axes, Fold};
use super::cells::Marks;
use crate::fuzz::Rng;
use std::collections::BTreeSet;

/// The most positions that windows add to an axis.
const MAX_WINDOW: usize = 6;
/// The most entries of a tensor whose shape is changed.
const MAX_ENTRIES: usize = 1 << 10;
/// Pairs of entries that are tried: those that differ in few axes make few others.
const PAIRS: usize = 12;

/// Positions along the axes of windows and of leading entries.
pub fn samples(axes: &Axes, rng: &mut Rng) -> Marks {
    let mut out = Marks::new();
    windows(axes, rng, &mut out);
    let changed: BTreeSet<u32> =
        axes.unpads.iter().flat_map(|u| u.from.iter().chain(&u.to)).copied().collect();
    for c in &changed {
        out.entry(*c).or_default().extend(axes.pins.get(c).into_iter().flatten());
    }
    // what is made last is sampled first
    for u in axes.unpads.iter().rev() {
        unpad(axes, rng, u, &mut out);
    }
    for f in &axes.folds {
        for (many, one) in [(&f.from, &f.to), (&f.to, &f.from)] {
            if let [whole] = one.as_slice()
                && !changed.contains(whole)
            {
                let flat = flats(axes, many, &out);
                out.entry(*whole).or_default().extend(flat.iter().map(|&k| k as u64));
            }
        }
    }
    out
}

fn windows(axes: &Axes, rng: &mut Rng, out: &mut Marks) {
    for w in axes.windows.iter().rev() {
        let [p, u, x] = w.classes;
        let [stride, pad, dilation] = w.by;
        for c in [p, u] {
            let n = axes.size[c as usize];
            let own = out.entry(c).or_default();
            while own.len() < 2.min(n as usize) {
                own.insert(rng.bits() % n.max(1));
            }
        }
        let n = axes.size[x as usize] as i128;
        let sums = out[&p].iter().flat_map(|&a| out[&u].iter().map(move |&b| (a, b)));
        let found: Vec<u64> = sums
            .map(|(a, b)| a as i128 * stride as i128 + b as i128 * dilation as i128 - pad as i128)
            .filter(|at| (0..n).contains(at))
            .map(|at| at as u64)
            .collect();
        let own = out.entry(x).or_default();
        own.extend(found.into_iter().take(MAX_WINDOW));
    }
}

/// The row-major positions of all entries whose axes are at their marks.
fn flats(axes: &Axes, run: &[u32], marks: &Marks) -> Vec<u128> {
    let mut out = vec![0u128];
    for c in run {
        let (n, none) = (axes.size[*c as usize] as u128, Default::default());
        let own = marks.get(c).unwrap_or(&none);
        out = out
            .iter()
            .flat_map(|&k| own.iter().map(move |&at| k.saturating_mul(n).saturating_add(at as u128)))
            .take(MAX_ENTRIES)
            .collect();
    }
    out
}

/// Adds the positions along each axis of entries with these row-major positions.
fn unfold(axes: &Axes, run: &[u32], flats: &[u128], marks: &mut Marks) {
    for &flat in flats {
        let mut rest = flat;
        for c in run.iter().rev() {
            let n = axes.size[*c as usize].max(1) as u128;
            marks.entry(*c).or_default().insert((rest % n) as u64);
            rest /= n;
        }
    }
}

/// One entry or two of what is made, and what they are made from.
fn unpad(axes: &Axes, rng: &mut Rng, u: &Fold, marks: &mut Marks) {
    for c in &u.to {
        let n = axes.size[*c as usize];
        let own = marks.entry(*c).or_default();
        if own.is_empty() && n > 0 {
            own.insert(rng.bits() % n);
        }
    }
    let mut best: Option<(usize, Marks)> = None;
    for _ in 0..PAIRS {
        let mut more = marks.clone();
        if !u.to.is_empty() {
            let c = rng.pick(&u.to);
            let n = axes.size[c as usize].max(1);
            more.entry(c).or_default().insert(rng.bits() % n);
        }
        let flat = flats(axes, &u.to, &more);
        unfold(axes, &u.from, &flat, &mut more);
        let size = u.from.iter().fold(1usize, |p, c| p.saturating_mul(more.get(c).map_or(1, |m| m.len())));
        // two entries rather than one
        let cost = if flat.len() == 1 { MAX_ENTRIES } else { size };
        if best.as_ref().is_none_or(|b| cost < b.0) {
            best = Some((cost, more));
        }
    }
    if let Some((_, found)) = best {
        *marks = found;
    }
}

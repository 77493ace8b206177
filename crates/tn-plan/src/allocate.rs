//! Offsets of buffers in an arena.
//!
//! Lifetimes are known, so this is offline packing of rectangles that may move up and down only (dynamic storage allocation). Several
//! orders of first fit and best fit are tried and the best is kept; one that reaches the largest sum of live lengths is optimal.
//! Lengths that depend on run-time sizes are polynomials: those that are multiples of one monomial are packed exactly in units of it, others
//! get slots that are used again when lifetimes are disjoint and one length dominates the other. There is no padding.

use std::collections::BTreeMap;
use tn_ir::size::{Monomial, Poly, SymbolId};

/// A buffer that needs a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Elements.
    pub len: Poly,
    /// First and last position at which it is live.
    pub live: (u32, u32),
}

/// Places for all blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// One for each block.
    pub offsets: Vec<Poly>,
    /// Elements of the arena.
    pub len: Poly,
}

/// Largest number of blocks for which the quadratic heuristics are tried.
const QUADRATIC: usize = 3000;
/// Rounds in which the block that stands highest goes first in the next round.
const RAISES: usize = 60;
/// Pairs of blocks that those rounds may look at in all of an order's rounds: a packing must not take longer than the search.
const RAISE_WORK: usize = 2_000_000;

/// Places all blocks so that no two that are live at once overlap, at any run-time sizes. `hint` gives the sizes that decide between orders.
pub fn allocate(blocks: &[Block], hint: impl Fn(SymbolId) -> i64) -> Layout {
    let mut offsets = vec![Poly::zero(); blocks.len()];
    let mut groups: BTreeMap<Monomial, Vec<usize>> = BTreeMap::new();
    let mut general = Vec::new();
    for (i, b) in blocks.iter().enumerate() {
        let mut terms = b.len.terms();
        match (terms.next(), terms.next()) {
            (None, _) => {}
            (Some((m, _)), None) => groups.entry(m.clone()).or_default().push(i),
            _ => general.push(i),
        }
    }
    let mut end = Poly::zero();
    for (monomial, members) in groups {
        let unit =
            monomial.iter().fold(Poly::one(), |p, &(s, e)| (0..e).fold(p, |p, _| &p * &Poly::symbol(s)));
        let pieces: Vec<Piece> = members
            .iter()
            .map(|&i| Piece {
                len: blocks[i].len.terms().next().map_or(0, |t| t.1.max(0)),
                live: blocks[i].live,
            })
            .collect();
        let (places, total) = pack(&pieces);
        for (&i, place) in members.iter().zip(places) {
            offsets[i] = &end + &(&Poly::constant(place) * &unit);
        }
        end = &end + &(&Poly::constant(total) * &unit);
    }
    let len = slots(blocks, &general, end, &mut offsets, hint);
    Layout { offsets, len }
}

/// Largest sum of the lengths that are live at once: no layout is shorter.
pub fn lower_bound(blocks: &[Block], mut hint: impl FnMut(SymbolId) -> i64) -> i128 {
    let pieces: Vec<Piece> =
        blocks.iter().map(|b| Piece { len: b.len.eval(&mut hint).max(0), live: b.live }).collect();
    max_live(&pieces)
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    len: i128,
    live: (u32, u32),
}

/// Slots for blocks of any polynomial length, from `start` on; returns the end.
fn slots(
    blocks: &[Block],
    members: &[usize],
    start: Poly,
    offsets: &mut [Poly],
    hint: impl Fn(SymbolId) -> i64,
) -> Poly {
    struct Slot {
        len: Poly,
        /// Ends of what lies in it, by begin.
        lives: BTreeMap<u32, u32>,
    }
    let mut order: Vec<usize> = members.to_vec();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].len.eval(&hint)), blocks[i].live.0, i));
    let (mut all, mut slot_of): (Vec<Slot>, Vec<usize>) = (vec![], vec![0; blocks.len()]);
    for i in order {
        let Block { len, live } = &blocks[i];
        let free = |s: &Slot| s.lives.range(..=live.1).next_back().is_none_or(|(_, &e)| e < live.0);
        let fits = all.iter().position(|s| free(s) && len.dominated_by(&s.len));
        let grows = || {
            // Growing a slot pays if it costs less than a new one.
            all.iter().position(|s| {
                let more = &s.len.upper(len) - &s.len;
                free(s) && more.eval(&hint) < len.eval(&hint)
            })
        };
        let at = fits.or_else(grows).unwrap_or_else(|| {
            all.push(Slot { len: Poly::zero(), lives: BTreeMap::new() });
            all.len() - 1
        });
        all[at].len = all[at].len.upper(len);
        all[at].lives.insert(live.0, live.1);
        slot_of[i] = at;
    }
    let (mut end, mut begins) = (start, Vec::with_capacity(all.len()));
    for s in &all {
        begins.push(end.clone());
        end = &end + &s.len;
    }
    for &i in members {
        offsets[i] = begins[slot_of[i]].clone();
    }
    end
}

fn max_live(pieces: &[Piece]) -> i128 {
    let mut events: Vec<(u32, bool, i128)> = Vec::with_capacity(2 * pieces.len());
    for p in pieces {
        // At one position, what begins there meets what ends there.
        events.push((p.live.0, false, p.len));
        events.push((p.live.1, true, -p.len));
    }
    events.sort();
    let (mut live, mut most) = (0, 0);
    for (_, _, change) in events {
        live += change;
        most = most.max(live);
    }
    most
}

/// Packs pieces; the best of several heuristics.
fn pack(pieces: &[Piece]) -> (Vec<i128>, i128) {
    let bound = max_live(pieces);
    let mut best = sweep(pieces);
    if best.1 == bound || pieces.len() > QUADRATIC {
        return best;
    }
    let span = |p: &Piece| i128::from(p.live.1 - p.live.0) + 1;
    let keys: [fn(&Piece, i128) -> i128; 4] =
        [|p, _| -p.len, |p, s| -p.len.saturating_mul(s), |_, s| -s, |p, _| i128::from(p.live.0)];
    for key in keys {
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.sort_by_key(|&i| (key(&pieces[i], span(&pieces[i])), -pieces[i].len, i));
        for tight in [false, true] {
            let rounds = (RAISE_WORK / pieces.len().pow(2).max(1)).clamp(1, RAISES);
            let mut order = order.clone();
            for _ in 0..rounds {
                let made = fit(pieces, &order, tight);
                let highest = (0..pieces.len()).max_by_key(|&i| (made.0[i] + pieces[i].len, i));
                if made.1 < best.1 {
                    best = made;
                }
                if best.1 == bound {
                    return best;
                }
                if let Some(at) = highest.and_then(|h| order.iter().position(|&i| i == h)) {
                    let h = order.remove(at);
                    order.insert(0, h);
                }
            }
        }
    }
    best
}

/// Places pieces in the given order at the lowest place that is free for their whole life, or (`tight`) in the smallest gap.
fn fit(pieces: &[Piece], order: &[usize], tight: bool) -> (Vec<i128>, i128) {
    let mut places = vec![0; pieces.len()];
    // what is placed, by begin and end: a look along it is all that a piece takes
    let mut done: Vec<(i128, i128, (u32, u32))> = Vec::with_capacity(pieces.len());
    let mut total = 0;
    for &i in order {
        let p = &pieces[i];
        let (mut end, mut best): (i128, Option<(i128, i128)>) = (0, None);
        for &(from, to, live) in &done {
            if live.0 > p.live.1 || p.live.0 > live.1 {
                continue;
            }
            let gap = from - end;
            if gap >= p.len && best.is_none_or(|b| tight && gap < b.0) {
                best = Some((gap, end));
                if !tight {
                    break;
                }
            }
            end = end.max(to);
        }
        places[i] = best.map_or(end, |b| b.1);
        let placed = (places[i], places[i] + p.len, p.live);
        total = total.max(placed.1);
        let at = done.partition_point(|d| (d.0, d.1) <= (placed.0, placed.1));
        done.insert(at, placed);
    }
    (places, total)
}

/// Follows time: what begins takes the smallest gap that fits, or grows the arena; what ended gives its place back.
fn sweep(pieces: &[Piece]) -> (Vec<i128>, i128) {
    let mut begins: Vec<usize> = (0..pieces.len()).collect();
    begins.sort_by_key(|&i| (pieces[i].live.0, -pieces[i].len, i));
    let mut ends: Vec<usize> = (0..pieces.len()).collect();
    ends.sort_by_key(|&i| (pieces[i].live.1, i));
    let (mut places, mut total) = (vec![0i128; pieces.len()], 0i128);
    // Gaps below `total`: end by begin.
    let mut gaps: BTreeMap<i128, i128> = BTreeMap::new();
    let mut over = 0;
    for i in begins {
        let p = &pieces[i];
        while over < ends.len() && pieces[ends[over]].live.1 < p.live.0 {
            let e = ends[over];
            over += 1;
            if pieces[e].len > 0 {
                release(&mut gaps, places[e], places[e] + pieces[e].len);
            }
        }
        if p.len == 0 {
            continue;
        }
        let found = gaps.iter().filter(|(b, e)| **e - **b >= p.len).min_by_key(|(b, e)| (**e - **b, **b));
        let at = match found.map(|(&b, &e)| (b, e)) {
            Some((b, e)) => {
                gaps.remove(&b);
                if b + p.len < e {
                    gaps.insert(b + p.len, e);
                }
                b
            }
            None => {
                // A gap that reaches the end grows.
                let last = gaps.iter().next_back().map(|(&b, &e)| (b, e)).filter(|g| g.1 == total);
                let at = last.map_or(total, |g| g.0);
                gaps.remove(&at);
                total = at + p.len;
                at
            }
        };
        places[i] = at;
    }
    (places, total)
}

fn release(gaps: &mut BTreeMap<i128, i128>, mut from: i128, mut to: i128) {
    if let Some((&b, &e)) = gaps.range(..from).next_back()
        && e == from
    {
        gaps.remove(&b);
        from = b;
    }
    if let Some(e) = gaps.remove(&to) {
        to = e;
    }
    gaps.insert(from, to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn overlap_free(blocks: &[Block], layout: &Layout, b: i64) -> bool {
        let at = |p: &Poly| p.eval(|_| b);
        (0..blocks.len()).all(|i| {
            at(&layout.offsets[i]) + at(&blocks[i].len) <= at(&layout.len)
                && (0..i).all(|j| {
                    let (x, y) = (&blocks[i], &blocks[j]);
                    let apart = x.live.1 < y.live.0 || y.live.1 < x.live.0;
                    let (p, q) = (at(&layout.offsets[i]), at(&layout.offsets[j]));
                    apart || p + at(&x.len) <= q || q + at(&y.len) <= p
                })
        })
    }

    proptest! {
        #[test]
        fn live_blocks_never_overlap(
            raw in proptest::collection::vec((0u64..9, 0u64..5, 0u64..3, 0u32..30, 0u32..9), 1..40)
        ) {
            let b = Poly::symbol(SymbolId(0));
            let blocks: Vec<Block> = raw
                .iter()
                .map(|&(c, l, q, from, long)| {
                    let square = &(&b * &b) * &Poly::from(q);
                    Block {
                        len: &(&Poly::from(c) + &(&b * &Poly::from(l))) + &square,
                        live: (from, from + long),
                    }
                })
                .collect();
            let layout = allocate(&blocks, |_| 7);
            for size in [0, 1, 7, 1000] {
                prop_assert!(overlap_free(&blocks, &layout, size));
                prop_assert!(layout.len.eval(|_| size) >= lower_bound(&blocks, |_| size));
            }
        }

        #[test]
        fn lengths_known_in_advance_pack_tightly(
            raw in proptest::collection::vec((1u64..100, 0u32..40, 0u32..6), 1..60)
        ) {
            let blocks: Vec<Block> =
                raw.iter().map(|&(c, from, long)| Block { len: c.into(), live: (from, from + long) }).collect();
            let layout = allocate(&blocks, |_| 1);
            let (made, least) = (layout.len.eval(|_| 1), lower_bound(&blocks, |_| 1));
            prop_assert!(overlap_free(&blocks, &layout, 1));
            prop_assert!(made as f64 <= 1.35 * least as f64, "{made} against {least}");
        }
    }

    #[test]
    fn a_chain_of_temporaries_needs_two() {
        let blocks: Vec<Block> = (0..100).map(|i| Block { len: 10.into(), live: (i, i + 1) }).collect();
        assert_eq!(allocate(&blocks, |_| 1).len, Poly::from(20));
    }
}

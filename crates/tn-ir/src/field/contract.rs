//! Sums of products over a few cells: the one loop nest that both evaluators use, and an order for a product of many factors.

use super::cells::Cells;
use super::number::Number;
use crate::fuzz::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where more factors carry a label, nobody looks whether they are used up: its own turn will come.
const FEW: usize = 16;

/// One loop of a sum of products.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    /// The class of the axis.
    pub class: u32,
    /// Rounds.
    pub size: usize,
    /// Steps in the operands and in the result.
    pub a: usize,
    /// See `a`.
    pub b: usize,
    /// See `a`.
    pub out: usize,
    /// Every round counts as often as its cell is long.
    pub weighted: bool,
}

/// `out += Σ weight · a · b` over all rounds, outermost loop first; `out` is given.
pub fn accumulate<N: Number>(
    loops: &[Loop],
    cells: &Cells,
    (a, conj_a): (&[N], bool),
    (b, conj_b): (&[N], bool),
    out: &mut [N],
    scratch: &mut Scratch<N>,
) {
    // how often everything counts, and whether that is not once
    let (mut factor, mut unlike) = (N::one(), false);
    let inner = &mut scratch.loops;
    inner.clear();
    for l in loops {
        match l.size {
            0 => return,
            1 if l.weighted => {
                let n = cells.of(l.class)[0].1;
                if n != 1 {
                    (factor, unlike) = (factor.mul(N::natural(n)), true);
                }
            }
            1 => {}
            _ => {
                let long = || cells.of(l.class).iter().any(|&(_, n)| n != 1);
                let l = Loop { weighted: l.weighted && long(), ..*l };
                // two loops that step alike through everything are one
                let outer = inner.last_mut().filter(|o| !o.weighted && !l.weighted);
                let steps = |o: &Loop| [o.a, o.b, o.out] == [l.a, l.b, l.out].map(|step| step * l.size);
                match outer.filter(|o| steps(o)) {
                    Some(outer) => *outer = Loop { size: outer.size * l.size, ..l },
                    None => inner.push(l),
                }
            }
        }
    }
    let read_a = |k: usize| if conj_a { a[k].conj() } else { a[k] };
    let read_b = |k: usize| if conj_b { b[k].conj() } else { b[k] };
    // the innermost loops as a list of rounds: without counters, and short loops are what there is most of
    let (rounds, count, weight) = (&mut scratch.rounds, &mut scratch.count, &mut scratch.weight);
    rounds.clear();
    rounds.push(Round { a: 0, b: 0, out: 0, weight: N::one() });
    let mut weighted = false;
    while let Some(l) = inner.pop_if(|l| rounds.len() == 1 || l.size * rounds.len() <= BLOCK) {
        weighted |= l.weighted;
        let block = rounds.len();
        for k in 1..l.size {
            for at in 0..block {
                let r = rounds[at];
                rounds.push(Round { a: r.a + k * l.a, b: r.b + k * l.b, out: r.out + k * l.out, ..r });
            }
        }
        if l.weighted {
            let runs = cells.of(l.class).iter().map(|&(_, n)| N::natural(n));
            for (own, n) in rounds.chunks_mut(block).zip(runs) {
                own.iter_mut().for_each(|r| r.weight = r.weight.mul(n));
            }
        }
    }
    let plain = !unlike && inner.iter().all(|l| !l.weighted);
    let depth = inner.len();
    count.clear();
    count.resize(depth, 0);
    weight.clear();
    weight.resize(depth + 1, factor);
    let (mut ia, mut ib, mut io) = (0, 0, 0);
    let mut changed = 0;
    loop {
        for d in changed..depth {
            let l = inner[d];
            weight[d + 1] = match l.weighted {
                true => weight[d].mul(N::natural(cells.of(l.class)[count[d]].1)),
                false => weight[d],
            };
        }
        let w = weight[depth];
        for r in rounds.iter() {
            let mut x = read_a(ia + r.a).mul(read_b(ib + r.b));
            if weighted {
                x = x.mul(r.weight);
            }
            if !plain {
                x = x.mul(w);
            }
            let o = &mut out[io + r.out];
            *o = o.add(x);
        }
        let mut d = depth;
        loop {
            if d == 0 {
                return;
            }
            d -= 1;
            let l = inner[d];
            count[d] += 1;
            (ia, ib, io) = (ia + l.a, ib + l.b, io + l.out);
            if count[d] < l.size {
                break;
            }
            (ia, ib, io) = (ia - l.size * l.a, ib - l.size * l.b, io - l.size * l.out);
            count[d] = 0;
        }
        changed = d;
    }
}

/// Rounds of the innermost loops that are listed.
const BLOCK: usize = 64;

/// A round of the innermost loops: where it reads and adds, from where the outer loops stand, and how often it counts.
#[derive(Clone, Copy)]
struct Round<N> {
    a: usize,
    b: usize,
    out: usize,
    weight: N,
}

/// Buffers that are used again.
#[derive(Default)]
pub struct Scratch<N> {
    loops: Vec<Loop>,
    count: Vec<usize>,
    weight: Vec<N>,
    rounds: Vec<Round<N>>,
    /// Loops of the caller.
    pub own: Vec<Loop>,
}

impl<N> Scratch<N> {
    /// Empty buffers.
    pub fn new() -> Scratch<N> {
        Scratch { loops: vec![], count: vec![], weight: vec![], rounds: vec![], own: vec![] }
    }
}

/// Adds to `own` what axes with these labels say of the loops: the k-th axis steps through the loop of its label.
pub fn stride<N>(
    scratch: &mut Scratch<N>,
    labels: &[u32],
    classes: &[u32],
    cells: &Cells,
    mut step: impl FnMut(&mut Loop, usize),
) {
    let mut run = 1;
    for (&l, &class) in labels.iter().zip(classes).rev() {
        let size = cells.count(class);
        let l = l as usize;
        if scratch.own.len() <= l {
            let empty = Loop { class, size: 1, a: 0, b: 0, out: 0, weighted: false };
            scratch.own.resize(l + 1, empty);
        }
        let own = &mut scratch.own[l];
        (own.class, own.size) = (class, size);
        step(own, run);
        run *= size;
    }
}

/// A step of a product: these factors are multiplied, and summed over the labels that the result lacks.
#[derive(Clone, Debug)]
pub struct Step {
    /// Positions of the factors: those of the product, then results of earlier steps.
    pub factors: Vec<u32>,
    /// Labels of the result.
    pub out: Vec<u32>,
}

/// Steps that multiply tensors with these labels, by the smallest result first, the last one into the labels `open`; axes are made coarser until
/// every result has at most `most` entries. `class` is the class of each label; labels of one cell are left out of all steps.
pub fn order(
    tensors: &[Vec<u32>],
    class: &[u32],
    open: &[u32],
    cells: &mut Cells,
    most: u64,
    rng: &mut Rng,
) -> Vec<Step> {
    let mut is_open = vec![false; class.len()];
    open.iter().for_each(|&l| is_open[l as usize] = true);
    let active: Vec<bool> = class.iter().map(|&c| cells.count(c) != 1).collect();
    let mut labels: Vec<Vec<u32>> = tensors
        .iter()
        .map(|t| t.iter().copied().filter(|&l| active[l as usize]).collect::<Vec<u32>>())
        .collect();
    let mut carriers: Vec<Vec<u32>> = vec![vec![]; class.len()];
    for (k, t) in labels.iter().enumerate() {
        for &l in t {
            carriers[l as usize].push(k as u32);
        }
    }
    let mut dead = vec![false; labels.len()];
    let mut seen = vec![u32::MAX; class.len()];
    let mut stamp = 0;
    let mut union_of = |of: &[u32], labels: &[Vec<u32>]| {
        stamp += 1;
        let mut union: Vec<u32> = vec![];
        for &t in of {
            for &l in &labels[t as usize] {
                if seen[l as usize] != stamp {
                    seen[l as usize] = stamp;
                    union.push(l);
                }
            }
        }
        union
    };
    let entries = |union: &[u32], cells: &Cells| {
        union.iter().fold(1u64, |p, &l| p.saturating_mul(cells.count(class[l as usize]) as u64))
    };
    let mut heap: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    for l in 0..class.len() as u32 {
        if active[l as usize] && !is_open[l as usize] && !carriers[l as usize].is_empty() {
            // a bound that is cheap: the true size is found when its turn comes
            heap.push(Reverse((carriers[l as usize].len() as u64, l)));
        }
    }
    let mut done = vec![false; class.len()];
    let mut steps = vec![];
    while let Some(Reverse((guess, l))) = heap.pop() {
        if done[l as usize] {
            continue;
        }
        carriers[l as usize].retain(|&t| !dead[t as usize]);
        let of = carriers[l as usize].clone();
        let union = union_of(&of, &labels);
        let size = entries(&union, cells).saturating_mul(of.len() as u64);
        if size > guess && heap.peek().is_some_and(|Reverse((next, _))| *next < size) {
            heap.push(Reverse((size, l)));
            continue;
        }
        cells.fit(&union.iter().map(|&l| class[l as usize]).collect::<Vec<_>>(), most, rng);
        let mut out = vec![];
        for &m in &union {
            // what nobody else carries is summed in the same step
            let alone = !is_open[m as usize]
                && (m == l
                    || carriers[m as usize].len() <= FEW
                        && carriers[m as usize].iter().all(|&t| dead[t as usize] || of.contains(&t)));
            if alone {
                done[m as usize] = true;
            } else {
                out.push(m);
            }
        }
        let made = labels.len() as u32;
        of.iter().for_each(|&t| dead[t as usize] = true);
        for &m in &out {
            carriers[m as usize].push(made);
        }
        labels.push(out.clone());
        dead.push(false);
        steps.push(Step { factors: of, out });
    }
    let rest = (0..labels.len() as u32).filter(|&t| !dead[t as usize]).collect();
    cells.fit(&open.iter().map(|&l| class[l as usize]).collect::<Vec<_>>(), most, rng);
    steps.push(Step { factors: rest, out: open.to_vec() });
    steps
}

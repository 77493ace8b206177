//! All splits of a set, ruled out eight at a time.
//!
//! A split of s is a set c and the rest of s, c xor s. Of the sets that differ in the lowest three leaves alone the table has the figures side by
//! side, and those of their complements in s are a block of the table too, in an order that the lowest leaves of s say: so a block is met with a block.

/// Sets in a block.
pub(super) const LANES: usize = 8;
const BITS: u32 = LANES.trailing_zeros();

/// A figure of the sets of a block.
pub(super) type Row = [f32; LANES];

/// Two figures of every set.
#[derive(Default)]
pub(super) struct Table(Vec<[Row; 2]>);

impl Table {
    /// Forgets all; of every set the first figure is infinite then, the second zero.
    pub fn reset(&mut self, sets: usize) {
        self.0.clear();
        self.0.resize(sets.div_ceil(LANES), [[f32::INFINITY; LANES], [0.0; LANES]]);
    }

    #[inline(always)]
    pub fn get(&self, set: usize) -> [f32; 2] {
        let block = &self.0[set / LANES];
        [block[0][set % LANES], block[1][set % LANES]]
    }

    #[inline(always)]
    pub fn set(&mut self, set: usize, which: usize, figure: f32) {
        self.0[set / LANES][which][set % LANES] = figure;
    }
}

/// What a split has to pass, by the figures of its two sets.
#[derive(Clone, Copy)]
pub(super) enum Filter<'a> {
    /// A value and the factor in the multiply-adds each.
    Factors(Factors),
    /// The same, and a value with the traffic each.
    Moved(Factors, &'a [Row]),
    /// The values and this together.
    Sum(f32),
    /// The larger of the values.
    Larger,
    /// A value and what the set holds while the other is computed, each, and what the result holds.
    Held(f32),
}

/// What the factors of two operands are taken to be worth.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    /// The factor of the result, rounded down.
    pub root: f32,
    /// What of the product is in the bar already.
    pub own: f32,
    /// The traffic of an operand is at least this many squares of its factor.
    pub square: f32,
}

impl Factors {
    /// The least value of a split.
    #[inline(always)]
    pub fn value(self, x: [f32; 2], y: [f32; 2]) -> f32 {
        let more = x[1] * y[1] * self.root - self.own;
        let moved = self.square * (x[1] * x[1] + y[1] * y[1]);
        x[0] + y[0] + larger(more, moved)
    }
}

/// Goes over the splits of a set, each once.
pub(super) struct Scan {
    /// The lowest leaves of the set, and the others.
    low: usize,
    high: usize,
    /// Of the others those that the first part may have.
    rest: usize,
    /// Of the sets in a block, by bits, those that may be the first part.
    lanes: u32,
    /// The block that is next, if there is one.
    next: Option<usize>,
}

impl Scan {
    /// The lowest leaf of the set is always in the second part: first parts come from the largest number to the smallest.
    pub fn ordered(set: usize) -> Self {
        let parts = set & (set - 1);
        let lanes = (0..LANES).filter(|j| j & !(parts % LANES) == 0).fold(0, |m, j| m | 1 << j);
        let rest = parts >> BITS;
        Self { low: set % LANES, high: set >> BITS, rest, lanes, next: Some(rest) }
    }

    /// The highest leaf of the set is: half as many blocks, in an order that depends on the leaves.
    pub fn fast(set: usize) -> Self {
        let high = set >> BITS;
        let rest = high & !(high.checked_ilog2().map_or(0, |top| 1 << top));
        Self { low: set % LANES, high, rest, lanes: u32::MAX, next: Some(rest) }
    }

    /// The next parts that may pass this bar: they have these leaves and differ in the lowest ones; the bits say in which.
    pub fn next(&mut self, table: &Table, filter: Filter<'_>, cut: f32) -> Option<(usize, u32)> {
        loop {
            let (at, hits) = next_block(&table.0, filter, cut, self)?;
            self.next = (at != 0).then(|| (at - 1) & self.rest);
            if hits & self.lanes != 0 {
                return Some((at << BITS, hits & self.lanes));
            }
        }
    }
}

/// The first block from the next one on with a split that passes, and which of its sets do.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn next_block(table: &[[Row; 2]], filter: Filter<'_>, cut: f32, s: &Scan) -> Option<(usize, u32)> {
    match s.low {
        0 => by_filter::<0>(table, filter, cut, s),
        1 => by_filter::<1>(table, filter, cut, s),
        2 => by_filter::<2>(table, filter, cut, s),
        3 => by_filter::<3>(table, filter, cut, s),
        4 => by_filter::<4>(table, filter, cut, s),
        5 => by_filter::<5>(table, filter, cut, s),
        6 => by_filter::<6>(table, filter, cut, s),
        _ => by_filter::<7>(table, filter, cut, s),
    }
}

/// The same where the lowest leaves of the set are known.
#[inline(always)]
fn by_filter<const LOW: usize>(
    table: &[[Row; 2]],
    filter: Filter<'_>,
    cut: f32,
    s: &Scan,
) -> Option<(usize, u32)> {
    match filter {
        Filter::Factors(f) => first::<LOW>(table, cut, s, |_, _, x, y| f.value(x, y)),
        Filter::Moved(f, moved) => first::<LOW>(table, cut, s, |at, j, x, y| {
            larger(f.value(x, y), moved[at][j] + moved[s.high ^ at][j ^ LOW])
        }),
        Filter::Sum(more) => first::<LOW>(table, cut, s, |_, _, x, y| x[0] + y[0] + more),
        Filter::Larger => first::<LOW>(table, cut, s, |_, _, x, y| larger(x[0], y[0])),
        Filter::Held(size) => {
            first::<LOW>(table, cut, s, |_, _, x, y| larger(larger(x[0], y[0]), x[1] + y[1] + size))
        }
    }
}

/// The larger of two numbers that are none of them undefined.
#[inline(always)]
fn larger(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

/// The same where the least value of a split is known by the block, the set in it, and the figures of both parts.
#[inline(always)]
fn first<const LOW: usize>(
    table: &[[Row; 2]],
    cut: f32,
    s: &Scan,
    value: impl Fn(usize, usize, [f32; 2], [f32; 2]) -> f32,
) -> Option<(usize, u32)> {
    let mut at = s.next?;
    // sets with other leaves are no parts: nothing that is undefined is below a bar, an infinite one included
    let none: Row = std::array::from_fn(|j| if j & !LOW == 0 { 0.0 } else { f32::NAN });
    loop {
        let (c, a) = (&table[at], &table[s.high ^ at]);
        let least: Row = std::array::from_fn(|j| {
            none[j] + value(at, j, [c[0][j], c[1][j]], [a[0][j ^ LOW], a[1][j ^ LOW]])
        });
        if least.iter().fold(false, |any, &v| any | (v <= cut)) {
            return Some((at, (0..LANES).filter(|&j| least[j] <= cut).fold(0, |m, j| m | 1 << j)));
        }
        if at == 0 {
            return None;
        }
        at = (at - 1) & s.rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures that tell sets apart.
    fn table(sets: usize) -> Table {
        let mut t = Table::default();
        t.reset(sets);
        for s in 1..sets {
            t.set(s, 0, (s * 7 % 13) as f32);
            t.set(s, 1, (s * 5 % 11) as f32);
        }
        t
    }

    #[test]
    fn all_splits_that_pass_are_seen_once_or_with_their_mirror() {
        let sets = 1 << 7;
        let t = table(sets);
        let f = Factors { root: 0.5, own: 1.0, square: 0.125 };
        let moved: Vec<Row> = (0..sets / LANES)
            .map(|at| std::array::from_fn(|j| ((at * LANES + j) * 3 % 17) as f32 + 20.0))
            .collect();
        let row = |s: usize| moved[s / LANES][s % LANES];
        let value = |filter: Filter<'_>, c: usize, a: usize| {
            let (x, y) = (t.get(c), t.get(a));
            match filter {
                Filter::Factors(f) => f.value(x, y),
                Filter::Moved(f, _) => f.value(x, y).max(row(c) + row(a)),
                Filter::Sum(more) => x[0] + y[0] + more,
                Filter::Larger => x[0].max(y[0]),
                Filter::Held(size) => x[0].max(y[0]).max(x[1] + y[1] + size),
            }
        };
        for filter in [
            Filter::Factors(f),
            Filter::Moved(f, &moved),
            Filter::Sum(2.0),
            Filter::Larger,
            Filter::Held(1.5),
        ] {
            for set in 1..sets {
                for cut in [6.0, 20.0, 45.0, f32::INFINITY] {
                    for (mut scan, in_order) in [(Scan::ordered(set), true), (Scan::fast(set), false)] {
                        let (mut seen, mut last) = (vec![0; sets], sets);
                        while let Some((high, hits)) = scan.next(&t, filter, cut) {
                            for c in (0..LANES).rev().filter(|j| hits >> j & 1 == 1).map(|j| high | j) {
                                assert_eq!(c & !set, 0, "a part has leaves of the set alone");
                                assert!(!in_order || c < last);
                                seen[c] += 1;
                                last = c;
                            }
                        }
                        for c in (1..set).filter(|c| c & !set == 0) {
                            let want = usize::from(value(filter, c, set ^ c) <= cut);
                            let both = !in_order && set < LANES;
                            assert!(
                                seen[c] <= 1
                                    && (!in_order || c & set & set.wrapping_neg() == 0 || seen[c] == 0)
                            );
                            assert_eq!(seen[c] + seen[set ^ c], want * (1 + usize::from(both)), "{set} {c}");
                        }
                    }
                }
            }
        }
    }
}

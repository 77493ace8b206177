//! Isometries that meet their conjugates.
//!
//! If a factor `w: isometry([from] -> [to])` and its conjugate share all indices of `to`, and nothing else carries these, their product is the
//! identity on `from`: both go, and the indices of `from` are identified pairwise. A unitary cancels from either side. Repeated until nothing
//! cancels, this shrinks an expectation value of a MERA or of a circuit to its causal cone (Vidal 2008, "Class of quantum many-body states that can be
//! efficiently simulated"). It is done before the search, so that orders are sought for the cone only.
//!
//! What is computed is the same on all values that have the declared structure. Where a gradient of such a leaf is wanted, it is
//! the gradient of the smaller product: it agrees with that of the product as written along the isometries, and differs in directions that leave them.

use crate::program::{IndexId, LeafId, Node, NodeId, Program, Structure};
use crate::region::RegionInput;
use crate::slip::slip;
use std::collections::{HashMap, VecDeque};

/// The factors of a region while it is flattened, with the classes of indices that are identified.
pub(crate) struct Factors<'a> {
    pub program: &'a Program,
    pub inputs: Vec<RegionInput>,
    /// Union-find over local indices; roots of classes with an open index are that index.
    pub parent: Vec<u32>,
    /// Where each local index came from; those below `open` are open.
    pub origin: &'a [IndexId],
    pub open: usize,
}

/// The representative of a class; paths are halved on the way, so that long rows of copies stay near-linear.
pub(crate) fn find(parent: &mut [u32], mut i: u32) -> u32 {
    while parent[i as usize] != i {
        parent[i as usize] = parent[parent[i as usize] as usize];
        i = parent[i as usize];
    }
    i
}

/// A factor's leg: (factor, position).
type Leg = (u32, u32);

struct Cancelling<'a> {
    factors: Factors<'a>,
    alive: Vec<bool>,
    left: usize,
    /// The legs on each class, by its root; legs of dead factors are dropped when seen.
    legs: Vec<Vec<Leg>>,
    has_open: Vec<bool>,
}

/// Cancels all that meets, and returns the leaves that did, once for each pair. A product always keeps a factor: its last pair stays.
pub(crate) fn cancel(mut factors: Factors<'_>) -> (Factors<'_>, Vec<NodeId>) {
    let structured = |i: &RegionInput| leaf_of(factors.program, i.value).is_some_and(|(_, s)| s.is_some());
    if !factors.inputs.iter().any(structured) {
        return (factors, vec![]);
    }
    let n = factors.origin.len();
    let (mut legs, mut has_open) = (vec![Vec::new(); n], vec![false; n]);
    for (k, input) in factors.inputs.iter().enumerate() {
        for (position, &i) in input.indices.iter().enumerate() {
            legs[find(&mut factors.parent, i) as usize].push((k as u32, position as u32));
        }
    }
    for i in 0..factors.open as u32 {
        has_open[find(&mut factors.parent, i) as usize] = true;
    }
    let count = factors.inputs.len();
    let mut state = Cancelling { factors, alive: vec![true; count], left: count, legs, has_open };
    let mut queue: VecDeque<u32> = (0..count as u32).collect();
    let mut gone = vec![];
    while let Some(k) = queue.pop_front() {
        if state.alive[k as usize]
            && let Some(touched) = state.try_cancel(k)
        {
            gone.push(state.factors.inputs[k as usize].value);
            queue.extend(touched);
        }
    }
    let Cancelling { mut factors, alive, .. } = state;
    let mut k = 0;
    factors.inputs.retain(|_| {
        k += 1;
        alive[k - 1]
    });
    (factors, gone)
}

fn leaf_of(program: &Program, node: NodeId) -> Option<(LeafId, Option<&Structure>)> {
    match program.nodes[node].node {
        Node::Leaf(l) => Some((l, program.leaves[l].structure.as_ref())),
        _ => None,
    }
}

impl Cancelling<'_> {
    /// Cancels factor `k` with its conjugate, if they meet; returns the factors that may meet theirs now.
    fn try_cancel(&mut self, k: u32) -> Option<Vec<u32>> {
        let (_, structure) = leaf_of(self.factors.program, self.factors.inputs[k as usize].value)?;
        let s = structure?;
        let mut found = self.partner(k, &s.to).map(|p| (p, &s.from));
        if found.is_none() && (s.unitary || slip("an isometry cancels from either side")) {
            found = self.partner(k, &s.from).map(|p| (p, &s.to));
        }
        let (partner, rest) = found?;
        self.join(k, partner, rest)
    }

    /// The legs of factors that are still there on a class.
    fn live(&mut self, class: u32) -> &[Leg] {
        let alive = &self.alive;
        let legs = &mut self.legs[class as usize];
        legs.retain(|l| alive[l.0 as usize]);
        legs
    }

    fn class(&mut self, (k, position): Leg) -> u32 {
        let i = self.factors.inputs[k as usize].indices[position as usize];
        find(&mut self.factors.parent, i)
    }

    /// The conjugate of factor `k` that shares all its legs `shared` with it and with nobody else.
    fn partner(&mut self, k: u32, shared: &[u32]) -> Option<u32> {
        let first = self.class((k, *shared.first()?));
        let other = self.live(first).iter().map(|l| l.0).find(|&o| o != k)?;
        let (a, b) = (&self.factors.inputs[k as usize], &self.factors.inputs[other as usize]);
        let leaf = |i: &RegionInput| leaf_of(self.factors.program, i.value).map(|(l, _)| l);
        let complex = self.factors.program.dtype.is_complex();
        let alike = a.indices.len() == b.indices.len() && slip("any tensor of as many legs cancels");
        if leaf(a) != leaf(b) && !alike {
            return None;
        }
        if complex && a.conj == b.conj && !slip("an isometry cancels with itself") {
            return None;
        }
        for &position in shared {
            let class = self.class((k, position));
            if class != self.class((other, position)) {
                return None;
            }
            if self.has_open[class as usize] && !slip("an open leg is summed") {
                return None;
            }
            let mine = [(k, position), (other, position)];
            let live = self.live(class);
            let alone = live.len() == 2 || slip("a third factor may carry a leg");
            if !alone || !mine.iter().all(|l| live.contains(l)) {
                return None;
            }
        }
        Some(other)
    }

    /// Removes two factors whose product is the identity on their legs `rest`.
    fn join(&mut self, a: u32, b: u32, rest: &[u32]) -> Option<Vec<u32>> {
        if self.left <= 2 {
            return None;
        }
        // groups of classes that become one
        let mut group: HashMap<u32, u32> = HashMap::new();
        let top = |group: &HashMap<u32, u32>, mut c: u32| {
            while group[&c] != c {
                c = group[&c];
            }
            c
        };
        for &position in rest {
            let pair = [self.class((a, position)), self.class((b, position))];
            for c in pair {
                group.entry(c).or_insert(c);
            }
            let (x, y) = (top(&group, pair[0]), top(&group, pair[1]));
            if x != y {
                // an open index stays the representative
                let (keep, gone) = if self.has_open[y as usize] { (y, x) } else { (x, y) };
                group.insert(gone, keep);
            }
        }
        let mut classes: Vec<u32> = group.keys().copied().collect();
        classes.sort_unstable();
        // (open indices, legs of others) of each group
        let mut sums: HashMap<u32, (usize, usize)> = HashMap::new();
        for &c in &classes {
            let others = self.live(c).iter().filter(|l| l.0 != a && l.0 != b).count();
            let sum = sums.entry(top(&group, c)).or_default();
            *sum = (sum.0 + usize::from(self.has_open[c as usize]), sum.1 + others);
        }
        // one that nobody carries any more would leave a trace behind
        if sums.values().any(|&sum| sum == (0, 0)) && !slip("a trace is one") {
            return None;
        }
        self.alive[a as usize] = false;
        self.alive[b as usize] = false;
        self.left -= 2;
        let mut touched = vec![];
        for &c in &classes {
            let t = top(&group, c);
            if t != c {
                self.factors.parent[c as usize] = t;
                let moved = std::mem::take(&mut self.legs[c as usize]);
                self.legs[t as usize].extend(moved);
                self.has_open[t as usize] |= self.has_open[c as usize];
            }
        }
        for &c in classes.iter().filter(|&&c| top(&group, c) == c) {
            touched.extend(self.live(c).iter().map(|l| l.0));
        }
        Some(touched)
    }
}

//! Networks of many kinds and sizes, made from a seed: what tests and measurements run on beside the corpus.

use tn_order::Network;

/// A small counted generator (splitmix64).
pub struct Draw(pub u64);

impl Draw {
    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A random order of `0..n`.
    pub fn shuffle(&mut self, n: usize) -> Vec<usize> {
        let mut v: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            v.swap(k, self.below(k + 1));
        }
        v
    }
}

/// A network in the making.
#[derive(Default)]
pub struct Builder {
    net: Network,
}

impl Builder {
    /// A new index.
    pub fn index(&mut self, size: u64) -> u32 {
        self.net.sizes.push(size);
        self.net.sizes.len() as u32 - 1
    }

    /// A new tensor over known indices.
    pub fn tensor(&mut self, legs: Vec<u32>) -> usize {
        self.net.inputs.push(legs);
        self.net.inputs.len() - 1
    }

    /// A new index on each of some tensors.
    pub fn join(&mut self, tensors: &[usize], size: u64) -> u32 {
        let i = self.index(size);
        for &t in tensors {
            self.net.inputs[t].push(i);
        }
        i
    }

    /// The network with the given output.
    pub fn done(mut self, output: Vec<u32>) -> Network {
        self.net.output = output;
        self.net
    }

    fn empty(n: usize) -> Self {
        let mut b = Self::default();
        b.net.inputs = vec![Vec::new(); n];
        b
    }
}

/// A graph with one tensor a vertex and one index an edge.
pub fn graph(n: usize, edges: &[(usize, usize)], mut size: impl FnMut(usize) -> u64) -> Network {
    let mut b = Builder::empty(n);
    for (k, &(x, y)) in edges.iter().enumerate() {
        b.join(&[x, y], size(k));
    }
    b.done(vec![])
}

/// The edges of a lattice of any dimension, row-major; `wrap` closes every dimension of more than two sites.
pub fn lattice_edges(dims: &[usize], wrap: bool) -> (usize, Vec<(usize, usize)>) {
    let n: usize = dims.iter().product();
    let mut edges = Vec::new();
    for v in 0..n {
        let mut stride = 1;
        for &d in dims.iter().rev() {
            let x = v / stride % d;
            if x + 1 < d {
                edges.push((v, v + stride));
            } else if wrap && d > 2 {
                edges.push((v, v - (d - 1) * stride));
            }
            stride *= d;
        }
    }
    (n, edges)
}

/// A lattice with one bond size.
pub fn lattice(dims: &[usize], wrap: bool, size: u64) -> Network {
    let (n, edges) = lattice_edges(dims, wrap);
    graph(n, &edges, |_| size)
}

/// A lattice whose bonds have sizes 2 to 4 and whose sites are numbered at random.
pub fn rough_lattice(dims: &[usize], seed: u64) -> Network {
    let (n, edges) = lattice_edges(dims, false);
    let mut r = Draw(seed);
    let name = r.shuffle(n);
    let edges: Vec<_> = edges.iter().map(|&(a, b)| (name[a], name[b])).collect();
    graph(n, &edges, |_| 2 + r.below(3) as u64)
}

/// The edges of a random regular graph (by the pairing model; a few repeats and loops are dropped).
pub fn regular_edges(n: usize, degree: usize, seed: u64) -> Vec<(usize, usize)> {
    let mut r = Draw(seed);
    let stubs = r.shuffle(n * degree);
    let mut edges: Vec<_> = stubs
        .chunks_exact(2)
        .map(|p| (p[0] / degree, p[1] / degree))
        .map(|(a, b)| (a.min(b), a.max(b)))
        .filter(|e| e.0 != e.1)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// A random regular graph with bonds of size 2.
pub fn regular(n: usize, degree: usize, seed: u64) -> Network {
    graph(n, &regular_edges(n, degree, seed), |_| 2)
}

/// Every two tensors share an index.
pub fn complete(n: usize, mut size: impl FnMut(usize) -> u64) -> Network {
    let edges: Vec<_> = (0..n).flat_map(|a| (0..a).map(move |b| (b, a))).collect();
    graph(n, &edges, &mut size)
}

/// A random tree.
pub fn tree(n: usize, seed: u64) -> Network {
    let mut r = Draw(seed);
    let edges: Vec<_> = (1..n).map(|k| (r.below(k), k)).collect();
    graph(n, &edges, |k| 2 + (k % 5) as u64)
}

/// A centre and its leaves.
pub fn star(leaves: usize) -> Network {
    let edges: Vec<_> = (1..=leaves).map(|k| (0, k)).collect();
    graph(leaves + 1, &edges, |_| 2)
}

/// A product of matrices of mixed sizes; the ends are open.
pub fn chain(n: usize, sizes: &[u64]) -> Network {
    Network {
        inputs: (0..n as u32).map(|k| vec![k, k + 1]).collect(),
        output: vec![0, n as u32],
        sizes: (0..=n).map(|k| sizes[(k * 7 + k / 3) % sizes.len()]).collect(),
        needs_grad: vec![],
    }
}

/// Many rings of three.
pub fn components(count: usize) -> Network {
    let edges: Vec<_> =
        (0..count).flat_map(|k| [(3 * k, 3 * k + 1), (3 * k + 1, 3 * k + 2), (3 * k, 3 * k + 2)]).collect();
    graph(3 * count, &edges, |k| 2 + (k % 3) as u64)
}

/// An index that all of `n` tensors carry, the tensors also in a ring.
pub fn hub(n: usize) -> Network {
    let edges: Vec<_> = (0..n).map(|k| (k, (k + 1) % n)).collect();
    let mut net = graph(n, &edges, |_| 2);
    net.sizes.push(3);
    for t in &mut net.inputs {
        t.push(n as u32);
    }
    net
}

/// Space-time decoding of a `d`×`d` patch over `rounds`: a parity tensor a detector, an index an error, most errors on
/// two detectors, some on four, and a prior on every error.
pub fn decoder(d: usize, rounds: usize, hooks: bool, seed: u64) -> Network {
    let w = d - 1;
    let at = |t: usize, x: usize, y: usize| (t * d + x) * w + y;
    let mut b = Builder::empty(d * w * rounds);
    let mut r = Draw(seed);
    for t in 0..rounds {
        for x in 0..d {
            for y in 0..w {
                let mut errors: Vec<Vec<usize>> = Vec::new();
                if x + 1 < d {
                    errors.push(vec![at(t, x, y), at(t, x + 1, y)]);
                }
                if y + 1 < w {
                    errors.push(vec![at(t, x, y), at(t, x, y + 1)]);
                } else {
                    errors.push(vec![at(t, x, y)]);
                }
                if t + 1 < rounds {
                    errors.push(vec![at(t, x, y), at(t + 1, x, y)]);
                    if hooks && x + 1 < d && r.below(2) == 0 {
                        errors.push(vec![at(t, x, y), at(t + 1, x + 1, y)]);
                    }
                }
                if hooks && x + 1 < d && y + 1 < w && r.below(4) == 0 {
                    errors.push(vec![at(t, x, y), at(t, x + 1, y), at(t, x, y + 1), at(t, x + 1, y + 1)]);
                }
                for e in errors {
                    let i = b.join(&e, 2);
                    b.tensor(vec![i]);
                }
            }
        }
    }
    b.done(vec![])
}

/// A circuit of two-qubit gates given as layers of pairs: an amplitude, or with `open` the state of some qubits.
/// `diagonal` gates share an index instead of passing through a matrix.
pub fn circuit(qubits: usize, layers: &[Vec<(usize, usize)>], diagonal: bool, open: usize) -> Network {
    let mut b = Builder::default();
    let mut wire: Vec<u32> = Vec::new();
    for _ in 0..qubits {
        let i = b.index(2);
        b.tensor(vec![i]);
        wire.push(i);
    }
    for layer in layers {
        for &(x, y) in layer {
            if diagonal {
                b.tensor(vec![wire[x], wire[y]]);
            } else {
                let (i, j) = (b.index(2), b.index(2));
                b.tensor(vec![wire[x], wire[y], i, j]);
                (wire[x], wire[y]) = (i, j);
            }
        }
        for w in &mut wire {
            let i = b.index(2);
            b.tensor(vec![*w, i]);
            *w = i;
        }
    }
    for &w in &wire[open..] {
        b.tensor(vec![w]);
    }
    b.done(wire[..open].to_vec())
}

/// Layers of a brick wall on a line.
pub fn brick(qubits: usize, depth: usize) -> Vec<Vec<(usize, usize)>> {
    (0..depth).map(|t| (t % 2..qubits - 1).step_by(2).map(|k| (k, k + 1)).collect()).collect()
}

/// Layers on a grid of qubits in the order A B C D C D A B of supremacy circuits.
pub fn grid_layers(rows: usize, cols: usize, depth: usize) -> Vec<Vec<(usize, usize)>> {
    let pattern = [0, 1, 2, 3, 2, 3, 0, 1];
    (0..depth)
        .map(|t| {
            let p = pattern[t % 8];
            let mut layer = Vec::new();
            for r in 0..rows {
                for c in 0..cols {
                    let (here, even) = (r * cols + c, (r + c) % 2 == p % 2);
                    if p < 2 && even && c + 1 < cols {
                        layer.push((here, here + 1));
                    }
                    if p >= 2 && even && r + 1 < rows {
                        layer.push((here, here + cols));
                    }
                }
            }
            layer
        })
        .collect()
}

/// The expectation value of one edge's ZZ in a QAOA state on a random regular graph, without light-cone cancellation.
pub fn qaoa(qubits: usize, degree: usize, depth: usize, seed: u64) -> Network {
    let edges = regular_edges(qubits, degree, seed);
    let layers: Vec<_> = (0..depth).map(|_| edges.clone()).collect();
    circuit(qubits, &layers, true, 0)
}

/// A Bayesian network: every variable depends on up to `parents` of the `window` before it; sizes 2 to `states`.
pub fn bayes(n: usize, parents: usize, window: usize, states: u64, seed: u64) -> Network {
    let mut b = Builder::default();
    let mut r = Draw(seed);
    let vars: Vec<u32> =
        (0..n).map(|_| 2 + r.below(states as usize - 1) as u64).map(|s| b.index(s)).collect();
    for k in 0..n {
        let mut t = vec![vars[k]];
        for _ in 0..r.below(parents + 1) {
            if k > 0 {
                let p = vars[k - 1 - r.below(window.min(k))];
                if !t.contains(&p) {
                    t.push(p);
                }
            }
        }
        b.tensor(t);
    }
    b.done(vec![])
}

/// A pairwise random field on a graph: an index a vertex, a matrix an edge, a vector a vertex.
pub fn field(n: usize, edges: &[(usize, usize)], mut size: impl FnMut(usize) -> u64) -> Network {
    let mut b = Builder::default();
    let vars: Vec<u32> = (0..n).map(|k| b.index(size(k))).collect();
    for &(x, y) in edges {
        b.tensor(vec![vars[x], vars[y]]);
    }
    for &v in &vars {
        b.tensor(vec![v]);
    }
    b.done(vec![])
}

/// Random clauses of three variables: an index a variable, on as many tensors as clauses hold it.
pub fn clauses(vars: usize, count: usize, seed: u64) -> Network {
    let mut b = Builder::default();
    let mut r = Draw(seed);
    for _ in 0..vars {
        b.index(2);
    }
    for _ in 0..count {
        let mut t: Vec<u32> = Vec::new();
        while t.len() < 3 {
            let v = r.below(vars) as u32;
            if !t.contains(&v) {
                t.push(v);
            }
        }
        b.tensor(t);
    }
    b.net.inputs.retain(|t| !t.is_empty());
    b.done(vec![])
}

/// A random hypergraph: indices on 2 to `most` tensors, sizes 2 to 5, some of them in the output.
pub fn hypergraph(n: usize, indices: usize, most: usize, seed: u64) -> Network {
    let mut b = Builder::empty(n);
    let mut r = Draw(seed);
    let mut out = Vec::new();
    for _ in 0..indices {
        // small hyperedges are the frequent ones
        let k = 2 + r.below(most - 1) * r.below(most - 1) / most.max(1) * usize::from(r.below(4) == 0);
        let on: Vec<usize> = (0..k).map(|_| r.below(n)).collect();
        let mut on: Vec<usize> = on.into_iter().collect();
        on.sort_unstable();
        on.dedup();
        let size = 2 + r.below(4) as u64;
        let i = b.join(&on, size);
        if r.below(40) == 0 {
            out.push(i);
        }
    }
    b.done(out)
}

/// The norm of a projected entangled pair state, every site its own tensor in bra and ket.
pub fn peps_norm(rows: usize, cols: usize, bond: u64, cylinder: bool) -> Network {
    let (n, edges) = lattice_edges(&[rows, cols], false);
    let mut b = Builder::empty(2 * n);
    for layer in 0..2 {
        for &(x, y) in &edges {
            b.join(&[layer * n + x, layer * n + y], bond);
        }
        if cylinder {
            for r in 0..rows {
                b.join(&[layer * n + r * cols, layer * n + r * cols + cols - 1], bond);
            }
        }
    }
    for k in 0..n {
        b.join(&[k, n + k], 2);
    }
    b.done(vec![])
}

/// The norm of a binary tree tensor network over `2^levels` sites.
pub fn ttn_norm(levels: usize, bond: u64) -> Network {
    let mut b = Builder::default();
    let sites: Vec<u32> = (0..1 << levels).map(|_| b.index(2)).collect();
    for _ in 0..2 {
        let mut below = sites.clone();
        while below.len() > 1 {
            let top = below.len() == 2;
            below = below
                .chunks_exact(2)
                .map(|p| {
                    let mut t = p.to_vec();
                    let up = if top { u32::MAX } else { b.index(bond) };
                    if !top {
                        t.push(up);
                    }
                    b.tensor(t);
                    up
                })
                .collect();
        }
    }
    b.done(vec![])
}

/// The energy of a two-site operator in a binary MERA with open or periodic boundary, without cancelling isometries.
pub fn mera(levels: usize, bond: u64, wrap: bool) -> Network {
    let mut b = Builder::default();
    let n = 1usize << levels;
    let bottom: Vec<[u32; 2]> = (0..n)
        .map(|_| {
            let i = b.index(bond);
            [i, i]
        })
        .collect();
    let mut bottom = bottom;
    // the operator acts on two sites in the middle
    for s in &mut bottom[n / 2 - 1..=n / 2] {
        s[1] = b.index(bond);
    }
    let (l, r) = (bottom[n / 2 - 1], bottom[n / 2]);
    b.tensor(vec![l[0], r[0], l[1], r[1]]);
    for side in 0..2 {
        let mut wires: Vec<u32> = bottom.iter().map(|s| s[side]).collect();
        while wires.len() > 1 {
            let m = wires.len();
            if m > 2 {
                for k in 0..m / 2 {
                    let (x, y) = (2 * k + 1, (2 * k + 2) % m);
                    if y == 0 && !wrap {
                        continue;
                    }
                    let (i, j) = (b.index(bond), b.index(bond));
                    b.tensor(vec![wires[x], wires[y], i, j]);
                    (wires[x], wires[y]) = (i, j);
                }
            }
            wires = wires
                .chunks_exact(2)
                .map(|p| {
                    let mut t = p.to_vec();
                    let up = if m == 2 { u32::MAX } else { b.index(bond) };
                    if m > 2 {
                        t.push(up);
                    }
                    b.tensor(t);
                    up
                })
                .collect();
        }
    }
    b.done(vec![])
}

/// `⟨state| operator |state⟩` of matrix product form, with a batch index over many states.
pub fn mpo_sandwich(n: usize, bond: u64, op: u64, batch: Option<u64>) -> Network {
    let mut b = Builder::empty(3 * n);
    for k in 0..n {
        b.join(&[k, n + k], 2);
        b.join(&[n + k, 2 * n + k], 2);
        if k + 1 < n {
            b.join(&[k, k + 1], bond);
            b.join(&[n + k, n + k + 1], op);
            b.join(&[2 * n + k, 2 * n + k + 1], bond);
        }
    }
    let mut out = vec![];
    if let Some(size) = batch {
        let all: Vec<usize> = (0..n).chain(2 * n..3 * n).collect();
        out.push(b.join(&all, size));
    }
    b.done(out)
}

/// A layer of a network in canonical polyadic form with a batch: hyperedges for rank and batch.
pub fn polyadic(modes: usize, rank: u64, batch: u64) -> Network {
    let mut b = Builder::default();
    let (i, o, r, n) = (
        (0..modes).map(|k| 4 + k as u64).map(|s| b.index(s)).collect::<Vec<_>>(),
        (0..modes).map(|k| 3 + k as u64).map(|s| b.index(s)).collect::<Vec<_>>(),
        b.index(rank),
        b.index(batch),
    );
    b.tensor(std::iter::once(n).chain(i.iter().copied()).collect());
    for &k in i.iter().chain(&o) {
        b.tensor(vec![r, k]);
    }
    b.done(std::iter::once(n).chain(o).collect())
}

/// Heads of attention with low-rank projections, stacked: queries, keys, values, mixing, output.
pub fn attention(layers: usize, seq: u64, heads: u64, width: u64) -> Network {
    let mut b = Builder::default();
    let (batch, mut s, mut e) = (b.index(8), b.index(seq), b.index(width));
    b.tensor(vec![batch, s, e]);
    for _ in 0..layers {
        let (h, d, f, t, o) = (b.index(heads), b.index(64), b.index(width), b.index(seq), b.index(width));
        let rank = b.index(16);
        b.tensor(vec![e, rank]);
        b.tensor(vec![rank, h, d]);
        b.tensor(vec![batch, h, s, t]);
        b.tensor(vec![t, f, batch]);
        b.tensor(vec![f, h, d]);
        b.tensor(vec![h, d, o]);
        (s, e) = (t, o);
    }
    b.done(vec![batch, s, e])
}

/// A tensor ring with inner bonds and a core every site is also tied to.
pub fn wheel(n: usize, bond: u64) -> Network {
    let edges: Vec<_> = (0..n).map(|k| (k, (k + 1) % n)).chain((0..n).map(|k| (k, n))).collect();
    graph(n + 1, &edges, |k| if k < n { bond } else { 2 })
}

/// The same network with indices of size 1 sprinkled over it.
pub fn with_ones(mut net: Network, seed: u64) -> Network {
    let mut r = Draw(seed);
    let n = net.inputs.len();
    for _ in 0..n {
        let i = net.sizes.len() as u32;
        net.sizes.push(1);
        for _ in 0..1 + r.below(4) {
            net.inputs[r.below(n)].push(i);
        }
    }
    let i = net.sizes.len() as u32;
    net.sizes.push(1);
    net.inputs[0].push(i);
    net.output.push(i);
    net
}

/// All families at sizes that a measurement can afford, by name.
pub fn all() -> Vec<(String, Network)> {
    let mut out: Vec<(String, Network)> = Vec::new();
    let mut add = |name: &str, net: Network| out.push((name.to_owned(), net));
    add("decoder_d3_r60", decoder(3, 60, false, 1));
    add("decoder_d5_r40_hooks", decoder(5, 40, true, 2));
    add("decoder_d5_r300", decoder(5, 300, false, 3));
    add("decoder_d7_r120_hooks", decoder(7, 120, true, 4));
    add("decoder_d3_r1000", decoder(3, 1000, false, 5));
    add("repetition_d25_r25", decoder(25, 25, false, 6));
    add("lattice_12x12_torus", lattice(&[12, 12], true, 2));
    add("lattice_40x40", lattice(&[40, 40], false, 2));
    add("lattice_100x100", lattice(&[100, 100], false, 2));
    add("lattice_141x141", lattice(&[141, 141], false, 2));
    add("lattice_6x200", lattice(&[6, 200], false, 4));
    add("lattice_30x30_rough", rough_lattice(&[30, 30], 1));
    add("lattice_6x6x6", lattice(&[6, 6, 6], false, 2));
    add("lattice_8x8x8", lattice(&[8, 8, 8], false, 2));
    add("lattice_5x5x5_torus", lattice(&[5, 5, 5], true, 2));
    add("lattice_4x4x100", lattice(&[4, 4, 100], false, 2));
    add("regular3_100", regular(100, 3, 1));
    add("regular3_300", regular(300, 3, 2));
    add("regular4_120", regular(120, 4, 3));
    add("regular5_60", regular(60, 5, 3));
    add("regular3_2000", regular(2000, 3, 4));
    add("brick_40x12", circuit(40, &brick(40, 12), false, 0));
    add("brick_20x40", circuit(20, &brick(20, 40), false, 0));
    add("brick_100x20", circuit(100, &brick(100, 20), false, 0));
    add("grid_6x6x12", circuit(36, &grid_layers(6, 6, 12), false, 0));
    add("grid_7x7x16", circuit(49, &grid_layers(7, 7, 16), false, 0));
    add("grid_5x8x20_open4", circuit(40, &grid_layers(5, 8, 20), false, 4));
    add("grid_10x10x8", circuit(100, &grid_layers(10, 10, 8), false, 0));
    add("qaoa_n40_p2", qaoa(40, 3, 2, 1));
    add("qaoa_n100_p4", qaoa(100, 3, 4, 2));
    add("qaoa_n30_d5_p3", qaoa(30, 5, 3, 3));
    add("bayes_100", bayes(100, 4, 12, 5, 1));
    add("bayes_400", bayes(400, 3, 30, 8, 2));
    add("bayes_1000_local", bayes(1000, 4, 8, 4, 3));
    let (n, e) = lattice_edges(&[20, 20], false);
    add("field_20x20", field(n, &e, |_| 3));
    let (n, e) = lattice_edges(&[6, 6, 6], false);
    add("field_6x6x6", field(n, &e, |_| 2));
    add("field_regular3_200", field(200, &regular_edges(200, 3, 7), |k| 2 + (k % 4) as u64));
    add("clauses_60_120", clauses(60, 120, 1));
    add("clauses_150_300", clauses(150, 300, 2));
    add("hyper_40", hypergraph(40, 60, 8, 1));
    add("hyper_150", hypergraph(150, 220, 12, 2));
    add("hyper_600", hypergraph(600, 800, 30, 3));
    add("peps_5x5_d4", peps_norm(5, 5, 4, false));
    add("peps_8x8_d3", peps_norm(8, 8, 3, false));
    add("peps_6x8_cylinder_d2", peps_norm(6, 8, 2, true));
    add("ttn_6_d16", ttn_norm(6, 16));
    add("ttn_10_d8", ttn_norm(10, 8));
    add("mera_4_d4", mera(4, 4, false));
    add("mera_5_d6_pbc", mera(5, 6, true));
    add("mera_6_d4_pbc", mera(6, 4, true));
    add("mpo_60_d32", mpo_sandwich(60, 32, 5, None));
    add("mpo_30_d16_batch", mpo_sandwich(30, 16, 4, Some(64)));
    add("polyadic_5", polyadic(5, 32, 128));
    add("polyadic_9", polyadic(9, 64, 256));
    add("attention_3", attention(3, 512, 12, 768));
    add("attention_12", attention(12, 512, 12, 768));
    add("wheel_60", wheel(60, 8));
    add("complete_20", complete(20, |_| 2));
    add("complete_40_mixed", complete(40, |k| 2 + (k % 3) as u64));
    add("complete_200", complete(200, |_| 2));
    add("tree_500", tree(500, 1));
    add("star_5000", star(5000));
    add("chain_200_mixed", chain(200, &[2, 300, 7, 41, 1000, 16, 3]));
    add("components_2000", components(2000));
    add("hub_3000", hub(3000));
    add("ones_12x12", with_ones(lattice(&[12, 12], false, 3), 1));
    add("wide_60", lattice(&[60, 4], false, 100_000));
    out
}

/// Networks small enough to be solved exactly, the densest first.
pub fn small() -> Vec<(String, Network)> {
    let mut out = Vec::new();
    for n in [10usize, 14, 18, 20] {
        let mut add = |name: &str, net: Network| out.push((format!("{name}_{n}"), net));
        add("complete", complete(n, |_| 2));
        add("complete_mixed", complete(n, |k| 2 + (k * 7 % 5) as u64));
        add("regular3", regular(n, 3, n as u64));
        add("regular6", regular(n, 6, n as u64));
        add("hyper_thin", hypergraph(n, 2 * n, 4, n as u64));
        add("hyper_thick", hypergraph(n, 3 * n, n / 2 + 2, 7 + n as u64));
        add("clauses", clauses(n, n, 3 + n as u64));
        add("bayes", bayes(n, 3, 6, 4, n as u64));
        add("ring", graph(n, &(0..n).map(|k| (k, (k + 1) % n)).collect::<Vec<_>>(), |k| 2 + k as u64 % 9));
        add("chain", chain(n, &[2, 300, 7, 41, 1000, 16, 3]));
        add("star", star(n - 1));
        add("scalars", Network { inputs: vec![vec![]; n], ..Network::default() });
        add(
            "vectors",
            Network {
                inputs: (0..n as u32).map(|k| vec![k]).collect(),
                output: (0..n as u32).collect(),
                sizes: (0..n as u64).map(|k| 2 + k % 4).collect(),
                needs_grad: vec![],
            },
        );
    }
    out
}

/// Networks of 20,000 to 100,000 tensors.
pub fn large() -> Vec<(String, Network)> {
    let mut out: Vec<(String, Network)> = Vec::new();
    let mut add = |name: &str, net: Network| out.push((name.to_owned(), net));
    add("decoder_d5_20000", decoder(5, 370, false, 1));
    add("decoder_d11_20000_hooks", decoder(11, 60, true, 1));
    add("lattice_141x141_big", lattice(&[141, 141], false, 2));
    add("lattice_27x27x27", lattice(&[27, 27, 27], false, 2));
    add("regular3_20000", regular(20_000, 3, 1));
    add("brick_200x90", circuit(200, &brick(200, 90), false, 0));
    add("bayes_20000", bayes(20_000, 3, 20, 4, 1));
    add("clauses_8000_20000", clauses(8000, 20_000, 1));
    add("hyper_20000", hypergraph(20_000, 25_000, 50, 1));
    add("chain_100000", chain(100_000, &[2, 3, 4, 5, 7]));
    add("tree_100000", tree(100_000, 1));
    add("decoder_d5_100000", decoder(5, 1850, false, 1));
    add("lattice_316x316", lattice(&[316, 316], false, 2));
    add("regular3_100000", regular(100_000, 3, 1));
    add("star_50000", star(50_000));
    add("components_33000", components(33_000));
    add("hub_50000", hub(50_000));
    out
}

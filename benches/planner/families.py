#!/usr/bin/env python3
"""Networks that are not in the corpus, of its families and of others, made from a seed: what a planner does on networks that nobody has looked at.

    python3 families.py DIR [SEED]      writes DIR/NAME.json, {"inputs", "output", "sizes"} each

Another seed is another set: random graphs, circuits, shuffled numbers. Nothing of the networks' names reaches the planners.
"""

import json
import random
import sys
from pathlib import Path


class Builder:
    """A network in the making: tensors are lists of indices."""

    def __init__(self):
        self.inputs, self.output, self.sizes = [], [], {}

    def index(self, size=2):
        """A new index."""
        name = f"i{len(self.sizes)}"
        self.sizes[name] = size
        return name

    def tensor(self, legs):
        """A new tensor over some indices."""
        self.inputs.append(list(legs))
        return len(self.inputs) - 1

    def join(self, tensors, size=2):
        """A new index on each of some tensors."""
        name = self.index(size)
        for t in tensors:
            self.inputs[t].append(name)
        return name

    def shuffled(self, rng):
        """The same network with its tensors in a random order."""
        rng.shuffle(self.inputs)
        return self

    def network(self):
        """The network, without tensors that have no index."""
        return {"inputs": [t for t in self.inputs if t], "output": self.output, "sizes": self.sizes}


def graph(count, edges, size=lambda: 2):
    """A tensor a vertex, an index an edge."""
    b = Builder()
    for _ in range(count):
        b.tensor([])
    for edge in edges:
        b.join(edge, size())
    return b


def lattice(dims, wrap=False):
    """The edges of a lattice, row-major."""
    count, edges = 1, []
    for d in dims:
        count *= d
    for v in range(count):
        stride = 1
        for d in reversed(dims):
            x = v // stride % d
            if x + 1 < d:
                edges.append((v, v + stride))
            elif wrap and d > 2:
                edges.append((v, v - (d - 1) * stride))
            stride *= d
    return count, edges


def regular(count, degree, rng):
    """The edges of a random regular graph; a few repeats and loops are dropped."""
    stubs = [v for v in range(count) for _ in range(degree)]
    rng.shuffle(stubs)
    return sorted({(min(a, b), max(a, b)) for a, b in zip(stubs[::2], stubs[1::2]) if a != b})


class Circuit:
    """An amplitude or an expectation value of a circuit of qubits; diagonal gates share the wires' indices."""

    def __init__(self, qubits):
        self.b = Builder()
        self.wire = [self.b.index() for _ in range(qubits)]
        for w in self.wire:
            self.b.tensor([w])

    def one(self, q):
        """A gate on a qubit."""
        new = self.b.index()
        self.b.tensor([self.wire[q], new])
        self.wire[q] = new

    def two(self, p, q):
        """A gate on two qubits."""
        new = [self.b.index(), self.b.index()]
        self.b.tensor([self.wire[p], self.wire[q], *new])
        self.wire[p], self.wire[q] = new

    def diagonal(self, *qubits):
        """A diagonal gate."""
        self.b.tensor([self.wire[q] for q in qubits])

    def amplitude(self):
        """Every wire ends in a basis state."""
        for w in self.wire:
            self.b.tensor([w])
        return self.b


def grid_circuit(rows, cols, depth, rng):
    """Two-qubit gates on a grid in a cycle of four patterns, with single-qubit gates between."""
    c = Circuit(rows * cols)
    for layer in range(depth):
        for q in range(rows * cols):
            c.one(q)
        vertical, odd = layer % 4 in (0, 1), layer % 2
        for r in range(rows):
            for k in range(cols):
                if vertical and r + 1 < rows and (r + k) % 2 == odd:
                    c.two(r * cols + k, (r + 1) * cols + k)
                if not vertical and k + 1 < cols and (r + k) % 2 == odd:
                    c.two(r * cols + k, r * cols + k + 1)
    return c.amplitude().shuffled(rng)


def line_circuit(qubits, depth):
    """A brick wall on a line."""
    c = Circuit(qubits)
    for layer in range(depth):
        for q in range(layer % 2, qubits - 1, 2):
            c.two(q, q + 1)
    return c.amplitude()


def fourier(qubits):
    """The quantum Fourier transform, controlled phases as diagonals."""
    c = Circuit(qubits)
    for p in range(qubits):
        c.one(p)
        for q in range(p + 1, qubits):
            c.diagonal(p, q)
    return c.amplitude()


def qaoa(qubits, degree, layers, rng):
    """The amplitude of layers of diagonal gates along a regular graph and mixers."""
    c = Circuit(qubits)
    edges = regular(qubits, degree, rng)
    for _ in range(layers):
        for e in edges:
            c.diagonal(*e)
        for q in range(qubits):
            c.one(q)
    return c.amplitude()


def clauses(variables, count, width, rng):
    """Random satisfiability: variables are indices, clauses tensors."""
    b = Builder()
    names = [b.index() for _ in range(variables)]
    for _ in range(count):
        b.tensor(rng.sample(names, width))
    used = {i for t in b.inputs for i in t}
    b.sizes = {i: s for i, s in b.sizes.items() if i in used}
    return b


def bayes(variables, parents, states, rng):
    """A Bayesian network: a table for each variable over its parents, nearby in the order; a few are observed."""
    b = Builder()
    names = [b.index(rng.randint(2, states)) for _ in range(variables)]
    for k, name in enumerate(names):
        near = names[max(0, k - 12) : k]
        b.tensor([name, *rng.sample(near, min(len(near), rng.randint(0, parents)))])
        if rng.random() < 0.1:
            b.tensor([name])
    return b.shuffled(rng)


def queens(n):
    """Placements of n queens as constraints on lines: a variable a field, a tensor a row, column or diagonal in pieces of pairs."""
    b = Builder()
    cell = [[b.index() for _ in range(n)] for _ in range(n)]
    for r in range(n):
        for c in range(n):
            for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
                if 0 <= r + dr < n and 0 <= c + dc < n:
                    b.tensor([cell[r][c], cell[r + dr][c + dc]])
    return b


def decoder(distance, rounds):
    """A space-time decoder: check tensors and error variables in a slab, errors as hyperedges with a prior."""
    b = Builder()
    check = {}
    for t in range(rounds):
        for x in range(distance):
            for y in range(distance - 1):
                check[t, x, y] = b.tensor([])
    for (t, x, y), here in list(check.items()):
        for step in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1)):
            other = check.get((t + step[0], x + step[1], y + step[2]))
            name = b.join([here] if other is None else [here, other])
            b.tensor([name])
    return b


def surface(distance):
    """A planar code: data qubits join four checks; checks are copy tensors of degree four."""
    b = Builder()
    sites = {(x, y): b.tensor([]) for x in range(2 * distance - 1) for y in range(2 * distance - 1)}
    for (x, y), here in sites.items():
        for other in ((x + 1, y), (x, y + 1)):
            if other in sites:
                b.join([here, sites[other]])
    return b


def peps_norm(rows, cols, bond):
    """Two layers joined site by site."""
    count, edges = lattice([rows, cols])
    b = graph(2 * count, edges + [(count + x, count + y) for x, y in edges], lambda: bond)
    for v in range(count):
        b.join([v, count + v])
    return b


def kagome(n, rng):
    """Corner-sharing triangles, sizes 2 to 4."""
    edges = []
    at = lambda x, y, k: 3 * (x * n + y) + k  # noqa: E731
    for x in range(n):
        for y in range(n):
            a, b, c = (at(x, y, k) for k in range(3))
            edges += [(a, b), (b, c), (a, c)]
            if x + 1 < n:
                edges.append((b, at(x + 1, y, 0)))
            if y + 1 < n:
                edges.append((c, at(x, y + 1, 0)))
            if x + 1 < n and y > 0:
                edges.append((b, at(x + 1, y - 1, 2)))
    return graph(3 * n * n, edges, lambda: rng.randint(2, 4)).shuffled(rng)


def tree_overlap(depth, chi, operators):
    """A binary tree tensor network with its conjugate and a sum of operators' sites between."""
    b = Builder()
    legs = []
    for layer in range(2):
        names = {}
        for level in range(depth):
            for k in range(2**level):
                up = [names[level, k]] if level else []
                down = [b.index(min(chi, 2 ** (2 ** (depth - 1 - level)))) for _ in range(2)]
                names[level + 1, 2 * k], names[level + 1, 2 * k + 1] = down
                b.tensor(up + down)
        legs.append([names[depth, k] for k in range(2**depth)])
    bond = None
    for k, (x, y) in enumerate(zip(*legs)):
        if k < operators:
            new = b.index(5)
            b.tensor([x, y, *([bond] if bond else []), new])
            bond = new
        else:
            b.tensor([x, y])
    b.tensor([bond])
    return b


def ternary_mera(levels, chi):
    """Energy of a periodic ternary MERA: disentanglers and isometries with their conjugates around a two-site operator."""
    b = Builder()
    sites = 2 * 3**levels
    ket, bra = [b.index(min(chi, 4)) for _ in range(sites)], None
    bra = list(ket)
    for k in (0, 1):
        bra[k] = b.index(min(chi, 4))
    b.tensor([ket[0], ket[1], bra[0], bra[1]])
    width = sites
    size = min(chi, 4)
    while width > 2:
        for side in (ket, bra):
            for k in range(width // 3):
                x, y = 3 * k + 2, (3 * k + 3) % width
                new = [b.index(size), b.index(size)]
                b.tensor([side[x], side[y], *new])
                side[x], side[y] = new
        tops = []
        for side in (ket, bra):
            top = []
            for k in range(width // 3):
                up = b.index(chi)
                b.tensor([*side[3 * k : 3 * k + 3], up])
                top.append(up)
            tops.append(top)
        ket, bra = tops
        width, size = width // 3, chi
    b.tensor(ket)
    b.tensor(bra)
    return b


def operator_chain(sites, layers, bond):
    """A matrix-product state, some matrix-product operators, and a state again."""
    b = Builder()
    up = [b.index(4) for _ in range(sites)]
    for layer in range(layers + 2):
        state = layer in (0, layers + 1)
        down = up if state else [b.index(4) for _ in range(sites)]
        left = None
        for k in range(sites):
            right = b.index(bond if state else 5) if k + 1 < sites else None
            legs = [up[k]] if state else [up[k], down[k]]
            b.tensor(legs + [x for x in (left, right) if x])
            left = right
        up = down
    return b


def small(count, rng, degree, outputs):
    """A small random hypergraph with open and shared indices of mixed sizes."""
    b = Builder()
    for _ in range(count):
        b.tensor([])
    for k in range(1, count):
        b.join([rng.randrange(k), k], rng.randint(2, 9))
    for _ in range(count * (degree - 2) // 2):
        b.join(rng.sample(range(count), rng.choice([2, 2, 2, 3])), rng.randint(2, 9))
    b.output = rng.sample(sorted(b.sizes), outputs)
    return b


def families(seed):
    """Every network of the set."""
    rng = random.Random(seed)
    rough = lambda: rng.randint(2, 4)  # noqa: E731
    return {
        "bayes_400": bayes(400, 3, 5, rng),
        "chain_of_operators": operator_chain(60, 3, 24),
        "clauses_3_90": clauses(90, 300, 3, rng),
        "complete_24": graph(24, [(a, b) for a in range(24) for b in range(a)]),
        "cube_6x6x6": graph(*lattice([6, 6, 6])),
        "cylinder_8x40": graph(*lattice([8, 40], True)).shuffled(rng),
        "decoder_7x40": decoder(7, 40),
        "decoder_5x900": decoder(5, 900).shuffled(rng),
        "fourier_40": fourier(40),
        "grid_circuit_6x6_20": grid_circuit(6, 6, 20, rng),
        "grid_circuit_7x7_24": grid_circuit(7, 7, 24, rng),
        "hypercube_7": graph(*lattice([2] * 7)),
        "kagome_8": kagome(8, rng),
        "ladder_2000": graph(*lattice([3, 2000])).shuffled(rng),
        "line_circuit_30_24": line_circuit(30, 24),
        "lattice_30x30_rough": graph(*lattice([30, 30]), rough).shuffled(rng),
        "mera_ternary": ternary_mera(2, 6),
        "peps_norm_8x8": peps_norm(8, 8, 3),
        "peps_norm_4x12": peps_norm(4, 12, 4),
        "qaoa_4_60_2": qaoa(60, 4, 2, rng),
        "qaoa_3_120_2": qaoa(120, 3, 2, rng),
        "queens_12": queens(12),
        "regular_3_220": graph(220, regular(220, 3, rng)),
        "regular_4_100": graph(100, regular(100, 4, rng), rough),
        "small_14": small(14, rng, 4, 2),
        "small_18": small(18, rng, 4, 1),
        "surface_15": surface(15),
        "torus_12x12": graph(*lattice([12, 12], True)).shuffled(rng),
        "tree_overlap_6": tree_overlap(6, 12, 20),
    }


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, builder in families(int(sys.argv[2]) if len(sys.argv) > 2 else 0).items():
        (folder / f"{name}.json").write_text(json.dumps(builder.network()), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The peers: one class for each, and a worker that runs one of them on one network.

A peer has a name, the packages it needs, and `plan(problem, budget, seed)`, which returns an SSA path and the sliced indices.
`prepare` is for what a long-lived process does once (imports, the pool of processes); it is not charged. The budget is.
Where a package has an exact search, it is used on networks it takes no time for, as the packages' own `auto` modes do.

    python peers.py --list                                        which peers are installed, as JSON
    python peers.py NAME INSTANCE.json BUDGET SEED [MAX_SIZE]     one plan, as JSON
"""

import concurrent.futures
import importlib
import importlib.metadata
import json
import math
import multiprocessing
import os
import sys
import time
import warnings

from score import BadPath, score, ssa_from_linear

EXACT_TENSORS = 12


class Problem:
    """A network under the names that peers like: integers, or single characters."""

    def __init__(self, network, max_size):
        self.network = network
        self.max_size = max_size
        self.index = list(network["sizes"])
        number = {name: k for k, name in enumerate(self.index)}
        self.inputs = [[number[i] for i in term] for term in network["inputs"]]
        self.output = [number[i] for i in network["output"]]
        self.sizes = {number[i]: size for i, size in network["sizes"].items()}
        self.tensors = len(self.inputs)

    def symbols(self):
        """Inputs, output and sizes with one character an index."""
        letter = [chr(0x4E00 + k) for k in range(len(self.index))]
        return (
            [tuple(letter[i] for i in term) for term in self.inputs],
            tuple(letter[i] for i in self.output),
            {letter[i]: size for i, size in self.sizes.items()},
        )

    def name(self, symbol):
        """The index behind a character of `symbols`."""
        return self.index[ord(symbol) - 0x4E00]

    def macs(self, ssa_path, sliced=()):
        """log10 of the multiply-adds, infinite where the path is wrong or a result is too large."""
        try:
            figures = score(self.network, ssa_path, sliced)
        except BadPath:
            return math.inf
        if self.max_size and figures.log2_max_size > math.log2(self.max_size):
            return math.inf
        return figures.log10_macs

    def linear(self, path):
        """A linear path as an SSA path."""
        return ssa_from_linear([list(step) for step in path], self.tensors)


class Peer:
    """What is common to all: which packages must be there, and whether it can slice."""

    name = ""
    packages = ()
    slices = False

    def __init__(self, cores):
        self.cores = cores

    def installed(self):
        """The versions, or an ImportError that says what is missing."""
        versions = {}
        for package in self.packages:
            try:
                importlib.import_module(package)
                versions[package] = importlib.metadata.version(package)
            except ImportError as error:
                raise ImportError(f"{package}: {error}") from error
        return versions

    def prepare(self):
        """What is done once in the life of a process."""
        for package in self.packages:
            importlib.import_module(package)

    def plan(self, problem, budget, seed):
        """The path found in `budget` seconds, and the sliced indices."""
        raise NotImplementedError

    def pool(self):
        """A pool with one process a core, warm."""
        pool = concurrent.futures.ProcessPoolExecutor(self.cores, multiprocessing.get_context("fork"))
        list(pool.map(time.sleep, [0.05] * self.cores))
        return pool


class Cotengra(Peer):
    """Hyper-optimisation over KaHyPar's partitions and greedy trees, each with subtree reconfiguration."""

    name = "cotengra"
    packages = ("cotengra", "kahypar", "optuna")
    slices = True

    def prepare(self):
        super().prepare()
        importlib.import_module("optuna").logging.set_verbosity(40)
        self.workers = self.pool()

    def plan(self, problem, budget, seed):
        import cotengra

        inputs, output, sizes = problem.symbols()
        if problem.tensors <= EXACT_TENSORS and not problem.max_size:
            path = cotengra.OptimalOptimizer(minimize="flops", search_outer=True)(inputs, output, sizes)
            return problem.linear(path), []
        if problem.max_size:
            refine = {"slicing_reconf_opts": {"target_size": problem.max_size}}
        else:
            refine = {"reconf_opts": {}}
        optimizer = cotengra.HyperOptimizer(
            methods=["kahypar", "greedy"],
            minimize="flops",
            max_repeats=1_000_000,
            max_time=budget,
            parallel=self.workers,
            optlib="optuna",
            on_trial_error="ignore",
            **refine,
        )
        tree = optimizer.search(inputs, output, sizes)
        return problem.linear(tree.get_path()), [problem.name(s) for s in tree.sliced_inds]


def greedy_batch(task):
    """One batch of cotengrust's random greedy search; in a process of the pool."""
    import cotengrust

    inputs, output, sizes, trials, seed = task
    path, cost = cotengrust.optimize_random_greedy_track_flops(
        inputs, output, sizes, ntrials=trials, costmod=(0.1, 4.0), temperature=(0.001, 1.0), seed=seed, use_ssa=True
    )
    return cost, path


class Cotengrust(Peer):
    """Random greedy search, in batches on all cores until the time is over."""

    name = "cotengrust"
    packages = ("cotengrust",)

    def prepare(self):
        super().prepare()
        self.workers = self.pool()

    def plan(self, problem, budget, seed):
        import cotengrust

        start = time.perf_counter()
        inputs, output, sizes = problem.symbols()
        if problem.tensors <= EXACT_TENSORS:
            path = cotengrust.optimize_optimal(inputs, output, sizes, minimize="flops", search_outer=True, use_ssa=True)
            return path, []
        best, trials, drawn = (math.inf, None), 1, seed * 1_000_000
        while True:
            tasks = [(inputs, output, sizes, trials, drawn + core) for core in range(self.cores)]
            drawn += self.cores
            began = time.perf_counter()
            best = min([best, *self.workers.map(greedy_batch, tasks)], key=lambda found: found[0])
            now = time.perf_counter()
            left, each = budget - (now - start), (now - began) / trials
            if left < 1.2 * each:
                return best[1], []
            # batches of a fifth of the budget, the last one as long as what is left
            trials = max(1, min(int(0.9 * left / each), int(0.2 * budget / each)))


class Omeco(Peer):
    """TreeSA: annealing of the tree; one trial a core, as many sweeps as fit."""

    name = "omeco"
    packages = ("omeco",)
    slices = True

    def plan(self, problem, budget, seed):
        import omeco

        deadline = time.perf_counter() + budget
        network = (problem.inputs, problem.output, problem.sizes)
        if problem.tensors <= EXACT_TENSORS and not problem.max_size:
            try:
                return self.path(omeco.optimize_code(*network, omeco.ExhaustiveSearch()), problem), []
            except (RuntimeError, ValueError):
                pass  # it refuses some networks; TreeSA takes them
        until = deadline - (0.5 * budget if problem.max_size else 0)
        tree = omeco.optimize_code(*network, omeco.GreedyMethod())
        best = self.path(tree, problem)
        bound = score(problem.network, best).log10_macs
        macs_only = omeco.ScoreFunction(tc_weight=1.0, sc_weight=0.0, rw_weight=0.0)

        def anneal(sweeps):
            # the default schedule has 300 temperatures; fewer sweeps take every k-th of them
            levels = min(sweeps, 300)
            betas = [0.01 + 14.99 * k / max(levels - 1, 1) for k in range(levels)]
            rounds = max(1, sweeps // levels)
            return omeco.optimize_code(*network, omeco.TreeSA(self.cores, rounds, betas, macs_only)), levels * rounds

        # Two short runs tell what a sweep and what the rest of a run takes; then a schedule fills the time, and what it
        # leaves is filled once more.
        sweeps, times = 4, []
        while True:
            began = time.perf_counter()
            found, done = anneal(sweeps)
            times.append((done, time.perf_counter() - began))
            path = self.path(found, problem)
            macs = score(problem.network, path).log10_macs
            if macs < bound:
                tree, best, bound = found, path, macs
            left = 0.85 * (until - time.perf_counter())
            (few, short), (many, long) = times[0], times[-1]
            if len(times) == 1:
                sweeps = 12 if left > 1.2 * short else 0
            else:
                each = max((long - short) / (many - few), 0.2 * long / many)
                sweeps = min(int((left - max(short - few * each, 0.0)) / each), 300 * 50)
            if sweeps < 12:
                break
        if not problem.max_size:
            return best, []
        return self.sliced(omeco, tree, problem, deadline)

    def sliced(self, omeco, tree, problem, deadline):
        """The slicer's best within the limit; its rounds are doubled while the time lasts."""
        goal = omeco.ScoreFunction(tc_weight=1.0, sc_weight=1.0, rw_weight=0.0, sc_target=math.log2(problem.max_size))
        best, bound, rounds = ([], []), math.inf, 1
        while True:
            began = time.perf_counter()
            slicer = omeco.TreeSASlicer(ntrials=self.cores, niters=rounds, score=goal)
            found = omeco.slice_code(tree, problem.inputs, problem.sizes, slicer)
            plan = self.path(found, problem), [problem.index[i] for i in found.slicing()]
            macs = problem.macs(*plan)
            if macs < bound or not best[0]:
                best, bound = plan, macs
            now = time.perf_counter()
            if deadline - now < 2.2 * (now - began):
                return best
            rounds *= 2

    @staticmethod
    def path(tree, problem):
        """omeco's nested tree as an SSA path."""
        root = tree.to_dict()
        while "tree" in root:
            root = root["tree"]
        ssa, stack, made = [], [(root, False)], []
        while stack:
            node, ready = stack.pop()
            if "tensor_index" in node:
                made.append(node["tensor_index"])
            elif not ready:
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node["args"]))
            else:
                arity = len(node["args"])
                ssa.append(made[-arity:])
                del made[-arity:]
                made.append(problem.tensors + len(ssa) - 1)
        return ssa


class OptEinsum(Peer):
    """Random greedy search on all cores; exhaustive search for a few tensors."""

    name = "opt_einsum"
    packages = ("opt_einsum",)

    def prepare(self):
        super().prepare()
        self.workers = self.pool()

    def plan(self, problem, budget, seed):
        import random

        import opt_einsum

        random.seed(seed)
        inputs, output, sizes = problem.symbols()
        inputs = [frozenset(term) for term in inputs]
        output = frozenset(output)
        if problem.tensors <= 8:
            return problem.linear(opt_einsum.paths.optimal(inputs, output, sizes)), []
        search = opt_einsum.RandomGreedy(
            max_repeats=1_000_000_000, max_time=budget, minimize="flops", parallel=self.workers
        )
        return problem.linear(search(inputs, output, sizes)), []


PEERS = {peer.name: peer for peer in (Cotengra, Cotengrust, Omeco, OptEinsum)}
# Peers that people use and that pip cannot install: said in every run, so that nobody takes the table for complete.
ABSENT = {"tnco": "there is no Python package to install"}


def listing():
    """For each peer its versions, or why it is not there."""
    found = {name: {"missing": why} for name, why in ABSENT.items()}
    for name, peer in PEERS.items():
        try:
            found[name] = {"versions": peer(1).installed(), "slices": peer.slices}
        except ImportError as error:
            found[name] = {"missing": str(error)}
    return found


def work(name, instance, budget, seed, max_size=None):
    """Runs one peer; the clock runs from the network in memory to the path in memory."""
    with open(instance, encoding="utf-8") as file:
        problem = Problem(json.load(file), max_size)
    peer = PEERS[name](len(os.sched_getaffinity(0)))
    peer.prepare()
    start = time.perf_counter()
    path, sliced = peer.plan(problem, budget, seed)
    seconds = time.perf_counter() - start
    return {"ssa_path": [[int(x) for x in step] for step in path], "sliced": sliced, "seconds": seconds}


def main(arguments):
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(100_000)
    if arguments == ["--list"]:
        print(json.dumps(listing(), indent=1))
        return
    if len(arguments) not in (4, 5):
        sys.exit(__doc__)
    name, instance, budget, seed, *limit = arguments
    result = work(name, instance, float(budget), int(seed), *map(int, limit))
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    # a trial may still run in the pool; nobody waits for it
    for child in multiprocessing.active_children():
        child.terminate()
        child.join(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

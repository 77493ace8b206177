#!/usr/bin/env python3
"""Our planner beside its peers on the corpus: a table and a picture (cost against time, a line a planner).

    python3 benches/planner/run.py                    all networks, 1 s and 10 s, 3 seeds
    python3 benches/planner/run.py --quick            10 networks, 3 s, one seed: the inner loop
    python3 benches/planner/run.py --sliced           the circuits under a limit on the largest result
    python3 benches/planner/run.py --small            the networks with a proven optimum: the time to it
    python3 benches/planner/run.py --families         networks outside the corpus, made from --set: 1 s and 10 s, one seed
    python3 benches/planner/run.py --full --sliced --small --update-readme
                                                      all of it, and the tables and docs/planner.svg anew

Writes results.json, table.md and cost_time.svg for each mode into --out. README.md beside this file says what is compared and how.
"""

import argparse
import datetime
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import report
from families import families
from score import BadPath, score_plan

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CORPUS = HERE.parent / "corpus"
QUICK = [
    "big_qec_decoder_d5_r110",
    "gm_bn_munin",
    "gm_independent_set_rg3_200",
    "phys_ising3d_5x5x5",
    "phys_lattice2d_16x16",
    "phys_peps_norm_6x6_chi3",
    "qc_sycamore53_m12",
    "qc_sycamore53_m20",
    "qec_surfacecode_d13",
    "small_rand_n12",
]
SLICED = ["qc_sycamore53_m12", "qc_sycamore53_m20"]
MAX_SIZE = 2**27


def warn(message):
    """Says it so that it is not overlooked."""
    print(f"!! {message}", file=sys.stderr)


class Ours:
    """The `tnc` program. Its time is that of the whole process."""

    name = report.OURS
    slices = True

    def __init__(self, program):
        self.program = program
        self.version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[-1]

    def command(self, instance, budget, seed, max_size):
        """The command line of one run."""
        limit = ["--max-size", str(max_size)] if max_size else []
        return [
            *(self.program, "plan", str(instance), "--minimize", "macs", "--no-cache", "--quiet", "--format", "json"),
            *("--max-time", f"{budget:g}s", "--seed", str(seed), *limit),
        ]

    @staticmethod
    def seconds(_plan, wall):
        """The time that counts."""
        return wall


class Peer:
    """A peer, run by peers.py in the environment. Its time is without the start of Python and the imports."""

    def __init__(self, python, name, slices):
        self.python, self.name, self.slices = python, name, slices

    def command(self, instance, budget, seed, max_size):
        """The command line of one run."""
        limit = [str(max_size)] if max_size else []
        return [self.python, str(HERE / "peers.py"), self.name, str(instance), f"{budget:g}", str(seed), *limit]

    @staticmethod
    def seconds(plan, _wall):
        """The time that counts."""
        return plan["seconds"]


def find_planners(tnc, env, wanted):
    """Ours and the peers that are there; their versions; and what is missing, said aloud."""
    if not Path(tnc).is_file():
        sys.exit(f"{tnc} is not there, help: cargo build --release -p tnc-cli")
    ours = Ours(tnc)
    planners, versions, missing = [ours], {ours.name: ours.version}, {}
    python = Path(env) / "bin" / "python"
    if python.is_file():
        listing = subprocess.run([python, HERE / "peers.py", "--list"], capture_output=True, text=True, check=True)
        for name, peer in json.loads(listing.stdout).items():
            if wanted and name not in wanted:
                continue
            if "missing" in peer:
                missing[name] = peer["missing"]
            else:
                planners.append(Peer(str(python), name, peer["slices"]))
                versions |= peer["versions"]
    else:
        missing["all peers"] = "there is no environment"
        warn("no environment of the peers, help: benches/planner/make_env.sh")
    for name in wanted or []:
        if name not in [p.name for p in planners] and name not in missing:
            missing[name] = "there is no such planner here"
    for name, why in missing.items():
        warn(f"{name.upper()} IS SKIPPED: {why}")
    if wanted:
        planners = [p for p in planners if p.name in wanted]
    return planners, versions, missing


def busy_seconds():
    """CPU seconds that the machine has spent on anything at all."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(x) for x in file.readline().split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """CPU seconds that we and the planners that ended have spent."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


def machine():
    """The machine in words."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{len(os.sched_getaffinity(0))} cores ({model})"


def run_one(planner, path, network, budget, seed, max_size):
    """One run: the plan is made, timed and scored. A failure is a result, with its reason."""
    run = {"instance": path.stem, "tensors": len(network["inputs"]), "planner": planner.name}
    run |= {"budget": budget, "seed": seed}
    start = time.perf_counter()
    process = subprocess.Popen(
        planner.command(path, budget, seed, max_size),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=3 * budget + 15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return run | {"seconds": time.perf_counter() - start, "failed": "no result after three times the budget"}
    wall = time.perf_counter() - start
    try:
        plan = json.loads(out)
    except json.JSONDecodeError:
        last = (err.strip().splitlines() or ["no output"])[-1]
        return run | {"seconds": wall, "failed": f"exit {process.returncode}: {last}"[:300]}
    run |= {"seconds": planner.seconds(plan, wall), "wall": wall}
    try:
        figures = score_plan(network, plan)
    except BadPath as fault:
        return run | {"failed": f"the path is wrong: {fault}"}
    run |= {"log10_macs": figures.log10_macs, "log2_max_size": figures.log2_max_size, "slices": figures.slices}
    if max_size and figures.log2_max_size > math.log2(max_size) + 1e-9:
        run["failed"] = f"a result of 2^{figures.log2_max_size:.2f} elements is over the limit"
    if "log10_macs" in plan and abs(plan["log10_macs"] - figures.log10_macs) > 1e-6:
        warn(f"{planner.name} says 10^{plan['log10_macs']:.6f} of its plan of {path.stem}; it costs 10^{figures.log10_macs:.6f}")
    return run


def compare(mode, planners, instances, budgets, seeds, max_size):
    """All runs of a mode, one process at a time; yields after each, so that an interrupt loses nothing. `seeds`: ours, the others'."""
    each = {p: seeds[0] if p.name == report.OURS else seeds[1] for p in planners}
    total = sum(each.values()) * len(instances) * len(budgets)
    done = 0
    everyone = planners
    for seed in range(max(each.values())):
        planners = [p for p in everyone if seed < each[p]]
        for turn, path in enumerate(instances):
            with open(path, encoding="utf-8") as file:
                network = json.load(file)
            for budget in budgets:
                # another planner begins each time, so that no one always runs on a machine that the same other left warm
                shift = (turn + seed) % len(planners)
                for planner in planners[shift:] + planners[:shift]:
                    run = run_one(planner, path, network, budget, seed, max_size)
                    done += 1
                    figure = f"FAILED: {run['failed']}" if "failed" in run else f"10^{run['log10_macs']:.3f}"
                    print(
                        f"[{done}/{total}] {mode} {path.stem} {planner.name} {budget:g} s, seed {seed}: "
                        f"{figure} in {run['seconds']:.3f} s",
                        file=sys.stderr,
                        flush=True,
                    )
                    yield run


def write(folder, data, optima):
    """The three files of a mode."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    results = report.Results(data)
    (folder / "table.md").write_text(report.table(results, optima), encoding="utf-8")
    if data["mode"] != "small":
        (folder / "cost_time.svg").write_text(report.picture(results), encoding="utf-8")
    return results


def update_readme(folder, mode):
    """Puts a mode's table between its markers in the README, and the picture of the full run into docs/."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = f"<!-- planner {mode}: begin -->\n", f"<!-- planner {mode}: end -->"
    if begin not in text or end not in text:
        warn(f"README.md has no markers for {mode}: it is left as it is")
        return
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    table = (folder / "table.md").read_text(encoding="utf-8")
    readme.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")
    if mode == "full":
        shutil.copyfile(folder / "cost_time.svg", ROOT / "docs" / "planner.svg")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for mode in ("full", "quick", "sliced", "small", "families"):
        parser.add_argument(f"--{mode}", dest="modes", action="append_const", const=mode)
    numbers = lambda words: [float(x) for x in words.split(",")]  # noqa: E731
    names = lambda words: words.split(",")  # noqa: E731
    parser.add_argument("--budgets", type=numbers, help="seconds, comma-separated")
    parser.add_argument("--seeds", type=int, help="runs of each planner on each network")
    parser.add_argument("--own-seeds", type=int, help="runs of ours on each network, where they are to be more")
    parser.add_argument("--set", type=int, default=0, help="the seed of --families' networks")
    parser.add_argument("--only", type=names, help="networks whose names contain one of these words")
    parser.add_argument("--planners", type=names, help="these only, comma-separated")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "planner", help="a folder in it for each mode")
    parser.add_argument("--tnc", default=str(ROOT / "target" / "release" / "tnc"), help="our program")
    parser.add_argument("--env", default=str(ROOT / "target" / "peers"), help="the environment of the peers")
    parser.add_argument("--update-readme", action="store_true", help="README.md and docs/planner.svg too")
    parser.add_argument("--render", action="store_true", help="run nothing: tables and pictures anew from results.json")
    return parser.parse_args()


def make_families(folder, seed):
    """Writes the networks outside the corpus and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, builder in sorted(families(seed).items()):
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(builder.network()), encoding="utf-8")
    return paths


def plan_of(mode, options):
    """What a mode runs where the options do not say otherwise: networks, budgets, seeds, limit."""
    optima = json.loads((CORPUS / "optima.json").read_text(encoding="utf-8"))
    networks = sorted(p for p in CORPUS.glob("*.json") if p.stem not in ("baselines", "optima"))
    if mode == "families":
        networks = make_families(options.out / mode / "networks", options.set)
    chosen, budgets, seeds, limit = {
        "full": (None, [1.0, 10.0], 3, None),
        "quick": (QUICK, [3.0], 1, None),
        "sliced": (SLICED, [30.0], 1, MAX_SIZE),
        "small": (list(optima), [2.0], 5, None),
        "families": (None, [1.0, 10.0], 1, None),
    }[mode]
    networks = [p for p in networks if chosen is None or p.stem in chosen]
    if options.only:
        networks = [p for p in networks if any(word in p.stem for word in options.only)]
    return networks, sorted(options.budgets or budgets), options.seeds or seeds, limit


def run_mode(mode, options, planners, versions, missing, optima):
    """Runs a mode and writes its files after every network; an interrupt ends it with what there is."""
    networks, budgets, seeds, max_size = plan_of(mode, options)
    own_seeds = options.own_seeds or seeds
    if not networks:
        sys.exit("no network has such a name")
    if max_size:
        planners = [p for p in planners if p.slices]
    data = {
        "mode": mode,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions,
        "missing": missing,
        "planners": [p.name for p in planners],
        "budgets": budgets,
        "seeds": seeds,
        "own_seeds": own_seeds,
        "max_size": max_size,
        "others": 0.0,
        "runs": [],
    }
    start = time.perf_counter(), busy_seconds(), own_seconds()
    try:
        for run in compare(mode, planners, networks, budgets, (own_seeds, seeds), max_size):
            data["runs"].append(run)
            wall = time.perf_counter() - start[0]
            others = (busy_seconds() - start[1]) - (own_seconds() - start[2])
            data["others"] = max(0.0, others / wall / len(os.sched_getaffinity(0)))
            write(options.out / mode, data, optima)
    except KeyboardInterrupt:
        warn("interrupted: the table holds what was run")
        return False
    return True


def main():
    options = arguments()
    optima = json.loads((CORPUS / "optima.json").read_text(encoding="utf-8"))
    optima = {name: entry["log10_macs"] for name, entry in optima.items()}
    modes = options.modes or ["full"]
    found = None if options.render else find_planners(options.tnc, options.env, options.planners)
    for mode in modes:
        folder = options.out / mode
        complete = options.render or run_mode(mode, options, *found, optima)
        if not (folder / "results.json").is_file():
            sys.exit(f"{folder}/results.json is not there")
        results = write(folder, json.loads((folder / "results.json").read_text(encoding="utf-8")), optima)
        print(report.table(results, optima))
        if not complete:
            sys.exit(130)
        if options.update_readme:
            update_readme(folder, mode)


if __name__ == "__main__":
    main()

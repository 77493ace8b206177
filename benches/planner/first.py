#!/usr/bin/env python3
"""How long a large network takes to its first plan, and how much memory.

The time is that of the whole process with a budget of a millisecond: reading the file, the first order, and (where the tensors fit an address space)
the schedule, its verification and the report. Standard library only.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

from families import decoder, graph, lattice, line_circuit, regular

ROOT = pathlib.Path(__file__).resolve().parents[2]


def networks():
    """Name and network, the ones of about 20,000 tensors first."""
    rng = random.Random(1)
    for size in (20_000, 100_000):
        yield f"chain_{size}", graph(*lattice([size]))
        yield f"lattice_20x{size // 20}", graph(*lattice([20, size // 20]))
        yield f"lattice_50x{size // 50}", graph(*lattice([50, size // 50]))
        yield f"slab_7x7x{size // 49}", graph(*lattice([7, 7, size // 49]))
        yield f"brick_wall_40x{size // 20}", line_circuit(40, size // 20)
        yield f"brick_wall_200x{size // 100}", line_circuit(200, size // 100)
        yield f"decoder_7x{size // 245}", decoder(7, size // 245)
        yield f"regular_3_{size}", graph(size, regular(size, 3, rng))


def run(program, file):
    """Wall seconds and the largest resident memory in bytes."""
    command = [program, "plan", file, "--minimize", "macs", "--no-cache", "--max-time", "1ms", "--quiet"]
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {status}")
    return took, usage.ru_maxrss * 1024


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tnc", default=str(ROOT / "target/release/tnc"), help="the program")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print("| network | tensors | median s | least s | MiB | bytes a tensor |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name, builder in networks():
            net = builder.network()
            file = os.path.join(folder, f"{name}.json")
            with open(file, "w", encoding="utf-8") as out:
                json.dump(net, out)
            runs = [run(args.tnc, file) for _ in range(args.runs)]
            seconds, memory = [r[0] for r in runs], statistics.median(r[1] for r in runs)
            count = len(net["inputs"])
            print(
                f"| {name} | {count} | {statistics.median(seconds):.2f} | {min(seconds):.2f} "
                f"| {memory / 2**20:.0f} | {memory / count:.0f} |",
                flush=True,
            )
            os.remove(file)


if __name__ == "__main__":
    main()

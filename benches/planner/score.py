"""What a contraction path costs: the judge of the comparison, independent of the planner and of the peers.

The model. Before anything is contracted, a repeated index of a tensor counts once (a diagonal), and an index that is on one
tensor only and not in the output is summed; both are free. A step contracts two tensors: it costs one multiply-add for every
point of the union of their indices, and an index stays on the result if it is in the output or on another tensor that is
still there. A step of more operands is done pairwise from the left, a step of one costs nothing. A sliced index counts as 1,
and everything is done once for each slice.

All sums are exact integers; only the logarithms are floats.

    python3 score.py INSTANCE.json PLAN.json      PLAN: {"path" or "ssa_path": [...], "sliced": [...]}
"""

import json
import math
import sys
from collections import Counter
from dataclasses import asdict, dataclass


class BadPath(ValueError):
    """The path is not a contraction order of the network, and why."""


@dataclass(frozen=True)
class Figures:
    """What a path costs, all slices in full."""

    log10_macs: float
    log10_write: float
    log2_max_size: float
    slices: int


def log(value, base):
    """The logarithm of an integer of any size; of 0 minus infinity."""
    if value == 0:
        return -math.inf
    return math.log2(value) if base == 2 else math.log10(value)


def ssa_from_linear(path, tensors):
    """A path over positions in the current list (operands leave it, the result is appended) as a path over names."""
    names = list(range(tensors))
    ssa = []
    for number, positions in enumerate(path):
        if len(set(positions)) != len(positions):
            raise BadPath(f"step {number} names a position twice")
        if not all(0 <= p < len(names) for p in positions):
            raise BadPath(f"step {number} names a position that is not there")
        ssa.append([names[p] for p in positions])
        for p in sorted(positions, reverse=True):
            del names[p]
        names.append(tensors + number)
    return ssa


def pairs(ssa, tensors):
    """The binary contractions of an SSA path, renumbered: the k-th makes tensor `tensors + k`."""
    name = {k: k for k in range(tensors)}
    fresh = tensors
    for number, operands in enumerate(ssa):
        if not operands:
            raise BadPath(f"step {number} has no operand")
        left = None
        for operand in operands:
            if operand not in name:
                raise BadPath(f"step {number} uses tensor {operand}, which is not there")
            right = name.pop(operand)
            if left is not None:
                yield left, right
                right, fresh = fresh, fresh + 1
            left = right
        name[tensors + number] = left
    if len(name) > 1:
        raise BadPath(f"{len(name)} tensors remain")


def score(network, ssa_path, sliced=()):
    """The figures of an SSA path on `network` ({"inputs", "output", "sizes"}); raises BadPath."""
    output = set(network["output"])
    extent = dict(network["sizes"])
    slices = 1
    for index in dict.fromkeys(sliced):
        if index not in extent:
            raise BadPath(f"the sliced index {index!r} is not in the network")
        slices *= extent[index]
        extent[index] = 1

    terms = [frozenset(term) for term in network["inputs"]]
    holders = Counter(index for term in terms for index in term)
    holders.update(output)  # the output holds its indices to the end
    live = {k: frozenset(i for i in term if holders[i] > 1) for k, term in enumerate(terms)}

    macs = written = largest = 0
    for made, (a, b) in enumerate(pairs(ssa_path, len(terms)), len(terms)):
        left, right = live.pop(a), live.pop(b)
        holders.subtract(left)
        holders.subtract(right)
        union = left | right
        result = frozenset(i for i in union if holders[i] > 0)
        holders.update(result)
        live[made] = result
        size = math.prod(extent[i] for i in result)
        macs += math.prod(extent[i] for i in union)
        written += size
        largest = max(largest, size)
    if set().union(*live.values()) != output:
        raise BadPath("the result does not have the indices of the output")
    return Figures(log(macs * slices, 10), log(written * slices, 10), log(max(largest, 1), 2), slices)


def score_plan(network, plan):
    """The figures of a plan as planners print it: a linear or an SSA path, and perhaps sliced indices."""
    ssa = plan.get("ssa_path")
    if ssa is None:
        if plan.get("path") is None:
            raise BadPath("neither `path` nor `ssa_path`")
        ssa = ssa_from_linear(plan["path"], len(network["inputs"]))
    return score(network, ssa, plan.get("sliced") or ())


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    network, plan = (json.load(open(name, encoding="utf-8")) for name in arguments)
    print(json.dumps(asdict(score_plan(network, plan))))


if __name__ == "__main__":
    main(sys.argv[1:])

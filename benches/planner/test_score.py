"""The scorer: by hand, and against the figures that the planner's own cost model gave for the same paths.

    python3 -m unittest discover benches/planner
"""

import json
import math
import unittest
from pathlib import Path

import report
from score import BadPath, score, score_plan, ssa_from_linear

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent / "corpus"


def network(inputs, output, **sizes):
    return {"inputs": [list(term) for term in inputs.split(",")], "output": list(output), "sizes": sizes}


class ByHand(unittest.TestCase):
    def macs(self, *args):
        return round(10 ** score(*args).log10_macs)

    def test_chain(self):
        chain = network("ab,bc,cd", "ad", a=2, b=3, c=5, d=7)
        self.assertEqual(self.macs(chain, [[0, 1], [2, 3]]), 2 * 3 * 5 + 2 * 5 * 7)
        self.assertEqual(self.macs(chain, [[1, 2], [0, 3]]), 3 * 5 * 7 + 2 * 3 * 7)

    def test_an_outer_product_counts(self):
        self.assertEqual(self.macs(network("a,b", "ab", a=3, b=5), [[0, 1]]), 15)

    def test_a_hyperedge_stays_until_its_last_tensor(self):
        hyper = network("ab,ac,ad", "", a=2, b=3, c=5, d=7)
        # b, c and d are on one tensor only, so they are summed before
        self.assertEqual(self.macs(hyper, [[0, 1], [2, 3]]), 2 + 2)
        kept = network("ab,ac,ad", "bcd", a=2, b=3, c=5, d=7)
        self.assertEqual(self.macs(kept, [[0, 1], [2, 3]]), 2 * 3 * 5 + 2 * 3 * 5 * 7)

    def test_a_batch_index_stays(self):
        batch = network("ab,ab", "a", a=2, b=3)
        figures = score(batch, [[0, 1]])
        self.assertEqual(round(10**figures.log10_macs), 6)
        self.assertEqual(figures.log2_max_size, 1)

    def test_a_diagonal_counts_once(self):
        self.assertEqual(self.macs(network("aa,a", "", a=4), [[0, 1]]), 4)

    def test_slices_repeat_everything(self):
        chain = network("ab,bc,cd", "ad", a=2, b=3, c=5, d=7)
        figures = score(chain, [[0, 1], [2, 3]], ["c"])
        self.assertEqual(round(10**figures.log10_macs), 5 * (2 * 3 + 2 * 7))
        self.assertEqual(figures.slices, 5)
        # a slice of an index that nothing depends on is charged too
        lonely = network("ab,bx", "a", a=2, b=3, x=11)
        self.assertEqual(self.macs(lonely, [[0, 1]], ["x"]), 11 * 6)

    def test_long_and_short_steps(self):
        chain = network("ab,bc,cd", "ad", a=2, b=3, c=5, d=7)
        self.assertEqual(score(chain, [[0, 1, 2]]), score(chain, [[0, 1], [3, 2]]))
        self.assertEqual(score(chain, [[0], [3, 1], [4, 2]]), score(chain, [[0, 1], [3, 2]]))

    def test_sizes_past_the_range_of_floats(self):
        wide = network("ab,b", "a", a=2**1200, b=2)
        self.assertAlmostEqual(score(wide, [[0, 1]]).log10_macs, 1201 * math.log10(2))

    def test_no_step(self):
        self.assertEqual(score(network("ab", "a", a=2, b=3), []).log10_macs, -math.inf)

    def test_linear_paths(self):
        self.assertEqual(ssa_from_linear([[1, 2], [0, 1]], 3), [[1, 2], [0, 3]])
        self.assertEqual(ssa_from_linear([[3, 0], [0, 2], [0, 1]], 4), [[3, 0], [1, 4], [2, 5]])

    def test_wrong_paths(self):
        chain = network("ab,bc,cd", "ad", a=2, b=3, c=5, d=7)
        for ssa in ([[0, 1]], [[0, 0], [1, 2]], [[0, 1], [0, 2]], [[0, 9]], [[], [0, 1], [2, 3]], [[0, -1]]):
            with self.assertRaises(BadPath, msg=ssa):
                score(chain, ssa)
        for path in ([[0, 0], [0, 1]], [[0, 3]], [[-1, 0]]):
            with self.assertRaises(BadPath, msg=path):
                score_plan(chain, {"path": path})
        with self.assertRaises(BadPath):
            score(chain, [[0, 1], [2, 3]], ["q"])
        with self.assertRaises(BadPath):
            score(network("ab,b", "c", a=2, b=3, c=5), [[0, 1]])
        with self.assertRaises(BadPath):
            score_plan(chain, {})


class AgainstThePlanner(unittest.TestCase):
    """score_cases.json holds paths with the figures of `tn_order::evaluate`; a Rust test holds that side."""

    def test_same_figures(self):
        cases = json.loads((HERE / "score_cases.json").read_text(encoding="utf-8"))
        self.assertGreater(len(cases), 20)
        for case in cases:
            with self.subTest(case["instance"]):
                instance = json.loads((CORPUS / f"{case['instance']}.json").read_text(encoding="utf-8"))
                figures = score_plan(instance, case)
                for name in ("log10_macs", "log10_write", "log2_max_size"):
                    self.assertAlmostEqual(getattr(figures, name), case[name], places=9, msg=name)
                self.assertAlmostEqual(math.log2(figures.slices), case["log2_slices"], places=9)


class Report(unittest.TestCase):
    def results(self):
        def run(planner, budget, macs, seconds, **more):
            return {"instance": "x<y", "tensors": 3, "planner": planner, "budget": budget, "seed": 0} | {
                "log10_macs": macs,
                "seconds": seconds,
            } | more

        runs = [run("tnc", 1.0, 5.0, 1.0), run("cotengra", 1.0, 6.0, 1.3), run("omeco", 1.0, 9.0, 1.0, failed="why")]
        return report.Results(
            {"mode": "full", "date": "today", "machine": "a machine", "versions": {}, "missing": {"tnco": "no package"}}
            | {"planners": ["tnc", "cotengra", "omeco"], "budgets": [1.0], "seeds": 1, "max_size": None}
            | {"others": 0.0, "runs": runs}
        )

    def test_table(self):
        table = report.table(self.results(), {})
        self.assertIn("| x<y | 3 | **5.00** | 6.00† | – |", table)
        self.assertIn("| mean excess over the best |  | 0.000 | 1.000 | 10.000 |", table)
        self.assertIn("tnco is not in this table", table)

    def test_picture_is_well_formed(self):
        from xml.etree import ElementTree

        root = ElementTree.fromstring(report.picture(self.results()))
        self.assertTrue(root.tag.endswith("svg"))


if __name__ == "__main__":
    unittest.main()

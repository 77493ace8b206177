"""The table and the picture of a comparison, from its results alone."""

import math
import statistics
from html import escape

OURS = "tnc"
# A run without a result, and anything worse than this many decades above the best, counts as this many in averages.
WORST = 10.0
# Closer than this many decades is the same.
SAME = 0.005


class Results:
    """The runs of one mode, and the questions that the table and the picture ask."""

    def __init__(self, data):
        self.data = data
        self.planners = data["planners"]
        self.budgets = data["budgets"]
        self.tensors = {run["instance"]: run["tensors"] for run in data["runs"]}
        self.instances = list(self.tensors)
        self.runs = {}
        for run in data["runs"]:
            self.runs.setdefault((run["instance"], run["planner"], run["budget"]), []).append(run)

    def macs(self, instance, planner, budget):
        """The median of log10 of the multiply-adds over the seeds; a failed run is infinite, None if there was no run."""
        runs = self.runs.get((instance, planner, budget))
        if not runs:
            return None
        return statistics.median([math.inf if "failed" in run else run["log10_macs"] for run in runs])

    def seconds(self, instance, planner, budget):
        """The median of the time taken."""
        return statistics.median([run["seconds"] for run in self.runs[instance, planner, budget]])

    def late(self, instance, planner, budget):
        """Whether the median run took over 20 % more than its budget (and over 50 ms, the grain of a process)."""
        return self.seconds(instance, planner, budget) > max(1.2 * budget, budget + 0.05)

    def best(self, instance, budget=None):
        """The best figure of any planner, at one budget or at all."""
        budgets = self.budgets if budget is None else [budget]
        figures = [self.macs(instance, p, b) for p in self.planners for b in budgets]
        return min([f for f in figures if f is not None], default=math.inf)

    def excess(self, instance, planner, budget):
        """Decades above the best of the whole comparison, at most WORST; None if there was no run."""
        macs = self.macs(instance, planner, budget)
        if macs is None:
            return None
        best = self.best(instance)
        return WORST if math.isinf(macs) else min(macs - best, WORST)

    def mean_excess(self, planner, budget):
        """The average of `excess` over the networks."""
        found = [self.excess(i, planner, budget) for i in self.instances]
        found = [e for e in found if e is not None]
        return statistics.fmean(found) if found else None


def cell(results, instance, planner, budget):
    """One figure: bold where it is the best at its budget, marked where it came late."""
    macs = results.macs(instance, planner, budget)
    if macs is None:
        return ""
    if math.isinf(macs):
        return "–"
    text = f"{macs:.2f}"
    if macs <= results.best(instance, budget) + SAME:
        text = f"**{text}**"
    return text + ("†" if results.late(instance, planner, budget) else "")


def rows(head, body):
    """A Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def cost_table(results):
    """log10 of the multiply-adds, a network a row, a planner a column, the budgets within a cell."""
    budgets = " / ".join(f"{b:g} s" for b in results.budgets)
    head = [f"log10 multiply-adds after {budgets}", "tensors", *results.planners]
    body = []
    for i in results.instances:
        cells = [" / ".join(cell(results, i, p, b) for b in results.budgets) for p in results.planners]
        body.append([i, str(results.tensors[i]), *cells])
    means = []
    for p in results.planners:
        found = [results.mean_excess(p, b) for b in results.budgets]
        means.append(" / ".join("" if e is None else f"{e:.3f}" for e in found))
    body.append(["mean excess over the best", "", *means])
    return rows(head, body)


def exact_table(results, optima):
    """The time to the optimum, and by how much it was missed."""
    body = []
    budget = results.budgets[0]
    for i in results.instances:
        row = [i, str(results.tensors[i])]
        for p in results.planners:
            macs = results.macs(i, p, budget)
            if macs is None or math.isinf(macs):
                row.append("–")
                continue
            text = f"{1000 * results.seconds(i, p, budget):.1f} ms"
            above = macs - optima[i]
            row.append(text if above < 1e-6 else f"{text}, +{above:.3f}")
        body.append(row)
    return rows(["time to the optimum", "tensors", *results.planners], body)


def table(results, optima):
    """What belongs into a README: the table, then how it was made."""
    data = results.data
    text = exact_table(results, optima) if data["mode"] == "small" else cost_table(results)
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    several = lambda n: "one seed" if n == 1 else f"the median of {n} seeds"  # noqa: E731
    runs, own = several(data["seeds"]), several(data.get("own_seeds", data["seeds"]))
    runs = runs if own == runs else f"{OURS}: {own}, the others: {runs}"
    notes = [f"Measured on {data['date']}: {data['machine']}; {runs}; {versions}."]
    if data["max_size"]:
        notes.append(f"No result may have more than 2^{math.log2(data['max_size']):g} elements; all slices count in full.")
    if data["mode"] == "small":
        notes.append("`+` is by how much the plan misses the optimum, in decades.")
    else:
        notes.append(f"Bold is the best at its budget; `–` is no result; the mean counts at most {WORST:g} decades.")
        if any(results.late(*key) for key in results.runs):
            notes.append("† took over 20 % more than its budget.")
    for name, why in data["missing"].items():
        notes.append(f"**{name} is not in this table**: {why}.")
    if data["others"] > 0.05:
        notes.append(f"**The machine was not quiet**: other programs took {data['others']:.0%} of it meanwhile.")
    return text + "\n\n" + " ".join(notes) + "\n"


# The picture.

COLOURS = {
    OURS: "#c1121f",
    "cotengra": "#0072b2",
    "cotengrust": "#009e73",
    "omeco": "#e69f00",
    "opt_einsum": "#7f5aa2",
}
GRAIN = 0.01  # below this the scale of the excess is linear, above it logarithmic
COLUMNS = 4
WIDE, HIGH, GAP_X, GAP_Y, LEFT, TOP = 220, 112, 18, 46, 62, 96


def height(excess):
    """Where an excess lies on the scale, 0 to 1."""
    return math.log10(1 + excess / GRAIN) / math.log10(1 + WORST / GRAIN)


class Panel:
    """Axes at (x, y): time from left to right on a logarithmic scale, the excess over the best from the bottom up."""

    def __init__(self, x, y, wide, high, span):
        self.x, self.y, self.wide, self.high = x, y, wide, high
        self.low, self.top = (math.log10(s) for s in span)

    def at(self, seconds, excess):
        part = (math.log10(max(seconds, 1e-9)) - self.low) / (self.top - self.low)
        part = min(max(part, 0.0), 1.0)
        return self.x + part * self.wide, self.y + self.high * (1 - height(excess))

    def frame(self, title, note, labels_left, labels_below):
        """The box, the grid and the labels."""
        out = [text(self.x, self.y - 7, title, size=9, weight="600")]
        out.append(text(self.x + self.wide, self.y - 7, note, size=9, anchor="end", fill="#555"))
        out.append(
            f'<rect x="{self.x}" y="{self.y}" width="{self.wide}" height="{self.high}" fill="#fafafa" stroke="#ccc"/>'
        )
        for excess, label in ((0, "best"), (0.01, "+0.01"), (0.1, "+0.1"), (1, "+1"), (WORST, f"+{WORST:g}")):
            y = self.y + self.high * (1 - height(excess))
            out.append(f'<path d="M{self.x} {y:.1f}h{self.wide}" stroke="#e3e3e3"/>')
            if labels_left:
                out.append(text(self.x - 6, y + 3.5, label, size=10, anchor="end", fill="#555"))
        for power in range(math.ceil(self.low - 1e-9), math.floor(self.top + 1e-9) + 1):
            x = self.x + (power - self.low) / (self.top - self.low) * self.wide
            out.append(f'<path d="M{x:.1f} {self.y}v{self.high}" stroke="#e3e3e3"/>')
            if labels_below:
                if x > self.x + 12:  # a label at the corner would run into its neighbours
                    out.append(text(x, self.y + self.high + 14, f"{10.0**power:g} s", size=10, anchor="middle", fill="#555"))
        return out

    def line(self, points, planner):
        """A planner's line with its marks."""
        colour = COLOURS.get(planner, "#444")
        ours = planner == OURS
        places = [self.at(*p) for p in points]
        out = []
        if len(places) > 1:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{2.6 if ours else 1.6}"/>')
        return out + [mark(x, y, planner) for x, y in places]


def mark(x, y, planner):
    """A mark whose shape tells the planner without its colour."""
    colour = COLOURS.get(planner, "#444")
    shape = (list(COLOURS).index(planner) if planner in COLOURS else 0) % 5
    r = 4.2 if planner == OURS else 3.6
    style = f'fill="{colour}" stroke="#fff" stroke-width="0.8"'
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {style}/>'
    points = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0, -r - 1), (r + 1, r), (-r - 1, r)],
        3: [(0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)],
        4: [(0, r + 1), (r + 1, -r), (-r - 1, -r)],
    }[shape]
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f'<polygon points="{corners}" {style}/>'


def text(x, y, words, size=12, anchor="start", weight="400", fill="#222"):
    """A line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{fill}">{escape(words)}</text>'
    )


def picture(results):
    """Cost against time as SVG: the average over the networks, then a panel for each of them."""
    shown = [i for i in results.instances if math.isfinite(results.best(i))]
    lines = math.ceil(len(shown) / COLUMNS)
    width = LEFT + COLUMNS * (WIDE + GAP_X) + 10
    big = 2 * HIGH
    below = TOP + big + GAP_Y + 22
    total = below + lines * (HIGH + GAP_Y) + 6
    # ours is drawn last, on top
    order = [p for p in results.planners if p != OURS] + [p for p in results.planners if p == OURS]
    times = [results.seconds(*key) for key in results.runs] + results.budgets
    wide_span = min(results.budgets) / 3, max(results.budgets) * 3
    span = max(min(times) / 1.3, 1e-3), max(times) * 1.3

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
        f'<rect width="{width}" height="{total}" fill="#fff"/>',
        text(LEFT, 28, "Cost of the plan against planning time", size=18, weight="600"),
        text(LEFT, 48, "decades of multiply-adds above the best plan that any planner found (on the right of a title); lower is better", fill="#555"),
    ]
    x = LEFT
    for planner in results.planners:
        out += [mark(x + 5, 66, planner), text(x + 15, 70, planner)]
        x += 40 + 7.2 * len(planner)

    panel = Panel(LEFT, TOP, width - LEFT - 28, big, wide_span)
    out += panel.frame(f"average over {len(results.instances)} networks, by budget", "", True, True)
    for planner in order:
        points = [(b, results.mean_excess(planner, b)) for b in results.budgets]
        out += panel.line([p for p in points if p[1] is not None], planner)

    for k, instance in enumerate(shown):
        column, row = k % COLUMNS, k // COLUMNS
        panel = Panel(LEFT + column * (WIDE + GAP_X), below + row * (HIGH + GAP_Y), WIDE, HIGH, span)
        out += panel.frame(instance, f"10^{results.best(instance):.2f}", column == 0, k + COLUMNS >= len(shown))
        for planner in order:
            points = []
            for budget in results.budgets:
                excess = results.excess(instance, planner, budget)
                if excess is not None and math.isfinite(results.macs(instance, planner, budget)):
                    points.append((results.seconds(instance, planner, budget), excess))
            out += panel.line(points, planner)
    return "\n".join([*out, "</svg>", ""])

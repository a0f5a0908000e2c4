"""The figures: the paper's with our line beside, and those that go beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gnnperf.reports.study.claims.quantization import CONFIGURATIONS, DEFAULT
from gnnperf.reports.study.content import Picture
from gnnperf.reports.study.drawing import COLOURS, MARKERS, bytes_axis, heatmap, line, panels
from gnnperf.reports.study.evidence import PAPER, Evidence, Measured
from gnnperf.reports.study.places import DQ4, DQ8, LEVELS, PRUNED, QAT4, QAT8, QUANTIZED, RATES
from gnnperf.reports.study.series import LEAST_SEEDS, CannotBeJudgedError, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVELS = ("0", *LEVELS)
_METHODS = {
    "global": ("global@{}", 0),
    "global, tuned": ("global@{}+finetune", 1),
    "fine-grained": ("layer@{}", 2),
    "fine-grained, tuned": ("layer@{}+finetune", 3),
}
_OVER_SPARSITY = (
    ("3", "Figure 3: accuracy over sparsity", "score", "score (fraction)"),
    ("4", "Figure 4: memory over sparsity", "peak_heap_ratio", "peak heap / dense twin"),
    ("5", "Figure 5: energy over sparsity", "energy_ratio", "energy / dense twin"),
    ("6", "Figure 6: CPU over sparsity", "inference_cpu_seconds", "CPU time / lowest"),
)
_OVER_RATE = (
    ("7", "Figure 7: accuracy over the L2 rate", "score", "score (fraction)"),
    ("8", "Figure 8: memory of training", "training_peak_heap_bytes", "peak heap / median"),
    ("9", "Figure 9: energy of training", "training_energy_joules", "energy / median"),
    ("10", "Figure 10: CPU of training", "training_cpu_seconds", "CPU time / median"),
)


def pictures(evidence: Measured) -> list[Picture]:
    """All figures that there is something to draw in."""
    drawn = [
        first_layer(evidence),
        zeros_of_layers(evidence),
        *(over_sparsity(evidence, *figure) for figure in _OVER_SPARSITY),
        *(over_rate(evidence, *figure) for figure in _OVER_RATE),
        pareto(evidence, "bytes", "stored_bytes", "stored file"),
        pareto(evidence, "time", "cpu_ratio", "CPU time of inference / dense twin"),
        sensitivity(evidence),
        configurations(evidence),
    ]
    return [picture for picture in drawn if picture is not None]


def _points(
    evidence: Evidence, workload: str, recipes: Iterable[tuple[float, str]], reading: str
) -> dict[float, Series]:
    """A reading over x, where it was measured."""
    found: dict[float, Series] = {}
    for x, recipe in recipes:
        try:
            found[x] = evidence.series(workload, recipe, reading)
        except CannotBeJudgedError:
            continue
    return found


def seeds_told(parts: Iterable[Series], band: str = "") -> str:
    """`ours: mean over seeds, n 3 to 10`."""
    counts = sorted({part.n for part in parts})
    if not counts:
        return "ours: not run"
    band *= counts[-1] >= LEAST_SEEDS  # Fewer have none.
    several = f"n {counts[0]}" if len(counts) == 1 else f"n {counts[0]} to {counts[-1]}"
    return f"ours: mean over seeds{band}, {several}"


_BAND = " with the band of its 95 % interval"


def _scaled(
    points: Mapping[float, Series], by: Callable[[Sequence[float]], float]
) -> dict[float, Series]:
    """Over one of their own means, so that different meters can stand in one panel."""
    if not points:
        return {}
    unit = by([part.mean for part in points.values()])
    if not unit:
        return {}
    return {x: part.each(lambda value: value / unit) for x, part in points.items()}


def over_sparsity(evidence: Measured, number: str, title: str, reading: str, label: str) -> Picture:
    """A panel a workload, a line a method, ours and the paper's."""
    shown: list[Series] = []

    def draw(axes: Axes, workload: str) -> None:
        for name, (pattern, colour) in _METHODS.items():
            recipes = [(float(level), pattern.format(level)) for level in _LEVELS]
            for of in (evidence, PAPER):
                points = _points(of, workload, recipes, reading)
                if reading == "inference_cpu_seconds":
                    points = _scaled(points, min)
                if points:
                    line(axes, points, name, colour, paper=of is PAPER)
                    shown.extend(points.values() if of is evidence else ())
        axes.set_xlabel("sparsity (share of weights taken)")
        axes.set_ylabel(label)

    svg = panels(f"figure-{number}", PRUNED, draw)
    return Picture(
        f"figure-{number}", title, svg, f"{seeds_told(shown, _BAND)}; dashed: the paper, n 10"
    )


def over_rate(evidence: Measured, number: str, title: str, reading: str, label: str) -> Picture:
    """A panel a workload over L2 rates, on an axis that is linear around 0."""
    shown: list[Series] = []

    def draw(axes: Axes, workload: str) -> None:
        recipes = [(float(rate), f"l2@{rate}") for rate in RATES]
        for of in (evidence, PAPER):
            points = _points(of, workload, recipes, reading)
            if reading != "score":
                points = _scaled(points, lambda means: sorted(means)[len(means) // 2])
            if points:
                line(axes, points, "L2", 0, paper=of is PAPER)
                shown.extend(points.values() if of is evidence else ())
        axes.set_xscale("symlog", linthresh=1e-6)
        ticks = ("0", "1e-6", "1e-4", "1e-2", "1", "1e2", "1e4", "1e6")
        axes.set_xticks([*map(float, ticks)], ticks)
        axes.minorticks_off()
        axes.set_xlabel("L2 rate (1, symlog)")
        axes.set_ylabel(label)

    svg = panels(f"figure-{number}", PRUNED, draw)
    return Picture(
        f"figure-{number}", title, svg, f"{seeds_told(shown, _BAND)}; dashed: the paper, n 10"
    )


def first_layer(evidence: Measured) -> Picture | None:
    """How many weights of SplineConv's first layer there are before and after."""
    shares: dict[str, tuple[Series, Series]] = {}
    for label, recipe in (("before", "global@0"), ("after global@0.5", "global@0.5")):
        try:
            zeros = evidence.zeros("cora_node-spline", recipe)
            kernel, linear = zeros["conv1.weight"], zeros["conv1.lin.weight"]
        except (CannotBeJudgedError, KeyError):
            continue
        shares[label] = (kernel, linear)
    if not shares:
        return None

    def draw(axes: Axes, workload: str) -> None:
        for index, part in enumerate(("kernel", "linear part")):
            kept = [1 - pair[index].mean for pair in shares.values()]
            x = [place + 0.4 * index for place in range(len(shares))]
            axes.bar(x, kept, 0.38, color=COLOURS[index], label=part)
        axes.set_xticks([place + 0.2 for place in range(len(shares))], list(shares))
        axes.set_xlabel("model")
        axes.set_ylabel("weights that are not 0 (share)")

    svg = panels("figure-1", ["conv1 of cora_node-spline"], draw, columns=1, height=2.4)
    told = seeds_told([pair[0] for pair in shares.values()])
    return Picture("figure-1", "Figure 1: SplineConv's first layer, half pruned", svg, told)


def zeros_of_layers(evidence: Measured) -> Picture | None:
    """Where global pruning takes its zeros from: stacked bars, a panel a workload."""
    found: dict[str, dict[str, Mapping[str, Series]]] = {}
    for workload in PRUNED:
        for level in LEVELS:
            try:
                layers = evidence.zeros_of_all(workload, f"global@{level}")
            except CannotBeJudgedError:
                continue
            found.setdefault(workload, {})[level] = layers
    if not found:
        return None

    def draw(axes: Axes, workload: str) -> None:
        levels = found[workload]
        names = list(dict.fromkeys(name for layers in levels.values() for name in layers))
        hatches = ("", "///", "...", "xx")
        bottoms = [0.0] * len(levels)
        bars = []
        for index, name in enumerate(names):
            heights = [ls[name].mean if name in ls else 0.0 for ls in levels.values()]
            bars.append(
                axes.bar(
                    *(list(levels), heights),
                    bottom=bottoms,
                    color=COLOURS[index % len(COLOURS)],
                    hatch=hatches[index // len(COLOURS) % len(hatches)],
                    linewidth=0,
                )
            )
            bottoms = [low + height for low, height in zip(bottoms, heights, strict=True)]
        axes.legend(bars, names, fontsize=5, loc="upper left")
        axes.set_xlabel("sparsity (share of weights taken)")
        axes.set_ylabel("zeros (share of all weights)")

    parts = [s for levels in found.values() for layers in levels.values() for s in layers.values()]
    svg = panels("figure-2", list(found), draw, height=3.0)
    title = "Figure 2: zeros of each layer under global pruning"
    return Picture("figure-2", title, svg, seeds_told(parts))


def pareto(evidence: Measured, name: str, reading: str, label: str) -> Picture | None:
    """The drop against what is gained, with the front of what nothing else beats."""
    found: dict[str, dict[str, tuple[Series, Series]]] = {}
    for workload in evidence.workloads():
        for recipe in evidence.recipes(workload):
            try:
                pair = (
                    evidence.series(workload, recipe, reading),
                    evidence.series(workload, recipe, "drop"),
                )
            except CannotBeJudgedError:
                continue
            found.setdefault(workload, {})[recipe] = pair
    measured = sum(map(len, found.values()))
    found = {
        workload: {recipe: pair for recipe, pair in pairs.items() if pair[1].mean <= _USABLE}
        for workload, pairs in found.items()
    }
    lost = measured - sum(map(len, found.values()))
    found = {workload: pairs for workload, pairs in found.items() if len(pairs) > 1}
    if not found:
        return None

    def draw(axes: Axes, workload: str) -> None:
        points = {r: (x.mean, y.mean) for r, (x, y) in found[workload].items()}
        families = dict.fromkeys(family(recipe) for recipe in points)
        for name in families:
            mine = [point for recipe, point in points.items() if family(recipe) == name]
            index = _FAMILIES.index(name)
            axes.plot(
                *zip(*mine, strict=True),
                linestyle="",
                marker=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                label=name,
            )
        front = sorted(points[recipe] for recipe in front_of(points))
        axes.step(*zip(*front, strict=True), where="post", linewidth=0.8, color="#8a8a8a")
        if reading == "stored_bytes":
            bytes_axis(axes)
        else:
            axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(label)
        axes.set_ylabel("drop (fraction)")

    parts = [y for pairs in found.values() for _, y in pairs.values()]
    svg = panels(f"pareto-{name}", list(found), draw)
    told = seeds_told(parts)
    caption = f"{told}; the line joins recipes that no other beats in both"
    if lost:
        caption += f"; {lost} that lose more than {_USABLE:g} are left out"
    return Picture(f"pareto-{name}", f"Drop against {label}", svg, caption)


# What loses more is of no use, and would press all others together.
_USABLE = 0.2
_FAMILIES = (
    *("dense", "pruned", "pruned, tuned", "narrowed", "quantized", "both", "deployed", "others"),
)


def family(recipe: str) -> str:
    """What kind of recipe it is, for colours: by its steps."""
    steps = [step.partition("@")[0] for step in recipe.split("+")]
    prunes = bool({"global", "layer", "gradual", "lottery"} & {*steps})
    quantizes = bool({"ptq", "qat", "dq", "a2q", "mixed"} & {*steps})
    if any(step.startswith("deploy") for step in steps):
        return "deployed"
    if prunes and quantizes:
        return "both"
    if quantizes:
        return "quantized"
    if "width" in steps:
        return "narrowed"
    if recipe in ("global@0", "layer@0"):
        return "dense"
    if prunes:
        return "pruned, tuned" if "finetune" in steps else "pruned"
    return "others"


def front_of(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Those that no other is at most as large as in both, and smaller in one."""
    return [
        name
        for name, (x, y) in points.items()
        if not any(
            other_x <= x and other_y <= y and (other_x, other_y) != (x, y)
            for other_x, other_y in points.values()
        )
    ]


def sensitivity(evidence: Measured) -> Picture | None:
    """What it costs to prune one layer alone."""
    rows: dict[str, list[float]] = {}
    parts = []
    for workload in PRUNED:
        try:
            layers = evidence.zeros(workload, "layer@0")
        except CannotBeJudgedError:
            continue
        for layer in layers:
            recipes = [f"sensitivity {layer}@{level}" for level in LEVELS]
            values = []
            for reading in recipes:
                try:
                    part = evidence.series(workload, "layer@0", reading)
                    parts.append(part)
                    values.append(part.mean)
                except CannotBeJudgedError:
                    values.append(float("nan"))
            if any(value == value for value in values):
                rows[f"{workload} {layer}"] = values
    if not rows:
        return None
    svg = heatmap(
        *("sensitivity", list(rows), LEVELS, list(rows.values())),
        x="sparsity of this layer alone (share)",
        y="layer",
        colour="drop (fraction)",
    )
    told = seeds_told(parts)
    return Picture("sensitivity", "Sensitivity of single layers", svg, told)


def configurations(evidence: Measured) -> Picture | None:
    """The 24 configurations of quantization-aware training."""
    rows: dict[str, list[float]] = {}
    parts = []
    for workload in QUANTIZED:
        for method in (QAT4, QAT8, DQ4, DQ8):
            values = []
            for name in CONFIGURATIONS:
                recipe = method + ("" if name == DEFAULT else f",{name}")
                try:
                    part = evidence.series(workload, recipe, "drop")
                    parts.append(part)
                    values.append(part.mean)
                except CannotBeJudgedError:
                    values.append(float("nan"))
            if any(value == value for value in values):
                rows[f"{workload} {method}"] = values
    if not rows:
        return None
    svg = heatmap(
        *("configurations", list(rows), CONFIGURATIONS, list(rows.values())),
        x="gradient-range",
        y="method",
        colour="drop (fraction)",
    )
    told = seeds_told(parts)
    return Picture("configurations", "Configurations of quantizers", svg, told)

"""Tables 1 to 17 in the paper's layout, ours first and the paper's figure below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gnnperf.records import measured
from gnnperf.reports.paper import Figure
from gnnperf.reports.study.agreement import Mark, score_mark, size_mark
from gnnperf.reports.study.content import Cell, Table
from gnnperf.reports.study.evidence import PAPER_DATASETS, Measured
from gnnperf.reports.study.places import LEVELS, Place, printed_figures
from gnnperf.reports.study.series import (
    LEAST_SEEDS,
    CannotBeJudgedError,
    NotMeasuredError,
    Series,
)
from gnnperf.reports.table import human_bytes, human_joules, human_seconds

# Table -> title, the fields that name a row, and those that name a column.
_LAYOUT: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "2": ("dense models on Cora", ("dataset", "model"), ("metric",)),
    "3": ("parameters", ("model",), ("metric",)),
    "4": ("dense models on Proteins and BBBP", ("dataset", "model"), ("metric",)),
    "5": ("dense bytes over pruned bytes, Algorithm 1", ("method", "dataset"), ("level",)),
    "6": ("extremes over sparsities", ("dataset", "method"), ("metric",)),
    "7": ("quantized GIN", ("dataset", "metric"), ("method",)),
    "8": ("resources of quantized GIN", ("dataset", "metric"), ("method",)),
    "9": ("global pruning", ("dataset", "metric"), ("level",)),
    "10": ("global pruning with fine-tuning", ("dataset", "metric"), ("level",)),
    "11": ("fine-grained pruning", ("dataset", "metric"), ("level",)),
    "12": ("fine-grained pruning with fine-tuning", ("dataset", "metric"), ("level",)),
    "13": ("resources, global pruning", ("dataset", "metric"), ("level",)),
    "14": ("resources, global pruning with fine-tuning", ("dataset", "metric"), ("level",)),
    "15": ("resources, fine-grained pruning", ("dataset", "metric"), ("level",)),
    "16": ("resources, fine-grained pruning with fine-tuning", ("dataset", "metric"), ("level",)),
    "17": ("L2 regularization", ("dataset", "metric"), ("level",)),
}
_EXTREME: Mapping[str, Callable[[Iterable[Series]], Series]] = {
    "max": lambda parts: max(parts, key=lambda part: part.mean),
    "min": lambda parts: min(parts, key=lambda part: part.mean),
}
FIGURES = 1516
"""Of the paper's tables 2 to 17."""


@dataclass
class _Notes:
    """Reasons below a table, each once under a number."""

    reasons: dict[str, int] = field(default_factory=dict)

    def numbered(self, reason: str) -> str:
        return f"[{self.reasons.setdefault(reason, len(self.reasons) + 1)}]"

    def lines(self) -> list[str]:
        return [f"[{number}] {reason}" for reason, number in self.reasons.items()]


def place_series(evidence: Measured, place: Place) -> Series:
    """Our readings at a place of the paper's tables; raises CannotBeJudgedError."""
    if not place.summary:
        return evidence.series(place.workload, place.recipe, place.reading)
    method = place.recipe.partition("@")[0]
    parts = [evidence.series(place.workload, f"{method}@{s}", place.reading) for s in LEVELS]
    return _EXTREME[place.summary](parts)


def covered_figures(evidence: Measured) -> int:
    """How many of the paper's figures have one of ours beside them."""
    return sum(_has(evidence, place) for _, place, _ in printed_figures())


def _has(evidence: Measured, place: Place) -> bool:
    try:
        place_series(evidence, place)
    except CannotBeJudgedError:
        return False
    return True


def paper_tables(evidence: Measured) -> list[Table]:
    """All 17 tables."""
    return [table_1(evidence), *(_paper_table(number, evidence) for number in _LAYOUT)]


def table_1(evidence: Measured) -> Table:
    """The datasets; the paper leaves some cells open."""
    names = ("graphs", "nodes", "edges", "features", "labels")
    rows = []
    for dataset, paper in PAPER_DATASETS.items():
        try:
            ours = evidence.statistics(dataset)
            cells = [_compared_text(ours.get(name, "-"), paper.get(name, "")) for name in names]
        except CannotBeJudgedError as reason:
            cells = [Cell(reason.cell, paper.get(name, ""), "missing") for name in names]
        rows.append([Cell(dataset), *cells])
    return Table("table-1", "Table 1: datasets", ("dataset", *names), rows)


def _compared_text(ours: str, paper: str) -> Cell:
    mark = "" if not paper else "agrees" if ours == paper else "worse"
    return Cell(ours, paper, "differs" if mark == "worse" else mark)


def _paper_table(number: str, evidence: Measured) -> Table:
    title, row_fields, column_fields = _LAYOUT[number]
    notes = _Notes()
    heads: dict[tuple[str, ...], None] = {}
    rows: dict[tuple[str, ...], dict[tuple[str, ...], Cell]] = {}
    names: dict[tuple[str, ...], str] = {}
    for row, place, figure in printed_figures():
        if row["table"] != number:
            continue
        column = tuple(row[name] for name in column_fields)
        key = tuple(row[name] for name in row_fields)
        heads.setdefault(column)
        names.setdefault(key, _row_name(row, row_fields, place, evidence))
        rows.setdefault(key, {})[column] = _cell(evidence, place, figure, row["unit"], notes)
        if number == "3":
            heads.setdefault(("nonzeros",))
            ours = Place(place.workload, place.recipe, "nonzeros")
            rows[key]["nonzeros",] = _cell(evidence, ours, None, "", notes)
    cells = [
        [Cell(names[key]), *(row.get(head, Cell("")) for head in heads)]
        for key, row in rows.items()
    ]
    columns = (" ".join(row_fields), *(_words(head) for head in heads))
    return Table(f"table-{number}", f"Table {number}: {title}", columns, cells, notes.lines())


def _words(names: Iterable[str]) -> str:
    return " ".join("fine-grained" if n == "grain" else n for n in names).replace("_", " ")


def _row_name(
    row: Mapping[str, str], fields: tuple[str, ...], place: Place, evidence: Measured
) -> str:
    name = _words(row[field] for field in fields)
    scored = row["metric"] == "accuracy" if "metric" in fields else row["table"] in ("2", "4")
    if not scored:
        return name
    try:
        return f"{name} (commonest class {evidence.dense(place.workload, 'majority').mean:.3f})"
    except CannotBeJudgedError:
        return name


def _cell(
    evidence: Measured, place: Place, figure: Figure | None, unit: str, notes: _Notes
) -> Cell:
    paper = (
        "" if figure is None else f"{figure} {unit if unit in ('s', 'J', '%', 'MB', 'GB') else ''}"
    )
    try:
        ours = place_series(evidence, place)
    except NotMeasuredError as reason:
        return Cell(reason.cell, paper.strip(), "missing")
    except CannotBeJudgedError as reason:
        told = f"{reason.cell} {notes.numbered(reason.why)}" if reason.why else reason.cell
        return Cell(told, paper.strip(), "missing")
    mark = _mark(evidence, place, ours, figure) if figure else ""
    return Cell(shown(ours, place.reading), paper.strip(), mark)


def _mark(evidence: Measured, place: Place, ours: Series, figure: Figure) -> Mark:
    """Only what does not depend on machine and meter is compared."""
    try:
        if place.reading == "score":
            return score_mark(evidence, place.workload, place.recipe)
        if place.reading == "algorithm1_ratio":
            return size_mark(ours, figure)
        if place.reading == "parameters":
            return "agrees" if ours.mean == figure.mean else ""
    except CannotBeJudgedError:
        pass
    return ""


def shown(series: Series, reading: str) -> str:
    """`0.892 +- 0.012 (10)`: mean, half of the interval where seeds give one, n."""
    form = _FORMS.get(reading, "{:.4g}".format)
    if series.n < LEAST_SEEDS:
        return f"{form(series.mean)} ({series.n})"
    return f"{form(series.mean)} +- {form(series.half_width)} ({series.n})"


_FORMS: Mapping[str, Callable[[float], str]] = {
    "score": "{:.3f}".format,
    "drop": "{:+.3f}".format,
    "algorithm1_ratio": "{:.2f}".format,
    "parameters": "{:.0f}".format,
    "nonzeros": "{:.0f}".format,
    "dense_epochs": "{:.0f}".format,
    "cpu_utilisation": "{:.0%}".format,
    "training_cpu_utilisation": "{:.0%}".format,
    "wall_seconds": lambda value: human_seconds(measured(value, "seconds", "mean")),
    "training_wall_seconds": lambda value: human_seconds(measured(value, "seconds", "mean")),
    "energy_joules": lambda value: human_joules(measured(value, "joules", "mean")),
    "training_energy_joules": lambda value: human_joules(measured(value, "joules", "mean")),
    "peak_heap_bytes": lambda value: human_bytes(measured(value, "bytes", "mean")),
    "training_peak_heap_bytes": lambda value: human_bytes(measured(value, "bytes", "mean")),
}

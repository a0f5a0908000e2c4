"""What closes a run: a table a study, seeds aggregated, no wider than the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from gnnperf.records import Reading, Record, measured
from gnnperf.reports.study.runs import united
from gnnperf.reports.table import (
    RESOURCES,
    case_table,
    comparison_table,
    coverage_warnings,
    footnotes,
    human,
    kept_epoch,
    with_interval,
)

_QUANTIZERS = {"ptq", "qat", "dq", "a2q"}
_WORSE, _BETTER, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"
DROP_WITHIN, TIME_WITHIN = 0.01, 0.05
"""What is told by a colour: a score that moved by more, and a ratio to the twin."""


@dataclass(frozen=True)
class Column:
    """A column of the closing tables.

    Attributes:
        head: of the column.
        reading: its name; `score` and `drop` are those of the record's own metric.
        form: value -> text; None: by the reading's unit.
        worse: value -> above 0 where it is worse than the twin, below 0 where it is better.
    """

    head: str
    reading: str
    form: Callable[[float], str] | None = None
    worse: Callable[[float], float] = lambda value: 0


def _beyond(limit: float, middle: float = 0.0) -> Callable[[float], float]:
    """Worse above the limit over the middle, better below it."""
    return lambda value: (value > middle + limit) - (value < middle - limit)


COLUMNS: tuple[Column, ...] = (
    Column("score", "score", "{:.3f}".format),
    Column("drop", "drop", "{:+.3f}".format, _beyond(DROP_WITHIN)),
    Column("majority", "majority", "{:.3f}".format),
    Column("covered", "covered", "{:.3f}".format),
    Column("smaller", "size_ratio", "{:.2f}x".format, lambda ratio: ratio < 1),
    Column("CPU time / twin", "cpu_ratio", "{:.3f}".format, _beyond(TIME_WITHIN, 1.0)),
    Column("stored", "stored_bytes"),
    Column("mean bits", "mean_bits", "{:.2f}".format),
    Column("simulated / twin", "simulated_cpu_ratio", "{:.2f}".format),
    Column("agreement", "export_agreement", "{:.4f}".format),
    *(Column(head, reading) for reading, head in RESOURCES.items()),
)
"""From the most to the least wanted; shown where some record of the study has the reading."""


def study_of(recipe: str) -> str:
    """Under which title a recipe stands: by its steps, the last one that decides first."""
    steps = [step.partition("@")[0] for step in recipe.split("+")]
    if any(step.startswith("deploy") for step in steps):
        return "deployed"
    quantized, pruned = _QUANTIZERS & {*steps}, {"global", "layer", "gradual"} & {*steps}
    if quantized:
        return "pruning and quantization" if pruned else "quantization"
    if recipe in ("global@0", "layer@0"):
        return "dense"
    for step, title in (("lottery", "lottery tickets"), ("width", "width"), ("l2", "L2")):
        if step in steps:
            return title
    return "pruning" if pruned else "others"


def closing_report(
    records: Sequence[Record],
    comparisons: Mapping[str, Mapping[str, Reading]],
    tables: Mapping[str, Sequence[Mapping[str, object]]],
    *,
    width: int | None = None,
    colours: bool = False,
    all_rows: bool = False,
) -> str:
    """All that closes a run: cases by study with their footnotes, comparisons, tables by title.

    Args:
        records: of the run.
        comparisons: readings of two callables that took turns, by test.
        tables: rows of further tables, by title.
        width: of the terminal in characters; columns that do not fit are left out, which is said.
            None: as wide as it comes.
        colours: whether worse and better may be coloured.
        all_rows: every case in a row of its own, with all columns.
    """
    cases = _distinct(records)
    notes = footnotes([record.readings for record in cases])
    notes += coverage_warnings(cases)
    shown = case_table(cases) if all_rows else _studies(cases, width, colours)
    parts = ["\n".join((shown, *notes)), comparison_table(comparisons)]
    for title, rows in tables.items():
        cells = [{name: str(cell) for name, cell in row.items()} for row in rows]
        parts.append(_fitted(title, cells, None if all_rows else width))
    return "\n\n".join(part for part in parts if part.strip())


def _distinct(records: Sequence[Record]) -> list[Record]:
    """A record a case: what several tests measured, united."""
    found: dict[str, Record] = {}
    for record in records:
        before = found.get(record.case)
        found[record.case] = record if before is None else united(before, record)
    return list(found.values())


def _studies(records: Sequence[Record], width: int | None, colours: bool) -> str:
    studies: dict[str, list[Record]] = {}
    for record in records:
        studies.setdefault(study_of(record.recipe), []).append(record)
    return "\n\n".join(
        _fitted(title, _rows(group, colours), width) for title, group in studies.items()
    )


def _rows(records: Sequence[Record], colours: bool) -> list[dict[str, str]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.workload, record.recipe), []).append(record)
    columns = [c for c in COLUMNS if any(_reading(r, c.reading) for r in records)]
    epochs = any("training_best_epoch" in record.readings for record in records)
    resumed = any(record.provenance.get("resumed") for record in records)
    rows = []
    for (workload, recipe), group in groups.items():
        row = {"workload": workload, "recipe": recipe, "n": str(len(group))}
        if resumed:
            row["measured"] = _measured(group)
        row.update({column.head: _cell(group, column, colours) for column in columns})
        if epochs:
            row["epoch kept"] = ", ".join(dict.fromkeys(map(kept_epoch, group)))
        rows.append(row)
    return rows


def _measured(group: Sequence[Record]) -> str:
    """When, in a run that took records from the store: the newest that it took."""
    before = [r for r in group if r.provenance.get("resumed")]
    if not before:
        return "now"
    when = max(str(r.provenance.get("measured_at", "unknown when")) for r in before)
    now = len(group) - len(before)
    return f"before, {when}" + (f"; {now} now" if now else "")


def _reading(record: Record, name: str) -> Reading | None:
    own = {"score": record.metric, "drop": f"{record.metric}_drop"}
    return record.readings.get(own.get(name, name))


def _cell(group: Sequence[Record], column: Column, colours: bool) -> str:
    """`0.892 +- 0.004`: mean and standard deviation over the seeds."""
    readings = [found for record in group if (found := _reading(record, column.reading))]
    values = [reading.value for reading in readings if reading.value is not None]
    if not values:
        return "unavailable" if readings else "-"
    unit = readings[0].unit
    form = column.form or (lambda value: human(measured(value, unit, "mean")))
    mean = statistics.fmean(values)
    text = form(mean)
    if len(values) == 1 and readings[0].low is not None:
        text = with_interval(readings[0])
    if len(values) > 1:
        text += f" +- {form(statistics.stdev(values)).lstrip('+')}"
    worse = column.worse(mean) if colours else 0
    return f"{_WORSE if worse > 0 else _BETTER}{text}{_PLAIN}" if worse else text


def _fitted(title: str, rows: Sequence[Mapping[str, str]], width: int | None) -> str:
    """A table of at most so many characters a line: the last columns that do not fit go."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    gone: list[str] = []

    def table() -> str:
        cells = [{head: row.get(head, "") for head in heads} for row in rows]
        return tabulate(cells, headers="keys", disable_numparse=True)

    text = table()
    while width is not None and len(heads) > 1 and len(text.splitlines()[1]) > width:
        gone.insert(0, heads.pop())
        text = table()
    left_out = f"\n(left out for want of width: {', '.join(gone)}; -v shows all)" if gone else ""
    return f"{title}\n{text}{left_out}"

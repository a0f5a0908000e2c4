"""The table that closes a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from gnnperf.records import Reading, Record

HEADERS = (
    *("case", "score", "of", "drop", "majority", "covered", "stored", "smaller"),
    "CPU time / twin",
)
LEAST_COVERED = 0.9
"""A recipe that took a smaller share of the weights in hand is warned of."""


# Reading -> its column, shown where some record has it.
RESOURCES = {
    "train_mean": "train mean",
    "device_ratio": "device time / twin",
    "macs": "MACs",
    "peak_heap_bytes": "heap",
    "peak_heap_ratio": "heap / twin",
    "load_peak_heap_bytes": "load heap",
    "load_peak_heap_ratio": "load heap / twin",
    "peak_gpu_bytes": "GPU memory",
    "peak_gpu_ratio": "GPU memory / twin",
    "inference_cpu_seconds": "CPU",
    "cpu_utilisation": "cores",
    "energy_joules": "energy",
    "energy_ratio": "energy / twin",
    "energy_above_idle_joules": "above idle",
    "gpu_energy_joules": "GPU energy",
    "gpu_energy_ratio": "GPU energy / twin",
    "energy_estimate_joules": "energy, estimated",
}


def case_table(records: Sequence[Record]) -> str:
    """A row a case beside its dense twin: scores, stored bytes, latency; empty for no records."""
    if not records:
        return ""
    shown = [name for name in RESOURCES if any(name in r.readings for r in records)]
    rows = [(*_row(r), *(human(r.readings.get(name)) for name in shown)) for r in records]
    headers = (*HEADERS, *(RESOURCES[name] for name in shown))
    if any("training_best_epoch" in r.readings for r in records):
        headers = (*headers, "epoch kept")
        rows = [(*row, kept_epoch(r)) for row, r in zip(rows, records, strict=True)]
    if any(r.provenance.get("resumed") for r in records):
        headers = (*headers, "measured")
        rows = [(*row, _measured(r)) for row, r in zip(rows, records, strict=True)]
    return tabulate(rows, headers=headers, disable_numparse=True)


def comparison_table(comparisons: Mapping[str, Mapping[str, Reading]]) -> str:
    """A row for each two callables that took turns, empty for none."""
    if not comparisons:
        return ""
    rows = [
        (
            name,
            with_interval(readings["cpu_ratio"]),
            with_interval(readings["wall_ratio"]),
            human_seconds(readings["cpu_seconds"]),
            human_seconds(readings["twin_cpu_seconds"]),
        )
        for name, readings in comparisons.items()
    ]
    headers = ("comparison", "CPU time / reference", "wall / reference", "CPU", "reference CPU")
    return tabulate(rows, headers=headers, disable_numparse=True)


def meter_rows(test: str, readings: Mapping[str, Reading]) -> list[dict[str, object]]:
    """A row for each reading that a test took of a callable of its own."""
    return [
        {
            "test": test,
            "reading": name,
            "value": human(reading),
            "from": reading.reason or reading.source,
        }
        for name, reading in readings.items()
    ]


def footnotes(tables: Sequence[Mapping[str, Reading]]) -> list[str]:
    """Why readings are unavailable or estimated, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for readings in tables:
        for name, reading in readings.items():
            if reading.status != "measured":
                reasons.setdefault((reading.status, reading.reason), []).append(name)
    return [
        f"{status}: {reason} ({', '.join(dict.fromkeys(names))})"
        for (status, reason), names in reasons.items()
    ]


def coverage_warnings(records: Sequence[Record]) -> list[str]:
    """A line for each case whose recipe left more than a tenth of the weights out, and which."""
    return [
        f"warning: {record.case} covers {covered.value:.3f} of its weights{_left_out(record)}"
        for record in records
        if (covered := record.readings.get("covered")) is not None
        and covered.value is not None
        and covered.value < LEAST_COVERED
    ]


_MOST_NAMED = 4


def _left_out(record: Record) -> str:
    """Weights that were left out, by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in record.uncovered.items():
        by_reason.setdefault(reason, []).append(name)
    parts = [
        f"{', '.join(names[:_MOST_NAMED])}"
        + (f" and {more} more" if (more := len(names) - _MOST_NAMED) > 0 else "")
        + f" ({reason})"
        for reason, names in by_reason.items()
    ]
    return f"; left out: {'; '.join(parts)}" if parts else ""


def _row(record: Record) -> tuple[str, ...]:
    def cell(name: str, form: str) -> str:
        reading = record.readings.get(name)
        return "-" if reading is None or reading.value is None else form.format(reading.value)

    metric = record.metric
    return (
        record.case,
        cell(metric, "{:.3f}"),
        metric,
        cell(f"{metric}_drop", "{:+.3f}"),
        cell("majority", "{:.3f}"),
        cell("covered", "{:.3f}"),
        human_bytes(record.readings.get("stored_bytes")),
        cell("size_ratio", "{:.2f}x"),
        # Not asked for is another thing than not to be had.
        with_interval(ratio) if (ratio := record.readings.get("cpu_ratio")) else "-",
    )


def kept_epoch(record: Record) -> str:
    """`12 of 50`: the epoch whose weights a recipe's training kept, of those that ran.

    Of the weights that it began with the record's own word follows, `0 of 50, calibration
    sufficed`; of a chain with several trainings each stands there, `12 of 50, then 3 of 15`; `-`
    for a recipe that trains nothing.
    """
    trainings = [step for step in record.steps if step.get("training")]
    if len(trainings) > 1:
        return ", then ".join(map(_kept_by, trainings))
    best, epochs = (record.readings.get(f"training_{name}") for name in ("best_epoch", "epochs"))
    if best is None or best.value is None or epochs is None or epochs.value is None:
        return "-"
    text = f"{best.value:.0f} of {epochs.value:.0f}"
    return f"{text}, {record.finetune['kept']}" if not best.value and record.finetune else text


def _kept_by(step: Mapping[str, Any]) -> str:
    best, epochs = step["training"]["best_epoch"], step["training"]["epochs"]
    return f"{best} of {epochs}" + (f" ({step['kept']})" if not best else "")


def _measured(record: Record) -> str:
    """When, in runs that took records from the store."""
    if not record.provenance.get("resumed"):
        return "now"
    return f"before, {record.provenance.get('measured_at', 'unknown when')}"


def human(reading: Reading | None) -> str:
    """A value with a unit for people; `-` where nothing was asked for, or `unavailable`."""
    if reading is None:
        return "-"
    if reading.value is None:
        return "unavailable"
    form = _FORMS.get(reading.unit)
    return form(reading) if form else f"{reading.value:.3g}"


def human_bytes(reading: Reading | None) -> str:
    """`23.1 kB`; `-` when unavailable."""
    if reading is None or reading.value is None:
        return "-"
    value = reading.value
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def human_seconds(reading: Reading) -> str:
    """`1.23 ms`, or `unavailable`."""
    if reading.value is None:
        return "unavailable"
    return _scaled(reading.value, ("s", "ms", "us", "ns"))


def human_joules(reading: Reading) -> str:
    """`1.23 mJ`, or `unavailable`."""
    if reading.value is None:
        return "unavailable"
    return _scaled(reading.value, ("J", "mJ", "uJ"))


def human_count(reading: Reading) -> str:
    """`1.23 M`, or `unavailable`."""
    if reading.value is None:
        return "unavailable"
    value, unit = reading.value, ""
    for larger in (" k", " M", " G", " T"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g}{unit}"


def _scaled(value: float, units: Sequence[str]) -> str:
    unit, *smaller_units = units
    for smaller in smaller_units:
        # What is above idle may be below zero.
        if abs(value) >= 1:
            break
        value, unit = value * 1000, smaller
    return f"{value:.3g} {unit}"


def with_interval(reading: Reading | None) -> str:
    """`0.98 [0.97, 1.00]`, or `unavailable`."""
    if reading is None or reading.value is None:
        return "unavailable"
    if reading.low is None or reading.high is None:
        return f"{reading.value:.3f}"
    return f"{reading.value:.3f} [{reading.low:.3f}, {reading.high:.3f}]"


_FORMS: dict[str, Callable[[Reading], str]] = {
    "bytes": human_bytes,
    "seconds": human_seconds,
    "joules": human_joules,
    "count": human_count,
}

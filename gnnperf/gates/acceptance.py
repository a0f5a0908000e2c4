"""From records to a baseline: only whole measurements, and only what changed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from gnnperf.gates.baselines import (
    LEAST_PROCESSES,
    BaselineError,
    CaseBaseline,
    OnMachine,
    Paired,
)
from gnnperf.gates.calibration import calibrate_readings, limit_fraction, over_rounds
from gnnperf.gates.metrics import METRICS, Metric, data_fingerprint, gated, machine_class
from gnnperf.records import Record

_SCORE_DIGITS = 6


def _before(record: Record, old: CaseBaseline | None) -> OnMachine | None:
    """What was accepted of the same data on this class of machine."""
    same = old is not None and old.data == data_fingerprint(record)
    return old.machines.get(machine_class(record)) if old and same else None


def settled_ratios(record: Record, old: CaseBaseline | None) -> dict[str, Paired]:
    """The ratios of the old baseline that the record agrees with: they need not be taken anew."""
    machine = _before(record, old)
    kept = {}
    for metric, name, reading in gated(record):
        paired = machine.paired.get(name) if machine else None
        if metric.kind == "paired" and paired and reading.value is not None:
            limit = 1 + limit_fraction(over_rounds(paired, reading.calls), metric.tolerance)
            if 1 / limit <= reading.value / paired.median <= limit:
                kept[name] = paired
    return kept


def unsettled(record: Record, old: CaseBaseline | None) -> bool:
    """Whether some ratio needs processes beyond this one to become a baseline."""
    kept = settled_ratios(record, old)
    return any(
        metric.kind == "paired" and reading.status == "measured" and name not in kept
        for metric, name, reading in gated(record)
    )


def accepted(
    test: str, records: Sequence[Record], old: CaseBaseline | None, preset: str
) -> CaseBaseline:
    """The case's new baseline; raises BaselineError for a measurement that is not whole.

    Args:
        test: its id.
        records: of the run that passed, and of further processes where `unsettled`.
        old: what it replaces. Other classes of machine keep theirs while the readings that are
            the same everywhere are; else theirs describes another model, and goes.
        preset: that it ran under.
    """
    record = records[0]
    machine = _before(record, old) or OnMachine({}, {}, {}, {})
    _require_whole(test, record, old)
    exact, on_machine, scores, paired = {}, {}, {}, settled_ratios(record, old)
    for metric, name, reading in gated(record):
        if reading.status != "measured":
            continue
        values = [r.readings[name].value for r in records if name in r.readings]
        whole = [value for value in values if value is not None]
        if metric.kind == "score":
            scores[name] = round(_same(test, metric, name, whole), _SCORE_DIGITS)
        elif metric.kind == "exact":
            value = _same(test, metric, name, whole)
            if metric.everywhere:
                exact[name] = value
            else:
                on_machine[name] = _unless_near(metric, value, machine.exact.get(name))
        elif name not in paired:
            if len(whole) < LEAST_PROCESSES:
                raise BaselineError(
                    f"{test}: {name} was measured in {len(whole)} of {LEAST_PROCESSES} processes"
                )
            paired[name] = calibrate_readings(
                r.readings[name] for r in records if name in r.readings
            )
    return _merged(record, old, preset, exact, OnMachine(on_machine, scores, paired, {}))


def _merged(
    record: Record,
    old: CaseBaseline | None,
    preset: str,
    exact: Mapping[str, float],
    values: OnMachine,
) -> CaseBaseline:
    here = machine_class(record)
    data = data_fingerprint(record)
    others = old.machines if old and old.exact == exact and old.data == data else {}
    before = others.get(here)
    same = before and before == OnMachine(
        values.exact, values.scores, values.paired, before.provenance
    )
    new = OnMachine(values.exact, values.scores, values.paired, provenance(record))
    machines = {**others, here: before if before and same else new}
    presets = tuple(sorted({*(old.presets if old else ()), preset}))
    return CaseBaseline(
        presets=presets,
        data=data,
        exact=exact,
        machines=machines,
        workload=record.workload,
        dataset=record.dataset,
        source=record.source,
    )


def _require_whole(test: str, record: Record, old: CaseBaseline | None) -> None:
    machine = old.machines.get(machine_class(record)) if old else None
    known = {*machine.exact, *machine.scores, *machine.paired} if machine else set()
    for metric, name, reading in gated(record):
        # Latency can be had everywhere: without it the measurement was cut short.
        needed = metric.limit == "latency" or metric.kind == "score" or name in known
        if needed and reading.status != "measured":
            raise BaselineError(f"{test}: {name} is {reading.status} ({reading.reason})")


def _same(test: str, metric: Metric, name: str, values: Sequence[float]) -> float:
    """What all processes agree on."""
    low, high = min(values), max(values)
    if high - low > (metric.tolerance if metric.kind == "exact" else 0.0) * abs(low):
        raise BaselineError(
            f"{test}: {name} differs from process to process ({low:.10g} to {high:.10g}); "
            "something in it is drawn without a seed"
        )
    return statistics.median_low(values)


def _unless_near(metric: Metric, value: float, before: float | None) -> float:
    near = before is not None and abs(value - before) <= metric.tolerance * abs(before)
    return before if near and before is not None else value


def scattered(test: str, case: CaseBaseline) -> Iterator[str]:
    """A sentence for each ratio that scattered so much that its gate has become wide."""
    for name, machine in case.machines.items():
        for reading, paired in machine.paired.items():
            limit = limit_fraction(paired, 0.0)
            if limit > 2 * METRICS[reading].tolerance:
                yield (
                    f"{test}: {reading} scatters by {paired.spread:.1%} from process to process on "
                    f"{name}, so only a rise by more than {limit:.0%} fails; take it anew on a "
                    "quieter machine: gnnperf baselines calibrate"
                )


def provenance(record: Record) -> dict[str, str]:
    """When, of which commit and with which versions."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": str(record.provenance.get("git_commit") or "unknown"),
        **{
            name: str(version)
            for name, version in record.provenance.get("versions", {}).items()
            if name in ("gnnperf", "python", "torch", "torch-geometric")
        },
    }


def changes(old: CaseBaseline | None, new: CaseBaseline | None) -> Iterator[str]:
    """What changed in a case, a phrase a value; nothing for equal ones."""
    if old is None or new is None:
        if old is not new:
            yield "new" if old is None else "taken out"
        return
    yield from _changed_values(old.exact, new.exact, "")
    for name in sorted({*old.machines, *new.machines}):
        before, after = old.machines.get(name), new.machines.get(name)
        if before is None or after is None:
            yield f"{'new' if before is None else 'taken out'} on {name}"
            continue
        where = f" on {name}"
        yield from _changed_values(before.exact, after.exact, where)
        yield from _changed_values(before.scores, after.scores, where)
        yield from _changed_values(before.paired, after.paired, where)
    if old.presets != new.presets:
        yield f"presets {', '.join(old.presets)} -> {', '.join(new.presets)}"
    if old.data != new.data:
        yield "other data"


def _changed_values(
    old: Mapping[str, float | Paired], new: Mapping[str, float | Paired], where: str
) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} {in_words(old.get(name))} -> {in_words(new.get(name))}{where}"


def in_words(value: float | Paired | None) -> str:
    """`117402`, `1.003 +- 0.2 % (5 processes)`, or `-`."""
    if value is None:
        return "-"
    if isinstance(value, Paired):
        return f"{value.median:.3f} +- {value.spread:.2%} ({value.processes} processes)"
    return f"{value:.10g}"

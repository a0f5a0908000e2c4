"""What other plugins report of a case: JUnit's properties, and pytest-benchmark's parameters."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from gnnperf.plugin.shared import RECORD, case_of

if TYPE_CHECKING:
    from gnnperf.gates.verdicts import CaseVerdict
    from gnnperf.records import Reading, Record

Property = tuple[str, object]
_OURS = pytest.StashKey["list[Property]"]()
"""Of a test's node: the properties that it got from here."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Name the case to pytest-benchmark by its fields: its JSON takes plain values alone."""
    benchmark, case = getattr(item, "funcargs", {}).get("benchmark"), case_of(item)
    params = getattr(benchmark, "params", None)  # Another plugin's fixture may go by that name.
    if benchmark is not None and params and case is not None:
        others = {name: value for name, value in params.items() if name != "case"}
        benchmark.params = {**asdict(case), **others}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the test's report its readings and its verdict, as far as they are known."""
    # A test that runs again has those of its last run alone.
    before = item.stash.get(_OURS, [])
    ours = item.stash[_OURS] = list(_properties(item))
    item.user_properties[:] = [p for p in item.user_properties if p not in before] + ours
    return (yield)


def _properties(item: pytest.Item) -> Iterator[Property]:
    record = item.stash.get(RECORD, None)
    if record is not None:
        yield from reading_properties(record)
    gate = item.config.pluginmanager.getplugin("gnnperf-gate-run")
    verdict = None if gate is None else gate.verdict_of(item.nodeid)
    if verdict is not None:
        yield from verdict_properties(verdict)


def reading_properties(record: Record) -> Iterator[Property]:
    """Each reading by its name: a measured value as it is, any other with its status and reason."""
    for name, reading in record.readings.items():
        yield name, _value(reading)


def _value(reading: Reading) -> object:
    if reading.status == "measured":
        return reading.value
    value = "" if reading.value is None else f"{reading.value!r} "
    return f"{value}{reading.status}: {reading.reason}"


def verdict_properties(verdict: CaseVerdict) -> Iterator[Property]:
    """The case's verdict, and of each reading that is not ok its own with the sentence."""
    yield "verdict", verdict.verdict
    for finding in verdict.findings:
        if finding.verdict != "ok":
            yield f"verdict_{finding.metric}", f"{finding.verdict}: {finding.sentence}"

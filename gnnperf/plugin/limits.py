"""Limits of the gates in markers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gnnperf.errors import GnnperfError

if TYPE_CHECKING:
    from gnnperf.records import Record

GATE_MARK = "gnnperf_gate"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{GATE_MARK}(latency='10%', score=0.02, coverage=0.95, ...): limits of the gate for "
        "these cases; coverage, the least share of the weights, holds without a baseline too",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check the limits in markers, whether or not a gate is asked for."""
    for item in items:
        if item.get_closest_marker(GATE_MARK) is not None:
            try:
                marked_limits(item)
            except GnnperfError as error:
                raise pytest.UsageError(str(error)) from error


def marked_limits(item: pytest.Item) -> dict[str, float]:
    """The limits that markers set for a test, the closest first; raises LimitError."""
    from gnnperf.gates.limits import LimitError, parse_limits

    found: dict[str, float] = {}
    for mark in item.iter_markers(GATE_MARK):
        where = f"{item.nodeid}: {GATE_MARK}"
        if mark.args:
            raise LimitError(
                f"{where} takes limits by name, such as latency='10%', not {mark.args[0]!r}"
            )
        found = {**parse_limits(mark.kwargs, where), **found}
    return found


def require_covered(item: pytest.Item, record: Record) -> None:
    """Hold the record to the least coverage that the project or a marker sets; raises GateError.

    With a gate or without: it needs no baseline.
    """
    from gnnperf.gates.limits import read_settings
    from gnnperf.gates.thresholds import GateError
    from gnnperf.gates.verdicts import fails, judge_coverage

    limits = {**read_settings(item.config.rootpath).limits, **marked_limits(item)}
    finding = judge_coverage(item.nodeid, record, limits)
    if finding is not None and fails(finding.verdict, strict=False):
        raise GateError(finding.sentence)

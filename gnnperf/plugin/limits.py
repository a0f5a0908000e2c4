"""Limits of the gates in markers."""

from __future__ import annotations

import pytest

from gnnperf.errors import GnnperfError

GATE_MARK = "gnnperf_gate"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{GATE_MARK}(latency='10%', score=0.02, ...): limits of the gate for these cases",
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

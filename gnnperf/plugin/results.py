"""Finished cases: kept as they come, and taken from the cache where a study goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gnnperf.plugin.rounds import give_rounds
from gnnperf.plugin.shared import announce

if TYPE_CHECKING:
    from gnnperf.records import Record

_NOTES = pytest.StashKey["list[str]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Whether to go on with a study."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-resume",
        action="store_true",
        help="take cases that were finished before, under the same settings, from the cache",
    )


def from_store_or(
    measure: Callable[[], Record],
    decides: tuple[Any, ...],
    config: pytest.Config,
    benchmark: Any,
    cache: Path,
) -> Record:
    """The case's record from the store, where the run may take it; else measured and stored.

    Args:
        measure: takes the readings, and has `benchmark` time something.
        decides: arguments of `gnnperf.study.results.record_decides`.
        config: of the run.
        benchmark: pytest-benchmark's fixture; it gets the rounds that a stored record was timed in.
        cache: folder that holds the store.
    """
    if benchmark.disabled:
        return measure()
    from gnnperf.study.results import Result, finished, record_decides

    def take() -> Result:
        record = measure()
        now = datetime.now(UTC).isoformat(" ", "minutes")
        record = replace(record, provenance={**record.provenance, "measured_at": now})
        return Result(record, tuple(benchmark.stats.stats.data))

    result, stored = finished(
        cache / "results",
        record_decides(*decides),
        take,
        resume=config.getoption("gnnperf_resume"),
        announce=lambda text: announce(config, text),
        note=config.stash.setdefault(_NOTES, []).append,
    )
    if not stored:
        return result.record
    _replay(benchmark, result.round_seconds)
    return replace(result.record, provenance={**result.record.provenance, "resumed": True})


def _replay(benchmark: Any, round_seconds: Sequence[float]) -> None:
    """Give pytest-benchmark the rounds that were timed when the case was measured."""
    # It keeps a record only beside something that it ran.
    benchmark.pedantic(lambda: None, rounds=1)
    give_rounds(benchmark, round_seconds)


def notes_on_results(config: pytest.Config) -> list[str]:
    """Why results were not taken or not kept, each reason once with the number of its cases."""
    notes = config.stash.setdefault(_NOTES, [])
    return [
        f"{count} {'case' if count == 1 else 'cases'} {why}"
        for why, count in Counter(notes).items()
    ]

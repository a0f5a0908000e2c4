"""The rounds of a pair of callables, run by pytest-benchmark, and how long they shall last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from gnnperf.plugin.shared import positive

if TYPE_CHECKING:
    from gnnperf.meters.latency import Pair
    from gnnperf.meters.looks import Budget

_JUDGED_SECONDS = (1.0, 2.5)
"""Under a gate rounds last so long, at least and, but for six rounds, at most.

One burst of another process then moves no median, and a case is measured in 4 s.
"""

_MOST_CAP_SECONDS = 86_400.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long rounds may take."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-latency-seconds",
        type=positive("--gnnperf-latency-seconds", "time", "seconds", _MOST_CAP_SECONDS),
        metavar="S",
        help="no comparison of two callables takes longer, warm-up included, but for the two "
        "rounds that it needs; the interval says what that costs (default: six rounds are taken "
        "however slow a model is)",
    )


@dataclass
class NoBenchmark:
    """Stands in for pytest-benchmark's fixture where that is not loaded, as if it was disabled."""

    extra_info: dict[str, Any] = field(default_factory=dict)
    disabled: bool = True

    def pedantic(
        self,
        target: Callable[[], object],
        setup: Callable[[], object] = lambda: None,
        **_: object,
    ) -> None:
        """Call once, untimed."""
        setup()
        target()


class WithBenchmark:
    """Fixture `_timer` where pytest-benchmark is loaded."""

    @pytest.fixture
    def _timer(self, benchmark: Any) -> Any:
        return benchmark


class WithoutBenchmark:
    """Fixture `_timer` under `-p no:benchmark`."""

    @pytest.fixture
    def _timer(self) -> NoBenchmark:
        return NoBenchmark()


def pytest_configure(config: pytest.Config) -> None:
    """Choose between the two: pytest-benchmark finds the tests that it times by their fixtures."""
    # By its option, as a plugin's name depends on how it was loaded.
    loaded = config.getoption("benchmark_disable", default=None) is not None
    config.pluginmanager.register(WithBenchmark() if loaded else WithoutBenchmark())


def latency_budget(config: pytest.Config, otherwise: float) -> Budget:
    """How long the rounds of two callables shall last in this run.

    Under a gate as long as in every other run: its false-alarm rate is that of such rounds.
    """
    from gnnperf.meters.looks import Budget

    options = ("gnnperf_gate", "gnnperf_accept", "gnnperf_again")
    judged = any(config.getoption(option) for option in options)
    least, most = _JUDGED_SECONDS if judged else (0.0, otherwise)
    cap = config.getoption("gnnperf_latency_seconds")
    return Budget(most, least, math.inf if cap is None else cap, stops_early=not judged)


def run_rounds(benchmark: Any, budget: Budget, pair: Pair) -> None:
    """Run a pair's rounds in one call of pytest-benchmark, which gets the candidate's times."""
    # Switched off, pytest-benchmark still calls the pair once: it must work all the same.
    if benchmark.disabled:
        benchmark.pedantic(pair, setup=pair.before, teardown=pair.after)
        return
    calls = iter([lambda: pair.run_within(budget)])
    # Its `pedantic` must know the number of rounds beforehand. What profiles calls once more.
    benchmark.pedantic(lambda: next(calls, pair.candidate)())
    times = pair.candidate_times
    by_cpu = benchmark.stats.options["timer"] is time.process_time
    give_rounds(benchmark, times.cpu_seconds if by_cpu else times.wall_seconds)


def give_rounds(benchmark: Any, round_seconds: Sequence[float]) -> None:
    """Put rounds that were timed otherwise in place of those that pytest-benchmark has timed."""
    stats = benchmark.stats.stats
    stats.data.clear()
    for seconds in round_seconds:
        stats.update(seconds)

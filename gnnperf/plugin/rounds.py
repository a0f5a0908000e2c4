"""The rounds of a pair of callables, run by pytest-benchmark, and how long they shall last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gnnperf.meters.latency import Pair

_JUDGED_SECONDS = (1.0, 2.5)
"""Under a gate rounds last so long, at least and, but for 30 rounds, at most.

One burst of another process then moves no median, and a case is measured in 4 s.
"""


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


def latency_seconds(config: pytest.Config, otherwise: float) -> tuple[float, float]:
    """How long the rounds of a case shall last in this run, at least and at most."""
    options = ("gnnperf_gate", "gnnperf_accept", "gnnperf_again")
    judged = any(config.getoption(option) for option in options)
    return _JUDGED_SECONDS if judged else (0.0, otherwise)


def run_rounds(benchmark: Any, seconds: tuple[float, float], pair: Pair) -> None:
    """For at least and at most so long, through pytest-benchmark, which so times the candidate."""
    # Switched off, pytest-benchmark still calls the pair once: it must work all the same.
    if not benchmark.disabled:
        pair.warm_up()
        least, most = seconds
        pair.fit_into(most, least)
    benchmark.pedantic(pair, setup=pair.before, teardown=pair.after, rounds=pair.rounds)

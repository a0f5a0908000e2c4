"""How long the run will take, and how much of that is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gnnperf.plugin.shared import announce, case_of
from gnnperf.plugin.tables import RECORDS
from gnnperf.plugin.workbench import WORKBENCH

if TYPE_CHECKING:
    from gnnperf.study.durations import Key

_SAY_EVERY_SECONDS = 60.0


class Progress:
    """Of one run: what is to be done, and what took how long; registered where there are cases."""

    def __init__(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        from gnnperf.study.durations import read_durations

        self._config, self._cache = config, config.stash[WORKBENCH].options.cache
        self._todo = {item.nodeid: key for item in items if (key := _key(config, item))}
        self._known = read_durations(self._cache)
        self._cases = len(self._todo)
        self._kept: dict[Key, float] = {}
        self._said = time.monotonic()

    def header(self) -> str:
        """What is said before the first case; empty where nothing can be told."""
        from gnnperf.study.durations import estimate

        text = estimate(list(self._todo.values()), self._known)
        resumes = bool(text) and self._config.getoption("gnnperf_resume")
        return text + "; less where finished cases are in the cache" * resumes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a case's time, and say now and then what is left."""
        if report.when != "call" or report.nodeid not in self._todo:
            return
        key = self._todo.pop(report.nodeid)
        record = self._config.stash[RECORDS].get(report.nodeid)
        # To read a finished case takes no time, and says nothing of what it took.
        if report.passed and not (record and record.provenance.get("resumed")):
            self._kept[key] = report.duration
        now = time.monotonic()
        if self._todo and now - self._said >= _SAY_EVERY_SECONDS:
            self._said = now
            # A run may be cut off at any time.
            self._keep()
            announce(self._config, self._left())

    def _left(self) -> str:
        from gnnperf.study.durations import left

        return left(list(self._todo.values()), self._cases, self._kept, self._known)

    def pytest_sessionfinish(self) -> None:
        """Keep what was learnt."""
        self._keep()

    def _keep(self) -> None:
        from gnnperf.study.durations import keep_durations

        if self._kept:
            keep_durations(self._cache, self._kept)


def _key(config: pytest.Config, item: pytest.Item) -> Key | None:
    case = case_of(item)
    if case is None:
        return None
    test = item.nodeid.partition("[")[0]
    seeds = item.nodeid.rpartition("-seed")[2].rstrip("]")
    return (config.getoption("gnnperf_preset"), test, case.workload, case.recipe, seeds)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """How long the run will take, as far as earlier ones tell."""
    # Nor does a fresh process that measures a run's case again tell of the run.
    again = config.getoption("gnnperf_again", default=None)
    if WORKBENCH not in config.stash or hasattr(config, "workerinput") or again:
        return []
    progress = Progress(config, items)
    config.pluginmanager.register(progress, "gnnperf-progress")
    header = progress.header()
    return [f"gnnperf: {header}"] if header else []

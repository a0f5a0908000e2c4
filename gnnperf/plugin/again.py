"""In a fresh process: measure the cases asked for, and hand their records back."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gnnperf.gates.fresh import hand_back, wanted_tests
from gnnperf.plugin.shared import RECORD

if TYPE_CHECKING:
    from gnnperf.records import Record


def write_nothing(config: pytest.Config) -> None:
    """Before plugins look at their options: no JUnit file, no page, no cleared cache."""
    for name in ("xmlpath", "htmlpath", "cacheclear"):
        if hasattr(config.option, name):
            setattr(config.option, name, None)


class Again:
    """The hooks of a run that another run has started with `--gnnperf-again`."""

    def __init__(self, config: pytest.Config) -> None:
        self._folder = Path(config.getoption("gnnperf_again"))
        self._tests = wanted_tests(self._folder)
        self._files = {test.partition("::")[0] for test in self._tests or ()}
        # A test that is named on the command line must be found in its file.
        self._skips_files = self._tests is not None and not any("::" in arg for arg in config.args)
        self._measured: dict[str, Record] = {}
        self._failed: set[str] = set()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Leave the cache as it is, which is that of the run that asks."""
        cache = getattr(session.config, "cache", None)
        if cache is not None:
            cache.set = lambda key, value: None

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Do not import files that hold none of the tests asked for."""
        if (
            self._skips_files
            and isinstance(collector, pytest.File)
            and collector.nodeid not in self._files
        ):
            collector.collect = list  # type: ignore[method-assign]  # A file without tests.
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave the tests asked for."""
        if self._tests is not None:
            others = [item for item in items if item.nodeid not in self._tests]
            items[:] = [item for item in items if item.nodeid in self._tests]
            config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep a case's record."""
        report = yield
        if report.failed:
            self._failed.add(item.nodeid)
        record = item.stash.get(RECORD, None)
        if record is not None:
            self._measured[item.nodeid] = record
        return report

    def pytest_sessionfinish(self) -> None:
        """Hand back the records of the tests that passed."""
        passed = {t: record for t, record in self._measured.items() if t not in self._failed}
        hand_back(self._folder, passed)

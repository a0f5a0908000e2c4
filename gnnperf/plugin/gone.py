"""Cases that have a baseline and did not run although their whole file did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path

import pytest

from gnnperf.gates.baselines import Baselines, CaseBaseline
from gnnperf.gates.verdicts import CaseVerdict, gone
from gnnperf.plugin.shard import share_of
from gnnperf.plugin.workbench import dataset_keys


class WholeFiles:
    """Which files of a run are collected whole: nothing of them named, deselected or broken."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected: dict[str, pytest.File] = {}
        self._partial: set[str] = set()
        self._named = {
            (config.invocation_params.dir / arg.partition("::")[0]).resolve()
            for arg in config.args
            if "::" in arg
        }
        # A selection judges what ran alone, also where it happens to select all. With --lf pytest
        # takes other files for empty ones.
        names = ("keyword", "markexpr", "deselect", "lf", "stepwise")
        ours = ("gnnperf_seeds", "gnnperf_workloads", "gnnperf_recipes")
        self._selective = any(config.getoption(name, default=None) for name in (*names, *ours))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Remember the file."""
        report = yield
        file = next((n for n in collector.listchain() if isinstance(n, pytest.File)), None)
        if file is not None:
            self._collected[file.nodeid] = file
            if not report.passed:
                self._partial.add(file.nodeid)
        return report

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Remember that their files do not run whole, unless other shards run the rest."""
        share = share_of(self._config)
        others = frozenset() if share is None else share.others
        self._partial.update(file_of(item.nodeid) for item in items if item.nodeid not in others)

    def ran(self, test: str) -> bool:
        """Whether the test's file runs whole, or was taken away from where the run looked."""
        file = file_of(test)
        if self._selective or file in self._partial:
            return False
        if file in self._collected:
            return self._collected[file].path.resolve() not in self._named
        path = self._config.rootpath / file
        return not path.exists() and any(folder in path.parents for folder in self._folders())

    def _folders(self) -> Iterator[Path]:
        for arg in self._config.args:
            yield (self._config.invocation_params.dir / arg).resolve()

    def node(self, test: str) -> pytest.Collector | None:
        """The test's file; None for one that is not there any more."""
        return self._collected.get(file_of(test))


def file_of(test: str) -> str:
    """The file's part of a test's id."""
    return test.partition("::")[0]


def missing(session: pytest.Session, files: WholeFiles, baselines: Baselines) -> list[str]:
    """The tests that this run should have collected and did not.

    Of shards, one judges each of them: those that it lacks as all others do.
    """
    share = share_of(session.config)
    collected = {item.nodeid for item in session.items}
    if share is not None:
        collected |= share.others
    return [
        test
        for test, case in baselines.items()
        if test not in collected
        and files.ran(test)
        and expected(session.config, case)
        and (share is None or share.shard.judges(test))
    ]


def expected(config: pytest.Config, case: CaseBaseline) -> bool:
    """Whether a run with this preset and this data has the case, where it is still there."""
    if config.getoption("gnnperf_preset") not in case.presets:
        return False
    keys = dataset_keys(config)
    if case.dataset in keys:
        return case.workload.startswith(f"{keys[case.dataset]}-")
    mode = config.getoption("gnnperf_data")
    sources = {mode}
    if mode == "auto":
        sources = {"synthetic" if k.endswith("~synthetic") else "real" for k in keys.values()}
    return case.source in sources


class GoneCase(pytest.Item):
    """Stands for a case that is gone, under its id, so that it fails as a test."""

    verdict: CaseVerdict

    def runtest(self) -> None:
        """Fail."""
        pytest.fail("\n".join(self.verdict.failures(strict=False)), pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the case was."""
        return self.path, None, self.name


def insert_gone(session: pytest.Session, files: WholeFiles, baselines: Baselines) -> None:
    """Put an item for each case that is gone behind the others of its file."""
    cases: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for test in missing(session, files, baselines):
        parent = files.node(test) or session
        stand_in: GoneCase = GoneCase.from_parent(parent, name=test.partition("::")[2], nodeid=test)
        stand_in.verdict = gone(test, "its whole file ran without it")
        cases[file_of(test)].append(stand_in)
    last = {file_of(item.nodeid): number for number, item in enumerate(session.items)}
    items: list[pytest.Item] = []
    for number, item in enumerate(session.items):
        items.append(item)
        if last[file_of(item.nodeid)] == number:
            items += cases.pop(file_of(item.nodeid), [])
    session.items[:] = [*items, *chain.from_iterable(cases.values())]

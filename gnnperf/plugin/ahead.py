"""The cases' trainings, done side by side before the first case of a file is measured."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.shared import announce, case_of, count
from gnnperf.plugin.workbench import WORKBENCH

if TYPE_CHECKING:
    from gnnperf.study.cases import Training

_NO_TEST_RUNS = ("collectonly", "setuponly", "setupplan", "benchmark_skip")
_MOST_JOBS = 1024


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many trainings go on at a time."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-jobs",
        type=count("--gnnperf-jobs", "processes", _MOST_JOBS),
        metavar="N",
        help="missing models are trained ahead, N processes at a time (default: as many as cores; "
        "1: each by the case that needs it)",
    )
    group.addoption(
        "--gnnperf-cluster",
        metavar="ADDRESS",
        help="train them on a Dask cluster, tcp://host:8786, or in processes of its own here, "
        "local:4; no disk need be shared",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an address that can be none."""
    address = config.getoption("gnnperf_cluster")
    if address is None:
        return
    from gnnperf.system.cluster import ClusterError, check_address

    try:
        check_address(address)
    except ClusterError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Have trainings done ahead; the processes that do them end with the tests."""
    jobs, cluster = _jobs(session), session.config.getoption("gnnperf_cluster")
    if jobs == 0 or (jobs == 1 and cluster is None):
        return (yield)
    from gnnperf.system.parallel import workers_end

    # Other machines disturb no case, and have the most to do where they are told all of it.
    due = _due(session.items) if cluster is None else _at_once(session.items)
    session.config.pluginmanager.register(Ahead(due, jobs, cluster))
    with workers_end(jobs):
        return (yield)


def _jobs(session: pytest.Session) -> int:
    """How many trainings go on at a time; 1: each is left to its case, 0: no case runs here."""
    config = session.config
    stopped = session.testsfailed and not config.getoption("continue_on_collection_errors")
    if (
        WORKBENCH not in config.stash
        or stopped
        or hasattr(config, "workerinput")
        # Options of plugins that may be switched off.
        or any(config.getoption(name, default=False) for name in _NO_TEST_RUNS)
    ):
        return 0
    from gnnperf.study.ahead import gpus_to_share
    from gnnperf.system.parallel import default_jobs

    options = config.stash[WORKBENCH].options
    jobs: int = config.getoption("gnnperf_jobs") or default_jobs(options.threads)
    if options.device.type != "cpu":
        # A GPU serves one training at a time.
        return max(1, min(jobs, gpus_to_share(options.device)))
    return jobs


def _due(items: Sequence[pytest.Item]) -> dict[pytest.Item, list[Training]]:
    """Trainings by the test before which they are done: the first of their file that has any.

    But for those of the run's first case, whose result shall not wait for others'.
    """
    due: dict[pytest.Item, list[Training]] = {}
    first_of: dict[Path, pytest.Item] = {}
    for item in items:
        if trainings := _trainings(item):
            first = first_of.setdefault(item.path, item) if due else item
            due.setdefault(first, []).extend(trainings)
    return due


def _at_once(items: Sequence[pytest.Item]) -> dict[pytest.Item, list[Training]]:
    """All trainings, due before the first test that has any."""
    with_some = [item for item in items if _trainings(item)]
    return {item: [t for i in items for t in _trainings(i)] for item in with_some[:1]}


class Ahead:
    """Trains what is due before a test and the cache lacks, `jobs` processes at a time.

    Or on a cluster, where its address is given.
    """

    def __init__(
        self, due: dict[pytest.Item, list[Training]], jobs: int, cluster: str | None
    ) -> None:
        self._due, self._jobs, self._cluster = due, jobs, cluster

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Nothing else runs meanwhile, and nothing of it while a case is measured."""
        trainings = self._due.pop(item, None)
        if trainings is None:
            return
        from gnnperf.study.ahead import train_ahead
        from gnnperf.system.cluster import UnreachableError

        config = item.config
        with _uncaptured(config):
            try:
                train_ahead(
                    config.stash[WORKBENCH],
                    trainings,
                    self._jobs,
                    lambda text: announce(config, text),
                    self._cluster,
                )
            except UnreachableError as error:
                raise pytest.UsageError(str(error)) from error
            except GnnperfError as error:
                announce(config, f"{error}; the rest is trained case by case")


def _trainings(item: pytest.Item) -> tuple[Training, ...]:
    """What the case of a test needs; nothing where it has none, or will not run."""
    case = case_of(item)
    trains = case is not None and "workbench" in getattr(item, "fixturenames", ())
    return case.trainings() if case is not None and trains else ()


@contextmanager
def _uncaptured(config: pytest.Config) -> Generator[None]:
    """Let a progress bar through to the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield

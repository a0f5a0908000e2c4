"""The cases' trainings, done side by side before the first of them is measured."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.shared import announce, case_of, count
from gnnperf.plugin.workbench import WORKBENCH

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


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Train what the selected cases need and the cache lacks."""
    config = session.config
    stopped = session.testsfailed and not config.getoption("continue_on_collection_errors")
    if (
        WORKBENCH not in config.stash
        or stopped
        or hasattr(config, "workerinput")
        # Options of plugins that may be switched off.
        or any(config.getoption(name, default=False) for name in _NO_TEST_RUNS)
    ):
        return
    from gnnperf.study.ahead import gpus_to_share, train_ahead
    from gnnperf.system.cluster import UnreachableError
    from gnnperf.system.parallel import default_jobs

    workbench = config.stash[WORKBENCH]
    options, cluster = workbench.options, config.getoption("gnnperf_cluster")
    jobs = config.getoption("gnnperf_jobs") or default_jobs(options.threads)
    if options.device.type != "cpu":
        # A GPU serves one training at a time.
        jobs = max(1, min(jobs, gpus_to_share(options.device)))
    if jobs == 1 and cluster is None:
        return
    trainings = [t for item in session.items for t in _trainings(item)]
    with _uncaptured(config):
        try:
            train_ahead(workbench, trainings, jobs, lambda text: announce(config, text), cluster)
        except UnreachableError as error:
            raise pytest.UsageError(str(error)) from error
        except GnnperfError as error:
            announce(config, f"{error}; the rest is trained case by case")


def _trainings(item: pytest.Item) -> tuple[tuple[str, int, str], ...]:
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

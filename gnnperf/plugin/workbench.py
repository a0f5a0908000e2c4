"""The run's workbench: data, cache, device and threads that it was told, and trained models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.shared import count
from gnnperf.system import MOST_THREADS

if TYPE_CHECKING:
    from gnnperf.study.workbench import Workbench, WorkbenchOptions
    from gnnperf.training import Trained

WORKBENCH = pytest.StashKey["Workbench"]()
"""Of the run, once something has asked for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where data comes from, where results are kept, and what computes."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-data",
        choices=("auto", "real", "synthetic"),
        default="auto",
        help="real data, synthetic stand-ins, or (auto, default) real where it can be had",
    )
    group.addoption(
        "--gnnperf-data-root",
        metavar="DIR",
        help="folder with raw files, DIR/Cora/raw/ind.cora.x ... (default: $GNNPERF_DATA)",
    )
    group.addoption(
        "--gnnperf-data-version",
        metavar="NAME",
        help="of the raw files in the folder, where they are not the published ones; it stands in "
        "ids and records, cora_node~NAME",
    )
    group.addoption(
        "--gnnperf-cache",
        metavar="DIR",
        help="folder for processed data and trained models (default: the user's cache)",
    )
    group.addoption(
        "--gnnperf-device",
        default="auto",
        metavar="NAME",
        help="auto (default: a GPU where there is one), cpu, cuda or cuda:N",
    )
    group.addoption(
        "--gnnperf-threads",
        type=count("--gnnperf-threads", "threads", MOST_THREADS),
        default=1,
        metavar="N",
        help="threads to compute with (default: 1, the steadiest)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Check what can be checked before anything runs."""
    from gnnperf.system.files import usable_path

    try:
        usable_path(config.getoption("gnnperf_cache") or "", "--gnnperf-cache")
    except GnnperfError as error:
        raise pytest.UsageError(str(error)) from error
    device = config.getoption("gnnperf_device")
    if device != "auto":
        from gnnperf.system.machine import find_device

        try:
            find_device(device)
        except GnnperfError as error:
            raise pytest.UsageError(f"--gnnperf-device: {error}") from error
    # Only these can be wrong without a look at the disk, and all else may need torch in vain.
    if config.getoption("gnnperf_data_version") is not None or (
        config.getoption("gnnperf_data_root") == ""
    ):
        try:
            _options(config)
        except GnnperfError as error:
            raise pytest.UsageError(str(error)) from error


def _options(config: pytest.Config) -> WorkbenchOptions:
    from gnnperf.study.workbench import workbench_options

    return workbench_options(
        mode=config.getoption("gnnperf_data"),
        data_root=config.getoption("gnnperf_data_root"),
        data_version=config.getoption("gnnperf_data_version"),
        cache=config.getoption("gnnperf_cache"),
        device=config.getoption("gnnperf_device"),
        threads=config.getoption("gnnperf_threads"),
    )


def workbench_of(config: pytest.Config) -> Workbench:
    """The run's one workbench, made when the first test asks for it."""
    if WORKBENCH not in config.stash:
        from gnnperf.study.workbench import Workbench

        config.stash[WORKBENCH] = Workbench(_options(config))
    return config.stash[WORKBENCH]


def dataset_keys(config: pytest.Config) -> Mapping[str, str]:
    """Of the datasets that the run's cases are on, `cora_node` to `cora_node~synthetic`."""
    return config.stash[WORKBENCH].dataset_keys() if WORKBENCH in config.stash else {}


@pytest.fixture(scope="session")
def workbench(pytestconfig: pytest.Config) -> Workbench:
    """The run's datasets, options and trained models."""
    return workbench_of(pytestconfig)


@pytest.fixture(scope="session")
def trained(workbench: Workbench) -> Callable[[str, int], Trained]:
    """`trained(workload, seed=0)`: the dense model, from the cache or trained now."""
    return workbench.trained

"""pytest's side: options, fixtures, hooks; wires the rooms together.

Every pytest run of an environment imports this module, so torch and all that needs it are
imported inside the functions, when a test asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.measure import add_meter_options
from gnnperf.plugin.results import (
    add_study_options,
    check_study_options,
    chosen_preset,
    train_cases_ahead,
)
from gnnperf.study.presets import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    from gnnperf.datasets import Dataset
    from gnnperf.study.workbench import Workbench
    from gnnperf.training import Trained

pytest_plugins = ["gnnperf.plugin.gate", "gnnperf.plugin.measure"]

CASES_MARK = "gnnperf_cases"

_WORKBENCH = pytest.StashKey["Workbench"]()
_USAGE_ERROR = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; `pytest --help` shows them as one group."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-preset",
        choices=tuple(PRESETS),
        default=DEFAULT_PRESET,
        help="how much to run: smoke, quick (default) or the paper's whole grid",
    )
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
        type=int,
        default=1,
        metavar="N",
        help="threads to compute with (default: 1, the steadiest)",
    )
    add_meter_options(group)
    add_study_options(group)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and check what can be checked before anything runs."""
    config.addinivalue_line(
        "markers",
        f"{CASES_MARK}(workloads, recipes, seeds): parametrize `case` over workloads, recipes and "
        "seeds (the preset's where left out); workloads and recipes may be functions of the preset",
    )
    threads = config.getoption("gnnperf_threads")
    if threads < 1:
        raise pytest.UsageError(f"--gnnperf-threads {threads}: name at least one thread")
    check_study_options(config)
    device = config.getoption("gnnperf_device")
    if device != "auto":
        from gnnperf.system.machine import find_device

        try:
            find_device(device)
        except GnnperfError as error:
            raise pytest.UsageError(f"--gnnperf-device: {error}") from error


def _workbench(config: pytest.Config) -> Workbench:
    """The run's one workbench, made when the first test asks for it."""
    if _WORKBENCH not in config.stash:
        from gnnperf.study.workbench import Workbench, workbench_options

        options = workbench_options(
            mode=config.getoption("gnnperf_data"),
            data_root=config.getoption("gnnperf_data_root"),
            cache=config.getoption("gnnperf_cache"),
            device=config.getoption("gnnperf_device"),
            threads=config.getoption("gnnperf_threads"),
        )
        config.stash[_WORKBENCH] = Workbench(options)
    return config.stash[_WORKBENCH]


def loaded_datasets(config: pytest.Config) -> list[Dataset]:
    """The datasets that the run has loaded so far."""
    return config.stash[_WORKBENCH].datasets() if _WORKBENCH in config.stash else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `case` where the marker asks for it."""
    mark = metafunc.definition.get_closest_marker(CASES_MARK)
    if mark is None or "case" not in metafunc.fixturenames:
        return
    from gnnperf.datasets import DataError
    from gnnperf.study.cases import expand
    from gnnperf.system.files import FolderError

    preset = chosen_preset(metafunc.config)
    try:
        workbench = _workbench(metafunc.config)
        given = set(mark.kwargs)
        if mark.args or not {"workloads", "recipes"} <= given <= {"workloads", "recipes", "seeds"}:
            raise GnnperfError(
                f"{metafunc.definition.nodeid}: {CASES_MARK} takes workloads, recipes and "
                f"perhaps seeds, not {', '.join([*map(repr, mark.args), *mark.kwargs])}"
            )
        cases = list(expand(**mark.kwargs, preset=preset))
        ids = [f"{workbench.workload_id(c.workload)}-{c.recipe}-seed{c.seed}" for c in cases]
    except GnnperfError as error:
        if isinstance(error, (DataError, FolderError)):
            metafunc.config.stash[_USAGE_ERROR] = True
        raise pytest.Collector.CollectError(str(error)) from error
    metafunc.parametrize("case", cases, ids=ids)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit with 4 where an option was wrong, though pytest saw an error of collection."""
    if session.config.stash.get(_USAGE_ERROR, False):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """The header; shown only in runs that use gnnperf, of which there is no telling earlier."""
    if _WORKBENCH not in config.stash:
        return []
    from gnnperf.system.machine import device_name

    bench = config.stash[_WORKBENCH]
    options = bench.options
    header = (
        f"gnnperf: device {options.device} ({device_name(options.device)}), "
        f"threads {options.threads}, data {options.data.mode}, "
        f"preset {config.getoption('gnnperf_preset')}, cache {options.cache}"
    )
    if seeds := config.getoption("gnnperf_seeds"):
        header += f", seeds {seeds}"
    return [header, *(f"gnnperf: {d.key}: {d.origin}" for d in bench.datasets())]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first case is measured, train what the cases will need."""
    if _WORKBENCH in session.config.stash:
        train_cases_ahead(session, session.config.stash[_WORKBENCH])


@pytest.fixture(scope="session")
def workbench(pytestconfig: pytest.Config) -> Workbench:
    """The run's datasets, options and trained models."""
    return _workbench(pytestconfig)


@pytest.fixture(scope="session")
def trained(workbench: Workbench) -> Callable[[str, int], Trained]:
    """`trained(workload, seed=0)`: the dense model, from the cache or trained now."""
    return workbench.trained


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """Show an error of ours as its one sentence."""
    return (yield from _one_sentence())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Show an error of ours as its one sentence."""
    return (yield from _one_sentence())


def _one_sentence() -> Generator[None]:
    try:
        return (yield)
    except GnnperfError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None

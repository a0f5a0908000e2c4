"""Cases: tests parametrized over workloads, recipes and seeds, under the chosen preset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.shared import case_of, shown
from gnnperf.plugin.workbench import WORKBENCH, workbench_of
from gnnperf.study.presets import DEFAULT_PRESET, PRESETS, Preset, parse_seeds

CASES_MARK = "gnnperf_cases"

_NEEDED = {"workloads", "recipes"}
_KNOWN = {*_NEEDED, "seeds", "over_seeds", "beside"}
_USAGE_ERROR = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much to run."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-preset",
        choices=tuple(PRESETS),
        default=DEFAULT_PRESET,
        help="how much to run: smoke, quick (default) or the paper's whole grid",
    )
    group.addoption(
        "--gnnperf-seeds",
        metavar="LIST",
        help="seeds to run over, 0,1,2 or 0..9, in place of the preset's",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse nonsense before anything runs."""
    config.addinivalue_line(
        "markers",
        f"{CASES_MARK}(workloads, recipes, seeds, over_seeds, beside): parametrize `case` over "
        "workloads, recipes and seeds (the preset's where left out), each of which may be a "
        "function of the preset; over_seeds=N: one case for all seeds, N at least; beside: a "
        "function of the recipe, giving those that the test compares it with; several markers add "
        "their cases up",
    )
    seeds = config.getoption("gnnperf_seeds")
    try:
        if seeds is not None:
            parse_seeds(seeds)
    except ValueError:
        raise pytest.UsageError(
            f"--gnnperf-seeds {shown(seeds)} is no list like 0,1,2 or 0..9 (1000 seeds at most)"
        ) from None


def chosen_preset(config: pytest.Config) -> Preset:
    """The preset, with the seeds of --gnnperf-seeds where they were given."""
    preset = PRESETS[config.getoption("gnnperf_preset")]
    seeds = config.getoption("gnnperf_seeds")
    if seeds is None:
        return preset
    return replace(preset, seeds=tuple(parse_seeds(seeds)), seeds_are_chosen=True)


@pytest.fixture(scope="session")
def preset(pytestconfig: pytest.Config) -> Preset:
    """The chosen preset, with the seeds of --gnnperf-seeds where they were given."""
    return chosen_preset(pytestconfig)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `case` where the marker asks for it."""
    # From the top down.
    marks = [*metafunc.definition.iter_markers(CASES_MARK)][::-1]
    if not marks or "case" not in metafunc.fixturenames:
        return
    from gnnperf.datasets import DataError
    from gnnperf.study.cases import expand
    from gnnperf.system.files import FolderError

    try:
        workbench = workbench_of(metafunc.config)
        for mark in marks:
            if mark.args or not _NEEDED <= set(mark.kwargs) <= _KNOWN:
                raise GnnperfError(
                    f"{metafunc.definition.nodeid}: {CASES_MARK} takes workloads, recipes and "
                    "perhaps seeds, over_seeds and beside, not "
                    + ", ".join([*map(repr, mark.args), *mark.kwargs])
                )
        preset = chosen_preset(metafunc.config)
        expanded = (case for mark in marks for case in expand(**mark.kwargs, preset=preset))
        cases = list(dict.fromkeys(expanded))
        ids = [case.id_on(workbench.workload_id(case.workload)) for case in cases]
    except GnnperfError as error:
        if isinstance(error, (DataError, FolderError)):
            metafunc.config.stash[_USAGE_ERROR] = True
        raise pytest.Collector.CollectError(str(error)) from error
    metafunc.parametrize("case", cases, ids=ids)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Load what the selected cases need, while an error can still stop the run in one sentence."""
    config = session.config
    # A worker's error would reach nobody; there the case itself loads, and reports it.
    if WORKBENCH not in config.stash or hasattr(config, "workerinput"):
        return
    from gnnperf.datasets import DataError
    from gnnperf.workloads import find_workload

    bench = config.stash[WORKBENCH]
    running = [item for item in session.items if item.get_closest_marker("skip") is None]
    cases = [case for item in running if (case := case_of(item)) is not None]
    for workload in dict.fromkeys(case.workload for case in cases):
        try:
            bench.dataset(find_workload(workload).dataset)
        except DataError as error:
            raise pytest.UsageError(str(error)) from error
        except (Exception, pytest.skip.Exception, pytest.fail.Exception):
            # A project's own function; the case meets it again, and shows where.
            continue


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit with 4 where an option was wrong, though pytest saw an error of collection."""
    if session.config.stash.get(_USAGE_ERROR, False):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """The header; shown only in runs that use gnnperf, of which there is no telling earlier."""
    if WORKBENCH not in config.stash:
        return []
    from gnnperf.system.machine import device_name

    bench = config.stash[WORKBENCH]
    options = bench.options
    header = (
        f"gnnperf: device {options.device} ({device_name(options.device)}), "
        f"threads {options.threads}, data {options.data.mode}, "
        f"preset {config.getoption('gnnperf_preset')}, cache {options.cache}"
    )
    if seeds := config.getoption("gnnperf_seeds"):
        header += f", seeds {seeds}"
    lines = [*(f"{d.key}: {d.origin}" for d in bench.datasets()), *bench.test_parts()]
    return [header, *(f"gnnperf: {line}" for line in lines)]

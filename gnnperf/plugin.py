"""pytest's side: options, fixtures, hooks; wires the rooms together.

Every pytest run of an environment imports this module, so torch and all that needs it are
imported inside the functions, when a test asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin_gate import RECORD, latency_seconds
from gnnperf.plugin_study import (
    add_study_options,
    check_study_options,
    chosen_preset,
    from_store_or,
    train_cases_ahead,
    unused_results,
)
from gnnperf.presets import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    from gnnperf.compression import Compressed
    from gnnperf.datasets import Dataset
    from gnnperf.meters.latency import Pair
    from gnnperf.meters.registry import MeterOptions
    from gnnperf.records import Reading, Record
    from gnnperf.training import Trained
    from gnnperf.workbench import Workbench

# The gates' options and hooks.
pytest_plugins = ["gnnperf.plugin_gate"]

_LATENCY_SECONDS = 15.0
"""Two callables so slow that their rounds take longer get fewer of them."""
_CASE_LATENCY_SECONDS = 2.5
"""The same for a case, of which a study has hundreds."""

CASES_MARK = "gnnperf_cases"

_WORKBENCH = pytest.StashKey["Workbench"]()
_USAGE_ERROR = pytest.StashKey[bool]()
_RECORDS = pytest.StashKey["list[Record]"]()
_COMPARISONS = pytest.StashKey["dict[str, dict[str, Reading]]"]()
_TABLES = pytest.StashKey["dict[str, list[dict[str, object]]]"]()


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
    group.addoption(
        "--gnnperf-energy",
        choices=("auto", "estimate", "off"),
        default="auto",
        help="joules from the counters there are (auto, default), with an estimate from CPU time "
        "beside them, or none",
    )
    group.addoption(
        "--gnnperf-core-watts",
        type=float,
        default=10.0,
        metavar="W",
        help="what --gnnperf-energy estimate takes one busy core to draw (default: 10)",
    )
    add_study_options(group)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and check what can be checked before anything runs."""
    config.addinivalue_line(
        "markers",
        f"{CASES_MARK}(workloads, recipes, seeds): parametrize `case` over workloads, recipes and "
        "seeds (the preset's where left out); workloads and recipes may be functions of the preset",
    )
    config.stash[_RECORDS], config.stash[_COMPARISONS], config.stash[_TABLES] = [], {}, {}
    threads = config.getoption("gnnperf_threads")
    if threads < 1:
        raise pytest.UsageError(f"--gnnperf-threads {threads}: name at least one thread")
    watts = config.getoption("gnnperf_core_watts")
    if not 0 < watts < math.inf:
        raise pytest.UsageError(f"--gnnperf-core-watts {watts:g}: name a power above zero")
    check_study_options(config)
    device = config.getoption("gnnperf_device")
    if device != "auto":
        from gnnperf.machine import find_device

        try:
            find_device(device)
        except GnnperfError as error:
            raise pytest.UsageError(f"--gnnperf-device: {error}") from error


def _workbench(config: pytest.Config) -> Workbench:
    """The run's one workbench, made when the first test asks for it."""
    if _WORKBENCH not in config.stash:
        from gnnperf.workbench import Workbench, workbench_options

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
    from gnnperf.cases import expand
    from gnnperf.datasets import DataError
    from gnnperf.files import FolderError

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
    from gnnperf.machine import device_name

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


@pytest.fixture(scope="session")
def _measuring_alone(pytestconfig: pytest.Config) -> None:
    if hasattr(pytestconfig, "workerinput"):
        raise GnnperfError(
            "measuring under pytest-xdist is refused: processes side by side disturb each other's "
            "readings and pytest-benchmark switches itself off; run these cases without -n"
        )


@pytest.fixture
def closing_row(pytestconfig: pytest.Config) -> Callable[..., None]:
    """`closing_row(title, **cells)`: a row of a table that is printed at the end of the run.

    Rows of one title form one table; a cell is anything that has a `str`.
    """

    def add(title: str, **cells: object) -> None:
        pytestconfig.stash[_TABLES].setdefault(title, []).append(cells)

    return add


@pytest.fixture
def latency(
    request: pytest.FixtureRequest, _measuring_alone: None, benchmark: Any
) -> Callable[..., dict[str, Reading]]:
    """`latency(candidate, reference)`: two callables timed in turns, once a test.

    Gives the ratios of CPU and wall time with their intervals; they are printed at the end.
    """
    from gnnperf.meters.latency import Pair

    def compare(
        candidate: Callable[[], object], reference: Callable[[], object], **rounds: Any
    ) -> dict[str, Reading]:
        pair = Pair(candidate, reference, **rounds)
        _run_rounds(benchmark, (0.0, _LATENCY_SECONDS), pair)
        readings = pair.readings()
        request.config.stash[_COMPARISONS][request.node.name] = readings
        return readings

    return compare


def _run_rounds(benchmark: Any, seconds: tuple[float, float], pair: Pair) -> None:
    """For at least and at most so long, through pytest-benchmark, which so times the candidate."""
    # Switched off, pytest-benchmark still calls the pair once: it must work all the same.
    if not benchmark.disabled:
        pair.warm_up()
        least, most = seconds
        pair.fit_into(most, least)
    benchmark.pedantic(pair, setup=pair.before, teardown=pair.after, rounds=pair.rounds)


def _meter_options(config: pytest.Config, isolated: bool) -> MeterOptions:
    from gnnperf.machine import find_device
    from gnnperf.measure import gpus_of
    from gnnperf.meters.registry import MeterOptions

    return MeterOptions(
        config.getoption("gnnperf_energy"),
        config.getoption("gnnperf_core_watts"),
        isolated,
        gpus_of(find_device(config.getoption("gnnperf_device"))),
    )


def _metered(request: pytest.FixtureRequest, kind: str) -> Callable[..., dict[str, Reading]]:
    """A fixture that puts one kind of meter on a callable."""
    from gnnperf.meters.base import beside
    from gnnperf.meters.registry import meters
    from gnnperf.reports.table import meter_rows

    def take(
        call: Callable[[], object],
        reference: Callable[[], object] | None = None,
        *,
        isolated: bool = False,
    ) -> dict[str, Reading]:
        readings = beside(meters(kind, _meter_options(request.config, isolated)), call, reference)
        rows = request.config.stash[_TABLES].setdefault("readings, for one call", [])
        rows.extend(meter_rows(request.node.name, readings))
        return readings

    return take


@pytest.fixture
def energy(
    request: pytest.FixtureRequest, _measuring_alone: None
) -> Callable[..., dict[str, Reading]]:
    """`energy(call, reference=None)`: joules a call, where the machine counts them."""
    return _metered(request, "energy")


@pytest.fixture
def memory(
    request: pytest.FixtureRequest, _measuring_alone: None
) -> Callable[..., dict[str, Reading]]:
    """`memory(call, reference=None, isolated=False)`: peak bytes of one call."""
    return _metered(request, "memory")


@pytest.fixture
def cpu(
    request: pytest.FixtureRequest, _measuring_alone: None
) -> Callable[..., dict[str, Reading]]:
    """`cpu(call, reference=None)`: CPU seconds a call, and how many cores that keeps busy."""
    return _metered(request, "cpu")


@pytest.fixture
def measure(
    request: pytest.FixtureRequest, _measuring_alone: None, benchmark: Any, workbench: Workbench
) -> Callable[..., Record]:
    """`measure(compressed, meters=(...), isolated=False)`: a case beside its twin, once a test.

    The record goes into pytest-benchmark's JSON and the closing table.
    """
    from gnnperf.measure import DEFAULT_METERS, inference
    from gnnperf.measure import measure as take
    from gnnperf.records import to_json

    def measure_case(
        compressed: Compressed, meters: Sequence[str] = DEFAULT_METERS, *, isolated: bool = False
    ) -> Record:
        if "gnnperf" in benchmark.extra_info:
            raise GnnperfError(
                f"{request.node.name}: measure() takes one case a test; parametrize the others"
            )
        seconds = latency_seconds(request.config, _CASE_LATENCY_SECONDS)
        settings = {"allocator": workbench.allocator, "latency_seconds": seconds}
        options = _meter_options(request.config, isolated)

        def now() -> Record:
            record = take(
                compressed,
                partial(_run_rounds, benchmark, seconds),
                settings,
                meters=meters,
                options=options,
            )
            if "latency" not in meters:
                # pytest-benchmark saves the record only beside something that it timed.
                benchmark.pedantic(inference(compressed.shipped, compressed.twin.parts), rounds=5)
            return record

        decides = (compressed, meters, options, settings)
        record = from_store_or(now, decides, request.config, benchmark, workbench.options.cache)
        benchmark.extra_info["gnnperf"] = to_json(record)
        request.config.stash[_RECORDS].append(record)
        request.node.stash[RECORD] = record
        return record

    return measure_case


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


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Close the run with the table of cases."""
    records, tables = config.stash[_RECORDS], config.stash[_TABLES]
    comparisons = config.stash[_COMPARISONS]
    if not (records or comparisons or tables):
        return
    from gnnperf.reports.table import closing_report

    terminalreporter.section("gnnperf")
    closing = closing_report(records, comparisons, tables).splitlines()
    for line in (*closing, *unused_results(config)):
        terminalreporter.write_line(line)

"""Measuring: fixtures with meters behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.limits import require_covered
from gnnperf.plugin.results import from_store_or
from gnnperf.plugin.rounds import latency_budget, run_rounds
from gnnperf.plugin.shared import RECORD, positive
from gnnperf.plugin.tables import COMPARISONS, RECORDS, TABLES

if TYPE_CHECKING:
    from torch import nn

    from gnnperf.compression import Compressed
    from gnnperf.meters.registry import MeterOptions
    from gnnperf.records import Reading, Record
    from gnnperf.study.workbench import Workbench
    from gnnperf.training import Trained

_LATENCY_SECONDS = 15.0
"""Two callables so slow that their rounds take longer get fewer of them."""
_CASE_LATENCY_SECONDS = 2.5
"""The same for a case, of which a study has hundreds."""
_MOST_CORE_WATTS = 1000.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """How meters look."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-energy",
        choices=("auto", "estimate", "off"),
        default="auto",
        help="joules from the counters there are (auto, default), with an estimate from CPU time "
        "beside them, or none",
    )
    group.addoption(
        "--gnnperf-core-watts",
        type=positive("--gnnperf-core-watts", "power", "watts", _MOST_CORE_WATTS),
        default=10.0,
        metavar="W",
        help="what --gnnperf-energy estimate takes one busy core to draw (default: 10)",
    )


@pytest.fixture(scope="session")
def _measuring_alone(pytestconfig: pytest.Config) -> None:
    if hasattr(pytestconfig, "workerinput"):
        raise GnnperfError(
            "measuring under pytest-xdist is refused: processes side by side disturb each other's "
            "readings and pytest-benchmark switches itself off; run these cases without -n"
        )


@pytest.fixture
def latency(
    request: pytest.FixtureRequest, _measuring_alone: None, _timer: Any
) -> Callable[..., dict[str, Reading]]:
    """`latency(candidate, reference)`: two callables timed in turns, once a test.

    Gives the ratios of CPU and wall time with their intervals; they are printed at the end. Rounds
    end once they show on which side of `limit=` the ratio lies, 1 unless told otherwise.
    """
    from gnnperf.meters.latency import Pair
    from gnnperf.meters.looks import Budget

    cap = latency_budget(request.config, _LATENCY_SECONDS).cap_seconds
    budget = Budget(_LATENCY_SECONDS, cap_seconds=cap)

    def compare(
        candidate: Callable[[], object], reference: Callable[[], object], **rounds: Any
    ) -> dict[str, Reading]:
        pair = Pair(candidate, reference, **rounds)
        run_rounds(_timer, budget, pair)
        readings = pair.readings()
        request.config.stash[COMPARISONS][request.node.name] = readings
        return readings

    return compare


def _meter_options(config: pytest.Config, isolated: bool) -> MeterOptions:
    from gnnperf.meters.registry import MeterOptions
    from gnnperf.study.measure import gpus_of
    from gnnperf.system.machine import find_device

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
        rows = request.config.stash[TABLES].setdefault("readings, for one call", [])
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


def _compressed(case: Compressed | Trained, recipe: str | None) -> Compressed:
    from gnnperf.compression import Compressed
    from gnnperf.recipes import compress
    from gnnperf.training import Trained

    if isinstance(case, Trained) and recipe is not None:
        return compress(case, recipe)
    if isinstance(case, Compressed) and recipe is None:
        return case
    raise GnnperfError(
        f"measure was given a {type(case).__name__} and recipe={recipe!r}; give a trained model "
        "with a recipe, measure(trained, recipe='global@0.5'), or a compressed one without"
    )


@pytest.fixture
def measure(
    request: pytest.FixtureRequest, _measuring_alone: None, _timer: Any, workbench: Workbench
) -> Callable[..., Record]:
    """`measure(compressed, meters=(...), isolated=False)`: a case beside its twin, once a test.

    `measure(trained, recipe="global@0.5")` applies the recipe first. Of a deployed case `eager=` is
    the twin as its user would write it in PyG. The record goes into pytest-benchmark's JSON and the
    closing table.
    """
    from gnnperf.records import to_json
    from gnnperf.study.inference import inference
    from gnnperf.study.measure import DEFAULT_METERS
    from gnnperf.study.measure import measure as take

    def measure_case(
        case: Compressed | Trained,
        meters: Sequence[str] = DEFAULT_METERS,
        *,
        recipe: str | None = None,
        isolated: bool = False,
        eager: nn.Module | None = None,
    ) -> Record:
        compressed = _compressed(case, recipe)
        if "gnnperf" in _timer.extra_info:
            raise GnnperfError(
                f"{request.node.name}: measure() takes one case a test; parametrize the others"
            )
        budget = latency_budget(request.config, _CASE_LATENCY_SECONDS)
        seconds = (budget.least_seconds, budget.seconds)
        settings: dict[str, Any] = {
            "allocator": workbench.allocator,
            "latency_seconds": seconds,
        }
        if budget.cap_seconds < math.inf:
            settings["latency_cap_seconds"] = budget.cap_seconds
        if eager is not None:
            settings["eager"] = type(eager).__name__
        options = _meter_options(request.config, isolated)

        def now() -> Record:
            record = take(
                compressed,
                partial(run_rounds, _timer, budget),
                settings,
                meters=meters,
                options=options,
                eager=eager,
                cap_seconds=budget.cap_seconds,
            )
            if "latency" not in meters:
                # pytest-benchmark saves the record only beside something that it timed.
                _timer.pedantic(inference(compressed.shipped, compressed.twin.parts), rounds=5)
            return record

        decides = (compressed, meters, options, settings)
        record = from_store_or(now, decides, request.config, _timer, workbench.options.cache)
        _timer.extra_info["gnnperf"] = to_json(record)
        request.config.stash[RECORDS][request.node.nodeid] = record
        request.node.stash[RECORD] = record
        require_covered(request.node, record)
        return record

    return measure_case

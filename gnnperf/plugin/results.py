"""pytest's side of a study: its seeds, its trainings side by side, going on with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gnnperf.study.presets import PRESETS, Preset, parse_seeds

if TYPE_CHECKING:
    from gnnperf.records import Record
    from gnnperf.study.workbench import Workbench

_UNUSED = pytest.StashKey["list[str]"]()
_NO_TEST_RUNS = ("collectonly", "setuponly", "setupplan", "benchmark_skip")


def add_study_options(group: pytest.OptionGroup) -> None:
    """Add them to the group of gnnperf's options."""
    group.addoption(
        "--gnnperf-seeds",
        metavar="LIST",
        help="seeds to run over, 0,1,2 or 0..9, in place of the preset's",
    )
    group.addoption(
        "--gnnperf-jobs",
        type=int,
        metavar="N",
        help="missing models are trained ahead, N processes at a time (default: as many as cores; "
        "1: each by the case that needs it)",
    )
    group.addoption(
        "--gnnperf-resume",
        action="store_true",
        help="take cases that were finished before, under the same settings, from the cache",
    )


def check_study_options(config: pytest.Config) -> None:
    """Refuse nonsense before anything runs; raises UsageError."""
    seeds = config.getoption("gnnperf_seeds")
    try:
        if seeds is not None:
            parse_seeds(seeds)
    except ValueError:
        raise pytest.UsageError(
            f"--gnnperf-seeds {seeds!r} is no list like 0,1,2 or 0..9 (1000 seeds at most)"
        ) from None
    jobs = config.getoption("gnnperf_jobs")
    if jobs is not None and jobs < 1:
        raise pytest.UsageError(f"--gnnperf-jobs {jobs}: name at least one process")


def chosen_preset(config: pytest.Config) -> Preset:
    """The preset, with the seeds of --gnnperf-seeds where they were given."""
    preset = PRESETS[config.getoption("gnnperf_preset")]
    seeds = config.getoption("gnnperf_seeds")
    return preset if seeds is None else replace(preset, seeds=tuple(parse_seeds(seeds)))


def train_cases_ahead(session: pytest.Session, workbench: Workbench) -> None:
    """Train what the selected cases need and the cache lacks, side by side."""
    config = session.config
    stopped = session.testsfailed and not config.getoption("continue_on_collection_errors")
    if stopped or hasattr(config, "workerinput") or any(map(config.getoption, _NO_TEST_RUNS)):
        return
    from gnnperf.study.ahead import train_ahead
    from gnnperf.study.cases import Case
    from gnnperf.system.parallel import WorkersDiedError, default_jobs

    options = workbench.options
    jobs = config.getoption("gnnperf_jobs") or default_jobs(options.threads)
    # One GPU serves one training at a time.
    if jobs == 1 or options.device.type != "cpu":
        return
    cases = [
        case
        for item in session.items
        if "workbench" in getattr(item, "fixturenames", ())
        and item.get_closest_marker("skip") is None
        and (callspec := getattr(item, "callspec", None)) is not None
        and isinstance(case := callspec.params.get("case"), Case)
    ]
    with _uncaptured(config):
        try:
            train_ahead(workbench, cases, jobs, lambda text: announce(config, text))
        except WorkersDiedError as error:
            announce(config, f"{error}; the rest is trained case by case")


@contextmanager
def _uncaptured(config: pytest.Config) -> Generator[None]:
    """Let a progress bar through to the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


def announce(config: pytest.Config, text: str) -> None:
    """A line while the run goes on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(f"gnnperf: {text}")


def from_store_or(
    measure: Callable[[], Record],
    decides: tuple[Any, ...],
    config: pytest.Config,
    benchmark: Any,
    cache: Path,
) -> Record:
    """The case's record from the store, where the run may take it; else measured and stored.

    Args:
        measure: takes the readings, and has `benchmark` time something.
        decides: arguments of `gnnperf.study.results.what_decides`.
        config: of the run.
        benchmark: pytest-benchmark's fixture; it gets the rounds that a stored record was timed in.
        cache: folder that holds the store.
    """
    if benchmark.disabled:
        return measure()
    from gnnperf.study.results import Result, finished, what_decides

    def take() -> Result:
        record = measure()
        now = datetime.now(timezone.utc).isoformat(" ", "minutes")
        record = replace(record, provenance={**record.provenance, "measured_at": now})
        return Result(record, tuple(benchmark.stats.stats.data))

    result, stored = finished(
        cache / "results",
        what_decides(*decides),
        take,
        resume=config.getoption("gnnperf_resume"),
        announce=lambda text: announce(config, text),
        note=config.stash.setdefault(_UNUSED, []).append,
    )
    if not stored:
        return result.record
    _replay(benchmark, result.round_seconds)
    return replace(result.record, provenance={**result.record.provenance, "resumed": True})


def _replay(benchmark: Any, round_seconds: Sequence[float]) -> None:
    """Give pytest-benchmark the rounds that were timed when the case was measured."""
    # It keeps a record only beside something that it ran.
    benchmark.pedantic(lambda: None, rounds=1)
    stats = benchmark.stats.stats
    stats.data.clear()
    for seconds in round_seconds:
        stats.update(seconds)


def unused_results(config: pytest.Config) -> list[str]:
    """Why stored results were not used, each reason once with the number of its cases."""
    unused = config.stash.setdefault(_UNUSED, [])
    return [
        f"not resumed, measured again: {count} {'case' if count == 1 else 'cases'}, as {reason}"
        for reason, count in Counter(unused).items()
    ]

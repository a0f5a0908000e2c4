"""pytest's side of the gates: their options, and what can be checked before anything runs.

Every pytest run of an environment imports this module: nothing of the gates is imported before an
option asks for it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gnnperf.errors import GnnperfError

if TYPE_CHECKING:
    from gnnperf.records import Record

GATE_MARK = "gnnperf_gate"
RECORD: pytest.StashKey[Record] = pytest.StashKey()
"""Of a test's node: the record that it measured."""

_LATENCY_SECONDS = (1.0, 2.5)
"""Under a gate rounds last so long, at least and, but for 30 rounds, at most.

One burst of another process then moves no median, and a case is measured in 4 s.
"""


class _GateAction(argparse.Action):
    """`--gnnperf-gate` and `--gnnperf-gate=strict`, two spellings without an argument of their own.

    An option with an optional argument would swallow the path behind it: `--gnnperf-gate bench/`.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        _, strict, _ = (option_string or "").partition("=")
        setattr(namespace, self.dest, "strict" if strict else "gate")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; `pytest --help` shows them as one group."""
    group = parser.getgroup("gnnperf gates", "accepted baselines, and gates that hold to them")
    group.addoption(
        "--gnnperf-gate",
        "--gnnperf-gate=strict",
        action=_GateAction,
        nargs=0,
        dest="gnnperf_gate",
        default=None,
        help="hold every case to its accepted baseline; strict: fail what has none as well",
    )
    group.addoption(
        "--gnnperf-accept",
        action="store_true",
        help="write the cases that run and pass as new baselines, their ratios from 5 processes",
    )
    group.addoption(
        "--gnnperf-baselines",
        metavar="DIR",
        help="folder of baselines (default: baselines, or what [tool.gnnperf] says)",
    )
    for kind, what in (
        ("summary", "a Markdown summary, for a comment on a pull request"),
        ("json", "records and verdicts as JSON"),
    ):
        group.addoption(f"--gnnperf-{kind}", metavar="FILE", help=f"write {what}")
    group.addoption("--gnnperf-again", metavar="DIR", help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; check options and baselines; take part where an option asks for it."""
    config.addinivalue_line(
        "markers",
        f"{GATE_MARK}(latency='10%', score=0.02, ...): limits of the gate for these cases",
    )
    if config.getoption("gnnperf_again"):
        from gnnperf.plugin.again import Again

        config.pluginmanager.register(Again(config), "gnnperf-again")
        return
    gate, accept = config.getoption("gnnperf_gate"), config.getoption("gnnperf_accept")
    reports = {kind: config.getoption(f"gnnperf_{kind}") for kind in ("summary", "json")}
    if not (gate or accept or any(reports.values())):
        return
    if gate and accept:
        raise pytest.UsageError(
            "--gnnperf-gate and --gnnperf-accept exclude each other: accept what is right, then "
            "gate against it"
        )
    if gate or accept:
        _refuse_other_sources(config, "--gnnperf-gate" if gate else "--gnnperf-accept")
    try:
        _take_part(config, "accept" if accept else gate, reports)
    except GnnperfError as error:
        raise pytest.UsageError(str(error)) from error


def _refuse_other_sources(config: pytest.Config, option: str) -> None:
    """Only what this run measures, in this process, is judged."""
    # An option of another module, which may not be there.
    if config.getoption("gnnperf_resume", default=False):
        raise pytest.UsageError(
            f"{option} judges what is measured now: leave --gnnperf-resume out, which takes "
            "results from before"
        )
    if config.getoption("numprocesses", default=None) or hasattr(config, "workerinput"):
        raise pytest.UsageError(
            f"{option} under pytest-xdist is refused: processes side by side disturb each other's "
            "readings; run without -n"
        )


def _take_part(config: pytest.Config, mode: str | None, reports: dict[str, str | None]) -> None:
    from gnnperf.gates.baselines import read_folder
    from gnnperf.gates.limits import read_settings
    from gnnperf.plugin.gate_run import GateOptions, GateRun
    from gnnperf.system.files import writable_folder

    files: dict[str, Path] = {}
    for kind, name in reports.items():
        if name is not None:
            option = f"--gnnperf-{kind}"
            path = config.invocation_params.dir / name
            if not name or path.is_dir():
                raise GnnperfError(
                    f"{option} {name!r} is no file; name one, such as gnnperf.{kind}"
                )
            writable_folder(path.parent, option)
            files[kind] = path
    settings = read_settings(config.rootpath)
    chosen = config.getoption("gnnperf_baselines")
    folder = settings.folder if chosen is None else config.invocation_params.dir / chosen
    if mode is not None and chosen is not None and mode != "accept" and not folder.is_dir():
        raise GnnperfError(
            f"--gnnperf-baselines {chosen}: there is no such folder; name one that "
            "--gnnperf-accept wrote"
        )
    if mode == "accept":
        writable_folder(folder, "--gnnperf-baselines")
    options = GateOptions(
        mode=mode,
        folder=folder,
        limits=settings.limits,
        annotations=os.environ.get("GITHUB_ACTIONS") == "true",
        files=files,
    )
    run = GateRun(config, options, {} if mode is None else read_folder(folder))
    config.pluginmanager.register(run, "gnnperf-gate-run")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check the limits in markers, whether or not a gate is asked for."""
    for item in items:
        if item.get_closest_marker(GATE_MARK) is not None:
            try:
                marked_limits(item)
            except GnnperfError as error:
                raise pytest.UsageError(str(error)) from error


def marked_limits(item: pytest.Item) -> dict[str, float]:
    """The limits that markers set for a test, the closest first; raises LimitError."""
    from gnnperf.gates.limits import LimitError, parse_limits

    found: dict[str, float] = {}
    for mark in item.iter_markers(GATE_MARK):
        where = f"{item.nodeid}: {GATE_MARK}"
        if mark.args:
            raise LimitError(
                f"{where} takes limits by name, such as latency='10%', not {mark.args[0]!r}"
            )
        found = {**parse_limits(mark.kwargs, where), **found}
    return found


def latency_seconds(config: pytest.Config, otherwise: float) -> tuple[float, float]:
    """How long the rounds of a case shall last in this run, at least and at most."""
    options = ("gnnperf_gate", "gnnperf_accept", "gnnperf_again")
    judged = any(config.getoption(option) for option in options)
    return _LATENCY_SECONDS if judged else (0.0, otherwise)

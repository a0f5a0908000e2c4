"""The gates' options, and what can be checked before anything runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gnnperf.errors import GnnperfError


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


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """In a fresh process: leave the files of the run that asks as they are."""
    if config.getoption("gnnperf_again"):
        from gnnperf.plugin.again import write_nothing

        write_nothing(config)


def pytest_configure(config: pytest.Config) -> None:
    """Check options and baselines; take part where an option asks for it."""
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
    from gnnperf.system.files import usable_path, writable_folder

    files: dict[str, Path] = {}
    for kind, name in reports.items():
        if name is not None:
            option = f"--gnnperf-{kind}"
            path = config.invocation_params.dir / usable_path(name, option)
            if not name or path.is_dir():
                raise GnnperfError(
                    f"{option} {name!r} is no file; name one, such as gnnperf.{kind}"
                )
            writable_folder(path.parent, option)
            files[kind] = path
    settings = read_settings(config.rootpath)
    chosen = config.getoption("gnnperf_baselines")
    folder = settings.folder
    if chosen is not None:
        folder = config.invocation_params.dir / usable_path(chosen, "--gnnperf-baselines")
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

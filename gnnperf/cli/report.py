"""`gnnperf report`: the study on one page, from the records of one run or several."""

from __future__ import annotations

import argparse
from pathlib import Path

from gnnperf.errors import GnnperfError
from gnnperf.system.files import usable_path


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `report`; it sets `run`, which takes parsed arguments."""
    report = subparsers.add_parser("report", help="tables, figures and claims of the study")
    report.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="what --gnnperf-json or --benchmark-json wrote, a folder of such files, or "
        "gnnperf's cache",
    )
    report.add_argument("--html", metavar="FILE", help="one page with everything in it")
    report.add_argument("--markdown", metavar="DIR", help="the same as Markdown with SVG files")
    report.add_argument("--figures", metavar="DIR", help="the figures alone, as SVG")
    report.set_defaults(run=report_command)


def report_command(options: argparse.Namespace) -> None:
    """Write the report, and say what is in it."""
    from gnnperf.reports.study.page import summary
    from gnnperf.reports.study.rendering import write_report
    from gnnperf.reports.study.runs import read_study

    asked = {
        name: usable_path(chosen, f"--{name}")
        for name in ("html", "markdown", "figures")
        if (chosen := getattr(options, name)) is not None
    }
    if not asked:
        raise GnnperfError(
            "gnnperf report writes nothing; name --html FILE, --markdown DIR or --figures DIR"
        )
    study = read_study([Path(run) for run in options.runs])
    written = write_report(study, **asked)
    print(summary(study), *study.notes, sep="\n")
    shown = written[0] if len(written) == 1 else f"{len(written)} files, {written[0]} first"
    print(f"written: {shown}")

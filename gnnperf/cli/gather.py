"""`gnnperf gather`: what shards left, merged into what one run would have given."""

from __future__ import annotations

import argparse
from pathlib import Path

from gnnperf.errors import GnnperfError
from gnnperf.system.files import usable_path


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `gather`; it sets `run`, which takes parsed arguments."""
    gather = subparsers.add_parser(
        "gather", help="merge what the runs of --gnnperf-shard left into that of one run"
    )
    gather.add_argument(
        "folders",
        nargs="+",
        metavar="DIR",
        help="what a shard left: JSON of --benchmark-json or --gnnperf-json, a cache's results",
    )
    gather.add_argument(
        "--into", default="gathered", metavar="DIR", help="folder to make (default: gathered)"
    )
    gather.set_defaults(run=gather_command)


def gather_command(options: argparse.Namespace) -> None:
    """Write the folder, and say what is in it; raises GnnperfError where a gate fails."""
    from gnnperf.reports.gates import headline
    from gnnperf.study.gather import gather

    into = usable_path(options.into, "--into")
    if not options.into:
        raise GnnperfError("--into names no folder; name one, or leave it out")
    done = gather([usable_path(folder, "DIR") for folder in options.folders], Path(into))
    print(f"{done.cases} cases gathered; written to {into}: {', '.join(done.files)}")
    failed = []
    for machine, report in done.gates.items():
        if report.mode in ("gate", "strict"):
            line = f"{machine}: {headline(report)}"
            print(line)
            strict = report.mode == "strict"
            if any(verdict.failures(strict=strict) for verdict in report.verdicts.values()):
                failed.append(line)
    if failed:
        raise GnnperfError(f"the gathered gate fails, see gate*.md in {into} ({'; '.join(failed)})")

"""The sub-commands, put together."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import gnnperf
from gnnperf.cli import compress, doctor, gather, report, search
from gnnperf.cli.baselines import add_commands as add_baseline_commands
from gnnperf.cli.codec import add_commands as add_codec_commands
from gnnperf.cli.options import add_workbench_options, chosen_workbench
from gnnperf.cli.train import report_table, train_bases
from gnnperf.errors import GnnperfError
from gnnperf.recipes import METHODS
from gnnperf.study.presets import parse_seeds
from gnnperf.system.text import printable
from gnnperf.workloads import WORKLOADS, find_workload


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; 0 when it worked, 2 with one sentence on stderr when it could not."""
    parser = argparse.ArgumentParser(prog="gnnperf", description=gnnperf.__doc__)
    parser.add_argument("--version", action="version", version=f"gnnperf {gnnperf.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the workloads and recipes there are")
    listing.set_defaults(run=_list)
    _add_train(commands)
    add_codec_commands(commands)
    add_baseline_commands(commands)
    doctor.add_command(commands)
    compress.add_command(commands)
    search.add_command(commands)
    report.add_command(commands)
    gather.add_command(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except GnnperfError as error:
        print(f"gnnperf: error: {printable(error)}", file=sys.stderr)
        return 2
    return 0


def _list(options: argparse.Namespace) -> None:
    print("workloads:", *sorted(WORKLOADS), sep="\n  ")
    steps = (f"{m.pattern(n)}: {m.about}" for n, m in sorted(METHODS.items()))
    print("recipes, steps joined by +:", *steps, sep="\n  ")


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser("train", help="train dense bases into the cache")
    train.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="see `gnnperf list`")
    train.add_argument("--all", action="store_true", help="every workload")
    train.add_argument("--seeds", default="0", metavar="LIST", help="0,1,2 or 0..9 (default: 0)")
    train.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    add_workbench_options(train)
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    names = sorted(WORKLOADS) if options.all else options.workloads
    if not names:
        raise GnnperfError("train: name workloads, or --all of them; `gnnperf list` shows which")
    for name in names:
        find_workload(name)
    try:
        seeds = parse_seeds(options.seeds)
    except ValueError:
        raise GnnperfError(f"--seeds {options.seeds!r} is no list like 0,1,2 or 0..9") from None
    if options.jobs < 1:
        raise GnnperfError(f"--jobs {options.jobs}: name at least one process")
    bench = chosen_workbench(options)
    print(report_table(train_bases(bench, names, seeds, options.jobs)))

"""`gnnperf search`: the chain of steps that fits a budget."""

from __future__ import annotations

import argparse
import math
import sys

from tabulate import tabulate

from gnnperf.cli.options import add_workbench_options, chosen_workbench
from gnnperf.cli.project import import_project
from gnnperf.errors import GnnperfError
from gnnperf.study.presets import parse_seeds
from gnnperf.study.search import Found, parse_budget, search
from gnnperf.study.workbench import Workbench
from gnnperf.workloads import find_workload


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `gnnperf search`."""
    parser = commands.add_parser("search", help="find the chain of steps that fits a budget")
    parser.add_argument("workload", metavar="WORKLOAD", help="see `gnnperf list`")
    parser.add_argument(
        "--module", default="gnnperf", metavar="MODULE", help="what registers a project's own"
    )
    parser.add_argument(
        "--budget", required=True, metavar="WHAT=MOST", help="bytes=20kB or cpu_ratio=0.5"
    )
    parser.add_argument(
        "--max-drop", type=float, default=0.01, metavar="D", help="on validation (default: 0.01)"
    )
    parser.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="RECIPE",
        help="one to choose from, may be repeated; without, chains of pruning, fine-tuning and "
        "quantization",
    )
    parser.add_argument("--trials", type=int, default=30, metavar="N", help="in all (default: 30)")
    parser.add_argument("--seed", default="0", metavar="N", help="of training (default: 0)")
    add_workbench_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Search, and print the front and the commands that make the winner; raises GnnperfError."""
    budget = parse_budget(options.budget)
    if not math.isfinite(options.max_drop):
        raise GnnperfError(f"--max-drop {options.max_drop}: name a number")
    if not 1 <= options.trials <= 100_000:
        raise GnnperfError(f"--trials {options.trials}: name 1 to 100000")
    try:
        (seed,) = parse_seeds(options.seed)
    except ValueError:
        raise GnnperfError(f"--seed {options.seed!r}: name one whole number from 0") from None
    import_project(options.module)
    find_workload(options.workload)
    trained = Workbench(chosen_workbench(options)).trained(options.workload, seed)
    found = search(
        trained,
        budget,
        options.max_drop,
        options.trials,
        options.recipe,
        lambda text: print(f"gnnperf search: {text}", file=sys.stderr),
    )
    print(report(found, budget.quantity, trained.task.metric))
    recipe, case = found.winner.recipe, f"{options.module} {options.workload}"
    print(f"\ngnnperf compress {case} '{recipe}' --seed {seed} --out DIR")
    print(f"pytest --gnnperf-workloads={options.workload} --gnnperf-recipes='{recipe}'")


def report(found: Found, quantity: str, metric: str) -> str:
    """The front as a table, and what the winner has on the test part."""
    rows = [
        (
            tried.recipe,
            f"{tried.cost:.4g}",
            f"{tried.drop:+.4f}",
            "winner" if tried == found.winner else "",
        )
        for tried in found.front
    ]
    headers = ("recipe", quantity, "drop, validation", "")
    scores = {name: found.test[name] for name in (metric, f"twin_{metric}", f"{metric}_drop")}
    shown = ", ".join(
        f"{name} {'unavailable' if reading.value is None else format(reading.value, '.4f')}"
        for name, reading in scores.items()
    )
    return "\n".join(
        [
            f"front of {found.trials} trials ({found.refused} refused):",
            tabulate(rows, headers=headers, disable_numparse=True),
            f"{found.winner.recipe} on the test part, looked at once: {shown}",
        ]
    )

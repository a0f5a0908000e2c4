"""`gnnperf compress`: a workload under a recipe, as a folder that can be given away."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gnnperf.cli.options import add_workbench_options, chosen_workbench
from gnnperf.cli.project import import_project
from gnnperf.errors import GnnperfError
from gnnperf.recipes import parse_recipe
from gnnperf.study.presets import parse_seeds
from gnnperf.study.shipping import FORMATS, ship
from gnnperf.study.workbench import Workbench
from gnnperf.workloads import find_workload


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `gnnperf compress`."""
    parser = commands.add_parser(
        "compress", help="train, compress, measure and write a model that ships"
    )
    parser.add_argument(
        "module",
        metavar="MODULE",
        help="conftest.py or a module that registers the workload; gnnperf for its own",
    )
    parser.add_argument("workload", metavar="WORKLOAD", help="see `gnnperf list`")
    parser.add_argument("recipe", metavar="RECIPE", help="such as global@0.9+finetune+ptq@int8")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the files go")
    parser.add_argument("--seed", default="0", metavar="N", help="of training (default: 0)")
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="gnnz",
        help="gnnz: small, loaded by gnnperf.load (default); safetensors: dense",
    )
    add_workbench_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Do it, and print where the model lies; raises GnnperfError."""
    try:
        (seed,) = parse_seeds(options.seed)
    except ValueError:
        raise GnnperfError(f"--seed {options.seed!r}: name one whole number from 0") from None
    import_project(options.module)
    find_workload(options.workload)
    parse_recipe(options.recipe)
    workbench = Workbench(chosen_workbench(options))
    path = ship(
        workbench,
        options.workload,
        options.recipe,
        seed,
        Path(options.out),
        options.format,
        lambda text: print(f"gnnperf compress: {text}", file=sys.stderr),
    )
    print(path)

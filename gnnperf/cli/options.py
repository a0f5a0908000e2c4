"""Options that several commands have: where data comes from, where results are kept."""

from __future__ import annotations

import argparse

from gnnperf.study.workbench import WorkbenchOptions, workbench_options


def add_workbench_options(parser: argparse.ArgumentParser) -> None:
    """As pytest's options are called, so that one error message serves both."""
    parser.add_argument(
        "--gnnperf-data", choices=("auto", "real", "synthetic"), default="auto", help="data source"
    )
    parser.add_argument("--gnnperf-data-root", metavar="DIR", help="default: $GNNPERF_DATA")
    parser.add_argument(
        "--gnnperf-data-version",
        metavar="NAME",
        help="of raw files, if not the published ones",
    )
    parser.add_argument("--gnnperf-cache", metavar="DIR", help="default: the user's cache")
    parser.add_argument("--gnnperf-device", default="auto", help="auto, cpu, cuda or cuda:N")


def chosen_workbench(options: argparse.Namespace) -> WorkbenchOptions:
    """What they say; raises GnnperfError."""
    return workbench_options(
        mode=options.gnnperf_data,
        data_root=options.gnnperf_data_root,
        data_version=options.gnnperf_data_version,
        cache=options.gnnperf_cache,
        device=options.gnnperf_device,
    )

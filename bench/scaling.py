"""How gnnperf grows: a large graph from load to record, and the exponent of each stage.

`pytest bench/scaling.py -m proof` tries both at small sizes; `python -m bench.scaling large` is the
graph of a million nodes, `python -m bench.scaling growth` the table of exponents.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.growth import EXPONENT, exponents, of_cases, of_nodes, of_parameters, table

pytestmark = pytest.mark.proof

NODES, EDGES = 1_000_000, 25_000_000
GIGABYTES, MINUTES = 8.0, 20.0
ROUNDS = 8
RECIPES = ("global@0.5", "ptq@int8", "global@0.5+deploy=lean")


def large(nodes: int, edges: int, hidden: int, epochs: int) -> None:
    """Train, prune, quantize, deploy and measure; seconds and peak memory of each as one JSON."""
    from gnnperf.datasets.ogbn import PRODUCTS, stand_in
    from gnnperf.datasets.own import OwnDataset
    from gnnperf.models.sage_nodes import SageNodes
    from gnnperf.recipes import compress
    from gnnperf.study.measure import measure
    from gnnperf.study.workbench import Workbench, workbench_options
    from gnnperf.training import NodeClassification, Sampled, TrainSettings
    from gnnperf.workloads import Workload, register_workload

    def graphs() -> list:
        shape = PRODUCTS.features, PRODUCTS.classes, PRODUCTS.shares
        return [stand_in(nodes, edges, *shape, seed=0)]

    settings = TrainSettings(epochs=epochs, learning_rate=0.003, validate_every=epochs)
    workload = Workload(
        OwnDataset("products_shaped", graphs),
        "sage",
        NodeClassification(sampled=Sampled(1024, (15, 10)), timed=Sampled(4096, (15, 10))),
        lambda dataset: SageNodes(dataset.features, dataset.classes, hidden=hidden),
        settings,
    )
    register_workload(workload)
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(workbench_options(cache=folder), show_progress=False)
        with stage("load and fingerprint"):
            bench.dataset(workload.dataset)
        with stage("train"):
            trained = bench.trained(workload.name)
        for recipe in RECIPES:
            with stage(f"compress {recipe}"):
                compressed = compress(trained, recipe)
            with stage(f"measure {recipe}"):
                record = measure(compressed, few_rounds)
            wanted = (
                *("accuracy", "accuracy_drop", "size_ratio", "cpu_ratio", "cpu_seconds"),
                *("whole_graph_wall_seconds", "twin_whole_graph_wall_seconds"),
                *("deployed_agreement", "deployed_logit_difference"),
            )
            found = {name: record.readings[name] for name in wanted if name in record.readings}
            told = {n: r.value if r.status != "unavailable" else r.reason for n, r in found.items()}
            print(json.dumps({"recipe": recipe, "timed": record.provenance.get("timed"), **told}))


@contextmanager
def stage(name: str):
    """Print what ran inside took, and the process's peak so far."""
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    print(json.dumps({"stage": name, "seconds": round(seconds, 1), "peak_gb": peak_gigabytes()}))
    sys.stdout.flush()


def few_rounds(pair) -> None:
    """A round of 4096 nodes takes half a second: their ratio is no claim here."""
    pair.rounds = ROUNDS
    pair.run(time_limit_seconds=ROUNDS)


def peak_gigabytes() -> float:
    """The most memory that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def run_large(*options: str) -> tuple[float, list[dict]]:
    """In a process of its own: seconds, and the lines that it printed."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bench.scaling", "large", *options]
    root = Path(__file__).parents[1]
    # A peak is of one process, and glibc is to give back what is freed.
    done = subprocess.run(
        command, cwd=root, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ)
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return time.perf_counter() - start, lines


def test_a_large_graph_fits():
    """A twentieth of the graph, in a twentieth of the time and a third of the memory."""
    seconds, lines = run_large("--nodes", str(NODES // 20), "--edges", str(EDGES // 20))
    assert seconds < 60 * MINUTES / 4
    assert lines[-2]["peak_gb"] < GIGABYTES / 3
    assert all(line["deployed_agreement"] == 1 for line in lines if "deployed_agreement" in line)


@pytest.mark.parametrize("grow", [of_cases, of_parameters, of_nodes], ids=lambda f: f.__name__)
def test_no_stage_grows_faster_than_its_input(grow):
    points = list(grow())
    print(table(points))
    too_fast = {stage: e for stage, e in exponents(points).items() if e > EXPONENT}
    assert not too_fast


def main() -> None:
    """The command line of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("large")
    one.add_argument("--nodes", type=int, default=NODES)
    one.add_argument("--edges", type=int, default=EDGES)
    one.add_argument("--hidden", type=int, default=128)
    one.add_argument("--epochs", type=int, default=2)
    commands.add_parser("growth")
    chosen = parser.parse_args()
    if chosen.command == "growth":
        print(table([point for grow in (of_cases, of_parameters, of_nodes) for point in grow()]))
        return
    large(chosen.nodes, chosen.edges, chosen.hidden, chosen.epochs)


if __name__ == "__main__":
    main()

"""What a study costs on many machines: constants that are measured here, and the arithmetic.

python docs/scale.py grid                  # the paper's grid: cases, bases, trainings
python docs/scale.py cache CACHE           # seconds and bytes of what a run left in its cache
python docs/scale.py machinery             # a collected case, a task sent, a checkpoint written
python docs/scale.py table                 # docs/scale.md's tables, from CONSTANTS below
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Constants:
    """Of the machine that docs/scale.md names; `grid`, `cache` and `machinery` print them."""

    training_seconds: float
    case_seconds: float
    checkpoint_bytes: float
    result_bytes: float
    json_bytes_a_case: float
    collected_seconds_a_case: float
    collected_bytes_a_case: float
    sent_seconds_a_task: float
    written_seconds_a_checkpoint: float
    cores: int = 2


CONSTANTS = Constants(
    training_seconds=22.8,
    case_seconds=5.9,
    checkpoint_bytes=273_000,
    result_bytes=12_200,
    json_bytes_a_case=18_900,
    collected_seconds_a_case=0.00037,
    collected_bytes_a_case=3_700,
    sent_seconds_a_task=0.0165,
    written_seconds_a_checkpoint=0.0116,
)


@dataclass(frozen=True)
class Grid:
    """How much there is to do."""

    name: str
    cases: int
    trainings: int


# 170 bases, and 3400 trainings after recipes.
PAPER = Grid("the paper's grid", cases=6_773, trainings=3_570)
GRIDS = (
    PAPER,
    Grid("ten times it", 10 * PAPER.cases, 10 * PAPER.trainings),
    # A base each for a model and seed; of the recipes as many train as in the paper's grid.
    Grid("10,000 models x 100 recipes x 10 seeds", 10_000_000, 100_000 + 5_020_000),
)


def grid() -> None:
    """Count the paper's grid: its cases, and the trainings that they ask for."""
    import pytest

    from gnnperf.plugin.shared import case_of
    from gnnperf.recipes import parse_recipe

    class Count:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            cases = [case for item in session.items if (case := case_of(item)) is not None]
            asked = {training for case in cases for training in case.trainings()}
            after = {training for training in asked if parse_recipe(training[2]).trains}
            bases = {training[:2] for training in asked}
            print(f"cases {len(cases)}, bases {len(bases)}, trainings after recipes {len(after)}")

    options = ("-q", "-q", "-m", "not proof", "--gnnperf-preset", "paper", "--collect-only")
    pytest.main(["bench", *options, "-p", "no:cacheprovider"], plugins=[Count()])


def cache(folder: Path) -> None:
    """Means over what lies in a run's cache."""
    from gnnperf.errors import GnnperfError
    from gnnperf.records import to_json
    from gnnperf.study.results import read_result
    from gnnperf.training.checkpoints import load_checkpoint

    checkpoints = [*folder.glob("checkpoints/*.ckpt")]
    seconds = [load_checkpoint(path)["report"]["wall_seconds"] for path in checkpoints]
    print(f"training_seconds {statistics.fmean(seconds):.2f} (n {len(seconds)})")
    sizes = [path.stat().st_size for path in checkpoints]
    print(f"checkpoint_bytes {statistics.fmean(sizes):.0f}")
    results = sorted(folder.glob("results/*/*.result"), key=lambda path: path.stat().st_mtime)
    print(f"result_bytes {statistics.fmean(p.stat().st_size for p in results):.0f}")
    # As pytest-benchmark writes it, beside some 1500 bytes of its own.
    texts = []
    for path in results:
        with suppress(GnnperfError):  # Of another version.
            record = to_json(read_result(path)[1].record)
            texts.append(len(json.dumps({"benchmarks": [record]}, indent=4)) + 1500)
    print(f"json_bytes_a_case {statistics.fmean(texts):.0f} (n {len(texts)})")
    times = [path.stat().st_mtime for path in results]
    gaps = [after - before for before, after in pairwise(times)]
    print(f"case_seconds {statistics.median(gaps):.2f}, from one result to the next, median")


COLLECTED = """
import pytest

@pytest.mark.gnnperf_cases(workloads=["cora_node-spline"], recipes=["global@0.5"],
    seeds=range({cases}))
def test_it(case): ...
"""
PEAK = """
import resource, sys, time, pytest
began = time.perf_counter()
pytest.main([*sys.argv[1:], "-qq", "--collect-only", "-p", "no:cacheprovider",
    "--gnnperf-data=synthetic"])
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def machinery() -> None:
    """What a case costs before it runs, a task on its way, a checkpoint on its way to disk."""
    with tempfile.TemporaryDirectory() as folder:
        found = [_collected(Path(folder), cases) for cases in (100, 20_100)]
        seconds, peak = (after - before for before, after in zip(*found, strict=True))
        print(f"collected_seconds_a_case {seconds / 20_000:.6f}")
        print(f"collected_bytes_a_case {peak / 20_000:.0f}")
        from gnnperf.system.store import write_checked

        began = time.perf_counter()
        for number in range(50):
            write_checked(Path(folder, f"{number}.ckpt"), b"x" * 300_000)
        print(f"written_seconds_a_checkpoint {(time.perf_counter() - began) / 50:.4f}")
    from gnnperf.system.cluster import connected
    from gnnperf.system.fleet import Task, sent_out

    with connected("local:1") as client:
        list(sent_out(client, (Task(0, abs, (-1,)) for _ in range(1)), print))
        began = time.perf_counter()
        list(sent_out(client, (Task(number, abs, (-1,)) for number in range(1000)), print))
        print(f"sent_seconds_a_task {(time.perf_counter() - began) / 1000:.4f}")


def _collected(folder: Path, cases: int) -> tuple[float, float]:
    """Seconds and peak bytes of a process that collects so many."""
    file = folder / f"test_{cases}.py"
    file.write_text(COLLECTED.format(cases=cases))
    command = [sys.executable, "-c", PEAK, str(file), f"--gnnperf-cache={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    seconds, peak = map(float, done.stdout.split()[-2:])
    return seconds, peak


def table(constants: Constants = CONSTANTS) -> None:
    """The tables of docs/scale.md."""
    c = constants
    print("| grid | machines | cases | trainings | training | measuring | one process | all |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in GRIDS:
        for machines in (1, 10, 100):
            # The driver of a cluster sends and writes alone; each shard collects the whole.
            alone = one.cases * c.collected_seconds_a_case
            alone += one.trainings * (c.sent_seconds_a_task + c.written_seconds_a_checkpoint)
            training = one.trainings * c.training_seconds / (c.cores * machines)
            measuring = one.cases * c.case_seconds / machines
            row = (training, measuring, alone, training + measuring + alone)
            print(
                f"| {one.name} | {machines} | {one.cases:,} | {one.trainings:,} | "
                + " | ".join(map(duration, row))
                + " |"
            )
    print()
    print("| grid | checkpoints | results | files | JSON | memory to collect |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for one in GRIDS:
        sizes = (
            one.trainings * c.checkpoint_bytes,
            one.cases * c.result_bytes,
            one.cases * c.json_bytes_a_case,
            one.cases * c.collected_bytes_a_case,
        )
        checkpoints, results, text, memory = map(size, sizes)
        # A result has a folder of its own.
        files = one.trainings + 2 * one.cases
        print(f"| {one.name} | {checkpoints} | {results} | {files:,} | {text} | {memory} |")


def duration(seconds: float) -> str:
    """For people."""
    for unit, length in (("days", SECONDS_A_DAY), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """For people, in powers of 1000."""
    power = min(4, int(math.log(max(count, 1), 1000)))
    return f"{count / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


if __name__ == "__main__":
    what, *arguments = sys.argv[1:] or ["table"]
    commands = {"grid": grid, "machinery": machinery, "table": table}
    if what == "cache":
        cache(Path(*arguments))
    else:
        commands[what]()

"""Seconds, bytes and exponent of each stage as cases, parameters and nodes grow."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch_geometric.data import Data

CASES = (10, 100, 1000, 5000)
PARAMETERS = (70_000, 700_000, 7_000_000)
NODES = (3_000, 30_000, 100_000)
EXPONENT = 1.1
"""Of seconds over size; sorting alone may have more."""
REPEATS = 3
# What takes less says of its overhead alone.
_LEAST_SECONDS = 0.02


@dataclass(frozen=True)
class Point:
    """A stage at a size: the least seconds of a few calls, and what came out, in bytes."""

    stage: str
    size: int
    seconds: float
    size_bytes: int


def timed(stage: str, size: int, call: Callable[[], object]) -> Point:
    """The least of some calls, of one where it is slow."""
    best, result = math.inf, None
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
        if best > 5:
            break
    return Point(stage, size, best, held_bytes(result))


def held_bytes(result: object) -> int:
    """Of what has a size in bytes; else 0."""
    if isinstance(result, (bytes, str)):
        return len(result)
    if isinstance(result, torch.Tensor):
        return result.numel() * result.element_size()
    return 0


def exponents(points: list[Point]) -> dict[str, float]:
    """By stage, between its two largest sizes, where these take long enough to tell."""
    found = {}
    for stage in dict.fromkeys(point.stage for point in points):
        small, large = [point for point in points if point.stage == stage][-2:]
        if large.seconds >= _LEAST_SECONDS:
            growth = math.log(large.seconds / max(small.seconds, 1e-4))
            found[stage] = growth / math.log(large.size / small.size)
    return found


def of_cases(sizes: tuple[int, ...] = CASES) -> Iterator[Point]:
    """Expanding them, and the tables that close a run."""
    from gnnperf.records import Record
    from gnnperf.reports.closing import closing_report
    from gnnperf.reports.pareto import front
    from gnnperf.reports.table import case_table
    from gnnperf.study.cases import expand
    from gnnperf.study.presets import PRESETS
    from tests.gates.records import record

    for size in sizes:
        preset = replace(PRESETS["paper"], seeds=tuple(range(size // 10)))
        recipes = [f"global@{share / 100:g}" for share in range(5, 55, 5)]

        def collect(preset=preset, recipes=recipes) -> list:
            cases = list(dict.fromkeys(expand(["cora_node-spline"], recipes, preset)))
            return [case.id_on("cora_node-spline") for case in cases]

        records: list[Record] = []
        for seed, recipe in ((s, r) for s in preset.seeds for r in recipes):
            one = record(seed=seed, stored_bytes=1000 + seed, accuracy_drop=-seed / 1e4)
            records.append(replace(one, recipe=recipe))
        yield timed("collection", size, collect)
        yield timed("table", size, lambda r=records: case_table(r))
        yield timed("closing report", size, lambda r=records: closing_report(r, {}, {}))
        # The worst case: of two costs that rise and fall together none is dominated.
        points = {str(n): (float(n), float(-n)) for n in range(size)}
        yield timed("front", size, lambda p=points: front(p))


def of_parameters(sizes: tuple[int, ...] = PARAMETERS) -> Iterator[Point]:
    """Pruning, quantizing, writing and reading a model, on one small batch."""
    from gnnperf import Trained, codec, compress

    for size in sizes:
        width = round(math.sqrt(size / 2))
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
            *(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)),
        )
        batch = Data(x=torch.randn(8, 16), y=torch.arange(8) % 3, test_mask=torch.ones(8).bool())
        trained = Trained.of(OfX(model), [batch], "accuracy", train=[batch])
        yield timed("prune", size, lambda t=trained: compress(t, "global@0.5"))
        yield timed("quantize", size, lambda t=trained: compress(t, "ptq@int8"))
        state = compress(trained, "global@0.5").state()
        yield timed("encode", size, lambda s=state: codec.encode(s))
        content = codec.encode(state)
        yield timed("decode", size, lambda c=content: codec.decode(c))
        yield timed("torch.save", size, lambda s=state: saved(s))


class OfX(nn.Module):
    """A module on a batch's features alone."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, data: Data) -> torch.Tensor:
        """A row a node."""
        return self.module(data.x)


def saved(state: object) -> bytes:
    """What torch writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def of_nodes(sizes: tuple[int, ...] = NODES) -> Iterator[Point]:
    """A graph of 25 edges to a node: made, told apart, split, trained on, scored, computed."""
    from gnnperf.datasets import fingerprint
    from gnnperf.datasets.ogbn import stand_in
    from gnnperf.models.sage_nodes import SageNodes
    from gnnperf.study.inference import Inference
    from gnnperf.training import NodeClassification, Sampled, TrainSettings, evaluate, fit

    once = TrainSettings(epochs=1, learning_rate=0.01)
    for size in sizes:
        made: list[Data] = []

        def load(size=size, made=made) -> torch.Tensor:
            made[:] = [stand_in(size, 25 * size, 100, 47, (0.1, 0.02), 0)]
            return made[0].edge_index

        yield timed("load", size, load)
        yield timed("fingerprint", size, lambda g=made: fingerprint(g))
        task = NodeClassification(sampled=Sampled(256, (10, 5)), timed=Sampled(256, (10, 5)))
        yield timed("split", size, lambda t=task, g=made: t.split(g, 0))
        parts, model = task.split(made, 0), SageNodes(100, 47, hidden=32)
        yield timed(
            "train epoch", size, lambda m=model, t=task, p=parts: fit(m, t, p, once, seed=0)
        )
        yield timed("evaluate", size, lambda m=model, t=task, p=parts: evaluate(m, t, p.test))
        yield timed("measure", size, Inference(model.eval(), parts.measured))


def told(points: Iterable[Point]) -> list[Point]:
    """The points, each printed as soon as it is there, and then the exponents."""
    found = []
    for point in points:
        found.append(point)
        seconds, size_bytes = f"{point.seconds:10.4f} s", f"{point.size_bytes:14,} bytes"
        print(f"{point.stage:>15} {point.size:>12,} {seconds} {size_bytes}", flush=True)
    for stage, value in exponents(found).items():
        print(f"{stage:>15} exponent {value:.2f}", flush=True)
    return found

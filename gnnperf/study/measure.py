"""All readings of a compressed model beside its dense twin, as one record."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gnnperf import codec
from gnnperf.codec.errors import UnsupportedValueError
from gnnperf.compression import Compressed, Step, deployed_state
from gnnperf.compression.coverage import COVERED, borne_out, proven
from gnnperf.compression.plain import with_plain_models
from gnnperf.errors import GnnperfError
from gnnperf.meters import registry
from gnnperf.meters.base import Readings, beside
from gnnperf.meters.clocks import DeviceClock, cuda_clock
from gnnperf.meters.latency import Pair
from gnnperf.meters.looks import Budget
from gnnperf.meters.memory.heap import LoadHeapMeter
from gnnperf.ops.values import dense_values
from gnnperf.records import Layer, Reading, Record, measured, unavailable
from gnnperf.study.deployed import DeployedPair
from gnnperf.study.finite import require_finite
from gnnperf.study.inference import LoadAndInfer, inference, read_any, read_dense, read_stored
from gnnperf.study.sizes import size_readings
from gnnperf.study.training_cost import training_cost
from gnnperf.study.whole import on_batch, whole_graph
from gnnperf.system.machine import describe_machine, git_commit, versions
from gnnperf.training import Metric, Parts, Trained, evaluate
from gnnperf.training.metrics import metric_named
from gnnperf.training.modules import copied
from gnnperf.training.ready import device_of

RunPair = Callable[[Pair], None]
"""Runs a pair's rounds: `Pair.run`, or pytest-benchmark's way."""


# A simulation's time is no claim: few rounds will do, and fewer where they have shown enough.
SIMULATED_ROUNDS, SIMULATED_SECONDS = 30, 1.0

DEFAULT_METERS = ("scores", "size", "latency", "cost")
"""What a case takes unless told otherwise: all that needs no window of seconds."""


_OF_THE_MODEL = ("scores", "size")
"""The passes that are of the whole test part, or of the weights, whatever batch is timed."""


@dataclass(frozen=True)
class Setting:
    """What a pass needs to know besides the case."""

    run_pair: RunPair
    cap_seconds: float
    options: registry.MeterOptions
    deployed: DeployedPair | None = None
    eager: nn.Module | None = None


def measure(
    compressed: Compressed,
    run_pair: RunPair = Pair.run,
    provenance: dict[str, Any] | None = None,
    *,
    meters: Sequence[str] = DEFAULT_METERS,
    options: registry.MeterOptions | None = None,
    eager: nn.Module | None = None,
    cap_seconds: float = math.inf,
) -> Record:
    """Measure a case beside its twin, each meter in a pass of its own.

    Args:
        compressed: the model and its twin.
        run_pair: runs the rounds of case and twin.
        provenance: more of it, for the record.
        meters: scores, size, latency, and kinds of gnnperf.meters.registry.METERS; raises
            GnnperfError for others.
        options: how meters look; the GPUs in use are the model's.
        eager: the twin as its user would write it in PyG, for the `eager_ratio` of a case that is
            deployed.
        cap_seconds: wall seconds that the rounds of each further pair end by, whatever else holds:
            of the simulated model, the eager form, and graphs one at a time.

    Raises NotFiniteError, before anything is measured, where case or twin holds or gives NaN, and
    DeployError for a deployment that cannot be had, or that breaks its promise.
    """
    passes = _passes()
    unknown = [name for name in meters if name not in passes]
    if unknown:
        raise GnnperfError(f"unknown meters {unknown}; there are {', '.join(passes)}")
    if COVERED not in compressed.readings:
        # Not made by a recipe.
        compressed = proven(borne_out(with_plain_models(compressed)))
    require_finite(compressed)
    twin = compressed.twin
    deployed = DeployedPair.of(compressed) if compressed.deployment else None
    setting = Setting(
        run_pair,
        cap_seconds,
        replace(options or registry.MeterOptions(), gpus=gpus_of(_device(twin))),
        deployed,
        eager,
    )
    readings: Readings = {} if deployed is None else deployed.checked(compressed)
    for name in dict.fromkeys(meters):
        found = passes[name](compressed, setting)
        readings.update(found if name in _OF_THE_MODEL else on_batch(found, twin.parts))
    readings.update(compressed.readings)
    finetuned = compressed.finetuned
    return Record(
        workload=twin.workload,
        recipe=compressed.recipe,
        seed=twin.seed,
        metric=headline(twin).name,
        readings=readings,
        layers={
            name: Layer(parameter.numel(), int(torch.count_nonzero(dense_values(parameter))))
            for name, parameter in compressed.model.named_parameters()
        },
        coverage={n: (part.changed, part.total) for n, part in compressed.coverage.items()},
        finetune={} if finetuned is None else {**asdict(finetuned), "kept": compressed.kept},
        provenance={**_provenance(twin), **_timed(twin.parts), **(provenance or {})},
        dataset=twin.data["dataset"],
        source=twin.data["source"],
        higher_is_better=headline(twin).higher_is_better,
        uncovered=compressed.uncovered,
        steps=tuple(map(_step_record, compressed.steps)),
    )


def _step_record(step: Step) -> dict[str, Any]:
    return {
        "step": step.text,
        "coverage": {name: [part.changed, part.total] for name, part in step.coverage.items()},
        "parameters": step.parameters,
        "nonzeros": step.nonzeros,
        "training": None if step.training is None else asdict(step.training),
        "kept": step.kept,
    }


def score_readings(compressed: Compressed) -> dict[str, Reading]:
    """Every score of the test part for the case and its twin, and the drop of the headline one.

    Those that the recipe itself knows to be unavailable are so. Raises NotFiniteError where case
    or twin holds or gives NaN.
    """
    require_finite(compressed)
    readings = _scores(compressed)
    return {name: compressed.readings.get(name, reading) for name, reading in readings.items()}


def _scores(compressed: Compressed, deployed: DeployedPair | None = None) -> dict[str, Reading]:
    twin = compressed.twin
    model = compressed.model if deployed is None else deployed.case
    mine = evaluate(model, twin.task, twin.parts.test)
    dense = twin.test_scores()
    metric, source = headline(twin), "test part"
    drop = metric.worse_by(dense[metric.name], mine[metric.name])

    def reading(name: str, value: float) -> Reading:
        # What a constant gets has the headline's unit.
        unit = metric.unit if name == "train_mean" else metric_named(name).unit
        return _finite(value, unit, source)

    return {
        **{name: reading(name, value) for name, value in mine.items()},
        **{f"twin_{name}": reading(name, value) for name, value in dense.items()},
        f"{metric.name}_drop": _finite(
            drop,
            metric.unit,
            f"how much worse than the twin's {metric.name} the case's is, {source}",
        ),
    }


def headline(trained: Trained) -> Metric:
    """What heads the report of a model's cases, with its direction and unit.

    A task may say the direction of a score of its own, `higher_is_better`.
    """
    task = trained.task
    metric = metric_named(task.metric)
    higher = getattr(task, "higher_is_better", metric.higher_is_better)
    return replace(metric, higher_is_better=bool(higher))


def _finite(value: float, unit: str, source: str) -> Reading:
    if math.isfinite(value):
        return measured(value, unit, source)
    return unavailable(unit, source, f"it came out as {value}")


def latency_readings(
    compressed: Compressed, run_pair: RunPair, cap_seconds: float = math.inf
) -> dict[str, Reading]:
    """CPU and wall time of one inference over the test part, beside the twin's."""
    twin = compressed.twin
    device = _device(twin)
    pair = Pair(
        inference(compressed.shipped, twin.parts),
        inference(twin.model, twin.parts),
        seed=twin.seed,
        clock=cuda_clock(device.index or 0) if device.type == "cuda" else DeviceClock(),
    )
    run_pair(pair)
    readings = pair.readings()
    if readings["cpu_ratio"].value is None:
        return readings
    models = {"": compressed.shipped, "twin_": twin.model}
    return {
        **readings,
        **simulated_readings(compressed, cap_seconds),
        **whole_graph(models, twin.parts, cap_seconds),
    }


def _latency(compressed: Compressed, setting: Setting) -> Readings:
    if setting.deployed is not None:
        return setting.deployed.ratios(
            compressed, setting.run_pair, setting.eager, setting.cap_seconds
        )
    return latency_readings(compressed, setting.run_pair, setting.cap_seconds)


def simulated_readings(compressed: Compressed, cap_seconds: float = math.inf) -> Readings:
    """Time of a model that only simulates what is shipped, beside the twin's; else nothing."""
    if compressed.deployed is None:
        return {}
    twin = compressed.twin
    pair = Pair(
        inference(compressed.model, twin.parts),
        inference(twin.model, twin.parts),
        seed=twin.seed,
        rounds=SIMULATED_ROUNDS,
    )
    pair.run_within(Budget(SIMULATED_SECONDS, cap_seconds=cap_seconds))
    return {"simulated_cpu_ratio": pair.readings()["cpu_ratio"]}


def meter_readings(kind: str, compressed: Compressed, setting: Setting) -> Readings:
    """One kind of meter on one inference over the test part, then on the twin's."""
    return beside(registry.meters(kind, setting.options), *_both(compressed, setting.deployed))


def memory_readings(compressed: Compressed, setting: Setting) -> Readings:
    """Peak memory of one inference, and of loading the stored model and one inference."""
    twin = compressed.twin
    state = compressed.state()
    with tempfile.TemporaryDirectory() as folder:
        mine, dense, read_mine = (
            Path(folder) / "state.gnnz",
            Path(folder) / "state.pt",
            read_stored,
        )
        try:
            codec.save(state, mine)
        except UnsupportedValueError:
            read_mine = read_any
            torch.save(deployed_state(compressed.model), mine)
        torch.save(twin.model.state_dict(), dense)
        load = [
            LoadAndInfer(path, read, copied(model), twin.parts.measured)
            for path, read, model in (
                (mine, read_mine, compressed.shipped),
                (dense, read_dense, twin.model),
            )
        ]
        return {
            **meter_readings("memory", compressed, setting),
            **beside([LoadHeapMeter(setting.options.isolated)], *load),
        }


def _both(
    compressed: Compressed, deployed: DeployedPair | None
) -> tuple[Callable[[], None], Callable[[], None]]:
    if deployed is not None:
        return deployed.calls
    parts = compressed.twin.parts
    mine, twin = inference(compressed.shipped, parts), inference(compressed.twin.model, parts)
    return replace(mine, synchronized=True), replace(twin, synchronized=True)


PASSES: dict[str, Callable[[Compressed, Setting], Readings]] = {
    "scores": lambda compressed, setting: _scores(compressed, setting.deployed),
    "size": lambda compressed, setting: size_readings(compressed),
    "latency": lambda compressed, setting: _latency(compressed, setting),
    **{kind: partial(meter_readings, kind) for kind in registry.METERS},
    "memory": memory_readings,
    "training": lambda compressed, setting: training_cost(compressed, setting.options),
}
"""What a case can be asked for, each in a pass of its own; meters of a project's own besides."""


def _passes() -> dict[str, Callable[[Compressed, Setting], Readings]]:
    return {**{kind: partial(meter_readings, kind) for kind in registry.METERS}, **PASSES}


def gpus_of(device: torch.device) -> tuple[int, ...]:
    """The GPUs that a device means, as CUDA numbers them; none for the processor."""
    return (device.index or 0,) if device.type == "cuda" else ()


def _device(trained: Trained) -> torch.device:
    return device_of(trained.model)


def _timed(parts: Parts) -> dict[str, str]:
    return {} if parts.timed is None else {"timed": parts.timed.name}


def _provenance(trained: Trained) -> dict[str, Any]:
    return {
        "versions": versions(),
        "git_commit": git_commit("."),
        "machine": describe_machine(_device(trained)),
        "data": trained.data,
        "training": asdict(trained.report),
    }

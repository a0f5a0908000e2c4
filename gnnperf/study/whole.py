"""A large graph as a whole: how long inference takes, where it fits; and what batch was timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import psutil
import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.deploy import Deployed
from gnnperf.meters.base import Readings
from gnnperf.ops.bounded import bounded_messages
from gnnperf.records import Reading, measured, unavailable
from gnnperf.training import Parts

CALLS, SECONDS = 3, 60.0
"""How often the whole graph is computed at most, and for how long another call is begun."""

# PyG gathers what is sent, and weighs it in a second tensor.
_COPIES = 2
_NAME = "whole_graph_wall_seconds"


def whole_graph(
    models: Mapping[str, nn.Module], parts: Parts, cap_seconds: float = SECONDS
) -> Readings:
    """Wall seconds of one inference over the whole test part, by prefix of the reading's name.

    No further call is begun after SECONDS of a model, or `cap_seconds`. Nothing where the test part
    itself is timed. Unavailable for a model whose messages would not fit into half of the memory
    that is free; a deployment that forms none fits.
    """
    if parts.timed is None:
        return {}
    return {
        f"{prefix}{_NAME}": _whole(model, parts.test, cap_seconds)
        for prefix, model in models.items()
    }


def _whole(model: nn.Module, batches: Sequence[Data], seconds: float) -> Reading:
    source = "wall time of the whole test part"
    ready = batches
    if isinstance(model, Deployed):
        ready = [model.prepare(batch) for batch in batches]
    needed, free = _COPIES * largest_messages(model, ready), psutil.virtual_memory().available
    if needed > free // 2:
        reason = (
            f"its messages would hold {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "deploy=lean does without them where it can"
        )
        return unavailable("seconds", source, reason)
    with torch.inference_mode():
        samples = _timed(model, ready, seconds)
    return measured(
        statistics.median(samples),
        "seconds",
        f"{source}, median of {len(samples)} calls",
        min(samples),
        max(samples),
        calls=len(samples),
    )


def _timed(model: nn.Module, batches: Sequence[Data], seconds: float) -> list[float]:
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < CALLS and (not samples or time.perf_counter() < end):
        start = time.perf_counter()
        for batch in batches:
            model(batch)
        samples.append(time.perf_counter() - start)
    return samples


def largest_messages(model: nn.Module, batches: Sequence[Data]) -> int:
    """The bytes of the largest messages that the model would hold at once, run as it is."""
    with torch.no_grad(), bounded_messages(model) as seen:
        for batch in batches:
            model(batch)
    return seen.bytes


def on_batch(readings: Readings, parts: Parts) -> Readings:
    """Readings of time, memory or energy, whose sources say which batch they were taken on."""
    if parts.timed is None:
        return readings
    batch = parts.timed.name
    return {
        name: reading
        if name.endswith(_NAME)
        else replace(reading, source=f"{reading.source}; {batch}")
        for name, reading in readings.items()
    }

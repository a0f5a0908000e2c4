"""A2Q: features quantized with a learned step and bit-width for each node or group of nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnperf.compression.compressed import Changed, Compressed, RecipeError
from gnnperf.compression.quantization import a2q_features, a2q_function
from gnnperf.compression.quantization.a2q_features import (
    FeatureQuantizer,
    GroupQuantizer,
    NodeQuantizer,
    hold_ranges,
)
from gnnperf.compression.quantization.a2q_linear import LINEARS, A2QLinear
from gnnperf.compression.quantization.a2q_memory import MemoryLoss
from gnnperf.records import Reading, measured
from gnnperf.training import TrainSettings, Trained, fit_cached
from gnnperf.training.role_adam import role_adam

GROUPS = 1000
MEMORY_WEIGHT, MEMORY_TARGET_KIB = 1e-3, 1.0
LEARNING_RATE = 0.01
MEMORY = "a2q_memory"
"""Name of the submodule with the memory loss."""


def parse_bits(text: str) -> int:
    """The weights' bits, with which the features' begin, 2 to 8; raises ValueError."""
    bits = int(text)
    if not a2q_function.LEAST_BITS <= bits <= a2q_function.MOST_BITS or text != str(bits):
        raise ValueError
    return bits


def a2q(trained: Trained, recipe: str, bits: int) -> Compressed:
    """Quantize a copy of the trained model and train it on; raises RecipeError without a linear."""
    model = deepcopy(trained.model)
    seen = row_counts(model, [*trained.parts.train, *trained.parts.validation])
    layers = quantize_linears(model, seen, bits)
    if not layers:
        raise RecipeError(
            f"recipe {recipe}: the model of {trained.workload} computes no linear layer "
            "(torch.nn.Linear or torch_geometric.nn.Linear) whose inputs could be quantized"
        )
    report = fit_cached(
        trained,
        model,
        settings(trained.train),
        variant="a2q",
        hooks=(role_adam, hold_ranges, a2q_function.quantize, type(model.get_submodule(MEMORY))),
        after_step=hold_ranges,
    )
    keep_used_groups(model, trained.parts.train)
    return Compressed(
        trained,
        recipe,
        model,
        {f"{name}.weight": Changed(*[layer.weight.numel()] * 2) for name, layer in layers.items()},
        finetuned=report,
        readings=bit_readings(model, trained.parts.test),
    )


def settings(base: TrainSettings) -> TrainSettings:
    """How a model is trained that the base's settings trained."""
    return replace(base, optimizer="role-adam", learning_rate=LEARNING_RATE)


@torch.no_grad()
def row_counts(model: nn.Module, batches: Sequence[Data]) -> dict[str, int | None]:
    """Rows that enter each linear layer that runs; None where they are not a fixed graph's nodes.

    The layers that a model's code reads the weights of, without calling them, do not run.
    """
    counts: dict[str, set[int | None]] = {}
    current: list[int | None] = []

    def note(name: str, x: Tensor) -> None:
        rows = x.numel() // max(x.size(-1), 1)
        counts.setdefault(name, set()).add(rows if rows == current[0] else None)

    with _watching(model, LINEARS, note):
        for batch in batches:
            current[:] = [None if isinstance(batch, Batch) else batch.num_nodes]
            model(batch)
    return {name: next(iter(c)) if len(c) == 1 else None for name, c in counts.items()}


@contextmanager
def _watching(model: nn.Module, kinds, note) -> Iterator[None]:
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()


def quantize_linears(
    model: nn.Module, rows: dict[str, int | None], bits: int
) -> dict[str, A2QLinear]:
    """Replace the named linear layers and attach the memory loss; the new layers by name.

    Args:
        model: changed in place.
        rows: for each layer the nodes of the fixed graph that it sees, which then have steps of
            their own; None: nodes share groups.
        bits: of the weights; with as many the features begin.
    """
    layers = {}
    for name, count in rows.items():
        linear = model.get_submodule(name)
        device = linear.weight.device
        features: FeatureQuantizer = (
            GroupQuantizer(GROUPS, bits, device)
            if count is None
            else NodeQuantizer(count, bits, device)
        )
        layers[name] = A2QLinear(linear, bits, features)
        model.set_submodule(name, layers[name])
    if layers:
        loss = MemoryLoss(list(layers.values()), MEMORY_WEIGHT, MEMORY_TARGET_KIB)
        model.add_module(MEMORY, loss)
    return layers


def a2q_layers(model: nn.Module) -> dict[str, A2QLinear]:
    """The quantized layers by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, A2QLinear)}


@torch.no_grad()
def keep_used_groups(model: nn.Module, batches: Sequence[Data]) -> None:
    """Drop the groups that no node of the batches takes, from every layer that has groups."""
    layers = a2q_layers(model)
    used = {
        name: torch.zeros_like(layer.features.bits, dtype=torch.bool)
        for name, layer in layers.items()
    }

    def note(name: str, x: Tensor) -> None:
        features = layers[name].features
        if isinstance(features, GroupQuantizer):
            used[name][features.nearest(x.reshape(-1, x.size(-1)).abs().amax(-1))] = True

    with _watching(model, A2QLinear, note):
        for batch in batches:
            model(batch)
    for name, layer in layers.items():
        if isinstance(layer.features, GroupQuantizer):
            layer.features.keep(used[name])


@torch.no_grad()
def bit_readings(model: nn.Module, batches: Sequence[Data]) -> dict[str, Reading]:
    """The mean bits of a feature over the batches, in all and for each layer."""
    layers = a2q_layers(model)
    bits = dict.fromkeys(layers, 0.0)
    features = dict.fromkeys(layers, 0)

    def note(name: str, x: Tensor) -> None:
        width = x.size(-1)
        _, row_bits = layers[name].features.rows(x.reshape(-1, width))
        bits[name] += float(row_bits.sum()) * width
        features[name] += x.numel()

    with _watching(model, A2QLinear, note):
        for batch in batches:
            model(batch)
    source = "widths of the features that enter the linear layers, test part"
    readings = {
        f"bits_{name}": measured(bits[name] / features[name], "bits", source)
        for name in layers
        if features[name]
    }
    mean = sum(bits.values()) / sum(features.values())
    return {"mean_bits": measured(mean, "bits", source), **readings}

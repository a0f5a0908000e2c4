"""A2Q: features quantized with a learned step and bit-width for each node or group of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnperf.compression.compressed import Compressed, RecipeError
from gnnperf.compression.masks import attach_masks, hold_masks
from gnnperf.compression.quantization.a2q.features import (
    FeatureQuantizer,
    GroupQuantizer,
    NodeQuantizer,
    hold_ranges,
    row_range,
)
from gnnperf.compression.quantization.a2q.linear import A2QLinear
from gnnperf.compression.quantization.a2q.memory import MemoryLoss
from gnnperf.compression.quantization.a2q.packing import pack_rows
from gnnperf.compression.quantization.agreement import agreement_readings
from gnnperf.compression.quantization.export import export
from gnnperf.compression.quantization.grid import MAX_BITS, MIN_BITS
from gnnperf.compression.quantization.quantize import masks_with_linears, with_linears
from gnnperf.compression.quantization.sites import (
    linears,
    replace_module,
    require_float32,
    watching,
    weight_coverage,
)
from gnnperf.compression.retraining import training_readings
from gnnperf.records import Reading, measured
from gnnperf.training import Trained, TrainSettings, fit_cached
from gnnperf.training.modules import copied

GROUPS = 1000
MEMORY_WEIGHT, MEMORY_TARGET_KIB = 1e-3, 1.0
LEARNING_RATE = 0.01
FLOAT32_BYTES = 4
MEMORY = "a2q_memory"
"""Name of the submodule with the memory loss."""


def parse_bits(text: str) -> int:
    """The weights' bits, with which the features' begin, 2 to 8; raises ValueError."""
    bits = int(text)
    if not MIN_BITS <= bits <= MAX_BITS or text != str(bits):
        raise ValueError
    return bits


def a2q(trained: Trained, bits: int) -> Compressed:
    """Quantize a copy of the trained model and train it on; raises RecipeError without a linear.

    And for weights of another dtype than float32.
    """
    require_float32(trained.model)
    model = copied(trained.model)
    masks = masks_with_linears(model)
    model = with_linears(model)
    rows = row_counts(model, [*trained.parts.train, *trained.parts.validation])
    if not rows:
        raise RecipeError(
            f"the model of {trained.workload} calls no linear layer (torch's or "
            "PyG's) that could be quantized; quantize a model that does"
        )
    layers = quantize_linears(model, rows, bits)
    if masks:
        attach_masks(model, masks)
    report = fit_cached(
        trained,
        model,
        training_settings(trained.train),
        by=__name__,
        after_step=_hold,
        progress=f"{trained.workload}-a2q",
    )
    settle(model, trained.parts.train)
    deployed, test = export(model), trained.parts.test
    return Compressed(
        trained,
        model,
        weight_coverage(model, [f"{name}.weight" for name in layers]),
        report,
        deployed,
        {
            **training_readings(trained, report),
            **bit_readings(model, test),
            **agreement_readings(model, deployed, test),
        },
    )


def _hold(model: nn.Module) -> None:
    """After an optimizer step."""
    hold_ranges(model)
    hold_masks(model)


def training_settings(base: TrainSettings) -> TrainSettings:
    """How a quantized model is trained on from its trained base: for as long as that, at most.

    By validation on GIN: half as long ended while BBBP still improved; fresh weights did worse on
    BBBP and about as well on PROTEINS; half and a fifth of the rate did worse on PROTEINS.
    """
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

    with watching(model, linears(model), note):
        for batch in batches:
            current[:] = [None if isinstance(batch, Batch) else batch.num_nodes]
            model(batch)
    return {name: next(iter(c)) if len(c) == 1 else None for name, c in counts.items()}


def quantize_linears(
    model: nn.Module, rows: Mapping[str, int | None], bits: int
) -> dict[str, A2QLinear]:
    """Replace the named linear layers and attach the memory loss; the new layers by name.

    Args:
        model: changed in place.
        rows: for each layer the nodes of the fixed graph that it sees, which then have steps of
            their own; None: nodes share groups.
        bits: of the weights; with as many the features begin.
    """
    layers = {}
    tied: dict[int, nn.Parameter] = {}
    for name, count in rows.items():
        linear = model.get_submodule(name)
        device = linear.get_parameter("weight").device
        features: FeatureQuantizer = (
            GroupQuantizer(GROUPS, bits, device)
            if count is None
            else NodeQuantizer(count, bits, device)
        )
        layers[name] = layer = A2QLinear(linear, bits, features)
        # A tied weight has one set of steps, and so of codes.
        layer.log2_weight_steps = tied.setdefault(id(layer.weight), layer.log2_weight_steps)
        replace_module(model, linear, layers[name])
    memory = MemoryLoss(list(layers.values()), MEMORY_WEIGHT, MEMORY_TARGET_KIB)
    model.add_module(MEMORY, memory)
    return layers


def a2q_layers(model: nn.Module) -> dict[str, A2QLinear]:
    """The quantized layers by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, A2QLinear)}


@torch.no_grad()
def settle(model: nn.Module, batches: Sequence[Data]) -> None:
    """Keep the groups alone that nodes of the batches take, and drop the memory loss."""
    model._modules.pop(MEMORY, None)
    layers = a2q_layers(model)
    used = {
        name: torch.zeros_like(layer.features.bits, dtype=torch.bool)
        for name, layer in layers.items()
    }

    def note(name: str, x: Tensor) -> None:
        features = layers[name].features
        if isinstance(features, GroupQuantizer):
            _, peak = row_range(x.flatten(0, -2))
            used[name] |= features.mask(features.index(peak))

    with watching(model, layers, note):
        for batch in batches:
            model(batch)
    for name, layer in layers.items():
        if isinstance(layer.features, GroupQuantizer):
            layer.features.settle(used[name])


@torch.no_grad()
def bit_readings(model: nn.Module, batches: Sequence[Data]) -> dict[str, Reading]:
    """Mean bits of a feature over the batches, in all and by layer, and the features' bytes.

    `feature_bytes` are those of the codes of all layers' inputs, each row packed to its own width;
    `feature_size_ratio` is how many times as many they take in float32.
    """
    layers = a2q_layers(model)
    bits, count = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0)
    packed_bytes: list[int] = []

    def note(name: str, x: Tensor) -> None:
        features, rows = layers[name].features, x.flatten(0, -2)
        row_bits = features.rows(rows)[1].view(-1)
        bits[name] += float(row_bits.sum()) * x.size(-1)
        count[name] += x.numel()
        packed_bytes.append(len(pack_rows(features.levels(rows)[0], row_bits)))

    with watching(model, layers, note):
        for batch in batches:
            model(batch)
    source = "features that enter the quantized linear layers, test part"
    total, size = sum(count.values()), sum(packed_bytes)
    return {
        "mean_bits": measured(sum(bits.values()) / total, "bits", source),
        **{
            f"bits_{name}": measured(bits[name] / count[name], "bits", source)
            for name in layers
            if count[name]
        },
        "feature_bytes": measured(size, "bytes", f"packed, {source}"),
        "feature_size_ratio": measured(
            total * FLOAT32_BYTES / size, "ratio", "float32 bytes / feature_bytes"
        ),
    }

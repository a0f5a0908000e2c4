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
from gnnperf.compression.quantization.a2q.readings import bit_readings
from gnnperf.compression.quantization.a2q.target import (
    CHOICE,
    Bits,
    BitsTarget,
    WithinTarget,
    a2q_layers,
)
from gnnperf.compression.quantization.agreement import agreement_readings
from gnnperf.compression.quantization.export import export
from gnnperf.compression.quantization.flow import read_weights, weights_of
from gnnperf.compression.quantization.linear import RawLinear
from gnnperf.compression.quantization.quantize import masks_with_linears, with_linears
from gnnperf.compression.quantization.raw import RawFeatures
from gnnperf.compression.quantization.sites import (
    linears,
    replace_module,
    require_float32,
    watching,
    weight_coverage,
)
from gnnperf.compression.quantization.weights import WeightQuantize, WeightSettings
from gnnperf.compression.retraining import training_readings
from gnnperf.training import Trained, TrainSettings, fit_cached
from gnnperf.training.modules import copied

GROUPS = 1000
MEMORY_WEIGHT, MEMORY_TARGET_KIB = 1e-3, 1.0
LEARNING_RATE = 0.01
MEMORY = "a2q_memory"
"""Name of the submodule with the memory loss."""


def a2q(trained: Trained, bits: Bits) -> Compressed:
    """Quantize a copy of the trained model and train it on; raises RecipeError without a linear.

    And for weights of another dtype than float32. With a target raw features stay as they are,
    outside the count, and an epoch within it is kept wherever there is one.
    """
    require_float32(trained.model)
    model = copied(trained.model)
    masks = masks_with_linears(model)
    model = with_linears(model)
    rows = row_counts(model, [*trained.parts.train, *trained.parts.validation])
    raw = raw_layers(model, trained.parts.train[0]) & set(rows)
    learned = rows if bits.target is None else {n: c for n, c in rows.items() if n not in raw}
    if not learned:
        raise RecipeError(
            f"the model of {trained.workload} calls no linear layer (torch's or "
            "PyG's) that could be quantized; quantize a model that does"
        )
    left = [name for name in rows if name not in learned]
    read_as_they_are(model, left, bits.weights, trained.parts.train)
    layers = quantize_linears(model, learned, bits.weights, bits.target)
    if masks:
        attach_masks(model, masks)
    report = fit_cached(
        trained if bits.target is None else _within(trained, bits.target),
        model,
        training_settings(trained.train, bits.target),
        by=__name__,
        after_step=_hold,
        progress=f"{trained.workload}-a2q",
    )
    settle(model, trained.parts.train)
    deployed, test = export(model), trained.parts.test
    return Compressed(
        trained,
        model,
        weight_coverage(model, [f"{name}.weight" for name in [*left, *layers]]),
        report,
        deployed,
        {
            **training_readings(trained, report),
            **bit_readings(model, test, raw, bits.target),
            **agreement_readings(model, deployed, test),
        },
    )


def _hold(model: nn.Module) -> None:
    """After an optimizer step."""
    hold_ranges(model)
    hold_masks(model)


def _within(trained: Trained, target: float) -> Trained:
    select = trained.train.select or trained.task.metric
    return replace(
        trained,
        task=WithinTarget(trained.task, target, select),
        split=lambda: trained.parts,
    )


def training_settings(base: TrainSettings, target: float | None = None) -> TrainSettings:
    """How a quantized model is trained on from its trained base: for as long as that, at most.

    By validation on GIN: half as long ended while BBBP still improved; fresh weights did worse on
    BBBP and about as well on PROTEINS; half and a fifth of the rate did worse on PROTEINS.
    """
    if target is None:
        return replace(base, optimizer="role-adam", learning_rate=LEARNING_RATE)
    # Above the target an epoch counts as a miss, and bits take their time.
    return replace(
        base, optimizer="target-adam", learning_rate=LEARNING_RATE, select=CHOICE, patience=None
    )


def raw_layers(model: nn.Module, batch: Data) -> set[str]:
    """Names of the linear layers that read raw features."""
    weights = weights_of(model)
    reads = read_weights(model, weights, batch)
    raw = {id(weights[name]) for name, read in reads.items() if read.raw}
    return {n for n, layer in linears(model).items() if id(layer.get_parameter("weight")) in raw}


def read_as_they_are(
    model: nn.Module, names: Sequence[str], bits: int, batches: Sequence[Data]
) -> None:
    """Round these layers' weights to so many bits, and nothing that is not whole of what they read.

    Changed in place.
    """
    layers = {name: RawLinear(model.get_submodule(name)) for name in names}
    for layer in layers.values():
        layer.input, layer.kernel = RawFeatures(), WeightQuantize(WeightSettings(bits))
        layer.output, layer.input.rounds = nn.Identity(), False

    def note(name: str, x: Tensor) -> None:
        layers[name].input.observe(x)

    with torch.no_grad(), watching(model, {n: model.get_submodule(n) for n in names}, note):
        for batch in batches if names else ():
            model(batch)
    for name, layer in layers.items():
        layer.input.rounds = True
        replace_module(model, model.get_submodule(name), layer)


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
    model: nn.Module, rows: Mapping[str, int | None], bits: int, target: float | None = None
) -> dict[str, A2QLinear]:
    """Replace the named linear layers and attach the memory loss; the new layers by name.

    Args:
        model: changed in place.
        rows: for each layer the nodes of the fixed graph that it sees, which then have steps of
            their own; None: nodes share groups.
        bits: of the weights; with as many the features begin.
        target: mean bits of features at most, in place of the memory loss.
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
    held = list(layers.values())
    model.add_module(
        MEMORY,
        MemoryLoss(held, MEMORY_WEIGHT, MEMORY_TARGET_KIB)
        if target is None
        else BitsTarget(held, target),
    )
    return layers


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

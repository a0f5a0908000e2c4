"""Putting quantizers into a model, and showing them data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.compressed import Coverage, RecipeError
from gnnperf.compression.masks import attach_masks, masks_after, take_masks
from gnnperf.compression.quantization.convolution import quantize_convolutions
from gnnperf.compression.quantization.fake_quantize import FakeQuantize, QuantizerSettings
from gnnperf.compression.quantization.linear import QuantizedLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.sites import (
    LINEARS,
    quantizable,
    replace_module,
    require_float32,
    weight_coverage,
)
from gnnperf.training import seeded
from gnnperf.training.modules import copied


def quantized(
    model: nn.Module,
    batch: Data,
    settings: QuantizerSettings,
    protection: Protection | None = None,
) -> tuple[nn.Module, Coverage]:
    """A copy of the model with quantizers that have seen no data yet, and the weights they cover.

    Every linear layer but the first gets them at its input, weight and output, every convolution
    at its message, aggregate and update; biases and all else stay float32.

    Args:
        model: left as it is.
        batch: a `Data` that the model takes.
        settings: of every quantizer.
        protection: which nodes convolutions spare in training; becomes part of the copy.

    Masks of a pruned model go along. Raises RecipeError when there is no linear layer but the
    first, and for another dtype.
    """
    require_float32(model)
    model = copied(model)
    masks = masks_after(model, take_masks(model), _with_linears_alone)
    model = _with_linears_alone(model)
    parts = quantizable(model, batch)
    coverage = weight_coverage(parts)
    quantizer = partial(FakeQuantize, settings)
    kernels: dict[int, FakeQuantize] = {}
    for name, part in parts.items():
        layer = QuantizedLinear(part, quantizer)
        if f"{name}.weight" in masks:
            # Percentiles of a weight that is mostly zero would cut off a good part of the rest.
            layer.kernel = FakeQuantize(replace(settings, range="mom"))
        # A tied weight has one range, and so one set of codes.
        layer.kernel = kernels.setdefault(id(layer.weight), layer.kernel)
        replace_module(model, part, layer)
    quantize_convolutions(model, quantizer, protection)
    if protection is not None:
        model.add_module("protection", protection)
        model.register_forward_pre_hook(protection)
    if masks:
        attach_masks(model, masks)
    device = next(model.parameters()).device
    return model.to(device), coverage


def _with_linears_alone(model: nn.Module) -> nn.Module:
    return without_idle_biases(with_linears(model))


def masks_with_linears(model: nn.Module) -> dict[str, Tensor]:
    """The masks that `with_linears` makes of a pruned model's; they are taken off the model."""
    return masks_after(model, take_masks(model), with_linears)


def with_linears(model: nn.Module) -> nn.Module:
    """The model, changed in place: modules that have a method `with_linear` replaced by its result.

    They multiply by parameters of their own, which no search for linear layers would find.
    """
    for part in list(model.modules()):
        convert: Callable[[], nn.Module] | None = getattr(part, "with_linear", None)
        if convert is not None:
            replace_module(model, part, convert())
    return model


@torch.no_grad()
def without_idle_biases(model: nn.Module) -> nn.Module:
    """The model, changed in place: biases right before a batch normalisation go into its mean.

    It subtracts them again: in training they change nothing, and stored they cost bytes.
    """
    for part in list(model.modules()):
        if isinstance(part, nn.Sequential):
            for layer, norm in pairwise(part):
                bias = dict(layer.named_parameters()).get("bias")
                fixed = isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
                if isinstance(layer, LINEARS) and fixed and bias is not None:
                    norm.get_buffer("running_mean").sub_(bias)
                    layer.register_parameter("bias", None)
    return model


def quantizers(model: nn.Module) -> dict[str, FakeQuantize]:
    """All quantizers of a model by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, FakeQuantize)}


@torch.no_grad()
def calibrate(model: nn.Module, batches: Sequence[Data], seed: int = 0) -> None:
    """Let the quantizers of a model in eval mode learn their ranges from batches, in place.

    Raises RecipeError when one of them sees none: the layer is there and never computes.
    """
    model.eval()
    watching = [part for part in model.modules() if isinstance(part, (FakeQuantize, Protection))]
    for part in watching:
        part.train()
    with seeded(seed):
        for batch in batches:
            model(batch)
    model.eval()
    idle = [name for name, part in quantizers(model).items() if not part.batches]
    if idle:
        raise RecipeError(
            f"{idle[0]} of the {type(model).__name__} saw no data in {len(batches)} batches; "
            "quantize a model all of whose convolutions compute"
        )

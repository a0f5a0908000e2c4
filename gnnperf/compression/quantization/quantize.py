"""Putting quantizers into a model, and showing them data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.compressed import Coverage, RecipeError
from gnnperf.compression.masks import attach_masks, masks_after, take_masks
from gnnperf.compression.quantization.convolution import quantize_convolutions
from gnnperf.compression.quantization.fake_quantize import FakeQuantize, QuantizerSettings
from gnnperf.compression.quantization.flow import Reads, read_sites, read_weights, weights_of
from gnnperf.compression.quantization.grid import MAX_BITS
from gnnperf.compression.quantization.linear import QuantizedLinear, RawLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.raw import RawFeatures
from gnnperf.compression.quantization.sites import (
    LINEARS,
    linears,
    replace_module,
    require_float32,
    weight_coverage,
)
from gnnperf.compression.quantization.weights import (
    QuantizedWeights,
    WeightQuantize,
    WeightSettings,
)
from gnnperf.training import seeded
from gnnperf.training.modules import copied


@dataclass(frozen=True)
class Plan:
    """What is quantized, and how.

    Attributes:
        weights: of every weight.
        activations: of every activation, but for raw features, and logits, which have 8 bits.
        hidden_only: leave weights that read raw features as they are, as Degree-Quant does.
        protection: which nodes convolutions spare in training; becomes part of the copy.
    """

    weights: WeightSettings
    activations: QuantizerSettings
    hidden_only: bool = False
    protection: Protection | None = None


@dataclass(frozen=True)
class Quantized:
    """A model with quantizers that have seen no data yet.

    Attributes:
        model: the changed copy.
        coverage: the weights that are rounded.
        uncovered: those that are not, with the reason.
        logits: names of the weights that make the logits.
    """

    model: nn.Module
    coverage: Coverage
    uncovered: Mapping[str, str]
    logits: frozenset[str]


RAW_STAYS = "reads raw features, which :hidden leaves in fp32"
IDLE = "takes no part in inference"


def quantized(model: nn.Module, batch: Data, plan: Plan) -> Quantized:
    """A copy of the model that rounds every weight, wherever it is read, and activations.

    A linear layer gets quantizers at input, weight and output, every convolution at message,
    aggregate and update; a weight that is read past such a layer (by a sparse product, attention,
    a recurrent cell) is rounded alone. Biases and all else stay float32.

    Args:
        model: left as it is.
        batch: a `Data` that the model takes, on which it is followed.
        plan: what is quantized.

    Masks of a pruned model go along. Raises RecipeError when no weight is left to quantize, and
    for another dtype than float32.
    """
    require_float32(model)
    model = copied(model)
    masks = masks_after(model, take_masks(model), _with_linears_alone)
    model = _with_linears_alone(model)
    every = weights_of(model, batch)
    reads = read_weights(model, every, batch)
    taken = {n: r for n, r in reads.items() if not (plan.hidden_only and r.raw)}
    if not taken:
        raise RecipeError(_nothing(model, every, reads))
    quantizer = partial(FakeQuantize, plan.activations)
    kernels = {name: WeightQuantize(plan.weights) for name in taken}
    coverage = weight_coverage(model, taken)
    for layer in linears(model).values():
        name = _name_of(layer, every)
        if name in taken and taken[name].by_layer:
            kind = RawLinear if taken[name].raw else QuantizedLinear
            # A tied weight is rounded by one.
            replace_module(model, layer, kind(layer, quantizer, kernels[name]))
    free = {name: kernel for name, kernel in kernels.items() if not taken[name].by_layer}
    if free:
        QuantizedWeights(free).attach(model)
    quantize_convolutions(model, quantizer, plan.protection)
    _settle_ends(model, batch)
    if plan.protection is not None:
        model.add_module("protection", plan.protection)
        model.register_forward_pre_hook(plan.protection)
    if masks:
        attach_masks(model, masks)
    device = next(model.parameters()).device
    uncovered = {name: RAW_STAYS if name in reads else IDLE for name in every if name not in taken}
    logits = frozenset(name for name in taken if reads[name].final)
    return Quantized(model.to(device), coverage, uncovered, logits)


def _name_of(layer: nn.Module, weights: Mapping[str, Tensor]) -> str:
    return next((name for name, weight in weights.items() if weight is layer.weight), "")


def _nothing(model: nn.Module, every: Mapping[str, Tensor], reads: Mapping[str, Reads]) -> str:
    what = f"the {type(model).__name__} has nothing to quantize"
    if not reads:
        return f"{what}: a forward multiplies by none of its {len(every)} weights"
    which = ", ".join(reads)
    return f"{what} with :hidden: {which} read raw features; leave :hidden out"


def _settle_ends(model: nn.Module, batch: Data) -> None:
    """Quantizers of raw features and of logits, found by the data flow, in place of others."""
    sites = quantizers(model)
    for site in sites.values():
        site.rounds = False
    reads = read_sites(model, sites, batch)
    for site in sites.values():
        site.rounds = True
    for name in reads.raw:
        replace_module(model, sites[name], RawFeatures())
    for name in reads.final - reads.raw:
        replace_module(model, sites[name], FakeQuantize(logits_settings(sites[name].settings)))


def logits_settings(settings: QuantizerSettings) -> QuantizerSettings:
    """At 8 bits, and with the extremes: what is cut off there are the surest predictions."""
    if settings.bits == MAX_BITS:
        return settings
    return replace(settings, bits=MAX_BITS, cut=0.0)


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
    """All quantizers of activations by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, FakeQuantize)}


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[Data], seed: int = 0) -> None:
    """Let quantizers learn their ranges from batches, in whichever order, in place.

    Weights are rounded and activations pass as they are, so that no range depends on another; no
    node is spared. Raises RecipeError when one of them sees nothing: its layer never computes.
    """
    sites = quantizers(model)
    model.eval()
    for site in sites.values():
        site.reach.zero_()
        site.batches.zero_()
        site.rounds = False
        site.train()
    try:
        with seeded(seed):
            for batch in batches:
                model(batch)
    finally:
        for site in sites.values():
            site.rounds = True
        model.eval()
    idle = [name for name, site in sites.items() if not site.batches]
    if idle:
        raise RecipeError(
            f"quantizers of the model have seen no data in calibration ({idle[0]} for one); "
            "calibrate it on batches that reach every layer"
        )


def set_cut(model: nn.Module, cut: float) -> None:
    """Let all quantizers cut off another share, but for those that cut nothing off."""
    for site in quantizers(model).values():
        if site.settings.cut:
            site.settings = replace(site.settings, cut=cut)

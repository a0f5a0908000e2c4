"""A quantized model, simulated or on integers, as the float32 model that it stands for."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from gnnperf.compression.quantization.convolution import QuantizedAggregate, UpdateSite
from gnnperf.compression.quantization.export import FoldedNorm, IntegerModel
from gnnperf.compression.quantization.fake_quantize import (
    FakeQuantize,
    FrozenQuantize,
    QuantizerSettings,
)
from gnnperf.compression.quantization.linear import FloatLinear, IntegerLinear, QuantizedLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.sites import replace_module
from gnnperf.compression.quantization.weights import QuantizedWeights
from gnnperf.ops import Aggregate


def quantizer_settings(model: nn.Module) -> list[QuantizerSettings]:
    """Of every quantizer of a model; none of a model that is not quantized."""
    return [part.settings for part in model.modules() if isinstance(part, FakeQuantize)]


def fewest_bits(model: nn.Module) -> int | None:
    """Of the quantizers that round what passes to one range each; None without any."""
    found = [part.settings.bits for part in model.modules() if isinstance(part, FakeQuantize)]
    found += [part.bits for part in model.modules() if isinstance(part, FrozenQuantize)]
    return min(found, default=None)


@torch.no_grad()
def float_form(model: nn.Module) -> nn.Module:
    """A copy with rounded weights and no quantizers; a model without any as it is."""
    if fewest_bits(model) is None:
        return model
    copied = deepcopy(model.model if isinstance(model, IntegerModel) else model)
    for part in list(copied.modules()):
        if isinstance(part, QuantizedLinear):
            replace_module(copied, part, _linear(part.kernel(part.weight), part.bias))
        elif isinstance(part, FloatLinear):
            replace_module(copied, part, _linear(part.weight, part.bias))
        elif isinstance(part, IntegerLinear):
            weight = (part.weight.int() - part.zero_point) * part.scale
            replace_module(copied, part, _linear(weight, part.bias))
        elif isinstance(part, FoldedNorm):
            replace_module(copied, part, _norm(part))
        elif isinstance(part, QuantizedAggregate):
            replace_module(copied, part, Aggregate().eval())
        elif isinstance(part, QuantizedWeights):
            part.detach(copied)
        for name, child in list(part.named_children()):
            if isinstance(child, (UpdateSite, Protection)):
                delattr(part, name)
                _drop_hooks_of(part, child)
    return copied


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.size(1), weight.size(0), bias is not None)
    linear.weight.copy_(weight)
    if bias is not None:
        linear.bias.copy_(bias)
    return linear.requires_grad_(False).eval()


def _norm(part: FoldedNorm) -> nn.BatchNorm1d:
    """Of mean 0 and variance 1, as it is folded already."""
    norm = nn.BatchNorm1d(len(part.weight), eps=0.0)
    norm.weight.copy_(part.weight)
    norm.bias.copy_(part.bias)
    return norm.requires_grad_(False).eval()


def _drop_hooks_of(part: nn.Module, owner: nn.Module) -> None:
    """Those that are methods of the owner, or the owner itself."""
    for hooks in (value for name, value in vars(part).items() if name.endswith("_hooks")):
        for key, hook in list(hooks.items()):
            if hook is owner or getattr(hook, "__self__", None) is owner:
                del hooks[key]

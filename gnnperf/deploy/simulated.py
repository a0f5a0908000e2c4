"""A quantized model, which simulates its numbers, as the float32 model that it stands for."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from gnnperf.compression.quantization.convolution import QuantizedAggregate, UpdateSite
from gnnperf.compression.quantization.fake_quantize import FakeQuantize, QuantizerSettings
from gnnperf.compression.quantization.linear import QuantizedLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.sites import replace_module
from gnnperf.compression.quantization.weights import QuantizedWeights
from gnnperf.ops import Aggregate


def quantizer_settings(model: nn.Module) -> list[QuantizerSettings]:
    """Of every quantizer of a model; none of a model that is not quantized."""
    return [part.settings for part in model.modules() if isinstance(part, FakeQuantize)]


@torch.no_grad()
def float_form(model: nn.Module) -> nn.Module:
    """A copy with rounded weights and no quantizers; a model without any as it is."""
    if not quantizer_settings(model):
        return model
    copied = deepcopy(model)
    for part in list(copied.modules()):
        if isinstance(part, QuantizedLinear):
            replace_module(copied, part, _linear(part))
        elif isinstance(part, QuantizedAggregate):
            replace_module(copied, part, Aggregate().eval())
        elif isinstance(part, QuantizedWeights):
            part.detach(copied)
        for name, child in list(part.named_children()):
            if isinstance(child, (UpdateSite, Protection)):
                delattr(part, name)
                _drop_hooks_of(part, child)
    return copied


def _linear(part: QuantizedLinear) -> nn.Linear:
    linear = nn.Linear(part.weight.size(1), part.weight.size(0), part.bias is not None)
    linear.weight.copy_(part.kernel(part.weight))
    if part.bias is not None:
        linear.bias.copy_(part.bias)
    return linear.requires_grad_(False).eval()


def _drop_hooks_of(part: nn.Module, owner: nn.Module) -> None:
    """Those that are methods of the owner, or the owner itself."""
    for hooks in (value for name, value in vars(part).items() if name.endswith("_hooks")):
        for key, hook in list(hooks.items()):
            if hook is owner or getattr(hook, "__self__", None) is owner:
                del hooks[key]

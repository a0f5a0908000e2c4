"""Weights rounded wherever they are read, by a layer or past it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from gnnperf.codec import QuantizedTensor
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import (
    Codes,
    codes_of,
    fake_quantize,
    refuse_nan,
    refuse_other_bits,
)
from gnnperf.compression.quantization.grid import Grid, check_bits, symmetric_grid
from gnnperf.compression.quantization.observers import extreme_reach

WEIGHTS = "quantized_weights"
"""Name of the submodule that rounds weights which are read past any layer that was replaced."""


@dataclass(frozen=True)
class WeightSettings:
    """How a weight is quantized.

    Attributes:
        bits: 2 to 8.
        channels: one range for each slice of the first dimension, instead of one for all.
    """

    bits: int
    channels: bool = False

    def __post_init__(self) -> None:
        check_bits(self.bits)


class WeightQuantize(nn.Module):
    """Rounds a weight to 2^bits numbers that reach as far, on both sides, as it does now.

    Nothing is learned or cut off: a wide step makes many codes 0, which store small, and training
    moves the weights to fit. Of both extremes apart the step is narrower, and validated no better.
    The gradient passes everywhere, as no weight lies outside.
    """

    bits: Tensor

    def __init__(self, settings: WeightSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("bits", torch.tensor(settings.bits, dtype=torch.uint8))

    def grid(self, weight: Tensor) -> Grid:
        """What the weight is rounded to; raises QuantizationError for NaN."""
        refuse_nan(weight)
        weight = weight.detach()
        if not self.settings.channels or weight.dim() < 2:
            furthest = float(extreme_reach(weight.flatten()).max())
            return symmetric_grid(furthest, self.settings.bits)
        grid = symmetric_grid(extreme_reach(weight.flatten(1)).amax(0), self.settings.bits)
        shape = (-1, *[1] * (weight.dim() - 1))
        return Grid(grid.bits, grid.scale.view(shape), grid.lowest.view(shape))  # type: ignore[union-attr]  # tensors, one entry a channel

    def set_bits(self, bits: int) -> None:
        """Take another width; raises QuantizationError outside 2 to 8."""
        self.settings = replace(self.settings, bits=bits)
        self.bits.fill_(bits)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight rounded; zeros stay zeros."""
        return fake_quantize(weight, self.grid(weight), "ste")

    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor | float]:
        """Whole numbers as floats, and their scale: of all, or [out] of each channel of two."""
        grid = self.grid(weight)
        scale = grid.scale.view(-1) if isinstance(grid.scale, Tensor) else grid.scale
        return grid.levels(weight), scale

    def codes(self, weight: Tensor) -> Codes:
        """Signed integer codes, with one zero point and scale for all or for each channel."""
        return codes_of(weight.detach(), self.grid(weight))

    def extra_repr(self) -> str:
        """What decides training, for people and for the checkpoints' keys."""
        return repr(self.settings)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        refuse_other_bits(state_dict, prefix, self.settings.bits)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class QuantizedWeights(nn.Module):
    """Rounds weights for the length of a model's forward, wherever it reads them.

    Parameters stay what they are, so that optimizers, masks and checkpoints find them; while the
    model computes, what lies in their place is the rounded weight.

    Args:
        kernels: by the weight's name.
    """

    def __init__(self, kernels: Mapping[str, WeightQuantize]) -> None:
        super().__init__()
        self.names = list(kernels)
        self.kernels = nn.ModuleList(kernels.values())
        self._set_aside: list[tuple[nn.Module, str, nn.Parameter]] = []

    def attach(self, model: nn.Module) -> None:
        """Become part of the model."""
        model.add_module(WEIGHTS, self)
        # A bound method of a submodule is copied along with the model.
        model.register_forward_pre_hook(self.before_forward)
        model.register_forward_hook(self.after_forward, always_call=True)

    def before_forward(self, model: nn.Module, inputs: Any) -> None:
        """Put rounded weights in place, one for all names of a tied weight."""
        weights = [model.get_parameter(name) for name in self.names]
        rounded = {
            id(weight): kernel(weight) for weight, kernel in zip(weights, self.kernels, strict=True)
        }
        for part in model.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None and id(parameter) in rounded:
                    self._set_aside.append((part, name, parameter))
        for part, name, parameter in self._set_aside:
            part._parameters[name] = rounded[id(parameter)]
        _refresh(part for part, _, _ in self._set_aside)

    def after_forward(self, model: nn.Module, inputs: Any, output: Any) -> None:
        """Put the parameters back, whatever came of the forward."""
        for part, name, parameter in self._set_aside:
            part._parameters[name] = parameter
        _refresh(part for part, _, _ in self._set_aside)
        self._set_aside.clear()

    def detach(self, model: nn.Module) -> None:
        """Leave the model with the rounded weights as its parameters."""
        for name, kernel in zip(self.names, self.kernels, strict=True):
            weight = model.get_parameter(name)
            weight.data = kernel(weight.detach())
        for hooks in (model._forward_pre_hooks, model._forward_hooks):
            for key in [k for k, hook in hooks.items() if getattr(hook, "__self__", None) is self]:
                del hooks[key]
                model._forward_hooks_always_called.pop(key, None)
        del model._modules[WEIGHTS]


def _refresh(parts: Iterable[nn.Module]) -> None:
    """Torch's recurrent layers hold their weights in a list of their own as well."""
    for part in parts:
        if isinstance(part, nn.RNNBase):
            part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]


def weight_quantizers(model: nn.Module) -> dict[str, WeightQuantize]:
    """By the name of the weight that each rounds."""
    found: dict[str, WeightQuantize] = {}
    for name, part in model.named_modules():
        kernel = getattr(part, "kernel", None)
        if isinstance(kernel, WeightQuantize):
            found[f"{name}.weight"] = kernel
        elif isinstance(part, QuantizedWeights):
            found.update(zip(part.names, part.kernels, strict=True))  # type: ignore[arg-type]  # all of this kind
    return found


@dataclass(frozen=True)
class StoredGrid:
    """How a dequantized weight is stored: what its codes are, and back.

    Attributes:
        bits: 2 to 8.
        scale, zero_point: float32 and int32, of all or broadcasting to the weight.
    """

    bits: int
    scale: Tensor
    zero_point: Tensor

    @staticmethod
    def of(codes: QuantizedTensor) -> StoredGrid:
        """The grid of a weight that was stored."""
        return StoredGrid(codes.bits, codes.scale, codes.zero_point)

    @staticmethod
    def of_weight(kernel: WeightQuantize, weight: Tensor) -> StoredGrid:
        """The grid of a weight that is to be."""
        codes = kernel.codes(weight)
        scale = torch.as_tensor(codes.scale, dtype=torch.float32)
        zero_point = torch.as_tensor(codes.zero_point, dtype=torch.int32)
        return StoredGrid(kernel.settings.bits, scale.cpu(), zero_point.cpu())

    def numbers(self, codes: QuantizedTensor) -> Tensor:
        """What the codes stand for, float32."""
        # A zero point of no dimension would leave int8 what it is.
        return (codes.values.int() - codes.zero_point).float() * codes.scale

    def stored(self, weight: Tensor) -> QuantizedTensor:
        """The weight, whose numbers the grid holds, as the codec stores it."""
        levels = weight.cpu().mul(1 / self.scale).round()
        values = (levels + self.zero_point).to(torch.int8)
        return QuantizedTensor(values, self.bits, self.scale, self.zero_point)


def stored_codes(state: Mapping[str, Any], name: str, bits: int) -> QuantizedTensor:
    """What is stored under a name; raises QuantizationError unless it is codes of so many bits."""
    codes = state.get(name)
    if not isinstance(codes, QuantizedTensor) or codes.bits != bits:
        what = f"{codes.bits} bits" if isinstance(codes, QuantizedTensor) else "no codes"
        raise QuantizationError(
            f"the stored model has {what} at {name} and this one {bits} bits; load it into a "
            "model that was quantized alike"
        )
    return codes

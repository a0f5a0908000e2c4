"""Linear layers with quantized input, weight and output: simulated, and on integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnperf.codec import QuantizedTensor
from gnnperf.compression.quantization.fake_quantize import Codes, FakeQuantize
from gnnperf.compression.quantization.integer import affine_matmul
from gnnperf.compression.quantization.weights import WeightQuantize

# Sums of whole numbers up to it are exact in float32, in any order.
EXACT_FLOAT32 = 2**24


class LinearLike(nn.Module):
    """What stands in for a linear layer of torch's or PyG's, and is called as they are."""

    weight: Tensor
    bias: Tensor | None

    def forward(self, *values: Tensor, **named: Tensor) -> Tensor:
        """[..., in] to [..., out]; the values by place or by whichever name."""
        (given,) = (*values, *named.values())
        return self.compute(given)

    def compute(self, values: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        raise NotImplementedError

    def tie(self, other: Any) -> None:
        """Hold the very weight of another layer, where it is the same."""
        if torch.equal(self.weight, other.weight):
            self.weight = other.weight

    @property
    def in_features(self) -> int:
        """Width of what comes in."""
        return self.weight.size(1)

    @property
    def out_features(self) -> int:
        """Width of what goes out."""
        return self.weight.size(0)

    # As PyG's layer calls them.
    in_channels, out_channels = in_features, out_features

    def extra_repr(self) -> str:
        """Widths, as `nn.Linear` shows them."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class QuantizedLinear(LinearLike):
    """`output(linear(input(x), quantized weight) + bias)`; the bias stays as it is.

    Parameters have the names of `nn.Linear`. In training mode the product is that of rounded
    numbers, in eval mode that of their levels, which is exact and hence the integer layer's bit for
    bit, and scaled afterwards.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    output: nn.Module

    def __init__(
        self,
        linear: nn.Module,
        quantizer: Callable[[], FakeQuantize] | None = None,
        kernel: WeightQuantize | None = None,
    ) -> None:
        super().__init__()
        self.weight = linear.weight  # type: ignore[assignment]  # PyG's Linear is no nn.Linear
        self.bias = linear.bias  # type: ignore[assignment]  # the same
        if quantizer is not None and kernel is not None:
            self.input, self.kernel, self.output = quantizer(), kernel, quantizer()

    def compute(self, values: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if self.training or not self.input.rounds:
            product = self.rounded(values)
        else:
            left, grid = self.input.levels(values)
            right, scale = self.kernel.levels(self.weight)
            whole = exact_product(left, right, grid.bits + self.kernel.settings.bits)
            product = rescaled(whole, grid.scale * scale, self.bias)
        result: Tensor = self.output(product)
        return result

    def rounded(self, values: Tensor) -> Tensor:
        """The product of rounded numbers, in floating point."""
        return functional.linear(self.input(values), self.kernel(self.weight), self.bias)

    def shipped(self) -> LinearLike:
        """The same layer for inference, on integers; raises QuantizationError without ranges."""
        codes = self.kernel.codes(self.weight)
        return IntegerLinear(self.input, codes, self.kernel.settings.bits, self.bias, self.output)


class RawLinear(QuantizedLinear):
    """A linear layer that reads raw features, which an integer product would have to make dense.

    Its product is one of floating point in every mode, and so it is in the shipped layer, whose
    weight is stored as codes.
    """

    def compute(self, values: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        result: Tensor = self.output(self.rounded(values))
        return result

    def shipped(self) -> LinearLike:
        """The same layer for inference."""
        return FloatLinear(self.input, self.kernel(self.weight.detach()), self.bias, self.output)


class FloatLinear(LinearLike):
    """A linear layer with a rounded weight, float32 [out, in], that computes as ever."""

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, input: nn.Module, weight: Tensor, bias: Tensor | None, output: nn.Module
    ) -> None:
        super().__init__()
        self.input, self.output = input, output
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if bias is None else bias.detach())

    def compute(self, values: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        product = functional.linear(self.input(values), self.weight, self.bias)
        rounded: Tensor = self.output(product)
        return rounded


class IntegerLinear(LinearLike):
    """A linear layer whose product is one of int8 codes, summed in int32.

    Args:
        input: a module whose `codes(values)` gives the `Codes` of [n, in]; scale and zero point
            are of all or of each row [n, 1].
        weight: codes [out, in]; scale and zero point are of all or of each row [out, 1].
        bits: of the weight, 2 to 8.
        bias: float32 [out] or None.
        output: applied to the result, float32 [n, out].
    """

    weight: Tensor
    scale: Tensor
    zero_point: Tensor
    bias: Tensor | None

    def __init__(
        self, input: nn.Module, weight: Codes, bits: int, bias: Tensor | None, output: nn.Module
    ) -> None:
        super().__init__()
        self.bits, self.output = bits, output
        self.input: Any = input
        device = weight.values.device
        self.register_buffer("weight", weight.values)
        self.register_buffer(
            "scale", torch.as_tensor(weight.scale, dtype=torch.float32, device=device)
        )
        self.register_buffer(
            "zero_point", torch.as_tensor(weight.zero_point, dtype=torch.int32, device=device)
        )
        self.register_buffer("bias", None if bias is None else bias.detach())

    def compute(self, values: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        left: Codes = self.input.codes(values.flatten(0, -2))
        whole = affine_matmul(
            left.values, self.weight, left.zero_point, _of_channels(self.zero_point)
        )
        scale = left.scale * _of_channels(self.scale)
        product = rescaled(whole.to(values.dtype), scale, self.bias)
        rounded: Tensor = self.output(product.view(*values.shape[:-1], -1))
        return rounded

    def tie(self, other: Any) -> None:
        """Hold the very codes of another layer, where they are the same."""
        mine, theirs = self.stored_weight(), other.stored_weight()
        if self.bits == other.bits and all(
            torch.equal(getattr(mine, part), getattr(theirs, part))
            for part in ("values", "scale", "zero_point")
        ):
            self.weight, self.scale, self.zero_point = other.weight, other.scale, other.zero_point

    def stored_weight(self) -> QuantizedTensor:
        """The weight as the codec stores it."""
        return QuantizedTensor(self.weight, self.bits, self.scale, self.zero_point)

    def extra_repr(self) -> str:
        """Widths and bits."""
        return f"{super().extra_repr()}, bits={self.bits}"


def _of_channels(value: Tensor) -> Any:
    """A number for all channels, or a tensor [out] of one [out, 1]."""
    return value.item() if value.dim() == 0 else value.view(-1)


def exact_product(left: Tensor, right: Tensor, bits: int) -> Tensor:
    """Whole numbers, as floats, [..., in] times [out, in] transposed: exact, of left's dtype.

    In float64 where a sum could leave what float32 holds.

    Args:
        left, right: whole numbers.
        bits: together; the product of two of them is below 2^bits in magnitude.
    """
    dtype = left.dtype
    if 2**bits * left.size(-1) > EXACT_FLOAT32:
        left, right = left.double(), right.double()
    return functional.linear(left, right).to(dtype)


def rescaled(whole: Tensor, scale: Tensor | float, bias: Tensor | None) -> Tensor:
    """Sums of level products [..., out] times the product of both scales, plus the bias.

    Simulation and integer layer share it, so that they round alike.
    """
    product = whole * scale
    return product if bias is None else product + bias

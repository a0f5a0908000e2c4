"""Linear layers whose inputs and weights A2Q quantizes: simulated, and on integers."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnperf.compression.quantization.a2q.features import (
    FeatureQuantizer,
    check_nodes,
    nearest_group,
    row_range,
)
from gnnperf.compression.quantization.a2q.function import (
    effective_step,
    levels,
    log2_of_step,
    quantize,
)
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import Codes
from gnnperf.compression.quantization.grid import MAX_BITS, check_bits
from gnnperf.compression.quantization.linear import (
    IntegerLinear,
    QuantizedLinear,
    exact_product,
    rescaled,
)


class A2QLinear(QuantizedLinear):
    """A linear layer with quantized inputs and weights; the bias stays as it is.

    In training mode the product is that of rounded numbers, in eval mode that of their levels,
    which is exact and hence the integer layer's bit for bit, and scaled afterwards.

    Attributes:
        weight, bias: of the layer it replaces, under the same names.
        log2_weight_steps: parameter [out], one for each output channel.
        weight_bits: fixed.
        features: steps and bit-widths of the inputs.
    """

    parameter_roles: ClassVar = {"log2_weight_steps": "weight_steps"}

    def __init__(self, linear: nn.Module, weight_bits: int, features: FeatureQuantizer) -> None:
        super().__init__(linear)
        self.weight_bits, self.features = check_bits(weight_bits), features
        # So that a checkpoint of another width is refused.
        self.register_buffer("bits", torch.tensor(weight_bits, dtype=torch.uint8))
        most = 2.0 ** (weight_bits - 1) - 1
        steps = self.weight.detach().abs().amax(-1) / most
        self.log2_weight_steps = nn.Parameter(log2_of_step(steps))

    def compute(self, values: Tensor) -> Tensor:
        """[..., in] to [..., out]; raises QuantizationError for values without a code."""
        rows = values.flatten(0, -2)
        if self.training:
            product = functional.linear(
                self.features(rows), quantize(self.weight, *self._scale(), signed=True), self.bias
            )
        else:
            product = self._counted(rows)
        return product.view(*values.shape[:-1], len(self.weight))

    def _counted(self, rows: Tensor) -> Tensor:
        left, step = self.features.levels(rows)
        right, (weight_step, _) = self.weight_levels(), self._scale()
        whole = exact_product(left, right, MAX_BITS + self.weight_bits - 1)
        return rescaled(whole, step * weight_step.view(-1), self.bias)

    def _scale(self) -> tuple[Tensor, Tensor]:
        step = effective_step(self.log2_weight_steps).unsqueeze(-1)
        return step, torch.full_like(step, float(self.weight_bits))

    def weight_levels(self) -> Tensor:
        """The weights as whole numbers [out, in]."""
        return levels(self.weight, *self._scale(), signed=True)

    @torch.no_grad()
    def shipped(self) -> IntegerLinear:
        """The same layer on integers; raises QuantizationError before training."""
        self.features.check_ready()
        scale, _ = self._scale()
        codes = Codes(self.weight_levels().to(torch.int8), 0, scale)
        features = IntegerFeatures(self.features)
        return IntegerLinear(features, codes, self.weight_bits, self.bias, nn.Identity())

    def extra_repr(self) -> str:
        """Widths, as `nn.Linear` shows them, and the weights' bits."""
        return f"{super().extra_repr()}, weight_bits={self.weight_bits}"

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        bits = state_dict.get(prefix + "bits")
        if bits is not None and int(bits) != self.weight_bits:
            raise QuantizationError(
                f"the checkpoint holds {int(bits)}-bit weights ({prefix}weight) and the model has "
                f"{self.weight_bits} bits; quantize the model as the checkpoint's was"
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)


class IntegerFeatures(nn.Module):
    """Gives each row of features its int8 codes, by node or by the nearest group.

    Buffers, which are what is stored: `steps` bfloat16 [rows or groups], `bits` uint8, `signed`
    bool.
    """

    steps: Tensor
    bits: Tensor
    signed: Tensor

    def __init__(self, features: FeatureQuantizer) -> None:
        super().__init__()
        self.by_node = features.by_node
        steps, bits = features.distinct()
        self.register_buffer("steps", steps.bfloat16())
        self.register_buffer("bits", bits.to(torch.uint8))
        self.register_buffer("signed", features.signed.clone())

    def codes(self, values: Tensor) -> Codes:
        """int8 [rows, width], with the step [rows, 1] of each row.

        Raises QuantizationError for NaN and infinity, and for another number of nodes.
        """
        _, peak = row_range(values)
        step, bits = self.steps.to(values.dtype), self.bits.to(values.dtype)
        signed = bool(self.signed)
        if self.by_node:
            check_nodes(len(step), len(peak))
        else:
            index = nearest_group(peak, step, bits, signed)
            step, bits = step[index], bits[index]
        scale = step.unsqueeze(-1)
        whole = levels(values, scale, bits.unsqueeze(-1), signed)
        # Without a sign eight bits reach to 255; int8 holds them less 128.
        zero_point = 0 if signed else -128
        return Codes((whole + zero_point).to(torch.int8), zero_point, scale)

    def extra_repr(self) -> str:
        """How many steps there are, and whose."""
        return f"{len(self.steps)} {'nodes' if self.by_node else 'groups'}"

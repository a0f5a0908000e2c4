"""Quantization simulated in floating point, with ranges that are learned from what passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.gradients import GRADIENTS, Gradient
from gnnperf.compression.quantization.grid import Grid, affine_grid, check_bits
from gnnperf.compression.quantization.observers import RANGES
from gnnperf.compression.quantization.protection import Spared


@dataclass(frozen=True)
class QuantizerSettings:
    """How values are quantized.

    Attributes:
        bits: 2 to 8.
        gradient: a name in GRADIENTS: ste passes gradients everywhere, gc inside the range.
        range: a name in RANGES: abs all extremes so far, mom their moving average, per percentiles.
        cut: share of the values that `per` cuts off on each side.
        signed: whether codes begin at -2^(bits - 1) or at 0; the numbers are the same.
    """

    bits: int
    gradient: str = "gc"
    range: str = "per"
    cut: float = 0.001
    signed: bool = True

    def __post_init__(self) -> None:
        check_bits(self.bits)
        for name, known in ((self.gradient, GRADIENTS), (self.range, RANGES)):
            if name not in known:
                raise QuantizationError(f"{name!r} is none of {', '.join(known)}")
        if not 0 <= self.cut < 0.5:
            raise QuantizationError(f"cut {self.cut:g}: choose a share in [0, 0.5)")


class Codes(NamedTuple):
    """Integers that stand for (values - zero_point) * scale.

    Attributes:
        values: int8.
        zero_point: of all, or int32 that broadcasts.
        scale: of all, or float32 that broadcasts.
    """

    values: Tensor
    zero_point: Tensor | int
    scale: Tensor | float


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, grid: Grid, gradient: Gradient, spared: Tensor | None
    ) -> Tensor:
        ctx.grid, ctx.gradient = grid, gradient
        ctx.save_for_backward(values, spared)
        rounded = grid.levels(values).mul_(grid.scale)
        return rounded if spared is None else rounded.index_copy_(0, spared, values[spared])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        values, spared = ctx.saved_tensors
        passed = ctx.gradient(grad, values, ctx.grid)
        if spared is not None and passed is not grad:
            passed.index_copy_(0, spared, grad[spared])
        return passed, None, None, None


def fake_quantize(
    values: Tensor, grid: Grid, gradient: str = "gc", spared: Tensor | None = None
) -> Tensor:
    """The nearest numbers of the grid, of the values' shape.

    Args:
        values: floating point.
        grid: what they are rounded to.
        gradient: a name in GRADIENTS.
        spared: int64; rows that stay as they are, and so does their gradient.
    """
    rounded: Tensor = _Rounded.apply(values, grid, GRADIENTS[gradient], spared)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return rounded


class FakeQuantize(nn.Module):
    """Rounds activations to 2^bits numbers; in training mode it learns the range first.

    In eval mode the range is frozen. Buffers, of their final shape from the start: `reach` [2], how
    far the range extends below and above 0; `batches`, how many were seen; `bits`, so that a
    checkpoint of another width is refused.

    Attributes:
        rounds: whether it rounds; where not, it only looks, which calibration makes use of.
    """

    reach: Tensor
    batches: Tensor
    bits: Tensor

    def __init__(self, settings: QuantizerSettings) -> None:
        super().__init__()
        self.settings, self.rounds = settings, True
        self.register_buffer("reach", torch.zeros(2))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("bits", torch.tensor(settings.bits, dtype=torch.uint8))

    @torch.no_grad()
    def observe(self, values: Tensor) -> None:
        """Learn the range from values of any shape; of none, nothing."""
        if not values.numel():
            return
        reach_of, update, calibrate = RANGES[self.settings.range]
        reach, batches = reach_of(values.detach().flatten(), self.settings.cut), int(self.batches)
        if batches:
            reach = (update if self.rounds else calibrate)(self.reach, reach, batches)
        self.reach.copy_(reach)
        self.batches += 1

    def grid(self) -> Grid:
        """What values are rounded to now; raises QuantizationError before anything was seen."""
        if not self.batches:
            raise QuantizationError(
                "quantizers of the model have seen no data and have no ranges; train or calibrate "
                "it before it is evaluated or exported, on batches that reach every layer"
            )
        below, above = self.reach.tolist()
        return affine_grid(-below, above, self.settings.bits)

    def forward(self, values: Tensor, spared: Spared | None = None) -> Tensor:
        """The values rounded, but for spared rows; raises QuantizationError for NaN."""
        refuse_nan(values)
        if self.training:
            self.observe(
                values if spared is None else values.detach().index_select(0, spared.others)
            )
        if not self.rounds:
            # Another tensor, so that who follows values tells before and after apart.
            return values.view_as(values)
        rows = None if spared is None else spared.rows
        return fake_quantize(values, self.grid(), self.settings.gradient, rows)

    def levels(self, values: Tensor) -> tuple[Tensor, Grid]:
        """Whole numbers as floats, and the grid by whose scale they are to be multiplied."""
        refuse_nan(values)
        if self.training:
            self.observe(values)
        grid = self.grid()
        return grid.levels(values), grid

    def codes(self, values: Tensor) -> Codes:
        """Signed integer codes of the values, with one zero point and scale for all."""
        refuse_nan(values)
        return codes_of(values, self.grid())

    def frozen(self) -> nn.Module:
        """The same for inference; raises QuantizationError before anything was seen."""
        return FrozenQuantize(self)

    def extra_repr(self) -> str:
        """What decides training, for people and for the checkpoints' keys."""
        return repr(self.settings)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        refuse_other_bits(state_dict, prefix, self.settings.bits)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def refuse_other_bits(state: Mapping[str, Any], prefix: str, bits: int) -> None:
    """Raise QuantizationError for a quantizer's state, at this prefix, of another width."""
    found = state.get(prefix + "bits")
    if found is not None and int(found) != bits:
        raise QuantizationError(
            f"the checkpoint holds {int(found)}-bit ranges ({prefix}bits) and the model has "
            f"{bits} bits; quantize the model as the checkpoint's was"
        )


class FrozenQuantize(nn.Module):
    """A quantizer for inference: what is left of a FakeQuantize when its range is final.

    Buffers `scale` float32 and `zero_point` int8, of all values: code 0's place among signed codes.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, quantizer: FakeQuantize) -> None:
        super().__init__()
        grid = quantizer.grid()
        self.bits, device = grid.bits, quantizer.reach.device
        self.register_buffer("scale", torch.tensor(grid.scale, device=device))
        zero_point = torch.tensor(grid.zero_point(), dtype=torch.int8, device=device)
        self.register_buffer("zero_point", zero_point)

    def grid(self) -> Grid:
        """What values are rounded to."""
        lowest = -(2 ** (self.bits - 1)) - self.zero_point.item()
        return Grid(self.bits, self.scale.item(), float(lowest))

    def forward(self, values: Tensor, spared: None = None) -> Tensor:
        """The values rounded; raises QuantizationError for NaN. Inference spares none."""
        refuse_nan(values)
        grid = self.grid()
        return grid.levels(values).mul_(grid.scale)

    def codes(self, values: Tensor) -> Codes:
        """Signed integer codes of the values."""
        refuse_nan(values)
        return codes_of(values, self.grid())

    def extra_repr(self) -> str:
        """Its bits."""
        return f"bits={self.bits}"


def codes_of(values: Tensor, grid: Grid) -> Codes:
    """Signed integer codes of the values, in a grid whose parts broadcast to them."""
    zero_point, levels = grid.zero_point(), grid.levels(values)
    codes = levels.add_(zero_point).to(torch.int8)
    if isinstance(zero_point, Tensor):
        return Codes(codes, zero_point.int(), grid.scale)
    return Codes(codes, int(zero_point), grid.scale)


def refuse_nan(values: Tensor) -> None:
    """Raise QuantizationError where a value is NaN."""
    if math.isnan(values.detach().sum()):
        raise QuantizationError(
            "an activation or weight to be quantized is NaN; look for it in the data, or lower "
            "the learning rate"
        )

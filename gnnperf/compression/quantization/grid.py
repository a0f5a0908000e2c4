"""The numbers that b bits can stand for, and rounding to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from gnnperf.compression.quantization.errors import QuantizationError

Number = TypeVar("Number", float, Tensor)

MIN_BITS, MAX_BITS = 2, 8
SMALLEST_SCALE = float(torch.finfo(torch.float32).tiny)


def check_bits(bits: int) -> int:
    """The bit-width; raises QuantizationError outside 2 to 8."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise QuantizationError(f"{bits} bits: choose {MIN_BITS} to {MAX_BITS}")
    return bits


@dataclass(frozen=True)
class Grid:
    """The 2^bits numbers level * scale, level whole and in [lowest, lowest + 2^bits - 1].

    A level is a code less its zero point, so that level 0 is the number 0. Scale and lowest are
    floats, or tensors that broadcast, one entry a channel.
    """

    bits: int
    scale: float | Tensor
    lowest: float | Tensor

    @property
    def highest(self) -> float | Tensor:
        """The greatest level."""
        highest: float | Tensor = self.lowest + (2**self.bits - 1)
        return highest

    def levels(self, values: Tensor) -> Tensor:
        """Whole numbers as floats, halves rounded to even; of the values' shape."""
        levels: Tensor = values.mul(1 / self.scale).round_()
        return levels.clamp_(self.lowest, self.highest)  # type: ignore[arg-type]  # both floats or both tensors

    def zero_point(self, signed: bool = True) -> float | Tensor:
        """The code of 0 where codes begin at -2^(bits - 1), or at 0 unsigned."""
        return (-(2 ** (self.bits - 1)) if signed else 0) - self.lowest


def symmetric_grid(furthest: Number, bits: int) -> Grid:
    """The grid of the range from -furthest to furthest, with one number more below 0 than above.

    Its codes' zero point is 0. The ends lie half a step beyond the numbers above, or inside those
    below. A range of zero width gets the smallest scale there is: its zeros stay exact.
    """
    lowest, steps = -(2.0 ** (bits - 1)), 2**bits - 1
    if isinstance(furthest, Tensor):
        scale = (2 * furthest.double() / steps).float().clamp(min=SMALLEST_SCALE)
        return Grid(bits, scale, torch.full_like(scale, lowest))
    return Grid(bits, max(float(np.float32(2 * furthest / steps)), SMALLEST_SCALE), lowest)


def affine_grid(low: Number, high: Number, bits: int) -> Grid:
    """The grid of a range, which is first widened to include 0.

    scale = (high - low) / (2^bits - 1), lowest = round(low / scale), in float32. A range of zero
    width gets the smallest scale there is: its zeros stay exact.
    """
    steps = 2**bits - 1
    if isinstance(low, Tensor):
        low, high = low.clamp(max=0), high.clamp(min=0)
        scale = ((high.double() - low.double()) / steps).float().clamp(min=SMALLEST_SCALE)
        return Grid(bits, scale, (low / scale).round().clamp(-steps, 0))
    low, high = min(low, 0.0), max(high, 0.0)
    step = max(float(np.float32((high - low) / steps)), SMALLEST_SCALE)
    return Grid(bits, step, float(min(max(round(low / step), -steps), 0)))

"""What a gradient becomes when it passes the rounding, whose own gradient is zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gnnperf.compression.quantization.grid import Grid

Gradient = Callable[[Tensor, Tensor, Grid], Tensor]


def straight_through(grad: Tensor, values: Tensor, grid: Grid) -> Tensor:
    """The gradient as it is, everywhere (Bengio et al., 2013)."""
    return grad


def clipped(grad: Tensor, values: Tensor, grid: Grid) -> Tensor:
    """The gradient only where the code lies strictly inside the range, else 0."""
    if isinstance(grid.lowest, Tensor):
        levels = grid.levels(values)
        return grad * ((levels > grid.lowest) & (levels < grid.highest))
    low, high = _inner_bounds(int(grid.lowest), int(grid.lowest) + 2**grid.bits - 1)
    # Passes what is strictly between two bounds, in a tenth of the time of two comparisons.
    passed: Tensor = torch.ops.aten.hardtanh_backward(grad, values.mul(1 / grid.scale), low, high)
    return passed


def _inner_bounds(lowest: int, highest: int) -> tuple[float, float]:
    """Between which float32 numbers, both left out, a number is rounded strictly inside.

    A half goes to the even neighbour: where that is the inner one, the half is inside.
    """
    low, high = np.float32(lowest + 0.5), np.float32(highest - 0.5)
    if lowest % 2:
        low = np.nextafter(low, np.float32(-np.inf))
    if highest % 2:
        high = np.nextafter(high, np.float32(np.inf))
    return float(low), float(high)


GRADIENTS: dict[str, Gradient] = {"ste": straight_through, "gc": clipped}
"""(gradient of the output, input, grid) -> gradient of the input, by name."""

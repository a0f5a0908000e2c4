"""What a gradient becomes when it passes the rounding, whose own gradient is zero."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnperf.compression.quantization.grid import Grid

Gradient = Callable[[Tensor, Tensor, Grid], Tensor]


def straight_through(grad: Tensor, values: Tensor, grid: Grid) -> Tensor:
    """The gradient as it is, everywhere (Bengio et al., 2013)."""
    return grad


def clipped(grad: Tensor, values: Tensor, grid: Grid) -> Tensor:
    """The gradient only where the code lies strictly inside the range, else 0."""
    levels = grid.levels(values)
    if isinstance(grid.lowest, Tensor):
        return grad * ((levels > grid.lowest) & (levels < grid.highest))
    # Passes what is strictly between two bounds, in a tenth of the time of two comparisons.
    passed: Tensor = torch.ops.aten.hardtanh_backward(grad, levels, grid.lowest, grid.highest)
    return passed


GRADIENTS: dict[str, Gradient] = {"ste": straight_through, "gc": clipped}
"""(gradient of the output, input, grid) -> gradient of the input, by name."""

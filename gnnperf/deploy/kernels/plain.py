"""What the kernels compute, in torch alone: where numba is missing, and to hold them against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def values_of(x: Tensor, scale: float, zero: float) -> Tensor:
    """What codes uint8 stand for; numbers as they are, in float32."""
    return (x.float() - zero).mul_(scale) if x.dtype == torch.uint8 else x.float()


def converted(x: Tensor, by: float, to: float, dtype: torch.dtype) -> Tensor:
    """x * by + to in another dtype; codes are rounded half to even and cut off, NaN is 0."""
    if dtype != torch.uint8:
        return x.to(dtype)
    codes = x.mul(by).add_(to).nan_to_num_(0.0, 255.0, 0.0)
    return codes.round_().clamp_(0, 255).to(torch.uint8)


def spmm(start: Tensor, column: Tensor, value: Tensor, x: Tensor) -> Tensor:
    """A x, float32."""
    if not len(column) or not x.numel():
        # embedding_bag refuses a table without rows.
        return x.new_zeros(len(start) - 1, x.size(1))
    return functional.embedding_bag(
        column, x, start, mode="sum", per_sample_weights=value, include_last_offset=True
    )


def segment_max(x: Tensor, start: Tensor) -> Tensor:
    """The maximum of rows start[r] to start[r + 1] of x, float32; zero of none."""
    size = start.diff().long()
    result = x.new_zeros(len(size), x.size(1))
    graph = torch.repeat_interleave(size).unsqueeze(1).expand(-1, x.size(1))
    return result.scatter_reduce_(0, graph, x, "amax", include_self=False)

"""Linear layers on integers."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from gnnperf.compression.quantization.errors import QuantizationError

# Products of 8-bit numbers are below 2^16 in magnitude: so many of them fit into int32.
MAX_IN_FEATURES = (2**31 - 1) // 255**2


def integer_matmul(left: Tensor, right: Tensor) -> Tensor:
    """int8 [n, k] times int8 [m, k] transposed: int32 [n, m], exact.

    torch's int8 product where it gives the exact result here, else an int32 product (CPU), or a
    float64 one, which is exact below 2^53 (elsewhere). Raises QuantizationError above
    MAX_IN_FEATURES, where int32 could overflow.
    """
    width = left.size(1)
    if width > MAX_IN_FEATURES:
        raise QuantizationError(
            f"{width} input features: an int32 sum of 8-bit products is exact up to "
            f"{MAX_IN_FEATURES}; split the layer"
        )
    # Torch reads the transpose of a column wrongly, and CUDA asks for these shapes.
    fits = left.is_cpu or (len(left) > 16 and width % 8 == 0 and len(right) % 8 == 0)
    if width > 1 and fits and _int8_product_is_exact(left.device):
        return torch._int_mm(left, right.t())
    if left.is_cpu:
        return left.int() @ right.int().t()
    return (left.double() @ right.double().t()).int()


@functools.cache
def _int8_product_is_exact(device: torch.device) -> bool:
    """Whether torch's int8 product exists and adds without saturating, tried on extremes.

    Instruction sets without an int8 dot product may add in int16 and saturate.
    """
    high = torch.full((32, 64), 127, dtype=torch.int8, device=device)
    signs = torch.tensor([1, 1, -1, 1], device=device).repeat(16)
    low = torch.where(signs > 0, -128, 127).to(torch.int8).expand(8, 64).contiguous()
    left = torch.cat([high, high.neg().sub(1), high.new_zeros(32, 64), low.repeat(4, 1)])
    try:
        products = [(torch._int_mm(left, right.t()), right) for right in (high[:8], low)]
    except RuntimeError:
        return False
    return all(
        torch.equal(found.double(), left.double() @ right.double().t()) for found, right in products
    )


def affine_matmul(
    left: Tensor, right: Tensor, left_zero: Tensor | int, right_zero: Tensor | int
) -> Tensor:
    """(left - left_zero) (right - right_zero)^T on int8 codes, as int32 [n, m], exact.

    Args:
        left: int8 [n, k], the inputs.
        right: int8 [m, k], the weights.
        left_zero: zero point of all rows, or int32 [n, 1] of each.
        right_zero: zero point of all output channels, or int32 [m] of each.
    """
    # int32 wraps around, so that only the result has to fit.
    result = integer_matmul(left, right)
    if not _is_zero(left_zero):
        result -= left_zero * right.sum(1, dtype=torch.int32)
    if not _is_zero(right_zero):
        result -= left.sum(1, keepdim=True, dtype=torch.int32) * right_zero
        result += left.size(1) * left_zero * right_zero
    return result


def _is_zero(zero: Tensor | int) -> bool:
    return isinstance(zero, int) and zero == 0

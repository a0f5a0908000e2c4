"""Linear layers on integers."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
from torch import Tensor

from gnnperf.compression.quantization.errors import QuantizationError

# Products of 8-bit numbers are below 2^16 in magnitude: so many of them fit into int32.
MAX_IN_FEATURES = (2**31 - 1) // 255**2
# Sums of so many products of int8 numbers are whole numbers that float32 holds.
_EXACT_FLOAT32_WIDTH = 2**24 // 128**2


def integer_matmul(left: Tensor, right: Tensor) -> Tensor:
    """int8 [n, k] times int8 [m, k] transposed: int32 [n, m], exact.

    torch's int8 product where it gives the exact result here and is the faster one, else a float32
    one where that is exact, else an int32 product (CPU), or a float64 one, which is exact below
    2^53 (elsewhere). Raises QuantizationError above MAX_IN_FEATURES, where int32 could overflow.
    """
    width = left.size(1)
    if width > MAX_IN_FEATURES:
        raise QuantizationError(
            f"{width} input features: an int32 sum of 8-bit products is exact up to "
            f"{MAX_IN_FEATURES}; split the layer"
        )
    # Torch reads the transpose of a column wrongly, and CUDA asks for these shapes.
    fits = left.is_cpu or (len(left) > 16 and width % 8 == 0 and len(right) % 8 == 0)
    if width > 1 and fits and _int8_product_pays(left.device):
        return torch._int_mm(left, right.t())
    if width <= _EXACT_FLOAT32_WIDTH:
        return (left.float() @ right.float().t()).int()
    if left.is_cpu:
        return left.int() @ right.int().t()
    return (left.double() @ right.double().t()).int()


@functools.cache
def _int8_product_pays(device: torch.device) -> bool:
    """Whether torch's int8 product is exact, and faster than a float32 one, tried once.

    A processor without an instruction for it computes it number by number, 20 times slower.
    """
    if not _int8_product_is_exact(device):
        return False
    if device.type != "cpu":
        return True
    left, right = (torch.ones(n, 64, dtype=torch.int8, device=device) for n in (1024, 64))
    ways = (lambda: torch._int_mm(left, right.t()), lambda: left.float() @ right.float().t())
    int8, float32 = (min(_cpu_seconds(way) for _ in range(5)) for way in ways)
    return int8 < float32


def _cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


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

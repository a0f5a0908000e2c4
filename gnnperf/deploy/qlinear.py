"""Products of codes: oneDNN's, packed ahead, or the same sums in float32 where it is missing."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gnnperf.deploy.fused import Format
from gnnperf.deploy.kernels import Grid8

HIGHEST_CODE, HIGHEST_SAFE = 127, 63
"""Largest code of a weight; and where pairs of products are summed in 16 bits, which saturates."""


class IntegerProduct:
    """`relu(x W^T + b)` of codes uint8, weights int8 with a scale for each output.

    Args:
        weight: float32 [out, in].
        bias: float32 [out] or None.
        relu: whether negative results become zero.
        takes: codes.
        gives: codes, or numbers.
        rows: how many rows are usual.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        takes: Format,
        gives: Format,
        rows: int,
    ) -> None:
        smallest = torch.finfo(torch.float32).tiny
        self._scale = (weight.abs().amax(1) / highest_code()).clamp(min=smallest)
        codes = (weight / self._scale.unsqueeze(1)).round().to(torch.int8)
        self._bias = bias
        self._relu, self._takes, self._gives = relu, takes, gives
        self._zero = torch.zeros(len(weight), dtype=torch.int32)
        self._packed = packed(codes, rows) if has_onednn() else None
        self._codes = None if has_onednn() else codes.float()
        self._weight_bytes = codes.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of codes, scales and bias."""
        bias = 0 if self._bias is None else self._bias.nbytes
        return self._weight_bytes + self._scale.nbytes + bias

    def __deepcopy__(self, memo: Any) -> IntegerProduct:
        # Constant, and what is packed cannot be copied.
        return self

    def __call__(self, x: Tensor) -> Tensor:
        """[n, in] to [n, out]."""
        grid, codes_out = self._takes.grid, self._gives.dtype == torch.uint8
        if self._packed is None or not len(x):
            return self._by_torch(x)
        out = self._gives.grid if codes_out else Grid8()
        dtype = torch.uint8 if codes_out else torch.float32
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            x,
            grid.scale,
            grid.zero,
            self._packed,
            self._scale,
            self._zero,
            self._bias,
            out.scale,
            out.zero,
            dtype,
            "relu" if self._relu else "none",
            [],
            "",
        )
        return result if codes_out else self._gives.of(result)

    def _by_torch(self, x: Tensor) -> Tensor:
        codes = self._codes
        if codes is None:
            return self._gives.of(torch.zeros(len(x), len(self._scale)))
        whole = functional.linear(x.float() - self._takes.grid.zero, codes)
        result = whole.mul_(self._scale * self._takes.grid.scale)
        if self._bias is not None:
            result.add_(self._bias)
        return self._gives.of(result.relu_() if self._relu else result)


def packed(codes: Tensor, rows: int) -> Tensor:
    """A weight int8 [out, in] as oneDNN wants it."""
    result: Tensor = torch.ops.onednn.qlinear_prepack(codes, [rows, codes.size(1)])
    return result


@functools.cache
def has_onednn() -> bool:
    """Whether torch comes with oneDNN's product of codes."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_prepack")


@functools.cache
def highest_code() -> int:
    """The largest code of a weight for which products are exact here, tried once.

    Processors without a product of bytes add two products in 16 bits, which saturates from
    2 * 255 * 64 on.
    """
    if not has_onednn():
        return HIGHEST_CODE
    weight = torch.full((8, 64), HIGHEST_CODE, dtype=torch.int8)
    weight[::2].neg_()
    x = torch.full((32, 64), 255, dtype=torch.uint8)
    one, zero = torch.ones(8), torch.zeros(8, dtype=torch.int32)
    found = torch.ops.onednn.qlinear_pointwise(
        x, 1.0, 0, packed(weight, 32), one, zero, None, 1.0, 0, torch.float32, "none", [], ""
    )
    exact = torch.equal(found, x.float() @ weight.float().t())
    return HIGHEST_CODE if exact else HIGHEST_SAFE

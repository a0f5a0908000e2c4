"""Products and roundings of inference, by the compiled kernels, or by torch where there are none.

Features are float32, bfloat16 or codes uint8, which stand for (code - zero) * scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gnnperf.deploy.kernels import plain
from gnnperf.deploy.kernels.loading import kernels
from gnnperf.ops import SparseMatrix

DTYPES = (torch.float32, torch.bfloat16, torch.uint8)


@dataclass(frozen=True)
class Grid8:
    """What codes 0 to 255 stand for: (code - zero) * scale."""

    scale: float = 1.0
    zero: int = 0


PLAIN = Grid8()


def view(tensor: Tensor) -> Any:
    """A numpy view of a contiguous tensor, bfloat16 as uint16."""
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    return bits.numpy()


@dataclass(frozen=True)
class Matrix:
    """A sparse matrix in compressed rows.

    Attributes:
        row_start: int32 [rows + 1], or int64 of more entries than that numbers.
        column: of the same dtype [entries].
        value: float32 [entries].
        row_sum: float32 [rows].
        columns: how many there are.
    """

    row_start: Tensor
    column: Tensor
    value: Tensor
    row_sum: Tensor
    columns: int

    @staticmethod
    def of(matrix: SparseMatrix) -> Matrix:
        """For inference."""
        rows, columns = matrix.shape
        kind = torch.int32 if max(len(matrix.column), rows, columns) < 2**31 else torch.int64
        value = matrix.value.float().contiguous()
        row_sum = value.new_zeros(rows).index_add_(0, matrix.row, value)
        return Matrix(matrix.row_start.to(kind), matrix.column.to(kind), value, row_sum, columns)

    @cached_property
    def views(self) -> tuple[Any, ...]:
        """Of numpy, made once."""
        return tuple(view(t) for t in (self.row_start, self.column, self.value, self.row_sum))


@dataclass(frozen=True)
class Epilogue:
    """What follows a product: bias, ReLU, rounding.

    Attributes:
        bias: float32 [width].
        relu: whether negative sums become zero.
        dtype: of the result.
        source: what the codes that come in stand for.
        target: what those that go out stand for.
    """

    bias: Tensor
    relu: bool = False
    dtype: torch.dtype = torch.float32
    source: Grid8 = PLAIN
    target: Grid8 = PLAIN

    @cached_property
    def views(self) -> tuple[Any, ...]:
        """Bias, ReLU and both grids as the kernels take them."""
        by, to = _factors(self.target, self.dtype)
        grid = np.array([self.source.scale, self.source.zero, by, to], np.float32)
        return view(self.bias), self.relu, grid


def _factors(target: Grid8, dtype: torch.dtype) -> tuple[float, float]:
    return (1 / target.scale, target.zero) if dtype == torch.uint8 else (1.0, 0.0)


def spmm(matrix: Matrix, x: Tensor, after: Epilogue) -> Tensor:
    """relu(A x + bias), rounded: [n, m] times [m, width] to [n, width] of `after.dtype`.

    Raises ValueError where shapes or dtypes do not fit.
    """
    if len(x) != matrix.columns or x.shape[1:] != after.bias.shape or x.dtype not in DTYPES:
        raise ValueError(
            f"cannot multiply {len(matrix.row_sum)} x {matrix.columns} by {x.dtype} "
            f"{tuple(x.shape)} and add {tuple(after.bias.shape)}"
        )
    rows = len(matrix.row_sum)
    if (module := kernels()) and x.is_cpu:
        result = torch.empty(rows, x.size(1), dtype=after.dtype)
        module.spmm(view(x.contiguous()), *matrix.views, *after.views, view(result))
        return result
    numbers = plain.values_of(x, after.source.scale, after.source.zero)
    total = plain.spmm(matrix.row_start, matrix.column, matrix.value, numbers).add_(after.bias)
    if after.relu:
        total.relu_()
    return plain.converted(total, *_factors(after.target, after.dtype), after.dtype)


def quantize(x: Tensor, grid: Grid8) -> Tensor:
    """Codes uint8 of float32 or bfloat16 numbers, halves rounded to even; NaN gets 0."""
    by, to = _factors(grid, torch.uint8)
    if (module := kernels()) and x.is_cpu:
        x = x.contiguous()
        result = torch.empty(x.shape, dtype=torch.uint8)
        module.convert(view(x.view(-1)), np.float32(by), np.float32(to), view(result.view(-1)))
        return result
    return plain.converted(x.float(), by, to, torch.uint8)


def segment_max(x: Tensor, start: Tensor, grid: Grid8 = PLAIN) -> Tensor:
    """float32 [graphs, width]: the maximum of each graph's rows start[g] to start[g + 1] of x.

    Zero of a graph without rows; NaN where a row has one.
    """
    if (module := kernels()) and x.is_cpu:
        result = torch.empty(len(start) - 1, x.size(1))
        scale, zero = np.float32(grid.scale), np.float32(grid.zero)
        module.segment_max(view(x.contiguous()), view(start), scale, zero, view(result))
        return result
    return plain.segment_max(plain.values_of(x, grid.scale, grid.zero), start)


@dataclass(frozen=True)
class SparseWeight:
    """A linear layer whose zeros are skipped.

    Attributes:
        row_start: int32 [out + 1].
        column: int32 [entries].
        value: float32 [entries].
        bias: float32 [out].
        inputs: how many there are.
        relu: whether negative results become zero.
    """

    row_start: Tensor
    column: Tensor
    value: Tensor
    bias: Tensor
    inputs: int
    relu: bool

    @staticmethod
    def of(weight: Tensor, bias: Tensor | None, relu: bool) -> SparseWeight:
        """From a dense weight [out, in]."""
        packed = SparseMatrix.from_dense(weight)
        added = weight.new_zeros(len(weight)) if bias is None else bias
        start, column = packed.row_start.int(), packed.column.int()
        return SparseWeight(start, column, packed.value, added, weight.size(1), relu)

    @cached_property
    def views(self) -> tuple[Any, ...]:
        """As the kernel takes them."""
        arrays = (self.row_start, self.column, self.value, self.bias)
        return (*(view(tensor) for tensor in arrays), self.relu)

    @cached_property
    def dense(self) -> Tensor:
        """The weight [out, in], for torch."""
        row = torch.repeat_interleave(self.row_start.diff().long())
        dense = self.value.new_zeros(len(self.bias), self.inputs)
        return dense.index_put_((row, self.column.long()), self.value)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(t.nbytes for t in (self.row_start, self.column, self.value, self.bias))


def sparse_linear(x: Tensor, weight: SparseWeight) -> Tensor:
    """relu(x W^T + b), float32 [n, in] to [n, out]; raises ValueError for another width."""
    if x.dim() != 2 or x.size(1) != weight.inputs or x.dtype != torch.float32:
        raise ValueError(f"cannot multiply {x.dtype} {tuple(x.shape)} by {weight.inputs} inputs")
    if (module := kernels()) and x.is_cpu:
        result = torch.empty(len(x), len(weight.bias))
        module.sparse_linear(view(x.contiguous()), *weight.views, view(result))
        return result
    result = functional.linear(x, weight.dense, weight.bias)
    return result.relu_() if weight.relu else result

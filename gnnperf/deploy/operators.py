"""Sparse products for inference alone: what a forward multiplies with, made once for a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnperf.ops import SparseMatrix

# Below it a dense product wins: embedding_bag takes longer to begin than this takes to end.
DENSE_NODES = 64


@dataclass(frozen=True)
class Rows:
    """A matrix in compressed rows, with at least one entry, which torch wants.

    Attributes:
        row_start: int32 [rows + 1], or int64 of more entries than that numbers.
        column: of the same dtype [entries].
        value: [entries]; None: all are one.
    """

    row_start: Tensor
    column: Tensor
    value: Tensor | None


Operator = Rows | Tensor
"""Sparse, or of a small graph dense."""


def operator(matrix: SparseMatrix, dtype: torch.dtype) -> Operator:
    """What `propagate` multiplies with fastest."""
    rows, columns = matrix.shape
    if max(rows, columns) <= DENSE_NODES:
        dense = matrix.value.new_zeros(rows, columns, dtype=dtype)
        place = (matrix.row, matrix.column)
        return dense.index_put_(place, matrix.value.to(dtype), accumulate=True)
    return compressed_rows(matrix, dtype)


def compressed_rows(matrix: SparseMatrix, dtype: torch.dtype) -> Rows:
    """The rows of a matrix, for inference."""
    row_start, column, value = matrix.row_start, matrix.column, matrix.value.to(dtype)
    if not len(column):
        row_start = row_start.clone()
        row_start[1:] = 1
        column, value = column.new_zeros(1), value.new_zeros(1)
    index = torch.int32 if max(len(column), *matrix.shape) < 2**31 else torch.int64
    all_one = bool(value.eq(1).all())
    return Rows(row_start.to(index), column.to(index), None if all_one else value.contiguous())


def propagate(matrix: Operator, x: Tensor) -> Tensor:
    """[n, m] times x [m, width], which is contiguous and not empty."""
    if isinstance(matrix, Tensor):
        return matrix @ x
    result: Tensor = torch.embedding_bag(
        x, matrix.column, matrix.row_start, False, 0, False, matrix.value, True
    )[0]
    return result


@dataclass(frozen=True)
class Segments:
    """Where each graph's rows lie, for their maximum.

    Attributes:
        padded: int64 [graphs, longest]; rows of each graph, the last one again up to the longest;
            None of one graph, and where padding would cost more than it saves.
        start: int64 [graphs + 1].
        empty: mask [graphs, 1] of graphs without rows; None: there is none.
    """

    padded: Tensor | None
    start: Tensor
    empty: Tensor | None

    @staticmethod
    def of(start: Tensor) -> Segments:
        """From where each graph's rows begin, int64 [graphs + 1]."""
        size = start.diff()
        graphs, rows = len(size), int(start[-1])
        if graphs == 1 or not rows:
            return Segments(None, start, None)
        longest = int(size.max())
        if graphs * longest > _WORTH_PADDING * rows:
            return Segments(None, start, None)
        within = torch.arange(longest, device=start.device).expand(graphs, -1)
        last = (size - 1).clamp(min=0).unsqueeze(1)
        first = start[:-1].clamp(max=rows - 1).unsqueeze(1)
        empty = size.eq(0).unsqueeze(1)
        return Segments(
            (first + torch.minimum(within, last)), start, empty if bool(empty.any()) else None
        )

    def maximum(self, x: Tensor) -> Tensor:
        """The maximum [graphs, width] of each graph's rows of x [rows, width]; zero of none."""
        if self.padded is not None:
            graphs, longest = self.padded.shape
            chosen = x.index_select(0, self.padded.view(-1)).view(graphs, longest, -1)
            highest = chosen.amax(1)
            return highest if self.empty is None else highest.masked_fill_(self.empty, 0.0)
        if len(self.start) == 2 and len(x):
            return x.amax(0, keepdim=True)
        row = torch.arange(len(x), device=x.device)
        result: Tensor = torch.embedding_bag(x, row, self.start, False, 2, False, None, True)[0]
        return result


_WORTH_PADDING = 4

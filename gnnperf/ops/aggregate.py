"""Aggregation as a module, so that a method can find and replace it in any convolution."""

from __future__ import annotations

from torch import Tensor, nn

from gnnperf.ops.sparse import SparseMatrix, spmm


class Aggregate(nn.Module):
    """A x: what the rows of x send along the entries of A is summed up. No parameters.

    A module that holds one is a convolution to whoever looks for convolutions.
    """

    def forward(self, matrix: SparseMatrix, x: Tensor) -> Tensor:
        """[n, m] times [m, width]; raises ValueError when the shapes do not fit."""
        return spmm(matrix, x)

"""Graph convolution on a prepared sparse matrix."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnperf.ops import Aggregate, SparseMatrix


class GCNConv(nn.Module):
    """Graph convolution A (X W) + b; the narrower side of W is aggregated.

    Parameters have the names and shapes of PyG's GCNConv, so that states can be exchanged:
    `lin.weight` [out, in], `bias` [out]. Source: Kipf and Welling, 2017.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels, bias=False)
        self.aggregate = Aggregate()
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.xavier_uniform_(self.lin.weight)

    @property
    def in_channels(self) -> int:
        """Width of what comes in."""
        return self.lin.weight.size(1)

    @property
    def out_channels(self) -> int:
        """Width of what goes out."""
        return self.lin.weight.size(0)

    def forward(self, x: Tensor, adjacency: SparseMatrix) -> Tensor:
        """[nodes, in] to [nodes, out]; rows of the adjacency are targets."""
        if self.in_channels < self.out_channels:
            aggregated: Tensor = self.lin(self.aggregate(adjacency, x))
        else:
            aggregated = self.aggregate(adjacency, self.lin(x))
        return aggregated + self.bias

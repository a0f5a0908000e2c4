"""GIN for graph classification: five isomorphism layers and a sum readout, scaled by size."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.ops import Aggregate, SparseMatrix, add_scaled, spmm
from gnnperf.ops.graphs import adjacency, starts


class GINConv(nn.Module):
    """`nn((1 + eps) x + sum of the neighbours)` with a learnable eps.

    Parameters have the names of PyG's GINConv. Source: Xu et al., 2019.
    """

    def __init__(self, nn: nn.Module) -> None:
        super().__init__()
        self.nn = nn
        self.aggregate = Aggregate()
        self.eps = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, adjacency: SparseMatrix) -> Tensor:
        """[nodes, in] to [nodes, out]; rows of the adjacency are targets."""
        aggregated = self.aggregate(adjacency, x)
        updated: Tensor = self.nn(add_scaled(aggregated, 1 + self.eps, x))
        return updated


@dataclass(frozen=True)
class GINInputs:
    """What depends on a batch's graphs alone: sums over neighbours, and the readout."""

    adjacency: SparseMatrix
    readout: SparseMatrix

    def to(self, *args: Any, **kwargs: Any) -> GINInputs:
        """Move both to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        return GINInputs(self.adjacency.to(*args, **kwargs), self.readout.to(*args, **kwargs))


# The square root of a graph's usual number of nodes, so that what is read out is about as large as
# a node's features.
_USUAL_ROOT = 6.0


def root_readout(start: Tensor) -> SparseMatrix:
    """[graphs, nodes]: sums each graph's rows and divides by the root of their number.

    A mean hides how large a graph is, which tells much about PROTEINS, and a sum is of another
    size for each graph; this validated better than both.
    """
    nodes = torch.diff(start)
    graph = torch.repeat_interleave(nodes)
    weight = 1 / (_USUAL_ROOT * nodes[graph].float().sqrt())
    node = torch.arange(len(graph), device=start.device)
    return SparseMatrix.from_coo(graph, node, weight, (len(nodes), len(graph)))


def _mlp(in_channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
    )


class GIN(nn.Module):
    """Five GINConv layers of width 64, a readout, two linear layers.

    `forward(data)` gives logits [graphs, classes]; 43,271 parameters on 3 features (paper,
    Table 3), 43,271 + 64 (f - 3) on f.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        hidden: int = 64,
        layers: int = 5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            GINConv(_mlp(hidden if layer else in_channels, hidden)) for layer in range(layers)
        )
        self.lin1 = nn.Linear(hidden, hidden)
        self.lin2 = nn.Linear(hidden, classes)
        self.dropout = dropout

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the GINInputs that every forward reuses."""
        data = copy(data)
        data.gin_inputs = self._inputs(data)
        return data

    def _inputs(self, data: Data) -> GINInputs:
        return GINInputs(adjacency(data.edge_index, data.num_nodes), root_readout(starts(data)))

    def forward(self, data: Data) -> Tensor:
        """Logits [graphs, classes]."""
        inputs = data.gin_inputs if "gin_inputs" in data else self._inputs(data)
        x = data.x
        for conv in self.convs:
            x = conv(x, inputs.adjacency)
        x = functional.relu(self.lin1(spmm(inputs.readout, x)))
        logits: Tensor = self.lin2(functional.dropout(x, self.dropout, self.training))
        return logits

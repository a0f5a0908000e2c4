"""GIN for graph classification: five isomorphism layers and a mean readout."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.ops import Aggregate, SparseMatrix
from gnnperf.ops.graphs import GraphInputs, adjacency, readout, starts


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
        updated: Tensor = self.nn(torch.addcmul(aggregated, 1 + self.eps, x))
        return updated


# The square root of a graph's usual number of nodes, so that what is read out is about as large as
# a node's features.
_USUAL_ROOT = 6.0


def _root_readout(x: Tensor, start: Tensor) -> Tensor:
    """Sum of each graph's rows over the root of their number: [nodes, width] to [graphs, width].

    A mean hides how large a graph is, which tells much about PROTEINS, and a sum is of another
    size for each graph; this validated better than both.
    """
    nodes = (start[1:] - start[:-1]).clamp(min=1).to(x.dtype)
    return readout(x, start, "sum") / (nodes.sqrt() * _USUAL_ROOT).unsqueeze(-1)


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
        """A shallow copy of `data` with the GraphInputs that every forward reuses."""
        data = copy(data)
        data.gin_inputs = self._inputs(data)
        return data

    def _inputs(self, data: Data) -> GraphInputs:
        return GraphInputs(adjacency(data.edge_index, data.num_nodes), starts(data))

    def forward(self, data: Data) -> Tensor:
        """Logits [graphs, classes]."""
        inputs = data.gin_inputs if "gin_inputs" in data else self._inputs(data)
        x = data.x
        for conv in self.convs:
            x = conv(x, inputs.adjacency)
        x = functional.relu(self.lin1(_root_readout(x, inputs.start)))
        logits: Tensor = self.lin2(functional.dropout(x, self.dropout, self.training))
        return logits

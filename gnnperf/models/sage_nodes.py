"""GraphSAGE for node classification on large graphs, of PyG's own layers."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv


class SageNodes(nn.Module):
    """Convolutions that take the mean of the neighbours, ReLU and dropout between them.

    `forward(data)` gives logits [nodes, classes]. Source: Hamilton et al., 2017.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [in_channels, *[hidden] * (layers - 1), classes]
        self.convs = nn.ModuleList(SAGEConv(before, after) for before, after in pairwise(widths))
        self.dropout = dropout

    def forward(self, data: Data) -> Tensor:
        """Logits [nodes, classes] of every node of the graph."""
        x: Tensor = data.x
        for number, conv in enumerate(self.convs):
            if number:
                x = functional.dropout(x.relu(), self.dropout, self.training)
            x = conv(x, data.edge_index)
        return x

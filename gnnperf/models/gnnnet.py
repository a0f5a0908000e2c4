"""GNNNet for graph classification: graph convolutions and a max readout."""

from __future__ import annotations

from copy import copy
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.models.gcn_conv import GCNConv
from gnnperf.ops.graphs import GraphInputs, gcn_adjacency, readout, starts


class GNNNet(nn.Module):
    """Three GCN layers, max readout, one linear layer (paper, Table 3: 34,562 parameters on BBBP).

    `forward(data)` gives logits [graphs, classes]. Layers are named as the paper's Figure 2
    names them, `gnn_layers` and `mlps`. Source: ProtGNN's GCN (Zhang et al., 2022), without
    prototypes.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        hidden: int = 128,
        layers: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [in_channels, *[hidden] * layers]
        self.gnn_layers = nn.ModuleList(
            GCNConv(before, after) for before, after in pairwise(widths)
        )
        self.mlps = nn.ModuleList([nn.Linear(hidden, classes)])
        self.dropout = dropout

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the GraphInputs that every forward reuses."""
        data = copy(data)
        data.gcn_inputs = self._inputs(data)
        return data

    def _inputs(self, data: Data) -> GraphInputs:
        return GraphInputs(gcn_adjacency(data.edge_index, data.num_nodes), starts(data))

    def forward(self, data: Data) -> Tensor:
        """Logits [graphs, classes]."""
        inputs = data.gcn_inputs if "gcn_inputs" in data else self._inputs(data)
        x = data.x
        for layer in self.gnn_layers:
            x = functional.relu(layer(x, inputs.adjacency))
        x = readout(x, inputs.start, "max")
        logits: Tensor = self.mlps[0](functional.dropout(x, self.dropout, self.training))
        return logits

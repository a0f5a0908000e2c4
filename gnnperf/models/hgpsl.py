"""HGP-SL for graph classification: hierarchical pooling with structure learning."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.models.gcn_conv import GCNConv
from gnnperf.models.hgpsl_pool import HGPSLPool, Pairs, near_pairs, top_nodes
from gnnperf.ops import SparseMatrix, spmm
from gnnperf.ops.graphs import gcn_adjacency, readout, starts, symmetric_adjacency
from gnnperf.ops.segments import segment_max


@dataclass(frozen=True)
class HGPSLInputs:
    """What depends on a batch's graphs alone.

    Attributes:
        convolution: adjacency with self-loops, normalised; for the first layer.
        neighbours: adjacency without them, normalised; for the information score.
        pairs: all pairs of nodes that the first pooling may join.
        start: where each graph's nodes begin, int64 [graphs + 1].
    """

    convolution: SparseMatrix
    neighbours: SparseMatrix
    pairs: Pairs
    start: Tensor

    def to(self, *args: Any, **kwargs: Any) -> HGPSLInputs:
        """Move all to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        convolution = self.convolution.to(*args, **kwargs)
        return HGPSLInputs(
            convolution,
            self.neighbours.to(*args, **kwargs),
            self.pairs.to(*args, **kwargs),
            self.start.to(convolution.value.device),
        )


class HGPSL(nn.Module):
    """Three convolutions, a pooling after each of the first two, readouts summed, a 3-layer MLP.

    `forward(data)` gives logits [graphs, classes]; 75,458 parameters on PROTEINS' 4 features
    (paper, Table 3; its 75,442 counts non-zeros). Source: HGP-SL (Zhang et al., 2019).
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        hidden: int = 128,
        ratio: float = 0.5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = GCNConv(in_channels, hidden)
        self.conv2 = GCNConv(hidden, hidden)
        self.conv3 = GCNConv(hidden, hidden)
        self.pool1, self.pool2 = HGPSLPool(hidden), HGPSLPool(hidden)
        self.lin1 = nn.Linear(2 * hidden, hidden)
        self.lin2 = nn.Linear(hidden, hidden // 2)
        self.lin3 = nn.Linear(hidden // 2, classes)
        self.ratio, self.dropout = ratio, dropout

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the HGPSLInputs that every forward reuses."""
        data = copy(data)
        data.hgpsl_inputs = self._inputs(data)
        return data

    def _inputs(self, data: Data) -> HGPSLInputs:
        edge_index, nodes = data.edge_index, data.num_nodes
        everywhere = torch.ones(nodes, dtype=torch.bool, device=data.x.device)
        edges = Pairs(edge_index[0], edge_index[1], data.x.new_ones(edge_index.size(1)))
        return HGPSLInputs(
            convolution=gcn_adjacency(edge_index, nodes),
            neighbours=symmetric_adjacency(edge_index, nodes),
            pairs=near_pairs(edges, everywhere),
            start=starts(data),
        )

    def forward(self, data: Data) -> Tensor:
        """Logits [graphs, classes]."""
        inputs = data.hgpsl_inputs if "hgpsl_inputs" in data else self._inputs(data)
        x = functional.relu(self.conv1(data.x, inputs.convolution))
        kept, start = self._choose(x, inputs.neighbours, inputs.start)
        x = x.index_select(0, kept.nonzero().flatten())
        edges = self.pool1(x, inputs.pairs.among(kept))
        embedding = functional.relu(_read(x, start))

        # Sparsemax gives every node outgoing weights that sum to 1, so that the public code's
        # normalisation by the outgoing degree changes nothing here.
        aggregation = edges.aggregation(len(x))
        x = functional.relu(self.conv2(x, aggregation))
        kept, start = self._choose(x, aggregation, start)
        x = x.index_select(0, kept.nonzero().flatten())
        edges = self.pool2(x, near_pairs(edges, kept).renumbered(kept))
        embedding = embedding + functional.relu(_read(x, start))

        x = functional.relu(self.conv3(x, edges.aggregation(len(x))))
        embedding = embedding + functional.relu(_read(x, start))
        return self._classify(embedding)

    @torch.no_grad()
    def _choose(self, x: Tensor, neighbours: SparseMatrix, start: Tensor) -> tuple[Tensor, Tensor]:
        """Mask of the nodes that their neighbours predict worst, and where graphs begin then."""
        score = spmm(neighbours, x).sub_(x).abs_().sum(-1)
        # Nodes that listen to themselves alone all score 0 up to rounding; the node's size, and
        # not its place, decides between them, so that the result is the graph's and no numbering's.
        # No x is below 0.
        keys = (score.round_(decimals=4), x.sum(-1))
        kept = top_nodes(keys, start, self.ratio)
        return kept, functional.pad(kept.cumsum(0), (1, 0))[start]

    def _classify(self, embedding: Tensor) -> Tensor:
        x = functional.relu(self.lin1(embedding))
        x = functional.relu(self.lin2(functional.dropout(x, self.dropout, self.training)))
        logits: Tensor = self.lin3(functional.dropout(x, self.dropout, self.training))
        return logits


def _read(x: Tensor, start: Tensor) -> Tensor:
    return torch.cat([segment_max(x, start), readout(x, start, "mean")], 1)

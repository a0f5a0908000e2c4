"""NESS: node embeddings from static subgraphs by a graph autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.utils import softmax

from gnnperf.models.decoders import inner_product
from gnnperf.ops import Aggregate, SparseMatrix, sparse_if_worthwhile, spmm
from gnnperf.ops.gcn import gcn_normalized

Features = Tensor | SparseMatrix


def _project(linear: nn.Linear, features: Features) -> Tensor:
    if isinstance(features, SparseMatrix):
        return spmm(features, linear.weight.t()) + linear.bias
    projected: Tensor = linear(features)
    return projected


def _every_view(projected: Tensor, views: SparseMatrix) -> Tensor:
    """Node rows [nodes, width] once for each view: [views * nodes, width]."""
    return projected.repeat(views.shape[0] // len(projected), 1)


class LinearEncoder(nn.Module):
    """One graph convolution without activation: A (X W + b)."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, hidden)
        self.aggregate = Aggregate()

    def forward(self, features: Features, views: SparseMatrix) -> Tensor:
        """Features [nodes, in] to embeddings [views * nodes, hidden]."""
        embedded: Tensor = self.aggregate(
            views, _every_view(_project(self.linear, features), views)
        )
        return embedded


class GnaeEncoder(LinearEncoder):
    """The linear encoder with rows of length 1.8 before they are propagated.

    Propagation is APPNP with K = 1 and alpha = 0. Source: Ahn and Kim, Variational Graph
    Normalized AutoEncoders (CIKM 2021).
    """

    SCALE = 1.8

    def forward(self, features: Features, views: SparseMatrix) -> Tensor:
        """Features [nodes, in] to embeddings [views * nodes, hidden]."""
        rows = functional.normalize(_project(self.linear, features), dim=-1) * self.SCALE
        embedded: Tensor = self.aggregate(views, _every_view(rows, views))
        return embedded


class GcnEncoder(LinearEncoder):
    """Two graph convolutions with ReLU, the first twice as wide."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__(in_channels, 2 * hidden)
        self.linear2 = nn.Linear(2 * hidden, hidden)
        self.aggregate2 = Aggregate()

    def forward(self, features: Features, views: SparseMatrix) -> Tensor:
        """Features [nodes, in] to embeddings [views * nodes, hidden]."""
        rows = self.linear2(super().forward(features, views).relu())
        embedded: Tensor = self.aggregate2(views, rows)
        return embedded


class GatEncoder(LinearEncoder):
    """One graph attention layer with one head. Source: Velickovic et al., 2018."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__(in_channels, hidden)
        self.attention = nn.Linear(hidden, 2, bias=False)

    def forward(self, features: Features, views: SparseMatrix) -> Tensor:
        """Features [nodes, in] to embeddings [views * nodes, hidden]."""
        rows = _every_view(_project(self.linear, features), views)
        target, source = self.attention(rows).unbind(-1)
        score = functional.leaky_relu(target[views.row] + source[views.column], 0.2)
        # What edge dropout took away weighs nothing here either.
        score = score.masked_fill(views.value == 0, float("-inf"))
        attention = views.with_value(softmax(score, views.row, num_nodes=len(rows)))
        embedded: Tensor = self.aggregate(attention, rows)
        return embedded


ENCODERS: dict[str, Callable[[int, int], nn.Module]] = {
    "gnae": GnaeEncoder,
    "linear": LinearEncoder,
    "gcn": GcnEncoder,
    "gat": GatEncoder,
}
"""(in_channels, hidden) -> encoder, by name."""


@dataclass(frozen=True)
class NessInputs:
    """What depends on the graph alone.

    Attributes:
        features: node features [nodes, in], the entries of a row sum to one.
        edges: the adjacency of each view with its self-loops, in blocks on the diagonal
            [views * nodes, views * nodes], all values 1.
        propagation: the same, normalised.
    """

    features: Features
    edges: SparseMatrix
    propagation: SparseMatrix

    @staticmethod
    def of(data: Data) -> NessInputs:
        """A view for every part in `data.edge_part` [edges], or one of the whole graph."""
        source, target = data.edge_index
        part = data.edge_part if "edge_part" in data else torch.zeros_like(source)
        views = int(part.max()) + 1 if len(part) else 1
        node = torch.arange(views * data.num_nodes, device=source.device)
        first = part * data.num_nodes
        row, column = torch.cat([first + target, node]), torch.cat([first + source, node])
        edges = SparseMatrix.from_coo(
            row, column, torch.ones(len(row), device=row.device), (len(node), len(node))
        )
        features = sparse_if_worthwhile(functional.normalize(data.x, p=1.0, dim=-1))
        return NessInputs(features, edges, gcn_normalized(edges))

    def to(self, *args: Any, **kwargs: Any) -> NessInputs:
        """Move all to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        return NessInputs(
            self.features.to(*args, **kwargs),
            self.edges.to(*args, **kwargs),
            self.propagation.to(*args, **kwargs),
        )


class Ness(nn.Module):
    """Encoder and inner product (paper, Table 3: 45,888 parameters for Cora with `gnae`).

    While training, `forward(data)` encodes each static subgraph with fresh edge dropout and gives
    logits [subgraphs, pairs] of `data.edge_label_index` [2, pairs]; in eval mode it averages the
    embeddings of all subgraphs and gives logits [pairs]. Source: Ucar, NESS (arXiv 2303.08958),
    every subgraph reconstructing the whole training graph; feature dropout is ours.

    Args:
        in_channels: width of the node features.
        hidden: width of the embeddings.
        encoder: a name in ENCODERS.
        edge_dropout, feature_dropout: shares dropped anew in every training step.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int = 32,
        encoder: str = "gnae",
        edge_dropout: float = 0.2,
        feature_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = ENCODERS[encoder](in_channels, hidden)
        self.edge_dropout, self.feature_dropout = edge_dropout, feature_dropout

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the NessInputs that every forward reuses."""
        data = copy(data)
        data.ness_inputs = NessInputs.of(data)
        return data

    def embed(self, data: Data) -> Tensor:
        """Embeddings [views, nodes, hidden]; a single view, the mean, in eval mode."""
        inputs = data.ness_inputs if "ness_inputs" in data else NessInputs.of(data)
        if self.training:
            features = self._drop_features(inputs.features)
            rows = self.encoder(features, self._drop_edges(inputs.edges))
        else:
            rows = self.encoder(inputs.features, inputs.propagation)
        views: Tensor = rows.view(-1, data.num_nodes, rows.size(-1))
        return views if self.training else views.mean(0, keepdim=True)

    def forward(self, data: Data) -> Tensor:
        """Logits [pairs], or [subgraphs, pairs] while training."""
        logits = inner_product(self.embed(data), data.edge_label_index)
        return logits if self.training else logits[0]

    def _drop_features(self, features: Features) -> Features:
        if isinstance(features, SparseMatrix):
            return features.with_value(functional.dropout(features.value, self.feature_dropout))
        return functional.dropout(features, self.feature_dropout)

    def _drop_edges(self, edges: SparseMatrix) -> SparseMatrix:
        kept = torch.rand_like(edges.value) >= self.edge_dropout
        return gcn_normalized(edges.with_value((kept | (edges.row == edges.column)).float()))


class ContrastiveNess(Ness):
    """NESS with a projection head and a contrastive loss between the subgraphs (NT-Xent).

    A node's projections from two subgraphs attract each other and repel those of the other nodes.
    """

    TEMPERATURE = 0.2
    # The loss compares every node with every other; a sample keeps a step as cheap as without it.
    NODES = 256

    def __init__(self, in_channels: int, hidden: int = 32, **options: Any) -> None:
        super().__init__(in_channels, hidden, **options)
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden)
        )
        self._contrast: Tensor | None = None

    def forward(self, data: Data) -> Tensor:
        """Logits as Ness gives them; while training it also notes the contrastive loss."""
        views = self.embed(data)
        logits = inner_product(views, data.edge_label_index)
        if not self.training:
            return logits[0]
        node = torch.randperm(data.num_nodes, device=views.device)[: self.NODES]
        projected = functional.normalize(self.head(views[:, node]), dim=-1)
        pairs = [_contrast(*pair, self.TEMPERATURE) for pair in combinations(projected, 2)]
        self._contrast = torch.stack(pairs).mean() if pairs else None
        return logits

    def auxiliary_loss(self) -> Tensor | float:
        """The contrastive loss of the last training forward, handed over once."""
        # Kept, it would hold the step's graph alive, and a model with it cannot be copied.
        contrast, self._contrast = self._contrast, None
        return 0.0 if contrast is None else contrast


def _contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    similarity = first @ second.t() / temperature
    own = torch.arange(len(first), device=first.device)
    there = functional.cross_entropy(similarity, own)
    return (there + functional.cross_entropy(similarity.t(), own)) / 2

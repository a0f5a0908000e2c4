"""WalkPooling for link prediction: random walks on the subgraph around a pair of nodes."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.ops import Aggregate, SparseMatrix, spmm
from gnnperf.ops.enclosing import enclosing_subgraphs
from gnnperf.ops.gcn import gcn_normalized
from gnnperf.ops.walks import walks_with_link


@dataclass(frozen=True)
class WalkInputs:
    """What depends on the graph and the pairs alone.

    Attributes:
        node: int64 [rows]; the node that a row of the subgraphs stands for.
        ends: int64 [2, pairs]; the rows of each pair's own nodes.
        propagation: all subgraphs, normalised with self-loops [rows, rows].
    """

    node: Tensor
    ends: Tensor
    propagation: SparseMatrix

    @staticmethod
    def of(data: Data, hops: int) -> WalkInputs:
        """The subgraphs around `data.edge_label_index` [2, pairs]."""
        around = enclosing_subgraphs(data.edge_index, data.num_nodes, data.edge_label_index, hops)
        rows = torch.arange(len(around.node), device=around.node.device)
        source, target = torch.cat([around.edge_index, torch.stack([rows, rows])], 1)
        ones = torch.ones(len(source), device=source.device)
        edges = SparseMatrix.from_coo(target, source, ones, (len(rows), len(rows)))
        return WalkInputs(around.node, around.ends, gcn_normalized(edges))

    def to(self, *args: Any, **kwargs: Any) -> WalkInputs:
        """Move all to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        propagation = self.propagation.to(*args, **kwargs)
        device = propagation.value.device
        return WalkInputs(self.node.to(device), self.ends.to(device), propagation)


class WalkPooling(nn.Module):
    """Walk pooling over enclosing subgraphs, on embeddings of two graph convolutions.

    Attention between the embeddings steers random walks; walks of 2 to `walk_length` steps between
    and back to the ends, with the link and without it, and the change in all closed walks, are
    what a small network judges. `forward(data)` gives logits [pairs] of `data.edge_label_index`.
    Source: Pan, Shi and Dokmanic, Neural Link Prediction with Walk Pooling (ICLR 2022); the
    node features are projected to `hidden` first, and the judging network is smaller. The GCN never
    passes over the link in question, which the public code lets it do for pairs that are linked.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int = 32,
        heads: int = 2,
        hops: int = 2,
        walk_length: int = 7,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(in_channels, hidden)
        self.conv1 = nn.Linear(hidden, hidden)
        self.conv2 = nn.Linear(hidden, hidden)
        self.aggregate1, self.aggregate2 = Aggregate(), Aggregate()
        self.query = _attention_side(3 * hidden, hidden, heads, dropout)
        self.key = _attention_side(3 * hidden, hidden, heads, dropout)
        pooled = heads * (5 * (walk_length - 1) + 1)
        self.judge = nn.Sequential(
            nn.BatchNorm1d(pooled),
            nn.Linear(pooled, 4 * hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * hidden, 1),
        )
        self.heads, self.hops, self.walk_length, self.dropout = heads, hops, walk_length, dropout

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the WalkInputs that every forward reuses."""
        data = copy(data)
        data.walk_inputs = WalkInputs.of(data, self.hops)
        return data

    def forward(self, data: Data) -> Tensor:
        """Logits [pairs]."""
        inputs = data.walk_inputs if "walk_inputs" in data else WalkInputs.of(data, self.hops)
        embedding = self._embed(data.x, inputs)
        rows = len(embedding)
        query = self.query(embedding).view(rows, self.heads, -1).unbind(1)
        key = self.key(embedding).view(rows, self.heads, -1).unbind(1)
        pooled = [self._pool(inputs, q, k) for q, k in zip(query, key, strict=True)]
        judged: Tensor = self.judge(torch.cat(pooled, -1)).squeeze(-1)
        return judged

    def _embed(self, features: Tensor, inputs: WalkInputs) -> Tensor:
        projected = self.project(functional.normalize(features, p=1.0, dim=-1))
        first = projected[inputs.node]
        second = self.aggregate1(inputs.propagation, self.conv1(first))
        hidden = functional.dropout(second.relu(), self.dropout, self.training)
        third = self.aggregate2(inputs.propagation, self.conv2(hidden))
        return torch.cat([first, second, third], -1)

    def _pool(self, inputs: WalkInputs, query: Tensor, key: Tensor) -> Tensor:
        """One head's features [pairs, 5 * (walk_length - 1) + 1] from [rows, hidden] each."""
        edges, ends = inputs.propagation, inputs.ends
        scale = query.size(1) ** -0.5
        score = (query[edges.row] * key[edges.column]).sum(-1) * scale
        step, total = _row_softmax(edges, score)
        link = (query[ends] * key[ends.flip(0)]).sum(-1) * scale
        share = torch.sigmoid(link - total[ends])
        without = self._walks(step, ends)
        walks, trace = walks_with_link(without, share.t())
        kinds = [_back(walks), _back(without), _across(walks), _across(without), trace]
        features = torch.stack([kind[2:] for kind in kinds]).flatten(0, 1).t()
        return torch.cat([features, torch.sigmoid(link).sum(0).unsqueeze(-1)], -1)

    def _walks(self, step: SparseMatrix, ends: Tensor) -> Tensor:
        """Probabilities [walk_length + 1, pairs, from end, to end] on the subgraph."""
        reached = step.value.new_zeros(step.shape[0], 2)
        reached[ends[0], 0] = 1
        reached[ends[1], 1] = 1
        walks = [reached[ends.t()]]
        for _ in range(self.walk_length):
            reached = spmm(step, reached)
            walks.append(reached[ends.t()])
        return torch.stack(walks)


def _attention_side(in_channels: int, hidden: int, heads: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Linear(in_channels, hidden),
        nn.LeakyReLU(0.2),
        nn.Dropout(dropout),
        nn.Linear(hidden, heads * hidden),
    )


def _row_softmax(edges: SparseMatrix, score: Tensor) -> tuple[SparseMatrix, Tensor]:
    """Steps whose rows sum to one, self-loops left out, and log-sum-exp of each row [rows]."""
    loop = edges.row == edges.column
    # Any bound keeps the exponentials finite; loops being in it, no row is without one.
    bound = torch.zeros_like(score[: edges.shape[0]])
    bound = bound.scatter_reduce(0, edges.row, score.detach(), "amax", include_self=False)
    weight = (score - bound[edges.row]).exp().masked_fill(loop, 0.0)
    total = torch.zeros_like(bound).index_add(0, edges.row, weight) + 1e-16
    return edges.with_value(weight / total[edges.row]), total.log() + bound


def _back(walks: Tensor) -> Tensor:
    return walks.diagonal(dim1=-2, dim2=-1).sum(-1)


def _across(walks: Tensor) -> Tensor:
    return walks[..., 0, 1] + walks[..., 1, 0]

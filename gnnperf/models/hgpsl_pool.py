"""Pooling of HGP-SL: keep the most informative nodes, then learn the edges between them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity
from torch import Tensor, nn
from torch.nn import functional

from gnnperf.ops import SparseMatrix
from gnnperf.ops.ordering import stable_order
from gnnperf.ops.sparsemax import sparsemax


@dataclass(frozen=True)
class Pairs:
    """Pairs of nodes that an edge may join, each once, ordered by source and then by target.

    Attributes:
        row: source, int64 [pairs].
        column: target, int64 [pairs].
        weight: of the edge that there is, or 0, [pairs].
    """

    row: Tensor
    column: Tensor
    weight: Tensor

    def to(self, *args: Any, **kwargs: Any) -> Pairs:
        """Move to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        weight = self.weight.to(*args, **kwargs)
        return Pairs(self.row.to(weight.device), self.column.to(weight.device), weight)

    def among(self, kept: Tensor) -> Pairs:
        """The pairs whose two nodes are in the mask `kept` [nodes], renumbered."""
        inside = kept[self.row].logical_and_(kept[self.column])
        return self.where(inside, self.weight).renumbered(kept)

    def renumbered(self, kept: Tensor) -> Pairs:
        """The same pairs, of nodes in the mask alone, numbered as these are."""
        number = kept.cumsum(0) - 1
        return Pairs(number[self.row], number[self.column], self.weight)

    def where(self, chosen: Tensor, weight: Tensor) -> Pairs:
        """Those that the mask [pairs] chooses, with other weights [pairs]."""
        index = chosen.nonzero().flatten()
        row, column, value = (t.index_select(0, index) for t in (self.row, self.column, weight))
        return Pairs(row, column, value)

    def aggregation(self, nodes: int) -> SparseMatrix:
        """Row i sums over the sources of the edges into i."""
        by_target = stable_order(self.column, nodes)
        place = torch.empty_like(by_target)
        place[by_target] = torch.arange(len(place), device=place.device)
        return SparseMatrix(
            row_start=_starts(self.column, nodes),
            column=self.row[by_target],
            value=self.weight[by_target],
            # The transpose is what is ordered already.
            column_start=_starts(self.row, nodes),
            row_by_column=self.column,
            by_column=place,
            row=self.column[by_target],
        )


def _starts(index: Tensor, size: int) -> Tensor:
    starts = index.new_zeros(size + 1)
    torch.cumsum(torch.bincount(index, minlength=size), 0, out=starts[1:])
    return starts


def near_pairs(edges: Pairs, kept: Tensor) -> Pairs:
    """Pairs of kept nodes at most four hops apart over the edges, self-pairs included.

    Numbered as the nodes are; `kept` is a mask [nodes]. The weights of `edges` are carried over
    with their gradient. Source: HGP-SL's two-hop augmentation, which its code applies twice.
    """
    nodes = len(kept)
    row, column = (_four_hops_here if kept.is_cpu else _four_hops)(edges, kept)
    key = row * nodes + column
    inside = kept[edges.row] & kept[edges.column]
    place = torch.searchsorted(key, (edges.row * nodes + edges.column)[inside])
    weight = edges.weight.new_zeros(len(key)).index_add(0, place, edges.weight[inside])
    return Pairs(row, column, weight)


def _four_hops_here(edges: Pairs, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Source and target of each pair, in order, by scipy, which multiplies faster than torch."""
    nodes, index = len(kept), kept.nonzero().flatten().numpy()
    place = (edges.row.numpy(), edges.column.numpy())
    one = csr_matrix((np.ones(len(place[0]), np.float32), place), shape=(nodes, nodes))
    one = one + identity(nodes, np.float32, "csr")
    two = one @ one
    two.data[:] = 1
    four = two[index] @ two[:, index]
    four.sort_indices()
    row = np.repeat(index, np.diff(four.indptr))
    return torch.from_numpy(row), torch.from_numpy(index[four.indices])


def _four_hops(edges: Pairs, kept: Tensor) -> tuple[Tensor, Tensor]:
    """The same by torch, on any device."""
    nodes, loop = len(kept), torch.arange(len(kept), device=kept.device)
    index = torch.stack([torch.cat([edges.row, loop]), torch.cat([edges.column, loop])])
    with torch.no_grad(), warnings.catch_warnings():
        # torch calls its own sparse product, of coordinates too, a beta feature.
        warnings.filterwarnings("ignore", message="Sparse CSR")
        one = _ones(index, nodes)
        row, column = torch.sparse.mm(one, one).coalesce().indices()
        left = _ones(torch.stack([row, column])[:, kept[row]], nodes)
        right = _ones(torch.stack([row, column])[:, kept[column]], nodes)
        row, column = torch.sparse.mm(left, right).coalesce().indices()
    return row, column


def _ones(index: Tensor, nodes: int) -> Tensor:
    one = torch.ones(index.size(1), device=index.device)
    return torch.sparse_coo_tensor(index, one, (nodes, nodes), check_invariants=False)


def top_nodes(keys: Sequence[Tensor], start: Tensor, ratio: float) -> Tensor:
    """Mask [nodes] of each graph's ceil(ratio * nodes) largest nodes.

    They are compared by the first key [nodes], where that is equal by the next, then by index.
    """
    size = start.diff()
    graph = torch.repeat_interleave(torch.arange(len(size), device=start.device), size)
    order = torch.arange(len(graph), device=start.device)
    rank = order - start[graph]
    for key in reversed(list(keys)):
        order = order[torch.argsort(key[order], descending=True, stable=True)]
    order = order[stable_order(graph[order], len(size))]
    kept = torch.zeros(len(graph), dtype=torch.bool, device=start.device)
    kept[order] = rank < (ratio * size).ceil()[graph]
    return kept


class HGPSLPool(nn.Module):
    """Structure learning among the kept nodes: attention over near pairs, made sparse.

    Parameter `att` [1, 2 * channels]: the scorer's source half, then its target half. Source:
    HGP-SL (Zhang et al., 2019), equations 5 to 8, with `lamb` for the edges that there are.
    """

    def __init__(self, channels: int, lamb: float = 1.0, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.att = nn.Parameter(torch.empty(1, 2 * channels))
        self.lamb, self.negative_slope = lamb, negative_slope
        nn.init.xavier_uniform_(self.att)

    def forward(self, x: Tensor, pairs: Pairs) -> Pairs:
        """Edges with their weights for nodes x [kept, channels]; those out of a node sum to 1."""
        # One product a node instead of one a pair.
        source, target = functional.linear(x, self.att.view(2, -1)).t().contiguous()
        score = functional.leaky_relu(
            source.index_select(0, pairs.row) + target.index_select(0, pairs.column),
            self.negative_slope,
        )
        attention = sparsemax(score + self.lamb * pairs.weight, pairs.row, len(x))
        return pairs.where(attention > 0, attention)

"""What models of whole graphs aggregate with: adjacencies and readouts over a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gnnperf.ops.sparse import SparseMatrix


def adjacency(edge_index: Tensor, num_nodes: int) -> SparseMatrix:
    """Row i sums over the sources of the edges into i: GIN's aggregation."""
    source, target = edge_index
    return SparseMatrix.from_coo(
        target, source, torch.ones(len(source), device=source.device), (num_nodes, num_nodes)
    )


def gcn_adjacency(edge_index: Tensor, num_nodes: int) -> SparseMatrix:
    """D^-1/2 (A + I) D^-1/2 with the self-loops that are missing (Kipf and Welling, 2017)."""
    edge_index, weight = gcn_norm(edge_index, None, num_nodes)
    return SparseMatrix.from_coo(edge_index[1], edge_index[0], weight, (num_nodes, num_nodes))


def symmetric_adjacency(edge_index: Tensor, num_nodes: int) -> SparseMatrix:
    """D^-1/2 A D^-1/2, without self-loops that are not there."""
    edge_index, weight = gcn_norm(edge_index, None, num_nodes, add_self_loops=False)
    return SparseMatrix.from_coo(edge_index[1], edge_index[0], weight, (num_nodes, num_nodes))


def starts(data: Data) -> Tensor:
    """Where each graph's nodes begin, int64 [graphs + 1]; a `Data` alone is one graph."""
    if "ptr" in data:
        ptr: Tensor = data.ptr
        return ptr
    return torch.tensor([0, data.num_nodes], device=data.x.device)


def readout(x: Tensor, start: Tensor, mode: str) -> Tensor:
    """The `mode` (sum, mean or max) of each graph's rows of x [nodes, width]: [graphs, width].

    A graph without rows reads zero. Source: one `embedding_bag`, which is faster than scatter.
    """
    row = torch.arange(len(x), device=x.device)
    return functional.embedding_bag(row, x, start, mode=mode, include_last_offset=True)


def mean_readout(start: Tensor) -> SparseMatrix:
    """[graphs, nodes]: the mean of each graph's rows; a graph without rows reads zero."""
    nodes = torch.diff(start)
    graph = torch.repeat_interleave(nodes)
    node = torch.arange(len(graph), device=start.device)
    return SparseMatrix.from_coo(graph, node, 1 / nodes[graph], (len(nodes), len(graph)))


@dataclass(frozen=True)
class GraphInputs:
    """What depends on a batch's graphs alone: the aggregation and where each graph begins."""

    adjacency: SparseMatrix
    start: Tensor

    def to(self, *args: Any, **kwargs: Any) -> GraphInputs:
        """Move both to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        adjacency = self.adjacency.to(*args, **kwargs)
        return GraphInputs(adjacency, self.start.to(adjacency.value.device))

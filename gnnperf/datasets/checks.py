"""Whether a graph can be learned from at all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData


def graph_complaint(graph: Data) -> str | None:
    """What is wrong with a graph's features or edges and how to mend it, or None.

    It has a node; its features x, of whatever dtype and layout or absent, are finite; edges join
    nodes that there are, edge_index [2, edges], or are an adj_t; points with pos need none.
    """
    if isinstance(graph, HeteroData):
        return _of_types(graph)
    if complaint := _of_nodes(graph, "graph"):
        return complaint
    edge_index = graph.edge_index
    if edge_index is None:
        if graph.get("adj_t") is not None or graph.get("pos") is not None:
            return None
        return "has no edge_index [2, edges]; a graph without edges has one of [2, 0]"
    return _of_edges(edge_index, graph.num_nodes, graph.num_nodes, "graph")


def _of_types(graph: HeteroData) -> str | None:
    for kind in graph.node_types:
        if complaint := _of_nodes(graph[kind], f"graph[{kind!r}]"):
            return complaint
    for kind in graph.edge_types:
        edge_index = graph[kind].get("edge_index")
        sources, targets = graph[kind[0]].num_nodes, graph[kind[-1]].num_nodes
        if edge_index is not None and (
            complaint := _of_edges(edge_index, sources, targets, f"graph[{kind!r}]")
        ):
            return complaint
    return None


def _of_nodes(store: Any, name: str) -> str | None:
    if not store.num_nodes:
        return f"has no node; drop it, or set {name}.num_nodes where it has no features"
    x = store.get("x")
    if not isinstance(x, Tensor):
        # Absent, or a matrix of another library: the model's own affair.
        return None
    if not x.dim() or len(x) != store.num_nodes:
        return f"has node features x {list(x.shape)} for {store.num_nodes} nodes; set {name}.x"
    values = x if x.layout == torch.strided else _values(x)
    if not bool(torch.isfinite(values).all()):
        return f"has a feature that is not finite; replace NaN and infinity in {name}.x"
    return None


def _values(sparse: Tensor) -> Tensor:
    return sparse.coalesce().values() if sparse.layout == torch.sparse_coo else sparse.values()


def _of_edges(edge_index: Tensor, sources: int, targets: int, name: str) -> str | None:
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        return "has no edge_index [2, edges]; a graph without edges has one of [2, 0]"
    if edge_index.dtype != torch.long:
        return f"has an edge_index of {edge_index.dtype}; make it int64"
    for end, count in zip(edge_index, (sources, targets), strict=True):
        if end.numel() and not 0 <= int(end.min()) <= int(end.max()) < count:
            return f"has an edge to a node outside 0..{count - 1}; mend {name}.edge_index"
    return None

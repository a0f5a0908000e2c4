"""Whether a graph can be learned from at all."""

from __future__ import annotations

import torch
from torch_geometric.data import Data


def graph_complaint(graph: Data) -> str | None:
    """What is wrong with a graph's features or edges and how to mend it, or None.

    Features are floating point and finite, x [nodes, features] with at least one node; edges join
    nodes that there are, edge_index [2, edges].
    """
    x, edge_index = graph.x, graph.edge_index
    if x is None or x.dim() != 2 or not len(x) or not x.is_floating_point():
        return "has no floating-point node features x [nodes, features]; set graph.x"
    if not bool(torch.isfinite(x).all()):
        return "has a feature that is not finite; replace NaN and infinity in graph.x"
    if edge_index is None or edge_index.dim() != 2 or edge_index.size(0) != 2:
        return "has no edge_index [2, edges]; a graph without edges has one of [2, 0]"
    if edge_index.dtype != torch.long:
        return f"has an edge_index of {edge_index.dtype}; make it int64"
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(x):
        return f"has an edge to a node outside 0..{len(x) - 1}; mend graph.edge_index"
    return None

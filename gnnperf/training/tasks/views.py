"""The graphs of a task, checked, with their targets and features as the task takes them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from gnnperf.datasets import DataError
from gnnperf.datasets.checks import graph_complaint
from gnnperf.training.metrics import Kind
from gnnperf.training.tasks.targets import as_target, label_complaint

# Standardised features further out than this many deviations are held there: PROTEINS has
# lengths of -538 and 798 among lengths of about 8.
OUTLIER = 5.0


def view_with(graph: Data, **changes: Tensor) -> Data:
    """The graph with other values in some fields; it stays as it is."""
    graph = copy(graph)
    for name, value in changes.items():
        setattr(graph, name, value)
    return graph


def checked_views(
    graphs: Sequence[Data], level: str, kind: Kind, task: str, node_type: str | None
) -> list[Data]:
    """The graphs with targets in one shape; raises DataError that names the first unusable one."""
    if not graphs:
        raise DataError(f"{task}: the dataset holds no graphs; give at least three a class")
    views = []
    for number, graph in enumerate(graphs):
        who = f"{task}: the graph" if len(graphs) == 1 else f"graph {number}"
        if node_type is not None and (
            not isinstance(graph, HeteroData) or node_type not in graph.node_types
        ):
            raise DataError(f"{who} has no nodes of type {node_type!r}; choose another node_type")
        if node_type is None and level == "node" and isinstance(graph, HeteroData):
            raise DataError(
                f"{who} is a HeteroData; name whose nodes have targets, node_type="
                f"{graph.node_types[0]!r} say"
            )
        complaint = graph_complaint(graph) or _other_features(graph, graphs[0])
        if complaint is None:
            name, y, count = _targets_of(graph, level, node_type)
            complaint = label_complaint(kind, y, count)
        if complaint is not None:
            raise DataError(f"{who} {complaint}")
        views.append(_with_target(graph, level, node_type, name, _shaped(y, level, kind)))
    _same_width(views, level, kind, node_type)
    return views


def _targets_of(graph: Data, level: str, node_type: str | None) -> tuple[str, Any, int]:
    """The targets' field, its value, and how many things have one."""
    if level == "graph":
        return "y", graph.get("y") if isinstance(graph, Data) else _global(graph, "y"), 1
    if level == "node":
        owner = graph if node_type is None else graph[node_type]
        return "y", owner.get("y"), owner.num_nodes
    pairs = graph.get("edge_label_index")
    pairs = graph.edge_index if pairs is None else pairs
    return "edge_label", graph.get("edge_label"), 0 if pairs is None else pairs.size(1)


def _global(graph: Data, name: str) -> Any:
    return getattr(graph, name) if name in graph._global_store else None


def _shaped(y: Tensor, level: str, kind: Kind) -> Tensor:
    if level == "graph" and kind != "classes":
        # Graphs of a batch are laid below each other.
        y = y.view(1, -1)
    return as_target(kind, y)


def _with_target(graph: Data, level: str, node_type: str | None, name: str, y: Tensor) -> Data:
    view = copy(graph)
    setattr(view if node_type is None or level != "node" else view[node_type], name, y)
    if level == "edge" and view.get("edge_label_index") is None:
        view.edge_label_index = view.edge_index
    return view


def _other_features(graph: Data, first: Data) -> str | None:
    """What sets a graph's features apart from the first one's, or None."""
    if isinstance(graph, HeteroData) or isinstance(first, HeteroData):
        return None if type(graph) is type(first) else "is of another kind than graph 0"
    mine, theirs = graph.get("x"), first.get("x")
    if (mine is None) != (theirs is None):
        have = ("no x", "one") if mine is None else ("an x", "none")
        return f"has {have[0]} and graph 0 has {have[1]}; give all graphs the same fields"
    if not isinstance(mine, Tensor) or not isinstance(theirs, Tensor):
        return None
    if mine.dtype != theirs.dtype:
        return f"has x of {mine.dtype} and graph 0 of {theirs.dtype}; make them equal"
    if mine.shape[1:] != theirs.shape[1:]:
        return (
            f"has {graph.num_features} features and graph 0 has {first.num_features}; "
            "make them equal"
        )
    return None


def _same_width(views: Sequence[Data], level: str, kind: Kind, node_type: str | None) -> None:
    if kind == "classes":
        return
    widths = [_targets_of(view, level, node_type)[1].size(1) for view in views]
    for number, width in enumerate(widths):
        if width != widths[0]:
            raise DataError(
                f"graph {number} has {width} targets and graph 0 has {widths[0]}; write NaN for "
                "those that are unknown"
            )


def from_feature(graphs: Sequence[Data], first_feature: int) -> list[Data]:
    """The graphs without the columns of x before one; raises DataError where none is left."""
    if not first_feature:
        return list(graphs)
    features = graphs[0].num_features
    if not isinstance(features, int) or not 0 <= first_feature < features:
        raise DataError(
            f"first_feature={first_feature} leaves none of {features} features; name an earlier "
            "column"
        )
    return [view_with(graph, x=graph.x[:, first_feature:]) for graph in graphs]


def standardized(graphs: Sequence[Data], train: Sequence[int]) -> list[Data]:
    """Features shifted and scaled by the mean and deviation of the graphs in `train`.

    Integers are names of things, and stay; so do sparse features and those of a HeteroData.
    """
    first = graphs[0]
    x = first.get("x") if isinstance(first, Data) else None
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.layout != torch.strided:
        return list(graphs)
    rows = torch.cat([graphs[i].x for i in train])
    deviation, mean = torch.std_mean(rows, 0, correction=0)
    # A column that is constant in training says nothing; it becomes zero there.
    scale = torch.where(deviation > 0, deviation, 1)
    return [
        view_with(graph, x=((graph.x - mean) / scale).clamp(-OUTLIER, OUTLIER)) for graph in graphs
    ]

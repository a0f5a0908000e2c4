"""PyG's linear convolutions as layers, and plans of our models that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, GraphConv, SAGEConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gnnperf.deploy.lowering import (
    CannotLowerError,
    Convolution,
    convolution,
    linear,
    register_lowering,
)
from gnnperf.deploy.plan import (
    Activation,
    Layer,
    PairProducts,
    Plan,
    Propagate,
    Step,
    by_kernel,
    raw_features,
)
from gnnperf.models.gcn import GCN
from gnnperf.models.graph_baselines import GraphNet
from gnnperf.models.graphconv import GraphConvNet
from gnnperf.models.sage import SageLinks
from gnnperf.models.sage_nodes import SageNodes
from gnnperf.ops import SparseMatrix
from gnnperf.ops.graphs import adjacency, mean_readout, starts

READOUT = "readout"


@register_lowering(GCNConv)
def gcn_conv(conv: GCNConv) -> Convolution:
    """A (X W) + b."""
    _plain(conv, "sum")
    bias = None if conv.bias is None else conv.bias.detach()
    loops = f"{conv.add_self_loops}, {conv.improved}, {conv.normalize}"
    layer = replace(linear(conv.lin), bias=bias, operator=f"GCN ({loops})")

    def matrix(edge_index: Tensor, nodes: int) -> SparseMatrix:
        if not conv.normalize:
            return adjacency(edge_index, nodes)
        index, weight = gcn_norm(edge_index, None, nodes, conv.improved, conv.add_self_loops)
        return SparseMatrix.from_coo(index[1], index[0], weight, (nodes, nodes))

    return Convolution(layer, matrix)


@register_lowering(SAGEConv)
def sage_conv(conv: SAGEConv) -> Convolution:
    """M X W_l + b + X W_r, with the mean M or the sum of the neighbours."""
    if conv.project or conv.normalize:
        raise CannotLowerError("a SAGEConv with project=True or normalize=True")
    return _with_root(conv, conv.lin_l, conv.lin_r if conv.root_weight else None)


@register_lowering(GraphConv)
def graph_conv(conv: GraphConv) -> Convolution:
    """The same of Morris et al."""
    return _with_root(conv, conv.lin_rel, conv.lin_root)


def _plain(conv: Any, *aggregations: str) -> str:
    """The aggregation; raises CannotLowerError for another than these."""
    name = "sum" if conv.aggr == "add" else conv.aggr
    if name not in aggregations or conv.flow != "source_to_target":
        raise CannotLowerError(
            f"a {type(conv).__name__} with aggr={conv.aggr!r} and flow={conv.flow!r}"
        )
    return str(name)


def _with_root(conv: nn.Module, neighbours: nn.Module, root: nn.Module | None) -> Convolution:
    aggregation = _plain(conv, "mean", "sum")
    layer = linear(neighbours, operator=f"{aggregation}, root {root is not None}")
    if root is not None:
        own = linear(root)
        biases = [bias for bias in (layer.bias, own.bias) if bias is not None]
        layer = replace(
            layer,
            weight=torch.cat([layer.weight, own.weight]),
            bias=torch.stack(biases).sum(0) if biases else None,
        )
    return Convolution(layer, partial(_neighbours, aggregation == "mean", root is not None))


def _neighbours(mean: bool, root: bool, edge_index: Tensor, nodes: int) -> SparseMatrix:
    matrix = adjacency(edge_index, nodes)
    if mean:
        matrix = matrix.with_value(1 / torch.diff(matrix.row_start)[matrix.row])
    if not root:
        return matrix
    node = torch.arange(nodes, device=edge_index.device)
    one = torch.ones(nodes, device=edge_index.device)
    return by_kernel([matrix, SparseMatrix.from_coo(node, node, one, (nodes, nodes))])


def chain(
    convs: Sequence[nn.Module], last: Activation
) -> tuple[tuple[Layer, ...], Callable[[Data], dict[str, SparseMatrix]]]:
    """Convolutions one after the other with ReLU between them, and what makes their operators."""
    parts = [convolution(conv) for conv in convs]
    activations: list[Activation] = [*["relu"] * (len(parts) - 1), last]  # type: ignore[list-item]
    layers = tuple(
        replace(part.layer, activation=activation)
        for part, activation in zip(parts, activations, strict=True)
    )
    matrices = {str(part.layer.operator): part.matrix for part in parts}

    def operators(data: Data) -> dict[str, SparseMatrix]:
        return {name: make(data.edge_index, data.num_nodes) for name, make in matrices.items()}

    return layers, operators


DONE = "operators cached, scatter replaced"


@register_lowering(GCN)
@register_lowering(GraphConvNet)
def two_layers(model: GCN | GraphConvNet) -> Plan:
    """Two convolutions with ReLU between them."""
    layers, operators = chain([model.conv1, model.conv2], "none")
    return Plan(layers, raw_features, operators, done=(DONE,))


@register_lowering(SageNodes)
def sage_nodes(model: SageNodes) -> Plan:
    """Convolutions with ReLU between them."""
    layers, operators = chain(list(model.convs), "none")
    return Plan(layers, raw_features, operators, done=(DONE,))


@register_lowering(SageLinks)
def sage_links(model: SageLinks) -> Plan:
    """Two convolutions, inner products."""
    layers, operators = chain([model.conv1, model.conv2], "none")
    return Plan((*layers, PairProducts()), _by_sum, operators, done=(DONE,))


def _by_sum(data: Data) -> Tensor:
    features: Tensor = data.x / data.x.sum(-1, keepdim=True).clamp(min=1)
    return features


@register_lowering(GraphNet)
def graph_net(model: GraphNet) -> Plan:
    """Convolutions with ReLU, the mean of each graph, one linear layer."""
    layers, operators = chain(list(model.convs), "relu")

    def with_readout(data: Data) -> Mapping[str, SparseMatrix]:
        return {**operators(data), READOUT: mean_readout(starts(data))}

    steps: list[Step] = [*layers, Propagate(READOUT), linear(model.lin)]
    return Plan(tuple(steps), raw_features, with_readout, done=(DONE,))

"""Plans of our own models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.deploy.lowering import CannotLowerError, linear, only, register_lowering
from gnnperf.deploy.plan import (
    Activation,
    Layer,
    Maximum,
    Normalize,
    PairProducts,
    Plan,
    Propagate,
    Step,
    raw_features,
)
from gnnperf.models.gcn_conv import GCNConv
from gnnperf.models.gin import GIN, GINConv, root_readout
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.ness import ContrastiveNess, GnaeEncoder, LinearEncoder, Ness, NessInputs
from gnnperf.models.spline import SplineConv, SplineNet, pseudo_of
from gnnperf.ops import Aggregate, SparseMatrix
from gnnperf.ops.graphs import adjacency, gcn_adjacency, starts

ADJACENCY, READOUT, VIEWS = "adjacency", "readout", "views"


@register_lowering(GNNNet)
def gnnnet(model: GNNNet) -> Plan:
    """Three graph convolutions, the maximum of each graph, one linear layer."""
    layers = [_convolution(layer, "relu") for layer in model.gnn_layers]
    return Plan(
        (*layers, Maximum(), *(linear(layer) for layer in model.mlps)),
        raw_features,
        lambda data: {ADJACENCY: gcn_adjacency(data.edge_index, data.num_nodes)},
        done=("readout padded",),
    )


def _convolution(conv: nn.Module, activation: Activation) -> Layer:
    part = only(conv, GCNConv)
    only(part.aggregate, Aggregate)
    weight = linear(part.lin).weight
    return Layer(weight, part.bias.detach(), activation, ADJACENCY)


@register_lowering(GIN)
def gin(model: GIN) -> Plan:
    """Isomorphism layers, the scaled sum of each graph, two linear layers."""
    steps: list[Step] = []
    own_weight: dict[str, float] = {}
    for conv in model.convs:
        part = only(conv, GINConv)
        only(part.aggregate, Aggregate)
        loop = float(1 + part.eps.detach())
        name = f"{ADJACENCY} + {loop}"
        own_weight[name] = loop
        steps += _normalized_pair(part.nn, name)
    steps += [Propagate(READOUT), linear(model.lin1, "relu"), linear(model.lin2)]
    return Plan(
        tuple(steps),
        raw_features,
        partial(_gin_operators, own_weight),
        done=("batch normalisation folded", "1 + eps folded into the adjacency"),
    )


def _normalized_pair(network: nn.Module, operator: str) -> list[Layer]:
    """Linear, BatchNorm, ReLU, twice."""
    parts = list(only(network, nn.Sequential))
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2
    if [type(part) for part in parts] != kinds:
        raise CannotLowerError(
            f"GIN's network is another: {', '.join(type(p).__name__ for p in parts)}"
        )
    return [
        linear(parts[0], "relu", operator, norm=parts[1]),
        linear(parts[3], "relu", norm=parts[4]),
    ]


def _gin_operators(own_weight: Mapping[str, float], data: Data) -> dict[str, SparseMatrix]:
    nodes = data.num_nodes
    loops = torch.arange(nodes, device=data.edge_index.device).expand(2, -1)
    with_loops = adjacency(torch.cat([data.edge_index, loops], 1), nodes)
    # A loop of the graph's own is told from ours by its place: ours are the last of a row.
    ours = with_loops.row_start[1:] - 1
    matrices = {
        name: with_loops.with_value(with_loops.value.index_fill(0, ours, weight))
        for name, weight in own_weight.items()
    }
    return {**matrices, READOUT: root_readout(starts(data))}


@register_lowering(SplineNet)
def spline(model: SplineNet) -> Plan:
    """Two spline convolutions, their kernels side by side."""
    first, second = only(model.conv1, SplineConv), only(model.conv2, SplineConv)
    if (first.kernel_size, first.is_open) != (second.kernel_size, second.is_open):
        raise CannotLowerError("its two convolutions are of different kernels")

    def operators(data: Data) -> dict[str, SparseMatrix]:
        pseudo = pseudo_of(data)
        return {ADJACENCY: first.operator(data.edge_index, pseudo, data.num_nodes)}

    return Plan(
        (_spline(first, "elu"), _spline(second, "none")),
        raw_features,
        operators,
        done=("projections cached",),
    )


def _spline(conv: SplineConv, activation: Activation) -> Layer:
    only(conv.aggregate, Aggregate)
    root = linear(conv.lin).weight
    weight = torch.cat([conv.weight.detach().transpose(1, 2), root])
    return Layer(weight, conv.bias.detach(), activation, ADJACENCY)


@register_lowering(Ness)
@register_lowering(ContrastiveNess)
def ness(model: Ness) -> Plan:
    """Rows projected once, the mean of all views in one propagation, inner products."""
    encoder: Any = only(model.encoder, GnaeEncoder, LinearEncoder)
    only(encoder.aggregate, Aggregate)
    steps: list[Step] = [linear(encoder.linear)]
    if type(encoder) is GnaeEncoder:
        steps.append(Normalize(GnaeEncoder.SCALE))
    return Plan(
        (*steps, Propagate(VIEWS), PairProducts()),
        lambda data: functional.normalize(data.x, p=1.0, dim=-1),
        lambda data: {VIEWS: merged_views(NessInputs.of(data).propagation, data.num_nodes)},
        done=("views merged into one",),
    )


def merged_views(views: SparseMatrix, nodes: int) -> SparseMatrix:
    """The mean of blocks [nodes, nodes] on the diagonal; of an entry's values the sum."""
    key = (views.row % nodes) * nodes + views.column % nodes
    places, of = torch.unique(key, return_inverse=True)
    value = views.value.new_zeros(len(places)).index_add(0, of, views.value)
    count = views.shape[0] // nodes
    return SparseMatrix.from_coo(places // nodes, places % nodes, value / count, (nodes, nodes))

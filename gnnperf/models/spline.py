"""SplineCNN for node classification: two spline convolutions with ELU."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.transforms import TargetIndegree

from gnnperf.ops import Aggregate, SparseMatrix, sparse_if_worthwhile, spmm
from gnnperf.ops.spline import spline_operator


class SplineConv(nn.Module):
    """Spline convolution of degree 1 in its project-first form, sum_k A_k (X W_k) + X W_root.

    Parameters have the names and shapes of PyG's SplineConv, so that states can be exchanged:
    `weight` [prod(kernel_size), in, out], `lin.weight` [out, in], `bias` [out].
    Source: SplineCNN (Fey et al., 2018); mean over the incoming edges.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 1,
        kernel_size: int | Sequence[int] = 2,
        is_open_spline: bool | Sequence[bool] = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _per_dimension(kernel_size, dim)
        self.is_open = _per_dimension(is_open_spline, dim)
        self.weight = nn.Parameter(torch.empty(prod(self.kernel_size), in_channels, out_channels))
        self.lin = nn.Linear(in_channels, out_channels, bias=False)
        self.aggregate = Aggregate()
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    @property
    def in_channels(self) -> int:
        """Width of what comes in."""
        return self.weight.size(1)

    @property
    def out_channels(self) -> int:
        """Width of what goes out."""
        return self.weight.size(2)

    def reset_parameters(self) -> None:
        """Draw the parameters as PyG does: uniform, bound by the fan-in over all kernels."""
        nn.init.uniform_(self.weight, -(bound := _bound(self.weight)), bound)
        nn.init.uniform_(self.lin.weight, -(bound := self.in_channels**-0.5), bound)
        nn.init.zeros_(self.bias)

    def operator(self, edge_index: Tensor, pseudo: Tensor, num_nodes: int) -> SparseMatrix:
        """The graph's part of the convolution; build it once for a graph and reuse it."""
        return spline_operator(edge_index, pseudo, num_nodes, self.kernel_size, self.is_open)

    def forward(self, features: Tensor | SparseMatrix, operator: SparseMatrix) -> Tensor:
        """Convolve node features [nodes, in], dense or sparse, to [nodes, out]."""
        projection = self._projection()
        if isinstance(features, SparseMatrix):
            projected = spmm(features, projection)
        else:
            projected = features @ projection
        aggregated: Tensor = self.aggregate(operator, projected.view(-1, self.out_channels))
        return aggregated + self.bias

    def with_linear(self) -> LinearSplineConv:
        """The same convolution with its projection as one linear layer."""
        return LinearSplineConv(self)

    def _projection(self) -> Tensor:
        """All kernels and the root's side by side, [in, kernels * out]."""
        projection = torch.cat([self.weight, self.lin.weight.t().unsqueeze(0)])
        return projection.transpose(0, 1).reshape(self.in_channels, -1)


class LinearSplineConv(nn.Module):
    """A SplineConv whose kernels are the outputs of one linear layer `lin`, for quantization."""

    operator = SplineConv.operator

    def __init__(self, conv: SplineConv) -> None:
        super().__init__()
        self.kernel_size, self.is_open = conv.kernel_size, conv.is_open
        self.out_channels = conv.out_channels
        weight = conv._projection().detach().t()
        self.lin = nn.Linear(weight.size(1), weight.size(0), bias=False)
        self.lin.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format))
        self.aggregate, self.bias = conv.aggregate, conv.bias

    def forward(self, features: Tensor | SparseMatrix, operator: SparseMatrix) -> Tensor:
        """Convolve node features [nodes, in], dense or sparse, to [nodes, out]."""
        if isinstance(features, SparseMatrix):
            projected = spmm(features, self.lin.weight.t())
        else:
            projected = self.lin(features)
        aggregated: Tensor = self.aggregate(operator, projected.view(-1, self.out_channels))
        return aggregated + self.bias


def _per_dimension(value: Any, dim: int) -> tuple[Any, ...]:
    values = (value,) * dim if isinstance(value, int) else tuple(value)
    if len(values) != dim:
        raise ValueError(f"{len(values)} values for {dim} pseudo-coordinate dimensions")
    return values


def _bound(weight: Tensor) -> float:
    return float((weight.size(0) * weight.size(1)) ** -0.5)


@dataclass(frozen=True)
class SplineInputs:
    """What depends on the graph alone: sparse or dense features, and the spline operator."""

    features: Tensor | SparseMatrix
    operator: SparseMatrix

    def to(self, *args: Any, **kwargs: Any) -> SplineInputs:
        """Move both to a device, as `Tensor.to`; PyG's `Data.to` calls this."""
        return SplineInputs(self.features.to(*args, **kwargs), self.operator.to(*args, **kwargs))


def pseudo_of(data: Data) -> Tensor:
    """The edges' pseudo-coordinates [edges, dimensions]: of the data, else the targets' degrees."""
    if data.edge_attr is None:
        data = TargetIndegree()(copy(data))
    pseudo: Tensor = data.edge_attr
    return pseudo


class SplineNet(nn.Module):
    """Two SplineConv layers with input and hidden dropout (paper, Table 3: 69,143 parameters).

    `forward(data)` gives logits [nodes, classes]. The pseudo-coordinate is the target's in-degree
    over the largest one unless `data.edge_attr` holds coordinates in [0, 1].
    """

    def __init__(
        self, in_channels: int, classes: int, hidden: int = 16, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.conv1 = SplineConv(in_channels, hidden)
        self.conv2 = SplineConv(hidden, classes)
        self.dropout = dropout

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the SplineInputs that every forward reuses."""
        data = copy(data)
        data.spline_inputs = self._inputs(data)
        return data

    def _inputs(self, data: Data) -> SplineInputs:
        operator = self.conv1.operator(data.edge_index, pseudo_of(data), data.num_nodes)
        return SplineInputs(sparse_if_worthwhile(data.x), operator)

    def forward(self, data: Data) -> Tensor:
        """Logits [nodes, classes] of every node of the graph."""
        inputs = data.spline_inputs if "spline_inputs" in data else self._inputs(data)
        hidden = self.conv1(self._drop(inputs.features), inputs.operator)
        hidden = functional.dropout(functional.elu(hidden), self.dropout, self.training)
        logits: Tensor = self.conv2(hidden, inputs.operator)
        return logits

    def _drop(self, features: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
        # Dropping stored values is input dropout: the entries that are zero stay zero.
        if isinstance(features, SparseMatrix):
            value = functional.dropout(features.value, self.dropout, self.training)
            return features.with_value(value)
        return functional.dropout(features, self.dropout, self.training)

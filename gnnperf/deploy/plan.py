"""What a model computes, as a short list of steps that deployments execute each in its way.

A model of a known type is written down as a `Plan` (`gnnperf.deploy.lowering`), with batch
normalisation and other constants folded; `lean` runs it in torch, others in other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnperf.ops import SparseMatrix

Activation = Literal["none", "relu", "elu"]


@dataclass(frozen=True)
class Layer:
    """`activation(sum_k A_k x W_k + b)`: a convolution, or without an operator a linear layer.

    Attributes:
        weight: [kernels, out, in]; of a linear layer one kernel.
        bias: [out]; None: zero.
        activation: applied to each entry.
        operator: name of the matrix [n, n * kernels] among the plan's operators, whose column
            m * kernels + k is of node m under kernel k; None: a linear layer.
    """

    weight: Tensor
    bias: Tensor | None = None
    activation: Activation = "none"
    operator: str | None = None

    @property
    def kernels(self) -> int:
        """How many matrices are applied side by side."""
        return self.weight.size(0)

    @property
    def out_channels(self) -> int:
        """Width of what goes out."""
        return self.weight.size(1)

    @property
    def in_channels(self) -> int:
        """Width of what comes in."""
        return self.weight.size(2)

    def constants(self) -> Tensor:
        """What each channel [out] gives where nothing comes in."""
        bias = self.weight.new_zeros(self.out_channels) if self.bias is None else self.bias
        return activate_(bias.clone(), self.activation)


@dataclass(frozen=True)
class Propagate:
    """A x, each channel alike, without weights: a readout by sums is one."""

    operator: str


@dataclass(frozen=True)
class Maximum:
    """The maximum of each graph's rows; a graph without rows gives zero."""


@dataclass(frozen=True)
class Normalize:
    """Rows of one length, which is `scale`."""

    scale: float


@dataclass(frozen=True)
class PairProducts:
    """The inner product of the two rows of each pair in `data.edge_label_index`."""


Step = Layer | Propagate | Maximum | Normalize | PairProducts


@dataclass(frozen=True)
class Plan:
    """A model as steps.

    Attributes:
        steps: the first one's input are the features.
        features: data -> node features [nodes, in], dense.
        operators: data -> the matrices that steps name.
        columns: the columns of the features that the first step reads, int64; None: all.
        done: what writing it down has done to the model, a short phrase each.
    """

    steps: tuple[Step, ...]
    features: Callable[[Data], Tensor]
    operators: Callable[[Data], Mapping[str, SparseMatrix]]
    columns: Tensor | None = None
    done: tuple[str, ...] = ()

    def noting(self, *done: str) -> Plan:
        """The same with more that was done."""
        return replace(self, done=(*self.done, *done))


def activate_(values: Tensor, activation: Activation) -> Tensor:
    """Apply an activation in place, or as if."""
    if activation == "relu":
        return values.relu_()
    if activation == "elu":
        # torch's own goes through expm1, which takes twice as long; the difference is rounding.
        return torch.maximum(values, values.exp().sub_(1).clamp_(max=0))
    return values


def raw_features(data: Data) -> Tensor:
    """The features as they are."""
    features: Tensor = data.x
    return features


def by_kernel(matrices: list[SparseMatrix]) -> SparseMatrix:
    """One operator [n, n * kernels] of a matrix [n, n] for each kernel."""
    kernels = len(matrices)
    rows, columns = matrices[0].shape
    return SparseMatrix.from_coo(
        torch.cat([m.row for m in matrices]),
        torch.cat([m.column * kernels + k for k, m in enumerate(matrices)]),
        torch.cat([m.value for m in matrices]),
        (rows, columns * kernels),
    )

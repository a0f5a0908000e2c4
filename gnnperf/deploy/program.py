"""A plan run in torch: cheaper order of each product, in place, nothing computed twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.deploy.operators import Operator, Segments, compressed_rows, operator, propagate
from gnnperf.deploy.plan import (
    Activation,
    Layer,
    Maximum,
    Normalize,
    PairProducts,
    Plan,
    Propagate,
    Step,
    activate_,
)
from gnnperf.ops import SparseMatrix, sparse_if_worthwhile
from gnnperf.ops.graphs import starts

KEPT = "lean_inputs"
"""Field of a prepared batch."""


@dataclass(frozen=True)
class Inputs:
    """What a program keeps of a batch.

    Attributes:
        program: token of the program that it is for.
        source: the features that they were made from.
        features: what the first step reads.
        operators: by name.
        segments: of the graphs' rows; None where no step asks for them.
        pairs: first and second node of each; None where no step asks for them.
    """

    program: str
    source: Tensor
    features: Operator
    operators: Mapping[str, Operator]
    segments: Segments | None
    pairs: tuple[Tensor, Tensor] | None


Run = Callable[[Any, Inputs], Tensor]


@dataclass(frozen=True)
class Linear:
    """activation(x W + b); of sparse features too, with the weight lying [in, out] for them."""

    weight: Tensor
    bias: Tensor | None
    activation: Activation
    sparse: bool = False

    def __call__(self, x: Any, inputs: Inputs) -> Tensor:
        """[n, in] to [n, out]."""
        if self.sparse:
            result = propagate(x, self.weight)
            if self.bias is not None:
                result.add_(self.bias)
        else:
            result = functional.linear(x, self.weight, self.bias)
        return activate_(result, self.activation)


@dataclass(frozen=True)
class ProjectFirst:
    """activation(A (x W) + b), for the narrower side of W: weight [kernels * out, in]."""

    project: Linear
    out_channels: int
    operator: str
    bias: Tensor | None
    activation: Activation

    def __call__(self, x: Any, inputs: Inputs) -> Tensor:
        """[n, in] to [n, out]."""
        projected = self.project(x, inputs).view(-1, self.out_channels)
        matrix = inputs.operators[self.operator]
        if isinstance(matrix, Tensor) and self.bias is not None:
            result = torch.addmm(self.bias, matrix, projected)
        else:
            result = propagate(matrix, projected)
            if self.bias is not None:
                result.add_(self.bias)
        return activate_(result, self.activation)


@dataclass(frozen=True)
class PropagateFirst:
    """activation((A x) W + b): one kernel, weight [out, in]."""

    operator: str
    project: Linear

    def __call__(self, x: Tensor, inputs: Inputs) -> Tensor:
        """[n, in] to [n, out]."""
        return self.project(propagate(inputs.operators[self.operator], x), inputs)


def run_of(step: Step, sparse: bool) -> Run:
    """How a step is executed; `sparse` where it reads sparse features."""
    match step:
        case Layer():
            return _run_layer(step, sparse)
        case Propagate(name):
            return lambda x, inputs: propagate(inputs.operators[name], x)
        case Maximum():
            return lambda x, inputs: inputs.segments.maximum(x)  # type: ignore[union-attr]
        case Normalize(scale):
            return lambda x, inputs: _normalized(x, scale)
        case PairProducts():
            return lambda x, inputs: _products(x, *inputs.pairs)  # type: ignore[misc]


def _normalized(x: Tensor, scale: float) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    factor: Tensor = length.clamp_(min=_SHORTEST).reciprocal_().mul_(scale)
    return x * factor


# As torch's `normalize` has it.
_SHORTEST = 1e-12


def _products(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return x.index_select(0, first).mul_(x.index_select(0, second)).sum(-1)


def _run_layer(layer: Layer, sparse: bool) -> Run:
    # Rows of what is projected are a node's kernels side by side.
    flat = layer.weight.reshape(-1, layer.in_channels)
    weight = (flat.t() if sparse else flat).contiguous()
    if layer.operator is None:
        return Linear(weight, layer.bias, layer.activation, sparse)
    if layer.kernels == 1 and layer.in_channels <= layer.out_channels and not sparse:
        return PropagateFirst(layer.operator, Linear(weight, layer.bias, layer.activation))
    project = Linear(weight, None, "none", sparse)
    return ProjectFirst(project, layer.out_channels, layer.operator, layer.bias, layer.activation)


class Program(nn.Module):
    """A plan in torch; `forward(data)` gives what the model gives, on the model's device.

    Args:
        plan: what is computed.
        example: a batch; whether its features are sparse decides how the first layer lies.
    """

    def __init__(self, plan: Plan, example: Data) -> None:
        super().__init__()
        self.plan, self._token = plan, uuid.uuid4().hex
        first = plan.steps[0]
        self._dtype = first.weight.dtype if isinstance(first, Layer) else torch.float32
        self._sparse = isinstance(first, Layer) and isinstance(
            sparse_if_worthwhile(self._features(example)), SparseMatrix
        )
        self._runs = [
            run_of(step, sparse=self._sparse and number == 0)
            for number, step in enumerate(plan.steps)
        ]
        kinds = {type(step) for step in plan.steps}
        self._segments, self._pairs = Maximum in kinds, PairProducts in kinds

    @property
    def deployed_bytes(self) -> int:
        """Bytes of all weights and biases."""
        layers = [step for step in self.plan.steps if isinstance(step, Layer)]
        return sum(sum(t.nbytes for t in (one.weight, one.bias) if t is not None) for one in layers)

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with what every forward on it reuses."""
        data = copy(data)
        # Past PyG's storage, which takes longer to find it than a small graph takes to compute.
        data.__dict__[KEPT] = self._inputs(data)
        return data

    def forward(self, data: Data) -> Tensor:
        """What the model gives."""
        inputs: Inputs | None = data.__dict__.get(KEPT)
        if (
            inputs is None
            or inputs.program != self._token
            or inputs.source is not data.stores[0]["x"]
        ):
            inputs = self._inputs(data)
        x: Any = inputs.features
        for run in self._runs:
            x = run(x, inputs)
        result: Tensor = x
        return result

    def _inputs(self, data: Data) -> Inputs:
        matrices = self.plan.operators(data)
        return Inputs(
            self._token,
            data.x,
            self._read(data),
            {name: self._operator(matrix) for name, matrix in matrices.items()},
            Segments.of(starts(data)) if self._segments else None,
            tuple(data.edge_label_index) if self._pairs else None,
        )

    def _operator(self, matrix: SparseMatrix) -> Operator:
        return operator(matrix, self._dtype)

    def _features(self, data: Data) -> Tensor:
        features, columns = self.plan.features(data), self.plan.columns
        return features if columns is None else features.index_select(1, columns)

    def _read(self, data: Data) -> Operator:
        features = self._features(data)
        if self._sparse:
            return compressed_rows(SparseMatrix.from_dense(features), self._dtype)
        return features.contiguous()

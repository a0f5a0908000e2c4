"""A plan run by kernels: bias, activation and rounding in the product that they follow.

What lies between two steps is float32, bfloat16 or codes uint8; a deployment says which
(`Numbers`), and how a dense product is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.deploy import kernels
from gnnperf.deploy.kernels import PLAIN, Epilogue, Grid8, Matrix, quantize, segment_max, spmm
from gnnperf.deploy.plan import Layer, Maximum, Plan, Propagate, Step, activate_
from gnnperf.deploy.program import Inputs, Linear, Program, Run, run_of
from gnnperf.ops import SparseMatrix


@dataclass(frozen=True)
class Format:
    """Numbers as they lie in memory; `grid` is what codes uint8 stand for."""

    dtype: torch.dtype = torch.float32
    grid: Grid8 = PLAIN

    def of(self, x: Tensor) -> Tensor:
        """float32 or bfloat16 numbers in this format."""
        return quantize(x, self.grid) if self.dtype == torch.uint8 else x.to(self.dtype)

    def floats(self, x: Tensor) -> Tensor:
        """What lies in this format, in float32."""
        if self.dtype == torch.uint8:
            return x.float().sub_(self.grid.zero).mul_(self.grid.scale)
        return x.float()


FLOAT = Format()

Site = tuple[int, str]
"""A place in a plan: the number of a step, and IN, what comes in, or BETWEEN its two products."""

IN, BETWEEN = "in", "between"


class Product(Protocol):
    """`relu(x W^T + b)` of rows in one format, given in another."""

    @property
    def nbytes(self) -> int:
        """Bytes of weights and biases."""

    def __call__(self, x: Tensor) -> Tensor:
        """[n, in] to [n, out]."""


@dataclass(frozen=True)
class DenseProduct:
    """By torch, in the numbers that the weight is of.

    Attributes:
        weight: float32 or bfloat16 [out, in].
        bias: of the same dtype [out], or None.
        relu: whether negative results become zero.
        takes, gives: formats of rows.
    """

    weight: Tensor
    bias: Tensor | None
    relu: bool
    takes: Format
    gives: Format

    @property
    def nbytes(self) -> int:
        """Bytes of weight and bias."""
        return self.weight.nbytes + (0 if self.bias is None else self.bias.nbytes)

    def __call__(self, x: Tensor) -> Tensor:
        """[n, in] to [n, out]."""
        if x.dtype != self.weight.dtype:
            x = self.takes.floats(x).to(self.weight.dtype)
        result = functional.linear(x, self.weight, self.bias)
        return self.gives.of(result.relu_() if self.relu else result)


@dataclass(frozen=True)
class SparseInputs:
    """The first layer, of sparse features: by torch, in float32."""

    linear: Linear
    gives: Format

    @property
    def nbytes(self) -> int:
        """Bytes of weight and bias."""
        bias = self.linear.bias
        return self.linear.weight.nbytes + (0 if bias is None else bias.nbytes)

    def __call__(self, x: Any) -> Tensor:
        """Features in compressed rows to [n, out]."""
        return self.gives.of(self.linear(x, None))  # type: ignore[arg-type]  # it reads none


class Numbers:
    """In which numbers a plan is executed; as it stands, in float32."""

    def message(self, site: Site) -> Format:
        """What is summed up, or of which the maximum is taken."""
        return FLOAT

    def operand(self, site: Site) -> Format:
        """What a dense product takes."""
        return FLOAT

    def product(
        self,
        number: int,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        takes: Format,
        gives: Format,
    ) -> Product:
        """The product of a layer, by its number, with weight [out, in]."""
        return DenseProduct(weight, bias, relu, takes, gives)


def propagates_first(layer: Layer) -> bool:
    """Whether the narrower side of the weight that is propagated is what comes in."""
    return layer.kernels == 1 and layer.in_channels <= layer.out_channels


def head_of(plan: Plan) -> int:
    """Number of the first step after the readout: linear layers of graphs; else of all steps."""
    steps = plan.steps
    others = [n for n, step in enumerate(steps) if not (isinstance(step, Layer))]
    convolutions = [n for n, step in enumerate(steps) if isinstance(step, Layer) and step.operator]
    if not others or max(convolutions, default=-1) > others[-1]:
        return len(steps)
    return others[-1] + 1


class FusedProgram(Program):
    """A plan run by kernels, in some numbers.

    Args:
        plan: what is computed.
        example: a batch; whether its features are sparse decides how the first layer lies.
        numbers: what lies between two steps.
        watch: told of what comes to each site, in float32; for calibration.
    """

    def __init__(
        self,
        plan: Plan,
        example: Data,
        numbers: Numbers,
        watch: Callable[[Site, Tensor], None] | None = None,
    ) -> None:
        super().__init__(plan, example)
        self._numbers, self._watch = numbers, watch
        self._products: list[Product] = []
        self._first = FLOAT if self._sparse else self._wanted(0)
        width = self._features(example).size(1)
        self._runs = []
        for number, step in enumerate(plan.steps):
            self._runs.append(self._watched((number, IN), self._fused(number, step, width)))
            width = step.out_channels if isinstance(step, Layer) else width

    @property
    def deployed_bytes(self) -> int:
        """Bytes of all weights and biases."""
        return sum(product.nbytes for product in self._products)

    @property
    def compilations(self) -> int:
        """How many kernels have been compiled so far, by whatever program."""
        return kernels.compilations()

    def _operator(self, matrix: SparseMatrix) -> Any:
        return Matrix.of(matrix)

    def _read(self, data: Data) -> Any:
        features: Any = super()._read(data)
        return features if self._sparse else self._first.of(features.detach())

    def _wanted(self, number: int) -> Format:
        """What comes to a step; after the last one, float32."""
        step = self.plan.steps[number] if number < len(self.plan.steps) else None
        if isinstance(step, (Propagate, Maximum)):
            return self._numbers.message((number, IN))
        if not isinstance(step, Layer):
            return FLOAT
        if step.operator is not None and propagates_first(step):
            return self._numbers.message((number, IN))
        return self._numbers.operand((number, IN))

    def _fused(self, number: int, step: Step, width: int) -> Run:
        takes = self._first if number == 0 else self._wanted(number)
        gives = self._wanted(number + 1)
        match step:
            case Layer(activation="elu"):
                run = self._layer(number, replace(step, activation="none"), takes, FLOAT)
                return lambda x, inputs: gives.of(activate_(run(x, inputs), "elu"))
            case Layer():
                return self._layer(number, step, takes, gives)
            case Propagate(name):
                after = _after(torch.zeros(width), False, takes, gives)
                return lambda x, inputs: spmm(_matrix(inputs, name), x, after)
            case Maximum():
                return lambda x, inputs: gives.of(segment_max(x, _start(inputs), takes.grid))
        run = run_of(step, False)
        return lambda x, inputs: gives.of(run(x, inputs))

    def _layer(self, number: int, layer: Layer, takes: Format, gives: Format) -> Run:
        flat = layer.weight.reshape(-1, layer.in_channels).contiguous()
        relu, name, sparse = layer.activation == "relu", layer.operator, self._sparse and not number
        if name is None:
            product = self._product(number, flat, layer.bias, relu, takes, gives)
            return lambda x, inputs: product(x)
        if propagates_first(layer) and not sparse:
            between = self._numbers.operand((number, BETWEEN))
            product = self._product(number, flat, layer.bias, relu, between, gives)
            after = _after(torch.zeros(layer.in_channels), False, takes, between)
            told = self._watched((number, BETWEEN), lambda x, inputs: product(x))
            return lambda x, inputs: told(spmm(_matrix(inputs, name), x, after), inputs)
        messages = FLOAT if sparse else self._numbers.message((number, BETWEEN))
        product = self._product(number, flat, None, False, takes, messages)
        bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
        after = _after(bias, relu, messages, gives)
        width = layer.out_channels
        summed = self._watched(
            (number, BETWEEN), lambda x, inputs: spmm(_matrix(inputs, name), x, after)
        )
        return lambda x, inputs: summed(product(x).view(-1, width), inputs)

    def _product(
        self,
        number: int,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        takes: Format,
        gives: Format,
    ) -> Product:
        product: Product
        if self._sparse and not number:
            activation = "relu" if relu else "none"
            turned = weight.t().contiguous()
            product = SparseInputs(Linear(turned, bias, activation, sparse=True), gives)  # type: ignore[arg-type]  # one of them
        else:
            product = self._numbers.product(number, weight, bias, relu, takes, gives)
        self._products.append(product)
        return product

    def _watched(self, site: Site, run: Run) -> Run:
        watch = self._watch
        if watch is None:
            return run

        def told(x: Any, inputs: Inputs) -> Tensor:
            if isinstance(x, Tensor):
                watch(site, x)
            return run(x, inputs)

        return told


def _after(bias: Tensor, relu: bool, takes: Format, gives: Format) -> Epilogue:
    return Epilogue(bias.float(), relu, gives.dtype, takes.grid, gives.grid)


def _matrix(inputs: Inputs, name: str) -> Matrix:
    matrix: Any = inputs.operators[name]
    return matrix  # type: ignore[no-any-return]  # `_operator` made it


def _start(inputs: Inputs) -> Tensor:
    return inputs.segments.start  # type: ignore[union-attr]  # a step asks for them

"""Lowerings: what modules of a type compute, registered by type, so that it can be run faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear as PygLinear

from gnnperf.compression.masks import Masks
from gnnperf.deploy.base import DeployError
from gnnperf.deploy.plan import Activation, Layer, Plan
from gnnperf.ops import SparseMatrix
from gnnperf.ops.message_kinds import changed

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Convolution:
    """A layer, and what makes its operator from edge_index [2, edges] and the number of nodes."""

    layer: Layer
    matrix: Callable[[Tensor, int], SparseMatrix]


Form = Plan | Convolution | nn.Module
Lowering = Callable[[Any], Form]
"""Module in eval mode -> its form; raises CannotLowerError. Leaves the module be.

A whole model's is its plan, a convolution's a layer, and any module's another that stands in.
"""

LOWERINGS: dict[type[nn.Module], Lowering] = {}
"""By exact type: a subclass may compute something else."""


class CannotLowerError(DeployError):
    """A module that has a lowering, but for a detail that it does not know."""


def register_lowering(kind: type[nn.Module]) -> Callable[[Lowering], Lowering]:
    """A decorator: the function lowers modules of this type and of no subclass.

    Raises DeployError when the type has another already.
    """

    def register(lowering: Lowering) -> Lowering:
        if LOWERINGS.setdefault(kind, lowering) is not lowering:
            raise DeployError(
                f"{kind.__name__} has a lowering already; subclass it, or change that one"
            )
        return lowering

    return register


def lowered(module: nn.Module) -> Form:
    """The form of a module; raises CannotLowerError where there is none."""
    lowering = LOWERINGS.get(type(module))
    if lowering is None:
        raise CannotLowerError(f"there is no lowering for {type(module).__name__}")
    for name, part in module.named_modules():
        if not isinstance(part, Masks) and (reason := changed(part)):
            raise CannotLowerError(f"{name or type(module).__name__} {reason}")
    with torch.no_grad():
        return lowering(module)


def only(module: nn.Module, *kinds: type[M]) -> M:
    """The module, which has to be of exactly one of these types; raises CannotLowerError."""
    if type(module) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise CannotLowerError(f"a {type(module).__name__} stands where a {names} was expected")
    return module  # type: ignore[return-value]  # checked


def convolution(module: nn.Module) -> Convolution:
    """The layer of a convolution; raises CannotLowerError where there is none."""
    form = lowered(module)
    if not isinstance(form, Convolution):
        raise CannotLowerError(f"the lowering of {type(module).__name__} is of no convolution")
    return form


def linear(
    module: nn.Module,
    activation: Activation = "none",
    operator: str | None = None,
    norm: nn.Module | None = None,
) -> Layer:
    """A linear layer of torch's or PyG's as a step, with the norm that follows it folded in."""
    part: Any = only(module, nn.Linear, PygLinear)
    weight, bias = part.weight.detach(), part.bias
    bias = None if bias is None else bias.detach()
    if norm is not None:
        weight, bias = folded(weight, bias, norm)
    return Layer(weight.unsqueeze(0), bias, activation, operator)


def folded(weight: Tensor, bias: Tensor | None, after: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight [out, in] and bias [out] of a linear layer and the batch normalisation after it."""
    norm = only(after, nn.BatchNorm1d)
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise CannotLowerError("a BatchNorm1d without running statistics reads the batch")
    # In double precision, so that folding rounds once.
    scale = (variance.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -mean.double() if bias is None else bias.double() - mean.double()
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    dtype = weight.dtype
    return (weight.double() * scale.unsqueeze(1)).to(dtype), shift.to(dtype)

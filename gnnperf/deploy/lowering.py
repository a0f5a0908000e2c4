"""Lowerings: how modules of a type are run, registered by type.

One for a whole model gives its `Plan`; one for a layer gives a module that stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear as PygLinear

from gnnperf.deploy.base import DeployError
from gnnperf.deploy.plan import Activation, Layer, Plan

M = TypeVar("M", bound=nn.Module)

Lowering = Callable[[Any], Plan | nn.Module]
"""Module in eval mode -> its plan or its stand-in; raises CannotLower. Leaves the module be."""

LOWERINGS: dict[type[nn.Module], Lowering] = {}
"""By exact type: a subclass may compute something else."""


class CannotLower(DeployError):
    """A module that has a lowering, but for a detail that it does not know."""


def register_lowering(kind: type[M]) -> Callable[[Callable[[M], Plan | nn.Module]], Lowering]:
    """A decorator: the function lowers modules of this type and of no subclass.

    Raises DeployError when the type has another already.
    """

    def register(lowering: Callable[[M], Plan | nn.Module]) -> Lowering:
        if LOWERINGS.setdefault(kind, lowering) is not lowering:
            raise DeployError(
                f"{kind.__name__} has a lowering already; subclass it, or change that one"
            )
        return lowering

    return register


def lowered(module: nn.Module) -> Plan | nn.Module:
    """The plan or stand-in of a module; raises CannotLower where there is none."""
    lowering = LOWERINGS.get(type(module))
    if lowering is None:
        raise CannotLower(f"there is no lowering for {type(module).__name__}")
    for name, part in module.named_modules():
        if reason := _changed(part):
            raise CannotLower(f"{name or type(module).__name__} {reason}")
    with torch.no_grad():
        return lowering(module)


# Of torch: what runs before or after a forward.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_global_forward_hooks")


def _changed(part: nn.Module) -> str | None:
    """Why a module may not compute what its type does."""
    if "forward" in vars(part):
        return "has a forward of its own"
    if any(getattr(part, hooks, None) for hooks in (*_HOOKS, *_PYG_HOOKS)):
        return "has hooks"
    return "is in training mode" if part.training else None


_PYG_HOOKS = tuple(
    f"_{stage}_forward_{when}hooks"
    for stage in ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
    for when in ("", "pre_")
) + ("_explain",)


def only(module: nn.Module, *kinds: type[M]) -> M:
    """The module, which has to be of exactly one of these types; raises CannotLower."""
    if type(module) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise CannotLower(f"a {type(module).__name__} stands where a {names} was expected")
    return module  # type: ignore[return-value]  # checked


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


def folded(weight: Tensor, bias: Tensor | None, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight [out, in] and bias [out] of a linear layer and the batch normalisation after it."""
    only(norm, nn.BatchNorm1d)
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise CannotLower("a BatchNorm1d without running statistics reads the batch")
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

"""What the deployments that run a plan by kernels share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.deploy import kernels, lean
from gnnperf.deploy.base import Deployed
from gnnperf.deploy.dead import without_dead
from gnnperf.deploy.lowering import CannotLowerError, lowered
from gnnperf.deploy.plan import Plan


@dataclass(frozen=True)
class NoPlan:
    """Why a model has none, in words."""

    reason: str


def lean_plan(model: nn.Module) -> Plan | NoPlan:
    """The plan of a model without dead channels, which lies on the processor."""
    if any(tensor.is_cuda for tensor in model.parameters()):
        return NoPlan("the kernels are of the processor, and the model lies on a CUDA device")
    try:
        form = lowered(model)
    except CannotLowerError as error:
        return NoPlan(str(error))
    if not isinstance(form, Plan):
        return NoPlan(f"a {type(model).__name__} computes more than products and sums")
    return without_dead(form)


def lean_instead(model: nn.Module, batches: Sequence[Data], why: str) -> Deployed:
    """The lean form of a model that has no plan, saying what it is not."""
    deployed = lean.lower(model, batches)
    left = "; ".join(part for part in (why, deployed.left) if part)
    return Deployed(deployed.model, deployed.done, left)


def kernels_in_use() -> str:
    """What computes sparse products, in words."""
    reason = kernels.missing()
    return f"kernels by {kernels.computed_by()}" + (f", as {reason}" if reason else "")


@torch.inference_mode()
def warmed(deployed: Deployed, batches: Sequence[Data]) -> Deployed:
    """The same, having run once, so that what it needs is compiled before anybody measures."""
    deployed(deployed.prepare(batches[0]))
    return deployed

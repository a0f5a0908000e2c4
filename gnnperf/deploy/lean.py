"""`lean`: the same model in fewer and cheaper operations of torch, exact to rounding."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch_geometric.data import Data

from gnnperf.deploy.base import Deployed, Deployment
from gnnperf.deploy.dead import without_dead
from gnnperf.deploy.lowering import CannotLowerError, lowered
from gnnperf.deploy.plan import Plan
from gnnperf.deploy.program import Program


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """The lean form of a model; a model that nothing can be done for runs as it is."""
    try:
        form = lowered(model)
    except CannotLowerError as error:
        return Deployed(model, left=f"as it is: {error}")
    if isinstance(form, Plan):
        plan = without_dead(form)
        return Deployed(Program(plan, batches[0]), plan.done)
    name = type(model).__name__
    return Deployed(model, left=f"as it is: the lowering of {name} is of no whole model")


DEPLOYMENT = Deployment("exact, on torch alone: folded, cached, cheaper operations", lower)

"""`lean`: the same model in fewer and cheaper operations of torch, exact to rounding."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch_geometric.data import Data

# These register their lowerings.
from gnnperf.deploy import hgpsl, own, pyg  # noqa: F401
from gnnperf.deploy.base import Deployed, Deployment
from gnnperf.deploy.dead import without_dead
from gnnperf.deploy.lowering import CannotLowerError, lowered
from gnnperf.deploy.messages import with_sparse_messages
from gnnperf.deploy.plan import Plan
from gnnperf.deploy.program import Program


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """The lean form of a model; a model that nothing can be done for runs as it is."""
    try:
        form = lowered(model)
        if isinstance(form, Plan):
            plan = without_dead(form)
            return Deployed(Program(plan, batches[0]), plan.done)
        if isinstance(form, nn.Module):
            said: Sequence[str] = getattr(form, "done", [f"{type(model).__name__} replaced"])
            return Deployed(form, said)
        reason = f"a {type(model).__name__} is no whole model"
    except CannotLowerError as error:
        reason = str(error)
    messages, done, left = with_sparse_messages(model, batches[0])
    if messages is not None:
        return Deployed(messages, done, "; ".join(left))
    return Deployed(model, left="as it is: " + "; ".join([reason, *left]))


DEPLOYMENT = Deployment("exact, on torch alone: folded, cached, cheaper operations", lower)

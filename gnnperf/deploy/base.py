"""What a deployment is, what it gives, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.errors import GnnperfError
from gnnperf.ops.bounded import bounded_messages


class DeployError(GnnperfError):
    """A deployment that is unknown, cannot be had here, or does not keep its promise."""


@dataclass(frozen=True)
class Promise:
    """How closely a deployed model answers as the model that it was made from.

    Attributes:
        agreement: least share of rows with the same class.
        logit_difference: greatest difference of a logit, over the greatest logit where that is
            above 1; None: none is promised. Classes nearer to each other are a tie, and either is
            right.
    """

    agreement: float
    logit_difference: float | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing but rounding may differ."""
        return self.agreement == 1.0 and self.logit_difference is not None


EXACT = Promise(agreement=1.0, logit_difference=1e-5)
"""The same model, computed in another order."""


class Deployed(nn.Module):
    """A model as it runs where it is shipped; `forward(data)` gives what the model gives.

    Attributes:
        model: computes. It may have `prepare(data) -> data`, which keeps what depends on the graph
            alone; `deployed_bytes`, where that is more than its parameters and buffers; and
            `compilations`, how often it has compiled something so far.
        done: what was done to it, a short phrase each; empty where nothing could be done.
        left: why nothing could be done, or what was left as it is; empty where all was lowered.
        deploy_seconds: wall time of making it; `gnnperf.deploy.deploy` fills it in.
    """

    def __init__(self, model: nn.Module, done: Sequence[str] = (), left: str = "") -> None:
        super().__init__()
        self.model, self.done, self.left = model, tuple(done), left
        self.deploy_seconds = 0.0
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode, whatever is asked for: it is made for inference alone."""
        return super().train(False)

    @property
    def deployed_bytes(self) -> int:
        """Bytes of the weights that lie in memory while it runs, each storage counted once."""
        said: int | None = getattr(self.model, "deployed_bytes", None)
        return resident_bytes(self.model) if said is None else said

    @property
    def compilations(self) -> int:
        """How often it has compiled something so far; inside timed rounds it never may."""
        count: int = getattr(self.model, "compilations", 0)
        return count

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with what every forward on it reuses."""
        prepare: Callable[[Data], Data] | None = getattr(self.model, "prepare", None)
        return data if prepare is None else prepare(data)

    def forward(self, data: Data) -> Any:
        """What the model gives; faster on data that went through `prepare`."""
        return self.model(data)


def resident_bytes(model: nn.Module) -> int:
    """Bytes of a module's parameters and buffers; what two names share counts once."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in (*model.parameters(), *model.buffers())
    }
    return sum(storages.values())


Lower = Callable[[nn.Module, Sequence[Data]], Deployed]
"""(model in eval mode, some batches of its training part) -> how it runs; leaves the model be.

The batches are there to calibrate, to try which way is faster, and for their shapes.
"""


@dataclass(frozen=True)
class Deployment:
    """One way to run a compressed model; registered in DEPLOYMENTS.

    Attributes:
        about: one line for people.
        lower: makes the model that runs.
        promise: what every case is held to.
        available: why it cannot be had here, in one sentence; None where it can.
    """

    about: str
    lower: Lower
    promise: Promise = EXACT
    available: Callable[[], str | None] = lambda: None

    @property
    def exact(self) -> bool:
        """Whether nothing but rounding may differ."""
        return self.promise.exact


@dataclass(frozen=True)
class Agreement:
    """How closely two models answer.

    Attributes:
        classes: share of rows with the same class; a tie is one.
        logit_difference: greatest difference of a logit, over the greatest logit where that is
            above 1.
        rows: how many were compared.
    """

    classes: float
    logit_difference: float
    rows: int


@torch.inference_mode()
def agreement(
    model: nn.Module, deployed: Deployed, batches: Sequence[Data], promise: Promise
) -> Agreement:
    """Compare a deployed model with the one that it was made from, on the batches as they are.

    Raises DeployError where they give other shapes. What is not a number keeps no promise.
    """
    if not batches:
        return Agreement(1.0, 0.0, 0)
    with bounded_messages(model):
        pairs = [(_logits(model(b)), _logits(deployed(deployed.prepare(b)))) for b in batches]
    for expected, found in pairs:
        if expected.shape != found.shape:
            raise DeployError(
                f"the deployed model gave {list(found.shape)} for {list(expected.shape)}; deploy "
                "the model as it is, or mend its lowering"
            )
    same = torch.cat([_same_class(expected, found, promise) for expected, found in pairs])
    if not len(same):
        return Agreement(1.0, 0.0, 0)
    # torch's maximum, unlike Python's, is NaN where any entry is.
    every = torch.cat([expected.flatten() for expected, _ in pairs])
    apart = (every - torch.cat([found.flatten() for _, found in pairs])).abs().max()
    return Agreement(
        float(same.double().mean()), float(apart / every.abs().max().clamp(min=1)), len(same)
    )


def _logits(output: Any) -> Tensor:
    """In double precision on the processor."""
    if not isinstance(output, Tensor):
        raise DeployError(
            f"the model gave a {type(output).__name__}, and agreement is told of tensors; let "
            "forward return the logits alone"
        )
    return output.detach().to("cpu", torch.float64)


def _same_class(expected: Tensor, found: Tensor, promise: Promise) -> Tensor:
    """Mask [n] of logits [n, classes], or of logits [n] of one class against none."""
    if expected.dim() < 2:
        same, apart = (expected > 0) == (found > 0), expected.abs()
    else:
        same = expected.argmax(-1) == found.argmax(-1)
        chosen = expected.gather(-1, found.argmax(-1, keepdim=True)).squeeze(-1)
        apart = expected.amax(-1) - chosen
    if promise.logit_difference is not None and expected.numel():
        same |= apart <= 2 * promise.logit_difference * expected.abs().max().clamp(min=1)
    return same.flatten()


def broken_promise(found: Agreement, promise: Promise) -> str | None:
    """In words, how an agreement falls short of a promise; None where it is kept."""
    if not found.classes >= promise.agreement:
        return (
            f"{found.classes:.4f} of {found.rows} rows have the same class, "
            f"{promise.agreement:g} are promised"
        )
    limit = promise.logit_difference
    if limit is not None and not found.logit_difference <= limit:
        return f"a logit differs by {found.logit_difference:.1e}, {limit:g} is promised"
    return None

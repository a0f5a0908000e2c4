"""Models that somebody brought: copied, and those with lazy layers given their sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gnnperf.errors import GnnperfError

M = TypeVar("M", bound=nn.Module)


def copied(model: M) -> M:
    """A deep copy; what a forward left in a module is copied without its graph.

    Attention scores that are kept for a loss, or weights that `torch.nn.utils.prune` computes, hang
    on one, and torch refuses to copy such, and sparse parameters too. Raises GnnperfError for what
    cannot be copied at all.
    """
    kept = {id(t): _copy(t) for m in model.modules() for t in _refused(vars(m))}
    try:
        return deepcopy(model, kept)
    except (TypeError, RuntimeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise GnnperfError(
            f"the model {type(model).__name__} cannot be copied, which everything that is done to "
            f"it begins with ({reason}); give it a __deepcopy__, or keep that out of the module"
        ) from error


def _copy(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    return nn.Parameter(copy, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copy


def _refused(value: Any) -> Iterator[Tensor]:
    """The tensors in a module's attributes that torch would not copy."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None or value.layout != torch.strided:
            yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _refused(inner)


def lazy_names(model: nn.Module) -> list[str]:
    """Parameters and buffers that have no size before a first forward."""
    state = chain(model.named_parameters(), model.named_buffers())
    return [name for name, tensor in state if is_lazy(tensor)]


@torch.no_grad()
def materialize(model: nn.Module, batch: Any) -> None:
    """Give lazy layers their sizes by one forward in eval mode; the model's mode is given back.

    Raises GnnperfError for one that the forward does not reach.
    """
    prepare = getattr(model, "prepare", None)
    training = model.training
    model.eval()
    try:
        model(batch if prepare is None else prepare(batch))
    finally:
        model.train(training)
    if left := lazy_names(model):
        raise GnnperfError(
            f"{left[0]} of the model {type(model).__name__} has no size, and a forward does not "
            "reach it; give its layer both sizes, or leave it out"
        )

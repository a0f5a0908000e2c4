"""Tied weights: one tensor under several names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gnnperf.errors import GnnperfError


def ties(model: nn.Module) -> dict[str, str]:
    """Further names of a parameter or buffer -> the first; empty where nothing is tied."""
    first: dict[int, str] = {}
    further: dict[str, str] = {}
    for name, tensor in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        if first.setdefault(id(tensor), name) != name:
            further[name] = first[id(tensor)]
    return further


def tie(model: nn.Module, further: Mapping[str, str]) -> None:
    """Make them one again, in place, where loading put a tensor under each name."""
    for name, first in further.items():
        owner, _, attribute = name.rpartition(".")
        home, _, original = first.rpartition(".")
        one = getattr(model.get_submodule(home), original)
        setattr(model.get_submodule(owner), attribute, one)


def whole_state(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """A state with every name of a tied weight, of which files may keep one alone.

    Raises GnnperfError where the names of one weight have different values.
    """
    whole, tied = dict(state), ties(model)
    for name, first in tied.items():
        if name in whole:
            _require_equal(name, first, whole[name], whole.setdefault(first, whole[name]))
    return whole | {name: whole[first] for name, first in tied.items() if first in whole}


def _require_equal(name: str, first: str, one: Any, other: Any) -> None:
    if one is other or not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return
    if one.shape != other.shape or not torch.equal(one.cpu(), other.cpu()):
        raise GnnperfError(
            f"the model ties {name} to {first}, and they are two different tensors in the "
            "state; tie them before it is saved, or untie the model"
        )

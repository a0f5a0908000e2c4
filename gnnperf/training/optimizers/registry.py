"""The optimizers that training settings may name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from torch import nn

from gnnperf.errors import GnnperfError
from gnnperf.training.settings import TrainSettings

Factory = Callable[[nn.Module, TrainSettings], torch.optim.Optimizer]

OPTIMIZERS: dict[str, str | Factory] = {
    "adam": "gnnperf.training.optimizers.adam:adam",
    "adamw": "gnnperf.training.optimizers.adam:adamw",
    "kfac-adam": "gnnperf.training.optimizers.kfac:kfac_adam",
    "role-adam": "gnnperf.training.optimizers.role_adam:role_adam",
    "target-adam": "gnnperf.training.optimizers.target_adam:target_adam",
}
"""(model, settings) -> optimizer, by name; a new one is a module and an entry here.

Named as text, so that a training rests on the file of its own optimizer alone.
"""

WITH_L2 = {"adamw": "adam"}
"""Optimizers whose weight decay is no L2 regularization, and the ones in which it is."""


def find_optimizer(name: str) -> Factory:
    """Look an optimizer up; raises GnnperfError that lists those there are."""
    found = OPTIMIZERS.get(name)
    if found is None:
        known = ", ".join(sorted(OPTIMIZERS))
        raise GnnperfError(f"unknown optimizer {name!r}; there are {known}")
    if callable(found):
        return found
    module, _, function = found.partition(":")
    factory: Factory = getattr(import_module(module), function)
    return factory

"""The optimizers that training settings may name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gnnperf.training.optimizers.kfac import KfacAdam
from gnnperf.training.optimizers.role_adam import role_adam
from gnnperf.training.settings import TrainSettings

Factory = Callable[[nn.Module, TrainSettings], torch.optim.Optimizer]


def _fused(kind: type[torch.optim.Adam]) -> Factory:
    # Fused: half the time of a step on models of many small tensors.
    return lambda model, settings: kind(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _kfac_adam(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    return KfacAdam(model, lr=settings.learning_rate, weight_decay=settings.weight_decay)


OPTIMIZERS: dict[str, Factory] = {
    "adam": _fused(torch.optim.Adam),
    "adamw": _fused(torch.optim.AdamW),
    "kfac-adam": _kfac_adam,
    "role-adam": role_adam,
}
"""(model, settings) -> optimizer, by name; a new one is a module and an entry here."""

WITH_L2 = {"adamw": "adam"}
"""Optimizers whose weight decay is no L2 regularization, and the ones in which it is."""

"""Adam whose learning rate depends on what a parameter is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from gnnperf.training.settings import TrainSettings

ROLE_RATES = {"feature_steps": 0.02, "weight_steps": 0.02, "feature_bits": 0.008}
"""Learning rate by role (A2Q); every other parameter is a weight and has the settings' own."""

HALVED_EVERY_EPOCHS = 50


class RoleAdam(torch.optim.AdamW):
    """Adam with a group for each role; all rates are halved every 50 epochs.

    A module says what its parameters are for in `parameter_roles`, a dict from parameter name to
    role. Weight decay falls on weights alone and is decoupled: added to Adam's gradient, it would
    draw all weights into their zero code.

    Attributes:
        rates: learning rate by role.
    """

    rates: ClassVar[Mapping[str, float]] = ROLE_RATES

    def __init__(self, model: nn.Module, lr: float, weight_decay: float) -> None:
        self._epochs = 0
        roles: dict[int, str] = {}
        for module in model.modules():
            named: dict[str, str] = getattr(module, "parameter_roles", {})
            for name, role in named.items():
                roles[id(module.get_parameter(name))] = role
        groups: dict[str, list[nn.Parameter]] = {}
        for parameter in model.parameters():
            groups.setdefault(roles.get(id(parameter), "weights"), []).append(parameter)
        super().__init__(
            [
                {
                    "params": members,
                    "lr": self.rates.get(role, lr),
                    "weight_decay": 0.0 if role in self.rates else weight_decay,
                }
                for role, members in groups.items()
            ],
            fused=True,
        )

    def end_epoch(self) -> None:
        """Called by `fit` after each epoch."""
        self._epochs += 1
        if self._epochs % HALVED_EVERY_EPOCHS == 0:
            for group in self.param_groups:
                group["lr"] /= 2


def role_adam(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """For the registry of optimizers."""
    return RoleAdam(model, settings.learning_rate, settings.weight_decay)

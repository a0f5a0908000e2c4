"""Adam by role with rates at which bit-widths can move, and modules that are told of epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import nn

from gnnperf.training.optimizers.role_adam import RoleAdam
from gnnperf.training.settings import TrainSettings


class TargetAdam(RoleAdam):
    """RoleAdam whose bits may cross from 4 to 1 in some thirty steps, and whose rates stay.

    Modules with a method `end_epoch()` are told when an epoch ends.
    """

    rates: ClassVar = {"feature_steps": 0.04, "weight_steps": 0.02, "feature_bits": 0.1}

    def __init__(self, model: nn.Module, lr: float, weight_decay: float) -> None:
        super().__init__(model, lr, weight_decay)
        told = (getattr(module, "end_epoch", None) for module in model.modules())
        self._told: list[Callable[[], None]] = [tell for tell in told if tell is not None]

    def end_epoch(self) -> None:
        """Called by `fit` after each epoch."""
        for tell in self._told:
            tell()


def target_adam(model: nn.Module, settings: TrainSettings) -> TargetAdam:
    """For the registry of optimizers."""
    return TargetAdam(model, settings.learning_rate, settings.weight_decay)

"""Torch's own Adam and AdamW."""

from __future__ import annotations

import torch
from torch import nn

from gnnperf.training.settings import TrainSettings


def adam(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Its weight decay is added to the gradient: L2 regularization."""
    return _fused(torch.optim.Adam, model, settings)


def adamw(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Its weight decay shrinks weights beside the gradient."""
    return _fused(torch.optim.AdamW, model, settings)


def _fused(
    kind: type[torch.optim.Adam], model: nn.Module, settings: TrainSettings
) -> torch.optim.Optimizer:
    # Fused: half the time of a step on models of many small tensors.
    return kind(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )

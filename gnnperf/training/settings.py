"""How long and with what a model is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainSettings:
    """Plain data that decides a training; part of the checkpoint's key.

    Attributes:
        epochs: at most so many passes over the training part.
        learning_rate: of the optimizer.
        weight_decay: of the optimizer, added to the gradient.
        patience: stop after so many validations without a better score; None: never.
        validate_every: epochs between validations.
        select: the validation score whose best epoch is kept, one that the task gives; None: the
            task's metric. Its direction stands in `gnnperf.training.metrics.METRICS`.
        clip_value: bound on each gradient entry; None: none.
        average: the share of its old value that an exponential moving average of the weights
            keeps in a step, 0.99 say; the average is validated and kept in place of the weights.
            None: no average. Weights that a hook sets to zero half-way stay in it for a while.
        optimizer: a name in `gnnperf.training.optimizers.registry.OPTIMIZERS`.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    patience: int | None = None
    validate_every: int = 1
    select: str | None = None
    clip_value: float | None = None
    average: float | None = None
    optimizer: str = "adam"

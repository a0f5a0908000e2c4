"""Training by a function of the workload's own, with what recipes hold held all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from gnnperf.errors import GnnperfError
from gnnperf.training.fit import FitReport, evaluate, finite
from gnnperf.training.metrics import metric_named
from gnnperf.training.seeding import seeded
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Parts, Task, require_score
from gnnperf.training.tasks.loaders import Drawn

OwnFit = Callable[[nn.Module, Parts, TrainSettings, int], None]
"""(model, parts, settings, seed): trains the model in place. A part that draws anew does so each
time that it is iterated; torch's generators are seeded."""


def fit_by(
    own: OwnFit,
    model: nn.Module,
    task: Task,
    parts: Parts,
    settings: TrainSettings,
    *,
    seed: int,
    keep_start: bool = False,
    after_step: Callable[[nn.Module], None] | None = None,
    first_epoch: int = 1,
    progress: str = "",
) -> FitReport:
    """Let the workload's own function train in place of `fit`, and leave the model in eval mode.

    `after_step` runs after each step of every torch optimizer. With `keep_start` the starting
    weights come back where the training left worse ones on validation. Which epoch is kept and
    what a progress bar shows is the function's own affair. Raises GnnperfError where masks are to
    be held and no torch optimizer stepped.
    """
    started = time.perf_counter()
    require_score(task, settings.select)
    metric = metric_named(settings.select or task.metric)
    before = evaluate(model, task, parts.validation) if keep_start else None
    start = deepcopy(model.state_dict()) if keep_start else None
    train: Any = parts.train.anew() if isinstance(parts.train, Drawn) else parts.train
    steps = 0

    def hold(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if after_step is not None:
            after_step(model)

    hook = register_optimizer_step_post_hook(hold)
    model.train()
    try:
        with seeded(seed):
            own(model, replace(parts, train=train), settings, seed)
    finally:
        hook.remove()
    model.eval()
    if after_step is not None and not steps:
        raise GnnperfError(
            "the workload's own fit stepped no torch.optim optimizer, so that what the recipe "
            "removed cannot be held; let it train with one"
        )
    epochs, seconds = settings.epochs, time.perf_counter() - started
    if finite(model):
        after = evaluate(model, task, parts.validation)
        report = FitReport(epochs, epochs, seconds, after, by_own_fit=True)
    else:
        report = FitReport(0, epochs, seconds, {}, diverged_epoch=epochs, by_own_fit=True)
    if before is None or start is None:
        return report
    name = metric.name
    if report.validation and metric.worse_by(before[name], report.validation[name]) <= 0:
        return report
    model.load_state_dict(start)
    return replace(report, best_epoch=0, validation=before)

"""The one training loop: any model, any task, best epoch on validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch_geometric.data import Data
from tqdm import tqdm

from gnnperf.ops.bounded import MESSAGE_BYTES, bounded_messages
from gnnperf.training.metrics import metric_named
from gnnperf.training.optimizers.registry import find_optimizer
from gnnperf.training.seeding import seeded
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Parts, Scores, Task, require_score, unknown_score
from gnnperf.training.tasks.loaders import Drawn


@dataclass(frozen=True)
class FitReport:
    """How a training went.

    Attributes:
        best_epoch: the epoch whose weights were kept, from 1; 0 are the weights it began with.
        epochs: epochs that ran.
        wall_seconds: with validation.
        validation: scores of the kept weights; empty when no epoch gave any that are usable.
        diverged_epoch: the epoch that left weights which are not finite, and ended the training.
        by_own_fit: whether the workload's own `fit` trained, which says of no epochs; they are
            those of the settings then.
    """

    best_epoch: int
    epochs: int
    wall_seconds: float
    validation: Scores
    diverged_epoch: int | None = None
    by_own_fit: bool = False

    @property
    def kept(self) -> str:
        """Which weights were kept, in words."""
        if self.by_own_fit and self.best_epoch:
            return "what the workload's own fit left"
        if self.best_epoch:
            return f"epoch {self.best_epoch}"
        return "start" if self.validation else "none usable"


def prepared(model: nn.Module, parts: Parts) -> Parts:
    """The parts with what the model derives from a graph alone computed once.

    A model with a method `prepare(data) -> data` says what that is.
    """
    prepare: Callable[[Data], Data] | None = getattr(model, "prepare", None)
    return parts if prepare is None else parts.each(prepare)


def evaluate(model: nn.Module, task: Task, batches: Sequence[Data]) -> Scores:
    """Scores of the model in eval mode without gradients; the model's mode is given back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), bounded_messages(model, message_bytes_of(task)):
            return task.evaluate(model, batches)
    finally:
        model.train(training)


def fit(
    model: nn.Module,
    task: Task,
    parts: Parts,
    settings: TrainSettings,
    *,
    seed: int,
    keep_start: bool = False,
    first_epoch: int = 1,
    after_step: Callable[[nn.Module], None] = lambda model: None,
    progress: str = "",
) -> FitReport:
    """Train in place and leave the weights of the best validation epoch, in eval mode.

    Args:
        model: trained where it lies; the parts lie on the same device.
        task: gives loss and scores.
        parts: prepared batches; test is not looked at.
        settings: epochs, rates, patience.
        seed: decides dropout and everything else that is drawn.
        keep_start: the starting weights compete too, so that the result is never worse on
            validation than the start.
        first_epoch: earlier ones are not validated and cannot be kept.
        after_step: called after each optimizer step; masks are held here.
        progress: what to call the training on a progress bar; empty: no bar. There is none
            either where stderr is no terminal.
    """
    started = time.perf_counter()
    require_score(task, settings.select)
    optimizer = find_optimizer(settings.optimizer)(model, settings)
    # An optimizer with a method `end_epoch()` has a schedule of its own.
    end_epoch: Callable[[], None] = getattr(optimizer, "end_epoch", lambda: None)
    candidate, after_step = _with_average(model, settings, after_step)
    best = _Best(candidate, task, settings)
    if keep_start:
        best.offer(0, evaluate(candidate, task, parts.validation))
    epoch, diverged = 0, None
    with seeded(seed):
        epochs = range(1, settings.epochs + 1)
        # disable=None: only where stderr is a terminal.
        for epoch in tqdm(epochs, progress, leave=False, disable=None if progress else True):
            _one_epoch(model, task, parts.train, optimizer, settings, after_step)
            end_epoch()
            if not finite(model):
                diverged = epoch
                break
            if epoch < first_epoch:
                continue
            if epoch % settings.validate_every == 0 or epoch == settings.epochs:
                best.offer(epoch, evaluate(candidate, task, parts.validation))
                if settings.patience is not None and best.misses >= settings.patience:
                    break
    if best.state is not None:
        model.load_state_dict(best.state)
    model.eval()
    return FitReport(best.epoch, epoch, time.perf_counter() - started, best.scores, diverged)


def message_bytes_of(task: Task) -> int:
    """From how many bytes on a convolution's messages are bounded; a task may say otherwise."""
    return int(getattr(task, "message_bytes", MESSAGE_BYTES))


def finite(model: nn.Module) -> bool:
    """Whether every weight is a number."""
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def _with_average(
    model: nn.Module, settings: TrainSettings, after_step: Callable[[nn.Module], None]
) -> tuple[nn.Module, Callable[[nn.Module], None]]:
    """The model whose weights compete on validation, and what to call after each step."""
    if settings.average is None:
        return model, after_step
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.average))

    def after(model: nn.Module) -> None:
        after_step(model)
        averaged.update_parameters(model)

    return averaged.module, after


class _Best:
    """The best validated weights so far."""

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings) -> None:
        self._model, self._task = model, task
        self._metric = metric_named(settings.select or task.metric)
        self.epoch, self.scores, self.misses = 0, Scores(), 0
        self.state: dict[str, Any] | None = None
        self._rank = float("-inf")

    def offer(self, epoch: int, scores: Scores) -> None:
        if self._metric.name not in scores:
            raise unknown_score(self._task, self._metric.name, list(scores))
        value = scores[self._metric.name]
        rank = value if self._metric.higher_is_better else -value
        if rank > self._rank:
            self._rank, self.epoch, self.scores, self.misses = rank, epoch, scores, 0
            self.state = deepcopy(self._model.state_dict())
        else:
            self.misses += 1


def _one_epoch(
    model: nn.Module,
    task: Task,
    batches: Sequence[Data],
    optimizer: torch.optim.Optimizer,
    settings: TrainSettings,
    after_step: Callable[[nn.Module], None],
) -> None:
    model.train()
    for batch in _shuffled(batches):
        optimizer.zero_grad()
        with bounded_messages(model, message_bytes_of(task)):
            loss = task.loss(model, batch)
        loss.backward()
        if settings.clip_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)
        optimizer.step()
        after_step(model)


def _shuffled(batches: Sequence[Data]) -> Iterator[Data]:
    """The batches of an epoch: in another order each time, or drawn anew."""
    if isinstance(batches, Drawn):
        yield from batches.anew()
        return
    order = torch.randperm(len(batches)).tolist() if len(batches) > 1 else [0]
    for index in order:
        yield batches[index]

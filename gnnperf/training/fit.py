"""The one training loop: any model, any task, best epoch on validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch_geometric.data import Data
from tqdm import tqdm

from gnnperf.training.optimizers import OPTIMIZERS
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks import Parts, Scores, Task

TRAINING_VERSION = 2
"""Part of every checkpoint's key: raise it when the loop's results change."""


@dataclass(frozen=True)
class FitReport:
    """How a training went.

    Attributes:
        best_epoch: the epoch whose weights were kept, from 1; 0 are the weights it began with.
        epochs: epochs that ran.
        wall_seconds: with validation.
        validation: scores of the kept weights.
    """

    best_epoch: int
    epochs: int
    wall_seconds: float
    validation: Scores


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generators inside, and give the caller's state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def prepared(model: nn.Module, parts: Parts) -> Parts:
    """The parts with what the model derives from a graph alone computed once.

    A model with a method `prepare(data) -> data` says what that is.
    """
    prepare: Callable[[Data], Data] | None = getattr(model, "prepare", None)
    if prepare is None:
        return parts
    return Parts(*([prepare(b) for b in p] for p in (parts.train, parts.validation, parts.test)))


def evaluate(model: nn.Module, task: Task, batches: Sequence[Data]) -> Scores:
    """Scores of the model in eval mode without gradients; the model's mode is given back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
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
        after_step: called after each optimizer step; masks are held here.
        progress: what to call the training on a progress bar; empty: no bar. There is none
            either where stderr is no terminal.
    """
    started = time.perf_counter()
    optimizer = OPTIMIZERS[settings.optimizer](model, settings)
    # An optimizer with a method `end_epoch()` has a schedule of its own.
    end_epoch: Callable[[], None] = getattr(optimizer, "end_epoch", lambda: None)
    best = _Best(model, settings.select or task.metric)
    if keep_start:
        best.offer(0, evaluate(model, task, parts.validation))
    epoch = 0
    with seeded(seed):
        epochs = range(1, settings.epochs + 1)
        # disable=None: only where stderr is a terminal.
        for epoch in tqdm(epochs, progress, leave=False, disable=None if progress else True):
            _one_epoch(model, task, parts.train, optimizer, settings, after_step)
            end_epoch()
            if epoch % settings.validate_every == 0 or epoch == settings.epochs:
                best.offer(epoch, evaluate(model, task, parts.validation))
                if settings.patience is not None and best.misses >= settings.patience:
                    break
    model.load_state_dict(best.state)
    model.eval()
    return FitReport(best.epoch, epoch, time.perf_counter() - started, best.scores)


class _Best:
    """The best validated weights so far."""

    def __init__(self, model: nn.Module, metric: str) -> None:
        self._model, self._metric = model, metric
        self.epoch, self.scores, self.misses = 0, Scores(), 0
        self.state = deepcopy(model.state_dict())
        self._rank = float("-inf")

    def offer(self, epoch: int, scores: Scores) -> None:
        value = scores[self._metric]
        rank = -value if self._metric == "loss" else value
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
    order = torch.randperm(len(batches)).tolist() if len(batches) > 1 else [0]
    for index in order:
        optimizer.zero_grad()
        task.loss(model, batches[index]).backward()
        if settings.clip_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)
        optimizer.step()
        after_step(model)

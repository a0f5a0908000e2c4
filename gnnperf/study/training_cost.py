"""The pass that trains a case once more, for what its training takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from gnnperf.compression import Compressed
from gnnperf.errors import GnnperfError
from gnnperf.meters.base import Readings
from gnnperf.meters.registry import MeterOptions
from gnnperf.meters.training import Window, none, training_readings
from gnnperf.recipes import METHODS, Method, compress, own_methods, parse_recipe
from gnnperf.system.machine import settle_threads, tune_allocator
from gnnperf.training import FitReport, Parts, Trained, fit_cached
from gnnperf.training.modules import copied
from gnnperf.training.trained import around_trainings, no_training


def training_cost(compressed: Compressed, options: MeterOptions) -> Readings:
    """CPU, wall time, energy and peak memory of the recipe's trainings, or of the base's.

    The base's where the recipe trained nothing. A recipe that quantizes goes on from a trained
    base; here it begins with initial weights, under the base's own settings, so that it can stand
    beside a training of the dense model.
    """
    twin = compressed.twin
    if not twin.trainable:
        return none(str(no_training(twin.workload)))
    recipe = "" if compressed.finetuned is None else compressed.recipe
    if compressed.finetuned is not None and not recipe:
        return none("the case was not made by a recipe, which could train it again")
    if not recipe and not twin.report.epochs:
        return none("the base came trained, from a checkpoint; leave `checkpoint` out to train it")
    first = parse_recipe(recipe).steps[0].method.kind if recipe else ""
    what = "the recipe's training" if recipe else "the dense base's training"
    if first == "quantize":
        what += " from initial weights"
    base = _plain(twin, anew=first == "quantize")
    methods = own_methods(recipe) if recipe else {}
    work = TrainAnew(base, recipe, torch.get_num_threads(), methods)
    return training_readings(work, options, what)


@dataclass(frozen=True)
class TrainAnew:
    """Trains what a case trained, again and in full; goes to another process.

    Attributes:
        trained: the base, without a cache.
        recipe: whose trainings are wanted; empty: the base's own.
        threads: to compute with.
        methods: of the recipe that are not gnnperf's, which the other process does not know.
    """

    trained: Trained
    recipe: str
    threads: int
    methods: Mapping[str, Method] = field(default_factory=dict)

    def __call__(self, window: Window) -> int:
        """Do it, each training in a window; gives the epochs that ran."""
        settle_threads(self.threads)
        tune_allocator()
        METHODS.update(self.methods)
        epochs = []

        def around(train: Callable[[], FitReport]) -> FitReport:
            with window():
                report = train()
            epochs.append(report.epochs)
            return report

        with around_trainings(around):
            if self.recipe:
                compress(self.trained, self.recipe)
            else:
                base = self.trained
                fit_cached(base, base.fresh(), base.train, by=__name__)
        return sum(epochs)


def _plain(twin: Trained, anew: bool) -> Trained:
    """The base with what it makes and keeps made, so that it can be sent, and nothing cached."""
    parts, first = twin.parts, twin.fresh()
    base = replace(twin, split=_Parts(parts), fresh=_Fresh(first, twin.seed), checkpoints=None)
    if anew:
        base = replace(base, model=copied(first).eval(), finetune=twin.train)
    return base


@dataclass(frozen=True)
class _Parts:
    parts: Parts

    def __call__(self) -> Parts:
        return self.parts


@dataclass(frozen=True)
class _Fresh:
    model: nn.Module
    seed: int

    def __call__(self, draw: int | None = None) -> nn.Module:
        if draw not in (None, self.seed):
            raise GnnperfError("a training from weights that are drawn anew is not metered")
        return copied(self.model)

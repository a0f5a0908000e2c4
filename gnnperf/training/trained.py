"""A trained model with everything that is needed to go on with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from gnnperf.training.checkpoints import Checkpoint, cached, key_of
from gnnperf.training.fit import FitReport, evaluate, fit
from gnnperf.training.keys import what_decides
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Parts, Scores, Task


@dataclass(frozen=True)
class Trained:
    """A dense model trained on a workload: what recipes start from, and the twin they meet.

    Attributes:
        workload: its id with the data's source, `cora_node-spline` or `cora_node~synthetic-spline`.
        seed: of initialisation, training and split.
        model: in eval mode, on its device.
        task: loss and scores.
        parts: prepared batches on the model's device.
        train: settings that the base was trained with.
        finetune: settings for training on after a recipe.
        report: how the training went.
        data: the dataset's origin and fingerprint, for the record's provenance.
        fresh: gives the untrained model on the device: `fresh()` with this seed's initial weights,
            `fresh(n)` with those of seed n.
        checkpoints: folder in which `fit_cached` keeps trainings; None: it keeps none.
    """

    workload: str
    seed: int
    model: nn.Module
    task: Task
    parts: Parts
    train: TrainSettings
    finetune: TrainSettings
    report: FitReport
    data: dict[str, str]
    fresh: Callable[..., nn.Module]
    checkpoints: Path | None = None

    def test_scores(self) -> Scores:
        """Scores on the test part, computed now."""
        return evaluate(self.model, self.task, self.parts.test)


def fit_cached(
    trained: Trained,
    model: nn.Module,
    settings: TrainSettings,
    *,
    variant: str,
    hooks: tuple[Callable[..., object], ...] = (),
    **options: Any,
) -> FitReport:
    """`fit` a model on the base's task, parts and seed, from the cache where it was done before.

    Args:
        trained: the base.
        model: trained in place. All that decides its training lies in its state, its `repr`, the
            source files of its modules, and the arguments here.
        settings: epochs, rates, patience.
        variant: what the hooks do, where their source does not say it all: a schedule's numbers.
        hooks: functions whose source files decide the result too.
        options: `fit`'s own (keep_start, after_step ...).
    """

    def train() -> Checkpoint:
        report = fit(model, trained.task, trained.parts, settings, seed=trained.seed, **options)
        return {"state": model.state_dict(), "report": asdict(report)}

    if trained.checkpoints is None:
        return FitReport(**train()["report"])
    called = [option for option in options.values() if callable(option)]
    decides = what_decides(
        model,
        trained.task,
        settings,
        trained.seed,
        trained.data["fingerprint"],
        hooks=[*hooks, *called],
    )
    plain = {name: option for name, option in options.items() if not callable(option)}
    key = key_of({**decides, "variant": variant, "options": plain})
    name = f"{trained.workload}-seed{trained.seed}-{key}.ckpt"
    checkpoint = cached(trained.checkpoints / name, train)
    model.load_state_dict(checkpoint["state"])
    model.eval()
    return FitReport(**checkpoint["report"])

"""A trained model with everything that is needed to go on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import nn

from gnnperf.errors import GnnperfError
from gnnperf.system.store import key_of
from gnnperf.training.checkpoints import Checkpoint, cached
from gnnperf.training.fit import FitReport, evaluate, fit
from gnnperf.training.keys import training_decides
from gnnperf.training.own_fit import OwnFit, fit_by
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Parts, Scores, Task
from gnnperf.training.tasks.given import Score


@dataclass(frozen=True)
class Trained:
    """A dense model trained on a workload: what recipes start from, and the twin they meet.

    Attributes:
        workload: its id with the data's source, `cora_node-spline` or `cora_node~synthetic-spline`.
        seed: of initialisation, training and split.
        model: in eval mode, on its device.
        task: loss and scores.
        split: gives the prepared batches on the model's device; called when they are needed.
        train: settings that the base was trained with.
        finetune: settings for training on after a recipe.
        report: how the training went.
        data: the dataset's origin, fingerprint and sizes, for the record's provenance.
        fresh: gives the untrained model on the device: `fresh()` with this seed's initial weights,
            `fresh(n)` with those of seed n.
        checkpoints: folder in which `fit_cached` keeps trainings; None: it keeps none.
        own_fit: the workload's own training, in place of `fit`.
        trainable: whether recipes may train it; a model that was given ready has no settings to.
    """

    workload: str
    seed: int
    model: nn.Module
    task: Task
    split: Callable[[], Parts]
    train: TrainSettings
    finetune: TrainSettings
    report: FitReport
    data: dict[str, str]
    fresh: Callable[..., nn.Module]
    checkpoints: Path | None = None
    own_fit: OwnFit | None = None
    trainable: bool = True

    @staticmethod
    def of(
        model: nn.Module,
        test: Iterable[Any],
        metric: str | Task | Score,
        *,
        train: Iterable[Any] | None = None,
        name: str | None = None,
        higher_is_better: bool = True,
    ) -> Trained:
        """A model that came trained, for all recipes that need no training.

        Nothing is split, standardised or registered, and the model given stays as it is.

        Args:
            model: takes a batch; a copy of it is measured, on the device where it lies.
            test: batches, or a loader that is iterated once; a graph's own `test_mask` says which
                of its nodes are scored.
            metric: a name in METRICS, of what the batches' targets are; a task, such as
                `gnnperf.Prediction("node", metrics=("macro_f1",))`; or a function
                (model, batches) -> float.
            train: batches on which quantization calibrates; their targets are not looked at.
            name: in ids and records; None: the class's.
            higher_is_better: of a function.

        Raises GnnperfError for batches, a metric or a model that cannot be measured.
        """
        from gnnperf.training.ready import ready  # It makes a Trained.

        return ready(model, test, metric, train, name, higher_is_better)

    @cached_property
    def parts(self) -> Parts:
        """Prepared batches on the model's device."""
        return self.split()

    def test_scores(self) -> Scores:
        """Scores on the test part, computed now."""
        return evaluate(self.model, self.task, self.parts.test)


_Train = Callable[[], FitReport]
_AROUND: ContextVar[Callable[[_Train], FitReport]] = ContextVar(
    "around", default=lambda train: train()
)


@contextmanager
def around_trainings(around: Callable[[_Train], FitReport]) -> Iterator[None]:
    """Inside, `fit_cached` hands `around` what it would call, data at hand: a meter's window."""
    token = _AROUND.set(around)
    try:
        yield
    finally:
        _AROUND.reset(token)


def no_training(name: str) -> GnnperfError:
    """The error of a recipe that would train a model which was given ready."""
    return GnnperfError(
        f"{name} was given ready trained (Trained.of), and this recipe trains; choose one that "
        "does not, such as global@0.5, layer@0.5, width@0.5 or ptq@int8, or register a workload, "
        "which says how it is trained"
    )


def cached_training(
    path: Path | None, model: nn.Module, train: Callable[[], FitReport]
) -> FitReport:
    """Leave `model` trained, in eval mode: from its checkpoint, or by `train` now.

    Args:
        path: of the checkpoint, named by all that decides the result; None: none is kept.
        model: takes the weights.
        train: trains it in place, and says how that went.
    """
    if path is None:
        report = train()
    else:

        def make() -> Checkpoint:
            report = train()
            return {"state": model.state_dict(), "report": asdict(report)}

        checkpoint = cached(path, make)
        model.load_state_dict(checkpoint["state"])
        report = FitReport(**checkpoint["report"])
    model.eval()
    return report


def fit_cached(
    trained: Trained,
    model: nn.Module,
    settings: TrainSettings,
    *,
    by: str,
    variant: str = "",
    **options: Any,
) -> FitReport:
    """`fit` a model on the base's task, parts and seed, from the cache where it was done before.

    By the workload's own fit, where it brings one.

    Args:
        trained: the base.
        model: trained in place. All that decides its training lies in its state, its `repr` and
            plain attributes, the sources of its modules, and the arguments here.
        settings: epochs, rates, patience.
        by: `__name__` of the module that asks: its source and all that it imports count.
        variant: what no source says: a schedule's numbers.
        options: `fit`'s own (keep_start, after_step ...); the sources of callables count too.
    """

    if not trained.trainable:
        raise no_training(trained.workload)
    path = None
    if trained.checkpoints is not None:
        code = [by, *filter(callable, options.values())]
        fingerprint = trained.data["fingerprint"]
        key = key_of(
            {
                **training_decides(
                    model,
                    trained.task,
                    settings,
                    trained.seed,
                    fingerprint,
                    code,
                    trained.own_fit,
                ),
                "variant": variant,
                "options": {name: o for name, o in options.items() if not callable(o)},
            }
        )
        path = trained.checkpoints / f"{trained.workload}-seed{trained.seed}-{key}.ckpt"

    def train() -> FitReport:
        task, parts, seed = trained.task, trained.parts, trained.seed
        own = trained.own_fit
        run = fit if own is None else partial(fit_by, own)
        return _AROUND.get()(partial(run, model, task, parts, settings, seed=seed, **options))

    return cached_training(path, model, train)

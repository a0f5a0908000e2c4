"""What a model is trained for: how the data is split, what the loss is, how it is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.datasets.checks import graph_complaint
from gnnperf.errors import GnnperfError
from gnnperf.training.tasks.loaders import changed

Scores = dict[str, float]

CONSTANTS = ("majority", "train_mean")
"""Scores of a part that hang on its targets alone: what a constant gets."""


@dataclass(frozen=True)
class Timed:
    """Batches that stand for the test part where time and memory are measured.

    Attributes:
        name: what they are, in words that are the same wherever they are: how many nodes, say.
        batches: fixed.
    """

    name: str
    batches: Sequence[Data]


@dataclass(frozen=True)
class Parts:
    """The batches to train, validate and test on; the same for every recipe of a seed.

    `train` may be a `Drawn`, whose batches are drawn anew in every epoch; the others are fixed.
    `timed` is there where the test part as a whole would be too much to time.
    """

    train: Sequence[Data]
    validation: Sequence[Data]
    test: Sequence[Data]
    timed: Timed | None = field(default=None, kw_only=True)

    @property
    def measured(self) -> Sequence[Data]:
        """The batches on which time, memory and the like are measured."""
        return self.test if self.timed is None else self.timed.batches

    def each(self, change: Callable[[Data], Data]) -> Parts:
        """The same with every batch changed."""
        timed = self.timed
        return Parts(
            changed(self.train, change),
            changed(self.validation, change),
            changed(self.test, change),
            timed=None if timed is None else Timed(timed.name, changed(timed.batches, change)),
        )


class Task(Protocol):
    """A task knows batches and logits, not models.

    It may say `score_names`, the keys of what `evaluate` gives, so that a wrong `select` is refused
    before anything is trained, and `test_part()`: in words, what the test part is.

    Attributes:
        metric: the score that selects the best epoch on validation and heads the report; its
            direction stands in `gnnperf.training.metrics.METRICS`, else higher is better.
    """

    @property
    def metric(self) -> str:
        """Name of the headline score, one of `evaluate`'s keys."""

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Divide the dataset; deterministic in the seed."""

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """The scalar to minimise on one training batch."""

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """Scores of a part; the model is in eval mode, gradients are off."""


def require_score(task: Task, name: str | None) -> None:
    """Raise GnnperfError where the task says its scores and `name` is none of them."""
    names: Sequence[str] | None = getattr(task, "score_names", None)
    if name is not None and names is not None and name not in names:
        raise unknown_score(task, name, names)


def unknown_score(task: Task, name: str, names: Sequence[str]) -> GnnperfError:
    """The error of a name in `select` or `metric` that the task does not score."""
    return GnnperfError(
        f"select={name!r}: {type(task).__name__} has no such score; it gives {', '.join(names)}"
    )


def auxiliary_loss(model: nn.Module) -> Tensor | float:
    """Sum of what the model and its modules that have a method `auxiliary_loss()` add to the loss.

    They compute it in the forward pass that came before.
    """
    asked = [getattr(module, "auxiliary_loss", None) for module in model.modules()]
    return sum((add() for add in asked if add is not None), 0.0)


def only_graph(graphs: Sequence[Data], task: str) -> Data:
    """The one graph of a task on one graph; raises DataError for more, or for an unusable one."""
    if len(graphs) != 1:
        raise DataError(
            f"{task} takes one graph, not {len(graphs)}; batch them into one first, or train "
            "gnnperf.Prediction on all of them"
        )
    if complaint := graph_complaint(graphs[0]):
        raise DataError(f"{task}: the graph {complaint}")
    return graphs[0]

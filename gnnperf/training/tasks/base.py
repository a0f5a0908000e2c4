"""What a model is trained for: how the data is split, what the loss is, how it is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.datasets.checks import graph_complaint

Scores = dict[str, float]


@dataclass(frozen=True)
class Parts:
    """The batches to train, validate and test on; the same for every recipe of a seed."""

    train: Sequence[Data]
    validation: Sequence[Data]
    test: Sequence[Data]


class Task(Protocol):
    """A task knows batches and logits, not models.

    Attributes:
        metric: the score that selects the best epoch on validation and heads the report;
            higher is better.
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


def auxiliary_loss(model: nn.Module) -> Tensor | float:
    """Sum of what the model and its modules that have a method `auxiliary_loss()` add to the loss.

    They compute it in the forward pass that came before.
    """
    asked = [getattr(module, "auxiliary_loss", None) for module in model.modules()]
    return sum((add() for add in asked if add is not None), 0.0)


def only_graph(graphs: Sequence[Data], task: str) -> Data:
    """The one graph of a task on one graph; raises DataError for more, or for an unusable one."""
    if len(graphs) != 1:
        raise DataError(f"{task} takes one graph, not {len(graphs)}; batch them into one first")
    if complaint := graph_complaint(graphs[0]):
        raise DataError(f"{task}: the graph {complaint}")
    return graphs[0]

"""The task of a model that came trained: told by a score's name and the batches, or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import BaseData

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.training.metrics import METRICS, Kind
from gnnperf.training.tasks import targets
from gnnperf.training.tasks.base import Parts, Scores, Task
from gnnperf.training.tasks.named import Named
from gnnperf.training.tasks.prediction import Level, Prediction

Score = Callable[[nn.Module, Sequence[Any]], float]
"""(model in eval mode, batches) -> the score of all of them."""

_CRITERION: dict[Kind, str] = {
    "classes": "cross_entropy",
    "labels": "binary_cross_entropy",
    "values": "mse",
}
_REMEDY = "say it with a task: metric=gnnperf.Prediction('graph', criterion=..., metrics=(...,))"


@dataclass(frozen=True, eq=False)
class ScoredBy:
    """A model scored by a function of one's own; nothing is trained.

    Attributes:
        compute: gives the score.
        higher_is_better: whether a gain is a rise.
    """

    compute: Score
    higher_is_better: bool = True

    @property
    def metric(self) -> str:
        """The function's name."""
        return str(getattr(self.compute, "__name__", type(self.compute).__name__)).strip("<>")

    @property
    def score_names(self) -> tuple[str, ...]:
        """The one score."""
        return (self.metric,)

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Nothing is split; raises GnnperfError."""
        raise GnnperfError(f"{self.metric} scores batches that are given, and splits none")

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """Nothing is trained; raises GnnperfError."""
        raise GnnperfError(f"{self.metric} is a score and no loss; register a workload to train")

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """The function's value."""
        value = self.compute(model, batches)
        try:
            return {self.metric: float(value)}
        except (TypeError, ValueError) as error:
            raise GnnperfError(
                f"{self.metric} gave a {type(value).__name__}; let it return one number"
            ) from error


def given_task(
    metric: str | Task | Score, batches: Sequence[Any], higher_is_better: bool = True
) -> Task:
    """The task that scores the batches.

    Args:
        metric: a name in METRICS, of what the batches' targets are; a task; or a function.
        batches: at least one.
        higher_is_better: of a function.

    Raises GnnperfError for an unknown name, DataError where the targets do not say what is meant.
    """
    if isinstance(metric, str):
        return _told_by(metric, batches)
    if hasattr(metric, "evaluate"):
        return cast(Task, metric)
    if callable(metric):
        return ScoredBy(metric, higher_is_better)
    raise GnnperfError(
        f"metric={metric!r}: give a name ({', '.join(METRICS)}), a task such as gnnperf.Prediction,"
        " or a function (model, batches) -> float"
    )


def _told_by(name: str, batches: Sequence[Any]) -> Prediction:
    metric = METRICS.get(name)
    if metric is None or not metric.compute:
        known = ", ".join(m.name for m in METRICS.values() if m.compute)
        raise GnnperfError(
            f"metric={name!r}: by name there are {known}; or give a task, or a function "
            "(model, batches) -> float"
        )
    batch = batches[0]
    if not isinstance(batch, BaseData):
        raise DataError(
            f"metric={name!r}: a batch is a {type(batch).__name__} and not PyG's Data, so that its "
            "targets are not known; give a function, metric=lambda model, batches: ..."
        )
    level, node_type, y = _targets(batch)
    kind: Kind = "values"
    if "values" not in metric.compute:
        one = y.dim() == 1 or (y.dim() == 2 and y.size(1) == 1)
        kind = "labels" if y.is_floating_point() or not one else "classes"
    return Prediction(level, _CRITERION[kind], (name,), node_type=node_type)


def _targets(batch: Any) -> tuple[Level, str | None, Tensor]:
    """What has targets in the batch, of which type of nodes, and they themselves."""
    if isinstance(getattr(batch, "edge_label", None), Tensor):
        return "edge", None, batch.edge_label
    if isinstance(batch, HeteroData):
        owners = [kind for kind in batch.node_types if "y" in batch[kind]]
        if len(owners) == 1:
            return "node", owners[0], batch[owners[0]].y
        if owners:
            raise DataError(f"nodes of the types {', '.join(owners)} have targets y; {_REMEDY}")
    y = batch.y if "y" in batch else None
    if not isinstance(y, Tensor) or not y.dim():
        raise DataError(f"the first test batch has no targets y (nor edge_label); {_REMEDY}")
    graphs = batch.num_graphs if isinstance(batch, Batch) else 1
    # A NeighborLoader's batch knows how many of its nodes were asked for.
    nodes = None if isinstance(batch, HeteroData) else batch.num_nodes
    if len(y) == graphs and len(y) != nodes:
        return "graph", None, y
    if len(y) == nodes and len(y) != graphs:
        return "node", None, y
    raise DataError(
        f"the first test batch has targets y {list(y.shape)} for {graphs} graphs of {nodes} nodes "
        f"in all, so that it is not known what they are of; {_REMEDY}"
    )


def ready_batches(task: Task, batches: Sequence[Any], device: Any, mask: str) -> list[Any]:
    """The batches on the device, with the nodes that `mask` (test_mask, say) marks as targets."""
    meant = _prediction(task)
    if meant is None:
        return [batch.to(device) if hasattr(batch, "to") else batch for batch in batches]
    made = [
        meant.ready(device, mask, 0, batch) if isinstance(batch, BaseData) else batch
        for batch in batches
    ]
    return [batch for batch in made if batch is not None]


def check_targets(task: Task, batches: Sequence[Any]) -> None:
    """Raise DataError for the first batch whose targets are not what the task scores."""
    meant = _prediction(task)
    for number, batch in enumerate(batches if meant is not None else ()):
        if meant is not None and (complaint := _complaint(meant, batch)):
            raise DataError(f"test batch {number} {complaint}")


def _prediction(task: Task) -> Prediction | None:
    meant = task.meant() if isinstance(task, Named) else task
    return meant if isinstance(meant, Prediction) else None


def _complaint(task: Prediction, batch: Any) -> str | None:
    if not isinstance(batch, BaseData):
        return f"is a {type(batch).__name__}, and PyG's Data or Batch is needed"
    owner = batch if task.node_type is None else batch[task.node_type]
    if task.level == "node":
        y, count = owner.get("y"), owner.num_nodes
    elif task.level == "edge":
        pairs = batch.get("edge_label_index", batch.get("edge_index"))
        y, count = batch.get("edge_label"), 0 if pairs is None else pairs.size(1)
    else:
        y = batch.y if "y" in batch else None
        count = batch.num_graphs if isinstance(batch, Batch) else 1
    return targets.label_complaint(task.kind, y, count)

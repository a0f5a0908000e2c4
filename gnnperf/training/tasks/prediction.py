"""Any task with a target for each graph, node or edge: a criterion, metrics, and how to split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.ops.bounded import MESSAGE_BYTES
from gnnperf.training.metrics import Kind, Metric, require_metric
from gnnperf.training.tasks import targets
from gnnperf.training.tasks.base import Parts, Scores, auxiliary_loss
from gnnperf.training.tasks.calls import output_of, tensor_of
from gnnperf.training.tasks.loaders import loaded
from gnnperf.training.tasks.sampled import Sampled, SampledNodes, timed_batch
from gnnperf.training.tasks.splits import (
    MASKS,
    NAMES,
    Given,
    Three,
    column_of,
    given_parts,
    holds_batches,
    indices,
    stratified,
)
from gnnperf.training.tasks.views import checked_views, from_feature, standardized

Level = Literal["graph", "node", "edge"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """An output of the model for every graph, node or edge, against its target.

    Targets are `y` of a graph [1], [k] or [1, k] or of its nodes [nodes] or [nodes, k], and
    `edge_label` of the pairs in `edge_label_index` (of the edges, where there is none). Of one
    graph its nodes or pairs are divided, of several the graphs. The model gives a row a target; of
    nodes, a row for each node.

    Attributes:
        level: what has a target.
        criterion: the loss, a name in CRITERIA. `cross_entropy`: one class of several, logits
            [n, classes], or one logit of two; `binary_cross_entropy`: k labels of 0 and 1, logits
            [n, k]; `mse`, `mae`, `huber`: k numbers. NaN in the latter two is unknown and counts
            for nothing.
        metrics: names in `gnnperf.training.metrics.METRICS`, the headline first; `loss` is the
            criterion's. None: accuracy of classes, auc of labels, mae and rmse of numbers.
        parts: train, validation and test, as `Given` says. None: a graph's own train_mask, val_mask
            and test_mask (with columns: a column a seed), else 80/10/10 by the seed, classes and
            sizes alike in all three. Batches that were given stay as they are.
        batch_size: at most so many graphs in a batch, in all three parts.
        node_type: whose nodes have targets, in a HeteroData.
        first_feature: columns of x before it are left out.
        standardize: shift and scale every floating-point feature of several graphs by the training
            part's mean and deviation.
        label_smoothing: of the training loss, as in torch's cross_entropy; scores know none.
        name: what errors call the task; None: after level and criterion.
        sampled: of one graph's nodes: train on batches of so many, with neighbours drawn anew in
            every epoch. Scores are of the whole graph, and exact, in either case.
        timed: of one graph's nodes: what time and memory are measured on, one batch of the test
            part that is drawn once; None: the whole test part.
        message_bytes: what a convolution of PyG's may hold as messages, in training and scoring;
            larger ones are summed up by a sparse product or computed piece by piece.
    """

    level: Level
    criterion: str = "cross_entropy"
    metrics: tuple[str, ...] | None = None
    parts: Given = None
    batch_size: int = 32
    node_type: str | None = None
    first_feature: int = 0
    standardize: bool = False
    label_smoothing: float = 0.0
    name: str | None = None
    sampled: Sampled | None = None
    timed: Sampled | None = None
    message_bytes: int = MESSAGE_BYTES

    def __post_init__(self) -> None:
        """Raise GnnperfError for settings that no training can have."""
        if self.level not in ("graph", "node", "edge"):
            raise GnnperfError(f"level={self.level!r}: choose graph, node or edge")
        if self.criterion not in targets.CRITERIA:
            known = ", ".join(targets.CRITERIA)
            raise GnnperfError(f"unknown criterion {self.criterion!r}; there are {known}")
        if isinstance(self.metrics, str):
            raise GnnperfError(f"metrics={self.metrics!r}: write a tuple, ({self.metrics!r},)")
        if self.batch_size < 1:
            raise GnnperfError(f"batch_size={self.batch_size}: name at least one graph a batch")
        if not 0 <= self.label_smoothing <= 1:
            raise GnnperfError(
                f"label_smoothing={self.label_smoothing}: choose a share from 0 to 1"
            )
        if self.level != "node" and (self.sampled or self.timed):
            raise GnnperfError(
                f"level={self.level!r}: sampled and timed are of nodes; leave them out, or give "
                "loaders as parts"
            )
        self._metrics  # noqa: B018  # Raises for an unknown name.

    @property
    def kind(self) -> Kind:
        """What the targets are: classes, labels or values."""
        return targets.CRITERIA[self.criterion]

    @cached_property
    def _metrics(self) -> list[Metric]:
        names = self.metrics or targets.DEFAULT_METRICS[self.kind]
        return [require_metric(name, self.kind) for name in dict.fromkeys(names)]

    @property
    def metric(self) -> str:
        """The headline score."""
        return self._metrics[0].name

    @property
    def score_names(self) -> tuple[str, ...]:
        """The keys of what `evaluate` gives."""
        constant = "train_mean" if self.kind == "values" else "majority"
        return (self.metric, constant, *(metric.name for metric in self._metrics[1:]))

    @property
    def _name(self) -> str:
        of = {
            "classes": "classification",
            "labels": "multi-label classification",
            "values": "regression",
        }
        return self.name or f"{self.level} {of[self.kind]}"

    def test_part(self) -> str:
        """In words, what the test part is."""
        if callable(self.parts):
            return f"tested on what {getattr(self.parts, '__name__', 'its function')} gives"
        if self.parts is not None:
            return "tested on the given part"
        own = "tested on the graph's own test_mask, where it has none " * (self.level == "node")
        return f"{own}split anew by the seed, so that it may be tested on what it was trained on"

    # Splitting.

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Batches of the three parts; raises DataError for what cannot be learned from."""
        views = checked_views(graphs, self.level, self.kind, self._name, self.node_type)
        views = from_feature(views, self.first_feature)
        three = given_parts(self.parts, graphs, seed, self._name)
        if three is not None and holds_batches(three):
            parts = self._loaded(three, graphs, seed)
        elif self.level == "graph" or len(graphs) > 1:
            parts = self._of_graphs(views, three, seed)
        else:
            parts = self._within(views[0], three, seed)
        return self._with_mean(parts) if self.kind == "values" else parts

    def _of_graphs(self, graphs: list[Data], three: Three | None, seed: int) -> Parts:
        classes = self.level == "graph" and self.kind == "classes"
        label = torch.zeros(len(graphs), dtype=torch.long)
        if classes:
            label = torch.cat([graph.y for graph in graphs]).cpu()
            if len(label.unique()) < 2:
                raise DataError(
                    f"all {len(label)} graphs are of class {int(label[0])}; two are needed"
                )
        if three is None:
            size = torch.tensor([graph.num_nodes for graph in graphs])
            index: Sequence[Tensor] = stratified(label, size, seed)
        else:
            index = indices(three, len(graphs), seed, self._name, "graph")
            if classes:
                targets.check_classes([label[part] for part in index], self._name, "graph")
        if self.standardize:
            graphs = standardized(graphs, index[0].tolist())
        return Parts(*(self._batches(graphs, part) for part in index))

    def _batches(self, graphs: Sequence[Data], index: Tensor) -> list[Data]:
        # Of even sizes: a last batch of one graph would make a training step of noise.
        count = -(-len(index) // self.batch_size)
        return [
            Batch.from_data_list([graphs[i] for i in part.tolist()])
            for part in index.tensor_split(count)
        ]

    def _within(self, graph: Data, three: Three | None, seed: int) -> Parts:
        if self.standardize:
            raise GnnperfError(f"{self._name}: standardize is for several graphs; scale x before")
        target = self._target(graph)
        masks = self._masks(graph) if three is None else three
        label = target if self.kind == "classes" else torch.zeros(len(target), dtype=torch.long)
        if masks is None:
            label = label.cpu()
            index: Sequence[Tensor] = stratified(label, torch.zeros(len(label)), seed)
        else:
            index = indices(masks, len(target), seed, self._name, self.level)
        if self.kind == "classes":
            targets.check_classes([target[part] for part in index], self._name, self.level)
        train, *held_out = [part.to(target.device) for part in index]
        return Parts(
            self._train(graph, train, seed),
            *([self._view(graph, part)] for part in held_out),
            timed=None if self.timed is None else timed_batch(graph, held_out[1], self.timed),
        )

    def _train(self, graph: Data, index: Tensor, seed: int) -> Sequence[Data]:
        if self.sampled is None:
            return [self._view(graph, index)]
        loader = SampledNodes(graph, index, self.sampled)
        return loaded(loader, "train", self._name, seed, lambda batch: batch)

    def _masks(self, graph: Data) -> Three | None:
        """The graph's own masks of its nodes, or of those of the type; None: there are not all."""
        if self.level != "node":
            return None
        found = [self._store(graph).get(name) for name in MASKS]
        return None if any(mask is None for mask in found) else (found[0], found[1], found[2])

    def _view(self, graph: Data, index: Tensor) -> Data:
        view = copy(graph)
        if self.level == "node":
            self._store(view).target_index = index
        else:
            view.edge_label_index = graph.edge_label_index[:, index]
            view.edge_label = graph.edge_label[index]
        return view

    def _loaded(self, three: Three, graphs: Sequence[Data], seed: int) -> Parts:
        tensors = (v for store in graphs[0].stores for v in store.values())
        device = next((value.device for value in tensors if isinstance(value, Tensor)), None)
        return Parts(
            *(
                loaded(part, name, self._name, seed, partial(self.ready, device, mask, seed))
                for part, name, mask in zip(three, NAMES, MASKS, strict=True)
            )
        )

    def ready(self, device: Any, mask: str, seed: int, batch: Data) -> Data | None:
        """A given batch on the device; None where it has no target of its part."""
        batch = batch if device is None else batch.to(device)
        store = self._store(batch)
        given = store.get(mask) if self.level == "node" else None
        # A NeighborLoader's first rows are the nodes that it was asked for.
        if given is None or "batch_size" in store or "target_index" in store:
            return batch
        rows = column_of(given, seed, self._name) if given.dim() == 2 else given
        index = rows.nonzero().view(-1)
        return self._view(batch, index) if len(index) else None

    def _with_mean(self, parts: Parts) -> Parts:
        mean = targets.mean_of(torch.cat([self._target(b, rows=True) for b in parts.train]))

        def with_mean(batch: Data) -> Data:
            view = copy(batch)
            view.train_mean = mean
            return view

        held_out = ([with_mean(b) for b in part] for part in (parts.validation, parts.test))
        return Parts(parts.train, *held_out, timed=parts.timed)

    # Loss and scores.

    def _store(self, batch: Data) -> Any:
        if self.node_type is None:
            return batch
        return batch[self.node_type]

    def _rows(self, batch: Data) -> Tensor | slice | None:
        """Which nodes have a target in the part at hand; None: all rows."""
        if self.level != "node":
            return None
        store = self._store(batch)
        index: Tensor | None = store.get("target_index")
        if index is not None:
            return index
        # A Batch has a property of that name, which `get` does not see.
        seeds = store.get("batch_size")
        return None if seeds is None else slice(int(seeds))

    def _target(self, batch: Data, rows: bool = False) -> Tensor:
        owner = self._store(batch) if self.level == "node" else batch
        name = "edge_label" if self.level == "edge" else "y"
        found = getattr(owner, name, None)
        if found is None:
            raise DataError(f"{self._name}: a batch has no {name}; set it on its graphs")
        target = targets.as_target(self.kind, found)
        index = self._rows(batch) if rows else None
        return target if index is None else target[index]

    def _scored(self, model: nn.Module, batch: Data) -> tuple[Tensor, Tensor]:
        """Outputs and targets of one batch, a row each; raises GnnperfError for other shapes."""
        output = output_of(model, batch, self._name)
        if isinstance(output, dict) and self.node_type in output:
            output = output[self.node_type]
        target, index = self._target(batch, rows=True), self._rows(batch)
        needed = f"one tensor, a row a {self.level},"
        output = tensor_of(output, self._name, needed)
        if index is not None:
            nodes = self._store(batch).num_nodes
            if not output.dim() or len(output) != nodes:
                raise GnnperfError(
                    f"{self._name}: the model gave {list(output.shape)}, and [{nodes}, outputs] is "
                    "needed, a row for each node of the graph; leave out the pooling"
                )
            output = output[index]
        return targets.fitted(self.kind, output, target, self._name, self.level), target

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """The criterion's mean over the targets, plus the model's auxiliary losses."""
        output, target = self._scored(model, batch)
        loss = targets.loss_of(self.criterion, output, target, self.label_smoothing)
        return loss + auxiliary_loss(model)

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """The metrics, and what a constant would get.

        Beside scores of classes and labels stands `majority`, the rate that always naming the
        commonest gets; beside those of numbers `train_mean`, the headline score of always
        predicting the training mean.
        """
        if not batches:
            raise DataError(f"there are no {self.level}s to score; give at least one batch")
        outputs, found = zip(*(self._scored(model, batch) for batch in batches), strict=True)
        output, target = torch.cat(outputs), torch.cat(found)
        scores = targets.scores_of(self.criterion, self._metrics, output, target)
        if math.isnan(scores[self.metric]) and bool(output.isfinite().all()):
            raise DataError(
                f"{self._name}: {self.metric} is not defined on the {len(target)} targets of a "
                "part, which are all alike or unknown; choose other parts or another metric"
            )
        if self.kind == "values":
            mean = getattr(batches[0], "train_mean", None)
            if mean is not None:
                constant = mean.to(target.dtype).expand_as(target)
                one = targets.scores_of(self.criterion, self._metrics[:1], constant, target)
                scores = {self.metric: scores[self.metric], "train_mean": one[self.metric]} | scores
        return scores

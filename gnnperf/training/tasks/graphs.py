"""Graph classification: stratified parts by seed, batches collated once, accuracy by majority."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data

from gnnperf.datasets import DataError
from gnnperf.datasets.checks import graph_complaint
from gnnperf.errors import GnnperfError
from gnnperf.training.tasks.base import Parts, Scores, auxiliary_loss

# Standardised features further out than this many deviations are held there: PROTEINS has
# lengths of -538 and 798 among lengths of about 8.
OUTLIER = 5.0


@dataclass(frozen=True)
class GraphClassification:
    """Logits for every graph of a batch, cross-entropy on its label `y` [1].

    Each class is divided 80/10/10 into train, validation and test, by the seed, each part with
    graphs of all sizes. Training batches are composed once; only their order changes between
    epochs.

    Attributes:
        batch_size: at most so many graphs in a batch, in all three parts.
        first_feature: columns of x before it are left out; PROTEINS without its lengths starts
            at 1.
        standardize: shift and scale every feature by the training part's mean and deviation.
        label_smoothing: of the training loss, as in torch's cross_entropy; scores know none.
    """

    batch_size: int
    first_feature: int = 0
    standardize: bool = True
    label_smoothing: float = 0.0
    metric: str = "accuracy"

    deviation_note: ClassVar[str] = (
        "over splits stratified by size, which differ less than random ones: over those the "
        "deviation would be larger"
    )
    """What is to be said beside a deviation of scores over seeds."""

    def __post_init__(self) -> None:
        """Raise GnnperfError for settings that no training can have."""
        if self.batch_size < 1:
            raise GnnperfError(f"batch_size={self.batch_size}: name at least one graph a batch")
        if not 0 <= self.label_smoothing <= 1:
            raise GnnperfError(
                f"label_smoothing={self.label_smoothing}: choose a share from 0 to 1"
            )

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Three lists of batches; raises DataError for graphs that cannot be learned from."""
        label = check_graphs(graphs)
        if not 0 <= self.first_feature < graphs[0].num_features:
            raise DataError(
                f"first_feature={self.first_feature} leaves none of {graphs[0].num_features} "
                "features; name an earlier column"
            )
        size = torch.tensor([graph.num_nodes for graph in graphs])
        train, validation, test = stratified(label, size, seed)
        graphs = [
            _view(graph, x=graph.x[:, self.first_feature :], y=graph.y.view(1)) for graph in graphs
        ]
        if self.standardize:
            graphs = _standardized(graphs, train.tolist())
        return Parts(*(self._batches(graphs, index) for index in (train, validation, test)))

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """Mean cross-entropy over the graphs, plus the model's auxiliary losses."""
        logits = model(batch)
        loss = functional.cross_entropy(logits, batch.y, label_smoothing=self.label_smoothing)
        return loss + auxiliary_loss(model)

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """Accuracy, the rate that always naming the commonest class gets, and mean loss."""
        if not batches:
            raise DataError("there are no graphs to score; give at least one batch")
        logits = torch.cat([model(batch) for batch in batches])
        label = torch.cat([batch.y for batch in batches])
        return {
            "accuracy": int((logits.argmax(-1) == label).sum()) / len(label),
            "majority": int(torch.bincount(label).max()) / len(label),
            "loss": float(functional.cross_entropy(logits, label)),
        }

    def _batches(self, graphs: Sequence[Data], index: Tensor) -> list[Data]:
        # Of even sizes: a last batch of one graph would make a training step of noise.
        count = -(-len(index) // self.batch_size)
        return [
            Batch.from_data_list([graphs[i] for i in part.tolist()])
            for part in index.tensor_split(count)
        ]


def stratified(label: Tensor, size: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of train, validation and test, a tenth of each class in the latter two.

    A class is ordered by `size` [graphs] and cut into blocks of about ten, of which each gives
    one graph to validation and one to test: with parts of a hundred graphs, chance would else
    make one of them large and another small, and so the scores of a split easy or hard.
    Raises DataError when a class is too small to be in all three.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: tuple[list[Tensor], ...] = ([], [], [])
    for name in label.unique().tolist():
        members = (label == name).nonzero().view(-1)
        if len(members) < 3:
            raise DataError(
                f"class {name} has {len(members)} graphs, and train, validation and test need "
                "one each; add graphs or drop the class"
            )
        # Drawn before ordered, so that of equal sizes none comes first by its place.
        members = members[torch.randperm(len(members), generator=generator)]
        members = members[torch.argsort(size[members], stable=True)]
        for block in members.tensor_split(max(1, round(len(members) / 10))):
            block = block[torch.randperm(len(block), generator=generator)]
            for part, piece in zip(parts, (block[2:], block[:1], block[1:2]), strict=True):
                part.append(piece)
    train, validation, test = (torch.cat(part) for part in parts)
    return train[torch.randperm(len(train), generator=generator)], validation, test


def check_graphs(graphs: Sequence[Data]) -> Tensor:
    """The labels [graphs] of usable graphs; raises DataError that names the first that is not."""
    if not graphs:
        raise DataError("the dataset holds no graphs; give at least three a class")
    for number, graph in enumerate(graphs):
        if complaint := _complaint(graph, graphs[0]):
            raise DataError(f"graph {number} {complaint}")
    label = torch.cat([graph.y.view(1) for graph in graphs]).cpu()
    if len(label.unique()) < 2:
        raise DataError(f"all {len(label)} graphs are of class {int(label[0])}; two are needed")
    return label


def _complaint(graph: Data, first: Data) -> str | None:
    if complaint := graph_complaint(graph):
        return complaint
    if graph.x.size(1) != first.x.size(1):
        return f"has {graph.x.size(1)} features and graph 0 has {first.x.size(1)}; make them equal"
    y = graph.y
    if y is None or y.numel() != 1 or y.is_floating_point() or int(y) < 0:
        return f"has the label {y}, and one class number from 0 is needed; set graph.y"
    return None


def _standardized(graphs: Sequence[Data], train: Sequence[int]) -> list[Data]:
    rows = torch.cat([graphs[i].x for i in train])
    deviation, mean = torch.std_mean(rows, 0, correction=0)
    # A column that is constant in training says nothing; it becomes zero there.
    scale = torch.where(deviation > 0, deviation, 1)
    return [_view(graph, x=((graph.x - mean) / scale).clamp(-OUTLIER, OUTLIER)) for graph in graphs]


def _view(graph: Data, **changes: Tensor) -> Data:
    graph = copy(graph)
    for name, value in changes.items():
        graph[name] = value
    return graph

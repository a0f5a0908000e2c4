"""Node classification on one graph: parts by the last nodes or by masks, accuracy by majority."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.training.tasks.base import Parts, Scores, auxiliary_loss, only_graph


@dataclass(frozen=True)
class NodeClassification:
    """One graph, logits for every node, cross-entropy on those of the part at hand.

    The last `held_out` nodes are validation (first half) and test (second half), all earlier
    ones train: the split of the public SplineConv example, the same for every seed. Without
    `held_out` the graph's own train_mask, val_mask and test_mask decide.
    """

    held_out: int | None = None
    metric: str = "accuracy"

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Three views of the one graph, each with its `target_index`; raises DataError."""
        graph = only_graph(graphs, "node classification")
        if graph.y is None or graph.y.numel() != graph.num_nodes or graph.y.is_floating_point():
            raise DataError(
                f"node classification needs a class number for each of {graph.num_nodes} nodes; "
                "set graph.y [nodes], integers"
            )
        graph = copy(graph)
        graph.y = graph.y.view(-1).long()
        parts = self._masked(graph) if self.held_out is None else self._last(graph)
        _check_parts([graph.y[part].unique().tolist() for part in parts])
        return Parts(*([_targeting(graph, index)] for index in parts))

    def _last(self, graph: Data) -> Sequence[Tensor]:
        nodes = torch.arange(graph.num_nodes, device=graph.y.device)
        held_out = self.held_out or 0
        if held_out < 0:
            raise DataError(f"held_out={held_out}; name how many of the last nodes do not train")
        middle = held_out // 2
        if held_out >= graph.num_nodes:
            raise DataError(f"held_out={held_out} leaves none of {graph.num_nodes} nodes to train")
        return torch.split(nodes, [graph.num_nodes - held_out, middle, held_out - middle])

    def _masked(self, graph: Data) -> Sequence[Tensor]:
        masks = [graph.get(name) for name in ("train_mask", "val_mask", "test_mask")]
        if any(
            mask is None or mask.dtype != torch.bool or mask.shape != graph.y.shape
            for mask in masks
        ):
            raise DataError(
                "node classification needs held_out=..., or a graph with boolean train_mask, "
                "val_mask and test_mask [nodes]"
            )
        if bool((torch.stack(masks).sum(0) > 1).any()):
            raise DataError(
                "a node stands in two of train_mask, val_mask and test_mask; make them disjoint"
            )
        return [mask.nonzero().squeeze(-1) for mask in masks]

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """Mean cross-entropy over the targets, plus the model's auxiliary losses."""
        index = batch.target_index
        loss = functional.cross_entropy(model(batch)[index], batch.y[index])
        return loss + auxiliary_loss(model)

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """Accuracy over the targets, and the rate that always naming the commonest class gets."""
        guesses, labels = [], []
        for batch in batches:
            guesses.append(model(batch)[batch.target_index].argmax(-1))
            labels.append(batch.y[batch.target_index])
        return _accuracy(torch.cat(guesses), torch.cat(labels))


def _check_parts(classes: Sequence[list[int]]) -> None:
    """Raise DataError unless training can learn what the other parts ask for."""
    train, *others = classes
    if not all(classes):
        raise DataError("node classification: train, validation or test part has no node")
    if lowest := min(0, *(label for part in classes for label in part)):
        raise DataError(
            f"node classification: a node of train, validation or test has the label {lowest}; "
            "number classes from 0, and leave nodes without a label out of the masks"
        )
    if len(train) < 2:
        raise DataError(
            f"node classification: all training nodes are of class {train[0]}; two are needed"
        )
    if unknown := sorted({label for part in others for label in part}.difference(train)):
        raise DataError(
            f"node classification: class {unknown[0]} is in validation or test and has no "
            "training node; choose other masks or held_out"
        )


def _targeting(graph: Data, index: Tensor) -> Data:
    view = copy(graph)
    view.target_index = index
    return view


def _accuracy(guess: Tensor, label: Tensor) -> Scores:
    return {
        "accuracy": int((guess == label).sum()) / len(label),
        "majority": int(torch.bincount(label).max()) / len(label),
    }

"""Link prediction: which pairs of nodes does an edge join."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_curve
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops, to_undirected

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.ops.pairs import NonEdges, numbered_pair, pair_number
from gnnperf.training.metrics import Array, Metric, require_metric, score
from gnnperf.training.tasks.base import Parts, Scores, auxiliary_loss, only_graph
from gnnperf.training.tasks.calls import of_any_float, output_of, tensor_of

_NAME = "link prediction"


@dataclass(frozen=True)
class LinkPrediction:
    """One graph, a logit for every pair asked for, binary cross-entropy against as many non-edges.

    Of the undirected edges a share is held out for validation and one for test, at random by seed;
    the others train, and they alone are the `edge_index` of every batch. Each held-out edge is
    faced with a non-edge, fixed by the seed. A batch is the graph with

        edge_index [2, 2 * edges]: the training edges, both directions, to pass messages along;
        edge_part int64 [2 * edges]: the subgraph of each (both directions in the same one);
        edge_label_index [2, pairs], edge_label float [pairs]: edges (1) and non-edges (0);
        sets_threshold, scored: bool [pairs]: on which pairs the threshold of the accuracy is
            chosen (always the validation's), and which pairs the scores are about.

    The model gives logits [pairs]; while it trains it may give [views, pairs], one row for each
    view it takes of the graph, and the loss is the mean over the views.

    Attributes:
        validation_share, test_share: of the edges.
        subgraphs: into so many random parts of equal size the training edges are divided.
        fresh_negatives: draw other non-edges of the training graph in every training step; else
            they are those of the split, for models that compute something for each pair once.
        pairs_per_batch: so many edges, and as many non-edges, in a training batch; None: all.
        metric: the headline score, beside auc, average_precision and accuracy.
    """

    validation_share: float = 0.05
    test_share: float = 0.15
    subgraphs: int = 1
    fresh_negatives: bool = True
    pairs_per_batch: int | None = None
    metric: str = "auc"

    def __post_init__(self) -> None:
        """Raise GnnperfError for an unknown metric."""
        self._metrics  # noqa: B018

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Batches as above; raises DataError for too few edges, or too few pairs without one."""
        graph = only_graph(graphs, _NAME)
        if graph.edge_index is None:
            raise DataError(f"{_NAME}: the graph has no edge_index [2, edges]; set it")
        device, graph = graph.edge_index.device, copy(graph).to("cpu")
        edges, sizes = self._edges(graph, seed)
        negatives = _negatives(graph, edges.size(1), seed)
        train, *held_out = edges.split(sizes, dim=1)
        train_negatives, *held_out_negatives = negatives.split(sizes, dim=1)
        base = self._message_passing(graph, train)
        base.non_edges = NonEdges.of(train, graph.num_nodes)
        step = self.pairs_per_batch or train.size(1)
        training = [
            _asking(base, *pair)
            for pair in zip(train.split(step, 1), train_negatives.split(step, 1), strict=True)
        ]
        validation = _asking(base, held_out[0], held_out_negatives[0])
        both = (torch.cat(held_out, 1), torch.cat(held_out_negatives, 1))
        test = _asking(base, *both, scored_from=sizes[1])
        return Parts(
            [batch.to(device) for batch in training], [validation.to(device)], [test.to(device)]
        )

    def _edges(self, graph: Data, seed: int) -> tuple[Tensor, list[int]]:
        """Undirected edges [2, edges] in random order, and how many train, validate and test."""
        loopless, _ = remove_self_loops(graph.edge_index)
        edges = numbered_pair(torch.unique(pair_number(loopless)))
        count = edges.size(1)
        validation, test = int(self.validation_share * count), int(self.test_share * count)
        train = count - validation - test
        if not validation or not test or train < self.subgraphs:
            raise DataError(
                f"link prediction: the graph has {count} edges between different nodes, too few to "
                f"hold out {self.validation_share:.0%} for validation and {self.test_share:.0%} "
                f"for test and train on {self.subgraphs} subgraph(s); give a graph with more edges"
            )
        generator = torch.Generator().manual_seed(seed)
        return edges[:, torch.randperm(count, generator=generator)], [train, validation, test]

    def _message_passing(self, graph: Data, train: Tensor) -> Data:
        base = copy(graph)
        # Attributes of the whole graph's edges would tell of the held-out ones.
        for name in graph.edge_attrs():
            del base[name]
        # The edges come in random order, so that dealing them out divides them at random.
        part = torch.arange(train.size(1)) % self.subgraphs
        base.edge_index, base.edge_part = to_undirected(train, part, graph.num_nodes, reduce="min")
        return base

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """Mean binary cross-entropy, plus the model's auxiliary losses."""
        batch = _with_fresh_negatives(batch) if self.fresh_negatives else batch
        logits = _logits(model, batch)
        label = batch.edge_label.expand_as(logits).to(logits.dtype)
        loss = functional.binary_cross_entropy_with_logits(logits, label)
        return loss + auxiliary_loss(model)

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """AUC, average precision and accuracy at the threshold that is best on validation.

        `majority` is the rate that always giving the commoner answer gets. A metric that decides
        does so at that threshold too.
        """
        logit = of_any_float(torch.cat([_logits(model, batch) for batch in batches])).numpy()
        positive = _asked(batches, "edge_label") > 0.5
        chosen, scored = _asked(batches, "sets_threshold"), _asked(batches, "scored")
        if np.isnan(logit).any():
            return dict.fromkeys(self.score_names, math.nan)
        logit = np.nan_to_num(logit)
        threshold = best_threshold(logit[chosen], positive[chosen])
        answer, target = logit[scored][:, None], positive[scored][:, None] * 1.0
        share = float(target.mean())
        found = {
            m.name: score(m, "labels", target, answer - threshold * m.decides)
            for m in self._metrics
        }
        return found | {"majority": max(share, 1 - share)}

    @property
    def score_names(self) -> tuple[str, ...]:
        """The keys of what `evaluate` gives."""
        return (*(metric.name for metric in self._metrics), "majority")

    @property
    def _metrics(self) -> list[Metric]:
        names = dict.fromkeys(("auc", "average_precision", "accuracy", self.metric))
        return [require_metric(name, "labels") for name in names]

    def test_part(self) -> str:
        """In words, what the test part is."""
        return "split anew by the seed, so that it may be tested on what it was trained on"


def _logits(model: nn.Module, batch: Data) -> Tensor:
    """[pairs] or [views, pairs]; raises GnnperfError for other shapes."""
    pairs = batch.edge_label_index.size(1)
    needed = f"[{pairs}], a logit a pair of edge_label_index,"
    logits = tensor_of(output_of(model, batch, _NAME), _NAME, needed)
    if logits.shape == (pairs, 1):
        return logits.view(-1)
    if logits.dim() not in (1, 2) or logits.size(-1) != pairs:
        raise GnnperfError(f"{_NAME}: the model gave {list(logits.shape)}, and {needed} is needed")
    return logits


def _asked(batches: Sequence[Data], name: str) -> Array:
    found: Array = torch.cat([batch[name] for batch in batches]).cpu().numpy()
    return found


def best_threshold(score: Array, positive: Array) -> float:
    """The threshold t with the highest accuracy of `score > t`, halfway between two scores.

    Args:
        score: [n], n > 0.
        positive: bool [n]; one of each kind at least.
    """
    false_rate, true_rate, level = roc_curve(positive, score, drop_intermediate=False)
    # Calling all from a level on positive: the hits among them and the negatives below are right.
    right = np.rint(true_rate * positive.sum()) - np.rint(false_rate * (~positive).sum())
    cut = int(right.argmax())
    # The first level is above all; below the last lies nothing.
    level = np.concatenate([level[1:2] + 1, level[1:], level[-1:] - 1])
    return float((level[cut] + level[cut + 1]) / 2)


def _negatives(graph: Data, count: int, seed: int) -> Tensor:
    """Different non-edges [2, count] of the whole graph, in random order."""
    non_edges = NonEdges.of(graph.edge_index, graph.num_nodes)
    if non_edges.count < count:
        raise DataError(
            f"link prediction: the graph has {count} edges but only {non_edges.count} pairs of "
            "nodes without one to face them with; give a sparser graph"
        )
    # Python's sample never lists the population, which grows with the square of the nodes.
    chosen = random.Random(seed).sample(range(non_edges.count), count)
    return non_edges.pairs(torch.tensor(chosen))


def _asking(base: Data, positive: Tensor, negative: Tensor, scored_from: int = 0) -> Data:
    """The graph with pairs; of each kind the first `scored_from` only set the threshold."""
    batch = copy(base)
    batch.edge_label_index = torch.cat([positive, negative], 1)
    batch.edge_label = torch.cat([torch.ones(positive.size(1)), torch.zeros(negative.size(1))])
    place = torch.cat([torch.arange(positive.size(1)), torch.arange(negative.size(1))])
    batch.scored = place >= scored_from
    batch.sets_threshold = ~batch.scored if scored_from else batch.scored
    return batch


def _with_fresh_negatives(batch: Data) -> Data:
    positive = batch.edge_label_index[:, batch.edge_label > 0.5]
    index = torch.randint(
        batch.non_edges.count, (positive.size(1),), device=batch.edge_label_index.device
    )
    fresh = copy(batch)
    fresh.edge_label_index = torch.cat([positive, batch.non_edges.pairs(index)], 1)
    return fresh

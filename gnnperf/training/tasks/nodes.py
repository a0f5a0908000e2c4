"""Node classification on one graph: parts by the last nodes or by masks, accuracy by majority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.ops.bounded import MESSAGE_BYTES
from gnnperf.training.tasks.base import Parts, only_graph
from gnnperf.training.tasks.named import Named
from gnnperf.training.tasks.prediction import Prediction
from gnnperf.training.tasks.sampled import Sampled
from gnnperf.training.tasks.splits import MASKS, Given

_NAME = "node classification"


@dataclass(frozen=True)
class NodeClassification(Named):
    """One graph, logits for every node, cross-entropy on those of the part at hand.

    The last `held_out` nodes are validation (first half) and test (second half), all earlier
    ones train: the split of the public SplineConv example, the same for every seed. Without
    `held_out` the graph's own train_mask, val_mask and test_mask decide, of which each may have
    columns, a column a seed.

    Attributes:
        held_out: how many of the last nodes do not train.
        metric: the headline score, beside accuracy.
        parts: train, validation and test as they are given, in place of both; see `Prediction`.
        sampled, timed, message_bytes: for large graphs, as of `Prediction`.
    """

    held_out: int | None = None
    metric: str = "accuracy"
    parts: Given = None
    sampled: Sampled | None = None
    timed: Sampled | None = None
    message_bytes: int = MESSAGE_BYTES

    def meant(self) -> Prediction:
        """The task in full."""
        parts = self._last if self.parts is None and self.held_out is not None else self.parts
        return Prediction(
            "node",
            metrics=(self.metric, "accuracy"),
            parts=parts,
            name=_NAME,
            sampled=self.sampled,
            timed=self.timed,
            message_bytes=self.message_bytes,
        )

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Three views of the one graph, each with its `target_index`; raises DataError."""
        graph = only_graph(graphs, _NAME)
        if self.held_out is None and self.parts is None:
            _require_masks(graph)
        return super().split(graphs, seed)

    def test_part(self) -> str:
        """In words, what the test part is."""
        if self.parts is None and self.held_out is not None:
            return f"tested on the last {self.held_out - self.held_out // 2} nodes"
        return "tested on the graph's own test_mask" if self.parts is None else super().test_part()

    def _last(self, graphs: Sequence[Data], seed: int) -> Sequence[Tensor]:
        count, held_out = graphs[0].num_nodes, self.held_out or 0
        if held_out < 0:
            raise DataError(f"held_out={held_out}; name how many of the last nodes do not train")
        middle = held_out // 2
        if held_out >= count:
            raise DataError(f"held_out={held_out} leaves none of {count} nodes to train")
        return torch.split(torch.arange(count), [count - held_out, middle, held_out - middle])


def _require_masks(graph: Data) -> None:
    masks: list[Any] = [graph.get(name) for name in MASKS]
    if any(
        not isinstance(mask, Tensor)
        or mask.dtype != torch.bool
        or mask.dim() not in (1, 2)
        or len(mask) != graph.num_nodes
        for mask in masks
    ):
        raise DataError(
            f"{_NAME} needs held_out=..., or a graph with boolean train_mask, "
            "val_mask and test_mask [nodes]"
        )

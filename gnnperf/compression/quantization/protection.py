"""Degree-Quant's protection: nodes that are not quantized in a training step, drawn by degree.

Source: Tailor, Fernandez-Marques and Lane, Degree-Quant (ICLR 2021).
"""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.ops.graphs import starts


class Spared(NamedTuple):
    """Rows that are not rounded, and the others, which alone decide the range; both int64."""

    rows: Tensor
    others: Tensor


def degree_shares(data: Data) -> Tensor:
    """For each node the share of its graph's nodes whose in-degree is at most its own, [nodes]."""
    nodes = data.num_nodes
    degree = torch.bincount(data.edge_index[1], minlength=nodes)
    start = starts(data)
    size = start.diff()
    graph = torch.repeat_interleave(torch.arange(len(size), device=start.device), size)
    # One key a (graph, degree), ascending in degree inside a graph.
    key = graph * (int(degree.max()) + 1) + degree if nodes else degree
    at_most = torch.searchsorted(key.sort().values, key, right=True)
    return (at_most - start[graph]) / size[graph]


def with_degree_shares(data: Data) -> Data:
    """A shallow copy of `data` that carries `degree_shares`, which a Protection looks for."""
    data = copy(data)
    data.degree_shares = degree_shares(data)
    return data


class Protection(nn.Module):
    """Draws for each forward in training which nodes every convolution of the model spares.

    A node is spared with probability low + change * (share of its graph's nodes with at most its
    in-degree). It is a forward pre-hook of the whole model; in eval mode nothing is spared.
    """

    def __init__(self, low: float, change: float) -> None:
        super().__init__()
        self.low, self.change = low, change
        self.spared: Tensor | None = None
        self._among: dict[int, Spared] = {}

    def forward(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Draw from torch's generator for the nodes of the `Data` that the model is given."""
        self.spared, self._among = None, {}
        if self.training:
            data = inputs[0]
            shares = data.degree_shares if "degree_shares" in data else degree_shares(data)
            self.spared = torch.rand_like(shares) < self.low + self.change * shares

    def among(self, count: int) -> Spared | None:
        """Which of so many rows are spared: one, or several side by side, for each node.

        None where nothing is, or where the rows are no longer the graph's nodes.
        """
        if self.spared is None or not count or count % len(self.spared):
            return None
        # Every layer asks for the same.
        if count not in self._among:
            self._among[count] = _split(self.spared.repeat_interleave(count // len(self.spared)))
        return self._among[count]

    def of_sources(self, source: Tensor) -> Spared | None:
        """Which messages are spared: those from spared nodes; source int64 [edges]."""
        return None if self.spared is None else _split(self.spared[source])

    def extra_repr(self) -> str:
        """What decides training, for people and for the checkpoints' keys."""
        return f"low={self.low}, change={self.change}"


def _split(spared: Tensor) -> Spared:
    return Spared(spared.nonzero().view(-1), (~spared).nonzero().view(-1))

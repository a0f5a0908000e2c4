"""HGP-SL for inference on a processor: sizes known beforehand, and indices by counting."""

from __future__ import annotations

import uuid
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from gnnperf.deploy.lowering import CannotLowerError, linear, only, register_lowering
from gnnperf.deploy.operators import Operator, Rows, Segments, compressed_rows, propagate
from gnnperf.models.gcn_conv import GCNConv
from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.hgpsl_pool import HGPSLPool
from gnnperf.ops import Aggregate

KEPT = "lean_hgpsl"
"""Field of a prepared batch."""

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Level:
    """What a pooling leaves over, as far as the graphs' sizes tell.

    Attributes:
        graph: of each node before it, in the fewest bits, which numpy sorts by counting.
        places: int64 [kept]; which stay of all nodes, ordered by graph and rank.
        segments: of those that stay.
        start: int64 [graphs + 1]; the same, for the mean.
        every: int64 [kept], 0 to kept - 1.
    """

    graph: Indices
    places: Tensor
    segments: Segments
    start: Tensor
    every: Tensor

    @staticmethod
    def after(start: Tensor, ratio: float) -> Level:
        """From where each graph begins before the pooling, int64 [graphs + 1]."""
        size = start.diff()
        graph = torch.repeat_interleave(torch.arange(len(size)), size)
        rank = torch.arange(len(graph)) - start[graph]
        places = (rank < (ratio * size).ceil()[graph]).nonzero().flatten()
        left = functional.pad((ratio * size).ceil().long().cumsum(0), (1, 0))
        every = torch.arange(len(places))
        return Level(_fewest_bits(graph.numpy()), places, Segments.of(left), left, every)

    def choose(self, x: Tensor, neighbours: Operator) -> Tensor:
        """Indices, ascending, of the nodes that their neighbours predict worst; no x is below 0."""
        score = propagate(neighbours, x).sub_(x).abs_().sum(-1).round_(decimals=4)
        # Of what is not negative the bits are in the order of the numbers.
        key = score.view(torch.int32).long().bitwise_left_shift_(32)
        key.bitwise_or_(x.sum(-1).view(torch.int32))
        order = torch.argsort(key, descending=True, stable=True)
        by_graph = np.argsort(self.graph[order.numpy()], kind="stable")
        return order[torch.from_numpy(by_graph)[self.places]].sort().values

    def read(self, x: Tensor) -> Tensor:
        """Maximum and mean of each graph's rows, side by side."""
        mean = torch.embedding_bag(x, self.every, self.start, False, 1, False, None, True)[0]
        return torch.cat([self.segments.maximum(x), mean], 1)


@dataclass(frozen=True)
class Candidates:
    """Pairs that an edge may join, by their source: each node's own pair is among them.

    Attributes:
        start: [nodes + 1]; where each source's pairs begin.
        row, column: int64 [pairs], of source and target.
        weight: of the edge that there is, or 0, [pairs].
    """

    start: Indices
    row: Indices
    column: Indices
    weight: Tensor

    def among(self, chosen: Tensor, nodes: int) -> Candidates:
        """Those between chosen nodes, renumbered."""
        index = chosen.numpy()
        kept = np.zeros(nodes, bool)
        kept[index] = True
        number = np.cumsum(kept) - 1
        inside = np.flatnonzero(kept[self.row] & kept[self.column])
        row, column = number[self.row[inside]], number[self.column[inside]]
        return Candidates(
            _starts(row, len(index)), row, column, self.weight[torch.from_numpy(inside)]
        )


def _fewest_bits(index: Indices) -> Indices:
    return index.astype(np.min_scalar_type(int(index.max(initial=0))))


def _starts(row: Indices, rows: int) -> Indices:
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=rows), out=starts[1:])
    return starts


def sparsemax_rows(value: Tensor, pairs: Candidates) -> Tensor:
    """As `gnnperf.ops.sparsemax`, on pairs that are ordered by row; only what is left is summed."""
    rows = len(pairs.start) - 1
    row = torch.from_numpy(pairs.row)
    top = np.maximum.reduceat(value.numpy(), pairs.start[:-1])
    value = value - torch.from_numpy(np.repeat(top, np.diff(pairs.start)))
    # The threshold is never below the largest less one.
    left = (value > -1).nonzero().flatten()
    few, few_row = value[left], row[left]
    while True:
        threshold = _threshold(few, few_row, rows)
        above = few > threshold[few_row]
        if bool(above.all()):
            break
        still = above.nonzero().flatten()
        left, few, few_row = left[still], few[still], few_row[still]
    result = torch.zeros_like(value)
    result[left] = few - threshold[few_row]
    return result


def _threshold(value: Tensor, row: Tensor, rows: int) -> Tensor:
    size = value.new_zeros(rows).index_add_(0, row, torch.ones_like(value))
    total = value.new_zeros(rows).index_add_(0, row, value)
    return total.sub_(1).div_(size.clamp_(min=1))


@dataclass(frozen=True)
class Edges:
    """What a pooling makes: candidates and their attention, most of it zero."""

    pairs: Candidates
    attention: Tensor

    def operator(self) -> Rows:
        """Row i sums over the sources of the edges into i."""
        attention = self.attention.numpy()
        there = np.flatnonzero(attention > 0)
        target = self.pairs.column[there]
        there = there[np.argsort(_fewest_bits(target), kind="stable")]
        starts = _starts(target, len(self.pairs.start) - 1)
        source = self.pairs.row[there]
        return Rows(*map(torch.from_numpy, (starts, source, attention[there])))

    def _matrix(self, mask: npt.NDArray[np.bool_], value: Any) -> csr_matrix:
        pairs = self.pairs
        nodes = len(pairs.start) - 1
        before = np.zeros(len(mask) + 1, np.int32)
        np.cumsum(mask, out=before[1:])
        parts = (value, pairs.column[mask].astype(np.int32), before[pairs.start])
        return csr_matrix(parts, shape=(nodes, nodes))

    def near(self, chosen: Tensor) -> Candidates:
        """Pairs of chosen nodes at most four hops apart, renumbered, with the edges' weights."""
        pairs, index = self.pairs, chosen.numpy()
        nodes = len(pairs.start) - 1
        there = self.attention.numpy() > 0
        pattern = there | (pairs.row == pairs.column)
        one = self._matrix(pattern, np.ones(int(pattern.sum()), np.float32))
        two = one @ one
        two.data[:] = 1
        four = two[index] @ two[:, index]
        four.sort_indices()
        column = four.indices.astype(np.int64)
        row = np.repeat(np.arange(len(index)), np.diff(four.indptr))
        kept = np.full(nodes, -1)
        kept[index] = np.arange(len(index))
        inside = np.flatnonzero(there & (kept[pairs.row] >= 0) & (kept[pairs.column] >= 0))
        edge = kept[pairs.row[inside]] * len(index) + kept[pairs.column[inside]]
        weight = torch.zeros(len(column))
        place = np.searchsorted(row * len(index) + column, edge)
        weight[torch.from_numpy(place)] = self.attention[torch.from_numpy(inside)]
        return Candidates(four.indptr.astype(np.int64), row, column, weight)


@dataclass(frozen=True)
class Inputs:
    """What is kept of a batch; `token` of the module that it is for, `source` its features."""

    token: str
    source: Tensor
    convolution: Operator
    neighbours: Operator
    pairs: Candidates
    levels: tuple[Level, Level]


class LeanHGPSL(nn.Module):
    """HGP-SL's forward; weights are those of the model."""

    done = ("sizes known beforehand, small numbers sorted by counting, sums of what is left alone",)

    def __init__(self, model: HGPSL) -> None:
        super().__init__()
        self.model, self._token = deepcopy(model).requires_grad_(False), uuid.uuid4().hex

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with what every forward on it reuses."""
        data = copy(data)
        data.__dict__[KEPT] = self._inputs(data)
        return data

    def _inputs(self, data: Data) -> Inputs:
        inputs = self.model._inputs(data)
        pairs, dtype = inputs.pairs, data.x.dtype
        first = Level.after(inputs.start, self.model.ratio)
        row = pairs.row.numpy()
        return Inputs(
            self._token,
            data.x,
            # As the model sums them up: a choice may hang on how a sum is rounded.
            compressed_rows(inputs.convolution, dtype),
            compressed_rows(inputs.neighbours, dtype),
            Candidates(_starts(row, data.num_nodes), row, pairs.column.numpy(), pairs.weight),
            (first, Level.after(first.start, self.model.ratio)),
        )

    def forward(self, data: Data) -> Tensor:
        """Logits [graphs, classes]."""
        inputs: Inputs | None = data.__dict__.get(KEPT)
        if inputs is None or inputs.token != self._token or inputs.source is not data.x:
            inputs = self._inputs(data)
        with torch.no_grad():
            return self._compute(inputs)

    def _compute(self, inputs: Inputs) -> Tensor:
        model, (first, second), x = self.model, inputs.levels, inputs.source
        nodes = len(x)
        x = _convolve(model.conv1, x, inputs.convolution)
        chosen = first.choose(x, inputs.neighbours)
        x = x.index_select(0, chosen)
        edges = _pool(model.pool1, x, inputs.pairs.among(chosen, nodes))
        embedding = first.read(x).relu_()

        aggregation = edges.operator()
        x = _convolve(model.conv2, x, aggregation)
        chosen = second.choose(x, aggregation)
        x = x.index_select(0, chosen)
        edges = _pool(model.pool2, x, edges.near(chosen))
        embedding += second.read(x).relu_()

        x = _convolve(model.conv3, x, edges.operator())
        embedding += second.read(x).relu_()
        x = functional.linear(embedding, model.lin1.weight, model.lin1.bias).relu_()
        x = functional.linear(x, model.lin2.weight, model.lin2.bias).relu_()
        return functional.linear(x, model.lin3.weight, model.lin3.bias)


def _convolve(conv: GCNConv, x: Tensor, aggregation: Operator) -> Tensor:
    weight = conv.lin.weight
    if weight.size(1) < weight.size(0):
        return functional.linear(propagate(aggregation, x), weight, conv.bias).relu_()
    return propagate(aggregation, functional.linear(x, weight)).add_(conv.bias).relu_()


def _pool(pool: HGPSLPool, x: Tensor, pairs: Candidates) -> Edges:
    half = functional.linear(x, pool.att.view(2, -1))
    row, column = torch.from_numpy(pairs.row), torch.from_numpy(pairs.column)
    source, target = half.t().contiguous()
    score = functional.leaky_relu(source[row] + target[column], pool.negative_slope)
    return Edges(pairs, sparsemax_rows(score.add_(pairs.weight, alpha=pool.lamb), pairs))


@register_lowering(HGPSL)
def hgpsl(model: HGPSL) -> nn.Module:
    """The same forward without what training needs."""
    for conv in (model.conv1, model.conv2, model.conv3):
        only(only(conv, GCNConv).aggregate, Aggregate)
        linear(conv.lin)
    for layer in (model.lin1, model.lin2, model.lin3):
        linear(layer)
    only(model.pool1, HGPSLPool), only(model.pool2, HGPSLPool)
    weight = model.lin1.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise CannotLowerError(
            f"HGPSL is lowered in float32 on a processor, and this is {weight.dtype} on "
            f"{weight.device}"
        )
    return LeanHGPSL(model)

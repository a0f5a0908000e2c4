"""HGP-SL's forward as it was before its candidates were found by counting: what it is held to."""

from __future__ import annotations

import torch
from torch.nn import functional

from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.hgpsl_pool import Pairs, _four_hops
from gnnperf.ops import SparseMatrix, spmm
from gnnperf.ops.graphs import readout


class Product(torch.autograd.Function):
    """A sparse product whose values have their gradient from all gathered rows at once."""

    @staticmethod
    def forward(ctx, matrix, value, dense):
        ctx.matrix = matrix
        ctx.save_for_backward(value, dense)
        return spmm(matrix.with_value(value.detach()), dense.detach())

    @staticmethod
    def backward(ctx, grad):
        matrix, (value, dense) = ctx.matrix, ctx.saved_tensors
        value_grad = (grad[matrix.row] * dense[matrix.column]).sum(-1)
        weight = value[matrix.by_column]
        index, start = matrix.row_by_column, matrix.column_start
        dense_grad = torch.embedding_bag(grad, index, start, False, 0, False, weight, True)[0]
        return None, value_grad, dense_grad


class EarlierHGPSL(HGPSL):
    """The same weights, masks, sorts and sums as ever."""

    def forward(self, data):
        """Logits [graphs, classes]."""
        inputs = data.hgpsl_inputs
        x = functional.relu(self.conv1(data.x, inputs.convolution))
        kept, start = self._choose(x, inputs.neighbours, inputs.start)
        x = x[kept]
        edges = learned(self.pool1, x, among(inputs.pairs, kept))
        embedding = functional.relu(read(x, start))

        aggregation = coordinates(edges, len(x))
        x = functional.relu(convolved(self.conv2, x, aggregation))
        kept, start = self._choose(x, aggregation, start)
        x = x[kept]
        edges = learned(self.pool2, x, among(near(edges, kept), kept))
        embedding = embedding + functional.relu(read(x, start))

        x = functional.relu(convolved(self.conv3, x, coordinates(edges, len(x))))
        embedding = embedding + functional.relu(read(x, start))
        return self._classify(embedding)

    @torch.no_grad()
    def _choose(self, x, neighbours, start):
        score = (x - spmm(neighbours, x)).abs().sum(-1).round(decimals=4)
        size = start.diff()
        graph = torch.repeat_interleave(torch.arange(len(size)), size)
        order = torch.arange(len(graph))
        rank = order - start[graph]
        for key in (x.abs().sum(-1), score):
            order = order[torch.argsort(key[order], descending=True, stable=True)]
        order = order[torch.argsort(graph[order], stable=True)]
        kept = torch.zeros(len(graph), dtype=torch.bool)
        kept[order] = rank < (self.ratio * size).ceil()[graph]
        return kept, functional.pad(kept.cumsum(0), (1, 0))[start]


def convolved(conv, x, aggregation):
    hidden = conv.lin(x)
    return Product.apply(aggregation, aggregation.value, hidden) + conv.bias


def coordinates(pairs, nodes):
    return SparseMatrix.from_coo(pairs.column, pairs.row, pairs.weight, (nodes, nodes))


def among(pairs, kept):
    inside = kept[pairs.row] & kept[pairs.column]
    number = kept.cumsum(0) - 1
    return Pairs(number[pairs.row[inside]], number[pairs.column[inside]], pairs.weight[inside])


def near(edges, kept):
    nodes = len(kept)
    row, column = _four_hops(edges, kept)
    key = row * nodes + column
    inside = kept[edges.row] & kept[edges.column]
    place = torch.searchsorted(key, (edges.row * nodes + edges.column)[inside])
    weight = edges.weight.new_zeros(len(key)).index_add(0, place, edges.weight[inside])
    return Pairs(row, column, weight)


def read(x, start):
    return torch.cat([readout(x, start, "max"), readout(x, start, "mean")], 1)


def learned(pool, x, pairs):
    half = functional.linear(x, pool.att.view(2, -1))
    raw = half[:, 0][pairs.row] + half[:, 1][pairs.column]
    score = functional.leaky_relu(raw, pool.negative_slope)
    attention = sparsemax(score + pool.lamb * pairs.weight, pairs.row, len(x))
    chosen = attention > 0
    return Pairs(pairs.row[chosen], pairs.column[chosen], attention[chosen])


def sparsemax(value, row, rows):
    top = value.new_full((rows,), float("-inf"))
    value = value - top.scatter_reduce(0, row, value.detach(), "amax")[row]
    support = torch.ones_like(value, dtype=torch.bool)
    with torch.no_grad():
        while True:
            smaller = support & (value > threshold(value, support, row, rows)[row])
            if torch.equal(smaller, support):
                break
            support = smaller
    return torch.where(support, value - threshold(value, support, row, rows)[row], 0)


def threshold(value, support, row, rows):
    size = value.new_zeros(rows).index_add(0, row, support.to(value.dtype))
    total = value.new_zeros(rows).index_add(0, row, torch.where(support, value, 0))
    return (total - 1) / size.clamp(min=1)

"""Edges in the order of their targets, kept with a batch and recognised when they come again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

SUM, MEAN, MAX = 0, 1, 2
"""Ways to combine, as torch.embedding_bag numbers them."""


class Noted:
    """A tensor that is recognised when it comes again, the same object or an equal one."""

    def __init__(self, tensor: Tensor) -> None:
        # A tensor of inference mode does not count its changes.
        self._counts = not tensor.is_inference()
        self._tensor = tensor if self._counts else tensor.clone()
        self._version = tensor._version if self._counts else 0

    def is_it(self, other: Tensor) -> bool:
        """Whether this is what was noted, unchanged."""
        if self._counts and self._tensor._version != self._version:
            return False
        if other is self._tensor:
            return True
        mine = self._tensor
        return (
            other.shape == mine.shape
            and other.dtype == mine.dtype
            and other.device == mine.device
            and torch.equal(other, mine)
        )


@dataclass
class Edges:
    """Edges in the order of their targets.

    Attributes:
        rows: how many targets there are.
        order: int64 [edges]; which edge stands at each place.
        row_start: [rows + 1].
        column: [edges]; the source of each.
        weights: those that came along, with their values in this order.
    """

    rows: int
    order: Tensor
    row_start: Tensor
    column: Tensor
    weights: list[tuple[Noted, Tensor]] = field(default_factory=list)

    @staticmethod
    def of(edge_index: Tensor, source: int, rows: int) -> Edges:
        """From edge_index [2, edges] whose row `source` holds the sources.

        Raises ValueError for a target that lies outside.
        """
        target = edge_index[1 - source]
        if int(target.max()) >= rows or int(target.min()) < 0:
            raise ValueError(f"edges lead to node {int(target.max())} of {rows}")
        order, row_start = _by_target(target, rows)
        kind = _index_dtype(len(order), rows)
        return Edges(rows, order, row_start.to(kind), edge_index[source][order].to(kind))

    def transposed(self, sources: int) -> Edges:
        """The same edges the other way round, to so many nodes; made once."""
        if self._back is None or self._back.rows != sources:
            order, row_start = _by_target(self.column, sources)
            kind = self.column.dtype
            row = torch.repeat_interleave(self.row_start.diff().long())
            self._back = Edges(
                sources, self.order[order], row_start.to(kind), row.index_select(0, order).to(kind)
            )
        return self._back

    _back: Edges | None = None

    def in_order(self, weight: Tensor, *, keep: bool) -> Tensor:
        """Weights [edges] in the order of the targets; kept for when they come again."""
        for noted, value in self.weights:
            if noted.is_it(weight):
                return value
        value = weight.reshape(-1).index_select(0, self.order)
        if keep:
            self.weights.append((Noted(weight), value))
        return value

    def combine(self, x: Tensor, weight: Tensor | None, mode: int) -> Tensor:
        """Sum, mean or maximum of what the sources' rows of x [n, width] send: [rows, width]."""
        if weight is not None and mode == MEAN:
            # torch weighs sums alone.
            return self.combine(x, weight, SUM).div_(self.counts())
        result: Tensor = torch.embedding_bag(
            x.contiguous(), self.column, self.row_start, False, mode, False, weight, True
        )[0]
        return result

    def counts(self) -> Tensor:
        """How many edges lead to each target [rows, 1], 1 at least."""
        return self.row_start.diff().clamp(min=1).unsqueeze(1)


def _by_target(target: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Which edge stands at each place, and where each target's begin, int64."""
    row_start = torch.zeros(rows + 1, dtype=torch.long, device=target.device)
    torch.cumsum(torch.bincount(target, minlength=rows), 0, out=row_start[1:])
    if len(target) < 2 or bool((target[1:] >= target[:-1]).all()):
        # As samplers and coalesced graphs give them.
        return torch.arange(len(target), device=target.device), row_start
    return torch.argsort(target, stable=True), row_start


def _index_dtype(edges: int, rows: int) -> torch.dtype:
    return torch.int32 if max(edges, rows) < 2**31 else torch.int64


Call = tuple[str, int, Tensor | None, Tensor | None]
"""Which convolution, on how many nodes, edge_index and edge_weight."""


@dataclass(frozen=True)
class NotedCall:
    """A call of a convolution that is recognised when it comes again."""

    conv: str
    nodes: int
    edges: tuple[Noted | None, Noted | None]

    @staticmethod
    def of(call: Call) -> NotedCall:
        """Of a call as it is."""
        index, weight = (None if tensor is None else Noted(tensor) for tensor in call[2:])
        return NotedCall(*call[:2], (index, weight))

    def is_it(self, call: Call) -> bool:
        """Whether this is the call that was noted, on unchanged edges."""
        return (self.conv, self.nodes) == call[:2] and all(
            (noted is None) == (tensor is None)
            and (noted is None or tensor is None or noted.is_it(tensor))
            for noted, tensor in zip(self.edges, call[2:], strict=True)
        )


@dataclass
class Kept:
    """What is kept of a batch: its edges, and what normalising made of them.

    Attributes:
        filling: whether what comes is noted; afterwards it is only looked up.
    """

    edges: list[tuple[Noted, Edges]] = field(default_factory=list)
    norms: list[tuple[NotedCall, Any]] = field(default_factory=list)
    filling: bool = True

    def find(self, edge_index: Tensor, source: int, rows: int) -> Edges | None:
        """The edges in order; None where they are not known."""
        for noted, edges in self.edges:
            if edges.rows == rows and noted.is_it(edge_index):
                return edges
        if not self.filling:
            return None
        self.edges.append((Noted(edge_index), Edges.of(edge_index, source, rows)))
        return self.edges[-1][1]

"""PyG's convolutions on graphs of many edges, without a row for every edge.

A convolution whose message is what a neighbour sends, perhaps times a weight of the edge, sums up
`A x`: a sparse product, which has a gradient. Any other one computes its messages for some targets
at a time, where no gradient is wanted. The model's own forward runs as it is, a layer at a time on
all nodes, so that what it gives is exact to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.nn import MessagePassing

from gnnperf.ops.edges import MAX, Edges
from gnnperf.ops.message_kinds import (
    MODES,
    Message,
    dense_edges,
    kind_of,
    message_of,
    rowwise_hooks,
)
from gnnperf.ops.product import product

MESSAGE_BYTES = 1 << 26
"""What a convolution may hold as messages before they are bounded, unless told otherwise."""


@contextmanager
def bounded_messages(model: nn.Module, message_bytes: int = MESSAGE_BYTES) -> Iterator[Largest]:
    """Inside, convolutions with more bytes of messages than so many do without, where they can.

    Of smaller graphs, of edges as sparse tensors, and in training of messages that are computed,
    PyG's own code runs as it does outside. Gives what the largest messages would have held.
    """
    largest = Largest()
    convs: list[Any] = [part for part in model.modules() if isinstance(part, MessagePassing)]
    # Some do without by themselves.
    ours = [
        conv
        for conv in convs
        if "propagate" not in vars(conv) and not getattr(conv, "forms_no_messages", False)
    ]
    for conv in ours:
        bounded = _Bounded(conv, message_bytes, largest)
        conv.__dict__["propagate"] = bounded.propagate
        conv.__dict__["edge_updater"] = bounded.edge_updater
    try:
        yield largest
    finally:
        for conv in ours:
            del conv.__dict__["propagate"], conv.__dict__["edge_updater"]


@dataclass
class Largest:
    """The bytes of the largest messages so far, had they been formed all at once."""

    bytes: int = 0


@dataclass(frozen=True)
class _Call:
    """A call of `propagate` or `edge_updater`.

    Attributes:
        edge_index: [2, edges].
        nodes: how many send and receive, as edge_index numbers them.
        given: arguments by name.
        ends: names of those that hold a row a node.
    """

    edge_index: Tensor
    nodes: tuple[int, int]
    given: Mapping[str, Any]
    ends: frozenset[str]

    def bytes_an_edge(self) -> int:
        """Of the widest row that is sent along an edge."""
        rows = [t[:1] for name in self.ends for t in _pair(self.given.get(name)) if t is not None]
        return max((row.numel() * row.element_size() for row in rows), default=0)


@dataclass
class _Bounded:
    """Stands before a convolution's two functions of edges."""

    conv: Any
    message_bytes: int
    largest: Largest
    _messages: dict[bool, Message | str] = field(default_factory=dict)

    def propagate(self, edge_index: Any, size: Any = None, **given: Any) -> Any:
        """As MessagePassing's."""
        whole = partial(type(self.conv).propagate, self.conv)
        call = self._call(edge_index, size, given, self.conv._user_args)
        if call is None:
            return whole(edge_index, size=size, **given)
        combined = self._combined(call)
        if combined is not None:
            return combined
        if not self._divisible(call):
            return whole(edge_index, size=size, **given)
        return torch.cat([rows for _, rows in self._in_chunks(call, whole)])

    def edge_updater(self, edge_index: Any, size: Any = None, **given: Any) -> Any:
        """As MessagePassing's: what is computed for each edge."""
        whole = partial(type(self.conv).edge_updater, self.conv)
        call = self._call(edge_index, size, given, self.conv._edge_user_args)
        if call is None or not self._divisible(call):
            return whole(edge_index, size=size, **given)
        places, values = zip(*self._in_chunks(call, whole), strict=True)
        if not all(isinstance(value, Tensor) for value in values):
            return whole(edge_index, size=size, **given)
        found = torch.cat(values)
        return torch.empty_like(found).index_copy_(0, torch.cat(places), found)

    @property
    def _source(self) -> int:
        return 0 if self.conv.flow == "source_to_target" else 1

    def _call(self, edge_index: Any, size: Any, given: Any, names: Any) -> _Call | None:
        """The call, where its messages are large and stand in rows."""
        if not dense_edges(edge_index) or self.conv.explain:
            return None
        ends = frozenset(name[:-2] for name in names if name.endswith(("_i", "_j")))
        rows = [_pair(given.get(name)) for name in ends]
        tensors = [tensor for pair in rows for tensor in pair if tensor is not None]
        if not tensors or any(self.conv.node_dim % max(t.dim(), 1) for t in tensors):
            return None
        nodes = [
            _first(None if size is None else size[end], *(_length(pair[end]) for pair in rows))
            for end in (0, 1)
        ]
        if nodes[0] is None or nodes[1] is None:
            return None
        call = _Call(edge_index, (nodes[0], nodes[1]), given, ends)
        size_bytes = edge_index.size(1) * call.bytes_an_edge()
        self.largest.bytes = max(self.largest.bytes, size_bytes)
        return call if size_bytes > self.message_bytes else None

    def _combined(self, call: _Call) -> Tensor | None:
        """By a sparse product; None where the messages are of another kind."""
        message = self._message()
        if isinstance(message, str):
            return None
        weight = None if message.weight is None else call.given[message.weight]
        sent = _pair(call.given[message.source])[self._source]
        if sent is None or sent.dim() not in (2, 3) or not sent.is_floating_point():
            return None
        kind, mode = (
            kind_of(sent, weight, call.edge_index.size(1)),
            MODES[type(self.conv.aggr_module)],
        )
        if kind not in message.kinds or (mode == MAX and torch.is_grad_enabled()):
            return None
        return product(self._edges(call), sent, weight, mode)

    def _message(self) -> Message | str:
        training = bool(self.conv.training)
        if training not in self._messages:
            # A message may draw, and what it is tried with is no part of the training.
            with torch.random.fork_rng(devices=[]):
                self._messages[training] = message_of(self.conv, in_training=True)
        return self._messages[training]

    def _edges(self, call: _Call) -> Edges:
        return edges_of(call.edge_index, self._source, call.nodes[1 - self._source])

    def _divisible(self, call: _Call) -> bool:
        """Whether some targets at a time give the same, and are wanted."""
        conv = self.conv
        return (
            not torch.is_grad_enabled()
            and conv.decomposed_layers == 1
            and type(conv).update is MessagePassing.update
            and rowwise_hooks(conv)
        )

    def _in_chunks(self, call: _Call, whole: Callable[..., Any]) -> Iterator[tuple[Tensor, Any]]:
        """Which edges, and what they give, for some targets after the other."""
        edges, target = self._edges(call), 1 - self._source
        count = max(1, self.message_bytes // max(1, call.bytes_an_edge()))
        for first, last in pairwise(_bounds(edges.row_start, count)):
            begin, end = int(edges.row_start[first]), int(edges.row_start[last])
            places = edges.order[begin:end]
            index = call.edge_index[:, places]
            index[target] -= first
            size = list(call.nodes)
            size[target] = last - first
            given = {
                name: self._part(call, name, value, (first, last), places)
                for name, value in call.given.items()
            }
            yield places, whole(index, size=tuple(size), **given)

    def _part(
        self, call: _Call, name: str, value: Any, rows: tuple[int, int], places: Tensor
    ) -> Any:
        if name in call.ends:
            pair, target = list(_pair(value)), 1 - self._source
            mine = pair[target]
            pair[target] = None if mine is None else mine[rows[0] : rows[1]]
            return tuple(pair)
        if isinstance(value, Tensor) and value.dim() and len(value) == call.edge_index.size(1):
            return value[places]
        return value


def edges_of(edge_index: Tensor, source: int, rows: int) -> Edges:
    """The edges in the order of their targets; kept as long as that very tensor is, unchanged."""
    version = None if edge_index.is_inference() else edge_index._version
    kept = _KEPT.setdefault(edge_index, {})
    key = (version, source, rows)
    if key not in kept or version is None:
        kept.clear()
        kept[key] = Edges.of(edge_index, source, rows)
    edges: Edges = kept[key]
    return edges


_KEPT: Any = WeakTensorKeyDictionary()


def _bounds(row_start: Tensor, count: int) -> list[int]:
    """Where to divide the rows, so that between two bounds lie `count` entries, or one row's.

    And one entry at least: some aggregations cannot do with none.
    """
    bounds, rows = [0], len(row_start) - 1
    while bounds[-1] < rows:
        start = row_start[bounds[-1]]
        begins = torch.stack([start + count, start])
        fits, least = torch.searchsorted(row_start, begins, right=True).tolist()
        end = min(max(fits - 1, least), rows)
        # Rows without entries go with those before them.
        bounds.append(int(torch.searchsorted(row_start, row_start[end], right=True)) - 1)
    return bounds


def _pair(value: Any) -> tuple[Tensor | None, Tensor | None]:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return value[0], value[1]
    return (value, value) if isinstance(value, Tensor) else (None, None)


def _length(value: Tensor | None) -> int | None:
    return None if value is None else len(value)


def _first(*found: int | None) -> int | None:
    return next((int(one) for one in found if one is not None), None)

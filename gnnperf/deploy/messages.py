"""Unchanged models of PyG's convolutions: scatter replaced by a sparse product.

A convolution whose message is what a neighbour sends, perhaps times a weight of the edge, sums up
`A x`. Whether it is one is found by trying its `message`, so that a project's own count too. The
model's own forward runs as it is; only `propagate` is another, on batches that were prepared.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from gnnperf.ops.edges import Call, Edges, Kept, NotedCall
from gnnperf.ops.message_kinds import MODES, Message, dense_edges, kind_of, message_of

KEPT = "lean_messages"
"""Field of a prepared batch."""


class Current:
    """The batch that is being computed; shared by all convolutions of a model."""

    kept: Kept | None = None

    def __init__(self) -> None:
        self.replaced: set[str] = set()
        """Names of the convolutions that the sparse product has stood in for."""


class SparseMessages:
    """Put before a convolution's class: its messages are summed up by a sparse product."""

    lean_current: Current
    lean_name: str
    lean_source: str
    lean_weight: str | None
    lean_kinds: frozenset[str]
    forms_no_messages = True

    def propagate(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """As MessagePassing's; by way of it where edges or features are of another kind."""
        result = self._combined(edge_index, size, kwargs)
        if result is None:
            base: Any = super()
            result = base.propagate(edge_index, size=size, **kwargs)
        return result

    def _combined(self, edge_index: Any, size: Any, given: dict[str, Any]) -> Tensor | None:
        kept, conv = self.lean_current.kept, _module(self)
        if kept is None or not dense_edges(edge_index):
            return None
        weight = None if self.lean_weight is None else given[self.lean_weight]
        source = 0 if conv.flow == "source_to_target" else 1
        sent, rows = _ends(given[self.lean_source], size, source)
        if sent is None or rows is None or conv.node_dim % sent.dim():
            return None
        edges = kept.find(edge_index, source, rows)
        kind = kind_of(sent, weight, edge_index.size(1))
        if edges is None or kind not in self.lean_kinds:
            return None
        self.lean_current.replaced.add(self.lean_name)
        mode = MODES[type(conv.aggr_module)]
        if kind == "heads":
            return _by_head(edges, sent, weight, mode)  # type: ignore[arg-type]  # of that kind
        if weight is None:
            return edges.combine(sent, None, mode)
        return edges.combine(sent, edges.in_order(weight, keep=kept.filling), mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the convolution's own; what it makes of the edges alone is kept with the batch."""
        kept, conv = self.lean_current.kept, _module(self)
        base: Any = super()
        if kept is None or getattr(conv, "cached", True) or not hasattr(conv, _CACHE):
            return base.forward(*args, **kwargs)
        key = _edges_of(conv, args, kwargs)
        known = next((made for noted, made in kept.norms if noted.is_it(key)), None)
        conv.cached, conv._cached_edge_index = kept.filling, known
        try:
            result = base.forward(*args, **kwargs)
            if known is None and conv._cached_edge_index is not None:
                kept.norms.append((NotedCall.of(key), conv._cached_edge_index))
        finally:
            conv.cached, conv._cached_edge_index = False, None
        return result


_CACHE = "_cached_edge_index"
"""Where some of PyG's convolutions keep the normalised edges of one graph, if `cached`."""


def _module(conv: Any) -> Any:
    return conv


def _edges_of(conv: Any, args: Any, kwargs: Any) -> Call:
    kind: Any = type(conv).__mro__[2]
    given = inspect.signature(kind.forward).bind(conv, *args, **kwargs).arguments
    index, weight = given.get("edge_index"), given.get("edge_weight")
    return conv.lean_name, len(given["x"]), index, weight


def _ends(x: Any, size: Any, source: int) -> tuple[Tensor | None, int | None]:
    """What is sent, and how many receive."""
    pair = x if isinstance(x, (tuple, list)) else (x, x)
    sent, received = pair[source], pair[1 - source]
    if not isinstance(sent, Tensor) or sent.dim() not in (2, 3):
        return None, None
    if not sent.is_floating_point() or not sent.numel():
        return None, None
    if size is not None and size[1 - source] is not None:
        return sent, int(size[1 - source])
    return sent, None if received is None else len(received)


def _by_head(edges: Edges, x: Tensor, weight: Tensor, mode: int) -> Tensor:
    """Of x [n, heads, width] with weights [edges, heads]."""
    heads = x.size(1)
    values = weight.reshape(-1, heads).index_select(0, edges.order).t().contiguous()
    return torch.stack([edges.combine(x[:, h], values[h], mode) for h in range(heads)], 1)


class Messages(nn.Module):
    """A model whose convolutions are of `SparseMessages`."""

    def __init__(self, model: nn.Module, current: Current) -> None:
        super().__init__()
        self.model, self._current = model, current

    @property
    def replaced(self) -> set[str]:
        """Names of the convolutions that the sparse product has stood in for so far."""
        return self._current.replaced

    def replace(self, name: str, conv: Any, message: Message) -> None:
        """Let a convolution of the model use the sparse product."""
        kind = type(conv)
        conv.__class__ = type(kind.__name__, (SparseMessages, kind), {"__module__": __name__})
        conv.lean_current, conv.lean_name = self._current, name
        conv.lean_source, conv.lean_weight = message.source, message.weight
        conv.lean_kinds = message.kinds

    @torch.no_grad()
    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` that has gone through the model once, for what can be kept."""
        own = getattr(self.model, "prepare", None)
        data = copy(data if own is None else own(data))
        kept = data.__dict__[KEPT] = Kept()
        self(data)
        kept.filling = False
        return data

    def forward(self, data: Data) -> Any:
        """What the model gives."""
        with self._computing(data.__dict__.get(KEPT)):
            return self.model(data)

    @contextmanager
    def _computing(self, kept: Kept | None) -> Iterator[None]:
        self._current.kept = kept
        try:
            yield
        finally:
            self._current.kept = None


def with_sparse_messages(
    model: nn.Module, example: Data
) -> tuple[Messages | None, list[str], list[str]]:
    """A copy whose convolutions of PyG's kind use the sparse product where they may.

    Also what was done on the example, and why other convolutions stay as they are; None where
    nothing could be done.
    """
    messages = Messages(deepcopy(model).requires_grad_(False), Current())
    left: dict[str, str] = {}
    for name, conv in list(messages.model.named_modules()):
        if isinstance(conv, MessagePassing):
            message = message_of(conv)
            left[name] = "its edges or features are of another kind"
            if isinstance(message, str):
                left[name] = message
            else:
                messages.replace(name, conv, message)
    messages.prepare(example)
    done = [f"{name or 'the model'}: scatter replaced" for name in sorted(messages.replaced)]
    reasons = [f"{n or 'the model'} {why}" for n, why in left.items() if n not in messages.replaced]
    return (messages if done else None), done, reasons

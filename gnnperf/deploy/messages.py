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
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from gnnperf.deploy.lowering import changed

KEPT = "lean_messages"
"""Field of a prepared batch."""

_SUM, _MEAN, _MAX = 0, 1, 2  # As torch.embedding_bag numbers them.
_MODES = {SumAggregation: _SUM, MeanAggregation: _MEAN, MaxAggregation: _MAX}


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
        index: of the edges as they came, [2, edges].
        rows: how many targets there are.
        order: int64 [edges]; which edge stands at each place.
        row_start: [rows + 1].
        column: [edges]; the source of each.
        weights: those that came along, with their values in this order.
    """

    index: Noted
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
        order = torch.argsort(target, stable=True)
        row_start = target.new_zeros(rows + 1)
        torch.cumsum(torch.bincount(target, minlength=rows), 0, out=row_start[1:])
        column = edge_index[source][order]
        kind = torch.int32 if max(len(order), rows) < 2**31 else torch.int64
        return Edges(Noted(edge_index), rows, order, row_start.to(kind), column.to(kind))

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
        if weight is not None and mode == _MEAN:
            # torch weighs sums alone.
            count = self.row_start.diff().clamp(min=1).unsqueeze(1)
            return self.combine(x, weight, _SUM).div_(count)
        result: Tensor = torch.embedding_bag(
            x.contiguous(), self.column, self.row_start, False, mode, False, weight, True
        )[0]
        return result


@dataclass
class Kept:
    """What is kept of a batch: its edges, and what normalising made of them.

    Attributes:
        filling: whether what comes is noted; afterwards it is only looked up.
    """

    edges: list[Edges] = field(default_factory=list)
    norms: list[tuple[NotedCall, Any]] = field(default_factory=list)
    filling: bool = True

    def find(self, edge_index: Tensor, source: int, rows: int) -> Edges | None:
        """The edges in order; None where they are not known."""
        for edges in self.edges:
            if edges.rows == rows and edges.index.is_it(edge_index):
                return edges
        if not self.filling:
            return None
        self.edges.append(Edges.of(edge_index, source, rows))
        return self.edges[-1]


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

    def propagate(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """As MessagePassing's; by way of it where edges or features are of another kind."""
        result = self._combined(edge_index, size, kwargs)
        if result is None:
            base: Any = super()
            result = base.propagate(edge_index, size=size, **kwargs)
        return result

    def _combined(self, edge_index: Any, size: Any, given: dict[str, Any]) -> Tensor | None:
        kept, conv = self.lean_current.kept, _module(self)
        if kept is None or type(edge_index) is not Tensor or not edge_index.size(1):
            return None
        weight = None if self.lean_weight is None else given[self.lean_weight]
        source = 0 if conv.flow == "source_to_target" else 1
        sent, rows = _ends(given[self.lean_source], size, source)
        if sent is None or rows is None or conv.node_dim % sent.dim():
            return None
        edges = kept.find(edge_index, source, rows)
        kind = _kind(sent, weight, edge_index.size(1))
        if edges is None or kind not in self.lean_kinds:
            return None
        self.lean_current.replaced.add(self.lean_name)
        mode = _MODES[type(conv.aggr_module)]
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


def _kind(x: Tensor, weight: Tensor | None, edges: int) -> str:
    """Which of `_KINDS` messages of x with this weight are; empty for none."""
    if weight is None:
        return "plain" if x.dim() == 2 else ""
    if weight.dtype != x.dtype:
        return ""
    shape = tuple(weight.shape)
    if x.dim() == 3:
        return "heads" if shape[:2] == (edges, x.size(1)) and weight[0, 0].numel() == 1 else ""
    return {(edges,): "weighted", (edges, 1): "column"}.get(shape, "")


def _by_head(edges: Edges, x: Tensor, weight: Tensor, mode: int) -> Tensor:
    """Of x [n, heads, width] with weights [edges, heads]."""
    heads = x.size(1)
    values = weight.reshape(-1, heads).index_select(0, edges.order).t().contiguous()
    return torch.stack([edges.combine(x[:, h], values[h], mode) for h in range(heads)], 1)


@dataclass(frozen=True)
class _Message:
    """What a convolution sends: names of that and of its weight, and which weights it may have."""

    source: str
    weight: str | None
    kinds: frozenset[str]


class Messages(nn.Module):
    """A model whose convolutions are of `SparseMessages`."""

    def __init__(self, model: nn.Module, current: Current) -> None:
        super().__init__()
        self.model, self._current = model, current

    @property
    def replaced(self) -> set[str]:
        """Names of the convolutions that the sparse product has stood in for so far."""
        return self._current.replaced

    def replace(self, name: str, conv: Any, message: _Message) -> None:
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
            message = _message_of(conv)
            left[name] = "its edges or features are of another kind"
            if isinstance(message, str):
                left[name] = message
            else:
                messages.replace(name, conv, message)
    messages.prepare(example)
    done = [f"{name or 'the model'}: scatter replaced" for name in sorted(messages.replaced)]
    reasons = [f"{n or 'the model'} {why}" for n, why in left.items() if n not in messages.replaced]
    return (messages if done else None), done, reasons


def _message_of(conv: Any) -> _Message | str:
    """What a convolution sends; or why its scatter has to stay."""
    kind = type(conv)
    own = [n for n in ("update", "aggregate") if getattr(kind, n) is not getattr(MessagePassing, n)]
    if own:
        return f"has its own {own[0]}"
    if type(conv.aggr_module) not in _MODES:
        return f"aggregates by {type(conv.aggr_module).__name__}"
    if reason := next(filter(None, map(changed, conv.modules())), None):
        return reason
    if conv.decomposed_layers != 1 or conv.node_dim not in (0, -2, -3):
        return "is decomposed, or its nodes stand in another dimension"
    names = list(inspect.signature(kind.message).parameters)[1:]
    sent = [name for name in names if name.endswith("_j")]
    others = [name for name in names if name not in sent]
    if len(sent) != 1 or len(others) > 1 or any(name.endswith("_i") for name in others):
        return f"computes its messages of {', '.join(names)}"
    weight = others[0] if others else None
    kinds = _copies(conv, sent[0], weight)
    if not kinds:
        return "computes its messages"
    return _Message(sent[0].removesuffix("_j"), weight, kinds)


@torch.no_grad()
def _copies(conv: Any, sent: str, weight: str | None) -> frozenset[str]:
    """For which kinds of weights a message is what is sent, times the edge's weight."""
    generator = torch.Generator().manual_seed(0)
    edges, heads, width = 64, 3, 5

    def drawn(*shape: int) -> Tensor:
        # Of all sizes and both signs, with zeros.
        size = 10 ** (6 * torch.rand(*shape, generator=generator) - 3)
        return size * torch.randint(-1, 2, shape, generator=generator)

    x, stacked, value, values = (
        drawn(edges, width),
        drawn(edges, heads, width),
        drawn(edges),
        drawn(edges, heads),
    )
    tries: dict[str, tuple[Tensor, Tensor | None, Tensor]] = {"plain": (x, None, x)}
    if weight is not None:
        tries["weighted"] = (x, value, x * value[:, None])
        tries["column"] = (x, value[:, None], x * value[:, None])
        tries["heads"] = (stacked, values, stacked * values[..., None])
    return frozenset(kind for kind, one in tries.items() if _gives(conv, sent, weight, *one))


def _gives(
    conv: Any, sent: str, weight: str | None, x: Tensor, value: Tensor | None, expected: Tensor
) -> bool:
    arguments = {sent: x} if weight is None else {sent: x, weight: value}
    try:
        found = conv.message(**arguments)
    except Exception:  # whatever a message raises for what it does not take
        return False
    return isinstance(found, Tensor) and torch.equal(found, expected)

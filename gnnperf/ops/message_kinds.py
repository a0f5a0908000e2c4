"""What a convolution of PyG's kind sends along an edge, found by trying its `message`."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from gnnperf.ops.edges import MAX, MEAN, SUM

MODES = {SumAggregation: SUM, MeanAggregation: MEAN, MaxAggregation: MAX}
"""How to combine, by PyG's aggregation."""


def changed(part: nn.Module) -> str | None:
    """Why a module, its parts aside, may not compute what its type does; None where it does."""
    if "forward" in vars(part):
        return "has a forward of its own"
    # torch's and PyG's alike.
    if any(value for name, value in vars(part).items() if _HOOKS.search(name)):
        return "has hooks"
    return _TRAINING if part.training else None


_TRAINING = "is in training mode"

_HOOKS = re.compile(r"^_\w*forward_(pre_)?hooks$|^_explain$")


def rowwise_hooks(conv: nn.Module) -> bool:
    """Whether what hooks of a convolution do in eval mode, they do to each row alone.

    A hook that is a method says so by its object's `rowwise`; hooks around the whole convolution
    see what they would anyway.
    """
    inside = [
        hook
        for name, hooks in vars(conv).items()
        if _HOOKS.search(name) and name not in ("_forward_hooks", "_forward_pre_hooks") and hooks
        for hook in hooks.values()
    ]
    return all(getattr(getattr(hook, "__self__", None), "rowwise", False) for hook in inside)


@dataclass(frozen=True)
class Message:
    """What a convolution sends: names of that and of its weight, and which weights it may have."""

    source: str
    weight: str | None
    kinds: frozenset[str]


def message_of(conv: Any, *, in_training: bool = False) -> Message | str:
    """What a convolution sends; or why its scatter has to stay.

    In training mode only where that is asked for: what is learned or drawn may change then.
    """
    kind = type(conv)
    own = [n for n in ("update", "aggregate") if getattr(kind, n) is not getattr(MessagePassing, n)]
    if own:
        return f"has its own {own[0]}"
    if type(conv.aggr_module) not in MODES:
        return f"aggregates by {type(conv.aggr_module).__name__}"
    reasons = list(filter(None, map(changed, conv.modules())))
    if reason := next((r for r in reasons if not (in_training and r == _TRAINING)), None):
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
    return Message(sent[0].removesuffix("_j"), weight, kinds)


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


def dense_edges(edge_index: Any) -> bool:
    """Whether these are edges [2, edges], one at least; adjacencies are also sparse tensors."""
    return (
        type(edge_index) is Tensor
        and edge_index.layout == torch.strided
        and edge_index.dim() == 2
        and edge_index.size(1) > 0
    )


def kind_of(x: Tensor, weight: Tensor | None, edges: int) -> str:
    """Which of `_KINDS` messages of x with this weight are; empty for none."""
    if weight is None:
        return "plain" if x.dim() == 2 else ""
    if weight.dtype != x.dtype:
        return ""
    shape = tuple(weight.shape)
    if x.dim() == 3:
        return "heads" if shape[:2] == (edges, x.size(1)) and weight[0, 0].numel() == 1 else ""
    return {(edges,): "weighted", (edges, 1): "column"}.get(shape, "")

"""What messages that are copies, perhaps weighted, sum up to: a sparse product with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnperf.ops.edges import MAX, MEAN, SUM, Edges

_CHUNK = 1 << 24
"""Entries of messages at a time, for the gradient of their weights."""


def product(edges: Edges, x: Tensor, weight: Tensor | None, mode: int) -> Tensor:
    """What x [n, width] sends along the edges, combined at their targets: [rows, width].

    Differentiable in x and weight, but for a maximum.

    Args:
        edges: in the order of their targets.
        x: floating point; [n, heads, width] with weights [edges, heads].
        weight: [edges] or [edges, 1], in the order in which the edges came; None: all are one.
        mode: SUM, MEAN or MAX.
    """
    if x.dim() == 3 and weight is not None:
        by_edge = weight.reshape(len(weight), -1)
        heads = [product(edges, x[:, h], by_edge[:, h], mode) for h in range(x.size(1))]
        return torch.stack(heads, 1)
    flat = None if weight is None else weight.reshape(-1)
    if mode == MAX:
        return edges.combine(x, _placed(edges, flat), MAX)
    result: Tensor = _Product.apply(edges, x, flat, mode)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def _placed(edges: Edges, weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.index_select(0, edges.order)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, x: Tensor, weight: Tensor | None, mode: int) -> Tensor:
        ctx.edges, ctx.mode = edges, mode
        # Without a weight to learn x is not needed again.
        learned = weight is not None and weight.requires_grad
        ctx.sources = len(x)
        ctx.save_for_backward(x if learned else None, weight)
        return edges.combine(x.detach(), _placed(edges, weight), mode)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None, None]:
        edges: Edges = ctx.edges
        x, weight = ctx.saved_tensors
        if ctx.mode == MEAN:
            grad = grad / edges.counts()
        x_grad = weight_grad = None
        if ctx.needs_input_grad[1]:
            back = edges.transposed(ctx.sources)
            x_grad = back.combine(grad, _placed(back, weight), SUM)
        if ctx.needs_input_grad[2]:
            weight_grad = _weight_grad(edges, x, grad)
        return None, x_grad, weight_grad, None


def _weight_grad(edges: Edges, x: Tensor, grad: Tensor) -> Tensor:
    """[edges]: the inner product of what each edge's source sent and its target's gradient."""
    found = grad.new_empty(len(edges.order))
    row = torch.repeat_interleave(edges.row_start.diff().long())
    size = max(1, _CHUNK // max(1, x.size(1)))
    for places, target, source in zip(
        edges.order.split(size), row.split(size), edges.column.split(size), strict=True
    ):
        sent = x.index_select(0, source)
        found[places] = sent.mul_(grad.index_select(0, target)).sum(-1)
    return found

"""Channels and inputs that decide nothing, taken out of a plan: what is left computes the same.

Pruning leaves them behind. A channel is dead when all that read it have weight zero, or when all
that write it do and it is zero then; where it is another constant and a linear layer reads it, it
goes into that layer's bias.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gnnperf.deploy.plan import Layer, Maximum, Plan, Propagate, Step

# Every channel goes through these alone, and a zero stays zero.
_CHANNELWISE = (Propagate, Maximum)

# Widths stay multiples of it, as others take longer than dead channels do.
LANES = 8


def without_dead(plan: Plan) -> Plan:
    """The plan without dead channels and inputs; widths stay multiples of LANES."""
    steps, before = list(plan.steps), _channels(plan.steps)
    while any(_thin(steps, number) for number in _layers(steps)):
        pass
    columns, first = plan.columns, steps[0]
    gone = 0
    if isinstance(first, Layer):
        kept = _rounded_up(first.weight.ne(0).flatten(0, 1).any(0), 1)
        gone = int((~kept).sum())
        if gone:
            steps[0] = replace(first, weight=first.weight[:, :, kept])
            index = kept.nonzero().flatten()
            columns = index if columns is None else columns[index]
    left = replace(plan, steps=tuple(steps), columns=columns)
    dead = before - _channels(steps)
    if dead:
        left = left.noting(f"{dead} of {before} channels out")
    if gone:
        left = left.noting(f"{gone} of {len(kept)} inputs out")
    return left


def _layers(steps: list[Step]) -> list[int]:
    return [number for number, step in enumerate(steps) if isinstance(step, Layer)]


def _channels(steps: tuple[Step, ...] | list[Step]) -> int:
    """Of all layers but the last step's, whose channels are the logits."""
    return sum(step.out_channels for step in steps[:-1] if isinstance(step, Layer))


def _thin(steps: list[Step], number: int) -> bool:
    """Take the dead channels of a layer out, in place; tells whether there were any."""
    writer = steps[number]
    reading = next((n for n in _layers(steps) if n > number), None)
    if reading is None:
        return False
    reader, between = steps[reading], steps[number + 1 : reading]
    assert isinstance(writer, Layer) and isinstance(reader, Layer)  # noqa: PT018  # for mypy
    constant = writer.weight.eq(0).transpose(0, 1).flatten(1).all(1)
    value = writer.constants()
    dead = constant & value.eq(0)
    if all(isinstance(step, _CHANNELWISE) for step in between):
        dead |= reader.weight.eq(0).flatten(0, 1).all(0)
    foldable = constant & ~dead
    if not between and reader.operator is None and bool(foldable.any()):
        more = reader.weight[0][:, foldable] @ value[foldable]
        reader = replace(reader, bias=more if reader.bias is None else reader.bias + more)
        dead |= foldable
    kept = _rounded_up(~dead, LANES)
    if bool(dead[kept].any()):
        # Those that stay for shape's sake; what they gave is in the bias, or was nothing.
        weight = reader.weight.clone()
        weight[:, :, dead] = 0
        reader = replace(reader, weight=weight)
    if bool(kept.all()):
        return False
    steps[number] = replace(
        writer,
        weight=writer.weight[:, kept],
        bias=None if writer.bias is None else writer.bias[kept],
    )
    steps[reading] = replace(reader, weight=reader.weight[:, :, kept])
    return True


def _rounded_up(kept: Tensor, lanes: int) -> Tensor:
    """A mask with a multiple of `lanes` entries true, as far as there are as many; never none."""
    count = max(int(kept.sum()), 1)
    wanted = min(-(-count // lanes) * lanes, len(kept))
    index = torch.argsort((~kept).int(), stable=True)[:wanted]
    return torch.zeros_like(kept).index_fill_(0, index, True)

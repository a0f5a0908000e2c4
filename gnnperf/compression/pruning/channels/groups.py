"""Channels that go together: as they were found, or as a model names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gnnperf.compression.pruning.channels.trace import Traced
from gnnperf.models.channels import Group


@dataclass(frozen=True)
class Member:
    """A dimension of a parameter or buffer that holds channels of a group.

    Attributes:
        name: in the model's state.
        dim: the dimension.
        places: int64 [channels, k]; entries of each channel.
    """

    name: str
    dim: int
    places: Tensor


@dataclass(frozen=True, eq=False)
class Channels:
    """Channels of one kind, of which the least important go.

    Attributes:
        members: never empty.
    """

    members: tuple[Member, ...]

    @property
    def width(self) -> int:
        """How many channels there are."""
        return len(self.members[0].places)

    @property
    def name(self) -> str:
        """What messages call them: the first parameter that holds them."""
        return self.members[0].name

    def importance(self, model: nn.Module) -> Tensor:
        """L2 norm of all weights of each channel [width]; biases and normalisation do not count."""
        state = tensors_of(model)
        squares = [
            state[m.name].detach().movedim(m.dim, 0).flatten(1).square().sum(1)[m.places].sum(1)
            for m in self.members
            if state[m.name].dim() >= 2
        ]
        return torch.stack(squares).sum(0).sqrt()


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; what has several names stands under the first."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def found(traced: Traced, model: nn.Module) -> list[Channels]:
    """The groups of a trace: channels that stand in the same dimensions, equally often in each.

    Those that no weight of two or more dimensions holds, and groups of one channel, stay.
    """
    entries = traced.entries
    roots = np.concatenate([traced.labels.roots(dim).sum(1) for dim in entries.values()])
    sizes = [len(dim) for dim in entries.values()]
    member = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes])
    places: dict[int, dict[int, list[int]]] = {}
    for number in np.flatnonzero(roots):
        held = places.setdefault(int(roots[number]), {})
        held.setdefault(int(member[number]), []).append(int(place[number]))
    alike: dict[tuple[tuple[int, int], ...], list[dict[int, list[int]]]] = {}
    for channel in places.values():
        shape = tuple((number, len(rows)) for number, rows in channel.items())
        alike.setdefault(shape, []).append(channel)
    names, state = list(entries), tensors_of(model)
    return [
        Channels(
            tuple(
                Member(*names[number], torch.tensor([channel[number] for channel in channels]))
                for number, _ in shape
            )
        )
        for shape, channels in alike.items()
        if len(channels) > 1 and any(state[names[number][0]].dim() > 1 for number, _ in shape)
    ]


def declared(groups: Sequence[Group], model: nn.Module) -> list[Channels]:
    """The groups that a model's `channel_groups()` names.

    Raises ValueError for a dimension that there is not, or whose size does not fit.
    """
    first = {id(tensor): name for name, tensor in tensors_of(model).items()}
    every = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    names = {name: first[id(tensor)] for name, tensor in every}
    return [_declared(group, names, tensors_of(model)) for group in groups]


def _declared(group: Group, names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Channels:
    width, members = 0, []
    for name, dim in group:
        tensor = tensors[names[name]] if name in names else None
        if tensor is None or dim >= tensor.dim():
            raise ValueError(
                f"names dimension {dim} of {name}, and there is none; the model has "
                f"{', '.join(names)}"
            )
        size = tensor.size(dim)
        width = width or size
        if size % width:
            raise ValueError(
                f"puts dimension {dim} of {name} with {size} entries into a group of {width} "
                f"channels ({group[0][0]}); it has to be a multiple"
            )
        members.append(Member(names[name], dim, torch.arange(size).view(-1, width).t()))
    return Channels(tuple(members))

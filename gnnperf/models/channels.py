"""Which parameters share hidden channels, so that whole channels can be removed together.

A model that can lose channels has a method `channel_groups() -> list[Group]`. Removing channel c
of a group removes entry c of each of its dimensions; the model must compute what it would with
the channel at zero. A dimension with several times as many entries holds that many blocks, one
after the other, of one entry a channel (two readouts side by side, the halves of a scorer).
"""

from __future__ import annotations

Group = list[tuple[str, int]]
"""(name in the state_dict, dimension); the first one's size is the number of channels."""


def written_by(layer: str) -> Group:
    """Rows of a linear layer's `weight` [out, in] and its `bias`."""
    return [(f"{layer}.weight", 0), (f"{layer}.bias", 0)]


def normalised_by(layer: str) -> Group:
    """Everything of a batch normalisation."""
    names = ("weight", "bias", "running_mean", "running_var")
    return [(f"{layer}.{name}", 0) for name in names]


def read_by(layer: str) -> Group:
    """Columns of a linear layer's `weight` [out, in]."""
    return [(f"{layer}.weight", 1)]

"""How a model says which of its parameters share hidden channels, where that is not found.

`width@` finds by itself which channels can be removed together. A model may say so instead, by a
method `channel_groups() -> list[Group]`. Removing channel c of a group removes entry c of each of
its dimensions; the model must compute what it would with the channel at zero. A dimension with
several times as many entries holds that many blocks, one after the other, of one entry a channel
(two readouts side by side, the halves of a scorer).
"""

from __future__ import annotations

Group = list[tuple[str, int]]
"""(name in the state_dict, dimension); the first one's size is the number of channels.

`[("conv.lin.weight", 0), ("conv.bias", 0), ("head.weight", 1)]`: rows of what writes the channels
and its bias, columns of what reads them.
"""

"""A smaller model without some channels, and the full one with them at zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch_geometric.nn import LayerNorm, Linear, TransformerConv

from gnnperf.compression.pruning.channels.groups import Channels, tensors_of
from gnnperf.compression.pruning.channels.labels import Dim
from gnnperf.compression.pruning.channels.trace import NORMS, Traced
from gnnperf.training.modules import copied

Places = dict[tuple[str, int], Tensor]
"""Whether each entry of a dimension stays, bool, by (name of the tensor, dimension)."""


def staying(model: nn.Module, groups: Sequence[Channels], kept: Sequence[Tensor]) -> Places:
    """What stays of every dimension when of each group only the channels `kept` [indices] do."""
    state, result = tensors_of(model), Places()
    for group, channels in zip(groups, kept, strict=True):
        gone = torch.ones(group.width, dtype=torch.bool)
        gone[channels.cpu()] = False
        for member in group.members:
            size = state[member.name].size(member.dim)
            stays = result.setdefault((member.name, member.dim), torch.ones(size).bool())
            stays[member.places[gone].flatten()] = False
    return result


def shrunk(model: nn.Module, places: Places, traced: Traced | None = None) -> nn.Module:
    """A smaller copy with the entries that stay alone; tied weights stay tied.

    Args:
        places: from `staying`.
        traced: knows the numbers in modules that count channels; without, only those of torch's
            layers are set.
    """
    small = copied(model)
    before = tensors_of(model)
    changed: dict[int, Tensor] = {}
    for name, tensor in tensors_of(small).items():
        value = tensor.detach()
        for dim in range(value.dim()):
            if (name, dim) in places:
                index = places[name, dim].nonzero().flatten().to(value.device)
                value = value.index_select(dim, index)
        if value.shape != before[name].shape:
            parameter = isinstance(tensor, nn.Parameter)
            changed[id(tensor)] = nn.Parameter(value, tensor.requires_grad) if parameter else value
    for module in small.modules():
        for leaf, owned in [*module._parameters.items(), *module._buffers.items()]:
            if id(owned) in changed:
                setattr(module, leaf, changed[id(owned)])
    for name, module in small.named_modules():
        if traced is not None:
            _note_counts(name, module, places, traced)
        _note_sizes(module)
    return small


def _note_counts(name: str, module: nn.Module, places: Places, traced: Traced) -> None:
    for (owner, attribute), dim in traced.sizes.items():
        if owner == name:
            count, whole = int(_left(traced, places, dim).sum()), len(dim)
            setattr(module, attribute, count)
            if isinstance(module, TransformerConv) and attribute == "out_channels":
                # It divides what queries and keys give by the root of their width.
                with torch.no_grad():
                    for tensor in module.lin_query.parameters():
                        tensor.mul_((count / whole) ** 0.5)


def _left(traced: Traced, places: Places, dim: Dim) -> Tensor:
    """Whether each entry of a dimension that a trace met stays."""
    gone = np.zeros(traced.labels.count, np.bool_)
    for member, stays in places.items():
        gone[traced.labels.roots(traced.entries[member])[~stays.numpy()]] = True
    return torch.from_numpy(~gone[traced.labels.roots(dim)].any(1))


def _note_sizes(module: nn.Module) -> None:
    """Let torch's and PyG's own layers know their new shapes."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, Linear):
        module.out_channels, module.in_channels = module.weight.shape
    elif isinstance(module, _BatchNorm) and module.running_mean is not None:
        module.num_features = len(module.running_mean)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm) and module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, LayerNorm) and module.weight is not None:
        module.in_channels = len(module.weight)
    elif isinstance(module, nn.RNNBase):
        read, kept = module.get_parameter("weight_ih_l0"), module.get_parameter("weight_hh_l0")
        module.input_size, module.hidden_size = read.size(1), kept.size(1)
    elif isinstance(module, nn.RNNCellBase):
        module.input_size, module.hidden_size = module.weight_ih.size(1), module.weight_hh.size(1)


class _Among(nn.Module):
    """A norm over channels that measures those that stay alone; the others are zero."""

    def __init__(self, norm: nn.Module, stays: Tensor) -> None:
        super().__init__()
        self.norm, self.stays = norm, stays

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = torch.zeros_like(x)
        stays = self.stays.to(x.device)
        result[..., stays] = self.norm(x[..., stays], *args, **kwargs)
        return result


@torch.no_grad()
def masked(
    model: nn.Module, small: nn.Module, places: Places, traced: Traced | None = None
) -> nn.Module:
    """A full copy with all weights of what does not stay at zero: what `small` has to compute.

    Norms over channels (`NORMS`) measure only what stays there too; zeros are no such thing.
    """
    full = copied(model)
    for name, tensor in full.named_parameters():
        for dim in range(tensor.dim()):
            if (name, dim) in places:
                index = (~places[name, dim]).nonzero().flatten().to(tensor.device)
                tensor.index_fill_(dim, index, 0.0)
    for name, module in list(full.named_modules()):
        if isinstance(module, NORMS):
            stays = places.get((f"{name}.weight", 0))
            if traced is not None and name in traced.norms:
                stays = _left(traced, places, traced.norms[name])
            if stays is not None and not bool(stays.all()):
                full.set_submodule(name, _Among(small.get_submodule(name), stays))
    return full

"""Structured pruning: whole hidden channels go, and what is left is a smaller dense model.

Models say which dimensions share channels. Torch-Pruning finds that out by tracing, and guesses
at parameters that are in no layer of torch's: its 1.6.1 shrinks GNNNet and GIN to what is made of
them here, and leaves SplineNet whole without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gnnperf.compression.compressed import Changed, Compressed, RecipeError
from gnnperf.models.channels import Group
from gnnperf.training import Trained


def narrow(trained: Trained, sparsity: float) -> Compressed:
    """Remove round(sparsity * width) channels of every group of the model, the least first.

    A channel counts as much as the L2 norm of all weights that write or read it. The model says
    by `channel_groups()` which dimensions share channels (`gnnperf.models.channels`). Raises
    RecipeError for one that does not, for a group that would vanish, and where no channel would go.
    """
    groups = _groups(trained)
    widths = [width_of(trained.model, group) for group in groups]
    _require_some_left(trained, sparsity, groups, widths)
    kept = [
        _strongest(importance(trained.model, group), width - round(sparsity * width))
        for group, width in zip(groups, widths, strict=True)
    ]
    model = shrunk(trained.model, groups, kept)
    small = dict(model.named_parameters())
    touched = {name for group in groups for name, _ in group}
    coverage = {
        name: Changed(parameter.numel() - small[name].numel(), parameter.numel())
        for name, parameter in trained.model.named_parameters()
        if name in touched
    }
    return Compressed(trained, model, coverage)


def _groups(trained: Trained) -> Sequence[Group]:
    declared: Callable[[], Sequence[Group]] | None = getattr(trained.model, "channel_groups", None)
    groups = [] if declared is None else declared()
    if not groups:
        raise RecipeError(
            f"the model of {trained.workload} does not say which of its hidden "
            "channels can go; give it a method channel_groups(), as in gnnperf.models.channels"
        )
    state = trained.model.state_dict()
    for group in groups:
        width = None
        for name, dim in group:
            if name not in state or dim >= state[name].dim():
                raise RecipeError(
                    f"channel_groups() of {trained.workload} names dimension "
                    f"{dim} of {name}, and there is none; the model has {', '.join(state)}"
                )
            width = width or state[name].size(dim)
            if state[name].size(dim) % width:
                raise RecipeError(
                    f"channel_groups() of {trained.workload} puts dimension {dim} "
                    f"of {name} with {state[name].size(dim)} entries into a group of {width} "
                    f"channels ({group[0][0]}); it has to be a multiple"
                )
    return groups


def _require_some_left(
    trained: Trained,
    sparsity: float,
    groups: Sequence[Group],
    widths: Sequence[int],
) -> None:
    removed = [round(sparsity * width) for width in widths]
    limit = 1 - 0.5 / min(widths)
    for group, width, gone in zip(groups, widths, removed, strict=True):
        if gone >= width:
            raise RecipeError(
                f"all {width} channels of {group[0][0]} of {trained.workload} "
                f"would go, and with them the layer; ask for less than {limit:g}"
            )
    if sparsity > 0 and not any(removed):
        raise RecipeError(
            f"{sparsity:g} removes none of at most {max(widths)} channels a layer "
            f"of {trained.workload}; raise it, or ask for 0"
        )


def width_of(model: nn.Module, group: Group) -> int:
    """How many channels a group has: the entries of its first dimension."""
    name, dim = group[0]
    return int(model.state_dict()[name].size(dim))


def importance(model: nn.Module, group: Group) -> Tensor:
    """L2 norm of all weights of each channel [width]; biases and normalisation do not count."""
    width = width_of(model, group)
    state = model.state_dict()
    squares = [
        state[name].movedim(dim, 0).flatten(1).square().sum(1).view(-1, width).sum(0)
        for name, dim in group
        if state[name].dim() >= 2
    ]
    return torch.stack(squares).sum(0).sqrt()


def _strongest(strength: Tensor, count: int) -> Tensor:
    """Indices, ascending, of the `count` largest; of equal ones the first go."""
    return torch.sort(strength, stable=True).indices[len(strength) - count :].sort().values


def shrunk(model: nn.Module, groups: Sequence[Group], kept: Sequence[Tensor]) -> nn.Module:
    """A smaller copy with the channels `kept` [int64 indices, one tensor a group] alone.

    It computes what the model would with the other channels at zero.
    """
    small = deepcopy(model)
    for group, channels in zip(groups, kept, strict=True):
        width = width_of(model, group)
        for name, dim in group:
            owner, _, leaf = name.rpartition(".")
            module = small.get_submodule(owner)
            value: Tensor = getattr(module, leaf).detach()
            first = torch.arange(0, value.size(dim), width, device=value.device)
            value = value.index_select(dim, (first.unsqueeze(1) + channels).flatten())
            setattr(module, leaf, nn.Parameter(value) if leaf in module._parameters else value)
    for module in small.modules():
        _note_sizes(module)
    return small


def _note_sizes(module: nn.Module) -> None:
    """Let torch's layers know their new shapes."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm):
        module.num_features = len(module.weight)

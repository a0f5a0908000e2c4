"""Structured pruning: whole hidden channels go, and what is left is a smaller dense model.

Which entries of which weights are one channel is found by following one forward
(`gnnperf.compression.pruning.channels`), or said by the model's `channel_groups()`. Either way the
narrowed model has to compute what the full one does with those channels at zero, or it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.compressed import Changed, Compressed, RecipeError
from gnnperf.compression.masks import attach_masks, take_masks
from gnnperf.compression.pruning.channels.groups import Channels, declared, found, tensors_of
from gnnperf.compression.pruning.channels.guard import disagreement, one_line
from gnnperf.compression.pruning.channels.shrink import masked, shrunk, staying
from gnnperf.compression.pruning.channels.trace import Traced, traced
from gnnperf.models.channels import Group
from gnnperf.training import Parts, Trained
from gnnperf.training.modules import copied

_REMEDY = "name its channels in a method channel_groups(), as in gnnperf.models.channels"


def narrow(trained: Trained, sparsity: float) -> Compressed:
    """Remove round(sparsity * width) channels of every group, the least first, and never all.

    A channel counts as much as the L2 norm of all weights that write or read it. Raises
    RecipeError where `narrowed` does, in its words.
    """
    whole = copied(trained.model)
    masks = take_masks(whole)
    try:
        model = narrowed(whole, sparsity, *_batches(trained.parts))
    except RecipeError as error:
        raise RecipeError(f"{trained.workload}: {error}") from None
    if masks:
        attach_masks(model, {name: model.get_parameter(name).detach() != 0 for name in masks})
    small = tensors_of(model)
    coverage = {
        name: Changed(parameter.numel() - small[name].numel(), parameter.numel())
        for name, parameter in trained.model.named_parameters()
        if parameter.numel() > small[name].numel() or sparsity == 0
    }
    return Compressed(trained, model, coverage)


def _batches(parts: Parts) -> tuple[Mapping[bool, Data], Sequence[Data]]:
    """What to follow channels on, by whether it is for training, and what to check on."""
    held_out = [*parts.validation, *parts.test]
    follow = {False: (parts.train if parts.train else held_out)[0]}
    if parts.train:
        # Training may use what inference does not.
        follow[True] = parts.train[0]
    return follow, (held_out or parts.train)[:2]


def narrowed(
    model: nn.Module, sparsity: float, follow: Mapping[bool, Data], checks: Sequence[Data]
) -> nn.Module:
    """A copy without the least important channels of each group.

    The groups are those of `model.channel_groups()` if there is such a method, else those that one
    forward shows; of the latter, any that do not hold up when they alone are narrowed stay whole.

    Args:
        model: in eval mode.
        sparsity: share of each group's channels, in [0, 1).
        follow: batches to find channels on, by whether the model trains on it.
        checks: batches on which the copy has to compute what the model does with these channels
            at zero.

    A group keeps at least one channel. Raises RecipeError where there is no group or none holds up,
    where all channels of the widest would go, and where no channel would.
    """
    named: Callable[[], Sequence[Group]] | None = getattr(model, "channel_groups", None)
    if named is not None:
        groups, trace, remedy = (
            _named(model, named()),
            None,
            "mend its channel_groups(), or drop it",
        )
    else:
        trace, remedy = _traced(model, follow), _REMEDY
        groups = _found(model, trace)
    _require_some_left(sparsity, groups)
    narrow, complaint = _checked(model, sparsity, groups, trace, checks)
    if complaint is not None and trace is not None:
        alone = {
            group: _checked(model, sparsity, [group], trace, checks[:1])[1] for group in groups
        }
        groups = [group for group in groups if alone[group] is None]
        if any(_removed(sparsity, group.width) for group in groups):
            narrow, complaint = _checked(model, sparsity, groups, trace, checks)
    if complaint is not None:
        raise RecipeError(f"the narrowed model is wrong, {complaint}; {remedy}")
    return narrow


def _traced(model: nn.Module, follow: Mapping[bool, Data]) -> Traced:
    try:
        return traced(model, follow)
    except Exception as error:  # whatever a model raises
        raise RecipeError(
            f"its channels cannot be followed through a forward ({one_line(error)}); {_REMEDY}"
        ) from error


def _found(model: nn.Module, trace: Traced) -> list[Channels]:
    groups = found(trace, model)
    if not groups:
        unknown = ", ".join(trace.unknown)
        because = f" (what {unknown} does to them is not known)" if unknown else ""
        raise RecipeError(
            f"none of the model's channels was found to be free to go{because}; {_REMEDY}"
        )
    return groups


def _named(model: nn.Module, groups: Sequence[Group]) -> list[Channels]:
    if not groups:
        raise RecipeError(f"its channel_groups() names none; {_REMEDY}, or leave it out")
    try:
        return declared(groups, model)
    except ValueError as error:
        raise RecipeError(f"its channel_groups() {error}") from None


def _removed(sparsity: float, width: int) -> int:
    return min(round(sparsity * width), width - 1)


def _require_some_left(sparsity: float, groups: Sequence[Channels]) -> None:
    widest = max(groups, key=lambda group: group.width)
    if round(sparsity * widest.width) >= widest.width:
        raise RecipeError(
            f"all {widest.width} channels of {widest.name} would go, and with them the layer; ask "
            f"for less than {1 - 0.5 / widest.width:g}"
        )
    if sparsity > 0 and not _removed(sparsity, widest.width):
        raise RecipeError(
            f"{sparsity:g} removes none of at most {widest.width} channels a layer; raise it, or "
            "ask for 0"
        )


def _checked(
    model: nn.Module,
    sparsity: float,
    groups: Sequence[Channels],
    trace: Traced | None,
    checks: Sequence[Data],
) -> tuple[nn.Module, str | None]:
    """The narrowed model and what is wrong with it."""
    kept = [
        _strongest(group.importance(model), group.width - _removed(sparsity, group.width))
        for group in groups
    ]
    places = staying(model, groups, kept)
    small = shrunk(model, places, trace)
    return small, disagreement(small, masked(model, small, places, trace), checks)


def _strongest(strength: Tensor, count: int) -> Tensor:
    """Indices, ascending, of the `count` largest; of equal ones the first go."""
    return torch.sort(strength, stable=True).indices[len(strength) - count :].sort().values

"""Pruning masks that live in the model, so that deepcopy, state_dict and training keep them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gnnperf.training.modules import copied

MASKS = "pruning_masks"
"""Name of the submodule that carries the masks; its buffers are no part of the deployed model."""


class Masks(nn.Module):
    """One bool buffer per pruned parameter, True where the weight stays.

    `torch.nn.utils.prune` renames parameters, which PyG's own `Linear` then leaves out of its
    state_dict; a submodule of buffers survives every module's habits.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, mask in masks.items():
            self.register_buffer(_buffer_name(name), mask)

    def of(self, name: str) -> Tensor:
        """The mask of the parameter `name`."""
        return self.get_buffer(_buffer_name(name))


def _buffer_name(name: str) -> str:
    # A buffer's name may hold no dot; a parameter's path is made of identifiers, so this is unique.
    return name.replace(".", "/")


def attach_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Put the masks into the model and set what they leave out to zero."""
    model.add_module(MASKS, Masks(masks))
    hold_masks(model)


def masked_names(model: nn.Module) -> list[str]:
    """Names of the parameters that carry a mask; empty for a model without masks."""
    masks = getattr(model, MASKS, None)
    return [] if masks is None else [name.replace("/", ".") for name, _ in masks.named_buffers()]


def masks_of(model: nn.Module) -> dict[str, Tensor]:
    """The masks themselves, by the parameter's name; writing into them changes the model's."""
    return {name: getattr(model, MASKS).of(name) for name in masked_names(model)}


def take_masks(model: nn.Module) -> dict[str, Tensor]:
    """Take the masks off the model, and give them; empty for a model without."""
    masks = masks_of(model)
    model._modules.pop(MASKS, None)
    return masks


@torch.no_grad()
def masks_after(
    model: nn.Module, masks: Mapping[str, Tensor], change: Callable[[nn.Module], nn.Module]
) -> dict[str, Tensor]:
    """Masks for a model whose weights a change only cuts, joins or renames.

    Args:
        model: as the masks know it, without them; left as it is.
        masks: by the parameter's name.
        change: gives the changed model; made on a copy whose weights say whether they stay.
    """
    if not masks:
        return {}
    marked = copied(model)
    for name, parameter in marked.named_parameters():
        parameter.copy_(masks[name]) if name in masks else parameter.fill_(1.0)
    stays = {name: p.detach() != 0 for name, p in change(marked).named_parameters()}
    return {name: mask for name, mask in stays.items() if not bool(mask.all())}


@torch.no_grad()
def hold_masks(model: nn.Module) -> None:
    """Set masked weights to zero again; call after each optimizer step. Never leaves a -0.0."""
    for name in masked_names(model):
        weight = model.get_parameter(name)
        weight.masked_fill_(~getattr(model, MASKS).of(name), 0.0)
        weight.add_(0.0)  # -0.0 + 0.0 is +0.0; everything else stays as it is.


def deployed_state(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict of the model that is shipped: without the masks."""
    # Taken off for a moment rather than filtered, so that torch's notes on versions, which
    # torch.save writes too, are those of the model without masks.
    masks = model._modules.pop(MASKS, None)
    try:
        return model.state_dict()
    finally:
        if masks is not None:
            model.add_module(MASKS, masks)

"""Magnitude pruning: the smallest weights go, over the whole model or in each parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.compressed import Changed, Compressed, Coverage, RecipeError
from gnnperf.compression.masks import attach_masks, masks_of
from gnnperf.compression.weights import a_batch, weight_names
from gnnperf.training import Trained
from gnnperf.training.modules import copied

Masking = Callable[[Mapping[str, Tensor], float], dict[str, Tensor]]


def prunable(model: nn.Module, batch: Data | None = None) -> dict[str, Tensor]:
    """The weights, which pruning may thin out; `weight_names` says which parameters they are.

    Biases and normalisation vectors stay, whatever they are called. A batch shows what a name does
    not.
    """
    return {name: model.get_parameter(name).detach() for name in weight_names(model, batch)}


def keep_largest(weight: Tensor, sparsity: float) -> Tensor:
    """Bool mask of a flat weight [n]: round(sparsity * n) of the smallest magnitudes are False.

    Equal magnitudes go in the order of their index; NaN counts as infinite.
    """
    removed = round(sparsity * len(weight))
    if not removed:
        return torch.ones_like(weight, dtype=torch.bool)
    size = weight.abs().nan_to_num_(nan=math.inf, posinf=math.inf)
    # The greatest that goes: sorting all of them takes six times as long.
    last = size.kthvalue(removed).values
    mask = size > last
    surplus = len(size) - int(mask.sum()) - removed
    if surplus:
        tied = (size == last).nonzero().view(-1)
        mask[tied[-surplus:]] = True
    return mask


def among_survivors(weight: Tensor, mask: Tensor) -> Tensor:
    """Magnitudes to rank, in which what the mask left out is smaller than all that it kept."""
    # Without the bound, a survivor that is zero would be a tie, and what went could come back.
    return weight.abs().clamp(min=torch.finfo(weight.dtype).tiny).masked_fill(~mask, 0.0)


def global_masks(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Masks by one ranking over all weights (paper, section 2.4: global pruning)."""
    flat = keep_largest(torch.cat([weight.flatten() for weight in weights.values()]), sparsity)
    pieces = flat.split([weight.numel() for weight in weights.values()])
    return {
        name: piece.view_as(weight)
        for (name, weight), piece in zip(weights.items(), pieces, strict=True)
    }


def layer_masks(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Masks by a ranking inside each parameter (paper, section 2.4: fine-grained pruning)."""
    return {
        name: keep_largest(weight.flatten(), sparsity).view_as(weight)
        for name, weight in weights.items()
    }


def parse_sparsity(text: str) -> float:
    """A share of weights to remove, in [0, 1); raises ValueError."""
    sparsity = float(text)
    if not 0 <= sparsity < 1:
        raise ValueError
    return sparsity


def weights_to_prune(trained: Trained) -> dict[str, Tensor]:
    """The base's prunable parameters; raises RecipeError when it has none."""
    weights = prunable(trained.model, a_batch(trained.parts))
    if not weights:
        raise RecipeError(
            f"the model of {trained.workload} has no prunable parameter (floating point, two "
            "dimensions or more, and something is multiplied by it)"
        )
    return weights


def coverage_of(masks: Mapping[str, Tensor]) -> dict[str, Changed]:
    """How many weights the masks leave out."""
    return {n: Changed(int((~mask).sum()), mask.numel()) for n, mask in masks.items()}


def require_removal(trained: Trained, sparsity: float, coverage: Coverage) -> None:
    """Raise RecipeError when a sparsity above 0 removes nothing."""
    if sparsity > 0 and not any(part.changed for part in coverage.values()):
        total = sum(part.total for part in coverage.values())
        raise RecipeError(
            f"sparsity {sparsity:g} removes none of the {total} weights "
            f"of {trained.workload}; raise it, or ask for 0"
        )


def ranked(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Magnitudes to rank, in which what masks leave out comes last."""
    return {n: among_survivors(w, masks[n]) if n in masks else w for n, w in weights.items()}


def require_more(before: Mapping[str, Tensor], coverage: Coverage) -> None:
    """Raise RecipeError where masks from before leave out as much already."""
    gone = sum(part.changed for part in coverage_of(before).values())
    if gone and sum(part.changed for part in coverage.values()) <= gone:
        total = sum(part.total for part in coverage.values())
        raise RecipeError(
            f"{gone} of {total} weights are removed already, and no more would go; raise the "
            "sparsity, or leave the step out"
        )


def prune(trained: Trained, sparsity: float, masking: Masking = global_masks) -> Compressed:
    """Mask a copy of the trained model; raises RecipeError when no weight would go.

    Sparsity 0 is the control: masks on everything that is prunable, nothing removed. What is masked
    already counts as removed, and stays so.
    """
    weights, before = weights_to_prune(trained), masks_of(trained.model)
    masks = masking(ranked(weights, before), sparsity)
    masks = {name: mask & before.get(name, mask) for name, mask in masks.items()}
    coverage = coverage_of(masks)
    require_more(before, coverage)
    require_removal(trained, sparsity, coverage)
    model = copied(trained.model)
    attach_masks(model, masks)
    return Compressed(trained, model, coverage)

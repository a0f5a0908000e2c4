"""Gradual magnitude pruning: the smallest weights go little by little while training goes on."""

from __future__ import annotations

import torch
from torch import nn

from gnnperf.compression.compressed import Compressed, Coverage, RecipeError
from gnnperf.compression.masks import attach_masks, hold_masks, masks_of
from gnnperf.compression.pruning.magnitude import (
    among_survivors,
    coverage_of,
    global_masks,
    ranked,
    require_more,
    require_removal,
    weights_to_prune,
)
from gnnperf.compression.retraining import training_readings
from gnnperf.training import Trained, fit_cached
from gnnperf.training.modules import copied

RAMP = 2 / 3
"""Share of the epochs over which the sparsity grows; in the rest the masks are held."""


def cubic_sparsity(progress: float, final: float) -> float:
    """Sparsity after a share `progress` of the ramp: from 0, fast at first, to `final` from 1 on.

    Source: Zhu and Gupta, To prune, or not to prune (2017), equation 1 with s_i = 0.
    """
    return final * (1 - (1 - min(progress, 1.0)) ** 3)


class GradualPruning:
    """Holds the masks after each step, and renews them by one global ranking after each epoch.

    A weight that went never comes back, be it that a step before the training removed it.
    """

    def __init__(self, sparsity: float, ramp_epochs: int, steps_per_epoch: int) -> None:
        self._sparsity, self._ramp_epochs = sparsity, ramp_epochs
        self._steps_per_epoch, self._steps = steps_per_epoch, 0

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> None:
        """After an optimizer step."""
        hold_masks(model)
        self._steps += 1
        epoch, between = divmod(self._steps, self._steps_per_epoch)
        if between or epoch > self._ramp_epochs:
            return
        masks = masks_of(model)
        magnitudes = {n: among_survivors(model.get_parameter(n), m) for n, m in masks.items()}
        sparsity = cubic_sparsity(epoch / self._ramp_epochs, self._sparsity)
        for name, mask in global_masks(magnitudes, sparsity).items():
            masks[name].logical_and_(mask)
        hold_masks(model)


def prune_gradually(trained: Trained, sparsity: float) -> Compressed:
    """Train the base on with its fine-tuning settings while the sparsity grows to `sparsity`.

    Only epochs at full sparsity compete for the best on validation. Raises RecipeError when no
    weight would go.
    """
    weights, before = weights_to_prune(trained), masks_of(trained.model)
    planned = coverage_of(global_masks(ranked(weights, before), sparsity))
    require_removal(trained, sparsity, planned)
    require_more(before, planned)
    model = copied(trained.model)
    whole = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    attach_masks(model, {**whole, **before})
    settings = trained.finetune
    ramp = max(1, round(RAMP * settings.epochs))
    report = fit_cached(
        trained,
        model,
        settings,
        by=__name__,
        variant=f"gradual {sparsity!r} over {ramp} epochs",
        first_epoch=ramp,
        after_step=GradualPruning(sparsity, ramp, len(trained.parts.train)),
    )
    coverage = coverage_of(masks_of(model))
    if report.validation:
        _require_full(coverage, planned, sparsity)
    return Compressed(
        trained,
        model,
        coverage,
        finetuned=report,
        readings=training_readings(trained, report, model),
    )


def _require_full(coverage: Coverage, planned: Coverage, sparsity: float) -> None:
    """Raise RecipeError where the weights that were kept are those from before full sparsity.

    A workload's own fit may take fewer steps than its settings say, or keep an early epoch.
    """
    removed, meant = (sum(part.changed for part in c.values()) for c in (coverage, planned))
    if removed < meant:
        total = sum(part.total for part in planned.values())
        raise RecipeError(
            f"the training ended at sparsity {removed / total:.2g} instead of {sparsity:g}; let "
            "the workload's own fit take all steps of its settings' epochs and keep the last "
            f"weights, or choose global@{sparsity:g}+finetune"
        )

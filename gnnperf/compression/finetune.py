"""Training on after a recipe, with what it removed held at zero."""

from __future__ import annotations

from dataclasses import replace

from gnnperf.compression.compressed import Compressed
from gnnperf.compression.masks import hold_masks
from gnnperf.compression.retraining import training_readings
from gnnperf.training import fit_cached
from gnnperf.training.modules import copied


def finetune(compressed: Compressed) -> Compressed:
    """Train a copy on with the workload's fine-tuning settings and the masks held.

    Never worse on validation than before: the starting weights compete with every epoch's.
    """
    twin, model = compressed.twin, copied(compressed.model)
    report = fit_cached(
        twin, model, twin.finetune, by=__name__, keep_start=True, after_step=hold_masks
    )
    readings = {**compressed.readings, **training_readings(twin, report)}
    return replace(compressed, model=model, finetuned=report, readings=readings)

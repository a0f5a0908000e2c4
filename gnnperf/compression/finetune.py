"""Training on after a step, with what was removed held at zero."""

from __future__ import annotations

from gnnperf.compression.compressed import Compressed
from gnnperf.compression.masks import hold_masks
from gnnperf.compression.retraining import training_readings
from gnnperf.training import Trained, fit_cached
from gnnperf.training.modules import copied


def finetune(trained: Trained, argument: None = None) -> Compressed:
    """Train a copy on with the workload's fine-tuning settings and the masks held.

    Never worse on validation than before: the starting weights compete with every epoch's.
    """
    model = copied(trained.model)
    report = fit_cached(
        trained, model, trained.finetune, by=__name__, keep_start=True, after_step=hold_masks
    )
    return Compressed(trained, model, {}, report, readings=training_readings(trained, report))

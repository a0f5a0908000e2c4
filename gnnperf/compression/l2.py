"""L2 regularization: the base trained anew with another weight decay (paper, section 3.3)."""

from __future__ import annotations

import math
from dataclasses import replace

from gnnperf.compression.compressed import Changed, Compressed
from gnnperf.compression.plain import untrained
from gnnperf.compression.retraining import training_readings
from gnnperf.training import Trained, fit_cached
from gnnperf.training.optimizers.registry import WITH_L2

PAPER_RATES = (
    *("0", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "0.1", "0.2", "0.3", "0.4"),
    *("0.5", "0.6", "0.7", "0.8", "0.9", "1", "1e2", "1e3", "1e6"),
)
"""The 19 of Table 17, as it writes them."""


def parse_rate(text: str) -> float:
    """A rate that is finite and not negative; raises ValueError."""
    rate = float(text)
    if not 0 <= rate < math.inf:
        raise ValueError
    return rate


def regularize(trained: Trained, rate: float) -> Compressed:
    """Train the base's initial weights with `rate` times each weight added to its gradient.

    An optimizer whose decay is another thing (AdamW's shrinks weights beside the gradient, and is
    no L2) gives way to the one it derives from. Coverage counts the weights that ended elsewhere
    than the twin's. A training that diverges is a result: its scores are unavailable, with why.
    """
    settings = trained.train
    optimizer = WITH_L2.get(settings.optimizer, settings.optimizer)
    model = untrained(trained)
    report = fit_cached(
        trained, model, replace(settings, weight_decay=rate, optimizer=optimizer), by=__name__
    )
    dense = dict(trained.model.named_parameters())
    coverage = {
        name: Changed(int((parameter != dense[name]).sum()), parameter.numel(), "moved")
        for name, parameter in model.named_parameters()
    }
    return Compressed(
        trained, model, coverage, report, readings=training_readings(trained, report, model)
    )

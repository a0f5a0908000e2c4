"""What a recipe that trains by itself says in the record about its training."""

from __future__ import annotations

from gnnperf.records import Reading, measured, unavailable
from gnnperf.training import FitReport, Trained


def training_readings(trained: Trained, report: FitReport) -> dict[str, Reading]:
    """Epochs and seconds of the training; scores are unavailable where it gave no usable weights.

    `diverged_epoch` is there only where weights ceased to be finite.
    """
    source = "the recipe's own training"
    readings = {
        "training_epochs": measured(report.epochs, "count", source),
        "training_best_epoch": measured(report.best_epoch, "count", source),
        "training_seconds": measured(report.wall_seconds, "seconds", f"{source}, when it was done"),
    }
    if report.diverged_epoch is not None:
        readings["diverged_epoch"] = measured(report.diverged_epoch, "count", source)
    if not report.validation:
        reason = (
            f"the training diverged: weights were not finite after epoch {report.diverged_epoch}"
            if report.diverged_epoch is not None
            else f"the training diverged: none of {report.epochs} epochs had a finite "
            "validation score"
        )
        # What the commonest class gets is the labels' alone.
        scores = [name for name in trained.report.validation if name != "majority"]
        names = [*scores, f"{trained.task.metric}_drop"]
        readings |= {name: unavailable("fraction", "test part", reason) for name in names}
    return readings

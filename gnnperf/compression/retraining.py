"""What a recipe that trains says in the record about its training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from gnnperf.compression.finite import logits_fault
from gnnperf.records import Reading, measured, unavailable
from gnnperf.training import FitReport, Trained
from gnnperf.training.metrics import metric_named
from gnnperf.training.tasks.base import CONSTANTS


def training_readings(
    trained: Trained, report: FitReport, model: nn.Module | None = None, *, start: str = ""
) -> dict[str, Reading]:
    """Epochs and seconds that ran, and the epoch whose weights are kept.

    `diverged_epoch` where weights ceased to be finite. Where the training gave no usable weights,
    scores are unavailable, and so is the stored size: a file of nothing but NaN is tiny.

    Args:
        trained: the base.
        report: of the training.
        model: trained from weights that have no score yet, so that logits which are not finite
            are the training's doing.
        start: what it means that the weights it began with are kept.
    """
    source = "the recipe's own training"
    kept = f"{source}, the epoch that is kept"
    if start and report.kept == "start":
        kept += f": {start}"
    readings = {
        "training_epochs": measured(report.epochs, "count", f"{source}, those that ran"),
        "training_best_epoch": measured(report.best_epoch, "count", kept),
        "training_seconds": measured(report.wall_seconds, "seconds", f"{source}, when it was done"),
    }
    if report.diverged_epoch is not None:
        readings["diverged_epoch"] = measured(report.diverged_epoch, "count", source)
    if why := _unusable(trained, report, model):
        reason = f"the training diverged: {why}"
        metric = trained.task.metric
        units = {n: metric_named(n).unit for n in trained.report.validation if n not in CONSTANTS}
        units[f"{metric}_drop"] = metric_named(metric).unit
        readings |= {name: unavailable(unit, "test part", reason) for name, unit in units.items()}
        readings["stored_bytes"] = unavailable("bytes", "file", reason)
        readings["size_ratio"] = unavailable("ratio", "dense_bytes / stored_bytes", reason)
    return readings


def is_usable(readings: Mapping[str, Reading]) -> bool:
    """Whether the trainings that these readings tell of left weights to go on with."""
    stored = readings.get("stored_bytes")
    return stored is None or stored.status != "unavailable"


def _unusable(trained: Trained, report: FitReport, model: nn.Module | None) -> str:
    """Why there are no weights to score; empty where there are."""
    if report.validation:
        return "" if model is None else logits_fault(model, trained.parts.test)
    if report.diverged_epoch is not None:
        return f"weights were not finite after epoch {report.diverged_epoch}"
    return f"none of {report.epochs} epochs had a finite validation score"

"""Graph classification: stratified parts by seed, batches collated once, accuracy by majority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnnperf.training.tasks.named import Named
from gnnperf.training.tasks.prediction import Prediction
from gnnperf.training.tasks.splits import Given


@dataclass(frozen=True)
class GraphClassification(Named):
    """Logits for every graph of a batch, or one of two classes; cross-entropy on its label `y` [1].

    Each class is divided 80/10/10 into train, validation and test, by the seed, each part with
    graphs of all sizes. Training batches are composed once; only their order changes between
    epochs.

    Attributes:
        batch_size: at most so many graphs in a batch, in all three parts.
        first_feature: columns of x before it are left out; PROTEINS without its lengths starts
            at 1.
        standardize: shift and scale every floating-point feature by the training part's mean and
            deviation; None: for models that are trained here, not for those of a checkpoint.
        label_smoothing: of the training loss, as in torch's cross_entropy; scores know none.
        metric: the headline score, beside accuracy and loss.
        parts: train, validation and test as they are given; see `Prediction`.
    """

    batch_size: int
    first_feature: int = 0
    standardize: bool | None = None
    label_smoothing: float = 0.0
    metric: str = "accuracy"
    parts: Given = None

    deviation_note: ClassVar[str] = (
        "over splits stratified by size, which differ less than random ones: over those the "
        "deviation would be larger"
    )
    """What is to be said beside a deviation of scores over seeds."""

    def meant(self) -> Prediction:
        """The task in full."""
        return Prediction(
            "graph",
            metrics=(self.metric, "accuracy", "loss"),
            parts=self.parts,
            batch_size=self.batch_size,
            first_feature=self.first_feature,
            standardize=self.standardize is not False,
            label_smoothing=self.label_smoothing,
            name="graph classification",
        )

"""The recipes: post-training quantization, quantization-aware training, Degree-Quant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch_geometric.data import Data

from gnnperf.compression.compressed import Compressed
from gnnperf.compression.masks import hold_masks, masked_names
from gnnperf.compression.quantization.agreement import agreement_readings
from gnnperf.compression.quantization.configuration import FEW_BITS, Configuration
from gnnperf.compression.quantization.export import export
from gnnperf.compression.quantization.protection import Protection, with_degree_shares
from gnnperf.compression.quantization.quantize import (
    Plan,
    Quantized,
    calibrate,
    quantized,
    set_cut,
)
from gnnperf.compression.quantization.weights import weight_quantizers
from gnnperf.compression.retraining import training_readings
from gnnperf.records import Reading, measured
from gnnperf.training import FitReport, Trained, TrainSettings, evaluate, fit_cached
from gnnperf.training.metrics import metric_named
from gnnperf.training.tasks.loaders import changed

CALIBRATED = "calibration sufficed"
"""What it means that quantization-aware training kept the weights it began with."""
CUTS = (0.01, 0.005, 0.001)
"""Shares that percentiles may cut off on each side: validation chooses."""
FLOAT_BITS = 32


@dataclass(frozen=True)
class Ready:
    """A calibrated copy of the base.

    Attributes:
        made: the copy, and what of it is rounded.
        train: batches to train it on.
        cut: the share that percentiles cut off.
    """

    made: Quantized
    train: Sequence[Data]
    cut: float

    @property
    def model(self) -> nn.Module:
        """The copy itself."""
        return self.made.model


def quantize_after_training(trained: Trained, configuration: Configuration) -> Compressed:
    """Learn the ranges from the training part, and change no weight."""
    return compressed(trained, ready_to_train(trained, configuration))


def train_quantized(
    trained: Trained, configuration: Configuration, spare_nodes: bool = False
) -> Compressed:
    """Train the quantized model on from the calibrated base, ranges and weights together.

    The calibrated base competes with every epoch on validation, unless what trained is to be kept.
    `spare_nodes` adds Degree-Quant's protection.
    """
    ready = ready_to_train(trained, configuration, spare_nodes)
    return train_on(
        trained, ready, training_settings(trained, configuration), not configuration.trained
    )


def train_protected(trained: Trained, configuration: Configuration) -> Compressed:
    """`train_quantized` with Degree-Quant's protection."""
    return train_quantized(trained, configuration, spare_nodes=True)


def train_on(
    trained: Trained, ready: Ready, settings: TrainSettings, keep_start: bool = True
) -> Compressed:
    """Train a calibrated model, masks held."""
    # A fit of one's own that steps no torch optimizer can train what has nothing to be held.
    held: dict[str, Any] = {"after_step": hold_masks} if masked_names(ready.model) else {}
    report = fit_cached(
        replace(trained, split=lambda: replace(trained.parts, train=ready.train)),
        ready.model,
        settings,
        by=__name__,
        keep_start=keep_start,
        **held,
    )
    return compressed(trained, ready, report)


def training_settings(trained: Trained, configuration: Configuration) -> TrainSettings:
    """With few bits the base's own, above those of fine-tuning.

    At 4 bits GIN's validation loss wants more epochs; at 8 calibration alone is close to the base.
    """
    return trained.train if configuration.few_bits else trained.finetune


def ready_to_train(
    trained: Trained, configuration: Configuration, spare_nodes: bool = False
) -> Ready:
    """The calibrated copy of the base, and the batches to train it on.

    Where ranges are percentiles, validation chooses how much they cut off, if there is any.
    """
    batches, shield = trained.parts.train, None
    if spare_nodes:
        batches = changed(batches, with_degree_shares)
        shield = protection(configuration.activation_bits)
    plan = Plan(configuration.weights(), configuration.activations(), configuration.hidden, shield)
    made = quantized(trained.model, batches[0], plan)
    is_per = plan.activations.range == "per"
    if not is_per or not trained.parts.validation:
        calibrate(made.model, batches, trained.seed)
        return Ready(made, batches, plan.activations.cut if is_per else 0.0)
    cuts = dict.fromkeys((plan.activations.cut, *CUTS))
    return Ready(made, batches, _calibrated(trained, made.model, batches, list(cuts)))


def _calibrated(
    trained: Trained, model: nn.Module, batches: Sequence[Data], cuts: Sequence[float]
) -> float:
    """Calibrate with the cut that validates best, of equal ones the first."""
    ranks = {}
    for cut in cuts:
        set_cut(model, cut)
        calibrate(model, batches, trained.seed)
        ranks[cut] = validation_rank(trained, model)
    best = max(ranks, key=ranks.__getitem__)
    set_cut(model, best)
    calibrate(model, batches, trained.seed)
    return best


def validation_rank(trained: Trained, model: nn.Module) -> float:
    """The greater, the better the model validates, by what chooses the base's epochs."""
    metric = metric_named(trained.train.select or trained.task.metric)
    value = evaluate(model, trained.task, trained.parts.validation)[metric.name]
    return value if metric.higher_is_better else -value


def protection(bits: int) -> Protection:
    """Degree-Quant's share of spared nodes: 0 to 0.1 by degree, at 4 bits and fewer 0.1 to 0.2."""
    return Protection(low=0.1 if bits <= FEW_BITS else 0.0, change=0.1)


def compressed(trained: Trained, ready: Ready, report: FitReport | None = None) -> Compressed:
    """What such a recipe gives back."""
    model = ready.model
    deployed = export(model)
    return Compressed(
        trained,
        model,
        ready.made.coverage,
        report,
        deployed,
        {
            **({} if report is None else training_readings(trained, report, start=CALIBRATED)),
            **_bit_readings(ready),
            **agreement_readings(model, deployed, trained.parts.test),
        },
        start=CALIBRATED,
        uncovered=ready.made.uncovered,
    )


def _bit_readings(ready: Ready) -> dict[str, Reading]:
    """Mean bits of a weight, those that stay in fp32 included, and the share cut off."""
    kernels = weight_quantizers(ready.model)
    sizes = {name: part.total for name, part in ready.made.coverage.items()}
    rest = sum(ready.model.get_parameter(name).numel() for name in ready.made.uncovered)
    bits = sum(sizes[name] * kernels[name].settings.bits for name in sizes) + FLOAT_BITS * rest
    return {
        "weight_bits": measured(
            bits / (sum(sizes.values()) + rest), "bits", "mean over all weights, 32 where fp32"
        ),
        "range_cut": measured(ready.cut, "fraction", "cut off activations on each side"),
    }

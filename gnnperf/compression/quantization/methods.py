"""The recipes: post-training quantization, quantization-aware training, Degree-Quant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from torch import nn
from torch_geometric.data import Data

from gnnperf.compression.compressed import Compressed, Coverage
from gnnperf.compression.masks import hold_masks, masked_names
from gnnperf.compression.quantization.agreement import agreement_readings
from gnnperf.compression.quantization.export import export
from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.gradients import GRADIENTS
from gnnperf.compression.quantization.observers import RANGES
from gnnperf.compression.quantization.protection import Protection, with_degree_shares
from gnnperf.compression.quantization.quantize import calibrate, quantized
from gnnperf.compression.retraining import training_readings
from gnnperf.training import FitReport, Trained, TrainSettings, fit_cached
from gnnperf.training.tasks.loaders import changed

CONFIGURATIONS = tuple("-".join(pair) for pair in product(GRADIENTS, RANGES))
DEFAULT_CONFIGURATION = "gc-per"
ABOUT_ARGUMENT = (
    f"int2 to int8, perhaps with :{'|'.join(CONFIGURATIONS)}; without, {DEFAULT_CONFIGURATION}"
)
TRAINED = "trained"
ABOUT_TRAINING = (
    f"{ABOUT_ARGUMENT}; perhaps with {TRAINED}, as in int8:gc-abs,{TRAINED}: the calibrated start "
    "does not compete with what trained"
)
CALIBRATED = "calibration sufficed"
"""What it means that quantization-aware training kept the weights it began with."""
# Below it noise of one step is so large that more of the range and more nodes are given up.
FEW_BITS = 4


@dataclass(frozen=True)
class Configuration:
    """A recipe's argument, `int8` or `int8:ste-mom,trained`.

    Attributes:
        bits: 2 to 8.
        name: one of CONFIGURATIONS.
        trained: whether the calibrated start may not be kept, however good it is on validation.
    """

    bits: int
    name: str = DEFAULT_CONFIGURATION
    trained: bool = False

    def __str__(self) -> str:
        """Canonical: the default configuration is left out."""
        options = [
            *([self.name] if self.name != DEFAULT_CONFIGURATION else []),
            *([TRAINED] if self.trained else []),
        ]
        return f"int{self.bits}" + (f":{','.join(options)}" if options else "")

    def quantizers(self) -> QuantizerSettings:
        """Settings of all quantizers; percentiles cut off 1 % at 4 bits and fewer, else 0.1 %."""
        gradient, _, range_name = self.name.partition("-")
        cut = 0.01 if self.bits <= FEW_BITS else 0.001
        return QuantizerSettings(self.bits, gradient, range_name, cut)


def parse_configuration(text: str) -> Configuration:
    """Read `int8` or `int8:gc-per`; raises ValueError for other bits or configurations."""
    configuration = parse_training(text)
    if configuration.trained:
        raise ValueError
    return configuration


def parse_training(text: str) -> Configuration:
    """The same, in which `trained` may stand too, as in `int8:gc-per,trained`."""
    match = re.fullmatch(r"int([2-8])(?::(.+))?", text)
    if match is None:
        raise ValueError
    options = match[2].split(",") if match[2] else []
    names = [option for option in options if option != TRAINED] or [DEFAULT_CONFIGURATION]
    if len(names) > 1 or names[0] not in CONFIGURATIONS or options.count(TRAINED) > 1:
        raise ValueError
    return Configuration(int(match[1]), names[0], TRAINED in options)


def quantize_after_training(trained: Trained, configuration: Configuration) -> Compressed:
    """Learn the ranges from the training part, and change no weight."""
    model, coverage = quantized(trained.model, trained.parts.train[0], configuration.quantizers())
    calibrate(model, trained.parts.train)
    return _compressed(trained, model, coverage)


def train_quantized(
    trained: Trained, configuration: Configuration, spare_nodes: bool = False
) -> Compressed:
    """Train the quantized model on from the calibrated base, ranges and weights together.

    The calibrated base competes with every epoch on validation, unless what trained is to be kept.
    `spare_nodes` adds Degree-Quant's protection.
    """
    model, coverage, train = ready_to_train(trained, configuration, spare_nodes)
    # A fit of one's own that steps no torch optimizer can train what has nothing to be held.
    held: dict[str, Any] = {"after_step": hold_masks} if masked_names(model) else {}
    report = fit_cached(
        replace(trained, split=lambda: replace(trained.parts, train=train)),
        model,
        training_settings(trained, configuration.bits),
        by=__name__,
        keep_start=not configuration.trained,
        **held,
    )
    return _compressed(trained, model, coverage, report)


def training_settings(trained: Trained, bits: int) -> TrainSettings:
    """At 4 bits and fewer the base's own, above those of fine-tuning.

    At 4 bits GIN's validation loss wants more epochs; at 8 calibration alone is close to the base.
    """
    return trained.train if bits <= FEW_BITS else trained.finetune


def ready_to_train(
    trained: Trained, configuration: Configuration, spare_nodes: bool
) -> tuple[nn.Module, Coverage, Sequence[Data]]:
    """The calibrated copy of the base, the weights it covers, and the batches to train it on."""
    batches, shield = trained.parts.train, None
    if spare_nodes:
        batches = changed(batches, with_degree_shares)
        shield = protection(configuration.bits)
    model, coverage = quantized(trained.model, batches[0], configuration.quantizers(), shield)
    calibrate(model, batches, trained.seed)
    return model, coverage, batches


def protection(bits: int) -> Protection:
    """Degree-Quant's share of spared nodes: 0 to 0.1 by degree, at 4 bits and fewer 0.1 to 0.2."""
    return Protection(low=0.1 if bits <= FEW_BITS else 0.0, change=0.1)


def train_protected(trained: Trained, configuration: Configuration) -> Compressed:
    """`train_quantized` with Degree-Quant's protection."""
    return train_quantized(trained, configuration, spare_nodes=True)


def _compressed(
    trained: Trained,
    model: nn.Module,
    coverage: Coverage,
    report: FitReport | None = None,
) -> Compressed:
    deployed = export(model)
    return Compressed(
        trained,
        model,
        coverage,
        report,
        deployed,
        {
            **({} if report is None else training_readings(trained, report, start=CALIBRATED)),
            **agreement_readings(model, deployed, trained.parts.test),
        },
        start=CALIBRATED,
    )

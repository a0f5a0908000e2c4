"""Mixed bits: a budget of mean weight bits, given to where the training loss wants them most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from gnnperf.compression.compressed import Compressed, RecipeError
from gnnperf.compression.quantization.configuration import HIDDEN, Configuration
from gnnperf.compression.quantization.grid import MAX_BITS, MIN_BITS
from gnnperf.compression.quantization.methods import (
    Ready,
    compressed,
    ready_to_train,
    train_on,
)
from gnnperf.compression.quantization.quantize import calibrate
from gnnperf.compression.quantization.weights import WeightQuantize, weight_quantizers
from gnnperf.training import Trained, seeded

QAT = "qat"
ABOUT_MIXED = (
    "each layer's weights at 2 to 8 bits, by training loss, of so many on average, as in "
    f"mixed@2.5; what makes the logits has {MAX_BITS} besides, and so have activations; perhaps "
    f"with {QAT}, as in mixed@2.5:{QAT}: trained on then; {HIDDEN}: weights that read raw features "
    "stay fp32"
)


@dataclass(frozen=True)
class Budget:
    """The recipe's argument.

    Attributes:
        bits: on average of a weight that does not make the logits, 2 to 8.
        trained: whether quantization-aware training follows.
        hidden: whether weights that read raw features stay as they are.
    """

    bits: float
    trained: bool = False
    hidden: bool = False

    def __str__(self) -> str:
        """Canonical."""
        options = [*([HIDDEN] if self.hidden else []), *([QAT] if self.trained else [])]
        return f"{self.bits:g}" + (f":{','.join(options)}" if options else "")


def parse_budget(text: str) -> Budget:
    """Read `2.5` or `2.5:qat`; raises ValueError for what is none, or out of range."""
    number, colon, rest = text.partition(":")
    options = rest.split(",") if colon else []
    bits = float(number)
    known = set(options) <= {HIDDEN, QAT} and len(set(options)) == len(options)
    if not MIN_BITS <= bits <= MAX_BITS or not known:
        raise ValueError
    return Budget(bits, QAT in options, HIDDEN in options)


def mix(trained: Trained, budget: Budget) -> Compressed:
    """Give the budget to the layers, learn the ranges anew, and train on where that is asked for.

    Raises RecipeError where all weights make the logits, so that there is nothing to share out.
    """
    eight = Configuration(MAX_BITS, MAX_BITS, hidden=budget.hidden)
    ready = ready_to_train(trained, eight)
    kernels = {
        name: kernel
        for name, kernel in weight_quantizers(ready.model).items()
        if name not in ready.made.logits
    }
    if not kernels:
        raise RecipeError(
            f"all weights of {trained.workload} that are quantized make its logits, which keep "
            f"{MAX_BITS} bits; take qat@w4a8"
        )
    bits = shared_out(
        losses(trained, ready, kernels),
        {name: ready.model.get_parameter(name).numel() for name in kernels},
        budget.bits,
    )
    for name, kernel in kernels.items():
        kernel.set_bits(bits[name])
    calibrate(ready.model, ready.train, trained.seed)
    return train_on(trained, ready, trained.train) if budget.trained else compressed(trained, ready)


Losses = Mapping[str, Mapping[int, float]]
"""Training loss when a weight alone has so many bits and all others have 8, by name and bits."""


def losses(trained: Trained, ready: Ready, kernels: Mapping[str, WeightQuantize]) -> Losses:
    """Of each weight with each width; ranges are those of 8 bits."""
    found: dict[str, dict[int, float]] = {}
    for name, kernel in kernels.items():
        found[name] = {}
        for bits in range(MAX_BITS, MIN_BITS - 1, -1):
            kernel.set_bits(bits)
            found[name][bits] = _training_loss(trained, ready)
        kernel.set_bits(MAX_BITS)
    return found


@torch.no_grad()
def _training_loss(trained: Trained, ready: Ready) -> float:
    model: nn.Module = ready.model.eval()
    # What a task draws, pairs without a link say, is the same for every width.
    with seeded(trained.seed):
        return sum(float(trained.task.loss(model, batch)) for batch in ready.train)


def shared_out(losses: Losses, sizes: Mapping[str, int], mean_bits: float) -> dict[str, int]:
    """Bits of each weight, of which the mean over all entries is at most `mean_bits`.

    From 8 bits everywhere on, the weight gives up bits whose loss rises least for each bit saved,
    until the budget is met; it may give up several at once, where a narrower width costs no more.
    """
    bits = dict.fromkeys(sizes, MAX_BITS)
    budget = mean_bits * sum(sizes.values())
    while sum(sizes[name] * bits[name] for name in sizes) > budget:
        _, name, fewer = min(
            (
                (losses[name][fewer] - losses[name][bits[name]])
                / (sizes[name] * (bits[name] - fewer)),
                name,
                fewer,
            )
            for name in sizes
            for fewer in range(MIN_BITS, bits[name])
        )
        bits[name] = fewer
    return bits

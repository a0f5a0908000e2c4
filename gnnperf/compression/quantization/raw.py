"""Raw features: what a model is given, before any of its weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gnnperf.compression.quantization.fake_quantize import (
    FakeQuantize,
    FrozenQuantize,
    QuantizerSettings,
    refuse_nan,
)
from gnnperf.compression.quantization.grid import MAX_BITS
from gnnperf.compression.quantization.protection import Spared


class RawFeatures(FakeQuantize):
    """Rounds raw features, or sums of them, to 256 numbers between the training part's extremes.

    In training they pass as they are. Whole numbers, binary ones among them, always do: they are
    codes already. Nothing is cut off: of sparse features hardly anything but zeros would be left.

    Attributes:
        whole: bool buffer; whether nothing but whole numbers was seen in calibration.
    """

    whole: Tensor

    def __init__(self) -> None:
        super().__init__(QuantizerSettings(MAX_BITS, "ste", "abs", 0.0))
        self.register_buffer("whole", torch.tensor(True))

    @torch.no_grad()
    def observe(self, values: Tensor) -> None:
        """Learn from values in calibration alone."""
        if not self.rounds:
            super().observe(values)
            self.whole &= bool((values == values.round()).all())

    def forward(self, values: Tensor, spared: Spared | None = None) -> Tensor:
        """The values, in eval mode rounded unless they are whole; QuantizationError for NaN."""
        if self.rounds and (self.training or self.whole):
            refuse_nan(values)
            return values
        return super().forward(values, spared)

    def least_bits(self) -> int:
        """Of its codes: of whole numbers as many as their range asks for, else 8."""
        span = float(self.reach.sum())
        return max(1, math.ceil(math.log2(span + 1))) if self.whole else MAX_BITS

    def frozen(self) -> nn.Module:
        """The same for inference; raises QuantizationError before anything was seen."""
        frozen = FrozenQuantize(self)
        return WholeFeatures() if self.whole else frozen


class WholeFeatures(nn.Module):
    """Raw features of whole numbers for inference: they pass as they are, and nothing is stored."""

    def forward(self, values: Tensor, spared: None = None) -> Tensor:
        """The values. What is NaN stays so, and the next quantizer refuses it."""
        return values

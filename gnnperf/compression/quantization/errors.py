"""What can go wrong in quantization, in one sentence."""

from __future__ import annotations

from gnnperf.errors import GnnperfError


class QuantizationError(GnnperfError):
    """Ranges, bit-widths or activations with which nothing can be quantized."""

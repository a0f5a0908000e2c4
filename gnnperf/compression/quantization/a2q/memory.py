"""A2Q's memory loss: what keeps the bit-widths of features low."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gnnperf.compression.quantization.a2q.function import effective_bits
from gnnperf.compression.quantization.a2q.linear import A2QLinear

BITS_PER_KIB = 8 * 1024


class MemoryLoss(nn.Module):
    """weight * relu(sum over layers of width * (sum of bits) / 8192 - target)^2, in KiB.

    The bits are those of the groups, or nodes, that the last forward in training used; a layer
    that did not run adds nothing. The training task adds `auxiliary_loss()` to its loss.
    """

    def __init__(self, layers: Sequence[A2QLinear], weight: float, target_kib: float) -> None:
        super().__init__()
        # In a tuple they are not registered a second time; a copy of the model copies them along.
        self._layers = tuple(layers)
        self.weight, self.target_kib = weight, target_kib

    def extra_repr(self) -> str:
        """Weight and target."""
        return f"weight={self.weight}, target_kib={self.target_kib}"

    def auxiliary_loss(self) -> Tensor | float:
        """The loss of the last forward in training, counted once."""
        sizes = []
        for layer in self._layers:
            used, layer.features.used = layer.features.used, None
            if used is not None:
                least = layer.features.least_bits
                bits = (effective_bits(layer.features.bits, least) * used).sum()
                sizes.append(layer.in_features * bits / BITS_PER_KIB)
        if not sizes:
            return 0.0
        excess = torch.stack(sizes).sum() - self.target_kib
        return self.weight * excess.relu().square()

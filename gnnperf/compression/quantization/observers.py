"""From the values of a batch to the range that is quantized.

A range is kept as its reach [2] or [2, channels]: how far it extends below and above 0, neither
negative, so that every range includes 0 and widening is a maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

MOMENTUM = 0.01
SAMPLE_STRIDE = 11
SAMPLE_ABOVE = 8192
"""Up to so many values percentiles are exact."""


def extreme_reach(values: Tensor) -> Tensor:
    """Reach [2, channels] of rows [channels, n], or [2] of values [n], by least and greatest."""
    # Along a dimension torch takes ten times as long.
    low, high = values.aminmax() if values.dim() == 1 else values.aminmax(dim=-1)
    return torch.stack([low.neg(), high]).clamp_(min=0)


def percentile_reach(values: Tensor, share: float) -> Tensor:
    """Reach as `extreme_reach` gives it, when that share of the values on each side is cut off.

    Long rows are sampled, every eleventh value: no layer's width is likely to be a multiple of it,
    so that all columns of a matrix are seen.
    """
    if values.size(-1) > SAMPLE_ABOVE:
        values = values[..., ::SAMPLE_STRIDE]
    cut, last = int(share * values.size(-1)), values.size(-1) - 1
    if values.is_cpu and values.dim() == 1:
        # One partition for both sides, and half the time of torch's two.
        part = np.partition(values.numpy(), (cut, last - cut))
        low, high = torch.tensor([part[cut], part[last - cut]]).unbind()
    else:
        low, high = (values.kthvalue(place + 1).values for place in (cut, last - cut))
    return torch.stack([low.neg(), high]).clamp_(min=0)


def widened(reach: Tensor, batch: Tensor, batches: int = 1) -> Tensor:
    """The range of all batches so far."""
    return torch.maximum(reach, batch)


def moved(reach: Tensor, batch: Tensor, batches: int = 1) -> Tensor:
    """The exponential moving average, with momentum 0.01."""
    return torch.lerp(reach, batch, MOMENTUM)


def averaged(reach: Tensor, batch: Tensor, batches: int) -> Tensor:
    """The mean of so many batches and one more, in whichever order they came."""
    return torch.lerp(reach, batch, 1 / (batches + 1))


class Range(NamedTuple):
    """How a quantizer learns its range; the first batch is taken as it is.

    Attributes:
        reach: of a batch's values, given the share to cut off.
        update: how batches add up in training, given how many came before.
        calibrate: the same in calibration, where their order must not matter.
    """

    reach: Callable[[Tensor, float], Tensor]
    update: Callable[[Tensor, Tensor, int], Tensor]
    calibrate: Callable[[Tensor, Tensor, int], Tensor]


RANGES: dict[str, Range] = {
    "abs": Range(lambda values, share: extreme_reach(values), widened, widened),
    "mom": Range(lambda values, share: extreme_reach(values), moved, averaged),
    "per": Range(percentile_reach, widened, widened),
}
"""By name: all extremes so far; their moving average; the extremes of each batch's percentiles."""

"""What a state would cost if its elements were independent of each other and their places."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec.state import Value, collect

EXPONENT_BITS = {"f16": 5, "bf16": 8, "f32": 8, "f64": 11}


def order0_estimate_bytes(state: Mapping[str, Value]) -> float:
    """An order-0 estimate, and no floor: files go below it where values depend on their places.

    Bytes: for each storage n H(d) + nnz (H(exponent) + sign and mantissa bits), d = nnz / n.

    For float32 the last term is 24 bits. Other lanes (integers, bool, codes) count n H(value).
    A storage that tensors share counts once. Names, shapes and headers count nothing.
    """
    collected = collect(state)
    total_bits = 0.0
    for storage, content in zip(collected.storages, collected.contents, strict=True):
        lanes = content.numpy().view(storage.lane.unsigned)
        if storage.lane.name not in EXPONENT_BITS:
            total_bits += len(lanes) * _entropy_bits(lanes)
            continue
        width_bits = 8 * storage.lane.width_bytes
        mantissa_bits = width_bits - 1 - EXPONENT_BITS[storage.lane.name]
        values = lanes[lanes != 0]
        exponents = (values << values.dtype.type(1)) >> values.dtype.type(mantissa_bits + 1)
        total_bits += len(lanes) * _entropy_bits(lanes != 0)
        total_bits += len(values) * (_entropy_bits(exponents) + 1 + mantissa_bits)
    return total_bits / 8


def _entropy_bits(symbols: NDArray[np.generic]) -> float:
    if not len(symbols):
        return 0.0
    counts = np.unique(symbols, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())

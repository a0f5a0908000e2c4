"""Rows or columns of different magnitude, parted into classes (FORMAT.md, section 5)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec import backends
from gnnperf.codec.lanes import Lanes, Positions, drop_bits
from gnnperf.codec.lines import Head
from gnnperf.codec.values import Values
from gnnperf.codec.wire import varint

CLASS_COUNTS = (2, 4, 8, 16)
# Share of the variance that must lie between lines: below it no partition gains a thousandth.
LEAST_BETWEEN = 0.04
# Bits that a class's own statistics cost, roughly.
CLASS_BITS = 1_500
# Less than this share of the raw bits is no gain worth the search.
LEAST_GAIN = 0.002
LEAST_VALUES_A_LINE = 8


@dataclass(frozen=True)
class Partition:
    """Lines, the class of each, how many classes there are, and the bits that they may save."""

    head: Head
    classes: NDArray[np.uint8]
    class_count: int
    saved_bits: float


def find_partition(
    lanes: Lanes, values: Values, heads: list[Head], stride: int = 1
) -> Partition | None:
    """The best partition of the lines, None if none saves anything.

    It is judged by every `stride`-th value: by the order-0 estimate of their top bytes.
    """
    sample = lanes[::stride]
    width_bits = 8 * values.lane.width_bytes
    # Without the sign, so that a magnitude's leading eight bits are on top.
    one = lanes.dtype.type
    top = np.right_shift(np.left_shift(sample, one(1)), one(width_bits - 8)).astype(np.int64)
    if values.positions is None:
        positions: Positions = np.arange(0, values.lanes, stride)
    else:
        positions = values.positions[::stride]
    best: Partition | None = None
    for head in heads:
        if head.count < 2 or LEAST_VALUES_A_LINE * head.count > len(sample):
            continue
        numbers = head.numbers(values.lanes, values.first, positions)
        found = _best_classes(top, numbers, head, stride)
        if found and (best is None or found.saved_bits > best.saved_bits):
            best = found
    if best is None or best.saved_bits < LEAST_GAIN * len(lanes) * width_bits:
        return None
    return best


def _best_classes(
    top: NDArray[np.int64], numbers: Positions, head: Head, stride: int
) -> Partition | None:
    counts = np.bincount(numbers, minlength=head.count)
    sums = np.bincount(numbers, weights=top, minlength=head.count)
    means = sums / np.maximum(counts, 1)
    if _between(top, counts, means) < LEAST_BETWEEN:
        return None
    order = np.argsort(means, kind="stable")
    # A line's middle lane among all lanes, in the order of the means.
    middles = np.empty(head.count)
    middles[order] = np.cumsum(counts[order]) - counts[order] / 2
    whole_bits = _bits(np.bincount(top, minlength=256)[None])
    best: Partition | None = None
    for class_count in CLASS_COUNTS:
        classes = (middles * class_count // len(top)).astype(np.uint8)
        classes[counts == 0] = 0
        joint = classes[numbers] * np.int64(256) + top
        parted = _bits(np.bincount(joint, minlength=256 * class_count).reshape(-1, 256))
        spent = head.count * np.log2(class_count) + class_count * CLASS_BITS
        saved = stride * (whole_bits - parted) - spent
        if saved > 0 and (best is None or saved > best.saved_bits):
            best = Partition(head, classes, class_count, float(saved))
    return best


def _between(
    top: NDArray[np.int64], counts: NDArray[np.integer], means: NDArray[np.float64]
) -> float:
    """The share of the variance that lies between the lines, less what chance puts there."""
    whole = float(top.var())
    if not whole:
        return 0.0
    within = 1 - float(np.average((means - top.mean()) ** 2, weights=counts)) / whole
    lines = int(np.count_nonzero(counts))
    return 1 - within * (len(top) - 1) / max(1, len(top) - lines)


def _bits(histograms: NDArray[np.integer]) -> float:
    """The order-0 estimate of what symbols with these counts take, a row each with its own."""
    totals = histograms.sum(axis=1)
    counts = histograms[histograms > 0]
    totals = totals[totals > 0]
    return float((totals * np.log2(totals)).sum() - (counts * np.log2(counts)).sum())


def encode_classed(
    lanes: Lanes, values: Values, partition: Partition, dropped_bits: int, pco_level: int
) -> bytes:
    """The stream: lines, their classes, and the numbers of each class."""
    head, classes, class_count = partition.head, partition.classes, partition.class_count
    numbers = drop_bits(lanes, dropped_bits)
    class_of = classes[head.numbers(values.lanes, values.first, values.positions)]
    blobs = [backends.compress_numbers(classes, pco_level)]
    for index in range(class_count):
        members = numbers[class_of == index]
        blobs.append(backends.compress_numbers(members, pco_level, plain=True))
    sizes = b"".join(varint(len(blob)) for blob in blobs)
    return head.pack() + bytes([dropped_bits, class_count]) + sizes + b"".join(blobs)

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
# So many kinds of lines that a sample likes are judged by all values.
FINALISTS = 2


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

    It is judged by the order-0 estimate of the values' top bytes. Every `stride`-th value chooses
    the kind of lines, and then all of them the classes: few values a line say little of it.
    """
    width_bits = 8 * values.lane.width_bytes
    one = lanes.dtype.type
    found: list[Partition] = []
    for head in heads:
        places = _sampled(len(lanes), values, head, stride)
        sample = lanes[places]
        if head.count < 2 or not len(sample):
            continue
        # Without the sign, so that a magnitude's leading eight bits are on top.
        top = np.right_shift(np.left_shift(sample, one(1)), one(width_bits - 8)).astype(np.int64)
        positions = places if values.positions is None else values.positions[places]
        numbers = head.numbers(values.lanes, values.first, positions)
        partition = _best_classes(top, numbers, head, stride)
        if partition and partition.saved_bits >= LEAST_GAIN * len(lanes) * width_bits:
            found.append(partition)
    found.sort(key=lambda partition: partition.saved_bits, reverse=True)
    if stride > 1 and found:
        return find_partition(lanes, values, [partition.head for partition in found[:FINALISTS]])
    return found[0] if found else None


def _sampled(count: int, values: Values, head: Head, stride: int) -> Positions:
    """Every `stride`-th value, or every `stride`-th line whole where that leaves a line too few.

    None at all if a line has too few even so.
    """
    if LEAST_VALUES_A_LINE * head.count <= count // stride:
        return np.arange(0, count, stride)
    if head.run < LEAST_VALUES_A_LINE or values.positions is not None:
        return np.arange(0)
    starts = np.arange(-values.first % head.run, count - head.run + 1, stride * head.run)
    return np.add.outer(starts, np.arange(head.run)).reshape(-1)


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

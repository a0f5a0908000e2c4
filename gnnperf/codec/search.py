"""The writer's search for the smallest value stream of a chunk.

Every codec that fits is tried with little effort, on a sample if there are many values; the best
ones are then done in full. Strong zstd takes a hundred times longer than all else together, so that
it is spent only where weak zstd comes near the best.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec import backends
from gnnperf.codec.classes import encode_classed, find_partition
from gnnperf.codec.effort import WEAK_PCO, Effort
from gnnperf.codec.lanes import Lanes, drop_bits, pack, planes, rotate, trailing_zero_bits
from gnnperf.codec.lines import Head
from gnnperf.codec.scales import encode_scaled
from gnnperf.codec.values import (
    CLASSED,
    PACKED,
    PCO,
    PLANES,
    RAW,
    ROTATED,
    SCALED,
    SHIFTED,
    ZSTD,
    Values,
    encode_planes,
)

Stream = tuple[int, bytes]
Coder = Callable[[Lanes, Effort], Stream]

SAMPLE_BLOCK_LANES = 512
STRONGEST_PCO = 12
# A sample is no more exact than this.
EVEN = 1.003
# With pcodec's weak level a stream is at most this much larger, beside another of that level.
NEAR = 1.001
# Strong zstd shortens what weak zstd leaves of numbers by no more than this.
STRONG_GAIN = 0.85
# A plane that weak zstd does nearly as well as pcodec has matches for strong zstd.
WORTH_STRONG = 1.1
# Bytes whose order-0 estimate is above this share are noise.
NOISE = 0.995
# Matches that save less than this share of the raw bytes are chance.
LEAST_REPEATS = 0.004
# Runs along a row have scales of their own, but no other magnitudes.
MAX_PARTITIONS = 5


def smallest_values(lanes: Lanes, values: Values, heads: list[Head], effort: Effort) -> Stream:
    """The smallest stream that was found, and its codec."""
    is_float = values.lane.is_float
    dropped_bits = trailing_zero_bits(lanes) if is_float else 0
    found = _by_lines(lanes, values, heads, dropped_bits, effort) if is_float else None
    if found and found[0] == SCALED:
        return found
    coders = list(_coders(values, dropped_bits, _has_repeats(lanes), effort))
    if len(lanes) > effort.sample_above and len(coders) > 1:
        coders = _best_on_sample(lanes, coders, effort)
        streams = [coder(lanes, effort) for coder in coders]
    else:
        streams = _refined(lanes, coders, found, effort)
    best = min([*streams, *([found] if found else [])], key=_size)
    if effort.strong_zstd > effort.zstd:
        best = _with_strong_zstd(lanes, best, streams, effort)
    return best if len(best[1]) < lanes.nbytes else (RAW, lanes.tobytes())


def _size(stream: Stream) -> int:
    return len(stream[1])


def _coders(values: Values, dropped_bits: int, repeats: bool, effort: Effort) -> Iterable[Coder]:
    """What fits the lane, the usual winner first; zstd only where there is something to match."""
    lane = values.lane
    if lane.is_float and dropped_bits:
        yield lambda part, e: _shifted(part, dropped_bits, e)
    elif lane.is_float:
        yield lambda part, e: _rotated(part, e, plain=True)
        if effort.pco > WEAK_PCO:
            yield lambda part, e: _rotated(part, e, plain=False)
    # What pruning leaves of floats is in no order that modes or differences could use.
    pruned = lane.is_float and values.positions is not None and effort.pco <= WEAK_PCO
    if lane.number and not pruned:
        yield lambda part, e: _modal(part.view(lane.numpy), e)
    if values.bits:
        yield lambda part, _: (PACKED, pack(part, values.bits))
    # Without repeats the planes of floats gain little, and only over a weak pcodec.
    if lane.width_bytes > 1 and (repeats or not lane.is_float or effort.pco > WEAK_PCO):
        yield lambda part, e: _planes(part, values, e, repeats)
    if repeats or not lane.is_float or effort.is_thorough:
        yield lambda part, e: (ZSTD, backends.compress_bytes(part.tobytes(), e.zstd))


def _rotated(part: Lanes, effort: Effort, *, plain: bool) -> Stream:
    return ROTATED, backends.compress_numbers(rotate(part, 1), effort.pco, plain=plain)


def _modal(numbers: backends.Numbers, effort: Effort) -> Stream:
    # Where pcodec takes numbers apart, more levels pay than where it only bins them.
    return PCO, backends.compress_numbers(numbers, min(STRONGEST_PCO, effort.pco + 2))


def _shifted(part: Lanes, dropped_bits: int, effort: Effort) -> Stream:
    numbers = drop_bits(part, dropped_bits)
    plain = backends.compress_numbers(numbers, effort.pco, plain=True)
    return SHIFTED, bytes([dropped_bits]) + plain


def _planes(part: Lanes, values: Values, effort: Effort, repeats: bool) -> Stream:
    turned = rotate(part, 1) if values.lane.is_float else part
    pieces = []
    for row in planes(turned):
        raw = row.tobytes()
        options = [(RAW, raw)]
        if repeats or _order0_bytes(row) < NOISE * len(row):
            numbers = backends.compress_numbers(row, effort.pco, plain=True)
            matched = backends.compress_bytes(raw, effort.zstd)
            if effort.is_thorough or len(matched) < WORTH_STRONG * len(numbers):
                matched = backends.compress_bytes(raw, effort.strong_zstd)
            options += [(PCO, numbers), (ZSTD, matched)]
        pieces.append(min(options, key=_size))
    return PLANES, encode_planes(pieces)


def _order0_bytes(row: NDArray[np.uint8]) -> float:
    counts = np.bincount(row, minlength=256)
    counts = counts[counts > 0]
    # Miller and Madow: few bytes look less even than what they are drawn from.
    bias = (len(counts) - 1) / 2
    return (float((counts * np.log(len(row) / counts)).sum()) + bias) / math.log(256)


def _has_repeats(lanes: Lanes) -> bool:
    """Whether zstd finds matches: what is only unevenly distributed, pcodec does better."""
    left = backends.bytes_without_repeats(np.ascontiguousarray(lanes).view(np.uint8).data)
    return left < (1 - LEAST_REPEATS) * lanes.nbytes


def _weak(effort: Effort) -> Effort:
    return replace(effort, pco=min(effort.pco, WEAK_PCO), strong_zstd=effort.zstd)


def _refined(
    lanes: Lanes, coders: list[Coder], found: Stream | None, effort: Effort
) -> list[Stream]:
    """Every codec with little effort, and the best ones with all of it."""
    if effort.is_thorough:
        return [coder(lanes, effort) for coder in coders]
    streams = [coder(lanes, _weak(effort)) for coder in coders]
    if effort.pco <= WEAK_PCO:
        return streams
    best = min(map(_size, [*streams, *([found] if found else [])]))
    done: set[int] = set()
    for index, coder in enumerate(coders):
        size = _size(streams[index])
        # The same size twice is the same stream, found by another way.
        if size <= NEAR * best and size not in done:
            done.add(size)
            streams[index] = coder(lanes, effort)
    return streams


def _best_on_sample(lanes: Lanes, coders: list[Coder], effort: Effort) -> list[Coder]:
    """The coder that does a sample best, and those that come near where there is time for them."""
    starts = np.linspace(0, len(lanes) - SAMPLE_BLOCK_LANES, effort.sample_blocks).astype(np.int64)
    sample = np.concatenate([lanes[start : start + SAMPLE_BLOCK_LANES] for start in starts])
    weak = _weak(effort)
    sizes = [_size(coder(sample, weak)) for coder in coders]
    # Of those that are even the first is the fastest.
    first = next(index for index, size in enumerate(sizes) if size <= EVEN * min(sizes))
    return [
        coder
        for index, coder in enumerate(coders)
        if index == first or sizes[index] <= effort.margin * min(sizes)
    ]


def _by_lines(
    lanes: Lanes, values: Values, heads: list[Head], dropped_bits: int, effort: Effort
) -> Stream | None:
    scaled = encode_scaled(lanes, values, heads, effort.pco)
    if scaled:
        return SCALED, scaled
    # Pruning leaves all lines about the same magnitudes.
    if values.positions is not None and effort.pco <= WEAK_PCO:
        return None
    heads = [head for head in heads if head.count > 1][:MAX_PARTITIONS]
    stride = max(1, len(lanes) // effort.class_sample)
    # A step that shares a factor with the lines would see some of them alone.
    while stride > 1 and any(math.gcd(stride, head.run * head.count) > 1 for head in heads):
        stride += 1
    partition = find_partition(lanes, values, heads, stride)
    if partition:
        return CLASSED, encode_classed(lanes, values, partition, dropped_bits, effort.pco)
    return None


def _with_strong_zstd(lanes: Lanes, best: Stream, streams: list[Stream], effort: Effort) -> Stream:
    for codec, stream in streams:
        near = STRONG_GAIN * len(stream) < len(best[1])
        if codec == ZSTD and (near or effort.is_thorough):
            blob = backends.compress_bytes(lanes.tobytes(), effort.strong_zstd)
            return min(best, (ZSTD, blob), key=_size)
    return best

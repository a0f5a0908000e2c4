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

SAMPLE_BLOCK_LANES, FEWEST_BLOCKS = 1024, 2
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
# Windows of so many samples' lanes, so many of them, tell whether bytes repeat.
WINDOW_SAMPLES, REPEAT_WINDOWS = 4, 4
# Above this share strong zstd and no sample: what repeats may be far apart.
MANY_REPEATS, STRONGEST_ZSTD = 0.1, 19
# Of even bits one in sixteen lanes has four that are 0.
LOW_BITS, LEAST_ODD = 15, 0.85
# Codebooks and small integers have no more numbers than this.
MOST_FEW = 512
# How much larger a coder may be on a sample if the numbers come from a list.
LISTED_MARGIN = 1.5
# Runs along a row have scales of their own, but no other magnitudes.
MAX_PARTITIONS = 5


def smallest_values(lanes: Lanes, values: Values, heads: list[Head], effort: Effort) -> Stream:
    """The smallest stream that was found, and its codec."""
    is_float = values.lane.is_float
    repeats = _repeats(lanes, effort)
    if repeats > MANY_REPEATS:
        effort = replace(effort, strong_zstd=STRONGEST_ZSTD)
    dropped_bits = trailing_zero_bits(lanes) if is_float else 0
    found = _by_lines(lanes, values, heads, dropped_bits, effort) if is_float else None
    if found and found[0] == SCALED and not repeats:
        return found
    coders = list(_coders(lanes, values, dropped_bits, repeats > 0, effort))
    if len(lanes) > effort.sample_above and len(coders) > 1 and repeats <= MANY_REPEATS:
        coders = _best_on_sample(lanes, coders, values, effort)
        streams = [coder(lanes, effort) for coder in coders]
    else:
        streams = _refined(lanes, coders, found, effort)
    best = min([*streams, *([found] if found else [])], key=_size)
    if effort.strong_zstd > effort.zstd:
        best = _with_strong_zstd(lanes, best, streams, effort)
    return best if len(best[1]) < lanes.nbytes else (RAW, lanes.tobytes())


def _size(stream: Stream) -> int:
    return len(stream[1])


def _coders(
    lanes: Lanes, values: Values, dropped_bits: int, repeats: bool, effort: Effort
) -> Iterable[Coder]:
    """What fits the lane, the usual winner first; zstd only where there is something to match."""
    lane = values.lane
    is_noise = lane.is_float and effort.pco <= WEAK_PCO and not repeats and _is_noise(lanes)
    if lane.is_float and dropped_bits:
        yield lambda part, e: _shifted(part, dropped_bits, e)
    elif lane.is_float:
        yield lambda part, e: _rotated(part, e, plain=True)
        if effort.pco > WEAK_PCO or not lane.number:
            yield lambda part, e: _rotated(part, e, plain=False)
    # What pruning leaves of noise is in no order that modes or differences could use.
    if lane.number and not (is_noise and values.positions is not None):
        yield lambda part, e: _modal(part.view(lane.numpy), e)
    if values.bits:
        yield lambda part, _: (PACKED, pack(part, values.bits))
    if lane.width_bytes > 1 and not is_noise:
        yield lambda part, e: _planes(part, values, e, repeats)
    if repeats or not lane.is_float or effort.is_thorough:
        yield lambda part, e: (ZSTD, backends.compress_bytes(part.tobytes(), e.zstd))


def _is_noise(lanes: Lanes) -> bool:
    """Whether the first lanes have both signs, even low bits, and hardly a number twice."""
    first, one = lanes[:SAMPLE_BLOCK_LANES], lanes.dtype.type
    signs = np.count_nonzero(first >> one(8 * first.dtype.itemsize - 1))
    odd = np.count_nonzero(first & one(LOW_BITS))
    return bool(0 < signs < len(first) and odd > LEAST_ODD * len(first) and not _are_few(first))


def _are_few(sample: Lanes) -> bool:
    """Whether the numbers come from a list; those of 16 bits are seldom all different."""
    most = len(sample) // 2 if sample.dtype.itemsize > 2 else min(MOST_FEW, len(sample) // 2)
    # np.unique takes ten times as long for so few.
    ordered = np.sort(sample)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1])) <= most


def _rotated(part: Lanes, effort: Effort, *, plain: bool) -> Stream:
    return ROTATED, backends.compress_numbers(rotate(part, 1), effort.pco, plain=plain)


def _modal(numbers: backends.Numbers, effort: Effort) -> Stream:
    # Where pcodec takes numbers apart, more levels pay than where it only bins them.
    return PCO, backends.compress_numbers(numbers, effort.modal_pco)


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


def _repeats(lanes: Lanes, effort: Effort) -> float:
    """The share of bytes that matches spare zstd, 0 if that is chance.

    What is only unevenly distributed pcodec does better. Of many lanes windows are looked at: the
    quick look remembers no more than the last of them anyway.
    """
    window = WINDOW_SAMPLES * effort.sample_above
    if len(lanes) > REPEAT_WINDOWS * window:
        starts = np.linspace(0, len(lanes) - window, REPEAT_WINDOWS).astype(np.int64)
        lanes = np.concatenate([lanes[start : start + window] for start in starts])
    left = backends.bytes_without_repeats(np.ascontiguousarray(lanes).view(np.uint8).data)
    share = 1 - left / lanes.nbytes
    return share if share > LEAST_REPEATS else 0.0


def _weak(effort: Effort) -> Effort:
    pco, modal_pco = min(effort.pco, WEAK_PCO), min(effort.modal_pco, WEAK_PCO + 2)
    return replace(effort, pco=pco, modal_pco=modal_pco, strong_zstd=effort.zstd)


def _refined(
    lanes: Lanes, coders: list[Coder], found: Stream | None, effort: Effort
) -> list[Stream]:
    """Every codec with little effort, and the best ones with all of it."""
    if effort.is_thorough or effort.pco <= WEAK_PCO:
        return [coder(lanes, effort) for coder in coders]
    streams = [coder(lanes, _weak(effort)) for coder in coders]
    best = min(map(_size, [*streams, *([found] if found else [])]))
    done: set[int] = set()
    for index, coder in enumerate(coders):
        size = _size(streams[index])
        # The same size twice is the same stream, found by another way.
        if size <= NEAR * best and size not in done:
            done.add(size)
            streams[index] = coder(lanes, effort)
    return streams


def _best_on_sample(
    lanes: Lanes, coders: list[Coder], values: Values, effort: Effort
) -> list[Coder]:
    """The coder that does a sample best, and those that may yet be better on all lanes."""
    # Two coders are left where the lanes are noise, and a smaller sample tells.
    blocks = effort.sample_blocks if len(coders) > 2 else FEWEST_BLOCKS
    starts = np.linspace(0, len(lanes) - SAMPLE_BLOCK_LANES, blocks).astype(np.int64)
    sample = np.concatenate([lanes[start : start + SAMPLE_BLOCK_LANES] for start in starts])
    weak = _weak(effort)
    sizes = [_size(coder(sample, weak)) for coder in coders]
    # Of those that are even the first is the fastest.
    first = next(index for index, size in enumerate(sizes) if size <= EVEN * min(sizes))
    # A list of numbers weighs more in a sample than in the whole.
    is_listed = not values.lane.is_float or _are_few(sample)
    margin = LISTED_MARGIN if is_listed else effort.margin
    return [
        coder
        for index, coder in enumerate(coders)
        if index == first or sizes[index] <= margin * min(sizes)
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

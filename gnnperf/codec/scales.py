"""Rows of integers times a scale, found in floats (FORMAT.md, section 5, codec scaled)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec import backends
from gnnperf.codec.lanes import Lanes, Positions, rotate
from gnnperf.codec.lines import Head
from gnnperf.codec.values import RAW, ROTATED, SCALED_LANES, Values
from gnnperf.codec.wire import varint

# int8 less a zero point of int8.
MOST_MAGNITUDE = 255
MULTIPLES = np.arange(1.0, MOST_MAGNITUDE + 1)
# A quotient of two fp32 numbers below 256 is at most so far from the integer that it stands for.
TOLERANCE = 1e-4
SAMPLES_A_LINE = 32
# Fewer values a line are not worth a scale.
LEAST_VALUES_A_LINE = 6
PROBED_PLACES, PROBED_VALUES = (0.5, 0.1, 0.8), 6
WINDOW_LANES = 512
ULPS = (0, 1, -1, 2, -2)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Lines:
    """Values in the order of their lines: where each line that has any begins, and its number."""

    order: Positions | None
    starts: Positions
    counts: Positions
    present: Positions


def encode_scaled(lanes: Lanes, values: Values, heads: list[Head], pco_level: int) -> bytes | None:
    """The stream for the first lines of which every value is an integer times the line's scale.

    None if there are no such lines, or if the lanes are not float32 or float64.
    """
    if values.lane.name not in SCALED_LANES:
        return None
    for head in heads:
        if len(lanes) < LEAST_VALUES_A_LINE * head.count or not _is_promising(lanes, values, head):
            continue
        numbers = head.numbers(values.lanes, values.first, values.positions)
        found = _fit(lanes, numbers, head, values)
        if found:
            scales, codes = found
            codes_blob = backends.compress_numbers(codes, pco_level)
            return head.pack() + _scales(scales, pco_level) + codes_blob
    return None


def _scales(scales: Lanes, pco_level: int) -> bytes:
    raw = scales.tobytes()
    packed = backends.compress_numbers(rotate(scales, 1), pco_level, plain=True)
    codec, blob = (ROTATED, packed) if len(packed) < len(raw) else (RAW, raw)
    return bytes([codec]) + varint(len(blob)) + blob


def _is_promising(lanes: Lanes, values: Values, head: Head) -> bool:
    """Whether a few values of a few lines are integers times one unit."""
    found = False
    span = max(WINDOW_LANES, LEAST_VALUES_A_LINE * head.count) if head.run == 1 else WINDOW_LANES
    for share in PROBED_PLACES:
        begin = int(share * max(0, len(lanes) - span))
        window = lanes[begin : begin + span]
        if values.positions is None:
            positions: Positions = np.arange(begin, begin + len(window))
        else:
            positions = values.positions[begin : begin + span]
        numbers = head.numbers(values.lanes, values.first, positions)
        line = window[numbers == numbers[len(numbers) // 2]].view(values.lane.numpy)
        line = np.abs(line[np.isfinite(line) & (line != 0)]).astype(np.float64)
        if len(line) < PROBED_VALUES:
            continue
        probe = line[np.arange(PROBED_VALUES) * len(line) // PROBED_VALUES]
        quotients = (probe / probe.max())[:, None] * MULTIPLES
        if not (np.abs(quotients - np.rint(quotients)) < TOLERANCE).all(axis=0).any():
            return False
        found = True
    return found


def _fit(
    lanes: Lanes, numbers: Positions, head: Head, values: Values
) -> tuple[Lanes, Lanes] | None:
    """The scales' bits, one a line, and the codes; None if they are not exact."""
    numbers_of = lanes.view(values.lane.numpy)
    if not np.isfinite(numbers_of).all():
        return None
    magnitudes = np.abs(numbers_of).astype(np.float64)
    by_line = _in_lines(numbers)
    ordered = magnitudes if by_line.order is None else magnitudes[by_line.order]
    largest = np.maximum.reduceat(ordered, by_line.starts)
    multiples = _multiples(ordered, by_line, largest)
    if multiples is None:
        return None
    steps = largest / multiples
    line = np.repeat(np.arange(len(steps)), by_line.counts)
    codes = np.rint(ordered / np.where(largest > 0, steps, 1.0)[line])
    exact = _exact_steps(ordered, codes, line, by_line.starts, steps, values)
    if exact is None:
        return None
    scales = np.zeros(head.count, values.lane.numpy)
    scales[by_line.present] = exact
    whole = np.empty(len(lanes), np.uint16)
    whole[slice(None) if by_line.order is None else by_line.order] = codes
    sign = (lanes >> lanes.dtype.type(8 * values.lane.width_bytes - 1)).astype(np.uint16)
    return scales.view(values.lane.unsigned), np.bitwise_or(whole << np.uint16(1), sign)


def _in_lines(numbers: Positions) -> _Lines:
    order: Positions | None = None
    if (np.diff(numbers) < 0).any():
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    counts = np.diff(starts, append=len(numbers))
    return _Lines(order, starts, counts, numbers[starts])


def _multiples(ordered: Floats, by_line: _Lines, largest: Floats) -> Floats | None:
    """Of which multiple of its unit each line's largest value is; None if a line has no unit."""
    places = np.arange(SAMPLES_A_LINE) * by_line.counts[:, None] // SAMPLES_A_LINE
    samples = ordered[by_line.starts[:, None] + places]
    found = np.where(largest > 0, 0.0, 1.0)
    for multiple in MULTIPLES:
        left = np.flatnonzero(found == 0)
        if not len(left):
            break
        quotients = samples[left] / largest[left, None] * multiple
        fits = (np.abs(quotients - np.rint(quotients)) < TOLERANCE).all(axis=1)
        found[left[fits]] = multiple
    return found if found.all() else None


def _exact_steps(
    ordered: Floats,
    codes: Floats,
    line: Positions,
    starts: Positions,
    steps: Floats,
    values: Values,
) -> NDArray[np.floating] | None:
    """The steps in the lane's own precision that give every value bit for bit."""
    number = values.lane.numpy
    exact, multiples = ordered.astype(number), codes.astype(number)
    rounded = steps.astype(number)
    result: NDArray[np.floating] = rounded.copy()
    pending = np.ones(len(steps), bool)
    for ulps in ULPS:
        offset = np.array([ulps]).astype(values.lane.unsigned)
        candidate = (rounded.view(values.lane.unsigned) + offset).view(number)
        usable = np.isfinite(candidate) & (candidate > 0) & (steps > 0)
        candidate = np.where(usable, candidate, 0)
        wrong = np.add.reduceat(multiples * candidate[line] != exact, starts)
        hits = pending & (wrong == 0)
        result[hits] = candidate[hits]
        pending &= ~hits
        if not pending.any():
            return result
    return None

"""Rows and columns that differ: a scale for each, or statistics for each kind (FORMAT.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec.dtypes import Lane
from gnnperf.codec.errors import StreamError
from gnnperf.codec.lanes import Lanes, Positions
from gnnperf.codec.wire import Reader, varint

MAX_CLASSES = 16


@dataclass(frozen=True)
class Head:
    """Lines of a chunk: `run` lanes of its group lie on each, and `count` lines take turns."""

    run: int
    count: int

    def pack(self) -> bytes:
        """As it stands in a stream."""
        return varint(self.run) + varint(self.count)

    @classmethod
    def read(cls, reader: Reader, lanes: int) -> Head:
        """The next head for a chunk of so many lanes; raises a CodecError."""
        run, count = reader.varints("the lines", 2)
        if not run or not 0 < count <= lanes:
            raise StreamError(f"{count} lines of {run} lanes in a chunk of {lanes}")
        return cls(run, count)

    def numbers(self, lanes: int, first: int, positions: Positions | None = None) -> Positions:
        """Which line each lane of a chunk is on, counted from that of the chunk's first lane.

        `first` is that lane's place in the group, `positions` are the lanes asked for, all if None.
        """
        within = first % self.run
        if positions is None:
            positions = np.arange(lanes, dtype=np.int64)
        # A run may be far longer than any chunk.
        run = min(self.run, within + lanes)
        numbers: Positions = (positions + within) // run % self.count
        return numbers


def unscale(codes: Lanes, scales: Lanes, numbers: Positions, lane: Lane) -> Lanes:
    """Values of codes, sign lowest, times the scale of the line that each is on.

    Raises StreamError for a scale that is no positive number, or stands for nothing and is not 0.
    """
    magnitudes, signs = codes >> np.uint16(1), codes & np.uint16(1)
    used = np.zeros(len(scales), bool)
    used[numbers[magnitudes > 0]] = True
    steps = scales.view(lane.numpy)
    with np.errstate(invalid="ignore"):
        positive = np.isfinite(steps) & (steps > 0)
    if not positive[used].all() or scales[~used].any():
        raise StreamError("a scale is no positive number, or no code needs it and it is not 0")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values = (magnitudes.astype(lane.numpy) * steps[numbers]).view(lane.unsigned)
    top = values.dtype.type(8 * lane.width_bytes - 1)
    signed: Lanes = np.bitwise_or(values, np.left_shift(signs.astype(lane.unsigned), top))
    return signed


def check_classes(classes: NDArray[np.uint8], numbers: Positions, class_count: int) -> None:
    """Raise StreamError for a class that is not, or of a line without lanes that is not 0."""
    unused = np.ones(len(classes), bool)
    unused[numbers] = False
    if (classes >= class_count).any() or classes[unused].any():
        raise StreamError(f"a line's class is above {class_count - 1}, or of a line without values")

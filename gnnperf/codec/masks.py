"""Which lanes are not zero, to a stream and back (FORMAT.md, section 5)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec import backends
from gnnperf.codec.effort import WEAK_PCO, Effort
from gnnperf.codec.errors import StreamError
from gnnperf.codec.lanes import Positions, check_padding

RAW, ZSTD, GAPS, COLUMN_GAPS = range(4)
MASK_CODECS = ("raw", "zstd", "gaps", "column gaps")
COLUMNS_BYTES = 4
# Gaps are shorter than what zstd makes of a mask that repeats itself no more than this.
FEW_REPEATS = 0.8
WEAK_ZSTD = 1
# Strong zstd shortens what weak zstd makes of a mask by no more than this.
ZSTD_GAIN = 0.9
# Strong zstd does so many bytes in a few milliseconds.
SMALL_MASK_BYTES = 1 << 13

Stream = tuple[int, bytes]


def encode_mask(
    mask: NDArray[np.bool_], positions: Positions, effort: Effort, columns: int
) -> Stream:
    """The smallest stream that says which lanes are not zero: those at `positions`.

    `columns` is the width of the matrix that the lanes are, 0 if they are none.
    """
    packed = np.packbits(mask, bitorder="little").tobytes()
    best = min(_cheap_streams(packed, positions, len(mask), effort, columns), key=_size)
    if effort.strong_zstd > effort.zstd:
        weak = backends.compress_bytes(packed, WEAK_ZSTD)
        always = effort.is_thorough or len(packed) <= SMALL_MASK_BYTES
        if always or ZSTD_GAIN * len(weak) < len(best[1]):
            best = min(best, (ZSTD, backends.compress_bytes(packed, effort.strong_zstd)), key=_size)
    return best


def _size(stream: Stream) -> int:
    return len(stream[1])


def _cheap_streams(
    packed: bytes, positions: Positions, lane_count: int, effort: Effort, columns: int
) -> Iterator[Stream]:
    yield RAW, packed
    # Denser than this a gap costs more than the bits that it stands for.
    with_gaps = effort.is_thorough or len(positions) <= effort.gaps_below * lane_count
    left = backends.bytes_without_repeats(packed) / len(packed)
    if effort.pco > WEAK_PCO or not with_gaps or left < FEW_REPEATS:
        yield ZSTD, backends.compress_bytes(packed, WEAK_ZSTD)
    if not with_gaps:
        return
    yield GAPS, _gaps(positions, effort)
    if 1 < columns < lane_count and lane_count % columns == 0:
        head = columns.to_bytes(COLUMNS_BYTES, "little")
        yield COLUMN_GAPS, head + _gaps(_transposed(positions, lane_count, columns), effort)


def _gaps(positions: Positions, effort: Effort) -> bytes:
    gaps = (np.diff(positions, prepend=-1) - 1).astype("<u4")
    return backends.compress_numbers(gaps, effort.pco, plain=True)


def _transposed(positions: Positions, lane_count: int, columns: int) -> Positions:
    """Where lanes of a matrix with so many columns stand when it is laid out by columns, sorted."""
    row, column = np.divmod(positions, columns)
    return np.sort(column * (lane_count // columns) + row)


def decode_mask(codec: int, stream: bytes, lane_count: int, nonzero_count: int) -> Positions:
    """The lanes that are not zero, in order; raises StreamError if the stream lies."""
    if codec == COLUMN_GAPS:
        columns = int.from_bytes(stream[:COLUMNS_BYTES], "little")
        if not columns or lane_count % columns:
            raise StreamError(f"the mask's {columns} columns do not divide {lane_count} lanes")
        by_column = decode_mask(GAPS, stream[COLUMNS_BYTES:], lane_count, nonzero_count)
        return _transposed(by_column, lane_count, lane_count // columns)
    if codec == GAPS:
        gaps = backends.decompress_numbers(stream, nonzero_count, "<u4")
        positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
        if nonzero_count and positions[-1] >= lane_count:
            raise StreamError(f"the mask marks lane {positions[-1]} of {lane_count}")
        return positions
    packed = np.frombuffer(backends.raw_bytes(codec == ZSTD, stream, -(-lane_count // 8)), np.uint8)
    check_padding(packed, lane_count)
    bits = np.unpackbits(packed, count=lane_count, bitorder="little")
    found = np.flatnonzero(bits.view(bool))
    if len(found) != nonzero_count:
        raise StreamError(f"the mask marks {len(found)} lanes where {nonzero_count} are declared")
    return found

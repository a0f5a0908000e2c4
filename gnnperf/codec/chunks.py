"""A chunk of lanes to streams and back (FORMAT.md, sections 4 and 5)."""

import zlib

import numpy as np

from gnnperf.codec.dtypes import Lane
from gnnperf.codec.effort import Effort
from gnnperf.codec.errors import ChecksumError, StreamError
from gnnperf.codec.header import DENSE, SPARSE, ZERO, Chunk
from gnnperf.codec.lanes import Lanes
from gnnperf.codec.lines import Head
from gnnperf.codec.masks import decode_mask, encode_mask
from gnnperf.codec.search import smallest_values
from gnnperf.codec.values import CLASSED, RAW, ROTATED, SHIFTED, Values, decode_values

Stream = tuple[int, bytes]

# Below this share of zeros a mask costs more than it saves in any trained weight.
SPARSE_SHARE = 1 / 64
NOISE_CODECS = (RAW, ROTATED, SHIFTED, CLASSED)
# So few lanes are stored both ways, and the smaller is kept.
SMALL_CHUNK_LANES = 1 << 15


def encode_chunk(
    lanes: Lanes,
    lane: Lane,
    bits: int,
    effort: Effort,
    *,
    first: int = 0,
    columns: int = 0,
    heads: list[Head] | None = None,
) -> tuple[Chunk, bytes]:
    """The smallest streams that are found for at most CHUNK_LANES lanes, given as their bits.

    `first` is the chunk's first lane in its group, `columns` the width of the matrix that the lanes
    are, 0 if they are none, `heads` the ways to part them into lines.
    """
    heads = heads or []
    marks = lanes != 0
    zero_count = len(lanes) - int(np.count_nonzero(marks))
    if zero_count == len(lanes):
        return Chunk(ZERO), b""
    everything = Values(lane, bits, len(lanes), first)
    # Zeros among floats are pruned weights, among integers they may be values like others.
    either = not lane.is_float or effort.is_thorough or len(lanes) <= SMALL_CHUNK_LANES
    mostly_dense = zero_count < SPARSE_SHARE * len(lanes)
    candidates = []
    if mostly_dense or either:
        dense = smallest_values(lanes, everything, heads, effort)
        candidates.append(_chunk(DENSE, len(lanes), (RAW, b""), dense))
    if zero_count and (either or not mostly_dense):
        positions = np.flatnonzero(marks)
        mask = encode_mask(marks, positions, effort, columns)
        kept = Values(lane, bits, len(lanes), first, positions)
        values = smallest_values(lanes[positions], kept, heads, effort)
        candidates.append(_chunk(SPARSE, len(positions), mask, values))
        # Where few numbers occur again and again, zero may well be one of them.
        if values[0] not in NOISE_CODECS and len(candidates) == 1:
            dense = smallest_values(lanes, everything, heads, effort)
            candidates.append(_chunk(DENSE, len(lanes), (RAW, b""), dense))
    return min(candidates, key=lambda candidate: len(candidate[1]))


def decode_chunk(
    chunk: Chunk, stream: bytes, lane: Lane, bits: int, out: Lanes, first: int = 0
) -> None:
    """Fill `out` with the lanes of a chunk; raises a CodecError if the stream lies."""
    if chunk.encoding == ZERO:
        out[:] = 0
        return
    found = zlib.crc32(stream)
    if found != chunk.crc32:
        raise ChecksumError(f"the checksum is {found:#010x}, not {chunk.crc32:#010x}")
    mask, blob = stream[: chunk.mask_bytes], stream[chunk.mask_bytes :]
    if chunk.encoding == DENSE:
        out[:] = decode_values(chunk.value_codec, blob, Values(lane, bits, len(out), first))
        return
    positions = decode_mask(chunk.mask_codec, mask, len(out), chunk.nonzero_count)
    kept = Values(lane, bits, len(out), first, positions)
    values = decode_values(chunk.value_codec, blob, kept)
    if not values.all():
        raise StreamError("a value that the mask marks is zero")
    out[:] = 0
    out[positions] = values


def _chunk(encoding: int, count: int, mask: Stream, values: Stream) -> tuple[Chunk, bytes]:
    stream = mask[1] + values[1]
    crc32 = zlib.crc32(stream)
    sizes = len(mask[1]), len(values[1])
    return Chunk(encoding, mask[0], values[0], count, *sizes, crc32), stream

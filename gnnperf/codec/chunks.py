"""A chunk of lanes to streams and back (FORMAT.md, sections 4 and 5)."""

import zlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec import backends
from gnnperf.codec.dtypes import Lane
from gnnperf.codec.errors import ChecksumError, StreamError, UnknownEncodingError
from gnnperf.codec.header import DENSE, SPARSE, ZERO, Chunk

Level = Literal["fast", "small"]
Lanes = NDArray[np.unsignedinteger]
Positions = NDArray[np.integer]
Stream = tuple[int, bytes]

RAW, ZSTD, PCO, ROTATED, PACKED = range(5)
GAPS, COLUMN_GAPS = 2, 3
VALUE_CODECS = ("raw", "zstd", "pco", "pco-rot", "packed")
MASK_CODECS = ("raw", "zstd", "gaps", "column gaps")
COLUMNS_BYTES = 4

PCO_LEVEL = {"fast": 8, "small": 12}
ZSTD_LEVEL = {"fast": 1, "small": 19}
# Below this share of zeros a mask costs more than it saves in any trained weight.
FAST_SPARSE_SHARE = 1 / 64


def encode_chunk(
    lanes: Lanes, lane: Lane, bits: int, level: Level, columns: int = 0
) -> tuple[Chunk, bytes]:
    """The smallest streams for at most CHUNK_LANES lanes, given as their bits.

    `small` tries every codec that fits, `fast` the ones that mostly win. `columns` is the width
    of the matrix that the lanes are, 0 if they are none.
    """
    positions = np.flatnonzero(lanes)
    if not len(positions):
        return Chunk(ZERO), b""
    zero_count = len(lanes) - len(positions)
    mostly_sparse = zero_count >= FAST_SPARSE_SHARE * len(lanes)
    thorough = level == "small" or bits > 0
    candidates = []
    if thorough or not mostly_sparse:
        dense = _smallest(_value_streams(lanes, lane, bits, level))
        candidates.append(_chunk(DENSE, len(lanes), (RAW, b""), dense))
    if zero_count and (thorough or mostly_sparse):
        mask = _smallest(_mask_streams(positions, len(lanes), level, columns))
        values = _smallest(_value_streams(lanes[positions], lane, bits, level))
        candidates.append(_chunk(SPARSE, len(positions), mask, values))
    return min(candidates, key=lambda candidate: len(candidate[1]))


def decode_chunk(chunk: Chunk, stream: bytes, lane: Lane, bits: int, out: Lanes) -> None:
    """Fill `out` with the lanes of a chunk; raises a CodecError if the stream lies."""
    if chunk.encoding == ZERO:
        out[:] = 0
        return
    found = zlib.crc32(stream)
    if found != chunk.crc32:
        raise ChecksumError(f"the checksum is {found:#010x}, not {chunk.crc32:#010x}")
    mask, values = stream[: chunk.mask_bytes], stream[chunk.mask_bytes :]
    if chunk.encoding == DENSE:
        out[:] = _decode_values(chunk.value_codec, values, len(out), lane, bits)
        return
    positions = _decode_mask(chunk.mask_codec, mask, len(out), chunk.nonzero_count)
    out[:] = 0
    out[positions] = _decode_values(chunk.value_codec, values, chunk.nonzero_count, lane, bits)


def _chunk(encoding: int, count: int, mask: Stream, values: Stream) -> tuple[Chunk, bytes]:
    stream = mask[1] + values[1]
    crc32 = zlib.crc32(stream)
    sizes = len(mask[1]), len(values[1])
    return Chunk(encoding, mask[0], values[0], count, *sizes, crc32), stream


def _smallest(streams: Iterable[Stream]) -> Stream:
    return min(streams, key=lambda stream: len(stream[1]))


def _value_streams(values: Lanes, lane: Lane, bits: int, level: Level) -> Iterable[Stream]:
    pco_level = PCO_LEVEL[level]
    raw = values.tobytes()
    yield RAW, raw
    if bits:
        yield PACKED, _pack(values, bits)
    if lane.is_float:
        yield ROTATED, backends.compress_numbers(_rotate(values, 1), pco_level, plain=True)
    if lane.number and (level == "small" or not lane.is_float):
        yield PCO, backends.compress_numbers(values.view(lane.number), pco_level)
    if level == "small":
        yield ZSTD, backends.compress_bytes(raw, ZSTD_LEVEL[level])


def _decode_values(codec: int, stream: bytes, count: int, lane: Lane, bits: int) -> Lanes:
    if codec == PACKED and bits:
        return _unpack(stream, count, bits, signed=lane.name == "i8")
    if codec == PCO and lane.number:
        return backends.decompress_numbers(stream, count, lane.number).view(lane.unsigned)
    if codec == ROTATED and lane.is_float:
        rotated = backends.decompress_numbers(stream, count, lane.unsigned)
        return _rotate(rotated, 8 * lane.width_bytes - 1)
    if codec not in (RAW, ZSTD):
        name = VALUE_CODECS[codec] if codec < len(VALUE_CODECS) else str(codec)
        raise UnknownEncodingError(f"value codec {name} does not exist for lane {lane.name}")
    raw = _raw(codec, stream, count * lane.width_bytes)
    return np.frombuffer(raw, lane.unsigned)


def _mask_streams(
    positions: Positions, lane_count: int, level: Level, columns: int
) -> Iterable[Stream]:
    mask = np.zeros(lane_count, bool)
    mask[positions] = True
    packed = np.packbits(mask, bitorder="little")
    yield RAW, packed.tobytes()
    yield ZSTD, backends.compress_bytes(packed.tobytes(), ZSTD_LEVEL[level])
    if level == "small":
        yield GAPS, _gaps(positions, level)
        if 1 < columns < lane_count and lane_count % columns == 0:
            transposed = _transposed(positions, lane_count, columns)
            head = columns.to_bytes(COLUMNS_BYTES, "little")
            yield COLUMN_GAPS, head + _gaps(transposed, level)


def _gaps(positions: Positions, level: Level) -> bytes:
    gaps = (np.diff(positions, prepend=-1) - 1).astype("<u4")
    return backends.compress_numbers(gaps, PCO_LEVEL[level], plain=True)


def _transposed(positions: Positions, lane_count: int, columns: int) -> Positions:
    """Where lanes of a matrix with so many columns stand when it is laid out by columns, sorted."""
    row, column = np.divmod(positions, columns)
    return np.sort(column * (lane_count // columns) + row)


def _decode_mask(codec: int, stream: bytes, lane_count: int, nonzero_count: int) -> Positions:
    if codec == COLUMN_GAPS:
        columns = int.from_bytes(stream[:COLUMNS_BYTES], "little")
        if not columns or lane_count % columns:
            raise StreamError(f"the mask's {columns} columns do not divide {lane_count} lanes")
        by_column = _decode_mask(GAPS, stream[COLUMNS_BYTES:], lane_count, nonzero_count)
        return _transposed(by_column, lane_count, lane_count // columns)
    if codec == GAPS:
        gaps = backends.decompress_numbers(stream, nonzero_count, "<u4")
        positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
        if nonzero_count and positions[-1] >= lane_count:
            raise StreamError(f"the mask marks lane {positions[-1]} of {lane_count}")
        return positions
    packed = np.frombuffer(_raw(codec, stream, -(-lane_count // 8)), np.uint8)
    bits = np.unpackbits(packed, count=lane_count, bitorder="little")
    found = np.flatnonzero(bits.view(bool))
    if len(found) != nonzero_count:
        raise StreamError(f"the mask marks {len(found)} lanes where {nonzero_count} are declared")
    return found


def _raw(codec: int, stream: bytes, raw_bytes: int) -> bytes:
    if codec == ZSTD:
        return backends.decompress_bytes(stream, raw_bytes)
    if len(stream) != raw_bytes:
        raise StreamError(
            f"the raw stream is {len(stream)} bytes long where {raw_bytes} are declared"
        )
    return stream


def _rotate(values: Lanes, left_bits: int) -> Lanes:
    width_bits = 8 * values.dtype.itemsize
    left = np.left_shift(values, values.dtype.type(left_bits))
    right = np.right_shift(values, values.dtype.type(width_bits - left_bits))
    rotated: Lanes = np.bitwise_or(left, right)
    return rotated


def _pack(codes: Lanes, bits: int) -> bytes:
    columns = np.unpackbits(codes.view(np.uint8)[:, None], axis=1, bitorder="little")[:, :bits]
    return np.packbits(columns.reshape(-1), bitorder="little").tobytes()


def _unpack(stream: bytes, count: int, bits: int, *, signed: bool) -> Lanes:
    raw = np.frombuffer(_raw(RAW, stream, -(-count * bits // 8)), np.uint8)
    columns = np.unpackbits(raw, count=count * bits, bitorder="little").reshape(count, bits)
    codes = np.packbits(columns, axis=1, bitorder="little").reshape(count)
    if signed:
        shift = np.int8(8 - bits)
        codes = ((codes.view(np.int8) << shift) >> shift).view(np.uint8)
    return codes

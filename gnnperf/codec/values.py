"""A chunk's values from a stream, one codec each (FORMAT.md, section 5)."""

from dataclasses import dataclass

import numpy as np

from gnnperf.codec import backends, lines
from gnnperf.codec.dtypes import U8, Lane
from gnnperf.codec.errors import StreamError, UnknownEncodingError
from gnnperf.codec.lanes import Lanes, Positions, join_planes, restore_bits, unpack, unrotate
from gnnperf.codec.wire import Reader, varint

RAW, ZSTD, PCO, ROTATED, PACKED, SHIFTED, PLANES, SCALED, CLASSED = range(9)
VALUE_CODECS = (
    "raw",
    "zstd",
    "pco",
    "pco-rot",
    "packed",
    "pco-shift",
    "planes",
    "scaled",
    "classes",
)
PLANE_CODECS = (RAW, ZSTD, PCO)
SCALED_LANES = ("f32", "f64")


@dataclass(frozen=True)
class Values:
    """What a reader knows of a chunk's values before it has them.

    `positions` are the places in the chunk of those that are stored, all `lanes` if it is None;
    `first` is the chunk's first lane in its group.
    """

    lane: Lane
    bits: int
    lanes: int
    first: int = 0
    positions: Positions | None = None

    @property
    def count(self) -> int:
        """How many are stored."""
        return self.lanes if self.positions is None else len(self.positions)


def decode_values(codec: int, stream: bytes, values: Values) -> Lanes:
    """The lanes of a stream; raises StreamError or UnknownEncodingError if it lies."""
    lane, count = values.lane, values.count
    if codec in (RAW, ZSTD) or (codec == PCO and lane.number):
        return _decode_plain(codec, stream, count, lane)
    if codec == PACKED and values.bits:
        return unpack(stream, count, values.bits, signed=lane.name == "i8")
    if codec == PLANES and lane.width_bytes > 1:
        return _decode_planes(stream, count, lane)
    if codec == SCALED and lane.name in SCALED_LANES:
        return _decode_scaled(stream, values)
    if codec == ROTATED and lane.is_float:
        return unrotate(backends.decompress_numbers(stream, count, lane.unsigned), 1)
    if codec == SHIFTED and lane.is_float:
        return _decode_shifted(stream, count, lane)
    if codec == CLASSED and lane.is_float:
        return _decode_classed(stream, values)
    name = VALUE_CODECS[codec] if codec < len(VALUE_CODECS) else str(codec)
    raise UnknownEncodingError(f"value codec {name} does not exist for lane {lane.name}")


def _decode_plain(codec: int, stream: bytes, count: int, lane: Lane) -> Lanes:
    if codec == PCO:
        unsigned: Lanes = backends.decompress_numbers(stream, count, lane.numpy).view(lane.unsigned)
        return unsigned
    raw = backends.raw_bytes(codec == ZSTD, stream, count * lane.width_bytes)
    return np.frombuffer(raw, lane.unsigned)


def _decode_shifted(stream: bytes, count: int, lane: Lane) -> Lanes:
    if not stream or not stream[0]:
        raise StreamError("the stream drops no bits")
    return restore_bits(backends.decompress_numbers(stream[1:], count, lane.unsigned), stream[0])


def encode_planes(pieces: list[tuple[int, bytes]]) -> bytes:
    """The stream of planes that are coded already: codec and bytes, most significant first."""
    head = b"".join(bytes([codec]) + varint(len(piece)) for codec, piece in pieces)
    return head + b"".join(piece for _, piece in pieces)


def _decode_planes(stream: bytes, count: int, lane: Lane) -> Lanes:
    reader = Reader(stream, place="stream")
    heads = [
        (reader.u8("a plane's codec"), reader.varint("a plane's bytes"))
        for _ in range(lane.width_bytes)
    ]
    rows = np.empty((lane.width_bytes, count), np.uint8)
    for row, (codec, size) in zip(rows, heads, strict=True):
        if codec not in PLANE_CODECS:
            raise UnknownEncodingError(f"plane codec {codec} is unknown")
        row[:] = _decode_plain(codec, reader.take(size, "a plane"), count, U8)
    reader.finish()
    joined = join_planes(rows, lane.unsigned)
    return unrotate(joined, 1) if lane.is_float else joined


def _decode_scaled(stream: bytes, values: Values) -> Lanes:
    lane, reader = values.lane, Reader(stream, place="stream")
    head = lines.Head.read(reader, values.lanes)
    codec, size = reader.u8("the codec of the scales"), reader.varint("the scales' bytes")
    blob = reader.take(size, "the scales")
    if codec == ROTATED:
        scales = unrotate(backends.decompress_numbers(blob, head.count, lane.unsigned), 1)
    elif codec == RAW:
        scales = _decode_plain(RAW, blob, head.count, lane)
    else:
        raise UnknownEncodingError(f"codec {codec} is none of scales")
    codes = backends.decompress_numbers(reader.rest(), values.count, "<u2")
    numbers = head.numbers(values.lanes, values.first, values.positions)
    return lines.unscale(codes, scales, numbers, lane)


def _decode_classed(stream: bytes, values: Values) -> Lanes:
    lane, reader = values.lane, Reader(stream, place="stream")
    head = lines.Head.read(reader, values.lanes)
    dropped_bits, class_count = reader.u8("the dropped bits"), reader.u8("the number of classes")
    if not 2 <= class_count <= lines.MAX_CLASSES:
        raise StreamError(f"{class_count} classes of lines, from 2 to {lines.MAX_CLASSES} may be")
    sizes = reader.varints("the bytes of a class", 1 + class_count)
    classes = backends.decompress_numbers(reader.take(sizes[0], "classes"), head.count, "<u1")
    numbers = head.numbers(values.lanes, values.first, values.positions)
    lines.check_classes(classes, numbers, class_count)
    class_of = classes[numbers]
    out = np.empty(values.count, lane.unsigned)
    for index, size in enumerate(sizes[1:]):
        members = np.flatnonzero(class_of == index)
        blob = reader.take(size, "a class")
        out[members] = backends.decompress_numbers(blob, len(members), lane.unsigned)
    reader.finish()
    return restore_bits(out, dropped_bits)

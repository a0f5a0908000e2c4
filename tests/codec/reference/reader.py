"""A second reader of the state file, from gnnperf/codec/FORMAT.md alone.

Plain Python and numpy with zstandard and pcodec; nothing of gnnperf and no torch. Every tensor is
given as its dtype's name, shape and bytes in row-major order.
"""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from pcodec import wrapped

CHUNK = 1 << 20
NAMES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    "float4_e2m1fn_x2",
    *(f"uint{bits}" for bits in range(1, 8)),
    *(f"int{bits}" for bits in range(1, 8)),
)
LANES = (
    *("u8", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"),
    *("f16", "bf16", "f32", "f64", "f16", "f32", "f64"),
)
WIDTHS = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "f16": 2, "bf16": 2, "u32": 4, "i32": 4, "f32": 4}


class RefusedError(Exception):
    """The file breaks a rule of the format."""


def need(rule: bool, what: str) -> None:
    """Refuse the file unless the rule holds."""
    if not rule:
        raise RefusedError(what)


def lane_of(dtype: int) -> str:
    """The lane type of a dtype's code."""
    return LANES[dtype] if dtype < len(LANES) else "u8"


def width_of(lane: str) -> int:
    """Bytes of a lane."""
    return WIDTHS.get(lane, 8)


def item_bytes(dtype: int) -> int:
    """Bytes of an element."""
    return width_of(lane_of(dtype)) * (2 if NAMES[dtype].startswith("complex") else 1)


@dataclass
class Cursor:
    """A place in some bytes."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        need(count <= len(self.data) - self.at, "the bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """The next LEB128 number."""
        number = 0
        for place in range(9):
            byte = self.u8()
            number |= (byte & 127) << 7 * place
            if byte < 128:
                need(byte > 0 or place == 0, "a varint is longer than needed")
                return number
        raise RefusedError("a varint is too long")

    def end(self) -> None:
        """Nothing may follow."""
        need(self.at == len(self.data), "bytes follow the last field")


def unzstd(blob: bytes, size: int) -> bytes:
    """One frame that states its content size."""
    try:
        need(zstandard.frame_content_size(blob) == size, "a frame states another size")
        decompressor = zstandard.ZstdDecompressor()
        return bytes(decompressor.decompress(blob, max_output_size=size, allow_extra_data=False))
    except zstandard.ZstdError as error:
        raise RefusedError(str(error)) from None


def unpco(blob: bytes, count: int, number: str) -> Any:
    """`count` numbers of pcodec's type u8 ... f64, as numpy numbers."""
    out = np.empty(count, f"<{number[0]}{int(number[1:]) // 8}")
    if not count:
        need(not blob, "a stream of no numbers")
        return out
    try:
        file, used = wrapped.FileDecompressor.new(blob)
        word = int.from_bytes(blob[used : used + 4], "little")
        need(word & 15 != 4 or word >> 4 & (1 << 25) - 1 <= count, "too long a list")
        chunk, more = file.chunk_decompressor(blob[used:], number)
        used += more
        progress, more = chunk.read_page_into(blob[used:], count, out)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise RefusedError(str(error)) from None
    need(progress.finished and progress.n_processed == count, "a stream of fewer numbers")
    need(used + more == len(blob), "bytes after a stream of numbers")
    return out


@dataclass
class Chunk:
    """What the header says of a chunk."""

    encoding: int
    mask_codec: int = 0
    value_codec: int = 0
    count: int = 0
    mask_bytes: int = 0
    value_bytes: int = 0
    crc: int = 0


@dataclass
class Place:
    """A chunk among its group's lanes."""

    lane: str
    bits: int
    lanes: int
    first: int
    at: Any


def read_mask(codec: int, blob: bytes, n: int, k: int) -> Any:
    """The lanes that are not zero, ascending."""
    if codec >= 2:
        columns = 1
        if codec == 3:
            columns, blob = int.from_bytes(blob[:4], "little"), blob[4:]
            need(columns > 0 and n % columns == 0, "columns do not divide the lanes")
        places = np.cumsum(unpco(blob, k, "u32").astype(np.int64) + 1) - 1
        need(k == 0 or places[-1] < n, "a mask reaches past the chunk")
        if codec == 3:
            rows = n // columns
            places = np.sort(places % rows * columns + places // rows)
        return places
    size = (n + 7) // 8
    if codec == 1:
        blob = unzstd(blob, size)
    need(len(blob) == size, "a mask of another length")
    bits = np.unpackbits(np.frombuffer(blob, np.uint8), bitorder="little")
    need(not bits[n:].any(), "padding in a mask")
    places = np.flatnonzero(bits[:n])
    need(len(places) == k, "a mask marks other lanes")
    return places


def unsigned(lane: str) -> str:
    """numpy's unsigned integer as wide as a lane."""
    return f"<u{width_of(lane)}"


def unrotate(numbers: Any) -> Any:
    """Rotated right by one bit."""
    one = numbers.dtype.type
    return numbers >> one(1) | numbers << one(8 * numbers.dtype.itemsize - 1)


def unshift(numbers: Any, d: int) -> Any:
    """Magnitude and sign from `(magnitude >> d) << 1 | sign`."""
    one, bits = numbers.dtype.type, 8 * numbers.dtype.itemsize
    need(d <= bits - 2, "more bits dropped than there are")
    need(d == 0 or not (numbers >> one(bits - d)).any(), "a number with too many bits")
    return numbers >> one(1) << one(d) | (numbers & one(1)) << one(bits - 1)


def read_lines(cursor: Cursor, place: Place) -> tuple[int, Any]:
    """How many lines, and the line of each stored lane."""
    r, m = cursor.varint(), cursor.varint()
    need(r >= 1 and 1 <= m <= place.lanes, "lines that cannot be")
    # Python's integers do not overflow; numpy's would for long lines.
    start = place.first % r
    if start + place.lanes <= r:
        return m, np.zeros(len(place.at), np.int64)
    return m, (place.at + start) // r % m


def read_values(codec: int, blob: bytes, place: Place) -> Any:
    """The stored lanes, as unsigned integers."""
    lane, n = place.lane, len(place.at)
    width = width_of(lane)
    is_float = lane in ("f16", "bf16", "f32", "f64")
    if codec <= 1:
        blob = unzstd(blob, n * width) if codec else blob
        need(len(blob) == n * width, "raw bytes of another length")
        return np.frombuffer(blob, unsigned(lane))
    if codec == 2:
        need(lane != "bf16", "pcodec has no bf16")
        return unpco(blob, n, lane).view(unsigned(lane))
    if codec == 4:
        need(place.bits > 0, "packed is for codes")
        return read_packed(blob, n, place.bits, lane == "i8")
    if codec == 6:
        need(width > 1, "planes of one byte")
        return read_planes(blob, n, lane, is_float)
    need(is_float, "a codec of floats")
    if codec == 3:
        return unrotate(unpco(blob, n, f"u{8 * width}"))
    if codec == 5:
        need(len(blob) > 0 and blob[0] >= 1, "no bits dropped")
        return unshift(unpco(blob[1:], n, f"u{8 * width}"), blob[0])
    if codec == 7:
        need(lane in ("f32", "f64"), "scaled is for f32 and f64")
        return read_scaled(Cursor(blob), place)
    return read_classes(Cursor(blob), place)


def read_packed(blob: bytes, n: int, bits: int, signed: bool) -> Any:
    """Codes of `bits` bits, end to end."""
    need(len(blob) == (n * bits + 7) // 8, "codes of another length")
    flat = np.unpackbits(np.frombuffer(blob, np.uint8), bitorder="little")
    need(not flat[n * bits :].any(), "padding after codes")
    weights = 1 << np.arange(bits)
    codes = (flat[: n * bits].reshape(n, bits) * weights).sum(axis=1)
    if signed:
        codes = np.where(codes >= 1 << bits - 1, codes - (1 << bits), codes)
    return (codes & 255).astype(np.uint8)


def read_planes(blob: bytes, n: int, lane: str, is_float: bool) -> Any:
    """Byte by byte, the most significant first."""
    cursor = Cursor(blob)
    heads = [(cursor.u8(), cursor.varint()) for _ in range(width_of(lane))]
    out = np.zeros(n, unsigned(lane))
    every = Place("u8", 0, n, 0, np.arange(n))
    for codec, size in heads:
        need(codec <= 2, "no codec of planes")
        plane = read_values(codec, cursor.take(size), every)
        out = out << out.dtype.type(8) | plane.astype(out.dtype)
    cursor.end()
    return unrotate(out) if is_float else out


def read_scaled(cursor: Cursor, place: Place) -> Any:
    """Magnitudes times the scale of their line."""
    m, line = read_lines(cursor, place)
    codec, size = cursor.u8(), cursor.varint()
    need(codec in (0, 3), "no codec of scales")
    every = Place(place.lane, 0, m, 0, np.arange(m))
    scales = read_values(codec, cursor.take(size), every)
    codes = unpco(cursor.data[cursor.at :], len(place.at), "u16")
    number = f"<f{width_of(place.lane)}"
    values, magnitudes = scales.view(number), codes >> 1
    used = np.isin(np.arange(m), line[magnitudes > 0])
    need(bool((np.isfinite(values[used]) & (values[used] > 0)).all()), "no scale")
    need(not scales[~used].any(), "a needless scale")
    with np.errstate(all="ignore"):
        products = (magnitudes.astype(number) * values[line]).view(scales.dtype)
    sign = (codes & 1).astype(scales.dtype)
    return products | sign << scales.dtype.type(8 * scales.dtype.itemsize - 1)


def read_classes(cursor: Cursor, place: Place) -> Any:
    """Numbers by the class of their line."""
    m, line = read_lines(cursor, place)
    d, classes = cursor.u8(), cursor.u8()
    need(2 <= classes <= 16, "a number of classes that cannot be")
    sizes = [cursor.varint() for _ in range(1 + classes)]
    class_of = unpco(cursor.take(sizes[0]), m, "u8")
    need(not (class_of >= classes).any(), "a class that is not")
    unseen = ~np.isin(np.arange(m), line)
    need(not class_of[unseen].any(), "a class of a line without values")
    out = np.zeros(len(place.at), unsigned(place.lane))
    for number, size in enumerate(sizes[1:]):
        mine = class_of[line] == number
        out[mine] = unpco(cursor.take(size), int(mine.sum()), f"u{8 * width_of(place.lane)}")
    cursor.end()
    return unshift(out, d)


def read_chunk(chunk: Chunk, blob: bytes, place: Place) -> Any:
    """All lanes of a chunk."""
    out = np.zeros(place.lanes, unsigned(place.lane))
    if chunk.encoding == 0:
        return out
    need(zlib.crc32(blob) == chunk.crc, "a chunk does not match its checksum")
    values = blob[chunk.mask_bytes :]
    if chunk.encoding == 1:
        return read_values(chunk.value_codec, values, place)
    mask = blob[: chunk.mask_bytes]
    place.at = read_mask(chunk.mask_codec, mask, place.lanes, chunk.count)
    stored = read_values(chunk.value_codec, values, place)
    need(bool(stored.all()), "a zero among sparse values")
    out[place.at] = stored
    return out


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of different keys."""
    found = dict(pairs)
    need(len(found) == len(pairs), "a key twice")
    return found


def read_metadata(text: bytes, version: int) -> dict[str, Any]:
    """The JSON object."""
    if not text:
        return {}
    try:
        found = json.loads(text.decode(), object_pairs_hook=no_duplicates)
        form = json.dumps(found, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"metadata: {error}") from None
    need(isinstance(found, dict), "metadata is no object")
    need(version == 1 or (form == text and bool(found)), "metadata in another form")
    return dict(found)

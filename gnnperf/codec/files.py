"""Model state files: written, read and listed (FORMAT.md, sections 1 and 7)."""

import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gnnperf.codec import backends
from gnnperf.codec.chunks import Lanes, decode_chunk, encode_chunk
from gnnperf.codec.chunks import Level as ChosenLevel
from gnnperf.codec.errors import (
    ChecksumError,
    CodecError,
    ExpansionError,
    LimitError,
    MagicError,
    TrailingDataError,
    TruncatedError,
    UnknownEncodingError,
    VersionError,
)
from gnnperf.codec.header import (
    CHUNK_LANES,
    MAX_HEADER_BYTES,
    Chunk,
    Header,
    Storage,
    group_members,
    pack,
    parse,
)
from gnnperf.codec.state import Collected, State, Value, collect, restore
from gnnperf.system.files import atomic_write

MAGIC = b"\x89GNZ"
VERSION = 1
PRELUDE_BYTES = 18
SMALL_BELOW_BYTES = 10_000_000
FREE_EXPANSION_BYTES = 256 << 20
EXPANSION_FACTOR = 1_000
# Storages of fewer lanes share a group: own statistics would cost more than they save.
OWN_GROUP_LANES = 1_024
HEADER_RAW, HEADER_ZSTD = range(2)

Level = Literal["auto", "fast", "small"]
StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Decoded:
    """What a file holds: tensors by name, in order, and the metadata."""

    state: State
    metadata: dict[str, Any]


def encode(
    state: Mapping[str, Value],
    *,
    metadata: Mapping[str, Any] | None = None,
    level: Level = "auto",
) -> bytes:
    """The file's bytes for a state of tensors of any dtype, shape and sharing.

    `level` is fast, small, or auto: small below 10 MB of tensors. Raises UnsupportedValueError,
    UnknownDtypeError, MetadataError or LimitError. The format is gnnperf/codec/FORMAT.md.
    """
    return b"".join(_encoded_parts(state, metadata, level))


def decode(blob: bytes, *, max_bytes: int | None = None) -> Decoded:
    """The state from a file's bytes, on the CPU, equal bit for bit; safe for hostile bytes.

    Tensors of more than `max_bytes` together are refused before any is allocated (by default
    256 MiB or 1000 times the file, whichever is more). Raises only subclasses of CodecError.
    """
    header, start = _read_header(blob, len(blob))
    _check_expansion(header, len(blob), max_bytes)
    contents = _decode_groups(header, memoryview(blob)[start:])
    return Decoded(restore(header.tensors, contents), header.metadata)


def save(
    state: Mapping[str, Value],
    path: StrPath,
    *,
    metadata: Mapping[str, Any] | None = None,
    level: Level = "auto",
) -> int:
    """Write a state file as `encode` would and return its size in bytes.

    A crash at any moment leaves the old file, or none: a temporary file in the same folder takes
    its place when it is whole and on disk. Raises as `encode` does, and FileError.
    """
    parts = _encoded_parts(state, metadata, level)
    atomic_write(Path(path), parts)
    return sum(map(len, parts))


def load(path: StrPath, *, max_bytes: int | None = None) -> Decoded:
    """Read a state file; raises as `decode` does, naming the file, and OSError."""
    with open(path, "rb") as file:
        blob = file.read()
    try:
        return decode(blob, max_bytes=max_bytes)
    except CodecError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


def read_header(path: StrPath) -> tuple[Header, int]:
    """The header of a file and the bytes it takes; the streams are not read. Raises as `load`."""
    with open(path, "rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        head = file.read(PRELUDE_BYTES)
        if len(head) == PRELUDE_BYTES:
            head += file.read(min(int.from_bytes(head[6:10], "little"), 2 * MAX_HEADER_BYTES))
    try:
        return _read_header(head, file_bytes)
    except CodecError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


def _encoded_parts(
    state: Mapping[str, Value], metadata: Mapping[str, Any] | None, level: Level
) -> list[bytes]:
    if level not in ("auto", "fast", "small"):
        raise CodecError(f"level {level!r} is none of auto, fast and small")
    collected = collect(state)
    chosen: ChosenLevel = "fast" if level == "fast" else "small"
    if level == "auto" and sum(map(torch.numel, collected.contents)) >= SMALL_BELOW_BYTES:
        chosen = "fast"
    storages = _grouped(collected)
    groups, streams = [], []
    columns = {t.storage: t.shape[-1] for t in collected.tensors if len(t.shape) > 1}
    for members in group_members(storages):
        alone = len(members) == 1 and storages[members[0]].lane_count <= CHUNK_LANES
        width = columns.get(members[0], 0) if alone else 0
        coded = list(_encode_group(members, storages, collected.contents, chosen, width))
        groups.append(tuple(chunk for chunk, _ in coded))
        streams += [stream for _, stream in coded]
    header = Header(dict(metadata or {}), tuple(collected.tensors), tuple(storages), tuple(groups))
    return [*_packed_header(header), *streams]


def _packed_header(header: Header) -> list[bytes]:
    raw = pack(header)
    if len(raw) > MAX_HEADER_BYTES:
        raise LimitError(f"the header is {len(raw)} bytes long, at most {MAX_HEADER_BYTES} fit")
    stored, codec = backends.compress_bytes(raw, 19), HEADER_ZSTD
    if len(stored) >= len(raw):
        stored, codec = raw, HEADER_RAW
    sizes = len(stored).to_bytes(4, "little") + len(raw).to_bytes(4, "little")
    start = MAGIC + bytes([VERSION, codec]) + sizes
    return [start, zlib.crc32(start + stored).to_bytes(4, "little"), stored]


def _grouped(collected: Collected) -> list[Storage]:
    """The storages with their groups: the large alone, the small by kind."""
    numbers: dict[object, int] = {}
    storages = []
    for index, storage in enumerate(collected.storages):
        empty = not collected.contents[index].numpy().any()
        kind = (storage.lane, storage.bits, empty)
        large = storage.lane_count >= OWN_GROUP_LANES and not empty
        group = numbers.setdefault(index if large else kind, len(numbers))
        storages.append(replace(storage, group=group))
    return storages


def _encode_group(
    members: list[int],
    storages: list[Storage],
    contents: list[Tensor],
    level: ChosenLevel,
    columns: int,
) -> Iterator[tuple[Chunk, bytes]]:
    first = storages[members[0]]
    pieces = [contents[index].numpy().view(first.lane.unsigned) for index in members]
    lanes = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    for start in range(0, len(lanes), CHUNK_LANES):
        chunk = lanes[start : start + CHUNK_LANES]
        yield encode_chunk(chunk, first.lane, first.bits, level, columns)


def _read_header(head: bytes, file_bytes: int) -> tuple[Header, int]:
    if head[:4] != MAGIC[: len(head)] or not head:
        raise MagicError(f"the file begins with {head[:4].hex()!r}; it is no model state file")
    if len(head) < PRELUDE_BYTES:
        raise TruncatedError(f"the file is {file_bytes} bytes long, shorter than any state file")
    version, codec = head[4], head[5]
    if version != VERSION:
        raise VersionError(
            f"format version {version}; this gnnperf reads version {VERSION}, use a newer one"
        )
    stored_bytes = int.from_bytes(head[6:10], "little")
    raw_bytes = int.from_bytes(head[10:14], "little")
    if raw_bytes > MAX_HEADER_BYTES:
        raise LimitError(f"a header of {raw_bytes} bytes, at most {MAX_HEADER_BYTES} are allowed")
    start = PRELUDE_BYTES + stored_bytes
    if start > file_bytes:
        raise TruncatedError(f"the header ends at byte {start}, the file at byte {file_bytes}")
    stored = head[PRELUDE_BYTES:start]
    if zlib.crc32(head[:14] + stored) != int.from_bytes(head[14:18], "little"):
        raise ChecksumError("the header does not match its checksum; the file is damaged")
    if codec not in (HEADER_RAW, HEADER_ZSTD):
        raise UnknownEncodingError(f"byte 5: header codec {codec} is unknown")
    if codec == HEADER_RAW and stored_bytes != raw_bytes:
        raise TruncatedError(f"a raw header of {stored_bytes} bytes that declares {raw_bytes}")
    raw = backends.decompress_bytes(stored, raw_bytes) if codec == HEADER_ZSTD else stored
    header = parse(raw)
    end = start + header.stored_bytes
    if end > file_bytes:
        raise TruncatedError(f"the streams end at byte {end}, the file at byte {file_bytes}")
    if end < file_bytes:
        raise TrailingDataError(f"{file_bytes - end} bytes follow the last stream, at byte {end}")
    return header, start


def _check_expansion(header: Header, file_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is None:
        max_bytes = max(FREE_EXPANSION_BYTES, EXPANSION_FACTOR * file_bytes)
    if header.expanded_bytes > max_bytes:
        raise ExpansionError(
            f"the tensors would take {header.expanded_bytes} bytes, {max_bytes} are allowed; "
            "pass a larger max_bytes if you trust the file"
        )


def _decode_groups(header: Header, streams: memoryview) -> list[Tensor]:
    contents = [torch.empty(storage.size_bytes, dtype=torch.uint8) for storage in header.storages]
    start = 0
    for number, (chunks, members) in enumerate(
        zip(header.groups, group_members(header.storages), strict=True)
    ):
        first = header.storages[members[0]]
        buffers = [contents[index].numpy().view(first.lane.unsigned) for index in members]
        alone = len(buffers) == 1
        size = sum(map(len, buffers))
        lanes: Lanes = buffers[0] if alone else np.empty(size, first.lane.unsigned)
        for index, chunk in enumerate(chunks):
            stream = bytes(streams[start : start + chunk.stored_bytes])
            out = lanes[index * CHUNK_LANES : (index + 1) * CHUNK_LANES]
            try:
                decode_chunk(chunk, stream, first.lane, first.bits, out)
            except CodecError as error:
                raise type(error)(f"chunk {index} of group {number}: {error}") from None
            start += chunk.stored_bytes
        if not alone:
            _scatter(lanes, buffers)
    return contents


def _scatter(lanes: Lanes, buffers: list[Lanes]) -> None:
    start = 0
    for buffer in buffers:
        buffer[:] = lanes[start : start + len(buffer)]
        start += len(buffer)

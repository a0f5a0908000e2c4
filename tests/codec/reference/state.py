"""The second reader's header, and the tensors put together (FORMAT.md, sections 1 to 4)."""

import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .reader import (
    CHUNK,
    NAMES,
    Chunk,
    Cursor,
    Place,
    item_bytes,
    lane_of,
    need,
    read_chunk,
    read_metadata,
    unzstd,
    width_of,
)


@dataclass
class Tensor:
    """A tensor of the file: its elements' bytes in row-major order, or codes and their parts."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes
    bits: int = 0
    parts: list["Tensor"] = field(default_factory=list)
    storage: int = -1


@dataclass
class Storage:
    """Lanes in a group, or those of another storage."""

    lane: str
    bits: int
    lanes: int
    group: int = -1
    copy: int = -1
    content: bytes = b""


@dataclass
class Record:
    """A tensor record."""

    kind: int
    name: str
    dtype: int
    shape: list[int]
    storage: int
    offset: int = 0
    strides: list[int] | None = None
    bits: int = 0


def read(blob: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state and the metadata; raises RefusedError."""
    cursor = Cursor(blob)
    need(cursor.take(4) == b"\x89GNZ", "no state file")
    version, codec = cursor.u8(), cursor.u8()
    need(version in (1, 2) and codec in (0, 1), "another version or codec")
    stored, raw, crc = (int.from_bytes(cursor.take(4), "little") for _ in range(3))
    need(max(stored, raw) <= 64 << 20, "too long a header")
    text = cursor.take(stored)
    need(zlib.crc32(blob[:14] + text) == crc, "the header does not match its checksum")
    need(codec == 1 or stored == raw, "a raw header of another length")
    header = Cursor(unzstd(text, raw) if codec else text)
    metadata = read_metadata(header.take(header.varint()), version)
    tensors, groups = header.varint(), header.varint()
    need(groups <= tensors <= 1 << 17, "too many tensors or groups")
    records, storages = read_records(header, version, tensors, groups)
    members = [[s for s in storages if s.group == group] for group in range(groups)]
    chunks = [read_group(header, version, mine) for mine in members]
    header.end()
    for mine, parts in zip(members, chunks, strict=True):
        fill(cursor, mine, parts)
    cursor.end()
    for storage in storages:
        if storage.group < 0:
            storage.content = storages[storage.copy].content
    return assemble(records, storages, version), metadata


def read_records(
    header: Cursor, version: int, count: int, groups: int
) -> tuple[list[Record], list[Storage]]:
    """All tensor records, and the storages that they define."""
    records: list[Record] = []
    storages: list[Storage] = []
    shared: list[int] = []
    seen, due, names = 0, 0, set()
    for _ in range(count):
        byte = header.u8()
        kind, copies = byte & 3, byte >> 2
        need(copies == 0 or (copies == 1 and version == 2 and kind != 2), "no kind of tensor")
        text = header.take(header.varint())
        need(len(text) <= 4096 and bool(text) == (due == 0), "a name that cannot be here")
        need(due == 0 or kind == 0, "no part of a quantized tensor")
        need(text not in names or not text, "a name twice")
        names.add(text)
        due = 2 if kind == 3 else max(0, due - 1)
        dtype = header.u8()
        need(dtype < len(NAMES), "no dtype")
        shape = [header.varint() for _ in range(header.varint())]
        record = Record(kind, text.decode(), dtype, shape, len(storages))
        size = math.prod(shape) * item_bytes(dtype)
        source = header.varint()
        if kind == 2:
            need(source < len(shared), "no shared storage")
            record.storage = shared[source]
        if kind == 1:
            size = header.varint()
            shared.append(len(storages))
        if kind in (1, 2):
            record.offset = header.varint()
            record.strides = [header.varint() for _ in shape]
        if kind == 3:
            record.bits = header.u8()
            need(2 <= record.bits <= 8 and NAMES[dtype] in ("int8", "uint8"), "no codes")
        if kind != 2:
            lane = lane_of(dtype)
            if size % width_of(lane):
                lane = "u8"
            storage = Storage(lane, record.bits, size // width_of(lane))
            if copies:
                need(source < len(storages) and storages[source].group >= 0, "no original")
                other = storages[source]
                same = (other.lane, other.bits, other.lanes)
                need(same == (storage.lane, storage.bits, storage.lanes), "another original")
                storage.copy = source
            else:
                need(source < groups and (version == 1 or source <= seen), "no such group")
                seen += source == seen
                storage.group = source
            storages.append(storage)
        records.append(record)
    need(due == 0, "a quantized tensor lacks a part")
    check_views(records, storages, version)
    return records, storages


def check_views(records: list[Record], storages: list[Storage], version: int) -> None:
    """Views lie inside their storages, and see all of them."""
    spans: dict[int, tuple[int, int]] = {}
    for record in records:
        if record.strides is None:
            continue
        size = item_bytes(record.dtype)
        storage = storages[record.storage]
        whole = storage.lanes * width_of(storage.lane)
        end = record.offset
        if 0 not in record.shape:
            end += 1 + sum((n - 1) * s for n, s in zip(record.shape, record.strides, strict=True))
        need(end * size <= whole, "a view reaches outside")
        if version == 1:
            continue
        need(0 not in record.shape, "a view of nothing")
        steps = zip(record.shape, record.strides, strict=True)
        need(not any(n == 1 and s for n, s in steps), "a stride of nothing")
        first, last = spans.get(record.storage, (whole, 0))
        spans[record.storage] = min(first, record.offset * size), max(last, end * size)
    for number, (first, last) in spans.items():
        storage = storages[number]
        need(first < 16 and last == storage.lanes * width_of(storage.lane), "bytes nobody sees")


def read_group(header: Cursor, version: int, members: list[Storage]) -> list[Chunk]:
    """The chunk records of a group."""
    need(len(members) > 0, "a group of nothing")
    kinds = {(storage.lane, storage.bits) for storage in members}
    need(len(kinds) == 1, "a group of mixed lanes")
    total = sum(storage.lanes for storage in members)
    chunks = []
    for start in range(0, total, CHUNK):
        lanes = min(CHUNK, total - start)
        byte = header.u8()
        chunk = Chunk(byte & 3, byte >> 2 & 3, byte >> 4, lanes)
        need(chunk.encoding <= 2 and chunk.value_codec <= (4 if version == 1 else 8), "no codec")
        need(chunk.encoding == 2 or chunk.mask_codec == 0, "an idle mask codec")
        need(chunk.encoding != 0 or chunk.value_codec == 0, "an idle value codec")
        if chunk.encoding == 2:
            chunk.count, chunk.mask_bytes = header.varint(), header.varint()
            need(0 < chunk.count < lanes, "a sparse chunk that is none")
        if chunk.encoding:
            chunk.value_bytes = header.varint()
            chunk.crc = int.from_bytes(header.take(4), "little")
        chunks.append(chunk)
    return chunks


def fill(cursor: Cursor, members: list[Storage], chunks: list[Chunk]) -> None:
    """Read a group's streams into its storages."""
    lane, bits = members[0].lane, members[0].bits
    total = sum(storage.lanes for storage in members)
    pieces = []
    for number, chunk in enumerate(chunks):
        lanes = min(CHUNK, total - number * CHUNK)
        blob = cursor.take(chunk.mask_bytes + chunk.value_bytes)
        place = Place(lane, bits, lanes, number * CHUNK, np.arange(lanes))
        pieces.append(read_chunk(chunk, blob, place).tobytes())
    content, at = b"".join(pieces), 0
    for storage in members:
        size = storage.lanes * width_of(lane)
        storage.content = content[at : at + size]
        at += size


def assemble(records: list[Record], storages: list[Storage], version: int) -> dict[str, Tensor]:
    """The tensors by name."""
    state: dict[str, Tensor] = {}
    last: list[Tensor] = []
    for record in records:
        tensor = take(record, storages[record.storage], version)
        tensor.storage = record.storage
        if record.name:
            state[record.name] = tensor
            last = tensor.parts
        else:
            last.append(tensor)
    return state


def take(record: Record, storage: Storage, version: int) -> Tensor:
    """One tensor's elements in row-major order."""
    name, size = NAMES[record.dtype], item_bytes(record.dtype)
    content = storage.content
    if record.strides is not None:
        items = np.frombuffer(content[: len(content) // size * size], f"V{size}")
        index = np.array(record.offset)
        for n, stride in zip(record.shape, record.strides, strict=True):
            index = index[..., None] + np.arange(n) * stride
        content = items[index].tobytes() if 0 not in record.shape else b""
    if name == "bool" and version == 2:
        need(not content or max(content) <= 1, "a bool above 1")
    if record.bits:
        codes = np.frombuffer(content, "i1" if name == "int8" else "u1").astype(int)
        low = -(1 << record.bits - 1) if name == "int8" else 0
        fits = ((codes >= low) & (codes < low + (1 << record.bits))).all()
        need(bool(fits), "codes that do not fit their bits")
    return Tensor(name, tuple(record.shape), content, record.bits)

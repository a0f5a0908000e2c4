"""A state to the parts of a file (FORMAT.md, sections 1 to 4)."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnperf.codec import backends, metadata
from gnnperf.codec.chunks import encode_chunk
from gnnperf.codec.effort import LEVELS, Effort, Level, effort_for
from gnnperf.codec.errors import CodecError, LimitError
from gnnperf.codec.header import CHUNK_LANES, VERSION, Chunk, Header, Storage, group_members, pack
from gnnperf.codec.lanes import Lanes
from gnnperf.codec.lines import Head
from gnnperf.codec.pool import side_by_side
from gnnperf.codec.sources import HEADER_RAW, HEADER_ZSTD, MAGIC
from gnnperf.codec.state import Collected, Value, collect

# Storages of fewer lanes share a group: own statistics would cost more than they save.
OWN_GROUP_LANES = 1_024
# A copy costs a number in the header; less than so many bytes are coded again for as much.
LEAST_COPIED_BYTES = 64
# Weights are quantized in runs of so many along a row, if not by row, column or tensor.
RUNS = (128, 64, 32)
MAX_STORED_HEADER_BYTES = (1 << 32) - 1
# Strong zstd takes a second for every few megabytes of names.
STRONG_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class _Job:
    """A chunk to encode: lanes of the group from `first` on, and how they may be parted."""

    lanes: Lanes
    first: int
    storage: Storage
    columns: int
    shape: tuple[int, ...]


def encoded_parts(
    state: Mapping[str, Value], given: Mapping[str, Any] | None, level: Level, threads: int
) -> list[bytes]:
    """The file in pieces; raises as `gnnperf.codec.encode` does."""
    if level not in LEVELS:
        raise CodecError(f"level {level!r} is none of auto, fast and small")
    metadata.pack(given)
    collected = collect(state)
    effort = effort_for(level, sum(content.numel() for content in collected.contents))
    storages = _placed(collected)
    jobs = [_jobs(group, storages, collected) for group in group_members(storages)]
    coded = side_by_side(
        lambda job: _encode(job, effort), [job for group in jobs for job in group], threads
    )
    found = iter(coded)
    groups = tuple(tuple(next(found)[0] for _ in group) for group in jobs)
    header = Header(dict(given or {}), tuple(collected.tensors), tuple(storages), groups)
    return [*_packed_header(header), *(stream for _, stream in coded)]


def _encode(job: _Job, effort: Effort) -> tuple[Chunk, bytes]:
    return encode_chunk(
        job.lanes,
        job.storage.lane,
        job.storage.bits,
        effort,
        first=job.first,
        columns=job.columns,
        heads=_heads(job.shape, job.first, len(job.lanes)),
    )


def _jobs(group: list[int], storages: list[Storage], collected: Collected) -> list[_Job]:
    storage = storages[group[0]]
    pieces = [collected.contents[number].numpy().view(storage.lane.unsigned) for number in group]
    lanes = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    shape = collected.shapes.get(group[0], ()) if len(group) == 1 else ()
    # A kernel of one column would hide the rows before it.
    shape = tuple(size for size in shape if size > 1)
    columns = shape[-1] if len(shape) > 1 and len(lanes) <= CHUNK_LANES else 0
    return [
        _Job(lanes[start : start + CHUNK_LANES], start, storage, columns, shape)
        for start in range(0, len(lanes), CHUNK_LANES)
    ]


def _heads(shape: tuple[int, ...], first: int, lanes: int) -> list[Head]:
    """The ways to part a chunk of a tensor into lines: whole, by each dimension, by runs."""
    if not shape:
        return []
    columns, total = shape[-1], math.prod(shape)
    inner = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    pairs = [(total, 1), (inner[0], shape[0]), (columns, total // columns), (1, columns)]
    pairs += [(inner[axis], shape[axis]) for axis in range(1, len(shape) - 1)]
    pairs += [(run, total // run) for run in RUNS if run < columns and columns % run == 0]
    heads = []
    for run, count in pairs:
        touched = (first + lanes - 1) // run - first // run + 1
        if min(count, touched) <= lanes:
            heads.append(Head(run, min(count, touched)))
    return list(dict.fromkeys(heads))


def _placed(collected: Collected) -> list[Storage]:
    """The storages with their groups, the large alone, the small by kind; copies with none."""
    copies = _copies(collected)
    numbers: dict[object, int] = {}
    storages = []
    for index, storage in enumerate(collected.storages):
        if index in copies:
            storages.append(replace(storage, group=-1, copy_of=copies[index]))
            continue
        empty = _is_zero(collected.contents[index].numpy())
        kind = (storage.lane, storage.bits, empty)
        large = storage.lane_count >= OWN_GROUP_LANES and not empty
        group = numbers.setdefault(index if large else kind, len(numbers))
        storages.append(replace(storage, group=group))
    return storages


def _copies(collected: Collected) -> dict[int, int]:
    """The storages that hold what one before them holds, each with that one's number."""
    alike: dict[object, list[int]] = {}
    for number, storage in enumerate(collected.storages):
        content = collected.contents[number]
        if content.numel() >= LEAST_COPIED_BYTES:
            ends = content[:16].numpy().tobytes() + content[-16:].numpy().tobytes()
            key = (storage.lane, storage.bits, storage.lane_count, ends)
            alike.setdefault(key, []).append(number)
    copies: dict[int, int] = {}
    for numbers in alike.values():
        originals: dict[int, list[int]] = {}
        for number in numbers if len(numbers) > 1 else ():
            content = collected.contents[number]
            same = originals.setdefault(zlib.crc32(content.numpy().data), [])
            equal = [n for n in same if _equal(collected.contents[n], content)]
            if not equal:
                same.append(number)
            # Zeros cost nothing where they are.
            elif not _is_zero(content.numpy()):
                copies[number] = equal[0]
    return copies


def _is_zero(content: NDArray[np.uint8]) -> bool:
    # The first piece tells, nearly always; numpy would look at all of it.
    pieces = (content[at : at + CHUNK_LANES] for at in range(0, len(content), CHUNK_LANES))
    return not any(piece.any() for piece in pieces)


def _equal(a: Tensor, b: Tensor) -> bool:
    return bool(np.array_equal(a.numpy(), b.numpy()))


def _packed_header(header: Header) -> list[bytes]:
    raw = pack(header)
    if len(raw) > MAX_STORED_HEADER_BYTES:
        raise LimitError(f"the header is {len(raw)} bytes long; fewer or shorter names are needed")
    level = 19 if len(raw) < STRONG_HEADER_BYTES else 9
    stored, codec = backends.compress_bytes(raw, level), HEADER_ZSTD
    if len(stored) >= len(raw):
        stored, codec = raw, HEADER_RAW
    sizes = len(stored).to_bytes(4, "little") + len(raw).to_bytes(4, "little")
    start = MAGIC + bytes([VERSION, codec]) + sizes
    return [start, zlib.crc32(start + stored).to_bytes(4, "little"), stored]

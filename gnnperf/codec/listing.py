"""What is in a file, from its header alone."""

import os
from dataclasses import dataclass
from typing import Any

from gnnperf.codec.files import DEFAULT, header_of
from gnnperf.codec.header import (
    CODES,
    DENSE,
    FURTHER_VIEW,
    ZERO,
    Chunk,
    Header,
    Limits,
    TensorRecord,
    group_members,
)
from gnnperf.codec.masks import MASK_CODECS
from gnnperf.codec.sources import StrPath
from gnnperf.codec.values import VALUE_CODECS


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file.

    `stored_bytes` is exact for a tensor alone in its group; else `is_apportioned` and it is the
    group's size times the tensor's share of the group's elements. A further view or a copy costs 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    encoding: str
    dense_bytes: int
    stored_bytes: float
    is_apportioned: bool


@dataclass(frozen=True)
class Listing:
    """A file's size, the part of it that is header, its metadata and its tensors."""

    file_bytes: int
    header_bytes: int
    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]


def inspect(
    path: StrPath,
    *,
    max_tensors: int = DEFAULT.max_tensors,
    max_header_bytes: int = DEFAULT.max_header_bytes,
) -> Listing:
    """List a state file without reading its streams; raises as `load` does."""
    header, header_bytes = header_of(path, Limits(None, max_tensors, max_header_bytes))
    members = group_members(header.storages)
    lane_counts = [sum(header.storages[n].lane_count for n in group) for group in members]
    infos = []
    first_names: dict[int, str] = {}
    for record, name in zip(header.tensors, _names(header), strict=True):
        storage = header.storages[record.storage]
        held = storage if storage.group >= 0 else header.storages[storage.copy_of]
        chunks, siblings = header.groups[held.group], members[held.group]
        group_lanes = lane_counts[held.group]
        share = storage.lane_count / group_lanes if group_lanes else 0.0
        encoding = "/".join(dict.fromkeys(map(_describe, chunks))) or "empty"
        if record.kind == FURTHER_VIEW:
            encoding, share = f"view of {first_names[record.storage]}", 0.0
        elif storage.group < 0:
            encoding, share = f"copy of {first_names[storage.copy_of]}", 0.0
        first_names.setdefault(record.storage, name)
        stored_bytes = sum(chunk.stored_bytes for chunk in chunks) * share
        apportioned = len(siblings) > 1 and stored_bytes > 0
        infos.append(
            TensorInfo(
                name,
                _dtype(record),
                record.shape,
                encoding,
                record.size_bytes,
                stored_bytes,
                apportioned,
            )
        )
    return Listing(os.path.getsize(path), header_bytes, header.metadata, tuple(infos))


def _names(header: Header) -> list[str]:
    """The records' names; those of a quantized tensor's parts after its own."""
    names: list[str] = []
    for index, record in enumerate(header.tensors):
        if record.name:
            names.append(record.name)
        elif header.tensors[index - 1].name:
            names.append(f"{names[-1]} (scale)")
        else:
            names.append(f"{names[-2]} (zero point)")
    return names


def _dtype(record: TensorRecord) -> str:
    bits = f" ({record.bits} bits)" if record.kind == CODES else ""
    return record.dtype.name + bits


def _describe(chunk: Chunk) -> str:
    if chunk.encoding == ZERO:
        return "zero"
    values = VALUE_CODECS[chunk.value_codec]
    if chunk.encoding == DENSE:
        return f"dense {values}"
    masks = MASK_CODECS[chunk.mask_codec]
    return f"sparse {masks} + {values}"

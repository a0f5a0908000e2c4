"""Model state files: written and read whole (FORMAT.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnnperf.codec.effort import Level
from gnnperf.codec.header import Header, Limits
from gnnperf.codec.reader import Body
from gnnperf.codec.restore import restore
from gnnperf.codec.sources import (
    Buffer,
    BufferSource,
    Source,
    StrPath,
    check_expansion,
    checked_path,
    naming,
    open_file,
    read_header,
)
from gnnperf.codec.state import State, Value
from gnnperf.codec.writer import encoded_parts
from gnnperf.system.files import atomic_write

DEFAULT = Limits()


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
    threads: int = 1,
) -> bytes:
    """The file's bytes for a state of tensors of any dtype, shape and sharing.

    `level` is fast, small (everything is tried), or auto: near small below 10 MB of tensors, near
    fast above. The bytes are the same for any number of `threads`. Raises UnsupportedValueError,
    UnknownDtypeError, MetadataError or LimitError, and TypeError. The format is
    gnnperf/codec/FORMAT.md.
    """
    return b"".join(encoded_parts(state, metadata, level, threads))


def decode(
    blob: Buffer,
    *,
    max_bytes: int | None = DEFAULT.max_bytes,
    max_tensors: int = DEFAULT.max_tensors,
    max_header_bytes: int = DEFAULT.max_header_bytes,
    threads: int = 1,
) -> Decoded:
    """The state from a file's bytes, on the CPU, equal bit for bit; safe for hostile bytes.

    Tensors of more than `max_bytes` together are refused before any is allocated (by default
    256 MiB or 1000 times the file, whichever is more), more than `max_tensors` of them and headers
    above `max_header_bytes` before they are parsed. Raises only subclasses of CodecError, and
    TypeError for what is no bytes-like object.
    """
    return _decoded(BufferSource(blob), Limits(max_bytes, max_tensors, max_header_bytes), threads)


def save(
    state: Mapping[str, Value],
    path: StrPath,
    *,
    metadata: Mapping[str, Any] | None = None,
    level: Level = "auto",
    threads: int = 1,
) -> int:
    """Write a state file as `encode` would and return its size in bytes.

    A crash at any moment leaves the old file, or none: a temporary file in the same folder takes
    its place when it is whole and on disk. Raises as `encode` does, and FileError.
    """
    target = Path(checked_path(path))
    parts = encoded_parts(state, metadata, level, threads)
    atomic_write(target, parts)
    return sum(map(len, parts))


def load(
    path: StrPath,
    *,
    max_bytes: int | None = DEFAULT.max_bytes,
    max_tensors: int = DEFAULT.max_tensors,
    max_header_bytes: int = DEFAULT.max_header_bytes,
    threads: int = 1,
) -> Decoded:
    """Read a state file; raises as `decode` does, naming the file, and OSError."""
    limits = Limits(max_bytes, max_tensors, max_header_bytes)
    source = open_file(path)
    try:
        with naming(path):
            return _decoded(source, limits, threads)
    finally:
        source.close()


def _decoded(source: Source, limits: Limits, threads: int) -> Decoded:
    header, start = read_header(source, limits)
    check_expansion(header.expanded_bytes, source.size_bytes, limits)
    contents = Body(header, start, source).contents(threads)
    state = restore(header.tensors, contents, bools_are_bits=header.version > 1)
    return Decoded(state, header.metadata)


def header_of(path: StrPath, limits: Limits = DEFAULT) -> tuple[Header, int]:
    """The header of a file and the bytes it takes; the streams are not read. Raises as `load`."""
    source = open_file(path)
    try:
        with naming(path):
            return read_header(source, limits)
    finally:
        source.close()

"""Where a state file's bytes come from, and its header (FORMAT.md, sections 1 and 8)."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gnnperf.codec import backends
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
from gnnperf.codec.header import VERSION, Header, Limits
from gnnperf.codec.parse import parse

MAGIC = b"\x89GNZ"
PRELUDE_BYTES = 18
FREE_EXPANSION_BYTES = 256 << 20
EXPANSION_FACTOR = 1_000
HEADER_RAW, HEADER_ZSTD = range(2)

StrPath = str | os.PathLike[str]
Buffer = bytes | bytearray | memoryview


class Source(Protocol):
    """Bytes that can be asked for in pieces."""

    size_bytes: int

    def read(self, start: int, count: int) -> bytes:
        """At most `count` bytes from `start` on."""


class BufferSource:
    """Bytes in memory; raises TypeError if they are none."""

    def __init__(self, blob: Buffer):
        try:
            view = memoryview(blob)
        except TypeError:
            raise TypeError(
                f"a state file's bytes are a bytes-like object, not a {type(blob).__name__}"
            ) from None
        self._view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self.size_bytes = len(self._view)

    def read(self, start: int, count: int) -> bytes:
        """At most `count` bytes from `start` on."""
        return bytes(self._view[start : start + count])


class FileSource:
    """An open file; `read_bytes` counts what was read of it."""

    def __init__(self, file: io.FileIO, size_bytes: int):
        self._file, self.size_bytes, self.read_bytes = file, size_bytes, 0
        self._lock = threading.Lock()

    def read(self, start: int, count: int) -> bytes:
        """At most `count` bytes from `start` on."""
        pieces = []
        with self._lock:
            self._file.seek(start)
            while count > 0 and (piece := self._file.read(count)):
                pieces.append(piece)
                count -= len(piece)
                self.read_bytes += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def checked_path(path: StrPath) -> str:
    """The path as text; raises TypeError if it is none."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"a path is a str or os.PathLike of str, not a {type(path).__name__}")
    return os.fspath(path)


def open_file(path: StrPath) -> FileSource:
    """A regular file; raises OSError, TypeError, or CodecError for what is no regular file."""
    name = checked_path(path)
    # A FIFO without a writer would hold us here for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(name, flags)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if not stat.S_ISREG(found.st_mode):
            raise CodecError(f"{name}: is no regular file; copy what it gives into one first")
    except BaseException:
        os.close(descriptor)
        raise
    # Unbuffered, so that no more is read than is asked for.
    return FileSource(io.FileIO(descriptor, "rb"), found.st_size)


@contextmanager
def naming(path: StrPath) -> Iterator[None]:
    """Put the file's name before a CodecError's message."""
    try:
        yield
    except CodecError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


def read_header(source: Source, limits: Limits) -> tuple[Header, int]:
    """The header and where the streams begin; they are not read. Raises a CodecError."""
    head = source.read(0, PRELUDE_BYTES)
    stored_bytes, raw_bytes = _check_prelude(head, source.size_bytes, limits)
    stored = source.read(PRELUDE_BYTES, stored_bytes)
    if zlib.crc32(head[:14] + stored) != int.from_bytes(head[14:18], "little"):
        raise ChecksumError("the header does not match its checksum; the file is damaged")
    version, codec = head[4], head[5]
    if codec not in (HEADER_RAW, HEADER_ZSTD):
        raise UnknownEncodingError(f"byte 5: header codec {codec} is unknown")
    if codec == HEADER_RAW and stored_bytes != raw_bytes:
        raise TruncatedError(f"a raw header of {stored_bytes} bytes that declares {raw_bytes}")
    raw = backends.decompress_bytes(stored, raw_bytes) if codec == HEADER_ZSTD else stored
    header = parse(raw, version, limits)
    start, size = PRELUDE_BYTES + stored_bytes, source.size_bytes
    end = start + header.stored_bytes
    if end > size:
        raise TruncatedError(f"the streams end at byte {end}, the file at byte {size}")
    if end < size:
        raise TrailingDataError(f"{size - end} bytes follow the last stream, at byte {end}")
    return header, start


def _check_prelude(head: bytes, file_bytes: int, limits: Limits) -> tuple[int, int]:
    """The header's stored and raw bytes."""
    if head[:4] != MAGIC[: len(head)] or not head:
        raise MagicError(f"the file begins with {head[:4].hex()!r}; it is no model state file")
    if len(head) < PRELUDE_BYTES:
        raise TruncatedError(f"the file is {file_bytes} bytes long, shorter than any state file")
    version = head[4]
    if not version:
        raise VersionError("format version 0, which no gnnperf ever wrote; the file is damaged")
    if version > VERSION:
        raise VersionError(
            f"format version {version}; this gnnperf reads versions 1 to {VERSION}, use a newer one"
        )
    stored_bytes = int.from_bytes(head[6:10], "little")
    raw_bytes = int.from_bytes(head[10:14], "little")
    most = limits.max_header_bytes
    if max(raw_bytes, stored_bytes) > most:
        raise LimitError(
            f"a header of {max(raw_bytes, stored_bytes)} bytes, at most {most} are allowed; "
            "pass a larger max_header_bytes if you trust the file"
        )
    if PRELUDE_BYTES + stored_bytes > file_bytes:
        raise TruncatedError(
            f"the header ends at byte {PRELUDE_BYTES + stored_bytes}, the file at byte {file_bytes}"
        )
    return stored_bytes, raw_bytes


def check_expansion(needed_bytes: int, file_bytes: int, limits: Limits) -> None:
    """Raise ExpansionError if so many bytes of tensors are more than the caller takes."""
    most = limits.max_bytes
    if most is None:
        most = max(FREE_EXPANSION_BYTES, EXPANSION_FACTOR * file_bytes)
    if needed_bytes > most:
        raise ExpansionError(
            f"the tensors would take {needed_bytes} bytes, {most} are allowed; "
            "pass a larger max_bytes if you trust the file"
        )

"""Files behind a digest, named by what decides their content."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from gnnperf.errors import GnnperfError
from gnnperf.system.files import atomic_write

_DIGEST_BYTES = hashlib.sha256().digest_size


class DamagedFileError(GnnperfError):
    """A file that does not hold what was written."""


def key_of(settings: Mapping[str, Any]) -> str:
    """16 hex digits that stand for plain, JSON-serialisable settings."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_checked(path: Path, content: bytes | memoryview) -> None:
    """Write atomically, behind the SHA-256 of the content."""
    atomic_write(path, (hashlib.sha256(content).digest(), content))


def read_checked(path: Path) -> memoryview:
    """What `write_checked` wrote; raises DamagedFileError for anything else, FileNotFoundError."""
    try:
        blob = memoryview(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_checked(blob):
        raise _damaged(path)
    return blob[_DIGEST_BYTES:]


def is_checked(blob: bytes | memoryview) -> bool:
    """Whether bytes are those of a file that `write_checked` wrote."""
    view = memoryview(blob)
    return hashlib.sha256(view[_DIGEST_BYTES:]).digest() == view[:_DIGEST_BYTES]


@contextmanager
def open_checked(path: Path) -> Iterator[BinaryIO]:
    """A file to read what `write_checked` wrote, never in memory as a whole.

    Raises DamagedFileError for anything else, FileNotFoundError.
    """
    with ExitStack() as stack:
        try:
            # Unbuffered: whoever reads it does so in large pieces.
            file = stack.enter_context(path.open("rb", buffering=0))
            expected = file.read(_DIGEST_BYTES)
            whole = hashlib.file_digest(file, "sha256").digest() == expected
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error
        if not whole:
            raise _damaged(path)
        content = _After(file, _DIGEST_BYTES)
        content.seek(0)
        yield cast(BinaryIO, content)


class _After(io.RawIOBase):
    """A file as if it began so many bytes later."""

    def __init__(self, file: io.FileIO, begin: int) -> None:
        self._file, self._begin = file, begin

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        shift = self._begin if whence == io.SEEK_SET else 0
        return self._file.seek(offset + shift, whence) - self._begin

    def tell(self) -> int:
        return self._file.tell() - self._begin


def _unreadable(path: Path, error: OSError) -> DamagedFileError:
    return DamagedFileError(f"the file {path} cannot be read ({error.strerror})")


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(f"the file {path} is damaged; delete it, and it is made again")

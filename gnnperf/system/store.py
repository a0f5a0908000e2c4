"""Files behind a digest: what is read is what was written, or it is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gnnperf.errors import GnnperfError
from gnnperf.system.files import atomic_write

_DIGEST_BYTES = 32


class DamagedFileError(GnnperfError):
    """A file that does not hold what was written."""


def write_checked(path: Path, content: bytes) -> None:
    """Write atomically, behind a SHA-256 of the content."""
    atomic_write(path, (hashlib.sha256(content).digest(), content))


def read_checked(path: Path) -> bytes:
    """The content that `write_checked` wrote; raises DamagedFileError, or OSError."""
    blob = path.read_bytes()
    digest, content = blob[:_DIGEST_BYTES], blob[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise DamagedFileError(f"the file {path} is damaged; delete it to make it again")
    return content

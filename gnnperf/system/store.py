"""Files behind a digest, named by what decides their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        raise DamagedFileError(f"the file {path} cannot be read ({error.strerror})") from error
    if not is_checked(blob):
        raise DamagedFileError(f"the file {path} is damaged; delete it, and it is made again")
    return blob[_DIGEST_BYTES:]


def is_checked(blob: bytes | memoryview) -> bool:
    """Whether bytes are those of a file that `write_checked` wrote."""
    view = memoryview(blob)
    return hashlib.sha256(view[_DIGEST_BYTES:]).digest() == view[:_DIGEST_BYTES]

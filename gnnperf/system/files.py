"""Files that are whole or absent: atomic writes, locks, folders that can be written."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gnnperf.errors import GnnperfError


class FolderError(GnnperfError):
    """A folder that cannot be written."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes its place when the block ends well.

    `path` holds the old content or the new one, whole and on disk, whenever the power goes; after
    an error the temporary file is gone.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts one after the other, as `replacing` does."""
    with replacing(path) as temporary, open(temporary, "xb") as file:
        file.writelines(parts)


def writable_folder(path: Path, option: str) -> Path:
    """Make the folder and try a file in it; raises FolderError naming the option that chose it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise FolderError(
            f"{option} {path} cannot be written ({error.strerror}); "
            f"name a folder of yours with {option}"
        ) from error
    return path


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock that lies beside `path`, so that two processes do not make it at once.

    `waiting` is called when another holds it, before waiting for it.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

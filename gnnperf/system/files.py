"""Files that are whole or absent: atomic writes, locks, folders that can be written."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gnnperf.errors import GnnperfError
from gnnperf.system.text import printable

_STALE_SECONDS = 3600.0


class FolderError(GnnperfError):
    """A folder that cannot be written."""


class FileError(GnnperfError):
    """A file that cannot be written, or is none."""


@contextmanager
def naming(
    path: Path, doing: str = "written", remedy: str = "name another place, or mend this one"
) -> Iterator[None]:
    """Turn an OSError inside into FileError: the path, the reason, and the remedy."""
    try:
        yield
    # ValueError: a NUL in the name.
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FileError(f"{_short(path)} cannot be {doing} ({reason}); {remedy}") from error


def _short(path: Path | str) -> str:
    text = printable(path)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


_LONGEST_SHOWN = 200


def usable_path(text: str, option: str) -> Path:
    """The path that an option names; raises FolderError for what no file system takes."""
    longest = max((len(os.fsencode(part)) for part in Path(text).parts), default=0)
    if longest > 255 or len(os.fsencode(text)) > 4000 or "\0" in text:
        raise FolderError(
            f"{option} {_short(text)} is no path that a file system takes; name a shorter one"
        )
    return Path(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes its place when the block ends well.

    `path` holds the old content or the new one, whole and on disk, whenever the power goes; after
    an error the temporary file is gone. A file that was there keeps its mode, a new one is as open
    to the group as its folder. A link keeps pointing where it did, and what is no file is never
    replaced: a pipe or a terminal gets the content, all else is refused. Raises FileError.
    """
    with naming(path):
        target = Path(os.path.realpath(path))
        kind, mode = _kind_and_mode(target)
        if kind == "file":
            folder, name = target.parent, target.name[:200]
        elif kind == "stream":
            folder, name = Path(tempfile.gettempdir()), "stream"
        else:
            raise FileError(f"{path} is a {kind}, and would not be replaced; name a file")
    temporary = folder / f".{name}.{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
        with naming(path):
            if kind == "stream":
                with open(target, "wb") as stream:
                    stream.write(temporary.read_bytes())
            else:
                _take_place(temporary, target, mode)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _kind_and_mode(target: Path) -> tuple[str, int | None]:
    """What stands at a path: file (or nothing yet), stream, or what is neither; its mode bits."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return "file", None
    if stat.S_ISREG(mode):
        return "file", stat.S_IMODE(mode)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return "stream", None
    return ("folder" if stat.S_ISDIR(mode) else "device or socket"), None


def _take_place(temporary: Path, target: Path, mode: int | None) -> None:
    with open(temporary, "rb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        else:
            _share(temporary)
        os.fsync(file.fileno())
    os.replace(temporary, target)
    # So that the name is on disk too.
    with suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _share(path: Path) -> None:
    """Let the folder's group write what is new in a folder that it may write."""
    if path.parent.stat().st_mode & stat.S_IWGRP:
        bits = stat.S_IRGRP | stat.S_IWGRP | (stat.S_IXGRP if path.is_dir() else 0)
        with suppress(OSError):
            path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)


def atomic_write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts one after the other, as `replacing` does; raises FileError."""
    with replacing(path) as temporary, naming(path), open(temporary, "xb") as file:
        file.writelines(parts)


def make_folder(path: Path) -> None:
    """Make the folder and those above it, each as open to its group as the one it lies in.

    Raises FileError.
    """
    with naming(path):
        _make_folder(path)


def _make_folder(path: Path) -> None:
    for folder in (*reversed(path.parents), path):
        if folder.is_dir():
            continue
        if folder.exists():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        folder.mkdir(exist_ok=True)
        _share(folder)


def writable_folder(path: Path, option: str) -> Path:
    """Make the folder and try a file in it; raises FolderError naming the option that chose it."""
    try:
        with naming(path, remedy=f"name a folder of yours with {option}"):
            _make_folder(path)
            with tempfile.TemporaryFile(dir=path):
                pass
    except FileError as error:
        raise FolderError(f"{option} {error}") from error
    return path


def sweep(folder: Path) -> None:
    """Take away what killed writers left in a cache, and PyG beside it, once it is an hour old."""
    before = time.time() - _STALE_SECONDS
    with suppress(OSError):
        # PyG writes the code of its layers into the system's folder, and forgets it.
        pyg = Path(tempfile.gettempdir()).glob("torch_geometric.nn.*_propagate_*.py")
        for path in (*folder.rglob(".*.tmp"), *folder.glob("datasets/tmp*"), *pyg):
            with suppress(OSError):
                if path.lstat().st_mtime > before:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock that lies beside `path`, so that two processes do not make it at once.

    `waiting` is called when another holds it, before waiting for it. Where no lock can be made, as
    the folder can only be read, there is nothing to keep others from, and none is held.
    """
    file = path.with_name(f".{path.name[:200]}.lock")
    # Others of the group open the same file to write.
    shared = path.parent.is_dir() and path.parent.stat().st_mode & stat.S_IWGRP
    lock = FileLock(file, mode=0o664 if shared else 0o644)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    except OSError:
        yield
        return
    try:
        if shared:
            with suppress(OSError):
                _share(file)
        yield
    finally:
        lock.release()


@contextmanager
def host_lock(name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock of that name which all processes of this machine share, whoever runs them."""
    if not hasattr(os, "O_NOFOLLOW"):
        with locked(Path(tempfile.gettempdir()) / name, waiting):
            yield
        return
    import fcntl

    path = Path(tempfile.gettempdir()) / f"gnnperf-{name}.lock"
    with naming(path, "locked"):
        descriptor = _open_for_all(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_for_all(path: Path) -> int:
    """A descriptor of a file that anybody may lock; never through a link that somebody laid."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    # Another user's, in a sticky folder, may not even be opened with O_CREAT.
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(descriptor, 0o644)
    return descriptor

"""Files that are whole or absent: atomic writes, locks, folders that can be written."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from gnnperf.errors import GnnperfError
from gnnperf.system.text import printable


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
        old = _status(path)
        target = Path(os.path.realpath(path))
        if old is None or (stat.S_ISREG(old.st_mode) and _own_output(old) is None):
            temporary = _beside(target, f".{secrets.token_hex(8)}.tmp")
        elif _is_stream(old):
            temporary = Path(tempfile.gettempdir()) / f".stream.{secrets.token_hex(8)}.tmp"
        else:
            kind = "folder" if stat.S_ISDIR(old.st_mode) else "device or socket"
            raise FileError(f"{path} is a {kind}, and would not be replaced; name a file")
        # Before there is content: nobody may read more of it than of the old file.
        descriptor = os.open(
            temporary, os.O_CREAT | os.O_EXCL, 0o666 if old is None else old.st_mode & 0o600
        )
        os.close(descriptor)
    try:
        yield temporary
        with naming(path):
            if old is not None and _is_stream(old):
                _write_through(path, old, temporary)
            else:
                _take_place(temporary, target, old)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _status(path: Path) -> os.stat_result | None:
    """Of what a path leads to, None for nothing; links of /proc lead where no name does."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_stream(found: os.stat_result) -> bool:
    mode = found.st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or _own_output(found) is not None


def _own_output(found: os.stat_result) -> int | None:
    """The descriptor, where it is this process's stdout or stderr: /dev/stdout, /dev/fd/2."""
    for descriptor in (1, 2):
        with suppress(OSError):  # Closed.
            if os.path.samestat(found, os.fstat(descriptor)):
                return descriptor
    return None


def _write_through(path: Path, found: os.stat_result, temporary: Path) -> None:
    sys.stdout.flush()
    own = _own_output(found)
    # Opened again, /dev/stdout would begin at the start of the file that it was sent to.
    with open(path if own is None else os.dup(own), "wb") as stream:
        stream.write(temporary.read_bytes())


def _beside(path: Path, ending: str) -> Path:
    """The hidden name `.NAME` + ending in the same folder, of a length that file systems take."""
    name = os.fsencode(path.name)
    if len(name) + len(ending) + 1 <= _LONGEST_NAME:
        return path.with_name(f".{path.name}{ending}")
    return path.with_name(f".{sha256(name).hexdigest()}{ending}")


_LONGEST_NAME = 255


def _take_place(temporary: Path, target: Path, old: os.stat_result | None) -> None:
    with open(temporary, "rb") as file:
        if old is None:
            _share(temporary)
        else:
            for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
                with suppress(
                    OSError
                ):  # Of a group that one is not in; only root gives files away.
                    os.fchown(file.fileno(), owner, group)
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) & 0o777)
        os.fsync(file.fileno())
    os.replace(temporary, target)
    # So that the name is on disk too.
    with suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_shared(folder: Path) -> bool:
    """Whether a group may write there, and what is in it is not each one's own, as in /tmp."""
    mode = folder.stat().st_mode
    own = mode & stat.S_ISVTX and mode & stat.S_IWOTH
    return bool(mode & stat.S_IWGRP) and not own


def _share(path: Path) -> None:
    """Let the folder's group write what is new in a folder that it may write."""
    if _is_shared(path.parent):
        bits = stat.S_IRGRP | stat.S_IWGRP | (stat.S_IXGRP if path.is_dir() else 0)
        with suppress(OSError):  # Of a group that one is not in.
            os.chown(path, -1, path.parent.stat().st_gid)
        with suppress(OSError):
            path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)


def atomic_write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts one after the other, as `replacing` does; raises FileError."""
    with replacing(path) as temporary, naming(path), open(temporary, "wb") as file:
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


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock that lies beside `path`, so that two processes do not make it at once.

    `waiting` is called when another holds it, before waiting for it. Where no lock can be made, as
    the folder can only be read, there is nothing to keep others from, and none is held.
    """
    file = _beside(path, ".lock")
    # Others of the group open the same file to write.
    shared = path.parent.is_dir() and _is_shared(path.parent)
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
    """Hold a lock of that name which all processes of this machine share, whoever runs them.

    Where it cannot be had, as something else lies in its place, the block runs without, with a
    warning.
    """
    if not hasattr(os, "O_NOFOLLOW"):
        with locked(HOST_FOLDER / name, waiting):
            yield
        return
    import fcntl

    path = HOST_FOLDER / f"gnnperf-{name}.lock"
    try:
        descriptor = _open_for_all(path)
    except OSError as error:
        warnings.warn(
            f"{path} cannot be locked ({error.strerror}), so another run on this machine may "
            "disturb this one; remove it",
            stacklevel=3,
        )
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# Not TMPDIR: a user's own would keep nobody else out.
HOST_FOLDER = Path("/tmp" if os.name == "posix" else tempfile.gettempdir())


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

"""What killed processes left behind."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_STALE_SECONDS = 3600.0


def sweep(folder: Path) -> None:
    """Take away what killed writers left in a cache once it is an hour old, and PyG's after a day.

    Only what bears the name of such a leftover, where one is written: the folder may hold more.
    PyG writes the code of its layers into the system's folder, and forgets it; others of this
    user's programs may still read theirs.
    """
    rooms = [folder / name for name in _ROOMS]
    inner = [path for room in rooms for path in _children(room) if path.is_dir()]
    for place in (folder, *rooms, *inner):
        _sweep(place, _TEMPORARY_FILE, _STALE_SECONDS)
    for place in rooms:
        _sweep(place, _TEMPORARY_FOLDER, _STALE_SECONDS)
    _sweep(Path(tempfile.gettempdir()), _PYGS_SOURCE, _PYG_SECONDS)


_ROOMS = ("checkpoints", "results", "datasets", "downloads", "calibrations")
_PYG_SECONDS = 24 * _STALE_SECONDS
# As `replacing`, tempfile and PyG call theirs.
_TEMPORARY_FILE = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
_TEMPORARY_FOLDER = re.compile(r"tmp[a-z0-9_]{8}")
_PYGS_SOURCE = re.compile(r"torch_geometric\.nn\..+_propagate_[a-z0-9_]{8}\.py")


def _children(folder: Path) -> list[Path]:
    # A link might lead anywhere.
    with suppress(OSError):
        return [] if folder.is_symlink() else list(folder.iterdir())
    return []


def _sweep(folder: Path, names: re.Pattern[str], age_seconds: float) -> None:
    for path in _children(folder):
        with suppress(OSError):
            found = path.lstat()
            mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
            old = found.st_mtime < time.time() - age_seconds
            if not (mine and old and names.fullmatch(path.name)):
                continue
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()

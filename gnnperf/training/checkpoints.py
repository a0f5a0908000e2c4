"""A content-addressed store of trained states: the key is all that decides the result."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from gnnperf.errors import GnnperfError
from gnnperf.system.files import locked, make_folder
from gnnperf.system.store import DamagedFileError, open_checked, write_checked

Checkpoint = dict[str, Any]
"""Tensors and plain values, nested in dicts and lists."""

_MAY_TRAIN = ContextVar("may_train", default=True)


class NotCachedError(Exception):
    """A training is needed inside `only_cached`."""


@contextmanager
def only_cached() -> Iterator[None]:
    """Inside, what would have to be trained raises NotCachedError instead, at once."""
    token = _MAY_TRAIN.set(False)
    try:
        yield
    finally:
        _MAY_TRAIN.reset(token)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically, behind a digest: torch's own reader checks none."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_checked(path, buffer.getbuffer())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read without executing pickles; raises DamagedFileError, or FileNotFoundError."""
    with open_checked(path) as content:
        try:
            checkpoint = torch.load(content, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever its reader stumbled over.
            raise DamagedFileError(f"the checkpoint {path} is none ({error}); delete it") from error
    if not isinstance(checkpoint, dict):
        raise DamagedFileError(f"the checkpoint {path} holds no dictionary; delete it")
    return checkpoint


def cached(path: Path, make: Callable[[], Checkpoint]) -> Checkpoint:
    """The checkpoint at `path`, made and saved when it is absent or damaged (with a warning).

    A lock beside the file keeps two processes from making it at once; what cannot be saved is
    used all the same, with a warning. Raises NotCachedError inside `only_cached`, instead of making
    it or waiting for another process that does.
    """
    try:
        return load_checkpoint(path)
    except (FileNotFoundError, DamagedFileError) as error:
        if not _MAY_TRAIN.get():
            raise NotCachedError(str(path)) from error
    try:
        make_folder(path.parent)
    except GnnperfError as error:
        return _unkept(path, make(), error)
    with locked(path):
        try:
            return load_checkpoint(path)
        except FileNotFoundError:
            pass
        except DamagedFileError:
            warnings.warn(f"the checkpoint {path} is damaged and is trained again", stacklevel=2)
        checkpoint = make()
        try:
            save_checkpoint(path, checkpoint)
        except GnnperfError as error:
            return _unkept(path, checkpoint, error)
        return checkpoint


def _unkept(path: Path, checkpoint: Checkpoint, error: Exception) -> Checkpoint:
    """The checkpoint that could not be saved, with a warning."""
    warnings.warn(
        f"a training cannot be kept: {error}; make room in {path.parent} or name another cache, "
        "else it is done again",
        stacklevel=3,
    )
    return checkpoint

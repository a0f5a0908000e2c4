"""A content-addressed store of trained states: the key is all that decides the result."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from gnnperf.errors import GnnperfError
from gnnperf.system.files import atomic_write, locked

Checkpoint = dict[str, Any]
"""Tensors and plain values, nested in dicts and lists."""

_DIGEST_BYTES = 32


_MAY_TRAIN = ContextVar("may_train", default=True)


class DamagedCheckpointError(GnnperfError):
    """A checkpoint file that does not hold what was written."""


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


def key_of(settings: Mapping[str, Any]) -> str:
    """16 hex digits that stand for plain, JSON-serialisable settings."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically, behind a SHA-256 of the content: torch's own reader checks no checksum."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    content = buffer.getvalue()
    atomic_write(path, (hashlib.sha256(content).digest(), content))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read without executing pickles; raises DamagedCheckpointError, or FileNotFoundError."""
    blob = path.read_bytes()
    digest, content = blob[:_DIGEST_BYTES], blob[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise DamagedCheckpointError(f"the checkpoint {path} is damaged; delete it to train again")
    try:
        checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its reader stumbled over.
        raise DamagedCheckpointError(
            f"the checkpoint {path} is none ({error}); delete it"
        ) from error
    if not isinstance(checkpoint, dict):
        raise DamagedCheckpointError(f"the checkpoint {path} holds no dictionary; delete it")
    return checkpoint


def cached(path: Path, make: Callable[[], Checkpoint]) -> Checkpoint:
    """The checkpoint at `path`, made and saved when it is absent or damaged (with a warning).

    A lock beside the file keeps two processes from making it at once. Raises NotCachedError
    inside `only_cached`, instead of making it or waiting for another process that does.
    """
    if not _MAY_TRAIN.get():
        try:
            return load_checkpoint(path)
        except (FileNotFoundError, DamagedCheckpointError) as error:
            raise NotCachedError(str(path)) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        try:
            return load_checkpoint(path)
        except FileNotFoundError:
            pass
        except DamagedCheckpointError:
            warnings.warn(f"the checkpoint {path} is damaged and is trained again", stacklevel=2)
        checkpoint = make()
        save_checkpoint(path, checkpoint)
        return checkpoint

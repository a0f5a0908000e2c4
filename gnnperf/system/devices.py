"""GPUs of this machine, one piece of work on each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from gnnperf.system.files import HOST_FOLDER

_LOOK_SECONDS = 0.2


@contextmanager
def free_gpu(count: int) -> Iterator[int | None]:
    """The number of a GPU that nobody else of this user has from here, waited for; None of none.

    It is had by whoever holds its lock, so that any processes share GPUs, and one that dies gives
    its own back.
    """
    if not count:
        yield None
        return
    user = os.getuid() if hasattr(os, "getuid") else 0
    locks = [FileLock(HOST_FOLDER / f"gnnperf-{user}-gpu-{name}.lock") for name in _names(count)]
    while True:
        for number, lock in enumerate(locks):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield number
            finally:
                lock.release()
            return
        time.sleep(_LOOK_SECONDS)


def _names(count: int) -> list[str]:
    """Of GPUs 0 to count - 1, the same in processes that see others first."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return visible[:count] if len(visible) >= count and all(visible) else [*map(str, range(count))]

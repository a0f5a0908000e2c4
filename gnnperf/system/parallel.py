"""Independent work side by side, in fresh processes."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any, TypeVar

import psutil
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import get_active_backend
from tqdm import tqdm

from gnnperf.errors import GnnperfError

T = TypeVar("T")

_LOOK_SECONDS = 0.2


class WorkersDiedError(GnnperfError):
    """Processes that were ended from outside, or for want of memory."""


def default_jobs(threads: int) -> int:
    """As many processes as joblib's `parallel_config` says, or the cores have room for.

    The cores are those that this process may use.
    """
    backend, jobs = get_active_backend()
    if jobs is not None:
        told: int = backend.effective_n_jobs(jobs)
        return max(1, told)
    cores: int = cpu_count()
    return max(1, cores // threads)


def side_by_side(
    work: Callable[..., T], tasks: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[T]:
    """What `work` gives for each tuple of arguments, as it comes, `jobs` processes at a time.

    One job works in this process. The processes are joblib's default, or those of the backend that
    its `parallel_config` names: the default's are fresh, as a fork would copy torch's threads in
    whatever state they are; they live on for the next call until `workers_end`. Raises what `work`
    raises, or WorkersDiedError.
    """
    if jobs == 1:
        yield from (work(*task) for task in tasks)
        return
    parallel = Parallel(
        min(jobs, len(tasks)),
        batch_size=1,
        return_as="generator_unordered",
        initializer=_begin,
        initargs=(os.getpid(),),
    )
    try:
        yield from parallel(delayed(work)(*task) for task in tasks)
    except BrokenProcessPool as error:
        raise WorkersDiedError(
            "a process that trained side by side died, perhaps for want of memory; "
            "what was finished is kept, fewer processes at a time need less"
        ) from error


def _begin(parent: int) -> None:
    """In a worker: end when the main process does, and without a word."""
    # A terminal interrupts workers too: it is the main process that ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # tqdm's own lock is shared by processes, and would be reported as leaked.
    tqdm.set_lock(RLock())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Killed, the main process ends nobody; its workers would train on, or wait for minutes."""
    # No wait for another's child sees one that ended and that nobody has asked for yet.
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


@contextmanager
def workers_end(jobs: int) -> Iterator[None]:
    """No process of `side_by_side` outlives this block, whatever ends it; SIGTERM does so too."""
    if jobs == 1:
        yield
        return
    terminated = False

    def end(number: int, frame: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if here else None
    try:
        with warnings.catch_warnings():
            # It replaces a worker that has grown, as they do with each dataset, and loses nothing.
            warnings.filterwarnings("ignore", message="A worker stopped")
            yield
    finally:
        if here:
            signal.signal(signal.SIGTERM, before)
        get_reusable_executor().shutdown(wait=not terminated, kill_workers=True)
        if terminated:
            _kill_what_loky_left()
            # As if it had not been caught: by the handler that was there before, or to the end.
            os.kill(os.getpid(), signal.SIGTERM)


def _kill_what_loky_left() -> None:
    """End workers that are on their way, and the trackers, which wait for them."""
    loky = [c for c in psutil.Process().children(recursive=True) if _is_of_loky(c)]
    for child in loky:
        with suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(loky, timeout=1)


def _is_of_loky(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("loky" in word for word in process.cmdline())
    return False

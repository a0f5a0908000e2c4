"""Work on the machines of a Dask cluster: it goes out as bytes, and comes back as it is done."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

import cloudpickle

from gnnperf.system.cluster import ClusterError, line_of

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")

_LOOK_SECONDS = 2.0
_AGAIN_SECONDS = 0.05
_MOST_SECONDS_WITHOUT_WORKERS = 600.0
_LEAST_IN_FLIGHT = 256
"""Enough for an adaptive cluster to see that there is work; what waits lies in its memory."""


@dataclass(frozen=True)
class Unfit:
    """What work gives where this worker cannot do it, and another one perhaps can."""

    reason: str


@dataclass(frozen=True)
class Task(Generic[T]):
    """What is to be done.

    Attributes:
        number: comes back with the answer.
        work: a function that can be imported on the worker, or that cloudpickle takes along.
        arguments: of `work`.
        shared: files whose bytes are further arguments; each goes to a worker once.
        kind: workers that are unfit for one task are not asked for others of its kind.
    """

    number: int
    work: Callable[..., T | Unfit]
    arguments: tuple[Any, ...]
    shared: tuple[Path, ...] = ()
    kind: Hashable = None


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What came of a task.

    Attributes:
        number: the task's.
        value: what `work` gave; None where it failed.
        failure: why there is no value; empty where there is one.
        unfit: whether it failed as no worker could do it, which says nothing against the task.
    """

    number: int
    value: T | None
    failure: str = ""
    unfit: bool = False


def sent_out(
    client: Client, tasks: Iterable[Task[T]], announce: Callable[[str], None]
) -> Iterator[Answer[T]]:
    """What comes of each task, as it comes.

    A task whose worker dies goes to another one, as often as the scheduler allows; one whose worker
    is unfit for it goes to those that are not, as long as there are any. Raises ClusterError where
    the scheduler is gone, or no worker comes for ten minutes.

    Args:
        client: of the cluster.
        tasks: taken from as workers need them.
        announce: told in a line that workers are waited for.
    """
    yield from _Dispatch(client, iter(tasks), announce).answers()


@dataclass
class _Sent(Generic[T]):
    task: Task[T]
    future: Future
    allowed: frozenset[str] | None


@dataclass
class _Dispatch(Generic[T]):
    """One call of `sent_out`."""

    client: Client
    tasks: Iterator[Task[T]]
    announce: Callable[[str], None]
    done: SimpleQueue[str] = field(default_factory=SimpleQueue)
    flying: dict[str, _Sent[T]] = field(default_factory=dict)
    # By kind: workers, and why the last of them was.
    unfit: dict[Hashable, set[str]] = field(default_factory=dict)
    reason: dict[Hashable, str] = field(default_factory=dict)
    # Held, or the cluster would let go of them.
    files: dict[Path, Future] = field(default_factory=dict)
    lonely_since: float | None = None

    def answers(self) -> Iterator[Answer[T]]:
        waits = True
        while waits or self.flying:
            room = max(_LEAST_IN_FLIGHT, 2 * sum(self._workers().values()))
            while waits and len(self.flying) < room:
                task = next(self.tasks, None)
                waits = task is not None
                if task is not None and (refusal := self._send(task)):
                    yield refusal
            while self.flying:
                try:
                    key = self.done.get(timeout=_LOOK_SECONDS)
                except Empty:
                    yield from self._look()
                    continue
                if key in self.flying and (answer := self._answer(self.flying.pop(key))):
                    yield answer
                    break

    def _workers(self) -> dict[str, int]:
        """Threads by the worker's address; raises ClusterError."""
        try:
            return dict(self.client.nthreads())
        except Exception as error:  # Dask raises as many kinds as there are ways to be gone.
            raise self._gone(error) from error

    def _gone(self, error: BaseException | None) -> ClusterError:
        why = f" ({line_of(error)})" if error is not None else ""
        return ClusterError(
            f"the Dask scheduler at {self._address()} is gone{why}; what came back is kept"
        )

    def _address(self) -> str:
        scheduler = self.client.scheduler
        return str(scheduler.address if scheduler is not None else "its address")

    def _send(self, task: Task[T]) -> Answer[T] | None:
        """The task goes out; an answer where there is nobody to send it to."""
        allowed = None
        if unfit := self.unfit.get(task.kind):
            allowed = frozenset(self._workers()) - unfit
            if not allowed:
                return Answer(task.number, None, self.reason[task.kind], unfit=True)
        key = f"gnnperf-{uuid4().hex}"
        payload = cloudpickle.dumps((task.work, task.arguments))
        future = self.client.submit(
            _runner(),
            payload,
            *map(self._shared, task.shared),
            key=key,
            workers=None if allowed is None else sorted(allowed),
        )
        self._await(_Sent(task, future, allowed))
        return None

    def _await(self, sent: _Sent[T]) -> None:
        self.flying[sent.future.key] = sent
        sent.future.add_done_callback(lambda done: self.done.put(done.key))

    def _shared(self, path: Path) -> Future:
        """The file's bytes, which workers hand on to each other."""
        if path not in self.files:
            content = path.read_bytes()
            self.files[path] = self.client.submit(_same(), content, key=f"gnnperf-{uuid4().hex}")
        return self.files[path]

    def _answer(self, sent: _Sent[T]) -> Answer[T] | None:
        """What a future that is done says; None where its task was sent out again."""
        task, status = sent.task, sent.future.status
        if status == "cancelled":
            raise self._gone(None)
        if status in ("pending", "lost"):  # Its worker died since, and the scheduler begins again.
            time.sleep(_AGAIN_SECONDS)
            self._await(sent)
            return None
        if status != "finished":
            return Answer(task.number, None, _why_died(sent.future.exception()))
        try:
            worker, content = sent.future.result()
        except Exception as error:  # The only copy died with its worker, or the scheduler did.
            if self.client.status != "running":
                raise self._gone(error) from error
            return self._send(task)
        how, value = pickle.loads(content)
        if how != "done":
            value = absent(value) if how == "absent" else unreadable(value)
        if not isinstance(value, Unfit):
            return Answer(task.number, value)
        self.unfit.setdefault(task.kind, set()).add(worker)
        self.reason[task.kind] = value.reason
        return self._send(task)

    def _look(self) -> Iterator[Answer[T]]:
        """Nothing has come for a while: whether anything still can."""
        if self.client.status == "connecting":
            return
        if self.client.status != "running":
            raise self._gone(None)
        here = frozenset(self._workers())
        now = time.monotonic()
        if here:
            self.lonely_since = None
        elif self.lonely_since is None:
            self.lonely_since = now
            self.announce(
                f"no worker is connected to {self._address()}, waiting for one; start it with "
                f"`dask worker {self._address()} --nthreads 1`"
            )
        elif now - self.lonely_since > _MOST_SECONDS_WITHOUT_WORKERS:
            raise ClusterError(
                f"no worker came to {self._address()} for "
                f"{_MOST_SECONDS_WITHOUT_WORKERS / 60:.0f} minutes; what came back is kept"
            )
        for key, sent in list(self.flying.items()):
            # Of those that it was kept for none is left.
            if sent.allowed is not None and not sent.allowed & here:
                del self.flying[key]
                sent.future.cancel()
                if refusal := self._send(sent.task):
                    yield refusal


def _runner() -> Callable[[bytes], tuple[str, Any]]:
    """What unpacks and does a task; it travels by value, so that the scheduler needs no gnnperf."""

    def run(payload, *shared):  # type: ignore[no-untyped-def]
        import pickle

        from distributed import get_worker

        address = get_worker().address
        try:
            work, arguments = pickle.loads(payload)
        except ImportError as error:
            return address, pickle.dumps(("absent", error.name or str(error)))
        except Exception as error:
            return address, pickle.dumps(("unreadable", f"{type(error).__name__}: {error}"))
        return address, pickle.dumps(("done", work(*arguments, *shared)))

    return run


def _same() -> Callable[[bytes], bytes]:
    """What gives its argument back, by value likewise."""
    return lambda content: content


def absent(module: str) -> Unfit:
    """Of a worker that cannot import what it needs."""
    return Unfit(
        f"workers cannot import {module.partition('.')[0]!r}: install it there, or put the folder "
        "that it lies in on their PYTHONPATH"
    )


def unreadable(what: str) -> Unfit:
    """Of a worker whose code does not know what the work is made of."""
    line = what.partition("\n")[0][:200]
    return Unfit(
        f"workers cannot read what they are sent ({line}): their code is another than this "
        "machine's; install the same there, and restart them"
    )


def _why_died(error: BaseException | None) -> str:
    if type(error).__name__ == "KilledWorker":
        return "every worker that did it died, perhaps for want of memory"
    return "no reason given" if error is None else line_of(error)

"""A Dask cluster: where it is, and a client of it."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gnnperf.errors import GnnperfError

if TYPE_CHECKING:
    from distributed import Client

MOST_LOCAL = 1024
_CONNECT_SECONDS = 10


class ClusterError(GnnperfError):
    """A cluster that cannot be reached, or is gone."""


class UnreachableError(ClusterError):
    """Nothing at the address that was named."""


def check_address(text: str) -> str:
    """The address, `tcp://host:8786` or `local:4`; raises ClusterError, also without Dask."""
    scheduler = re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(\d{1,5})", text)
    local = re.fullmatch(r"local:(\d{1,4})", text, re.ASCII)
    if not (scheduler and 0 < int(scheduler[3]) < 1 << 16) and not (
        local and 0 < int(local[1]) <= MOST_LOCAL
    ):
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        raise ClusterError(
            f"--gnnperf-cluster {shown!r}: name a Dask scheduler, tcp://host:8786, or processes of "
            f"this machine, local:4 ({MOST_LOCAL} at most)"
        )
    if importlib.util.find_spec("distributed") is None:
        raise ClusterError(
            f"--gnnperf-cluster {text} needs the package distributed; "
            "install it with pip install 'gnnperf[cluster]'"
        )
    return text


_LONGEST_SHOWN = 60


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the cluster at an address that `check_address` took.

    The processes of `local:4` end with the block. Raises ClusterError where nobody answers.
    """
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        stack.enter_context(_quiet())
        where: Any = address
        if address.startswith("local:"):
            # No limit of memory: joblib's processes have none either.
            where = stack.enter_context(
                LocalCluster(
                    n_workers=int(address.removeprefix("local:")),
                    threads_per_worker=1,
                    memory_limit=None,
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                )
            )
        try:
            if where == address:
                asyncio.run(_greet(address))
            client = Client(where, timeout=_CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # Any server may answer anything.
            raise UnreachableError(
                f"--gnnperf-cluster {address}: no Dask scheduler answers there ({line_of(error)}); "
                "start one with `dask scheduler`, and name the address that it prints"
            ) from error
        try:
            yield client
        finally:
            with suppress(Exception):  # It may be gone; what it held is not wanted any more.
                client.close(timeout=_CONNECT_SECONDS)


async def _greet(address: str) -> None:
    """Raise where no scheduler answers: for a silent server a client would wait for ever."""
    from distributed.comm import connect
    from distributed.security import Security

    security = Security().get_connection_args("client")
    greeting = connect(address, timeout=_CONNECT_SECONDS, **security)
    comm = await asyncio.wait_for(greeting, 2 * _CONNECT_SECONDS)
    await comm.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask tells every lost connection in a traceback; what matters of it is an error of ours."""
    # Some have a level of their own, and hand on to none above them.
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def worker_folder() -> str | None:
    """On a worker: its own folder for what it may lose; it goes, however the worker ends."""
    with suppress(ImportError, ValueError):  # No worker.
        from distributed import get_worker

        return str(get_worker().local_directory)
    return None


def line_of(error: BaseException) -> str:
    """An error's kind and first line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200]

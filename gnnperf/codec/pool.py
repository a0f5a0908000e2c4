"""The same work on many chunks, on one thread or several."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gnnperf.codec.errors import CodecError

Given = TypeVar("Given")
Made = TypeVar("Made")


def side_by_side(work: Callable[[Given], Made], tasks: Sequence[Given], threads: int) -> list[Made]:
    """The work done on every task, in their order, on so many threads.

    Raises CodecError for less than one thread, TypeError for what is no int.
    """
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"threads is a number of type int, not a {type(threads).__name__}")
    if threads < 1:
        raise CodecError(f"threads is {threads}; at least one is needed")
    if threads == 1 or len(tasks) < 2:
        return [work(task) for task in tasks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, tasks))

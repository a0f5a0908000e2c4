"""Which way of computing is faster here: tried, as no rule holds for every processor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

ROUNDS, WARM_UP = 9, 2
LEAST_SECONDS = 5e-5


@torch.inference_mode()
def fastest(calls: Sequence[Callable[[], object]]) -> int:
    """Which of the calls takes the least CPU time, in turns; the first one where none is faster.

    Short calls are repeated, so that the clock can tell.
    """
    if len(calls) == 1:
        return 0
    for call in calls:
        for _ in range(WARM_UP):
            call()
    begin = time.process_time()
    calls[0]()
    once = max(time.process_time() - begin, 1e-7)
    repeats = max(1, int(LEAST_SECONDS / once))
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for number, call in enumerate(calls):
            begin = time.process_time()
            for _ in range(repeats):
                call()
            seconds[number].append(time.process_time() - begin)
    medians = [statistics.median(taken) for taken in seconds]
    return min(range(len(calls)), key=lambda number: medians[number])

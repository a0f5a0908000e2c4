"""Clocks of one call: the process's, the wall's, and a device's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


class Event(Protocol):
    """A point in a device's queue of work, like `torch.cuda.Event`."""

    def elapsed_time(self, end: Any, /) -> float:
        """Milliseconds from here to the later event."""


@dataclass(frozen=True)
class DeviceClock:
    """How to wait for a device, and how to time its work.

    Attributes:
        synchronize: waits until all work given to the device is done.
        mark: puts an event into the device's queue; None for a device without.
    """

    synchronize: Callable[[], object] = lambda: None
    mark: Callable[[], Event] | None = None


def cuda_clock(ordinal: int) -> DeviceClock:
    """The clock of a CUDA device: events on its current stream."""
    import torch

    stream = torch.cuda.current_stream(ordinal)
    return DeviceClock(
        lambda: torch.cuda.synchronize(ordinal),
        lambda: stream.record_event(torch.cuda.Event(enable_timing=True)),
    )


@dataclass(frozen=True)
class Times:
    """Seconds a round: process CPU time, wall time until the device is done, device time."""

    cpu_seconds: list[float] = field(default_factory=list)
    wall_seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)

    def take(self, call: Callable[[], object], clock: DeviceClock) -> None:
        """Time one call to the end of its device work."""
        wall, cpu = time.perf_counter(), time.process_time()
        begin = clock.mark() if clock.mark else None
        call()
        end = clock.mark() if clock.mark else None
        clock.synchronize()
        # A clock that did not move would make the ratio meaningless, not zero.
        self.cpu_seconds.append(max(time.process_time() - cpu, 1e-9))
        self.wall_seconds.append(max(time.perf_counter() - wall, 1e-9))
        if begin and end:
            self.device_seconds.append(max(begin.elapsed_time(end) / 1000, 1e-9))

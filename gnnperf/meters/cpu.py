"""Processor time of a callable, and how much of the machine's time that was."""

from __future__ import annotations

import time
from typing import ClassVar

from gnnperf.meters.base import Meter, Readings
from gnnperf.records import measured


class ProcessClocks(Meter):
    """A window's CPU seconds of all threads, user and system, and wall seconds."""

    def start(self) -> None:
        """Read both clocks."""
        self._wall_seconds = time.perf_counter()
        self._cpu_seconds = time.process_time()

    def elapsed_seconds(self) -> tuple[float, float]:
        """CPU and wall seconds since the start."""
        cpu_seconds = time.process_time() - self._cpu_seconds
        return cpu_seconds, time.perf_counter() - self._wall_seconds


class CpuMeter(ProcessClocks):
    """Process CPU seconds a call, all threads, user and system; utilisation over the window.

    Utilisation is CPU seconds over wall seconds: 1 is one core kept busy, 2 are two. Shorter
    windows than 1 s are at the mercy of the scheduler. Source: `time.process_time`.
    """

    units: ClassVar = {"inference_cpu_seconds": "seconds", "cpu_utilisation": "fraction"}
    source = "process CPU time"

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Read both clocks again."""
        cpu_seconds, wall_seconds = self.elapsed_seconds()
        values = (cpu_seconds / calls, cpu_seconds / wall_seconds)
        return {
            name: measured(value, unit, self.source, window_seconds=wall_seconds, calls=calls)
            for (name, unit), value in zip(self.units.items(), values, strict=True)
        }

"""An estimate of energy where nothing counts joules; only when asked for, never gated."""

from __future__ import annotations

import time
from typing import ClassVar

from gnnperf.meters.base import Meter, Readings
from gnnperf.records import Reading


class EstimateMeter(Meter):
    """Joules a call as process CPU seconds times a stated wattage of one busy core.

    It knows nothing of frequency, instruction mix, memory or idle power: it ranks what differs in
    CPU time, and says nothing that CPU time does not.
    """

    units: ClassVar = {"energy_estimate_joules": "joules"}

    def __init__(self, watts: float) -> None:
        super().__init__()
        self._watts = watts
        self.source = f"process CPU seconds x {watts:g} W a busy core"

    def start(self) -> None:
        """Read the clock."""
        self._cpu_seconds = time.process_time()

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Read the clock again and multiply."""
        joules = (time.process_time() - self._cpu_seconds) * self._watts / calls
        reading = Reading(
            joules,
            "joules",
            "estimated",
            self.source,
            reason=f"an estimate as asked for, from a stated {self._watts:g} W a busy core",
            window_seconds=window_seconds,
            calls=calls,
        )
        return {"energy_estimate_joules": reading}

"""What the energy counters of processors and GPUs have in common."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from gnnperf.meters.base import Meter, MeterError, Readings, SwitchedOffError
from gnnperf.records import measured

Joules = dict[str, float]


class CounterMeter(Meter):
    """Joules a call from counters that only rise; idle power subtracted as a second value.

    The counters are the whole device's: other processes' energy is in them. Idle power is read
    once a meter, before its first window, while this process sleeps; what the machine does
    otherwise at that moment counts as idle.

    Attributes:
        prefix: of the readings' names: `<prefix>_joules`, `<prefix>_above_idle_joules` and
            `<prefix>_<domain>_joules` for each domain where there are several.
        idle_seconds: how long to sleep for the idle power.
    """

    prefix: ClassVar[str]

    def __init__(self, idle_seconds: float) -> None:
        super().__init__()
        self.idle_seconds = idle_seconds
        self._idle_watts: Joules | None = None

    @abstractmethod
    def open(self) -> None:
        """Find the counters; raises MeterError."""

    @abstractmethod
    def read(self) -> Joules:
        """Every domain's counter; raises MeterError."""

    def spent(self, before: Joules, after: Joules) -> Joules:
        """Joules between two looks at the counters; raises MeterError for a counter gone back."""
        return {domain: after[domain] - joules for domain, joules in before.items()}

    def start(self) -> None:
        """Find the counters, learn the idle power, and begin."""
        self.open()
        if self._idle_watts is None:
            spent, seconds = self._idle()
            self._idle_watts = {domain: joules / seconds for domain, joules in spent.items()}
        self._before, self._since = self.read(), time.perf_counter()

    def _idle(self) -> tuple[Joules, float]:
        before, since = self.read(), time.perf_counter()
        time.sleep(self.idle_seconds)
        return self.spent(before, self.read()), time.perf_counter() - since

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Energy of the window, for one call."""
        after, seconds = self.read(), time.perf_counter() - self._since
        spent = self.spent(self._before, after)
        self.abandon()
        moved = {domain: joules for domain, joules in spent.items() if joules > 0}
        if not moved:
            raise MeterError(
                f"the energy counters ({', '.join(spent)}) stood still for {seconds:.1f} s; "
                "virtual machines often show counters that do not count: measure on bare metal"
            )
        idle_watts = self._idle_watts or {}
        idle = sum(idle_watts.get(domain, 0.0) for domain in moved) * seconds
        return self._readings(moved, idle, calls, seconds)

    def _readings(
        self, moved: Mapping[str, float], idle_joules: float, calls: int, seconds: float
    ) -> Readings:
        source = f"{self.source}, {' + '.join(moved)}"
        total = sum(moved.values())
        values = {f"{self.prefix}_joules": (total, source)}
        values[f"{self.prefix}_above_idle_joules"] = (
            total - idle_joules,
            f"{source}, less {idle_joules / seconds:.3g} W of idle power",
        )
        if len(moved) > 1:
            for domain, joules in moved.items():
                values[f"{self.prefix}_{domain}_joules"] = (joules, f"{self.source}, {domain}")
        return {
            name: measured(joules / calls, "joules", text, window_seconds=seconds, calls=calls)
            for name, (joules, text) in values.items()
        }


class EnergyOff(Meter):
    """Takes the place of the energy meters where they are not wanted."""

    units: ClassVar = {"energy_joules": "joules"}
    source = "no energy meter"

    def start(self) -> None:
        """Say so."""
        raise SwitchedOffError(
            "energy is switched off; leave out --gnnperf-energy off to measure it"
        )

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Never reached."""
        return {}


class GpuEnergyOff(EnergyOff):
    """The same for the meter of GPUs."""

    units: ClassVar = {"gpu_energy_joules": "joules"}

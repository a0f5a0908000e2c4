"""What trainings take: time, energy, and memory, in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import ClassVar

import cloudpickle

from gnnperf.meters.base import Meter, MeterError, Readings
from gnnperf.meters.cpu import ProcessClocks
from gnnperf.meters.fresh_process import in_fresh_process
from gnnperf.meters.registry import MeterOptions, meters
from gnnperf.records import Reading, measured, unavailable

Window = Callable[[], AbstractContextManager[None]]
Trainings = Callable[[Window], int]
"""Trains, each training inside of `with window():`, and gives the epochs that ran in all."""

SOURCE = "trained again in a fresh process"
UNITS = {
    "training_cpu_seconds": "seconds",
    "training_wall_seconds": "seconds",
    "training_cpu_utilisation": "fraction",
    "training_energy_joules": "joules",
    "training_peak_heap_bytes": "bytes",
    "metered_training_epochs": "count",
}
"""What is always told, if only as unavailable."""


class TrainingClock(ProcessClocks):
    """CPU seconds of all threads, user and system, and wall seconds of a window."""

    units: ClassVar = {"cpu_seconds": "seconds", "wall_seconds": "seconds"}
    source = "process clocks"

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Read both clocks again."""
        cpu_seconds, wall_seconds = self.elapsed_seconds()
        return {
            "cpu_seconds": measured(cpu_seconds, "seconds", self.source),
            "wall_seconds": measured(wall_seconds, "seconds", self.source),
        }


def training_readings(trainings: Trainings, options: MeterOptions, what: str) -> Readings:
    """All that the trainings take together; unavailable, with the reason, what cannot be had.

    They are done twice: once for time and energy, and once for the peak of memory, as counting
    allocations takes time of its own. Peaks are the highest of all trainings, the rest is summed.

    Args:
        trainings: does them; goes to the other process by cloudpickle.
        options: how meters look.
        what: is trained, in words, for the sources.
    """
    try:
        content = cloudpickle.dumps(trainings)
    except Exception as error:  # Whatever a project's objects raise when they are pickled.
        reason = f"the training cannot go to a fresh process ({type(error).__name__}: {error})"
        return none(f"{reason}; let its model and data be of importable modules")
    try:
        readings = in_fresh_process(partial(_read, content, options))
    except MeterError as error:
        return none(str(error))
    return {n: replace(r, source=f"{what}, {SOURCE}: {r.source}") for n, r in readings.items()}


def none(reason: str) -> Readings:
    """All readings, unavailable for this reason."""
    return {name: unavailable(unit, SOURCE, reason) for name, unit in UNITS.items()}


def _read(content: bytes, options: MeterOptions) -> Readings:
    """In the fresh process."""
    trainings: Trainings = cloudpickle.loads(content)
    spent, epochs = _watched(trainings, [*meters("energy", options), TrainingClock()], _sum)
    peaks, _ = _watched(trainings, meters("memory", replace(options, isolated=False)), max)
    found = {f"training_{name}": reading for name, reading in (spent | peaks).items()}
    cpu, wall = (spent[f"{clock}_seconds"].value or 0.0 for clock in ("cpu", "wall"))
    found["training_cpu_utilisation"] = measured(cpu / wall, "fraction", TrainingClock.source)
    found["metered_training_epochs"] = measured(epochs, "count", "epochs that ran")
    return found


def _watched(
    trainings: Trainings, watching: Sequence[Meter], join: Callable[[float, float], float]
) -> tuple[Readings, int]:
    """Readings over the windows of all trainings, and their epochs."""
    total: Readings = {}

    @contextmanager
    def window() -> Iterator[None]:
        with ExitStack() as stack:
            for meter in watching:
                stack.enter_context(meter)
            yield
        for meter in watching:
            for name, reading in meter.readings.items():
                total[name] = _joined(total[name], reading, join) if name in total else reading

    epochs = trainings(window)
    return total, epochs


def _joined(one: Reading, other: Reading, join: Callable[[float, float], float]) -> Reading:
    if one.value is None or other.value is None:
        return one if one.value is None else other
    seconds = None
    if one.window_seconds is not None and other.window_seconds is not None:
        seconds = one.window_seconds + other.window_seconds
    return replace(other, value=join(one.value, other.value), window_seconds=seconds, calls=None)


def _sum(one: float, other: float) -> float:
    return one + other

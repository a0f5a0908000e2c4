"""Peak heap of a callable, counted allocation by allocation."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from gnnperf.meters.base import Call, Meter, MeterError, Readings
from gnnperf.meters.fresh_process import in_fresh_process
from gnnperf.records import Reading, measured


class HeapMeter(Meter):
    """Most bytes that one call held at once, of those it allocated itself; the call is warm.

    Every malloc and mmap of the process counts, torch's CPU tensors among them; what was alive
    before does not. The same call gives the same bytes, give or take a few Python objects.
    Source: memray, which slows the call by a tenth: take no time in the same window.

    Args:
        isolated: measure in a fresh process, so that nothing that ran before matters (threads'
            scratch memory, caches). The call is pickled; `measure` only.
    """

    units: ClassVar = {"peak_heap_bytes": "bytes"}
    source = "memray peak heap"
    window_seconds = 0.0

    def __init__(self, isolated: bool = False) -> None:
        super().__init__()
        self._isolated = isolated
        self._folder: TemporaryDirectory[str] | None = None
        self._tracker: Any = None

    def measure(self, call: Call) -> Reading:
        """The peak of one call after a warm-up call; an isolated one may not raise."""
        if not self._isolated:
            return super().measure(call)
        try:
            self.readings = _in_fresh_process(type(self), call)
        except MeterError as error:
            self.readings = self.none(str(error))
        return self.reading

    def start(self) -> None:
        """Begin to track."""
        memray = _memray()
        if self._isolated:
            raise MeterError(f"{self.source}: `with` cannot be isolated; use measure(call)")
        # Garbage of earlier work must not be collected in the middle of the call.
        gc.collect()
        self._folder = TemporaryDirectory(prefix="gnnperf-memray-")
        # Known before it starts, so that an interrupt meanwhile finds it.
        self._tracker = memray.Tracker(self._file)
        try:
            self._tracker.__enter__()
        except RuntimeError as error:
            # Leaving a tracker that never started would end the other one.
            self._tracker = None
            raise MeterError(
                f"memray refuses ({error}): it can track once a process, and something else does, "
                "such as pytest-memray; run without --memray, or measure isolated"
            ) from error

    @property
    def _file(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "allocations.bin"

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Stop tracking and read the peak."""
        self._stop_tracking()
        with _memray().FileReader(self._file) as reader:
            peak_bytes = reader.metadata.peak_memory
        self.abandon()
        (name,) = self.units
        return {name: measured(peak_bytes, "bytes", self.source, calls=calls)}

    def _stop_tracking(self) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.__exit__(None, None, None)

    def abandon(self) -> None:
        """Stop tracking and remove memray's file."""
        self._stop_tracking()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()


class LoadHeapMeter(HeapMeter):
    """The same for a call that loads a model from its file and computes with it once."""

    units: ClassVar = {"load_peak_heap_bytes": "bytes"}


def _memray() -> Any:
    try:
        import memray
    except ImportError as error:
        raise MeterError(
            "memray is not installed; pip install 'gnnperf[memory]' (Linux and macOS)"
        ) from error
    return memray


def _in_fresh_process(meter: type[HeapMeter], call: Call) -> Readings:
    _memray()
    return in_fresh_process(partial(_measured, meter, call))


def _measured(meter: type[HeapMeter], call: Call) -> Readings:
    used = meter()
    used.measure(call)
    return used.readings

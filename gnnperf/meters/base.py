"""What all meters share: a window around work, and readings that never lie."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import ClassVar, TypeVar

from gnnperf.errors import GnnperfError
from gnnperf.records import Reading, measured, unavailable

Call = Callable[[], object]
Readings = dict[str, Reading]
AnyMeter = TypeVar("AnyMeter", bound="Meter")


class MeterError(GnnperfError):
    """A meter that cannot read here: the reason; the remedy."""


class SwitchedOffError(MeterError):
    """A meter that the user did not want."""


class Meter(ABC):
    """A window around work: `with meter: work()`, or `meter.measure(call)`, which fills it.

    Afterwards `readings` holds all that the meter read, by name, and `reading` the headline. What
    a meter cannot read becomes an unavailable reading, with the reason and the remedy, whatever
    its vendor's library raises; errors of the work itself pass through, and the meter lets go of
    everything it held. A meter may be used again, one window after the other.

    Attributes:
        units: what the meter reads, name -> unit; the first is the headline.
        source: what takes the readings and how.
        window_seconds: `measure` repeats the call for at least so long; 0 calls once.
    """

    units: ClassVar[Mapping[str, str]]
    source: str
    window_seconds: float = 1.0

    def __init__(self) -> None:
        self.readings: Readings = {}
        self._failure, self._switched_off = "", False
        self._calls = 1
        self._begin_seconds = 0.0

    @abstractmethod
    def start(self) -> None:
        """Begin to look; may raise anything."""

    @abstractmethod
    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Look again and let go of what `start` took; readings for one call. May raise anything."""

    def abandon(self) -> None:  # noqa: B027 - most meters hold nothing
        """Let go of what `start` took, at whatever point it was left; never raises."""

    @property
    def reading(self) -> Reading:
        """The headline; raises MeterError before the first window is over."""
        if not self.readings:
            raise MeterError(f"{self.source}: no window yet; call measure() first")
        return self.readings[next(iter(self.units))]

    def measure(self, call: Call) -> Reading:
        """The headline for one call. The first call warms up and never counts."""
        call()
        with self:
            # Without a reading to come there is no window to fill.
            if not self._failure:
                self._calls = repeat(call, self.window_seconds)
        return self.reading

    def __enter__(self: AnyMeter) -> AnyMeter:
        self.readings, self._failure, self._calls = {}, "", 1
        self._switched_off = False
        try:
            self.start()
        except Exception as error:
            self._fail(error)
        except BaseException:
            self.abandon()
            raise
        self._begin_seconds = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        window_seconds = time.perf_counter() - self._begin_seconds
        if error is not None:
            self.abandon()
            return
        if not self._failure:
            try:
                self.readings = self.stop(self._calls, window_seconds)
            except Exception as failure:
                self._fail(failure)
            except BaseException:
                self.abandon()
                raise
        if self._failure:
            self.readings = self.none(self._failure)

    def _fail(self, error: Exception) -> None:
        self.abandon()
        known, self._switched_off = (isinstance(error, k) for k in (MeterError, SwitchedOffError))
        self._failure = str(error) if known else f"{type(error).__name__}: {error}"

    def none(self, reason: str) -> Readings:
        """All readings, unavailable for this reason."""
        return {
            name: unavailable(unit, self.source, reason, switched_off=self._switched_off)
            for name, unit in self.units.items()
        }


def repeat(call: Call, window_seconds: float) -> int:
    """Call until the window is over, at least once; gives the number of calls.

    Looks at the clock after each call, which costs about 0.1 microseconds.
    """
    end, calls = time.perf_counter() + window_seconds, 0
    while True:
        call()
        calls += 1
        if time.perf_counter() >= end:
            return calls


def beside(meters: Iterable[Meter], call: Call, reference: Call | None = None) -> Readings:
    """Every meter on the call, and on its reference where there is one, a pass each.

    The reference's readings begin with `twin_`; each meter's headline `<what>_<unit>` also gets
    the ratio call / reference as `<what>_ratio`.
    """
    found: Readings = {}
    for meter in meters:
        meter.measure(call)
        mine = dict(meter.readings)
        found.update(mine)
        if reference is None:
            continue
        meter.measure(reference)
        found.update({f"twin_{name}": reading for name, reading in meter.readings.items()})
        headline = next(iter(meter.units))
        what = headline.rpartition("_")[0] or headline
        found[f"{what}_ratio"] = ratio(mine[headline], meter.reading)
    return found


def ratio(mine: Reading, twin: Reading) -> Reading:
    """Mine over the twin's; as uncertain as the worse of the two."""
    source = f"case / twin, each: {mine.source}"
    if mine.value is None or twin.value is None:
        off = mine.switched_off or twin.switched_off
        return unavailable("ratio", source, mine.reason or twin.reason, switched_off=off)
    if twin.value == 0:
        return unavailable("ratio", source, "the twin's reading is zero")
    if mine.status == "estimated":
        return Reading(mine.value / twin.value, "ratio", "estimated", source, mine.reason)
    return measured(mine.value / twin.value, "ratio", source)

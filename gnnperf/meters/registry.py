"""The registry of meters that look at one callable; a pair of callables has `latency`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from gnnperf.meters.base import Meter, MeterError
from gnnperf.meters.cost import CostMeter
from gnnperf.meters.cpu import CpuMeter
from gnnperf.meters.energy.counter import EnergyOff, GpuEnergyOff
from gnnperf.meters.energy.estimate import EstimateMeter
from gnnperf.meters.energy.nvml import NvmlMeter
from gnnperf.meters.energy.rapl import RaplMeter
from gnnperf.meters.memory.cuda import CudaMemoryMeter
from gnnperf.meters.memory.heap import HeapMeter

EnergyMode = Literal["auto", "estimate", "off"]
CORE_WATTS = 10.0


@dataclass(frozen=True)
class MeterOptions:
    """What decides how meters look.

    Attributes:
        energy: auto, what counters there are; estimate, an estimate beside them; off.
        core_watts: of one busy core, for the estimate.
        isolated: memory in a fresh process.
        gpus: the GPUs in use, as CUDA numbers them in this process.
    """

    energy: EnergyMode = "auto"
    core_watts: float = CORE_WATTS
    isolated: bool = False
    gpus: tuple[int, ...] = ()


def _energy(options: MeterOptions) -> list[Meter]:
    if options.energy == "off":
        return [EnergyOff(), *[GpuEnergyOff()] * bool(options.gpus)]
    counters: list[Meter] = [RaplMeter()]
    if options.gpus:
        counters.append(NvmlMeter(options.gpus))
    return counters + [EstimateMeter(options.core_watts)] * (options.energy == "estimate")


def _memory(options: MeterOptions) -> list[Meter]:
    return [HeapMeter(options.isolated), *(CudaMemoryMeter(gpu) for gpu in options.gpus[:1])]


METERS: dict[str, Callable[[MeterOptions], list[Meter]]] = {
    "cost": lambda options: [CostMeter()],
    "cpu": lambda options: [CpuMeter()],
    "energy": _energy,
    "memory": _memory,
}
"""Every kind of meter; a new one is a module in this folder and an entry here."""

TAKEN = ("scores", "size", "latency")
"""What a case can be asked for besides meters of one callable."""
_OURS = frozenset(METERS)


def register_meter(kind: str, make: Callable[[MeterOptions], list[Meter]]) -> None:
    """Add a kind of meter of one's own: `measure(compressed, meters=(kind,))` takes its readings.

    Args:
        kind: its name, and no name of another's.
        make: gives the meters, subclasses of `gnnperf.Meter`; called once for each MeterOptions.

    Raises MeterError for a name that another has, or that is none, and for what cannot be called.
    """
    if not kind.isidentifier():
        raise MeterError(f"a meter cannot be called {kind!r}; take letters, digits and _")
    if not callable(make):
        raise MeterError(f"meter {kind!r} needs a function that gives meters: options -> [Meter()]")
    if kind in TAKEN or METERS.setdefault(kind, make) is not make:
        raise MeterError(f"a meter {kind!r} is registered already; give it another name")


def own_meters(kinds: Iterable[str]) -> list[Callable[[MeterOptions], list[Meter]]]:
    """Those of the kinds that a project registered."""
    return [METERS[kind] for kind in kinds if kind in METERS and kind not in _OURS]


@functools.cache
def meters(kind: str, options: MeterOptions) -> tuple[Meter, ...]:
    """The meters of a kind, the same ones each time: they learn the idle power once."""
    return tuple(METERS[kind](options))

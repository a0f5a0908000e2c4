"""Energy of processors and memory from Intel's and AMD's RAPL counters."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gnnperf.meters.base import MeterError
from gnnperf.meters.energy.counter import CounterMeter, Joules

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Domain:
    """One counter: `package-0`, `package-1-die-0` or, inside a package, `package-0-dram`."""

    name: str
    folder: Path
    range_microjoules: int


class RaplMeter(CounterMeter):
    """Joules a call of all packages (cores, caches, memory controller) and their DRAM.

    A counter that starts again at zero is corrected with its `max_energy_range_uj`, once a
    window: windows beyond some ten minutes at full power may be short of whole turns.

    pyRAPL reads the counters where its picture of the machine is the kernel's. It knows no
    package of several dies and no DRAM on some sockets alone, loses wrapped windows, and raises
    four kinds of errors; so the domains and their ranges are always found here, in the powercap
    tree, the differences are taken here, and where pyRAPL does not fit or is not installed, the
    same files are read directly.
    """

    units: ClassVar = {"energy_joules": "joules", "energy_above_idle_joules": "joules"}
    prefix = "energy"
    source = "RAPL"

    def __init__(self, root: Path = POWERCAP, idle_seconds: float = 1.0) -> None:
        super().__init__(idle_seconds)
        self._root = root
        self._domains: list[Domain] = []
        self._microjoules: Callable[[], list[float]] = list

    def open(self) -> None:
        """Find the domains and a way to read them."""
        self._domains = find_domains(self._root)
        by_pyrapl = _pyrapl(self._domains)
        self._microjoules = by_pyrapl or (lambda: _read_files(self._domains))
        self.source = f"RAPL through {'pyRAPL' if by_pyrapl else 'powercap files'}"

    def read(self) -> Joules:
        """Every domain's counter; raises MeterError for files that went away."""
        try:
            # pyRAPL keeps files open, and an open file does not tell that it is gone.
            for domain in self._domains:
                (domain.folder / "energy_uj").stat()
            values = self._microjoules()
        except (OSError, ValueError) as error:
            raise MeterError(
                f"a RAPL counter went away while measuring ({error}); the driver was unloaded or a "
                "processor went offline: leave them alone and measure again"
            ) from error
        return {d.name: value / 1e6 for d, value in zip(self._domains, values, strict=True)}

    def spent(self, before: Joules, after: Joules) -> Joules:
        """Differences, a counter that started again corrected by its range."""
        ranges = {d.name: d.range_microjoules / 1e6 for d in self._domains}
        return {
            name: joules if joules >= 0 else joules + ranges[name]
            for name, joules in super().spent(before, after).items()
        }

    def abandon(self) -> None:
        """Let go of the files that pyRAPL holds open."""
        self._microjoules = list


def find_domains(root: Path) -> list[Domain]:
    """The packages and their DRAM, in the kernel's order; raises MeterError."""
    top = root / "intel-rapl"
    found = []
    for package in _folders(top, "intel-rapl:*"):
        name = _text(package / "name")
        # `psys` is the whole board: it holds the packages once more.
        if not name.startswith("package-"):
            continue
        found.append(_domain(name, package))
        for part in _folders(package, "intel-rapl:*:*"):
            # `core` and `uncore` are parts of the package's own counter; DRAM is not.
            if _text(part / "name") == "dram":
                found.append(_domain(f"{name}-dram", part))
    if not found:
        raise MeterError(
            f"no RAPL counters under {top}; run on bare metal (virtual machines and containers "
            "seldom show them) and load the driver: modprobe intel_rapl_msr"
        )
    return found


def _folders(parent: Path, pattern: str) -> list[Path]:
    # By number: intel-rapl:10 comes after intel-rapl:2.
    return sorted(
        (p for p in parent.glob(pattern) if p.is_dir()),
        key=lambda path: [int(n) if n.isdigit() else 0 for n in path.name.split(":")],
    )


def _domain(name: str, folder: Path) -> Domain:
    _number(folder / "energy_uj")
    return Domain(name, folder, _number(folder / "max_energy_range_uj"))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except PermissionError as error:
        raise MeterError(
            f"{path} may not be read by this user (kernels since 2020 keep it for root); "
            f"as root: chmod a+r {path}, again after each boot"
        ) from error
    except OSError as error:
        raise MeterError(
            f"{path} cannot be read ({error.strerror}); the RAPL driver of this kernel is "
            "incomplete: reload it with modprobe -r intel_rapl_msr; modprobe intel_rapl_msr"
        ) from error


def _number(path: Path) -> int:
    text = _text(path)
    if not text.isdigit():
        raise MeterError(f"{path} holds {text!r}, no number; update the kernel")
    return int(text)


def _read_files(domains: Sequence[Domain]) -> list[float]:
    return [float((domain.folder / "energy_uj").read_text()) for domain in domains]


def _pyrapl(domains: Sequence[Domain]) -> Callable[[], list[float]] | None:
    """Reads the domains through pyRAPL; None where it is missing or sees other domains."""
    try:
        with _quiet():
            import pyRAPL

        sensor = pyRAPL.Sensor()
        values = sensor.energy()
    except ImportError:
        return None
    except (pyRAPL.PyRAPLException, OSError, AttributeError, LookupError, ValueError):
        return None
    seen = {index: value for index, value in enumerate(values) if value >= 0}
    slots = [_slot(domain.name) for domain in domains]
    if sorted(slots) != sorted(seen):
        return None

    def read() -> list[float]:
        now: Any = sensor.energy()
        return [float(now[slot]) for slot in slots]

    return read


def _slot(name: str) -> int:
    """Where pyRAPL puts a domain: package 0, its DRAM, package 1 ...; -1 for what it cannot see."""
    number, _, rest = name.removeprefix("package-").partition("-")
    return 2 * int(number) + (rest == "dram") if rest in ("", "dram") else -1


@contextmanager
def _quiet() -> Iterator[None]:
    """pyRAPL's import warns of outputs nobody asked for, and so sets up the root logger."""
    handlers = logging.root.handlers[:]
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        logging.root.handlers[:] = handlers

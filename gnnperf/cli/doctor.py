"""`gnnperf doctor`: what can be measured on this machine, each meter tried for real."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from gnnperf.errors import GnnperfError

GOVERNORS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: the meter or the setting.
        state: `ok`, `note` for what makes readings worse, `unavailable`.
        detail: the reading with its source, or the reason and the remedy.
    """

    what: str
    state: str
    detail: str


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `gnnperf doctor`."""
    parser = commands.add_parser(
        "doctor", help="what can be measured on this machine, and how well"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        metavar="N",
        help="how long the noise self-test takes (default: 20)",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads to compute with (default: 1)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the findings; raises GnnperfError for options out of range."""
    if not 0.1 <= options.seconds <= 3600:
        raise GnnperfError(f"--seconds {options.seconds:g}: choose 0.1 to 3600")
    if options.threads < 1:
        raise GnnperfError(f"--threads {options.threads}: name at least one thread")
    from gnnperf.system.machine import settle_threads, tune_allocator

    settle_threads(options.threads)
    allocator = tune_allocator()
    print("gnnperf doctor: trying every meter for real ...", file=sys.stderr)
    findings = [*settings(allocator), *load(), *tried(), noise(options.seconds)]
    rows = [(f.what, f.state, f.detail) for f in findings]
    print(tabulate(rows, headers=("what", "state", "detail"), maxcolwidths=[None, None, 90]))


def settings(allocator: dict[str, int]) -> Iterator[Finding]:
    """What computes: processor, threads, allocator, frequency governor."""
    import torch

    from gnnperf.system.machine import describe_machine

    machine = describe_machine(torch.device("cpu"))
    capability = machine["instruction_set"]
    yield Finding("processor", "ok", f"{machine['cpu']}, {os.cpu_count()} CPUs, {capability}")
    threads = torch.get_num_threads()
    waiting = os.environ.get("OMP_WAIT_POLICY", "unset")
    text = f"torch computes with {threads}, OMP_WAIT_POLICY {waiting}"
    # Waiting threads that spin take the neighbours' time and count as CPU time.
    spins = threads > 1 and waiting.upper() != "PASSIVE"
    remedy = "; set OMP_WAIT_POLICY=PASSIVE before Python starts" if spins else ""
    yield Finding("threads", "note" if spins else "ok", text + remedy)
    kept = ", ".join(f"{name} {size >> 20} MiB" for name, size in allocator.items())
    yield (
        Finding("allocator", "ok", f"glibc keeps big blocks: {kept}")
        if allocator
        else Finding(
            "allocator",
            "note",
            "no mallopt in this C library: big temporaries may go back to the kernel at every "
            "forward, which costs time that smaller models do not pay",
        )
    )
    yield governor(Path("/"))


def governor(root: Path) -> Finding:
    """How the kernel chooses the processors' frequency; root: of the file system."""
    found = {p.read_text().strip() for p in root.glob(GOVERNORS.lstrip("/"))}
    if not found:
        return Finding("governor", "note", "not shown here, as in most virtual machines")
    if found == {"performance"}:
        return Finding("governor", "ok", "performance")
    return Finding(
        "governor",
        "note",
        f"{', '.join(sorted(found))}: the frequency follows the load; "
        "as root: cpupower frequency-set -g performance",
    )


def load(seconds: float = 1.0) -> Iterator[Finding]:
    """How many processors others keep busy while this process sleeps."""
    import psutil

    before, mine = psutil.cpu_times(), time.process_time()
    begin = time.perf_counter()
    time.sleep(seconds)
    wall_seconds = time.perf_counter() - begin
    after, mine = psutil.cpu_times(), time.process_time() - mine
    resting = ("idle", "iowait", "guest", "guest_nice", "steal")
    busy = sum(
        getattr(after, name) - getattr(before, name)
        for name in after._fields
        if name not in resting
    )
    cores = max(busy - mine, 0.0) / wall_seconds
    stolen = (getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)) / wall_seconds
    text = f"others keep {cores:.2f} of {os.cpu_count()} CPUs busy"
    if cores > 0.2:
        yield Finding("other load", "note", f"{text}; end what need not run while measuring")
    else:
        yield Finding("other load", "ok", text)
    if stolen > 0.02:
        yield Finding(
            "stolen time",
            "note",
            f"the host takes {stolen:.2f} CPUs away; trust ratios alone, or measure on bare metal",
        )


def tried() -> Iterator[Finding]:
    """Every meter on a small matrix product, windows and all."""
    import torch

    from gnnperf.meters.registry import METERS, MeterOptions
    from gnnperf.reports.table import human

    gpus = tuple(range(torch.cuda.device_count()))
    matrices = [torch.rand(300, 300, device=d) for d in ("cpu", *(f"cuda:{gpu}" for gpu in gpus))]

    def work() -> None:
        for matrix in matrices:
            matrix @ matrix
        for gpu in gpus:
            torch.cuda.synchronize(gpu)

    for kind, make in METERS.items():
        for meter in make(MeterOptions(gpus=gpus)):
            reading = meter.measure(work)
            what = f"{kind}: {next(iter(meter.units))}"
            if reading.status == "measured":
                yield Finding(what, "ok", f"{human(reading)} a call ({reading.source})")
            else:
                yield Finding(what, reading.status, reading.reason)
    if not gpus:
        yield Finding("GPU", "unavailable", "torch sees no CUDA device, so no GPU meter was tried")
    yield Finding(
        "energy: estimate",
        "note",
        "only when asked for: pytest --gnnperf-energy estimate --gnnperf-core-watts W",
    )


def noise(seconds: float) -> Finding:
    """The noise self-test: the smallest change of CPU time that shows on this machine now."""
    import torch

    from gnnperf.meters.latency import smallest_effect

    print(f"gnnperf doctor: noise self-test, {seconds:g} s ...", file=sys.stderr)
    features, weight = torch.rand(2000, 300), torch.rand(300, 16)
    reading = smallest_effect(lambda: (features @ weight).relu().sum(), seconds=seconds)
    effect = reading.value or 0.0
    text = f"smallest detectable effect {effect:.1%} of CPU time ({reading.source})"
    if effect > 0.05:
        return Finding("noise", "note", f"{text}; a gate of 5 % needs a quieter machine")
    return Finding("noise", "ok", text)

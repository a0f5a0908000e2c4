"""Which readings of a record are gated, and how: exact, the headline score, or paired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gnnperf.records import Reading, Record

Kind = Literal["exact", "score", "paired"]
_FINGERPRINT_DIGITS = 16


@dataclass(frozen=True)
class Metric:
    """How one reading is gated.

    Attributes:
        name: of the reading.
        limit: the name under which people set its limit.
        kind: exact, a growth fails; score, one that is worse over the paired seeds fails; paired,
            the ratio to the twin is held against the median of several processes.
        tolerance: the least limit where nothing else is said; a fraction, of a score its points.
        elsewhere: the same on another class of machine than the baseline's; None: not compared.
        everywhere: whether the value is the same on all machines, so that it is kept once.
    """

    name: str
    limit: str
    kind: Kind
    tolerance: float = 0.0
    elsewhere: float | None = 0.0
    everywhere: bool = False


# The same seed trains to the same bits only on the same device, threads and torch: what hangs on
# trained weights is given some play on other machines. On one processor, AVX2 in place of AVX-512
# changed no gated reading of 21 cases of the smoke preset; other processors have not been seen.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("parameters", "parameters", "exact", everywhere=True),
        Metric("nonzeros", "nonzeros", "exact", everywhere=True),
        Metric("operations", "operations", "exact", everywhere=True),
        Metric("macs", "macs", "exact", elsewhere=0.01),
        Metric("stored_bytes", "stored_bytes", "exact", elsewhere=0.02),
        *(
            Metric(name, "memory", "exact", tolerance=0.01, elsewhere=0.05)
            for name in ("peak_heap_bytes", "load_peak_heap_bytes", "peak_gpu_bytes")
        ),
        *(
            Metric(name, "latency", "paired", tolerance=0.05, elsewhere=None)
            for name in ("cpu_ratio", "device_ratio")
        ),
        *(
            Metric(name, "energy", "paired", tolerance=0.05, elsewhere=None)
            for name in ("energy_ratio", "gpu_energy_ratio")
        ),
    )
}
"""Every gated reading but the headline score, whose name differs; a new one is an entry here."""

# On one class of machine a training gives the same bits again, so any drop is real.
SCORE = Metric("score", "score", "score", tolerance=0.01, elsewhere=0.05)

COVERAGE = "coverage"
"""The least share of the weights that a recipe has to take in hand: no limit of a change."""

LIMITS = (*dict.fromkeys(metric.limit for metric in (*METRICS.values(), SCORE)), COVERAGE)
"""The names under which limits are set."""


def gated(record: Record) -> Iterator[tuple[Metric, str, Reading]]:
    """The gated readings of a record, with the reading's own name (`accuracy` for the score)."""
    for name, reading in record.readings.items():
        if name == record.metric:
            yield SCORE, name, reading
        elif name in METRICS:
            yield METRICS[name], name, reading


def machine_class(record: Record) -> str:
    """The machines that ratios may be compared across, in words.

    `AMD EPYC, AVX512, 1 thread, torch 2.13.0`: processor or GPU, instruction set, threads, torch.
    """
    machine = record.provenance.get("machine", {})
    threads = machine.get("threads", "unknown")
    return ", ".join(
        (
            str(machine.get("device_name", "unknown device")),
            str(machine.get("instruction_set", "unknown instruction set")),
            f"{threads} thread{'s' * (threads != 1)}",
            f"torch {record.provenance.get('versions', {}).get('torch', 'unknown')}",
        )
    )


def data_fingerprint(record: Record) -> str:
    """Which graphs the case was measured on, as baselines keep it."""
    data = record.provenance.get("data", {})
    return str(data.get("fingerprint", ""))[:_FINGERPRINT_DIGITS]

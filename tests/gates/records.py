"""Records and baselines made by hand for the gates' tests."""

from gnnperf.gates.acceptance import accepted
from gnnperf.records import Record, measured, unavailable

CLASS = {"device_name": "CPU X", "instruction_set": "AVX2", "threads": 1}
TEST = "bench/test_a.py::test_a[w-global@0.5-seed0]"


def record(
    *,
    seed=0,
    machine=None,
    ratio=1.0,
    missing=(),
    without=(),
    off=(),
    data="f" * 64,
    higher_is_better=True,
    **values,
):
    """A case's record.

    `missing` readings are unavailable, those in `off` by the user's wish, those in `without` are
    not there.
    """
    numbers = {
        "parameters": 100,
        "nonzeros": 50,
        "operations": 7,
        "macs": 1000,
        "stored_bytes": 500,
        "peak_heap_bytes": 10_000,
        "accuracy": 0.9,
        "cpu_ratio": ratio,
        "energy_ratio": ratio,
        **values,
    }
    readings = {
        name: unavailable("", "test", "no counter here", switched_off=name in off)
        if name in (*missing, *off)
        # What no gate looks at must not matter.
        else measured(value, "", "test")
        for name, value in (numbers | {"cpu_seconds": 0.1}).items()
        if name not in without
    }  # fmt: skip
    provenance = {
        "machine": machine or CLASS,
        "versions": {"torch": "2.13"},
        "data": {"fingerprint": data},
    }
    return Record(
        "w",
        "global@0.5",
        seed,
        "accuracy",
        readings,
        {},
        {},
        {},
        provenance,
        dataset="w",
        source="real",
        higher_is_better=higher_is_better,
    )


def baseline(*records, ratios=(0.995, 1.0, 1.0, 1.0, 1.005), **changed):
    """Accepted from a record, its ratios those of five processes."""
    first = records[0] if records else record(**changed)
    processes = [record(ratio=ratio, **changed) for ratio in ratios]
    return accepted(TEST, [first, *processes[1:]], None, "smoke")

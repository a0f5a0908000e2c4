import threading
import time
from typing import ClassVar

import cloudpickle
import pytest

from gnnperf.meters.energy.counter import CounterMeter
from gnnperf.meters.registry import METERS, MeterOptions, meters
from gnnperf.meters.training import UNITS, none, training_readings
from gnnperf.meters.training import _read as read

OFF = MeterOptions(energy="off")
MEBIBYTE = 2**20


class Sleeps:
    """Two trainings: one holds 20 MiB and the other 5, and each sleeps; much goes on outside."""

    def __call__(self, window):
        bytearray(60 * MEBIBYTE)
        for size in (20, 5):
            with window():
                held = bytearray(size * MEBIBYTE)
                time.sleep(0.02)
                del held
            time.sleep(0.2)
        return 7


class Fails:
    def __call__(self, window):
        raise ZeroDivisionError("no epoch")


class Counts(CounterMeter):
    """A counter that moves by a joule each time that it is read."""

    prefix, source = "energy", "made up"
    units: ClassVar = {"energy_joules": "joules"}

    def open(self):
        self.joules = getattr(self, "joules", 0.0)

    def read(self):
        self.joules += 1
        return {"package-0": self.joules}


@pytest.fixture(scope="module")
def taken():
    return read(cloudpickle.dumps(Sleeps()), OFF)


def test_only_the_trainings_are_in_the_window(taken):
    assert 0.04 <= taken["training_wall_seconds"].value < 0.4
    share = taken["training_cpu_seconds"].value / taken["training_wall_seconds"].value
    assert taken["training_cpu_utilisation"].value == pytest.approx(share)
    assert taken["metered_training_epochs"].value == 7
    assert set(UNITS) <= set(taken)


def test_the_peak_is_the_highest_of_the_trainings(taken):
    pytest.importorskip("memray")
    assert taken["training_peak_heap_bytes"].value == pytest.approx(20 * MEBIBYTE, rel=0.01)


def test_energy_is_summed(monkeypatch):
    monkeypatch.setitem(METERS, "energy", lambda options: [Counts(idle_seconds=0.0)])
    meters.cache_clear()
    try:
        readings = read(cloudpickle.dumps(Sleeps()), OFF)
        assert readings["training_energy_joules"].value == 2
    finally:
        meters.cache_clear()


def test_energy_says_why_there_is_none(taken):
    off = taken["training_energy_joules"]
    assert off.switched_off
    assert "switched off" in off.reason


def test_what_fails_in_the_other_process_is_unavailable_with_the_reason():
    readings = training_readings(Fails(), OFF, "a training")
    assert {name: r.status for name, r in readings.items()} == dict.fromkeys(UNITS, "unavailable")
    assert "no epoch" in readings["training_cpu_seconds"].reason


def test_what_cannot_be_sent_is_unavailable_with_the_reason():
    lock = threading.Lock()
    reading = training_readings(lambda window: lock, OFF, "it")["training_wall_seconds"]
    assert "cannot go to a fresh process" in reading.reason


def test_none_tells_the_same_of_all():
    assert {r.reason for r in none("why").values()} == {"why"}

import time
from types import SimpleNamespace

import pytest

from gnnperf.meters.base import Meter, MeterError, beside
from gnnperf.meters.cpu import CpuMeter
from gnnperf.meters.energy.estimate import EstimateMeter
from gnnperf.meters.registry import MeterOptions, meters
from gnnperf.records import measured


class Scripted(Meter):
    """Counts calls; raises what it is told to, where it is told to."""

    units = {"work_count": "count"}  # noqa: RUF012
    source = "script"
    window_seconds = 0.05

    def __init__(self, *, at_start=None, at_stop=None):
        super().__init__()
        self.at_start, self.at_stop, self.held = at_start, at_stop, False

    def start(self):
        self.held = True
        if self.at_start:
            raise self.at_start

    def stop(self, calls, window_seconds):
        if self.at_stop:
            raise self.at_stop
        self.held = False
        return {"work_count": measured(2.0, "count", self.source, calls=calls)}

    def abandon(self):
        self.held = False


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_calls_fill_the_window_and_the_first_never_counts(monkeypatch):
    calls = []
    clock = SimpleNamespace(perf_counter=lambda: 0.012 * len(calls))
    monkeypatch.setattr("gnnperf.meters.base.time", clock)
    reading = Scripted().measure(lambda: calls.append(1))
    assert reading.calls == len(calls) - 1 == 5


def test_with_is_one_call():
    with Scripted() as meter:
        pass
    assert (meter.reading.value, meter.reading.calls) == (2.0, 1)


def test_there_is_no_reading_before_the_first_window():
    with pytest.raises(MeterError, match=r"no window yet; call measure\(\) first"):
        _ = Scripted().reading


@pytest.mark.parametrize("where", ["at_start", "at_stop"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(MeterError("broken; mend it"), "broken; mend it"), (OSError("gone"), "OSError: gone")],
)
def test_a_failing_meter_gives_an_unavailable_reading_and_lets_go(where, error, reason):
    meter = Scripted(**{where: error})
    reading = meter.measure(lambda: None)
    assert (reading.status, reading.reason, reading.unit) == ("unavailable", reason, "count")
    assert not meter.held


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_of_the_work_passes_through_and_the_meter_lets_go(error):
    def work():
        if meter.held:
            raise error

    meter = Scripted()
    with pytest.raises(error):
        meter.measure(work)
    assert not meter.held


@pytest.mark.parametrize("where", ["at_start", "at_stop"])
def test_an_interrupt_within_the_meter_lets_go(where):
    meter = Scripted(**{where: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        meter.measure(lambda: None)
    assert not meter.held


def test_beside_its_reference_in_separate_passes():
    order = []
    readings = beside([Scripted()], lambda: order.append("c"), lambda: order.append("r"))
    assert "".join(order) == "c" * order.count("c") + "r" * order.count("r")
    assert list(readings) == ["work_count", "twin_work_count", "work_ratio"]
    assert readings["work_ratio"].value == 1


def test_what_is_unavailable_has_no_ratio():
    meter = Scripted(at_stop=MeterError("broken"))
    ratio = beside([meter], lambda: None, lambda: None)["work_ratio"]
    assert (ratio.status, ratio.reason) == ("unavailable", "broken")


def test_a_known_loop_of_cpu_time():
    meter = CpuMeter()
    cpu, wall = time.process_time(), time.perf_counter()
    reading = meter.measure(lambda: spin(0.02))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert reading.value == pytest.approx(0.02, rel=0.05)
    assert 1 <= reading.window_seconds < wall
    # With the call that warms up; other processes may take most of the core.
    assert (reading.calls + 1) * 0.02 == pytest.approx(cpu, rel=0.05)
    assert meter.readings["cpu_utilisation"].value == pytest.approx(cpu / wall, rel=0.2)


def test_waiting_uses_no_cpu():
    meter = CpuMeter()
    meter.measure(lambda: time.sleep(0.05))
    assert meter.readings["cpu_utilisation"].value < 0.05


def test_an_estimate_says_that_it_is_one():
    reading = EstimateMeter(watts=7.5).measure(lambda: spin(0.02))
    assert reading.status == "estimated"
    assert reading.value == pytest.approx(0.02 * 7.5, rel=0.05)
    assert "7.5 W" in reading.source
    assert "estimate" in reading.reason


def test_the_ratio_of_estimates_is_an_estimate(monkeypatch):
    monkeypatch.setattr(EstimateMeter, "window_seconds", 0.1)
    readings = beside([EstimateMeter(5)], lambda: spin(0.02), lambda: spin(0.02))
    assert readings["energy_estimate_ratio"].status == "estimated"


def test_energy_that_the_user_did_not_want_is_marked_so():
    readings = beside(meters("energy", MeterOptions("off", gpus=(0,))), int, int)
    ratios = [readings["energy_ratio"], readings["gpu_energy_ratio"]]
    assert all(reading.switched_off for reading in (*ratios, readings["energy_joules"]))
    assert "leave out --gnnperf-energy off" in ratios[0].reason

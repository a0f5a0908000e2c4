import itertools
import random
import statistics
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.meters import latency
from gnnperf.meters.clocks import DeviceClock
from gnnperf.meters.latency import Pair, smallest_effect
from gnnperf.meters.looks import median_interval


def sleep(seconds):
    return lambda: time.sleep(seconds)


def spin(seconds):
    def work():
        stop = time.process_time() + seconds
        while time.process_time() < stop:
            pass

    return work


def run(candidate, reference, **options):
    """Readings of so many rounds and no more."""
    pair = Pair(candidate, reference, **options)
    pair.run(time_limit_seconds=0)
    return pair.readings()


def test_both_sides_run_once_a_round_in_changing_order():
    order = []
    pair = Pair(lambda: order.append("c"), lambda: order.append("r"), rounds=40)
    pair.warm_up()
    order.clear()
    for _ in range(40):
        pair.before(), pair(), pair.after()
    rounds = ["".join(order[i : i + 2]) for i in range(0, 80, 2)]
    assert set(rounds) == {"cr", "rc"}
    assert 8 <= rounds.count("cr") <= 32


def test_known_sleeps():
    readings = run(sleep(0.020), sleep(0.010), rounds=15, warmup_rounds=2)
    assert readings["wall_seconds"].value == pytest.approx(0.020, rel=0.05)
    assert readings["twin_wall_seconds"].value == pytest.approx(0.010, rel=0.05)
    assert readings["wall_ratio"].value == pytest.approx(2, rel=0.05)
    assert readings["cpu_seconds"].value < 0.005
    assert readings["wall_ratio"].low <= readings["wall_ratio"].value <= readings["wall_ratio"].high


def test_known_loops_of_cpu_time_and_not_waiting():
    readings = run(spin(0.012), spin(0.010), rounds=11, warmup_rounds=1)
    assert readings["cpu_seconds"].value == pytest.approx(0.012, rel=0.05)
    assert readings["cpu_ratio"].value == pytest.approx(1.2, rel=0.05)


def test_warm_up_rounds_do_not_count():
    calls = itertools.chain([0.05, 0.05], itertools.repeat(0.001))
    readings = run(lambda: time.sleep(next(calls)), sleep(0.001), rounds=20, warmup_rounds=2)
    assert readings["wall_seconds"].value < 0.01


def test_warm_up_goes_on_while_calls_get_faster(monkeypatch):
    now = [0.0]
    durations = itertools.chain([0.08, 0.08, 0.04, 0.04, 0.02, 0.02], itertools.repeat(0.01))

    def work():
        now[0] += next(durations)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    pair = Pair(work, lambda: None, rounds=5, warmup_rounds=4)
    pair.warm_up()
    assert pair._warm_up_was == "warm after 10 rounds"
    assert pair.candidate_times.wall_seconds == []


def test_warm_up_ends_even_so(monkeypatch):
    now, durations = [0.0], (0.1 * 0.8**i for i in itertools.count())

    def work():
        now[0] += next(durations)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    pair = Pair(work, lambda: None, rounds=5, warmup_rounds=4)
    pair.warm_up()
    assert pair._warm_up_was == "still getting faster after 12 rounds of warm-up"


def test_warm_up_of_slow_calls_ends_with_its_time(monkeypatch):
    now, durations = [0.0], (0.8**i for i in itertools.count())

    def work():
        now[0] += next(durations)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    pair = Pair(work, lambda: None, rounds=5, warmup_rounds=4)
    pair.warm_up()
    assert pair._warm_up_was == "warmed up for 2 rounds, all that its time allowed"


def test_the_first_call_never_counts():
    with pytest.raises(ValueError, match="warm up at least one round"):
        Pair(sleep(0), sleep(0), warmup_rounds=0)


def test_it_stops_when_the_interval_is_narrow():
    pair = Pair(spin(0.002), spin(0.002), rounds=20, warmup_rounds=2)
    pair.run(half_width=0.5)
    reading = pair.readings()["cpu_ratio"]
    assert reading.calls == 20
    assert reading.source.endswith("interval within 50.0%")


def test_it_stops_when_time_is_up():
    pair = Pair(spin(0.002), spin(0.002), rounds=20, warmup_rounds=2)
    begin = time.perf_counter()
    pair.run(half_width=0, time_limit_seconds=0.4)
    assert time.perf_counter() - begin < 2
    reading = pair.readings()["cpu_ratio"]
    assert reading.calls > 20
    assert reading.source.endswith("time was up (0.4 s)")


def test_fewer_rounds_than_asked_for_are_no_reading():
    pair = Pair(sleep(0), sleep(0), rounds=5, warmup_rounds=1)
    pair.before(), pair(), pair.after()
    for reading in pair.readings().values():
        assert reading.status == "unavailable"
        assert reading.reason == "measuring is switched off; pytest-benchmark does it"
        assert reading.switched_off


def test_device_work_is_waited_for():
    waits = []
    clock = DeviceClock(lambda: waits.append(1))
    readings = run(sleep(0), sleep(0), rounds=3, warmup_rounds=1, clock=clock)
    assert len(waits) == 2 * (1 + 3)
    assert "device_ratio" not in readings


def test_device_time_stands_beside_wall_time():
    class Event:
        def __init__(self, milliseconds):
            self.milliseconds = milliseconds

        def elapsed_time(self, end):
            return end.milliseconds - self.milliseconds

    device = [0.0]

    def work(milliseconds):
        def call():
            device[0] += milliseconds

        return call

    clock = DeviceClock(mark=lambda: Event(device[0]))
    readings = run(work(3.0), work(1.5), rounds=9, warmup_rounds=1, clock=clock)
    assert readings["device_seconds"].value == pytest.approx(0.003)
    assert readings["twin_device_seconds"].value == pytest.approx(0.0015)
    assert readings["device_ratio"].value == pytest.approx(2)
    assert readings["device_ratio"].source.endswith("interval within 1.0%")
    assert readings["wall_seconds"].value < 0.001


def test_an_interrupt_passes_through():
    def work():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(work, work, rounds=3)


def test_the_smallest_effect_on_this_machine():
    reading = smallest_effect(spin(0.002), seconds=0.5)
    assert (reading.unit, reading.status) == ("fraction", "measured")
    assert 0 <= reading.value < 0.2
    assert reading.source.startswith("A/A, ")


def test_the_smallest_effect_grows_with_the_noise(monkeypatch):
    def effect(spread):
        now, draw = [0.0], random.Random(1)

        def work():
            now[0] += 0.01 * (1 + spread * draw.random())

        monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(latency.time, "process_time", lambda: now[0])
        return smallest_effect(work, seconds=60).value

    small, large = effect(0.02), effect(0.5)
    # A uniform of width w: the ratio's median over 120 rounds deviates by about 0.05 w.
    assert small == pytest.approx(0.02 * 0.05 * 2.8, rel=0.8)
    assert large > 8 * small


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=200))
def test_the_interval_holds_the_median(samples):
    low, high = median_interval(samples)
    assert min(samples) <= low <= statistics.median(samples) <= high <= max(samples)


def test_the_interval_is_the_sign_tests():
    # Binomial(120, 1/2): P(X <= 48) = 0.0176, P(X <= 49) = 0.0271 > 0.025.
    assert median_interval(list(range(1, 121))) == (49, 72)
    assert median_interval([1, 2, 3]) == (1, 3)
    # Binomial(1001, 1/2): P(X <= 469) = 0.02499, P(X <= 470) = 0.0289 > 0.025.
    assert median_interval(range(1, 1002)) == (470, 532)


@pytest.mark.parametrize("n", [999, 1001, 1_000_000])
def test_the_interval_of_many_samples(n):
    low, high = median_interval(range(n))
    assert high - low == pytest.approx(1.96 * n**0.5, abs=3)
    assert low + high == n - 1


def test_slow_calls_take_fewer_rounds():
    pair = Pair(sleep(0.02), sleep(0.03), rounds=120)
    pair.warm_up()
    pair.fit_into(2.0)
    assert 30 <= pair.rounds <= 42
    pair.fit_into(0.1)
    assert pair.rounds == 6


def test_quick_calls_take_all_their_rounds():
    pair = Pair(sleep(0), sleep(0), rounds=120)
    pair.warm_up()
    pair.fit_into(15.0)
    assert pair.rounds == 120

import math
import random

import pytest

from gnnperf.meters import clocks, latency
from gnnperf.meters.base import MeterError
from gnnperf.meters.latency import Pair
from gnnperf.meters.looks import (
    LOOKS,
    Budget,
    clear_of,
    confidence_of_each,
    median_interval,
    planned_looks,
)

SIMULATIONS = 300


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only as calls say."""
    now = [0.0]
    for module in (clocks, latency):
        monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(module.time, "process_time", lambda: now[0])
    return now


def lasting(clock, seconds, spread=0.0, seed=0):
    """A call of so many seconds, their logarithm with so great a standard deviation."""
    draw = random.Random(seed)

    def call():
        clock[0] += seconds * math.exp(draw.gauss(0, spread))

    return call


def simulated(clock, ratio, noise, limit, seed):
    """Rounds and interval of a pair whose log ratios have this noise."""
    candidate, twin = lasting(clock, 1e-3 * ratio, noise, seed), lasting(clock, 1e-3)
    pair = Pair(candidate, twin, limit=limit, warmup_rounds=1)
    pair.run_within(Budget(60))
    return pair.readings()["cpu_ratio"]


def test_looks_end_with_the_rounds():
    assert planned_looks(120) == LOOKS == (20, 30, 45, 68, 102, 120)
    assert planned_looks(20) == (20,)
    assert planned_looks(21) == (20, 21)
    assert planned_looks(6) == (6,)
    assert planned_looks(200) == (*LOOKS, 200)


def test_each_look_has_a_share_of_alpha():
    assert confidence_of_each(1) == pytest.approx(0.95)
    assert 6 * (1 - confidence_of_each(6)) == pytest.approx(0.05)


def test_sides_of_a_limit():
    assert clear_of((0.01, 0.2), 0.0)
    assert clear_of((-0.2, -0.01), 0.0)
    assert not clear_of((0.0, 0.2), 0.0)
    assert not clear_of((-0.1, 0.0), 0.0)


@pytest.mark.parametrize("ratio", [1.0, 1.1], ids=["unchanged", "slower"])
@pytest.mark.parametrize(("noise", "rounds"), [(0.02, (20, 21)), (0.05, (24, 30))])
def test_what_a_limit_of_5_percent_takes(clock, ratio, noise, rounds):
    found = [simulated(clock, ratio, noise, 1.05, seed) for seed in range(SIMULATIONS)]
    fewest, most = rounds
    assert fewest <= sum(reading.calls for reading in found) / SIMULATIONS <= most
    right = [r.high < 1.05 if ratio < 1.05 else r.low > 1.05 for r in found]
    assert right.count(False) <= 0.01 * SIMULATIONS


def test_the_interval_holds_though_it_was_looked_at(clock):
    # The worst case: the truth is the limit, where every interval clear of it is a mistake.
    found = [simulated(clock, 1.0, 0.3, 1.0, seed) for seed in range(SIMULATIONS)]
    missed = sum(not reading.low <= 1 <= reading.high for reading in found)
    assert missed <= 0.05 * SIMULATIONS


def test_unlike_one_of_95_percent_at_every_look():
    """What the shares are for."""

    def ever_clear(draw, confidence):
        logs = [draw.gauss(0, 1) for _ in range(LOOKS[-1])]
        return any(clear_of(median_interval(logs[:look], confidence), 0.0) for look in LOOKS)

    shares = []
    for confidence in (0.95, confidence_of_each(len(LOOKS))):
        draw = random.Random(1)
        shares.append(sum(ever_clear(draw, confidence) for _ in range(500)) / 500)
    assert shares[0] > 0.08
    assert shares[1] < 0.05


def test_it_says_where_it_stopped(clock):
    def source(ratio, noise, **options):
        pair = Pair(lasting(clock, 1e-3 * ratio, noise), lasting(clock, 1e-3), **options)
        pair.run_within(Budget(60))
        return pair.readings()["cpu_ratio"].source

    assert source(2, 0.01).endswith("; clear of 1 at look 1 of 6, at 99.17% each")
    assert source(2, 0.01, limit=1.5).endswith("; clear of 1.5 at look 1 of 6, at 99.17% each")
    assert source(1, 0.002).endswith("; interval within 1.0% at look 1 of 6, at 99.17% each")
    assert source(1, 0.5, seed=3).endswith("; look 6 of 6, at 99.17% each")
    assert source(1, 0.5, rounds=10).endswith("; look 1 of 1, at 95.00% each")


def test_rounds_under_a_gate_do_not_stop_early(clock):
    pair = Pair(lasting(clock, 2e-3), lasting(clock, 1e-3))
    pair.run_within(Budget(2.5, 1.0, stops_early=False))
    reading = pair.readings()["cpu_ratio"]
    assert reading.calls == pytest.approx(1.0 / 3e-3, abs=1)
    assert reading.source.endswith("; as many rounds as asked for")


@pytest.mark.parametrize("early", [True, False])
def test_a_slow_model_takes_six_rounds(clock, early):
    pair = Pair(lasting(clock, 20, 0.1, 1), lasting(clock, 20, 0.1, 2))
    pair.run_within(Budget(2.5, stops_early=early))
    reading, logs = pair.readings()["cpu_ratio"], pair.log_ratios()
    assert reading.calls == 6
    # 2 in 64 lie wholly on one side: all six are the interval.
    assert (reading.low, reading.high) == (math.exp(min(logs)), math.exp(max(logs)))
    assert "range" not in reading.source


@pytest.mark.parametrize(
    ("cap", "rounds"),
    [(1e-6, 1), (19.9, 1), (29.9, 1), (30.1, 1), (40.1, 2), (49.9, 2), (50.1, 3), (999, 6)],
)
def test_a_cap_in_wall_seconds(clock, cap, rounds):
    pair = Pair(lasting(clock, 5), lasting(clock, 5))
    pair.run_within(Budget(2.5, cap_seconds=cap))
    reading = pair.readings()["cpu_ratio"]
    assert reading.calls == rounds
    # One round each of warm-up and measuring is taken anyway.
    assert clock[0] <= max(cap, 20)
    if rounds < 6:
        assert "; the interval is their range; " in reading.source
        assert reading.source.endswith(f"; its time was up (at most {cap:g} s)") or rounds == 1


def test_a_cap_between_looks_leaves_the_share(clock):
    pair = Pair(lasting(clock, 0.5, 0.5, 1), lasting(clock, 0.5))
    pair.run_within(Budget(1000, cap_seconds=37))
    reading, logs = pair.readings()["cpu_ratio"], pair.log_ratios()
    assert 30 < reading.calls < 45
    low, high = median_interval(logs, confidence_of_each(6))
    assert (reading.low, reading.high) == (math.exp(low), math.exp(high))


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
def test_a_limit_that_is_no_ratio(limit):
    with pytest.raises(MeterError, match="is no ratio of times; name one above zero"):
        Pair(lambda: None, lambda: None, limit=limit)

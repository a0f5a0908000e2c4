import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.gates.baselines import BaselineError, Paired
from gnnperf.gates.calibration import (
    FOUND,
    alone_limit_fraction,
    calibrate,
    calibrate_readings,
    detectable_effect,
    false_alarm_rate,
    limit_fraction,
    over_rounds,
)
from gnnperf.records import measured


def test_the_median_and_the_spread_of_the_logarithms():
    paired = calibrate([1.01, 0.99, 1.0, 1.0, 1.0])
    assert paired.median == 1.0
    assert paired.spread == pytest.approx(0.00707, abs=1e-5)
    assert paired.processes == 5


def test_fewer_than_five_processes_are_too_few():
    with pytest.raises(BaselineError, match="4 processes are too few for a baseline; measure in 5"):
        calibrate([1.0] * 4)


def test_a_quiet_baseline_gets_the_least_limit_and_a_noisy_one_a_wider():
    assert limit_fraction(Paired(1.0, 0.001, 5), 0.05) == 0.05
    assert limit_fraction(Paired(1.0, 0.02, 5), 0.05) == pytest.approx(0.0856, abs=1e-3)
    assert limit_fraction(Paired(1.0, 0.02, 50), 0.02) == pytest.approx(0.0498, abs=1e-3)


@given(st.floats(0, 0.2), st.integers(5, 50), st.floats(0.001, 0.5))
def test_the_limit_never_falls_below_the_least_and_an_effect_lies_above_it(spread, n, least):
    paired = Paired(1.0, spread, n)
    limit = limit_fraction(paired, least)
    assert limit >= least
    assert detectable_effect(paired, least) >= limit * (1 - 1e-9)
    # What two processes of one and the same baseline give where there are only five.
    assert 0 <= false_alarm_rate(paired, least) <= 1.42e-3


@pytest.mark.parametrize("processes", [5, 10])
def test_the_stated_rates_are_those_of_a_simulation(processes):
    """Calibrate, then measure twice, many times over: alarms at no change and at the effect."""
    drawn = np.random.default_rng(0)
    runs, spread = 100_000, 0.02
    logs = drawn.normal(0, spread, (runs, processes))
    medians, spreads = np.median(logs, 1), logs.std(1, ddof=1)
    new = drawn.normal(0, spread, (runs, 2)) - medians[:, None]
    # Both grow with a baseline's spread alone.
    unit = Paired(1.0, spread, processes)
    limits = math.log1p(limit_fraction(unit, 0.0)) / spread * spreads
    effects = math.log1p(detectable_effect(unit, 0.0)) / spread * spreads
    alarms = (new > limits[:, None]).all(1).sum()
    expected = runs * false_alarm_rate(unit, 0.0)
    # Within three standard deviations of a count, and a tenth, as medians are not means.
    assert abs(alarms - expected) < 3 * math.sqrt(expected) + 0.1 * expected
    assert (new + effects[:, None] > limits[:, None]).all(1).mean() > FOUND - 0.01
    alone = math.log1p(alone_limit_fraction(unit, 0.0)) / spread * spreads
    alarms = (new[:, 0] > alone).sum()
    assert abs(alarms - expected) < 3 * math.sqrt(expected) + 0.1 * expected


def test_the_rate_falls_where_the_least_limit_is_far_from_the_spread():
    assert false_alarm_rate(Paired(1.0, 0.002, 5), 0.05) < 1e-6
    assert false_alarm_rate(Paired(1.0, 0.0, 5), 0.0) == 0.0
    assert alone_limit_fraction(Paired(1.0, 0.0, 5), 0.05) == 0.05
    assert alone_limit_fraction(Paired(1.0, 0.002, 5), 0.05) == 0.05
    assert alone_limit_fraction(Paired(1.0, 0.02, 5), 0.05) == pytest.approx(0.154, abs=1e-3)


def test_the_widest_spread_that_can_be_gated():
    widest = calibrate([math.exp(0.5 * x) for x in (-1, -1, 0, 1, 1)])
    assert widest.spread == 0.5
    with pytest.raises(BaselineError, match="scatters by 51% over 5 processes is no baseline; mea"):
        calibrate([math.exp(0.51 * x) for x in (-1, -1, 0, 1, 1)])


def test_a_ratio_near_nothing_keeps_its_digits():
    assert calibrate([1.23456e-7] * 5).median == 1.2346e-7


NOISE = {
    "normal": lambda drawn, shape: drawn.normal(0, 0.02, shape),
    # Some rounds last much longer, on either side.
    "bursts": lambda drawn, shape: (
        drawn.normal(0, 0.02, shape) + (drawn.random(shape) < 0.1) * drawn.normal(0, 0.5, shape)
    ),
}


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("then", "now"), [(30, 6), (30, 20), (6, 6), (6, 30)])
def test_fewer_rounds_give_no_more_false_alarms(noise, then, now):
    """Baselines of five processes of `then` rounds, and two new ones of `now`, all noise."""
    drawn = np.random.default_rng(0)
    runs, draw = 10_000, NOISE[noise]
    processes = np.median(draw(drawn, (runs, 5, then)), 2)
    medians, spreads = np.median(processes, 1), processes.std(1, ddof=1)
    new = np.median(draw(drawn, (runs, 2, now)), 2) - medians[:, None]
    unit = over_rounds(Paired(1.0, 0.02, 5, then), now)
    limits = math.log1p(limit_fraction(unit, 0.0)) / 0.02 * spreads
    stated = false_alarm_rate(unit, 0.0)
    alarms = (new > limits[:, None]).all(1).sum()
    assert alarms <= runs * stated + 3 * math.sqrt(runs * stated)
    if noise == "normal":
        # With such bursts six rounds of one process alone lie beyond twice as often.
        alone = math.log1p(alone_limit_fraction(unit, 0.0)) / 0.02 * spreads
        assert (new[:, 0] > alone).sum() <= runs * stated + 3 * math.sqrt(runs * stated)


def test_a_baseline_over_fewer_rounds():
    paired = Paired(1.0, 0.02, 5)
    assert over_rounds(paired, None) == over_rounds(paired, 30) == over_rounds(paired, 31) == paired
    assert over_rounds(paired, 29).spread == pytest.approx(0.02 * math.sqrt(30 / 29))
    assert over_rounds(paired, 6).spread == pytest.approx(0.02 * math.sqrt(5))
    assert over_rounds(Paired(1.0, 0.02, 5, 6), 6).spread == 0.02
    assert over_rounds(Paired(1.0, 0.02, 5, 6), 5).spread == pytest.approx(0.02 * math.sqrt(6 / 5))
    assert over_rounds(Paired(1.0, 0.4, 5), 6).spread == 0.5


def test_the_fewest_rounds_that_a_process_took():
    def rounds(*calls):
        return calibrate_readings(measured(1.0, "ratio", "", calls=n) for n in calls).rounds

    assert rounds(6, 7, 200, 30, 30) == 6
    assert rounds(200, 31, 30, 40, 50) == 30
    assert rounds(*[None] * 5) == 30

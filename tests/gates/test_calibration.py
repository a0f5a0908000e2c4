import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.gates.baselines import BaselineError, Paired
from gnnperf.gates.calibration import (
    calibrate,
    detectable_effect,
    false_alarm_rate,
    limit_fraction,
)


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
    assert 0 <= false_alarm_rate(paired, least) <= 1.0001e-4


def test_the_stated_rates_are_those_of_a_simulated_process():
    """Calibrate, then measure twice, many times over: alarms at no change and at the effect."""
    drawn, runs, alarms, found = random.Random(0), 4000, 0, 0
    for _ in range(runs):
        paired = calibrate([2.718281828 ** drawn.gauss(0, 0.02) for _ in range(10)])
        limit = limit_fraction(paired, 0.0)
        effect = detectable_effect(paired, 0.0)
        alarms += _fails(paired, limit, 0.0, drawn)
        found += _fails(paired, limit, effect, drawn)
    # Both measurements meet the same calibration, so they are not quite independent.
    assert alarms / runs < 2e-3
    assert found / runs > 0.93


def _fails(paired, limit, shift, drawn):
    ratios = [(1 + shift) * 2.718281828 ** drawn.gauss(0, 0.02) for _ in range(2)]
    return all(ratio / paired.median - 1 > limit for ratio in ratios)

"""What the spread between processes allows to say: limit, false-alarm rate, detectable effect.

A new process's log ratio is taken to scatter around the baseline's median as the calibrating
processes did: normal, of unknown spread, so by Student's t with one degree of freedom less than
there were processes. A case fails only when two processes, the second a fresh one, both lie beyond
the limit.

Where the new process took fewer rounds than the baseline's, and fewer than are enough, the spread
is taken to be all between rounds: it grows as one over the square root of their number.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from gnnperf.gates.baselines import (
    ENOUGH_ROUNDS,
    HIGHEST_SPREAD,
    LEAST_PROCESSES,
    BaselineError,
    Paired,
)
from gnnperf.records import Reading

# Each of the two measurements may lie beyond the limit by chance so often.
_SINGLE_ALARM_RATE = 0.01
FOUND = 0.95
"""The share of runs in which a change of the detectable effect is found."""


def calibrate(ratios: Sequence[float]) -> Paired:
    """Ratios of several processes as one baseline.

    Raises BaselineError for fewer than five, or where they scatter so that no gate would be left.
    """
    if len(ratios) < LEAST_PROCESSES:
        raise BaselineError(
            f"{len(ratios)} processes are too few for a baseline; measure in {LEAST_PROCESSES}"
        )
    logs = [math.log(ratio) for ratio in ratios]
    spread = statistics.stdev(logs)
    if spread > HIGHEST_SPREAD:
        raise BaselineError(
            f"a ratio that scatters by {spread:.0%} over {len(logs)} processes is no baseline; "
            "measure on a quieter machine"
        )
    # Rounded as far as a reader looks; the gate then computes with what the file says.
    median = math.exp(statistics.median(logs))
    return Paired(round(median, 5) or float(f"{median:.5g}"), round(spread, 6), len(logs))


def calibrate_readings(readings: Iterable[Reading]) -> Paired:
    """The same for a reading of several processes, with the fewest rounds that one took."""
    whole = [reading for reading in readings if reading.value is not None]
    paired = calibrate([reading.value for reading in whole if reading.value is not None])
    rounds = [reading.calls for reading in whole if reading.calls is not None]
    return replace(paired, rounds=min([ENOUGH_ROUNDS, *rounds]))


def over_rounds(paired: Paired, rounds: int | None) -> Paired:
    """The baseline as a process of so many rounds would scatter around it.

    None: of as many as its own, for a reading that has no rounds.
    """
    fewer = paired.rounds / rounds if rounds else 1.0
    # What has the highest spread lets through several times the ratio as it is.
    spread = min(paired.spread * math.sqrt(max(fewer, 1.0)), HIGHEST_SPREAD)
    return replace(paired, spread=spread)


def limit_fraction(paired: Paired, least: float) -> float:
    """How far a ratio may rise, as a fraction: max(least, what the spread makes of it)."""
    return max(least, math.expm1(_quantile(paired.processes - 1) * _predicted_spread(paired)))


@functools.cache
def _quantile(freedom: int) -> float:
    return float(stats.t.ppf(1 - _SINGLE_ALARM_RATE, freedom))


def alone_limit_fraction(paired: Paired, least: float) -> float:
    """How far one process alone must lie for the false-alarm rate that two have at the limit.

    For a regression that no fresh process could confirm.
    """
    spread = _predicted_spread(paired)
    if spread == 0:
        return least
    rate = _both_beyond(paired, math.log1p(limit_fraction(paired, 0.0)))
    quantile = float(stats.t.isf(rate, paired.processes - 1))
    return max(least, math.expm1(quantile * spread))


def false_alarm_rate(paired: Paired, least: float) -> float:
    """How often a case fails though nothing changed: both processes beyond the limit."""
    return _both_beyond(paired, math.log1p(limit_fraction(paired, least)))


def detectable_effect(paired: Paired, least: float) -> float:
    """The slow-down, as a fraction, that is found in FOUND of the runs."""
    single = math.sqrt(FOUND)
    margin = float(stats.t.ppf(single, paired.processes - 1)) * _predicted_spread(paired)
    return math.expm1(math.log1p(limit_fraction(paired, least)) + margin)


def _both_beyond(paired: Paired, log_limit: float) -> float:
    """The probability that two new processes both lie beyond.

    They meet the same baseline, which may by chance be narrow or low, so that the second is
    beyond far more often where the first was: over what the true spread (chi-square) and the true
    centre (normal) may be, given those of the baseline, the mean of the squared probability.
    `shares` are the baseline's spread over the true one.
    """
    if paired.spread == 0:
        return 0.0
    freedom = paired.processes - 1
    evenly = (np.arange(_STEPS) + 0.5) / _STEPS
    shares = np.sqrt(stats.chi2.ppf(evenly, freedom) / freedom)
    offsets, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    offsets = offsets / math.sqrt(paired.processes)
    beyond = stats.norm.sf(log_limit / paired.spread * shares[:, None] - offsets)
    return float((beyond**2 @ (weights / weights.sum())).mean())


_STEPS, _NODES = 2000, 40


def _predicted_spread(paired: Paired) -> float:
    """Of a new process around the baseline, whose own centre is uncertain as well."""
    return paired.spread * math.sqrt(1 + 1 / paired.processes)

"""What the spread between processes allows to say: limit, false-alarm rate, detectable effect.

A new process's log ratio is taken to scatter around the baseline's median as the calibrating
processes did: normal, of unknown spread, so by Student's t with one degree of freedom less than
there were processes. A case fails only when two processes, the second a fresh one, both lie beyond
the limit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import stats

from gnnperf.gates.baselines import LEAST_PROCESSES, BaselineError, Paired

# Each of the two measurements may lie beyond the limit by chance so often.
_SINGLE_ALARM_RATE = 0.01
FOUND = 0.95
"""The share of runs in which a change of the detectable effect is found."""


def calibrate(ratios: Sequence[float]) -> Paired:
    """Ratios of several processes as one baseline; raises BaselineError for fewer than five."""
    if len(ratios) < LEAST_PROCESSES:
        raise BaselineError(
            f"{len(ratios)} processes are too few for a baseline; measure in {LEAST_PROCESSES}"
        )
    logs = [math.log(ratio) for ratio in ratios]
    # Rounded as far as a reader looks; the gate then computes with what the file says.
    return Paired(
        round(math.exp(statistics.median(logs)), 5), round(statistics.stdev(logs), 6), len(logs)
    )


def limit_fraction(paired: Paired, least: float) -> float:
    """How far a ratio may rise, as a fraction: max(least, what the spread makes of it)."""
    quantile = float(stats.t.ppf(1 - _SINGLE_ALARM_RATE, paired.processes - 1))
    return max(least, math.expm1(quantile * _predicted_spread(paired)))


def false_alarm_rate(paired: Paired, least: float) -> float:
    """How often a case fails though nothing changed: both processes beyond the limit."""
    return _beyond(paired, math.log1p(limit_fraction(paired, least))) ** 2


def detectable_effect(paired: Paired, least: float) -> float:
    """The slow-down, as a fraction, that is found in FOUND of the runs."""
    single = math.sqrt(FOUND)
    margin = float(stats.t.ppf(single, paired.processes - 1)) * _predicted_spread(paired)
    return math.expm1(math.log1p(limit_fraction(paired, least)) + margin)


def _beyond(paired: Paired, log_limit: float) -> float:
    spread = _predicted_spread(paired)
    if spread == 0:
        return 0.0
    return float(stats.t.sf(log_limit / spread, paired.processes - 1))


def _predicted_spread(paired: Paired) -> float:
    """Of a new process around the baseline, whose own centre is uncertain as well."""
    return paired.spread * math.sqrt(1 + 1 / paired.processes)

"""How many rounds a pair takes: looks on the way, each at a share of alpha, and a budget of time.

Who looks at an interval again and again, and stops when it pleases, errs more often than it says.
So that it does not, each of the looks planned beforehand has an equal share of the 5 %
(Bonferroni), which holds however the looks depend on one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

LOOKS = (20, 30, 45, 68, 102, 120)
"""After so many rounds it is asked whether they are enough."""
LEAST_ROUNDS = 6
"""The least that have a 95 % interval of their median."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Budget:
    """How long the rounds of a pair shall last, in wall seconds after warm-up.

    Attributes:
        seconds: at most, but for six rounds.
        least_seconds: at least.
        cap_seconds: warm-up and rounds end by then, even before the sixth; one round of each
            is taken anyway, and none is broken off.
        stops_early: whether rounds end once they have shown what was asked; a gate's do not.
    """

    seconds: float
    least_seconds: float = 0.0
    cap_seconds: float = math.inf
    stops_early: bool = True


def planned_looks(rounds: int) -> tuple[int, ...]:
    """After how many rounds to look, the last time after all of them."""
    return (*(look for look in LOOKS if look < rounds), rounds)


def confidence_of_each(looks: int) -> float:
    """That each of so many looks must have, so that together they have 95 %."""
    return 1 - (1 - CONFIDENCE) / looks


def clear_of(interval: tuple[float, float], limit: float) -> bool:
    """Whether an interval lies wholly on one side of a limit."""
    low, high = interval
    return high < limit or low > limit


def median_interval(
    samples: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Confidence interval of the median from order statistics; no shape is assumed.

    Source: the sign test. Too few samples for it, fewer than 6 at 95 %: the range.
    """
    rank = _rank(len(samples), confidence)
    ordered = sorted(samples)
    return ordered[max(rank, 1) - 1], ordered[-max(rank, 1)]


@cache
def _rank(count: int, confidence: float) -> int:
    """Which of the ordered samples, from either end, bounds the interval; 0 where none does."""
    # As scipy's quantile_test has it, which takes milliseconds each time.
    from scipy import stats

    return int(stats.binom.ppf((1 - confidence) / 2, count, 0.5))

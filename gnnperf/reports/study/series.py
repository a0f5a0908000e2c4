"""A reading over seeds, and what can be said of it: mean, interval, paired differences, tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student

from gnnperf.errors import GnnperfError
from gnnperf.gates.tickets import holm, p_above

LEAST_SEEDS = 3
"""Nothing is judged from fewer."""
LEVEL = 0.05
# Quotients of counts that lie at a limit shall lie there exactly.
_DIGITS = 12


class CannotBeJudgedError(GnnperfError):
    """Why there is no verdict.

    Attributes:
        cell: the same in few words, for a cell of a table.
        why: what is to be told below the table; empty where the cell says it all.
    """

    cell, why = "not compared", ""


class NotRunError(CannotBeJudgedError):
    """The case was not run."""

    cell = "not run"


class NotMeasuredError(CannotBeJudgedError):
    """The case was run, but not asked for the reading."""

    cell = "not measured"


class UnavailableError(CannotBeJudgedError):
    """The reading could not be had on the machine."""

    cell = "unavailable"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is unavailable: {why}")
        self.why = why


@dataclass(frozen=True)
class Series:
    """A value for each seed.

    Attributes:
        values: by seed.
        exact: whether it is a figure of the paper, which gives means alone: it is taken as it
            stands, as if it had no error.
    """

    values: Mapping[int, float]
    exact: bool = False

    @property
    def n(self) -> int:
        """How many seeds there are."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return round(statistics.fmean(self.values.values()), _DIGITS)

    @property
    def std(self) -> float:
        """Standard deviation over the seeds, 0 of one."""
        return statistics.stdev(self.values.values()) if self.n > 1 else 0.0

    @property
    def half_width(self) -> float:
        """Of the mean's 95 % interval (Student's t); raises CannotBeJudgedError for few seeds."""
        if self.exact:
            return 0.0
        self.require_seeds()
        quantile = float(student.ppf(1 - LEVEL / 2, self.n - 1))
        return quantile * self.std / math.sqrt(self.n)

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return round(self.mean - self.half_width, _DIGITS)

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return round(self.mean + self.half_width, _DIGITS)

    def require_seeds(self) -> None:
        """Raise CannotBeJudgedError where there are fewer than LEAST_SEEDS."""
        if not self.exact and self.n < LEAST_SEEDS:
            raise CannotBeJudgedError(
                f"{self.n} seed{'s' * (self.n != 1)}, and it takes {LEAST_SEEDS}"
            )

    def __sub__(self, other: Series) -> Series:
        return self.paired(other, lambda mine, its: mine - its)

    def __truediv__(self, other: Series) -> Series:
        return self.paired(other, lambda mine, its: mine / its)

    def paired(self, other: Series, function: Callable[[float, float], float]) -> Series:
        """Seed by seed, over those that both have; raises CannotBeJudgedError for none."""
        common = [seed for seed in self.values if seed in other.values]
        if not common:
            raise CannotBeJudgedError("no seed was run under both")
        try:
            values = {seed: function(self.values[seed], other.values[seed]) for seed in common}
        except ZeroDivisionError:
            raise CannotBeJudgedError("a reading that is divided by is zero") from None
        return Series(values, self.exact)

    def each(self, function: Callable[[float], float]) -> Series:
        """Every value changed."""
        return Series({seed: function(value) for seed, value in self.values.items()}, self.exact)

    def p_above(self, limit: float = 0.0) -> float:
        """One-sided p-value that the mean is above the limit (paired t-test); the paper's: 0, 1."""
        if self.exact:
            return 0.0 if self.mean > limit else 1.0
        self.require_seeds()
        values = list(self.values.values())
        return float(p_above(values, [0.0] * self.n, -limit))

    def __str__(self) -> str:
        if self.exact:
            return f"{self.mean:.4g}"
        if self.n < LEAST_SEEDS:
            return f"{self.mean:.4g}, n {self.n}"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}], n {self.n}"


def rounded(value: float) -> float:
    """So that a quotient which lies at a limit lies there exactly."""
    return round(value, _DIGITS - 3)


def mean_of(parts: Sequence[Series]) -> Series:
    """Seed by seed the mean of several, over the seeds that all have."""
    common = [s for s in parts[0].values if all(s in part.values for part in parts)]
    if not common:
        raise CannotBeJudgedError("no seed was run under all")
    return Series(
        {seed: statistics.fmean(part.values[seed] for part in parts) for seed in common},
        parts[0].exact,
    )


def all_above(differences: Sequence[Series]) -> bool:
    """Whether all paired differences are above 0, at LEVEL after Holm's correction."""
    return bool((holm([part.p_above() for part in differences]) <= LEVEL).all())

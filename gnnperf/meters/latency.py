"""Latency of a callable beside its reference, alternating in one process.

On a shared machine absolute times differ by tens of per cent between processes and drift within
one; the ratio of two callables that take turns does not.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence

from gnnperf.meters.base import MeterError
from gnnperf.meters.clocks import DeviceClock, Times
from gnnperf.meters.looks import (
    CONFIDENCE,
    LEAST_ROUNDS,
    Budget,
    clear_of,
    confidence_of_each,
    median_interval,
    planned_looks,
)
from gnnperf.records import Reading, measured, unavailable

ROUNDS = 120
WARMUP_ROUNDS = 20
HALF_WIDTH = 0.01
TIME_LIMIT_SECONDS = 20.0

# Warm-up ends when the last rounds are less than so much faster than those before them ...
_STEADY = 0.05
# ... or after so many times the rounds asked for, or so long.
_WARMUP_LIMIT = 3
_WARMUP_SECONDS = 1.0
# Slow calls warm up for fewer rounds than asked for, and are measured over fewer.
_LEAST_WARMUP_ROUNDS = 2
_CHECK_EVERY = 10


class Pair:
    """A candidate and its reference taking turns, who begins drawn anew for each round.

    `run` takes `rounds` rounds, and more until the ratio's interval is narrow or time is up;
    `run_within` takes `rounds` at most, and fewer once they have shown enough. A round is
    `before()`, the pair itself called, `after()`. `readings` looks at the rounds after warm-up
    alone. The ratio is asked on which side of `limit` it lies.
    """

    def __init__(
        self,
        candidate: Callable[[], object],
        reference: Callable[[], object],
        *,
        rounds: int = ROUNDS,
        warmup_rounds: int = WARMUP_ROUNDS,
        seed: int = 0,
        clock: DeviceClock | None = None,
        limit: float = 1.0,
    ) -> None:
        if rounds < 1:
            raise MeterError(f"rounds={rounds} measure nothing; take at least one")
        if not 0 < limit < math.inf:
            raise MeterError(f"limit={limit} is no ratio of times; name one above zero")
        if warmup_rounds < 1:
            raise ValueError("the first call compiles and fills caches: warm up at least one round")
        self.candidate, self._reference = candidate, reference
        self._clock = clock or DeviceClock()
        self.rounds, self.warmup_rounds = rounds, warmup_rounds
        self._log_limit, self._confidence = math.log(limit), CONFIDENCE
        self._random = random.Random(seed)
        self._reference_first = False
        self.candidate_times, self.reference_times = Times(), Times()
        self._round_seconds = 0.0
        self._warm_up_was, self._stopped = "", "as many rounds as asked for"

    def before(self) -> None:
        """The reference's turn when it begins this round."""
        self._reference_first = self._random.random() < 0.5
        if self._reference_first:
            self.reference_times.take(self._reference, self._clock)

    def __call__(self) -> None:
        """The candidate's turn."""
        self.candidate_times.take(self.candidate, self._clock)

    def after(self) -> None:
        """The reference's turn when the candidate began."""
        if not self._reference_first:
            self.reference_times.take(self._reference, self._clock)

    def _round(self) -> None:
        self.before()
        self()
        self.after()

    def warm_up(self, cap_seconds: float = math.inf) -> None:
        """Rounds that never count, until both callables have stopped getting faster.

        One at least; the others only where the cap leaves room for one that counts.
        """
        self.candidate_times, self.reference_times = Times(), Times()
        begin, done, steady = time.perf_counter(), 0, False
        while done < _LEAST_WARMUP_ROUNDS or time.perf_counter() < begin + _WARMUP_SECONDS:
            now = time.perf_counter()
            # Room for this round and one that counts.
            if done and now + 2 * (now - begin) / done > begin + cap_seconds:
                break
            if done >= self.warmup_rounds and (
                steady or done >= self.warmup_rounds * _WARMUP_LIMIT
            ):
                break
            self._round()
            done += 1
            steady = self._steady()
        if done < self.warmup_rounds:
            self._warm_up_was = f"warmed up for {done} rounds, all that its time allowed"
        elif steady:
            self._warm_up_was = f"warm after {done} rounds"
        else:
            self._warm_up_was = f"still getting faster after {done} rounds of warm-up"
        self._round_seconds = sum(
            statistics.median(times.wall_seconds)
            for times in (self.candidate_times, self.reference_times)
        )
        self.candidate_times, self.reference_times = Times(), Times()

    def fit_into(self, seconds: float, least_seconds: float = 0.0) -> None:
        """Take fewer rounds, 6 at least, where so many would take longer; call after warm-up.

        And more of them, where they would be over in less than `least_seconds`.
        """
        affordable = max(LEAST_ROUNDS, int(seconds / self._round_seconds))
        wanted = max(self.rounds, int(least_seconds / self._round_seconds))
        self.rounds = min(wanted, affordable)

    def run_within(self, budget: Budget, half_width: float = HALF_WIDTH) -> None:
        """Warm up and take rounds until they have shown enough, `rounds` at most, in their time.

        Enough is an interval wholly on one side of the limit, or so narrow: on either side, as a
        fraction. The intervals of `readings` hold with all looks together at 95 %.
        """
        end = time.perf_counter() + budget.cap_seconds
        self.warm_up(budget.cap_seconds)
        self.fit_into(budget.seconds, budget.least_seconds)
        looks = planned_looks(self.rounds) if budget.stops_early else (self.rounds,)
        for number, look in enumerate(looks, start=1):
            if not self._rounds_until(look, end):
                self._stopped = f"its time was up (at most {budget.cap_seconds:g} s)"
                break
            if not budget.stops_early:
                break
            # From the first look on, the last one has to live with a share.
            self._confidence = confidence_of_each(len(looks))
            self._stopped = f"look {number} of {len(looks)}, at {self._confidence:.2%} each"
            if clear_of(self._interval(), self._log_limit):
                self._stopped = f"clear of {math.exp(self._log_limit):g} at {self._stopped}"
                break
            if self._half_width() <= half_width:
                self._stopped = f"interval within {half_width:.1%} at {self._stopped}"
                break
        self.rounds = len(self.log_ratios())

    def _rounds_until(self, count: int, end: float) -> bool:
        """Go on to so many rounds; False where the next one, not the first, would end too late."""
        for done in range(len(self.log_ratios()), count):
            if done and time.perf_counter() + self._round_seconds > end:
                return False
            self._round()
        return True

    def _steady(self) -> bool:
        width = max(self.warmup_rounds // 2, 1)
        for times in (self.candidate_times, self.reference_times):
            last, earlier = times.wall_seconds[-width:], times.wall_seconds[-2 * width : -width]
            if earlier and statistics.median(last) < (1 - _STEADY) * statistics.median(earlier):
                return False
        return True

    def run(
        self,
        *,
        half_width: float = HALF_WIDTH,
        time_limit_seconds: float = TIME_LIMIT_SECONDS,
    ) -> None:
        """Warm up and take `rounds` rounds; go on until the interval is narrow or time is up.

        Args:
            half_width: of the ratio's 95 % interval, as a fraction: of device time where the
                device keeps it, else of CPU time.
            time_limit_seconds: from the first round of warm-up on; `rounds` are taken anyway.
        """
        end = time.perf_counter() + time_limit_seconds
        self.warm_up()
        for _ in range(self.rounds):
            self._round()
        while True:
            if self._half_width() <= half_width:
                self._stopped = f"interval within {half_width:.1%}"
                return
            for _ in range(_CHECK_EVERY):
                if time.perf_counter() >= end:
                    self._stopped = f"time was up ({time_limit_seconds:g} s)"
                    return
                self._round()

    def log_ratios(self, clock: str = "cpu") -> list[float]:
        """Logarithm of candidate / reference of every round so far; clock: cpu, wall, device."""
        mine, twin = (
            getattr(times, f"{clock}_seconds")
            for times in (self.candidate_times, self.reference_times)
        )
        return [math.log(a / b) for a, b in zip(mine, twin, strict=False)]

    def _interval(self) -> tuple[float, float]:
        logs = self.log_ratios("device" if self._clock.mark else "cpu")
        return median_interval(logs, self._confidence)

    def _half_width(self) -> float:
        low, high = self._interval()
        return (high - low) / 2

    def readings(self) -> dict[str, Reading]:
        """Ratios with their intervals and median seconds, of the rounds after warm-up.

        All unavailable when fewer rounds ran than asked for, as with measuring switched off.
        """
        clocks = {"cpu": "process CPU", "wall": "wall"}
        if self._clock.mark:
            clocks["device"] = "device"
        complete = len(self.candidate_times.cpu_seconds) >= self.rounds and self._warm_up_was
        found: dict[str, Reading] = {}
        for clock, name in clocks.items():
            found[f"{clock}_ratio"] = self._ratio(clock) if complete else _none("ratio")
            sides = {"": self.candidate_times, "twin_": self.reference_times}
            for side, times in sides.items():
                samples = getattr(times, f"{clock}_seconds")
                found[f"{side}{clock}_seconds"] = (
                    self._seconds(samples, name) if complete else _none("seconds")
                )
        return found

    def _ratio(self, clock: str) -> Reading:
        logs = self.log_ratios(clock)
        low, high = median_interval(logs, self._confidence)
        few = "the interval is their range; " if len(logs) < LEAST_ROUNDS else ""
        source = (
            f"median of {len(logs)} log ratios, alternating with the twin in one process; "
            f"{few}{self._warm_up_was}; {self._stopped}"
        )
        return measured(
            math.exp(statistics.median(logs)),
            "ratio",
            source,
            math.exp(low),
            math.exp(high),
            calls=len(logs),
        )

    def _seconds(self, samples: Sequence[float], clock: str) -> Reading:
        source = f"median {clock} time of {len(samples)} rounds"
        low, high = median_interval(samples, self._confidence)
        return measured(
            statistics.median(samples), "seconds", source, low, high, calls=len(samples)
        )


def _none(unit: str) -> Reading:
    reason = "measuring is switched off; pytest-benchmark does it"
    return unavailable(unit, "alternating in one process", reason, switched_off=True)


def smallest_effect(
    call: Callable[[], object],
    *,
    seconds: float = TIME_LIMIT_SECONDS,
    rounds: int = ROUNDS,
    clock: DeviceClock | None = None,
) -> Reading:
    """The smallest change that this machine can show now: a callable against itself (A/A).

    A fraction: a change of CPU time by so much shows in 4 of 5 measurements of `rounds` rounds,
    at 5 % false alarms. From the spread of the medians of consecutive blocks of rounds, which
    holds drift as well as jitter.
    """
    pair = Pair(call, call, rounds=_AA_BLOCKS * 2, clock=clock)
    pair.run(half_width=0, time_limit_seconds=seconds)
    logs = pair.log_ratios()
    size = min(rounds, len(logs) // _AA_BLOCKS)
    blocks = [logs[i : i + size] for i in range(0, len(logs) - size + 1, size)]
    # The true ratio is 1, so the spread is around 0 and not around their mean.
    spread = math.sqrt(statistics.fmean(statistics.median(block) ** 2 for block in blocks))
    spread *= math.sqrt(size / rounds)
    source = (
        f"A/A, {len(logs)} rounds in {len(blocks)} blocks, "
        f"for measurements of {rounds} rounds; {pair.readings()['cpu_ratio'].source}"
    )
    return measured(math.expm1(_DETECTABLE * spread), "fraction", source, calls=len(logs))


_AA_BLOCKS = 5
# Standard deviations between a null and an effect: 5 % false alarms, two-sided, and 80 % power.
_DETECTABLE = 1.960 + 0.842

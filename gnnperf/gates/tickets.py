"""Whether lottery tickets win, over several seeds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ttest_1samp

from gnnperf.errors import GnnperfError

LEVEL = 0.05
"""Share of workloads without a winning ticket in which one is found all the same, at most."""
MARGIN = 0.01
"""A ticket may be so far below the dense models and still count as no worse."""
SEEDS_NEEDED = 5


@dataclass(frozen=True)
class TicketScores:
    """Scores of a ticket and of what it is held against, higher is better.

    One a seed, the same seeds in the same order everywhere; NaN where a training diverged.

    Attributes:
        dense: of the models that were not pruned.
        ticket: of the tickets.
        controls: of each kind of control, by its name.
    """

    dense: Sequence[float]
    ticket: Sequence[float]
    controls: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Verdict:
    """Whether a winning ticket was found.

    Attributes:
        unmet: what it takes and was not so, in words.
        p_value: of the ticket among all of its workload.
        unjudged: why nothing can be said; empty where something can.
    """

    unmet: tuple[str, ...]
    p_value: float = 1.0
    unjudged: str = ""

    @property
    def found(self) -> bool:
        """Whether nothing was missing."""
        return not (self.unmet or self.unjudged)

    def __str__(self) -> str:
        if self.unjudged:
            return f"cannot be judged: {self.unjudged}"
        if self.found:
            return f"winning ticket found (p {self.p_value:.2g})"
        return f"no winning ticket: {', '.join(self.unmet)}"


def judge_tickets(tickets: Mapping[str, TicketScores]) -> dict[str, Verdict]:
    """Judge all tickets of one workload together, seed by seed.

    A winning ticket is no more than MARGIN worse than dense, and better than every control:
    paired one-sided t-tests, Holm's correction over the controls, and over the tickets. So at most
    LEVEL of the workloads without a winning ticket are said to have one. Fewer than SEEDS_NEEDED
    seeds, and seeds without a score, cannot be judged.

    Args:
        tickets: by name; which of them are judged together decides what each has to reach.

    Raises GnnperfError for scores of different numbers of seeds.
    """
    reasons = {name: _unjudged(scores) for name, scores in tickets.items()}
    parts = {
        name: {} if reasons[name] else comparisons(s.dense, s.ticket, s.controls)
        for name, s in tickets.items()
    }
    together = holm([max(map(float, p.values()), default=1.0) for p in parts.values()])
    verdicts = {}
    for (name, part), p_value in zip(parts.items(), together.tolist(), strict=True):
        unmet = [f"not {what} (p {float(p):.2g})" for what, p in part.items() if p > LEVEL]
        if not unmet and p_value > LEVEL:
            unmet = [f"too likely by chance among {len(tickets)} tickets (p {p_value:.2g})"]
        verdicts[name] = Verdict(tuple(unmet), p_value, reasons[name])
    return verdicts


def _unjudged(scores: TicketScores) -> str:
    each = (scores.dense, scores.ticket, *scores.controls.values())
    counts = {len(part) for part in each}
    if len(counts) != 1:
        raise GnnperfError(
            "a verdict on lottery tickets needs scores of the same seeds for the dense models, the "
            f"tickets and the controls, and there are {', '.join(map(str, sorted(counts)))}"
        )
    seeds = counts.pop()
    if seeds < SEEDS_NEEDED:
        return f"{seeds} seed{'s' * (seeds != 1)}, and it takes {SEEDS_NEEDED}"
    missing = int((~np.isfinite(each)).any(0).sum())
    return f"{missing} of {seeds} seeds gave no score" if missing else ""


def comparisons(
    dense: ArrayLike, ticket: ArrayLike, controls: Mapping[str, ArrayLike]
) -> dict[str, Any]:
    """p-values [...] of all that a winning ticket has to be, from scores [..., seeds].

    Those of the controls are corrected for their number.
    """
    above = holm(np.stack([p_above(ticket, scores) for scores in controls.values()], -1))
    return {
        f"within {MARGIN:g} of dense": p_above(ticket, dense, MARGIN),
        **{f"above {name}": above[..., index] for index, name in enumerate(controls)},
    }


def p_above(scores: ArrayLike, others: ArrayLike, margin: float = 0.0) -> Any:
    """One-sided p-values [...] that scores [..., seeds] are above the others less the margin.

    A paired t-test; 1 where all seeds differ by nothing.
    """
    # Rounded, so that quotients of counts which differ by the margin itself do so exactly.
    gain = np.round(np.subtract(scores, others) + margin, 12)
    with warnings.catch_warnings():
        # All seeds may differ by the same: t is then infinite, or there is none.
        warnings.simplefilter("ignore", RuntimeWarning)
        p_value = ttest_1samp(gain, 0.0, axis=-1, alternative="greater").pvalue
    return np.where(np.isnan(p_value), 1.0, p_value)


def holm(p_values: ArrayLike) -> Any:
    """p-values [..., tests] corrected for the number of tests (Holm, 1979)."""
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, axis=-1)
    left = np.arange(p_values.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p_values, order, -1) * left, axis=-1)
    corrected = np.empty_like(p_values)
    np.put_along_axis(corrected, order, np.minimum(stepped, 1.0), axis=-1)
    return corrected

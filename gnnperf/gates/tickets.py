"""Whether lottery tickets win, over several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gnnperf.errors import GnnperfError


@dataclass(frozen=True)
class Verdict:
    """Whether a winning ticket was found; `unmet` says what it takes and was not so."""

    unmet: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether nothing was missing."""
        return not self.unmet

    def __str__(self) -> str:
        if self.found:
            return "winning ticket found"
        return f"no winning ticket: {', '.join(self.unmet)}"


def judge_tickets(
    dense: Sequence[float], ticket: Sequence[float], controls: Mapping[str, Sequence[float]]
) -> Verdict:
    """Judge tickets by their scores (higher is better), one a seed, the same seeds in all.

    A winning ticket's mean is at most one standard error of the dense mean (deviation over the
    root of the number of seeds) below the dense mean, and above the mean of every control. Raises
    GnnperfError for fewer than two seeds, or not the same number everywhere.
    """
    counts = {len(scores) for scores in (dense, ticket, *controls.values())}
    if len(counts) != 1 or counts.pop() < 2:
        raise GnnperfError(
            "a verdict on lottery tickets needs scores of at least two seeds, and of the same "
            "seeds for the dense models, the tickets and the controls"
        )
    mean = statistics.fmean(ticket)
    needed = statistics.fmean(dense) - statistics.stdev(dense) / math.sqrt(len(dense))
    unmet = [f"below dense less 1 SE ({needed:.4f})"] if mean < needed else []
    unmet += [
        f"not above {name}" for name, scores in controls.items() if mean <= statistics.fmean(scores)
    ]
    return Verdict(tuple(unmet))

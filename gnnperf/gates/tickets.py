"""Whether lottery tickets win, over several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gnnperf.errors import GnnperfError


@dataclass(frozen=True)
class Verdict:
    """Whether a winning ticket was found, and the figures that say so."""

    found: bool
    why: str

    def __str__(self) -> str:
        return f"{'winning ticket found' if self.found else 'no winning ticket'}: {self.why}"


def judge_tickets(
    dense: Sequence[float], ticket: Sequence[float], controls: dict[str, Sequence[float]]
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
    reasons = [f"{mean:.4f} {'<' if mean < needed else '>='} {needed:.4f} (dense less 1 SE)"]
    found = mean >= needed
    for name, scores in controls.items():
        control = statistics.fmean(scores)
        reasons.append(f"{'>' if mean > control else '<='} {control:.4f} ({name})")
        found = found and mean > control
    return Verdict(found, ", ".join(reasons))

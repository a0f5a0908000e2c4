"""Whether a figure of ours agrees with the paper's: for cells of tables, and claims about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal

from gnnperf.reports.paper import Figure
from gnnperf.reports.study.evidence import PAPER, Evidence
from gnnperf.reports.study.ledger import Judgement, Verdict
from gnnperf.reports.study.series import CannotBeJudgedError, Series, rounded

Mark = Literal["agrees", "better", "worse", ""]
"""Beside the paper's figure; empty where the two cannot be compared."""

PAPER_SEEDS = 10
DROP_WITHIN = 0.02
"""A score also agrees where its drop against its own dense model agrees so far."""
SIZE_WITHIN = 0.03
CELLS_AGREE = 0.9
"""A table is reproduced where so many of its cells agree, in part where half of them do."""


def score_mark(evidence: Evidence, workload: str, recipe: str) -> Mark:
    """Within two standard errors of ours and the paper's together, or with the same drop."""
    ours, figure = (
        evidence.series(workload, recipe, "score"),
        PAPER.figure(workload, recipe, "score"),
    )
    ours.require_seeds()
    error = 0.0 if ours.exact else ours.std / math.sqrt(ours.n)
    both = math.sqrt(error**2 + (figure.std or 0.0) ** 2 / PAPER_SEEDS)
    difference = rounded(ours.mean - figure.mean)
    if abs(difference) <= 2 * both or _same_drop(evidence, workload, recipe):
        return "agrees"
    return "better" if difference > 0 else "worse"


def _same_drop(evidence: Evidence, workload: str, recipe: str) -> bool:
    if recipe == "global@0":  # A dense model has no drop.
        return False
    try:
        mine = evidence.series(workload, recipe, "drop").mean
        return abs(rounded(mine - PAPER.series(workload, recipe, "drop").mean)) <= DROP_WITHIN
    except CannotBeJudgedError:
        return False


def size_mark(ours: Series, figure: Figure) -> Mark:
    """Within 3 %; a higher ratio is better."""
    ours.require_seeds()
    apart = rounded(ours.mean / figure.mean - 1)
    if abs(apart) <= SIZE_WITHIN:
        return "agrees"
    return "better" if apart > 0 else "worse"


def cells_judged(marks: Iterable[Mark], of: int, reason: str) -> Judgement:
    """A table's verdict from the marks of the cells that ran, at least half of them all.

    Args:
        marks: of the cells that ran.
        of: how many cells there are.
        reason: why the first of the others did not.
    """
    found = list(marks)
    if 2 * len(found) < of:
        raise CannotBeJudgedError(f"{len(found)} of {of} cells can be compared; {reason}")
    agree, better = found.count("agrees"), found.count("better")
    verdict: Verdict = "not reproduced"
    if agree >= CELLS_AGREE * len(found):
        verdict = "reproduced"
    elif agree + better >= CELLS_AGREE * len(found):
        verdict = "better"
    elif 2 * (agree + better) >= len(found):
        verdict = "in part"
    counts = f"{agree} agree, {better} are better, {len(found) - agree - better} worse"
    missing = f"; {of - len(found)} of {of} were not run" if len(found) < of else ""
    return Judgement(verdict, f"of {len(found)} cells {counts}{missing}")


def score_cells(evidence: Evidence, cells: Iterable[tuple[str, str]]) -> Judgement:
    """The verdict on cells of scores, named by workload and recipe."""
    return _cells(cells, lambda workload, recipe: score_mark(evidence, workload, recipe))


def size_cells(evidence: Evidence, cells: Iterable[tuple[str, str]]) -> Judgement:
    """The verdict on cells of Algorithm 1's size ratios, named by workload and recipe."""

    def mark(workload: str, recipe: str) -> Mark:
        ours = evidence.series(workload, recipe, "algorithm1_ratio")
        return size_mark(ours, PAPER.figure(workload, recipe, "algorithm1_ratio"))

    return _cells(cells, mark)


def _cells(cells: Iterable[tuple[str, str]], mark: Callable[[str, str], Mark]) -> Judgement:
    marks: list[Mark] = []
    reasons: list[str] = []
    for workload, recipe in cells:
        try:
            marks.append(mark(workload, recipe))
        except CannotBeJudgedError as reason:
            reasons.append(str(reason))
    return cells_judged(marks, len(marks) + len(reasons), (reasons or [""])[0])

"""What a claim is, how its rule comes to a verdict, and the register of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from gnnperf.reports.study.evidence import Evidence
from gnnperf.reports.study.series import CannotBeJudgedError, Series

Verdict = Literal["reproduced", "better", "in part", "not reproduced", "cannot be judged"]
VERDICTS: tuple[Verdict, ...] = (
    *("reproduced", "better", "in part", "not reproduced", "cannot be judged"),
)
T = TypeVar("T")


@dataclass(frozen=True)
class Judgement:
    """What a rule found.

    Attributes:
        verdict: one of VERDICTS.
        found: the figures that it rests on, or why there is none.
    """

    verdict: Verdict
    found: str


Rule = Callable[[Evidence], Judgement]
"""Pure over evidence; raises CannotBeJudgedError."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and what decides it.

    Attributes:
        id: of the ledger.
        section: of the paper, or its table or figure.
        words: the statement.
        rule_words: the rule.
        settled_by: the command whose records decide it.
        rule: the rule as code.
        is_table: whether it is a table of the paper itself, which bears itself out.
    """

    id: str
    section: str
    words: str
    rule_words: str
    settled_by: str
    rule: Rule
    is_table: bool = False

    def judge(self, evidence: Evidence) -> Judgement:
        """The rule's verdict; `cannot be judged` with the reason where it has none."""
        try:
            return self.rule(evidence)
        except CannotBeJudgedError as reason:
            return Judgement("cannot be judged", str(reason))


CLAIMS: dict[str, Claim] = {}
"""By id, in the paper's order; filled by the files beside this one."""


def claim(
    id: str, section: str, words: str, rule_words: str, bench: str, *, is_table: bool = False
) -> Callable[[Rule], Rule]:
    """Register a rule; `bench` names the file whose cases settle it."""

    def register(rule: Rule) -> Rule:
        command = f"pytest bench/{bench}.py --gnnperf-preset paper"
        CLAIMS[id] = Claim(id, section, words, rule_words, command, rule, is_table)
        return rule

    return register


@dataclass(frozen=True)
class Check:
    """One part of a rule: whether it holds, and the figure that says so."""

    what: str
    holds: bool
    found: str

    def __str__(self) -> str:
        return f"{self.what}: {self.found}"


def at_most(what: str, series: Series, limit: float) -> Check:
    """The whole 95 % interval is at or below the limit."""
    return Check(what, series.high <= limit, str(series))


def above(what: str, series: Series, limit: float) -> Check:
    """The whole 95 % interval is above the limit."""
    return Check(what, series.low > limit, str(series))


def below(what: str, series: Series, limit: float) -> Check:
    """The whole 95 % interval is below the limit."""
    return Check(what, series.high < limit, str(series))


def within(what: str, series: Series, low: float, high: float) -> Check:
    """Equivalence: the whole 95 % interval lies between the limits."""
    return Check(what, low <= series.low and series.high <= high, str(series))


def gather(check: Callable[[T], Check], items: Iterable[T], least: float = 1.0) -> list[Check]:
    """The check of each item.

    Raises CannotBeJudgedError, with the first reason, where fewer than the share `least` can be
    checked.
    """
    checks: list[Check] = []
    reasons: list[str] = []
    for item in items:
        try:
            checks.append(check(item))
        except CannotBeJudgedError as reason:
            reasons.append(str(reason))
    if (reasons and len(checks) < least * (len(checks) + len(reasons))) or not checks:
        more = f", and {len(reasons) - 1} more like it" if len(reasons) > 1 else ""
        raise CannotBeJudgedError((reasons or ["nothing was run"])[0] + more)
    return checks


def judged(checks: Sequence[Check], part: float = 0.5) -> Judgement:
    """Reproduced where all hold, in part where the share `part` does and at least one."""
    held = sum(check.holds for check in checks)
    verdict: Verdict = "not reproduced"
    if held == len(checks):
        verdict = "reproduced"
    elif held and held >= part * len(checks):
        verdict = "in part"
    return Judgement(verdict, told(checks))


def told(checks: Sequence[Check]) -> str:
    """How many hold, and the figures: of those that do not, or of the first that do."""
    if len(checks) == 1:
        return str(checks[0])
    failed = [check for check in checks if not check.holds]
    shown = failed or list(checks)
    more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    lead = "not " if failed else ""
    listed = "; ".join(map(str, shown[:_SHOWN]))
    return f"{len(checks) - len(failed)} of {len(checks)} hold; {lead}{listed}{more}"


_SHOWN = 3

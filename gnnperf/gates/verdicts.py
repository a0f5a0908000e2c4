"""The comparison of records with baselines: ok, regressed, improved, new or gone, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from gnnperf.gates.baselines import CaseBaseline, OnMachine, Paired
from gnnperf.gates.calibration import alone_limit_fraction, limit_fraction, over_rounds
from gnnperf.gates.limits import limit_of
from gnnperf.gates.metrics import (
    COVERAGE,
    METRICS,
    SCORE,
    Metric,
    data_fingerprint,
    gated,
    machine_class,
)
from gnnperf.records import Reading, Record

Verdict = Literal["regressed", "gone", "unconfirmed", "new data", "new", "improved", "ok"]

WORST_FIRST: tuple[Verdict, ...] = get_args(Verdict)
"""The verdict of a case is the first of those that its readings have."""

_FAIL: tuple[Verdict, ...] = ("regressed", "gone")
_FAIL_STRICTLY: tuple[Verdict, ...] = (*_FAIL, "unconfirmed", "new data", "new")


def fails(verdict: Verdict, *, strict: bool) -> bool:
    """Whether a case with it fails; strictly also where nothing could be compared."""
    return verdict in (_FAIL_STRICTLY if strict else _FAIL)


@dataclass(frozen=True)
class Finding:
    """One reading against its baseline.

    Attributes:
        metric: name of the reading.
        verdict: what came of it.
        before, now: the values; None where there is none.
        change: now against before, as a fraction; of a score, in its points.
        limit: how far it may go, likewise.
        sentence: all of it for people.
        suspected: whether a fresh process has yet to confirm the regression.
        alone_limit: of a ratio, how far it may go where no fresh process can confirm anything.
    """

    metric: str
    verdict: Verdict
    before: float | None
    now: float | None
    change: float | None
    limit: float | None
    sentence: str
    suspected: bool = False
    alone_limit: float | None = None


@dataclass(frozen=True)
class CaseVerdict:
    """A case against its baseline.

    Attributes:
        test: the id of its test.
        verdict: the worst of its findings.
        findings: one a gated reading.
        notes: what could not be gated, and why.
    """

    test: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def failures(self, *, strict: bool) -> list[str]:
        """The sentences for which the case fails; strictly also for what was not compared."""
        return [f.sentence for f in self.findings if fails(f.verdict, strict=strict)]


def case_verdict(
    test: str, findings: Sequence[Finding], notes: Sequence[str] = (), *, strict: bool = False
) -> CaseVerdict:
    """The findings' worst verdict; unless strictly, a case is new where nothing of it is known."""
    verdicts = {finding.verdict for finding in findings} or {"ok"}
    if not strict and verdicts != {"new"}:
        verdicts -= {"new"}
    return CaseVerdict(
        test, next(v for v in WORST_FIRST if v in verdicts), tuple(findings), tuple(notes)
    )


def judge(
    test: str,
    record: Record,
    baseline: CaseBaseline | None,
    limits: Mapping[str, float],
    *,
    strict: bool = False,
) -> CaseVerdict:
    """All of a case but its score, which is judged over the seeds: see `gnnperf.gates.scores`.

    A ratio beyond its limit is only suspected: measure it again and ask `confirmed`.
    """
    if baseline is None:
        sentence = f"{test}: there is no baseline; accept one with --gnnperf-accept"
        return case_verdict(test, [_absent("case", "new", sentence)])
    if baseline.data != data_fingerprint(record):
        return case_verdict(test, [_new_data(test, record, baseline)])
    here = machine_class(record)
    known = _known(record, baseline, here)
    findings, notes = [], []
    for metric, name, reading in gated(record):
        if reading.status != "measured" or reading.value is None:
            lost = name in known and (strict or not reading.switched_off)
            if lost:
                findings.append(_lost(test, name, reading))
            else:
                notes.append(f"{name} is not gated: it is {reading.status} ({reading.reason})")
        elif metric.kind == "exact":
            findings.append(_judge_exact(test, metric, reading.value, baseline, here, limits))
        elif metric.kind == "paired":
            findings.append(_judge_paired(test, metric, reading, baseline, here, limits))
    if here not in baseline.machines:
        notes.append(f"no baseline for this machine class ({here}); ratios are not compared")
    findings += _gone_readings(test, record, known)
    notes += _wide(findings, limits)
    return case_verdict(test, findings, notes, strict=strict)


def judge_coverage(test: str, record: Record, limits: Mapping[str, float]) -> Finding | None:
    """The share of the weights that the recipe took in hand against the least that is allowed.

    It needs no baseline; None where no limit is set.
    """
    least = limits.get(COVERAGE)
    if least is None:
        return None
    reading = record.readings.get("covered")
    now = None if reading is None else reading.value
    if now is None:
        why = "it was not counted" if reading is None else reading.reason
        sentence = f"{test}: how much of the weights it covers is unavailable: {why}"
        return Finding("covered", "regressed", None, None, None, least, sentence)
    left = ", ".join(record.uncovered)
    sentence = (
        f"{test}: {record.recipe} covers {now:.4f} of the weights, and {least:.4f} is the least"
        + (f"; left out: {left}" if left else "")
    )
    # Both are quotients: the least itself must not fail by rounding.
    verdict: Verdict = "ok" if now >= least - 1e-9 else "regressed"
    return Finding("covered", verdict, None, now, None, least, sentence)


def _judge_exact(
    test: str,
    metric: Metric,
    now: float,
    baseline: CaseBaseline,
    here: str,
    limits: Mapping[str, float],
) -> Finding:
    elsewhere = not metric.everywhere and here not in baseline.machines
    before = _exact_baseline(metric, now, baseline, here)
    if before is None:
        return _new_reading(test, metric.name, now)
    limit = limit_of(metric, limits, elsewhere=elsewhere)
    grown = now - before
    change = grown / before if before else math.copysign(math.inf, grown) if grown else 0.0
    share = "" if math.isinf(change) else f" ({abs(change):.2%})"
    where = ", as trained weights differ from the baseline's class of machine" * elsewhere
    tail = f"it may grow by {limit:.2%}{where}" if limit else "it is exact and may not grow"
    if change > limit:
        verdict: Verdict = "regressed"
    elif change < -limit:
        verdict, tail = "improved", "accept it with --gnnperf-accept"
    else:
        verdict = "ok"
    sentence = (
        f"{test}: {metric.name} {'shrank' if grown < 0 else 'grew'} from {before:.10g} to "
        f"{now:.10g}, by {abs(grown):.10g}{share}; {tail}"
    )
    return Finding(metric.name, verdict, before, now, change, limit, sentence)


def _exact_baseline(metric: Metric, now: float, baseline: CaseBaseline, here: str) -> float | None:
    if metric.everywhere:
        return baseline.exact.get(metric.name)
    if here in baseline.machines:
        return baseline.machines[here].exact.get(metric.name)
    return _nearest(now, [m.exact.get(metric.name) for m in baseline.machines.values()])


def _nearest(now: float, values: Sequence[float | None]) -> float | None:
    """Of other classes of machine any may be this one's like: take none for a regression."""
    known = [value for value in values if value is not None]
    return min(known, key=lambda value: abs(value - now), default=None)


def _judge_paired(
    test: str,
    metric: Metric,
    reading: Reading,
    baseline: CaseBaseline,
    here: str,
    limits: Mapping[str, float],
) -> Finding:
    now = reading.value or math.nan
    machine = baseline.machines.get(here)
    if machine is None or metric.name not in machine.paired:
        what = f"{metric.name} has no baseline for this machine class ({here})"
        sentence = f"{test}: {what}; accept one with --gnnperf-accept"
        return Finding(metric.name, "new", None, now, None, None, sentence)
    accepted = machine.paired[metric.name]
    paired = over_rounds(accepted, reading.calls)
    limit = limit_fraction(paired, limit_of(metric, limits))
    change = now / paired.median - 1
    tail = _limit_reason(accepted, limit_of(metric, limits), limit)
    if paired != accepted and limit > limit_of(metric, limits):
        tail += f" and its {accepted.rounds} rounds, of which there were {reading.calls} now"
    if change > limit:
        verdict: Verdict = "regressed"
    elif change < 1 / (1 + limit) - 1:
        verdict, tail = "improved", f"{tail}; accept it with --gnnperf-accept"
    else:
        verdict = "ok"
    sentence = (
        f"{test}: {metric.name} {'fell' if change < 0 else 'rose'} from {paired.median:.3f} "
        f"(median of {paired.processes} processes) to {now:.3f}, by {abs(change):.1%}; "
        f"the limit is {limit:.1%}, {tail}"
    )
    suspected = verdict == "regressed"
    alone = alone_limit_fraction(paired, limit_of(metric, limits)) if suspected else None
    return Finding(
        metric.name, verdict, paired.median, now, change, limit, sentence, suspected, alone
    )


def _wide(findings: Iterable[Finding], limits: Mapping[str, float]) -> Iterator[str]:
    """Of ratios that scattered so much that their gate lets through what people would not."""
    for finding in findings:
        metric = METRICS.get(finding.metric, SCORE)
        least = max(limit_of(metric, limits), metric.tolerance)
        if metric.kind == "paired" and (finding.limit or 0.0) > 2 * least:
            yield (
                f"{metric.name} may rise by more than twice its limit, as the baseline scattered; "
                "take it anew on a quieter machine: gnnperf baselines calibrate"
            )


def _limit_reason(paired: Paired, least: float, limit: float) -> str:
    return "as set" if limit == least else f"from the baseline's spread of {paired.spread:.1%}"


def confirmed(
    verdict: CaseVerdict, measure_again: Callable[[], Record | str], *, strict: bool = False
) -> CaseVerdict:
    """The verdict after a fresh process measured what is suspected, where anything is.

    Args:
        verdict: of the case.
        measure_again: gives the fresh process's record, or why there is none; called at most once.
        strict: as for `judge`.
    """
    if not any(finding.suspected for finding in verdict.findings):
        return verdict
    again = measure_again()
    findings = [_settled(f, again) if f.suspected else f for f in verdict.findings]
    return case_verdict(verdict.test, findings, verdict.notes, strict=strict)


def _settled(finding: Finding, again: Record | str) -> Finding:
    reading = None if isinstance(again, str) else again.readings.get(finding.metric)
    again_now = None if reading is None else reading.value
    if again_now is None:
        reason = again if isinstance(again, str) else "the reading is unavailable there"
        tail = f"and a fresh process could not measure it again: {reason}"
        alone = finding.alone_limit or 0.0
        verdict: Verdict = "regressed"
        if (finding.change or 0.0) <= alone:
            verdict, tail = "unconfirmed", f"{tail}; a rise alone counts from {alone:.1%} on"
        sentence = f"{finding.sentence}, {tail}"
        return replace(finding, suspected=False, verdict=verdict, sentence=sentence)
    if again_now / (finding.before or math.nan) - 1 > (finding.limit or 0.0):
        tail = f"and a fresh process measured {again_now:.3f}"
        return replace(finding, suspected=False, sentence=f"{finding.sentence}, {tail}")
    tail = f"a fresh process measured {again_now:.3f}, so it counts as noise"
    return replace(finding, suspected=False, verdict="ok", sentence=f"{finding.sentence}; {tail}")


def gone(test: str, reason: str) -> CaseVerdict:
    """A case that has a baseline and did not run."""
    sentence = (
        f"{test}: the case is gone: it has a baseline, and {reason}; bring it back, or take its "
        "baseline out with `gnnperf baselines prune`"
    )
    return CaseVerdict(test, "gone", (_absent("case", "gone", sentence),))


def _known(record: Record, baseline: CaseBaseline, here: str) -> dict[str, None]:
    """The readings that the baseline has for this class of machine; of others, their scores."""
    machine = baseline.machines.get(here, OnMachine({}, {}, {}, {}))
    others = baseline.machines.values() if here not in baseline.machines else ()
    scores = [name for other in (machine, *others) for name in other.scores]
    return dict.fromkeys((*baseline.exact, *machine.exact, *scores, *machine.paired))


def _gone_readings(test: str, record: Record, known: Iterable[str]) -> list[Finding]:
    taken = {name for _, name, _ in gated(record)}
    return [
        _absent(
            name,
            "gone",
            f"{test}: {name} is in the baseline and the case no longer takes it; take it again, "
            "or accept the case without it with --gnnperf-accept",
        )
        for name in known
        if name not in taken
    ]


def _lost(test: str, name: str, reading: Reading) -> Finding:
    sentence = (
        f"{test}: {name} was measured for the baseline, and now it is {reading.status} "
        f"({reading.reason})"
    )
    return _absent(name, "gone" if reading.switched_off else "regressed", sentence)


def _new_data(test: str, record: Record, baseline: CaseBaseline) -> Finding:
    now = data_fingerprint(record)
    sentence = (
        f"{test}: the data is another, so that nothing is compared: {record.source} "
        f"{record.dataset} has the fingerprint {now or 'unknown'}, and the baseline's has "
        f"{baseline.data or 'none'}; bring that back, or accept this with --gnnperf-accept"
    )
    return _absent("data", "new data", sentence)


def _new_reading(test: str, name: str, now: float) -> Finding:
    sentence = f"{test}: {name} = {now:.10g} has no baseline; accept one with --gnnperf-accept"
    return Finding(name, "new", None, now, None, None, sentence)


def _absent(name: str, verdict: Verdict, sentence: str) -> Finding:
    return Finding(name, verdict, None, None, None, None, sentence)

"""The headline score against its baseline, over all seeds of a case together."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gnnperf.gates.baselines import Baselines, CaseBaseline, OnMachine
from gnnperf.gates.limits import limit_of
from gnnperf.gates.metrics import SCORE, data_fingerprint, machine_class
from gnnperf.gates.verdicts import Finding, Verdict
from gnnperf.records import Record


@dataclass(frozen=True)
class ScorePair:
    """A seed's headline score, in its baseline and now.

    Attributes:
        before, now: the scores.
        elsewhere: whether the baseline is of another class of machine.
    """

    before: float
    now: float
    elsewhere: bool


@dataclass(frozen=True)
class ScoresOfSeeds:
    """What a case's score is judged by, as far as its seeds ran here.

    Attributes:
        pairs: by test.
        limits: as `parse_limits` gives them.
    """

    pairs: Mapping[str, ScorePair]
    limits: Mapping[str, float]


def judge_scores(
    records: Mapping[str, Record], baselines: Baselines, limits: Mapping[str, float]
) -> Finding | None:
    """The headline score of cases that differ in their seed alone; None without a baseline.

    A change for the worse counts where its mean over the paired seeds is beyond the tolerance and
    beyond twice its standard error. With one seed the tolerance decides.

    Args:
        records: by the id of the test, of all seeds that ran.
        baselines: those of the same tests, and any others; not compared where the data is another.
        limits: as `parse_limits` gives them.
    """
    pairs = score_pairs(records, baselines)
    if not pairs:
        return None
    test, record = list(records.items())[-1]
    return judge_pairs(test, record, list(pairs.values()), limits)


def score_pairs(records: Mapping[str, Record], baselines: Baselines) -> dict[str, ScorePair]:
    """The scores of tests that have a baseline to be held to."""
    pairs = {}
    for test, record in records.items():
        reading, baseline = record.readings.get(record.metric), baselines.get(test)
        if baseline is None or reading is None or reading.value is None:
            continue
        machine, same = _score_machine(baseline, record, reading.value)
        if machine is not None and baseline.data == data_fingerprint(record):
            pairs[test] = ScorePair(machine.scores[record.metric], reading.value, not same)
    return pairs


def judge_pairs(
    test: str, record: Record, pairs: Sequence[ScorePair], limits: Mapping[str, float]
) -> Finding:
    """As `judge_scores`, of pairs that it would find; `test` and `record` are the last seed's."""
    before, now = (statistics.fmean(getattr(p, side) for p in pairs) for side in ("before", "now"))
    elsewhere = any(pair.elsewhere for pair in pairs)
    rises = [pair.now - pair.before for pair in pairs]
    rise = statistics.fmean(rises)
    worse = -rise if record.higher_is_better else rise
    tolerance = limit_of(SCORE, limits, before=before, elsewhere=elsewhere)
    error = statistics.stdev(rises) / math.sqrt(len(rises)) if len(rises) > 1 else 0.0
    limit = max(tolerance, 2 * error)
    seeds = f"{len(pairs)} seed{'s' * (len(pairs) > 1)}"
    where = ", on another class of machine than the baseline's" * elsewhere
    why = "the tolerance" if limit == tolerance else f"twice the {seeds}' standard error"
    tail = f"over {seeds}{where}; the limit is {limit:.4f}, {why}"
    # A score is a quotient of counts: a change by the tolerance itself must not fail by rounding.
    beyond = limit + 1e-9 * max(1.0, abs(before))
    if worse > beyond:
        verdict: Verdict = "regressed"
    elif worse < -beyond:
        verdict, tail = "improved", f"{tail}; accept it with --gnnperf-accept"
    else:
        verdict = "ok"
    sentence = (
        f"{test}: {record.metric} {'fell' if rise < 0 else 'rose'} from {before:.4f} to "
        f"{now:.4f}, by {abs(rise):.4f} {tail}"
    )
    return Finding(record.metric, verdict, before, now, rise, limit, sentence)


def _score_machine(
    baseline: CaseBaseline, record: Record, now: float
) -> tuple[OnMachine | None, bool]:
    """The class of machine to compare a score with, and whether it is this one."""
    known = {n: m for n, m in baseline.machines.items() if record.metric in m.scores}
    here = machine_class(record)
    if here in known:
        return known[here], True
    nearest = min(
        known.values(), key=lambda machine: abs(machine.scores[record.metric] - now), default=None
    )
    return nearest, False


def seed_group(test: str) -> str:
    """What the ids of tests share that differ in the case's seed alone."""
    return re.sub(r"-seed\d+(?=[\]-])", "", test)

"""Parts of a run put together: pytest-benchmark's JSON, and the gates' verdicts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gnnperf.errors import GnnperfError
from gnnperf.gates.scores import ScoresOfSeeds, judge_pairs, seed_group
from gnnperf.gates.verdicts import CaseVerdict, case_verdict
from gnnperf.records import Record, structured
from gnnperf.reports.gates import GateReport
from gnnperf.study.shards import Share

T = TypeVar("T")


class GatherError(GnnperfError):
    """Files that cannot be merged, and what to do."""


@dataclass(frozen=True)
class Part:
    """A file that a shard left.

    Attributes:
        path: where it lies.
        content: the JSON in it.
        records: what it measured, by the id of the test.
        share: which one it is; None of a whole run.
    """

    path: Path
    content: Mapping[str, Any]
    records: Mapping[str, Record]
    share: Share | None


def one_run(parts: Sequence[Part]) -> None:
    """Raise GatherError where shards are not all of one run, or one is missing."""
    shares = [(part, share) for part in parts if (share := part.share) is not None]
    if not shares:
        return
    first, share = shares[0]
    for part, other in shares:
        if (other.of, other.whole, other.sizes) != (share.of, share.whole, share.sizes):
            raise GatherError(
                f"{first.path} is of another run than {part.path}: share {share.number} of "
                f"{share.of} and share {other.number} of {other.of} of other tests; gather the "
                "shards of one run, of one commit under the same options"
            )
    there = {other.number for _, other in shares}
    lacking = [n for n, size in enumerate(share.sizes, 1) if size and n not in there]
    if lacking:
        names = ", ".join(f"{number}/{share.of}" for number in lacking[:_MOST_NAMED])
        more = f" and {len(lacking) - _MOST_NAMED} more" * (len(lacking) > _MOST_NAMED)
        raise GatherError(
            f"--gnnperf-shard {names}{more} left nothing in these folders; name theirs too, or run "
            "what is missing"
        )


_MOST_NAMED = 8


def merged_benchmarks(parts: Sequence[Part]) -> dict[str, Any]:
    """pytest-benchmark's JSON of all parts, in the order of the whole run.

    What is said once for a run, the machine and the time say, is the first shard's. Raises
    GatherError for parts of several commits, and for tests that were measured twice.
    """
    ordered = sorted(parts, key=_number)
    first = ordered[0]
    commit = _commit(first)
    for part in ordered:
        if _commit(part) != commit:
            raise GatherError(
                f"{first.path} is of commit {commit[:40]} and {part.path} of "
                f"{_commit(part)[:40]}; gather runs of one commit"
            )
    benchmarks: dict[str, tuple[Part, Any]] = {}
    for part in ordered:
        for benchmark in part.content["benchmarks"]:
            _add(benchmarks, benchmark["fullname"], part, benchmark)
    place = _places(ordered)
    merged = {name: value for name, value in first.content.items() if name != "gnnperf_shard"}
    tests = sorted(benchmarks, key=place)
    return {**merged, "benchmarks": [benchmarks[test][1] for test in tests]}


def _number(part: Part) -> int:
    return 0 if part.share is None else part.share.number


def _commit(part: Part) -> str:
    info = part.content.get("commit_info")
    return str(info.get("id", "unknown")) if isinstance(info, Mapping) else "unknown"


def _add(into: dict[str, tuple[Part, T]], test: str, part: Part, value: T) -> None:
    """Keep it, where nothing else is kept for the test."""
    other, had = into.setdefault(test, (part, value))
    if had != value:
        raise GatherError(
            f"{test} was measured twice, in {other.path} and in {part.path}; gather one of them"
        )


def _places(parts: Iterable[Part]) -> Callable[[str], tuple[float, str]]:
    """Where a test comes in the whole run; one that is gone, behind the others of its file."""
    positions: dict[str, int] = {}
    for part in parts:
        if part.share is not None:
            positions.update(part.share.positions)
    files: dict[str, int] = defaultdict(int)
    for test, position in positions.items():
        file = test.partition("::")[0]
        files[file] = max(files[file], position)

    def place(test: str) -> tuple[float, str]:
        if not positions:  # Whole runs stay as they are.
            return (0, "")
        if test in positions:
            return (positions[test], "")
        return (files.get(test.partition("::")[0], math.inf), test)

    return place


def merged_gates(parts: Sequence[Part]) -> GateReport:
    """Verdicts and records of all parts, with scores judged over the seeds of all.

    Raises GatherError for parts of several modes, damaged ones, and tests that were judged twice.
    """
    ordered = sorted(parts, key=_number)
    first = ordered[0]
    mode = first.content["mode"]
    records: dict[str, tuple[Part, Record]] = {}
    verdicts: dict[str, tuple[Part, CaseVerdict]] = {}
    accepted: dict[str, tuple[Part, list[str]]] = {}
    scores: list[dict[str, ScoresOfSeeds]] = []
    complaints: dict[str, None] = {}
    for part in ordered:
        if part.content["mode"] != mode:
            raise GatherError(
                f"{first.path} is of mode {mode} and {part.path} of {part.content['mode']}; "
                "gather runs with the same options"
            )
        gate = _read(part)
        for test, record in part.records.items():
            _add(records, test, part, record)
        for verdict in gate.cases:
            _add(verdicts, verdict.test, part, verdict)
        for test, changes in gate.accepted.items():
            _add(accepted, test, part, changes)
        scores.append(gate.scores)
        complaints.update(dict.fromkeys(gate.complaints))
    place = _places(ordered)
    report = GateReport(mode, Path())
    report.records.update({test: records[test][1] for test in sorted(records, key=place)})
    report.verdicts.update({test: verdicts[test][1] for test in sorted(verdicts, key=place)})
    report.accepted.update({test: accepted[test][1] for test in sorted(accepted, key=place)})
    report.complaints.extend(complaints)
    _judge_scores(report, scores)
    return report


@dataclass(frozen=True)
class _Gate:
    """What of a gate's JSON is no record."""

    cases: tuple[CaseVerdict, ...]
    accepted: dict[str, list[str]]
    complaints: list[str]
    scores: dict[str, ScoresOfSeeds]


def _read(part: Part) -> _Gate:
    try:
        named = {name: part.content[name] for name in ("cases", "accepted", "complaints")}
        return structured({**named, "scores": part.content.get("scores", {})}, _Gate)
    except (KeyError, ValueError) as error:
        raise GatherError(
            f"{part.path} is damaged ({error}); run its shard again, or remove it"
        ) from error


def _judge_scores(report: GateReport, scores: Sequence[Mapping[str, ScoresOfSeeds]]) -> None:
    """Judge again what several parts have seeds of, each of which judged its own alone."""
    strict = report.mode == "strict"
    if report.mode not in ("gate", "strict"):
        return
    by_group: dict[str, list[ScoresOfSeeds]] = defaultdict(list)
    for of_part in scores:
        for group, found in of_part.items():
            by_group[group].append(found)
    for group, several in by_group.items():
        if len(several) < 2:
            continue
        tests = [test for test in report.records if seed_group(test) == group]
        last, record = tests[-1], report.records[tests[-1]]
        pairs = {test: pair for found in several for test, pair in found.pairs.items()}
        ordered = [pairs[test] for test in tests if test in pairs]
        finding = judge_pairs(last, record, ordered, several[-1].limits)
        for test in tests:
            verdict = report.verdicts.get(test)
            if verdict is None and test != last:
                continue
            kept = [f for f in verdict.findings if f.metric != record.metric] if verdict else []
            kept += [finding] * (test == last)
            notes = verdict.notes if verdict else ()
            report.verdicts[test] = case_verdict(test, kept, notes, strict=strict)

"""The seeds of a case, whose scores are judged together when the last of them is over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from gnnperf.gates.baselines import Baselines
from gnnperf.gates.scores import ScoresOfSeeds, judge_scores, score_pairs, seed_group
from gnnperf.gates.verdicts import Finding
from gnnperf.records import Record


class Seeds:
    """Which seeds are yet to come, and what those before them measured, by group."""

    def __init__(self, baselines: Baselines) -> None:
        self._baselines = baselines
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        self._records: defaultdict[str, dict[str, Record]] = defaultdict(dict)
        self._limits: dict[str, Mapping[str, float]] = {}
        self._judged: set[str] = set()

    def expect(self, tests: Iterable[str]) -> None:
        """These will come, unless the run ends before."""
        for test in tests:
            self._waiting[seed_group(test)].add(test)

    def add(self, test: str, record: Record, limits: Mapping[str, float]) -> None:
        """Of what came the last counts, and its limits do for all."""
        group = seed_group(test)
        self._records[group].pop(test, None)
        self._records[group][test] = record
        self._limits[group] = limits

    def close(self, test: str) -> Finding | None:
        """The test is over; if no seed is to come any more, what its group's score is worth.

        Also again, where a test is repeated.
        """
        group = seed_group(test)
        self._waiting[group].discard(test)
        return None if self._waiting[group] else self._judge(group)

    def closed_without(self, test: str) -> tuple[str, Finding] | None:
        """The same for a test that was not judged itself; names the last that measured.

        None where the group has been judged.
        """
        group = seed_group(test)
        if group in self._judged:
            return None
        finding = self.close(test)
        return (next(reversed(self._records[group])), finding) if finding else None

    def unjudged(self) -> Iterator[tuple[str, Finding]]:
        """At the end of the run: what is worth saying of groups whose last seed never came."""
        for group, records in self._records.items():
            if group not in self._judged and (finding := self._judge(group)):
                yield next(reversed(records)), finding

    def scores(self) -> dict[str, ScoresOfSeeds]:
        """What was or would be judged, by group, for whoever has the other seeds."""
        pairs = {g: score_pairs(records, self._baselines) for g, records in self._records.items()}
        return {g: ScoresOfSeeds(found, self._limits[g]) for g, found in pairs.items() if found}

    def _judge(self, group: str) -> Finding | None:
        if not self._records[group]:
            return None
        self._judged.add(group)
        return judge_scores(self._records[group], self._baselines, self._limits[group])

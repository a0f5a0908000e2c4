"""Records of several runs as one study: read from files, the newest of each case kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gnnperf.errors import GnnperfError
from gnnperf.gates.metrics import machine_class
from gnnperf.records import Reading, Record, RecordError, from_json
from gnnperf.system.store import DamagedFileError, read_checked

RESULT = ".result"
"""Ending of the cache's files."""


class RunError(GnnperfError):
    """A file or folder that holds no run."""


@dataclass(frozen=True)
class Study:
    """Records of one study.

    Attributes:
        records: a record a case, sorted.
        notes: sentences about what was left out or comes from elsewhere.
        sources: what was read.
    """

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Dated:
    """A record and when it was measured, `2026-11-25 12:37`; empty where nothing tells."""

    record: Record
    when: str

    @property
    def case(self) -> tuple[str, str, int]:
        return self.record.workload, self.record.recipe, self.record.seed

    @property
    def origin(self) -> str:
        """Code and machine, in words."""
        commit = str(self.record.provenance.get("git_commit") or "unknown")
        return (
            f"commit {commit[:12]}{'-dirty' * commit.endswith('-dirty')}, {_machine(self.record)}"
        )


def _machine(record: Record) -> str:
    return machine_class(record)


def read_study(paths: Sequence[Path]) -> Study:
    """The records of pytest-benchmark's JSON files, of the cache's results, of folders of them.

    Raises RunError for what holds none, RecordError for a record of another schema in a file that
    was named.
    """
    dated: list[_Dated] = []
    notes: list[str] = []
    for path in paths:
        if path.is_dir():
            found, skipped = _folder(path)
            if not found and not skipped:
                raise RunError(
                    f"{path} holds neither pytest-benchmark's JSON nor results of gnnperf's cache; "
                    "name the file that --benchmark-json wrote, or the cache's folder"
                )
            notes += [f"{count} {what} in {path.name}" for what, count in skipped.items()]
        else:
            found = _file(path)
        dated += found
    records, more = merged(dated)
    return Study(records, (*notes, *more), tuple(path.name for path in paths))


def _folder(path: Path) -> tuple[list[_Dated], Mapping[str, int]]:
    """What lies in a folder; a cache also holds what older versions wrote."""
    found: list[_Dated] = []
    skipped: Counter[str] = Counter()
    for file in sorted([*path.rglob(f"*{RESULT}"), *path.rglob("*.json")]):
        try:
            found += _file(file)
        except (RunError, DamagedFileError):
            skipped["files without a record are left out"] += 1
        except RecordError:
            skipped["records of another version of gnnperf are left out"] += 1
    return found, skipped


def _file(path: Path) -> list[_Dated]:
    if path.suffix == RESULT:
        try:
            return [_dated(json.loads(bytes(read_checked(path)))["record"], "")]
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise RunError(f"{path} holds no result ({error}); delete it") from error
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); name a run's JSON") from error
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{path} is no JSON ({str(error)[:60]}); name what --benchmark-json wrote"
        ) from error
    found = list(_benchmarks(content))
    if not found:
        raise RunError(
            f"{path} holds no record of gnnperf; name what --benchmark-json, --benchmark-autosave "
            "or --gnnperf-json wrote in a run that measured cases"
        )
    return found


def _benchmarks(content: Any) -> Iterator[_Dated]:
    if not isinstance(content, Mapping):
        return
    if isinstance(records := content.get("records"), Mapping):  # Of --gnnperf-json.
        yield from (_dated(record, "") for record in records.values())
    if not isinstance(content.get("benchmarks"), list):
        return
    for benchmark in content["benchmarks"]:
        extra = benchmark.get("extra_info") if isinstance(benchmark, Mapping) else None
        if isinstance(extra, Mapping) and "gnnperf" in extra:
            yield _dated(extra["gnnperf"], str(content.get("datetime", "")))


def _dated(content: Any, otherwise: str) -> _Dated:
    record = from_json(content)
    when = str(record.provenance.get("measured_at") or otherwise)
    return _Dated(record, when.replace("T", " ")[:16])


def merged(dated: Sequence[_Dated]) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """A record a case, and what is to be said.

    Those of the code and machine with the most cases come first (the newest, where several have as
    many); a case that was measured there is taken from there, the newest of each reading, as a
    case may be measured several times with other meters. Other cases come from where they are.
    """
    by_origin: dict[str, list[_Dated]] = defaultdict(list)
    for one in sorted(dated, key=lambda one: one.when):
        by_origin[one.origin].append(one)
    order = sorted(
        by_origin,
        key=lambda origin: (len({o.case for o in by_origin[origin]}), by_origin[origin][-1].when),
        reverse=True,
    )
    kept: dict[tuple[str, str, int], Record] = {}
    notes = []
    for origin in order:
        fresh: dict[tuple[str, str, int], Record] = {}
        left_out = set()
        for one in by_origin[origin]:
            if one.case in kept:
                left_out.add(one.case)
                continue
            before = fresh.get(one.case)
            fresh[one.case] = united(before, one.record) if before else one.record
        kept.update(fresh)
        if origin != order[0]:
            if fresh:
                notes.append(f"{len(fresh)} cases are of {origin}")
            if left_out:
                notes.append(
                    f"{len(left_out)} cases of {origin} are left out, as others measured them"
                )
    return tuple(kept[case] for case in sorted(kept)), tuple(notes)


def united(older: Record, newer: Record) -> Record:
    """The newer record, with what only the older one has."""
    readings: dict[str, Reading] = {**older.readings}
    for name, reading in newer.readings.items():
        had = readings.get(name)
        if had is None or had.status != "measured" or reading.status == "measured":
            readings[name] = reading
    return replace(
        newer,
        readings=readings,
        layers=newer.layers or older.layers,
        coverage=newer.coverage or older.coverage,
        uncovered=newer.uncovered if newer.coverage else older.uncovered,
    )

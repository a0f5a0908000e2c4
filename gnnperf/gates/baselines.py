"""Baselines: what people accepted, a readable JSON file a workload; read, checked, written whole.

A file's cases are sorted by the id of their test, and each group of values is one line, so that
the change of a case is a few changed lines in a review.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gnnperf.errors import GnnperfError
from gnnperf.gates.metrics import METRICS
from gnnperf.records import plain, shortened, structured
from gnnperf.system.files import atomic_write, writable_folder

SCHEMA_VERSION = 2
LEAST_PROCESSES = 5
"""A ratio is kept as the median over at least so many processes."""
_MOST_PROCESSES = 1_000_000
ENOUGH_ROUNDS = 30
"""From so many rounds on, more of them change little in what a process gives."""
HIGHEST_SPREAD = 0.5
"""What scatters by more from process to process has no median to speak of, and no gate."""


class BaselineError(GnnperfError):
    """A baseline file that cannot be trusted, and what to do."""


@dataclass(frozen=True)
class Paired:
    """A ratio to the twin over several processes; raises ValueError for what can be none.

    Attributes:
        median: of the ratio.
        spread: standard deviation of its logarithm from process to process.
        processes: how many there were.
        rounds: the fewest that one of them took, where they were not enough.
    """

    median: float
    spread: float
    processes: int
    rounds: int = ENOUGH_ROUNDS

    def __post_init__(self) -> None:
        if self.median <= 0:
            raise ValueError(f"a median of {self.median:g} is no ratio, which is above 0")
        if not 0 <= self.spread <= HIGHEST_SPREAD:
            raise ValueError(
                f"a spread of {self.spread:g} is none that a ratio can be gated with, which lies "
                f"between 0 and {HIGHEST_SPREAD}"
            )
        if not LEAST_PROCESSES <= self.processes <= _MOST_PROCESSES:
            raise ValueError(f"{self.processes} processes are not {LEAST_PROCESSES} at least")
        if not 1 <= self.rounds <= ENOUGH_ROUNDS:
            raise ValueError(f"{self.rounds} rounds are not 1 to {ENOUGH_ROUNDS}")


@dataclass(frozen=True)
class OnMachine:
    """What holds on one class of machine.

    Attributes:
        exact: reading -> value.
        scores: the headline score -> value.
        paired: reading -> ratio.
        provenance: where and when it was accepted: commit, date, versions.
    """

    exact: Mapping[str, float]
    scores: Mapping[str, float]
    paired: Mapping[str, Paired]
    provenance: Mapping[str, str]


@dataclass(frozen=True)
class _Case:
    presets: tuple[str, ...]
    data: str
    exact: Mapping[str, float]
    machines: Mapping[str, OnMachine]


@dataclass(frozen=True, kw_only=True)
class CaseBaseline(_Case):
    """An accepted case.

    Attributes:
        presets: those under which the case was accepted, and under which its absence is noticed.
        data: fingerprint of the dataset.
        exact: readings that are the same on every machine.
        machines: what else there is, by class of machine.
        workload, dataset, source: as in the record.
    """

    workload: str
    dataset: str
    source: str


@dataclass(frozen=True)
class _File:
    schema: int
    workload: str
    dataset: str
    source: str
    cases: Mapping[str, _Case]


Baselines = dict[str, CaseBaseline]
"""By the id of the test: `bench/test_pruning.py::test_pruning[cora_node-spline-...]`."""


def read_folder(folder: Path) -> Baselines:
    """All baselines of a folder, empty where there is none; raises BaselineError."""
    files = sorted(folder.glob("*.json"))
    return merged([(path, _text(path)) for path in files])


def merged(files: Iterable[tuple[Path, str]]) -> Baselines:
    """Several files' texts as one; raises BaselineError, also for a case that two files hold."""
    found: Baselines = {}
    origin: dict[str, Path] = {}
    for path, text in files:
        for test, case in parse(text, path).items():
            if test in found:
                raise BaselineError(
                    f"{path}: the case {test!r} is in {origin[test]} too; delete one of them"
                )
            found[test], origin[test] = case, path
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise BaselineError(
            f"{path}: cannot be read ({reason}); restore it, for instance with git checkout"
        ) from error


def parse(text: str, path: Path) -> Baselines:
    """The cases of one file; raises BaselineError, naming `path`."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise BaselineError(
                f"{path}: line {number} is a conflict marker of a merge; resolve it, or take one "
                "side and accept anew with --gnnperf-accept"
            )
    try:
        content = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_number)
        schema = content.get("schema") if isinstance(content, dict) else None
        if type(schema) is int and schema != SCHEMA_VERSION:
            old = "delete it and accept anew with --gnnperf-accept"
            remedy = "upgrade gnnperf" if schema > SCHEMA_VERSION else old
            raise BaselineError(
                f"{path}: schema {shortened(schema)}, and this gnnperf reads {SCHEMA_VERSION}; "
                f"{remedy}"
            )
        if schema != SCHEMA_VERSION:
            raise ValueError(f"its schema is {shortened(schema)}, not {SCHEMA_VERSION}")
        file = structured(content, _File)
        if path.name != file_name(file.workload):
            raise ValueError(
                f"it holds the workload {shortened(file.workload)}, which belongs elsewhere"
            )
        for test, case in file.cases.items():
            _require_known_names(test, case)
    except (ValueError, RecursionError) as error:
        raise BaselineError(
            f"{path}: damaged ({error}); restore it, for instance with git checkout, or delete it "
            "and accept anew with --gnnperf-accept"
        ) from error
    of_all: dict[str, Any] = {n: getattr(file, n) for n in ("workload", "dataset", "source")}
    return {test: CaseBaseline(**vars(case), **of_all) for test, case in file.cases.items()}


def _require_known_names(test: str, case: _Case) -> None:
    """Raises ValueError for a value that no gate would ever look at."""
    kinds = {name: (metric.kind, metric.everywhere) for name, metric in METRICS.items()}
    machines = case.machines.values()
    for names, kind in (
        (case.exact, ("exact", True)),
        *((machine.exact, ("exact", False)) for machine in machines),
        *((machine.paired, ("paired", False)) for machine in machines),
    ):
        for name in names:
            if kinds.get(name) != kind:
                raise ValueError(f"{test!r}: {shortened(name)} is no reading that is gated so")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shortened(name)} stands there twice")
        found[name] = value
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no value to compare with")


def write_cases(folder: Path, changed: Mapping[str, CaseBaseline | None]) -> None:
    """Put cases into a folder's files, and take those that are None out; each file atomically.

    The files of other workloads stay as they are, and a file without cases goes. Raises
    BaselineError for what lies there damaged, FolderError for a folder that cannot be written.
    """
    writable_folder(folder, "--gnnperf-baselines")
    before = read_folder(folder)
    after = {test: case for test, case in {**before, **changed}.items() if case is not None}
    for workload in sorted({case.workload for case in (*before.values(), *after.values())}):
        old = {test: case for test, case in before.items() if case.workload == workload}
        new = {test: case for test, case in after.items() if case.workload == workload}
        path = folder / file_name(workload)
        if new and new != old:
            atomic_write(path, [to_text(workload, new).encode()])
        elif not new:
            path.unlink(missing_ok=True)


def file_name(workload: str) -> str:
    """`cora_node-spline.json`; what no file name may hold is escaped."""
    return f"{quote(workload, safe='@+ ')}.json"


def to_text(workload: str, cases: Mapping[str, CaseBaseline]) -> str:
    """The file's content: sorted, each group of values one line."""
    dataset, source = next(((case.dataset, case.source) for case in cases.values()), ("", ""))
    content = {
        "schema": SCHEMA_VERSION,
        "workload": workload,
        "dataset": dataset,
        "source": source,
        "cases": {test: _plain(cases[test]) for test in sorted(cases)},
    }
    return _lines(content, "") + "\n"


def _plain(case: CaseBaseline) -> dict[str, Any]:
    content = plain(case)
    return {
        "presets": content["presets"],
        "data": content["data"],
        "exact": _sorted(content["exact"]),
        "machines": {
            name: {group: _sorted(_short(values)) for group, values in machine.items()}
            for name, machine in sorted(content["machines"].items())
        },
    }


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without rounds that were enough."""
    return {
        name: {k: v for k, v in value.items() if (k, v) != ("rounds", ENOUGH_ROUNDS)}
        if isinstance(value, dict)
        else value
        for name, value in values.items()
    }


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers as such: `15`, not `15.0`."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in sorted(values.items())
    }


def _lines(value: Any, indent: str) -> str:
    nested = isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())
    if not nested:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = f"{indent}  "
    parts = (f"{inner}{json.dumps(key)}: {_lines(part, inner)}" for key, part in value.items())
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"

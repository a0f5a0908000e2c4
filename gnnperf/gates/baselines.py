"""Baselines: what people accepted, a readable JSON file a workload; read, checked, written whole.

A file's cases are sorted by the id of their test, and each group of values is one line, so that
the change of a case is a few changed lines in a review.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gnnperf.errors import GnnperfError
from gnnperf.system.files import atomic_write, writable_folder

SCHEMA_VERSION = 1
LEAST_PROCESSES = 5
"""A ratio is kept as the median over at least so many processes."""


class BaselineError(GnnperfError):
    """A baseline file that cannot be trusted, and what to do."""


@dataclass(frozen=True)
class Paired:
    """A ratio to the twin over several processes.

    Attributes:
        median: of the ratio.
        spread: standard deviation of its logarithm from process to process.
        processes: how many there were.
    """

    median: float
    spread: float
    processes: int


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
class CaseBaseline:
    """An accepted case.

    Attributes:
        workload: id with the data's source.
        presets: those under which the case was accepted, and under which its absence is noticed.
        data: fingerprint of the dataset.
        exact: readings that are the same on every machine.
        machines: what else there is, by class of machine.
    """

    workload: str
    presets: tuple[str, ...]
    data: str
    exact: Mapping[str, float]
    machines: Mapping[str, OnMachine] = field(default_factory=dict)


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
        schema = content.get("schema")
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            raise BaselineError(
                f"{path}: schema {schema}, and this gnnperf reads {SCHEMA_VERSION}; upgrade gnnperf"
            )
        if schema != SCHEMA_VERSION:
            raise ValueError(f"its schema is {schema!r}, not {SCHEMA_VERSION}")
        workload = content["workload"]
        if path.name != file_name(workload):
            raise ValueError(f"it holds the workload {workload!r}, which belongs elsewhere")
        return {test: _case(workload, test, case) for test, case in content["cases"].items()}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BaselineError(
            f"{path}: damaged ({what}); restore it, for instance with git checkout, or delete it "
            "and accept anew with --gnnperf-accept"
        ) from error


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} stands there twice")
    return dict(pairs)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no value to compare with")


def _case(workload: str, test: str, content: dict[str, Any]) -> CaseBaseline:
    try:
        machines = {
            name: OnMachine(
                exact=_numbers(machine["exact"]),
                scores=_numbers(machine["scores"]),
                paired={n: _paired(n, ratio) for n, ratio in machine["paired"].items()},
                provenance={str(k): str(v) for k, v in machine["provenance"].items()},
            )
            for name, machine in content["machines"].items()
        }
        presets = tuple(str(name) for name in content["presets"])
        exact = _numbers(content["exact"])
        return CaseBaseline(workload, presets, str(content["data"]), exact, machines)
    except KeyError as error:
        raise ValueError(f"{test!r} has no {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{test!r}: {error}") from error


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    return {name: _number(name, value) for name, value in content.items()}


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, not a number")
    return value


def _paired(name: str, content: dict[str, Any]) -> Paired:
    numbers = _numbers(content)
    paired = Paired(numbers["median"], numbers["spread"], int(numbers["processes"]))
    if paired.median <= 0 or paired.spread < 0 or paired.processes < LEAST_PROCESSES:
        raise ValueError(
            f"{name} needs a median above 0, a spread from 0 and {LEAST_PROCESSES} processes"
        )
    return paired


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
    content = {
        "schema": SCHEMA_VERSION,
        "workload": workload,
        "cases": {test: _plain(cases[test]) for test in sorted(cases)},
    }
    return _lines(content, "") + "\n"


def _plain(case: CaseBaseline) -> dict[str, Any]:
    return {
        "presets": list(case.presets),
        "data": case.data,
        "exact": _sorted(case.exact),
        "machines": {
            name: {
                "exact": _sorted(machine.exact),
                "scores": _sorted(machine.scores),
                "paired": {n: vars(ratio) for n, ratio in sorted(machine.paired.items())},
                "provenance": _sorted(machine.provenance),
            }
            for name, machine in sorted(case.machines.items())
        },
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

"""What the shards of a run left on several machines, merged into what one run would have given."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnperf.errors import GnnperfError
from gnnperf.gates.metrics import machine_class
from gnnperf.records import from_json, structured
from gnnperf.reports.gates import GateReport, write
from gnnperf.reports.study.runs import RESULT
from gnnperf.study.gathered import GatherError, Part, merged_benchmarks, merged_gates, one_run
from gnnperf.study.results import read_result
from gnnperf.study.shards import Share
from gnnperf.system.files import make_folder, naming


@dataclass
class Found:
    """What lies in the folders, by kind; the parts of runs by class of machine."""

    benchmarks: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))
    gates: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))
    results: dict[Path, Path] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[str, Part]]:
        """All of them, with their class of machine."""
        for kind in (self.benchmarks, self.gates):
            for machine, parts in kind.items():
                yield from ((machine, part) for part in parts)


@dataclass(frozen=True)
class Gathered:
    """What was written.

    Attributes:
        files: names in the folder.
        cases: how many were measured.
        gates: verdicts, by class of machine.
    """

    files: tuple[str, ...]
    cases: int
    gates: Mapping[str, GateReport]


def gather(folders: Sequence[Path], into: Path) -> Gathered:
    """Merge what lies in the folders, and write it to a new one, all of it or nothing.

    Raises GatherError for folders that hold nothing, files that are damaged, shards of several runs
    or too few of one, and cases that were measured twice; FileError for what cannot be written.
    """
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise GatherError(f"--into {into} is there already; name a folder that is not")
    found = _found(folders)
    parts = [
        p for kind in (found.benchmarks, found.gates) for group in kind.values() for p in group
    ]
    one_run(parts)
    several = len({*found.benchmarks, *found.gates}) > 1

    def name(kind: str, machine: str, ending: str) -> str:
        return f"{kind}-{_slug(machine)}{ending}" if several else f"{kind}{ending}"

    runs = {m: merged_benchmarks(group) for m, group in sorted(found.benchmarks.items())}
    gates = {m: merged_gates(group) for m, group in sorted(found.gates.items())}
    make_folder(into.absolute().parent)
    beside = into.absolute().with_name(f".{into.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with naming(into):
            beside.mkdir()
            for machine, run in runs.items():
                # As pytest-benchmark writes it.
                text = json.dumps(run, ensure_ascii=True, indent=4)
                (beside / name("benchmark", machine, ".json")).write_text(text)
            for machine, report in gates.items():
                write("json", beside / name("gate", machine, ".json"), report)
                write("summary", beside / name("gate", machine, ".md"), report)
            for target, source in found.results.items():
                (beside / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, beside / target)
            files = sorted(path.name for path in beside.iterdir())
            os.replace(beside, into)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    cases = {(machine, test) for machine, part in found.parts() for test in part.records}
    return Gathered(tuple(files), len(cases), gates)


def _slug(machine: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", machine).strip("-") or "machine"


def _found(folders: Iterable[Path]) -> Found:
    found = Found()
    for folder in dict.fromkeys(path.resolve() for path in folders):
        if not folder.is_dir():
            raise GatherError(f"{folder} is no folder; name one that a shard left its files in")
        parts: dict[str, list[Part]] = {"benchmarks": [], "gates": []}
        for path in sorted(folder.rglob("*.json")):
            if kind_and_part := _part(path):
                parts[kind_and_part[0]].append(kind_and_part[1])
        before = len(found.results)
        for path in sorted(folder.rglob(f"*{RESULT}")):
            _add_result(found.results, path)
        both = [*parts["benchmarks"], *parts["gates"]]
        if not both and len(found.results) == before:
            raise GatherError(
                f"{folder} holds nothing to gather; name a folder with what --benchmark-json or "
                "--gnnperf-json wrote, or a cache with results"
            )
        # A part without a record, of a shard that only missed cases, say, is of the same machine.
        machines = [machine for part in both if (machine := _machine(part))]
        for kind, of_kind in parts.items():
            for part in of_kind:
                machine = _machine(part) or (machines[0] if machines else "")
                getattr(found, kind)[machine].append(part)
    for kind_of in (found.benchmarks, found.gates):
        # Of a machine that nothing is known of; another's, where there is but one.
        others = [machine for machine in kind_of if machine]
        if "" in kind_of and len(others) == 1:
            kind_of[others[0]] += kind_of.pop("")
    return found


def _machine(part: Part) -> str:
    classes = {machine_class(record) for record in part.records.values()}
    if len(classes) > 1:
        raise GatherError(
            f"{part.path} holds cases of several classes of machine "
            f"({'; '.join(sorted(classes))}); gather what single runs wrote"
        )
    return next(iter(classes), "")


def _part(path: Path) -> tuple[str, Part] | None:
    """The file, and which kind it is; None for JSON of something else."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise GatherError(f"{path} cannot be read ({error.strerror}); mend it") from error
    except (ValueError, RecursionError) as error:
        raise GatherError(
            f"{path} is damaged, no JSON ({str(error)[:60]}); run its shard again, or remove it"
        ) from error
    if not isinstance(content, Mapping):
        return None
    try:
        if isinstance(content.get("benchmarks"), list):
            return "benchmarks", _benchmarks(path, content)
        if isinstance(content.get("records"), Mapping) and "mode" in content:
            records = {test: from_json(record) for test, record in content["records"].items()}
            return "gates", Part(path, content, records, _share(content.get("shard")))
    except (GnnperfError, KeyError, TypeError, ValueError) as error:
        raise GatherError(
            f"{path} is damaged ({error}); run its shard again, or remove it"
        ) from error
    return None


def _benchmarks(path: Path, content: Mapping[str, Any]) -> Part:
    records = {}
    for benchmark in content["benchmarks"]:
        test = benchmark["fullname"]
        if not isinstance(test, str):
            raise ValueError(f"a test is called {test!r}"[:80])
        record = benchmark.get("extra_info", {}).get("gnnperf")
        if isinstance(record, Mapping) and "schema" in record:
            records[test] = from_json(record)
    return Part(path, content, records, _share(content.get("gnnperf_shard")))


def _share(content: Any) -> Share | None:
    return None if content is None else structured(content, Share)


def _add_result(results: dict[Path, Path], path: Path) -> None:
    with naming(path, "read", "mend it"):
        read_result(path)
        target = Path("results", path.parent.name, path.name)
        other = results.setdefault(target, path)
        if other != path and other.read_bytes() != path.read_bytes():
            raise GatherError(
                f"the same case was measured twice, in {other} and in {path}; remove one of them"
            )

"""What came of the gates: for the terminal, as Markdown, as JSON, as GitHub's annotations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate

from gnnperf.gates.metrics import METRICS
from gnnperf.gates.scores import ScoresOfSeeds
from gnnperf.gates.verdicts import WORST_FIRST, CaseVerdict, Finding, fails
from gnnperf.records import Record, to_json
from gnnperf.system.files import atomic_write
from gnnperf.system.text import printable

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class GateReport:
    """All that a run has to say, gathered as it goes.

    Attributes:
        mode: gate, strict, accept; None without a gate.
        folder: of the baselines.
        records: by the id of their test, as are the others.
        verdicts: of the cases that were judged.
        accepted: what changed in the baselines of the accepted cases.
        complaints: what could not be done.
        places: file and line (from 0) of the tests.
        shard: which share of a run it is, and how its tests lie in the whole; empty of a whole run.
        scores: of a share, what scores over seeds are judged by, by group.
    """

    mode: str | None
    folder: Path
    records: dict[str, Record] = field(default_factory=dict)
    verdicts: dict[str, CaseVerdict] = field(default_factory=dict)
    accepted: dict[str, list[str]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    places: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    shard: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, ScoresOfSeeds] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many cases have which verdict, the worst first."""
        counter: Counter[str] = Counter(verdict.verdict for verdict in self.verdicts.values())
        return {name: counter[name] for name in WORST_FIRST if name in counter}


def closing_lines(report: GateReport) -> list[str]:
    """For the terminal: a row a case, every verdict but ok in a sentence, the count."""
    lines = [*_accepted_lines(report), *report.complaints]
    if report.verdicts:
        lines += tabulate(_rows(report), headers="keys", disable_numparse=True).splitlines()
        lines += [sentence for _, sentence in _sentences(report)]
        lines += _notes(report)
    if report.verdicts or report.mode in ("gate", "strict"):
        lines.append(headline(report))
    # Sentences quote what baselines say.
    return [printable(line) for line in lines]


def headline(report: GateReport) -> str:
    """`gate: 1 regressed, 20 ok`."""
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    strictly = " (strict)" if report.mode == "strict" else ""
    return f"gate{strictly}: {counts or 'no case ran'}"


def _accepted_lines(report: GateReport) -> Iterator[str]:
    for test, changed in report.accepted.items():
        if changed:
            yield f"accepted: {test}: {'; '.join(changed)}"
    if report.mode == "accept":
        unchanged = sum(not changed for changed in report.accepted.values())
        wrote = len(report.accepted) - unchanged
        yield f"accepted: {wrote} cases written to {report.folder}, {unchanged} unchanged"


def _rows(report: GateReport) -> list[dict[str, str]]:
    """Ordered as the run was; columns only for what some case has."""
    columns: dict[str, Callable[[Finding], bool]] = {
        "stored bytes": lambda f: f.metric == "stored_bytes",
        "score": lambda f: f.metric not in METRICS and f.metric not in ("case", "data", "covered"),
        "CPU time / twin": lambda f: f.metric == "cpu_ratio",
        "limit": lambda f: f.metric == "cpu_ratio",
    }
    rows = []
    for test, verdict in report.verdicts.items():
        row = {"case": short_name(test), "verdict": verdict.verdict}
        for title, chosen in columns.items():
            finding = next((f for f in verdict.findings if chosen(f)), None)
            row[title] = _limit(finding) if title == "limit" else _from_to(finding)
        rows.append(row)
    return rows


def short_name(test: str) -> str:
    """A test's id without its file."""
    return test.partition("::")[2] or test


def _from_to(finding: Finding | None) -> str:
    if finding is None or finding.now is None:
        return "-"
    form = "{:.0f}" if finding.metric.endswith("_bytes") else "{:.3f}"
    now = form.format(finding.now)
    if finding.before is None:
        return f"{now} (new)"
    before = form.format(finding.before)
    return now if before == now else f"{before} -> {now}"


def _limit(finding: Finding | None) -> str:
    return "-" if finding is None or finding.limit is None else f"+{finding.limit:.1%}"


def _sentences(report: GateReport) -> Iterator[tuple[str, str]]:
    """The verdict and the sentence of everything that is not plainly ok."""
    for name in WORST_FIRST:
        for verdict in report.verdicts.values():
            for finding in verdict.findings:
                noise = finding.verdict == "ok" and "noise" in finding.sentence
                if finding.verdict == name and (name != "ok" or noise):
                    yield name, f"{name}: {finding.sentence}"


def _notes(report: GateReport) -> list[str]:
    """What was not gated, each reason once."""
    counter = Counter(note for verdict in report.verdicts.values() for note in verdict.notes)
    return [f"{note} ({count} case{'s' * (count > 1)})" for note, count in counter.items()]


def write(kind: str, path: Path, report: GateReport) -> None:
    """Write the report of a kind, `summary` or `json`, atomically; raises FileError."""
    text = {"summary": markdown, "json": json_text}[kind](report)
    atomic_write(path, [text.encode()])


def markdown(report: GateReport) -> str:
    """For a comment on a pull request: the verdicts, and all cases folded away."""
    parts = [f"### gnnperf {headline(report) if report.mode else 'records'}"]
    parts += [f"- {_escaped(sentence)}" for _, sentence in _sentences(report)]
    parts += [f"- {_escaped(line)}" for line in (*_accepted_lines(report), *report.complaints)]
    parts += [f"- {_escaped(note)}" for note in _notes(report)]
    rows = _rows(report) if report.verdicts else _record_rows(report)
    if rows:
        table = tabulate(
            [{title: _escaped(cell) for title, cell in row.items()} for row in rows],
            headers="keys",
            tablefmt="pipe",
            disable_numparse=True,
        )
        count = f"{len(rows)} case{'s' * (len(rows) > 1)}"
        parts.append(f"\n<details><summary>{count}</summary>\n\n{table}\n\n</details>")
    return "\n".join(parts) + "\n"


def _record_rows(report: GateReport) -> list[dict[str, str]]:
    def cell(record: Record, name: str, form: str) -> str:
        reading = record.readings.get(name)
        return "-" if reading is None or reading.value is None else form.format(reading.value)

    return [
        {
            "case": short_name(test),
            "stored bytes": cell(record, "stored_bytes", "{:.0f}"),
            "score": cell(record, record.metric, "{:.3f}"),
            "CPU time / twin": cell(record, "cpu_ratio", "{:.3f}"),
        }
        for test, record in report.records.items()
    ]


def _escaped(text: str) -> str:
    """Nothing in a name is Markdown."""
    text = printable(text)
    for sign in "\\`*_~|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def json_text(report: GateReport) -> str:
    """Verdicts and records for machines."""
    content: Mapping[str, Any] = {
        "schema": SCHEMA_VERSION,
        "mode": report.mode,
        "counts": report.counts,
        "cases": [asdict(verdict) for verdict in report.verdicts.values()],
        "accepted": report.accepted,
        "complaints": report.complaints,
        "records": {test: to_json(record) for test, record in report.records.items()},
    }
    if report.shard:
        scores = {group: asdict(found) for group, found in report.scores.items()}
        content = {**content, "shard": report.shard, "scores": scores}
    # A growth from nothing is infinite, which JSON does not know.
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and abs(value) == float("inf") else value


def github_annotations(report: GateReport) -> Iterator[str]:
    """GitHub's workflow commands: an error where a case fails, a notice for what is better or new.

    Source: GitHub Actions, "Workflow commands", whose escapes these are.
    """
    for test, verdict in report.verdicts.items():
        file, line = report.places.get(test, (test.partition("::")[0], None))
        where = f"file={_property(file)}" + (f",line={line + 1}" if line is not None else "")
        for finding in verdict.findings:
            if finding.verdict != "ok":
                failing = fails(finding.verdict, strict=report.mode == "strict")
                kind = "error" if failing else "notice"
                message = _data(finding.sentence)
                yield f"::{kind} {where},title=gnnperf {finding.verdict}::{message}"


def _data(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

"""Cases measured in fresh processes: pytest again, on chosen cases, their records handed back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnperf.records import Record, RecordError, from_json, to_json
from gnnperf.system.files import atomic_write

OPTION = "--gnnperf-again"
"""Of pytest, unlisted: measure what FOLDER/tests.json names, all without it; see `Fresh`."""

_TESTS, _RECORDS = "tests.json", "records.json"


@dataclass(frozen=True)
class Fresh:
    """What a fresh process hands back.

    Attributes:
        records: of the cases that passed, by the id of the test.
        failure: why some are missing, its last words; empty when none were heard.
    """

    records: Mapping[str, Record]
    failure: str = ""


def measure_in_fresh_process(
    arguments: Sequence[str], directory: Path, tests: Sequence[str] | None
) -> Fresh:
    """Run pytest once more with the same arguments, on these tests alone (None: on all).

    What it would leave behind (cache, JUnit file, saved benchmarks) it does not write, or where it
    is thrown away. Only options that every pytest has are added: which of its plugins a run has
    the process knows by itself, from the same arguments, settings and environment.
    """
    with tempfile.TemporaryDirectory(prefix="gnnperf-again-") as name:
        folder = Path(name)
        if tests is not None:
            (folder / _TESTS).write_text(json.dumps(list(tests)))
        command = [
            # In one word, or pytest takes the folder for one with tests.
            *(sys.executable, "-m", "pytest", *arguments, f"{OPTION}={folder}"),
            *(f"--benchmark-storage=file://{folder / 'benchmarks'}", "--maxfail=0"),
        ]
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        failure = _last_words(done.stdout, done.stderr) if done.returncode else ""
        try:
            return Fresh(read_records(folder / _RECORDS), failure)
        except (OSError, RecordError):
            return Fresh({}, failure or "it handed nothing back")


def _last_words(out: str, err: str) -> str:
    # pytest's summary says which case failed and why; without one the error stream does.
    lines = [line.strip() for line in (*out.splitlines(), *err.splitlines()) if line.strip()]
    short = [line for line in lines if line.startswith(("FAILED", "ERROR")) or "error:" in line]
    told = [line for line in short if "usage:" not in line]
    return (told or lines or ["it said nothing"])[-1]


def wanted_tests(folder: Path) -> frozenset[str] | None:
    """In the fresh process: the tests it is asked for; None: all."""
    try:
        return frozenset(json.loads((folder / _TESTS).read_text()))
    except FileNotFoundError:
        return None


def hand_back(folder: Path, records: Mapping[str, Record]) -> None:
    """In the fresh process: give the records to whom asked."""
    write_records(folder / _RECORDS, records)


def write_records(path: Path, records: Mapping[str, Record]) -> None:
    """Records by the id of their test, as JSON, atomically."""
    content = {test: to_json(record) for test, record in records.items()}
    atomic_write(path, [json.dumps(content).encode()])


def read_records(path: Path) -> dict[str, Record]:
    """What `write_records` wrote; raises RecordError, or OSError for a file there is not."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise RecordError(f"{path} holds no records ({error}); delete it") from error
    return {test: from_json(record) for test, record in content.items()}

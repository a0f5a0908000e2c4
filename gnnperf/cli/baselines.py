"""`gnnperf baselines show`, `diff`, `prune` and `calibrate`."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import platformdirs
from tabulate import tabulate

from gnnperf.errors import GnnperfError
from gnnperf.gates.acceptance import changes, in_words, provenance
from gnnperf.gates.baselines import (
    LEAST_PROCESSES,
    BaselineError,
    Baselines,
    CaseBaseline,
    merged,
    read_folder,
    write_cases,
)
from gnnperf.gates.calibration import (
    FOUND,
    calibrate_readings,
    detectable_effect,
    false_alarm_rate,
    limit_fraction,
)
from gnnperf.gates.fresh import measure_in_fresh_process, read_records, write_records
from gnnperf.gates.limits import limit_of, read_settings
from gnnperf.gates.metrics import METRICS, data_fingerprint, gated, machine_class
from gnnperf.records import Record, RecordError
from gnnperf.system.files import writable_folder
from gnnperf.system.machine import git_commit, versions
from gnnperf.system.text import printable

_FOLDER_HELP = "folder of baselines (default: baselines, or what [tool.gnnperf] says)"


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `baselines` with its commands; each sets `run`, which takes parsed arguments."""
    top = subparsers.add_parser("baselines", help="accepted records: show, diff, prune, calibrate")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("show", help="what is accepted")
    show.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="only these (default: all)")
    show.set_defaults(run=show_command)
    diff = commands.add_parser("diff", help="what changed since a commit, or between two folders")
    diff.add_argument("old", nargs="?", default="HEAD", metavar="OLD", help="default: HEAD")
    diff.add_argument("new", nargs="?", metavar="NEW", help="a folder (default: the baselines)")
    diff.set_defaults(run=diff_command)
    prune = commands.add_parser("prune", help="take out the cases that pytest no longer collects")
    prune.add_argument("--dry-run", action="store_true", help="only say which")
    prune.set_defaults(run=prune_command)
    spread = commands.add_parser("calibrate", help="measure accepted cases in many processes")
    spread.add_argument(
        "--processes", type=int, default=10, metavar="N", help="how many (default: 10)"
    )
    spread.set_defaults(run=calibrate_command)
    for command in (show, diff, prune, spread):
        command.add_argument("--gnnperf-baselines", metavar="DIR", help=_FOLDER_HELP)
    for command in (prune, spread):
        # Everything after the options of ours is pytest's.
        command.add_argument(
            "pytest", nargs=argparse.REMAINDER, metavar="...", help="pytest's arguments: bench/ ..."
        )


def _folder(options: argparse.Namespace) -> Path:
    chosen = options.gnnperf_baselines
    return Path(chosen) if chosen else read_settings(Path()).folder


def _existing(folder: Path) -> Baselines:
    found = read_folder(folder)
    if not found:
        raise BaselineError(f"{folder} holds no baseline; accept some: pytest --gnnperf-accept")
    return found


def show_command(options: argparse.Namespace) -> None:
    """Print a row a case and class of machine."""
    baselines = _existing(_folder(options))
    known = {case.workload for case in baselines.values()}
    for workload in options.workloads:
        if workload not in known:
            raise BaselineError(
                f"no baseline of a workload {workload!r}; there are {', '.join(sorted(known))}"
            )
    rows = [
        row
        for test, case in sorted(baselines.items())
        if not options.workloads or case.workload in options.workloads
        for row in _rows(test, case)
    ]
    _print_table(rows)


def _print_table(rows: Sequence[Mapping[str, str]]) -> None:
    # Ids and names of machines are what a file says.
    cells = [{name: printable(cell) for name, cell in row.items()} for row in rows]
    print(tabulate(cells, headers="keys", disable_numparse=True))


def _rows(test: str, case: CaseBaseline) -> Iterator[dict[str, str]]:
    for name, machine in sorted(case.machines.items()):
        yield {
            "case": test.partition("::")[2],
            "nonzeros": in_words(case.exact.get("nonzeros")),
            "stored bytes": in_words(machine.exact.get("stored_bytes")),
            "score": ", ".join(f"{n} {in_words(v)}" for n, v in machine.scores.items()) or "-",
            "CPU time / twin": in_words(machine.paired.get("cpu_ratio")),
            "accepted": machine.provenance.get("date", "-"),
            "on": name,
        }


def diff_command(options: argparse.Namespace) -> None:
    """Print what changed between two states of the baselines, a line a case."""
    folder = Path(options.new) if options.new else _folder(options)
    if options.new and not folder.is_dir():
        raise BaselineError(f"{folder}: there is no such folder of baselines; name one")
    here = Path(options.old)
    old = read_folder(here) if here.is_dir() else _at_commit(options.old, folder)
    new = read_folder(folder)
    lines = [
        f"{test}: {'; '.join(what)}"
        for test in sorted({*old, *new})
        if (what := list(changes(old.get(test), new.get(test))))
    ]
    print("\n".join(map(printable, lines)) if lines else "no difference")


def _at_commit(commit: str, folder: Path) -> Baselines:
    listing = _git("ls-tree", "--name-only", "-z", "--end-of-options", commit, f"./{_rel(folder)}/")
    names = [name for name in listing.split("\0") if name.endswith(".json")]
    return merged([(Path(name), _git("show", f"{commit}:./{name}")) for name in names])


def _rel(folder: Path) -> str:
    try:
        return folder.resolve().relative_to(Path().resolve()).as_posix()
    except ValueError:
        raise BaselineError(
            f"{folder} lies outside of the folder you are in; change to its checkout"
        ) from None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaselineError(f"git cannot be run ({error}); name two folders instead") from error
    if done.returncode:
        raise BaselineError(
            f"git {arguments[0]}: {done.stderr.strip().splitlines()[0]}; name a commit, or a folder"
        )
    return done.stdout


def prune_command(options: argparse.Namespace) -> None:
    """Take out the cases that are gone, as a gate over the same tests would find them."""
    folder = _folder(options)
    _existing(folder)
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        command = [
            *(sys.executable, "-m", "pytest", *options.pytest, "--collect-only", "-q"),
            *("--gnnperf-gate", f"--gnnperf-baselines={folder.resolve()}"),
            f"--gnnperf-json={report}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode or not report.exists():
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise BaselineError(
                f"pytest --collect-only fails ({words[-1] if words else done.returncode}); "
                "nothing is pruned: make it pass first"
            )
        cases = json.loads(report.read_text())["cases"]
    gone = [case["test"] for case in cases if case["verdict"] == "gone"]
    for test in gone:
        print(f"{'would take out' if options.dry_run else 'taken out'}: {printable(test)}")
    if not options.dry_run:
        write_cases(folder, dict.fromkeys(gone))
    print(f"{len(gone)} cases are gone")


def calibrate_command(options: argparse.Namespace) -> None:
    """Measure accepted cases in N processes; keep medians and spreads; print what follows.

    Processes that are done are kept: interrupted and started again it goes on where it was.
    """
    if options.processes < LEAST_PROCESSES:
        raise GnnperfError(
            f"--processes {options.processes} are too few; take {LEAST_PROCESSES} at least"
        )
    folder = _folder(options)
    baselines = _existing(folder)
    writable_folder(folder, "--gnnperf-baselines")
    runs = [*_runs(options.pytest, options.processes)]
    changed: dict[str, CaseBaseline] = {}
    rows: list[dict[str, str]] = []
    limits = read_settings(Path()).limits
    for test in dict.fromkeys(test for run in runs for test in run):
        records = [run[test] for run in runs if test in run]
        try:
            changed[test] = _calibrated(test, records, baselines.get(test))
        except BaselineError as error:
            print(f"left as it is: {printable(error)}")
            continue
        rows += _calibration_rows(test, changed[test], records[0], limits)
    write_cases(folder, changed)
    _forget(options.pytest)
    _print_table(rows)
    print(
        f"{len(changed)} cases calibrated over {options.processes} processes; false alarms: "
        f"{math.fsum(float(row['false alarms']) for row in rows):.2g} expected in a run of them all"
    )


def _calibrated(test: str, records: Sequence[Record], old: CaseBaseline | None) -> CaseBaseline:
    here = machine_class(records[0])
    if old is None or here not in old.machines:
        raise BaselineError(f"{test} has no baseline on this machine; --gnnperf-accept one first")
    if old.data != data_fingerprint(records[0]):
        raise BaselineError(f"{test}: the data is not what was accepted; --gnnperf-accept it")
    machine = old.machines[here]
    paired = dict(machine.paired)
    for metric, name, reading in gated(records[0]):
        if metric.everywhere and old.exact.get(name) != reading.value:
            raise BaselineError(f"{test}: {name} is not what was accepted; --gnnperf-accept it")
        if metric.kind == "paired" and reading.status == "measured":
            paired[name] = calibrate_readings(
                r.readings[name] for r in records if name in r.readings
            )
    new = replace(machine, paired=paired, provenance=provenance(records[0]))
    return replace(old, machines={**old.machines, here: new})


def _calibration_rows(
    test: str, case: CaseBaseline, record: Record, limits: Mapping[str, float]
) -> Iterator[dict[str, str]]:
    for name, paired in case.machines[machine_class(record)].paired.items():
        least = limit_of(METRICS[name], limits)
        yield {
            "case": test.partition("::")[2],
            "reading": name,
            "median": f"{paired.median:.3f}",
            "spread": f"{paired.spread:.2%}",
            "limit": f"{limit_fraction(paired, least):.1%}",
            "false alarms": f"{false_alarm_rate(paired, least):.1e}",
            f"found in {FOUND:.0%}": f"{detectable_effect(paired, least):.1%}",
        }


def _runs(arguments: Sequence[str], processes: int) -> Iterator[Mapping[str, Record]]:
    folder = _kept(arguments)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, processes + 1):
        path = folder / f"{number}.json"
        try:
            run = read_records(path)
            print(f"process {number} of {processes}: kept from before", flush=True)
        except (OSError, RecordError):
            print(f"process {number} of {processes}", flush=True)
            fresh = measure_in_fresh_process(arguments, Path.cwd(), None)
            if not fresh.records:
                raise BaselineError(
                    f"pytest measured no case ({fresh.failure}); see that "
                    f"`pytest {' '.join(arguments)}` passes"
                ) from None
            if fresh.failure:
                print(f"not all passed: {fresh.failure}", flush=True)
            run = dict(fresh.records)
            write_records(path, run)
        yield run


def _kept(arguments: Sequence[str]) -> Path:
    """Where processes of the same code and arguments are kept until all are done."""
    try:
        edits = _git("diff", "HEAD")
    except BaselineError:  # No checkout, so no telling what changes meanwhile.
        edits = ""
    code = (str(git_commit(".")), edits, *versions().values())
    decides = [*arguments, str(Path.cwd()), *code]
    digest = hashlib.sha256("\0".join(decides).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("gnnperf")) / "calibrations" / digest


def _forget(arguments: Sequence[str]) -> None:
    folder = _kept(arguments)
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
    folder.rmdir()

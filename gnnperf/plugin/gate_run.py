"""A run that gates, accepts or writes a report: its hooks."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.gates.acceptance import accepted, changes, scattered, unsettled
from gnnperf.gates.baselines import (
    LEAST_PROCESSES,
    BaselineError,
    Baselines,
    write_cases,
)
from gnnperf.gates.fresh import Fresh, measure_in_fresh_process
from gnnperf.gates.verdicts import (
    CaseVerdict,
    case_verdict,
    confirmed,
    gone,
    judge,
    judge_scores,
    seed_group,
)
from gnnperf.plugin.gone import GoneCase, WholeFiles, insert_gone
from gnnperf.plugin.limits import marked_limits
from gnnperf.plugin.shared import RECORD, announce
from gnnperf.records import Record
from gnnperf.reports import gates as reports


@dataclass(frozen=True)
class GateOptions:
    """What the user chose.

    Attributes:
        mode: gate, strict, accept; None: only report.
        folder: of the baselines.
        limits: the project's.
        annotations: whether GitHub reads the output.
        files: what to write, by kind: summary, json.
    """

    mode: str | None
    folder: Path
    limits: Mapping[str, float]
    annotations: bool
    files: Mapping[str, Path]


class GateRun:
    """The hooks; keeps what the run measured and what came of it."""

    def __init__(self, config: pytest.Config, options: GateOptions, baselines: Baselines) -> None:
        self._config, self._options, self._baselines = config, options, baselines
        self._gates, self._strict = options.mode in ("gate", "strict"), options.mode == "strict"
        self._files = WholeFiles(config)
        config.pluginmanager.register(self._files, "gnnperf-whole-files")
        self._last_seed: dict[str, str] = {}
        self._failed: set[str] = set()
        self._report = reports.GateReport(options.mode, options.folder)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Put a failing test in the place of each case that is gone."""
        for item in session.items:
            self._last_seed[seed_group(item.nodeid)] = item.nodeid
            self._report.places[item.nodeid] = (item.location[0], item.location[1])
        if self._gates:
            insert_gone(session, self._files, self._baselines)
            if self._config.getoption("collectonly"):
                gone_cases = [item for item in session.items if isinstance(item, GoneCase)]
                self._report.verdicts.update({item.nodeid: item.verdict for item in gone_cases})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Judge a case when its own rules hold."""
        try:
            result = yield
        finally:
            record = item.stash.get(RECORD, None)
            if record is not None:
                self._report.records[item.nodeid] = record
            if isinstance(item, GoneCase):
                self._report.verdicts[item.nodeid] = item.verdict
        if self._gates:
            verdict = self._judged(item, record)
            if verdict is not None:
                self._report.verdicts[item.nodeid] = verdict
                failures = verdict.failures(strict=self._strict)
                if failures:
                    raise pytest.fail.Exception("\n".join(failures), pytrace=False)
        return result

    def _judged(self, item: pytest.Item, record: Record | None) -> CaseVerdict | None:
        test = item.nodeid
        baseline = self._baselines.get(test)
        if record is None:
            silent = baseline is not None and self._files.ran(test)
            return gone(test, "its test measured nothing") if silent else None
        limits = {**self._options.limits, **marked_limits(item)}
        verdict = judge(test, record, baseline, limits, strict=self._strict)
        if baseline is None:
            return verdict
        group = seed_group(test)
        if self._last_seed.get(group, test) == test:
            seeds = {t: r for t, r in self._report.records.items() if seed_group(t) == group}
            score = judge_scores(seeds, self._baselines, limits)
            found = (*verdict.findings, *([score] if score else []))
            verdict = case_verdict(test, found, verdict.notes, strict=self._strict)
        return confirmed(verdict, partial(self._again, test), strict=self._strict)

    def verdict_of(self, test: str) -> CaseVerdict | None:
        """What came of a test so far."""
        return self._report.verdicts.get(test)

    def _fresh(self, tests: Sequence[str]) -> Fresh:
        parameters, root = self._config.invocation_params, self._config.rootpath
        arguments = [*map(str, parameters.args), f"--rootdir={root}"]
        return measure_in_fresh_process(arguments, parameters.dir, tests)

    def _again(self, test: str) -> Record | str:
        fresh = self._fresh([test])
        return fresh.records.get(test) or fresh.failure or "it did not measure the case"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A skipped case is gone too; remember what failed."""
        report = yield
        test = item.nodeid
        skipped = report.skipped and not hasattr(report, "wasxfail")
        if skipped and self._gates and test in self._baselines and self._files.ran(test):
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
            verdict = self._report.verdicts[test] = gone(test, f"it was skipped ({why})")
            report.outcome = "failed"
            report.longrepr = verdict.failures(strict=False)[0]
        if report.failed or skipped:
            self._failed.add(test)
        return report

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Accept, where asked to, and write the reports."""
        if self._options.mode == "accept":
            self._accept(session, exitstatus)
        try:
            for kind, path in self._options.files.items():
                reports.write(kind, path, self._report)
        except GnnperfError as error:
            self._complain(session, str(error))

    def _accept(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._report.complaints.append("nothing is accepted: the run did not come to its end")
            return
        records = {t: r for t, r in self._report.records.items() if t not in self._failed}
        try:
            measured = self._measured_often(records)
            new = {}
            for test, all_of_it in measured.items():
                try:
                    preset = self._config.getoption("gnnperf_preset")
                    new[test] = accepted(test, all_of_it, self._baselines.get(test), preset)
                    old = self._baselines.get(test)
                    self._report.accepted[test] = list(changes(old, new[test]))
                except BaselineError as error:
                    self._complain(session, f"not accepted: {error}")
            write_cases(self._options.folder, new)
            for test, case in new.items():
                self._report.complaints.extend(scattered(test, case))
        except KeyboardInterrupt:
            self._report.accepted.clear()
            self._complain(session, "nothing is accepted: interrupted", pytest.ExitCode.INTERRUPTED)
        except (GnnperfError, OSError) as error:
            self._report.accepted.clear()
            self._complain(session, f"nothing is accepted: {error}")

    def _measured_often(self, records: Mapping[str, Record]) -> dict[str, list[Record]]:
        """Each case's records: one, or five where its ratios have no baseline to stand by."""
        measured = {test: [record] for test, record in records.items()}
        again = [test for test, r in records.items() if unsettled(r, self._baselines.get(test))]
        for number in range(2, LEAST_PROCESSES + 1):
            if not again:
                break
            announce(
                self._config,
                f"measuring {len(again)} cases in a fresh process, {number} of {LEAST_PROCESSES}",
            )
            fresh = self._fresh(again)
            for test, record in fresh.records.items():
                measured[test].append(record)
            if fresh.failure:
                self._report.complaints.append(f"a fresh process failed: {fresh.failure}")
            again = [test for test in again if test in fresh.records]
        return measured

    def _complain(
        self, session: pytest.Session, sentence: str, status: int = pytest.ExitCode.TESTS_FAILED
    ) -> None:
        self._report.complaints.append(sentence)
        session.exitstatus = status

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Close the run with the verdicts."""
        lines = reports.closing_lines(self._report)
        if lines:
            terminalreporter.section("gnnperf gate")
        for line in lines:
            terminalreporter.write_line(line)
        if self._options.annotations:
            for line in reports.github_annotations(self._report):
                terminalreporter.write_line(line)

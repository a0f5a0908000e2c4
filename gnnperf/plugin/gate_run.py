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
    Finding,
    case_verdict,
    confirmed,
    fails,
    gone,
    judge,
    judge_coverage,
)
from gnnperf.plugin.gate_seeds import Seeds
from gnnperf.plugin.gone import GoneCase, WholeFiles, insert_gone
from gnnperf.plugin.limits import marked_limits
from gnnperf.plugin.shard import share_of
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
        self._seeds = Seeds(baselines)
        self._failed: set[str] = set()
        self._report = reports.GateReport(options.mode, options.folder)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Put a failing test in the place of each case that is gone."""
        run = [item for item in session.items if item.get_closest_marker("skip") is None]
        self._seeds.expect(item.nodeid for item in run)
        for item in session.items:
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
                self._seeds.add(item.nodeid, record, self._limits(item))
                self._add_coverage(item, record)
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

    def _limits(self, item: pytest.Item) -> Mapping[str, float]:
        return {**self._options.limits, **marked_limits(item)}

    def _add_coverage(self, item: pytest.Item, record: Record) -> None:
        """The verdict of a case that covers too little, which fails before it is judged."""
        finding = judge_coverage(item.nodeid, record, self._limits(item))
        if self._gates and finding is not None and fails(finding.verdict, strict=False):
            self._report.verdicts[item.nodeid] = case_verdict(item.nodeid, [finding])

    def _judged(self, item: pytest.Item, record: Record | None) -> CaseVerdict | None:
        test = item.nodeid
        baseline = self._baselines.get(test)
        if record is None:
            silent = baseline is not None and self._files.ran(test)
            return gone(test, "its test measured nothing") if silent else None
        verdict = judge(test, record, baseline, self._limits(item), strict=self._strict)
        if score := self._seeds.close(test):
            verdict = self._with(verdict, score)
        return confirmed(verdict, partial(self._again, test), strict=self._strict)

    def verdict_of(self, test: str) -> CaseVerdict | None:
        """What came of a test so far."""
        return self._report.verdicts.get(test)

    def _with(self, verdict: CaseVerdict, finding: Finding) -> CaseVerdict:
        found = (*verdict.findings, finding)
        return case_verdict(verdict.test, found, verdict.notes, strict=self._strict)

    def _add_score(self, test: str, finding: Finding) -> None:
        """A score that was judged after its last case."""
        verdict = self._report.verdicts.get(test) or case_verdict(test, [], strict=self._strict)
        self._report.verdicts[test] = self._with(verdict, finding)

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
        """Judge what the call could not: cases that did not run, or failed as expected."""
        report = yield
        if self._gates and (report.when == "call" or not report.passed):
            failures = self._unjudged_failures(item, report)
            if failures and not report.failed:
                report.outcome, report.longrepr = "failed", "\n".join(failures)
                # What is expected to fail is excused for its own rules alone.
                vars(report).pop("wasxfail", None)
        if report.when == "setup":  # A test that runs again is judged by its last run.
            self._failed.discard(item.nodeid)
        if report.failed or (report.skipped and not hasattr(report, "wasxfail")):
            self._failed.add(item.nodeid)
        return report

    def _unjudged_failures(self, item: pytest.Item, report: pytest.TestReport) -> list[str]:
        test, failures = item.nodeid, []
        if report.skipped:
            verdict = self._report.verdicts.get(test) or self._of_skipped(item, report)
            if verdict is not None:
                self._report.verdicts[test] = verdict
                failures += verdict.failures(strict=self._strict)
        if late := self._seeds.closed_without(test):
            self._add_score(*late)
            failures += [late[1].sentence] * fails(late[1].verdict, strict=self._strict)
        return failures

    def _of_skipped(self, item: pytest.Item, report: pytest.TestReport) -> CaseVerdict | None:
        """A case that was skipped is gone; one that failed as expected is so if it took nothing."""
        record = item.stash.get(RECORD, None)
        if record is not None:
            return self._judged(item, record)
        if item.nodeid not in self._baselines or not self._files.ran(item.nodeid):
            return None
        if hasattr(report, "wasxfail"):
            return gone(item.nodeid, f"it failed as expected ({report.wasxfail}), unmeasured")
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
        return gone(item.nodeid, f"it was skipped ({why})")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge what is left, accept, where asked to, and write the reports."""
        if self._gates:
            for test, finding in self._seeds.unjudged():
                self._add_score(test, finding)
            self._fail_with_verdicts(session)
        if self._options.mode == "accept":
            self._accept(session, exitstatus)
        if share := share_of(self._config):
            self._report.shard.update(share.described())
            self._report.scores.update(self._seeds.scores())
        try:
            for kind, path in self._options.files.items():
                reports.write(kind, path, self._report)
        except GnnperfError as error:
            self._complain(session, str(error))

    def _fail_with_verdicts(self, session: pytest.Session) -> None:
        """No run passes with a verdict that fails, whatever became of the test that had it."""
        passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        verdicts = self._report.verdicts.values()
        bad = any(verdict.failures(strict=self._strict) for verdict in verdicts)
        if passed and bad and not self._config.getoption("collectonly"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

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

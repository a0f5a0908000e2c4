"""`--gnnperf-accept`."""

import json

import pytest

from gnnperf.gates.baselines import read_folder
from gnnperf.gates.fresh import Fresh
from gnnperf.plugin import gate_run
from gnnperf.records import from_json

from .gate_project import TEST, accept, taken


class Processes:
    """Stands for fresh processes, without their start-up of seconds."""

    def __init__(self):
        self.asked, self.records, self.failure = [], {}, ""

    def __call__(self, arguments, directory, tests):
        self.asked.append(tests)
        return Fresh(self.records, self.failure)


@pytest.fixture
def fresh(monkeypatch):
    processes = Processes()
    monkeypatch.setattr(gate_run, "measure_in_fresh_process", processes)
    return processes


def test_a_new_case_takes_five_processes(project, pytester, fresh):
    project("--gnnperf-json=a.json")
    record = from_json(json.loads((pytester.path / "a.json").read_text())["records"][TEST])
    fresh.records = {TEST: record}
    result = project("--gnnperf-accept", "--gnnperf-baselines=kept")
    result.assert_outcomes(passed=1)
    assert fresh.asked == [[TEST]] * 4
    result.stdout.fnmatch_lines(["*measuring 1 cases in a fresh process, 5 of 5"])
    result.stdout.fnmatch_lines(["accepted: *: new"])
    (machine,) = read_folder(pytester.path / "kept")[TEST].machines.values()
    assert machine.paired["cpu_ratio"].processes == 5
    assert machine.provenance["torch"]


def test_a_measurement_that_is_not_whole_leaves_the_old_baseline(project, pytester, fresh):
    old = accept(project, pytester, cpu_ratio=0.1)
    fresh.failure = "it fell over"
    result = project("--gnnperf-accept")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["a fresh process failed: it fell over", "not accepted: *measured in 1 of 5 processes"]
    )
    assert read_folder(pytester.path / "baselines") == {TEST: old}


@pytest.mark.parametrize("accepts", [True, False])
def test_a_test_that_runs_again_counts_by_its_last_run(
    project, pytester, fresh, accepts, monkeypatch
):
    pytest.importorskip("pytest_rerunfailures")
    monkeypatch.delenv("PYTEST_ADDOPTS")  # Which switches that plugin off.
    old = accept(project, pytester, cpu_ratio=0.1)
    code = pytester.path.joinpath("test_project.py").read_text()
    fail = "\n    runs.append(1)\n    assert len(runs) > 1" if accepts else "\n    assert False"
    pytester.makepyfile(test_project="runs = []\n" + code + fail)
    fresh.records = {TEST: taken()}
    project("--gnnperf-accept", "--reruns=1", "-p", "no:randomly")
    assert (read_folder(pytester.path / "baselines") != {TEST: old}) is accepts


@pytest.mark.parametrize("option", ["--benchmark-disable", "--maxfail=1"])
def test_failing_and_unmeasured_cases_are_not_accepted(project, pytester, fresh, option):
    old = accept(project, pytester)
    if option == "--maxfail=1":
        source = (pytester.path / "test_project.py").read_text()
        pytester.makepyfile(test_project=source + "\n    assert False\n")
    result = project("--gnnperf-accept", option)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert read_folder(pytester.path / "baselines") == {TEST: old}


def test_a_folder_that_cannot_be_written_is_refused(pytester):
    (pytester.path / "file").touch()
    result = pytester.runpytest("--gnnperf-accept", "--gnnperf-baselines=file")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gnnperf-baselines *file cannot be written (*"])

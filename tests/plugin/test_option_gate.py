"""`--gnnperf-gate`, its strict form, `--gnnperf-baselines` and the marker `gnnperf_gate`."""

from dataclasses import replace

import pytest

from gnnperf.gates.baselines import read_folder, write_cases
from gnnperf.gates.fresh import Fresh
from gnnperf.plugin import gate_run
from gnnperf.records import measured

from .gate_project import TEST, accept, taken

# What a loaded machine does to a single run is no matter here.
WIDE = "[tool.gnnperf]\nlatency = '100%'\n"


@pytest.fixture(autouse=True)
def _wide(pytester):
    (pytester.path / "pyproject.toml").write_text(WIDE)


def test_a_case_that_holds_passes(project, pytester):
    accept(project, pytester)
    # The path behind the option is a path, not its argument.
    result = project("--gnnperf-gate", "test_project.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= gnnperf gate =*", "test_pruning* ok *", "gate: 1 ok"])


def test_a_regression_fails_as_a_test_with_one_sentence(project, pytester):
    accept(project, pytester, stored_bytes=117_000, accuracy=0.95)
    result = project("--gnnperf-gate", "--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"{TEST.replace('[', '?').replace(']', '?')}: stored_bytes grew from 117000 to *, by *",
            "*: accuracy fell from 0.9500 to *, by * over 1 seed; the limit is 0.0100, *",
            "gate: 1 regressed",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert 'failures="1"' in (pytester.path / "junit.xml").read_text()


@pytest.mark.parametrize(("again", "failed"), [(9.0, 1), (1.0, 0)])
def test_a_suspicion_is_measured_again_in_a_fresh_process(
    project, pytester, monkeypatch, again, failed
):
    accept(project, pytester, cpu_ratio=0.1)
    asked = []

    def measure_in_fresh_process(arguments, directory, tests):
        asked.append(tests)
        reading = measured(again / 10, "ratio", "test")
        return Fresh({TEST: replace(taken(), readings={"cpu_ratio": reading})})

    monkeypatch.setattr(gate_run, "measure_in_fresh_process", measure_in_fresh_process)
    result = project("--gnnperf-gate")
    result.assert_outcomes(failed=failed, passed=1 - failed)
    assert asked == [[TEST]]


def test_a_fresh_process_hands_the_record_back(project, pytester):
    accept(project, pytester, cpu_ratio=0.1)
    result = project("--gnnperf-gate", "-x", "-k", "global", "--benchmark-json=b.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cpu_ratio rose from 0.100 *, and a fresh process measured *"])


def gone_too(pytester, test, **changed):
    folder = pytester.path / "baselines"
    case, *_ = read_folder(folder).values()
    write_cases(folder, {test: type(case)(**{**vars(case), **changed})})


LOST = TEST.replace("global", "layer")


def test_a_case_that_did_not_run_though_its_file_did_is_gone_and_fails(project, pytester):
    accept(project, pytester)
    gone_too(pytester, LOST)
    result = project("--gnnperf-gate", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["gone: *the case is gone: it has a baseline, and its whole file *"]
    )
    assert "layer@0.5" in (pytester.path / "junit.xml").read_text()


@pytest.mark.parametrize(
    "selection", [("-k", "global"), (TEST,), ("--lf",), ("--gnnperf-seeds=0",)]
)
def test_a_selection_judges_only_what_ran(project, pytester, selection):
    accept(project, pytester)
    gone_too(pytester, LOST)
    project("--gnnperf-gate", *selection).assert_outcomes(passed=1)


REAL = {"workload": "cora_node-spline", "source": "real"}


@pytest.mark.parametrize("changed", [{"presets": ("paper",)}, REAL])
def test_cases_of_another_preset_or_other_data_are_not_missed(project, pytester, changed):
    accept(project, pytester)
    gone_too(pytester, LOST, **changed)
    project("--gnnperf-gate").assert_outcomes(passed=1)


def test_a_case_whose_file_is_away_or_that_is_skipped_is_gone(project, pytester):
    accept(project, pytester)
    gone_too(pytester, "test_away.py::test_it")
    pytester.makepyfile(test_project="import pytest\n@pytest.mark.skip('why')\ndef test_it(): ...")
    gone_too(pytester, "test_project.py::test_it")
    result = project("--gnnperf-gate", "--gnnperf-data=synthetic", ".")
    result.stdout.fnmatch_lines(["*it was skipped (Skipped: why)*", "gate: 3 gone"])


def test_new_cases_are_listed_and_fail_only_strictly(project, pytester):
    result = project("--gnnperf-gate")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["new: *there is no baseline; accept one with --gnnperf-accept"])
    project("--gnnperf-gate=strict", "test_project.py").assert_outcomes(failed=1)


def test_other_data_is_said_and_fails_only_strictly(project, pytester):
    case = accept(project, pytester, stored_bytes=1)
    write_cases(pytester.path / "baselines", {TEST: replace(case, data="0" * 16)})
    result = project("--gnnperf-gate")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "new data: *: the data is another, so that nothing is compared: synthetic cora_node *",
            "gate: 1 new data",
        ]
    )
    project("--gnnperf-gate=strict").assert_outcomes(failed=1)


def test_a_ratio_that_is_not_measured_is_said_and_fails_only_strictly(project, pytester):
    accept(project, pytester)
    result = project("--gnnperf-gate", "--benchmark-disable")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["cpu_ratio is not gated: it is unavailable (measuring is *"])
    result = project("--gnnperf-gate=strict", "--benchmark-disable")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gone: *cpu_ratio was measured for the baseline, and now it is *"])


def test_a_marker_sets_a_limit(project, pytester):
    accept(project, pytester, stored_bytes=117_000)
    source = (pytester.path / "test_project.py").read_text()
    marked = source.replace("@pytest", "@pytest.mark.gnnperf_gate(stored_bytes='1%')\n@pytest")
    pytester.makepyfile(test_project=marked)
    project("--gnnperf-gate").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ("latency='ten'", "*test_it: gnnperf_gate: latency = 'ten' is no limit; write a share *"),
        ("speed=1", "*test_it: gnnperf_gate: there is no limit 'speed'; there are *"),
        ("'10%'", "*test_it: gnnperf_gate takes limits by name, such as latency='10%', *"),
    ],
)
def test_a_wrong_marker_is_refused_with_or_without_a_gate(pytester, limits, sentence):
    pytester.makepyfile(f"import pytest\n@pytest.mark.gnnperf_gate({limits})\ndef test_it(): ...")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])


@pytest.mark.parametrize(
    ("options", "content", "sentence"),
    [
        (["--gnnperf-gate", "--gnnperf-accept"], None, "*--gnnperf-accept exclude each other*"),
        (["--gnnperf-gate=loose"], None, "*--gnnperf-gate/--gnnperf-gate=strict: *'loose'*"),
        (["--gnnperf-gate", "-n1"], None, "*--gnnperf-gate under pytest-xdist is refused*"),
        (["--gnnperf-gate", "--gnnperf-baselines=no"], None, "*no: there is no such folder; *"),
        (["--gnnperf-gate"], "<<<<<<< HEAD\n", "*w.json: line 1 is a conflict marker *"),
        (["--gnnperf-gate"], '{"schema": 99}', "*w.json: schema 99, and this gnnperf reads 2; *"),
        (["--gnnperf-gate"], '{"schema": NaN}', "*NaN is no value to compare with*"),
        (["--gnnperf-accept"], '{"a": 1, "a": 2}', "*'a' stands there twice*"),
        (["--gnnperf-gate", "--benchmark-min-rounds=0"], None, "*must be at least 1*"),
    ],
)
def test_wrong_use_is_refused_before_anything_runs(pytester, options, content, sentence):
    pytester.makepyfile("def test_it(): ...")
    if content is not None:
        pytester.mkdir("baselines").joinpath("w.json").write_text(content)
    result = pytester.runpytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])


def test_wrong_settings_are_refused(pytester):
    (pytester.path / "pyproject.toml").write_text("[tool.gnnperf]\nlatency = 'a lot'\n")
    result = pytester.runpytest("--gnnperf-gate")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*tool.gnnperf?: latency = 'a lot' is no limit; *"])


def test_zero_rounds_are_refused(pytester):
    pytester.makepyfile("def test_it(latency): latency(int, int, rounds=0)")
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["rounds=0 measure nothing; take at least one"])

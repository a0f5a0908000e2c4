"""`--gnnperf-report`."""

import pytest

# Before a run inside this process imports them, and forgets them again.
for _name in ("matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2"):
    pytest.importorskip(_name)
from gnnperf.reports.study import rendering  # noqa: E402, F401

PROJECT = """
import pytest
from gnnperf.plugin.tables import RECORDS
from gnnperf.records import Record, measured

def test_a_case(pytestconfig):
    readings = {"accuracy": measured(0.88, "fraction", "test")}
    record = Record("cora_node-spline", "global@0.5", 0, "accuracy", readings, {}, {}, {}, {},
                    "cora_node", "real")
    pytestconfig.stash[RECORDS]["a"] = record
"""


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setattr("gnnperf.reports.study.page.pictures", lambda evidence: [])


def test_the_page_is_written_at_the_end(pytester):
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest("--gnnperf-report=out/study.html")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["gnnperf: *study.html: 1 of 1,516 figures * from 1 cases; of 98 claims 0 reproduced, *"]
    )
    assert "0.880 (1)" in (pytester.path / "out" / "study.html").read_text()


def test_what_is_no_file_is_refused_before_anything_runs(pytester):
    (pytester.path / "file").touch()
    for name, sentence in (
        (".", "*--gnnperf-report '.' is no file; *"),
        ("file/x", "*--gnnperf-report *file *"),
    ):
        result = pytester.runpytest(f"--gnnperf-report={name}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([sentence])


def test_missing_packages_are_named_before_anything_runs(pytester, monkeypatch):
    monkeypatch.setattr("gnnperf.plugin.report.find_spec", lambda name: None)
    result = pytester.runpytest("--gnnperf-report=a.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs matplotlib and jinja2: pip install 'gnnperf?report?'*"])


def test_a_page_that_cannot_be_written_fails_the_run(pytester):
    pytester.makepyfile(PROJECT + "    import shutil; shutil.rmtree('out')\n")
    result = pytester.runpytest("--gnnperf-report=out/study.html")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["gnnperf: --gnnperf-report: *study.html cannot be written *"])

import json

from gnnperf.study.durations import FILE

TEST = """
import pytest

@pytest.mark.gnnperf_cases(workloads=["cora_node-spline"], recipes=["global@0.5", "layer@0.5"])
def test_it(case):
    assert case.recipe != "layer@0.5"
"""


def test_times_are_kept_and_told_by_the_next_run(pytester, tmp_path, monkeypatch):
    monkeypatch.delenv("GNNPERF_DATA", raising=False)
    pytester.makepyfile(test_project=TEST)
    options = ("--gnnperf-data=synthetic", f"--gnnperf-cache={tmp_path}", "--gnnperf-preset=smoke")

    first = pytester.runpytest(*options)
    first.assert_outcomes(passed=1, failed=1)
    first.stdout.no_fnmatch_line("*by earlier runs*")
    # What failed took another time than it takes.
    ((key, _),) = json.loads((tmp_path / FILE).read_text())
    case = ["cora_node-spline", "global@0.5", "0"]
    assert key == ["smoke", "test_project.py::test_it", *case]

    monkeypatch.setattr("gnnperf.plugin.durations._SAY_EVERY_SECONDS", 0)
    second = pytester.runpytest(*options, "--gnnperf-resume")
    second.stdout.fnmatch_lines(
        [
            "gnnperf: less than a minute for 2 cases, by earlier runs; less where *",
            "*gnnperf: 1 of 2 cases are left, less than a minute",
        ]
    )

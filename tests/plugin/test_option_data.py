"""`--gnnperf-data`."""

import pytest

from gnnperf.datasets import sources


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(sources, "_download", lambda spec, raw: "there is no network")


def test_auto_without_data_and_network_runs_on_the_stand_in_and_says_so(project, no_network):
    result = project("--gnnperf-data=auto")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: cora_node~synthetic: synthetic stand-in: no data root is set, and there is *",
            "cora_node~synthetic-spline *global@0.5 *",
        ]
    )


def test_real_without_data_and_network_is_refused(project, no_network):
    result = project("--gnnperf-data=real")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --gnnperf-data real: cora_node: no data root is set and there *"]
    )
    assert "Traceback" not in f"{result.stdout}{result.stderr}"


def test_an_unknown_source_is_refused(project):
    result = project("--gnnperf-data=fake")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gnnperf-data: invalid choice: 'fake'*"])

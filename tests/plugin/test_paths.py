"""Options of ours whose value pytest could take for a test path."""

import pytest


@pytest.fixture
def nested(pytester, monkeypatch):
    """A project one folder down, its settings there, and folders beside it."""
    for name in ("beside", "project", "project/cache", "project/tests"):
        pytester.mkdir(name)
    project = pytester.path / "project"
    (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (project / "tests" / "test_it.py").write_text("def test_it(): pass")
    monkeypatch.chdir(project)
    return pytester


OPTIONS = ["cache", "data-root", "baselines", "json", "summary", "device", "recipes"]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_value_that_moves_the_root_is_refused(nested, option):
    result = nested.runpytest(f"--gnnperf-{option}", "../beside")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --gnnperf-{option} ../beside: *; write --gnnperf-{option}=../beside"]
    )


def test_so_is_one_in_the_environment(nested, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--gnnperf-cache ../beside")
    assert nested.runpytest().ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    "options",
    [
        ["--gnnperf-cache=../beside"],
        ["--gnnperf-cache", "../new"],
        ["--gnnperf-cache", "cache"],
        ["tests", "--gnnperf-cache", "cache"],
        ["--rootdir=.", "-c", "pytest.ini", "--gnnperf-cache", "../beside"],
        ["--gnnperf-accept", "tests"],
    ],
)
def test_what_leaves_the_root_where_it_was_is_taken(nested, options):
    result = nested.runpytest(*options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"rootdir: {nested.path}/project", "configfile: pytest.ini"])

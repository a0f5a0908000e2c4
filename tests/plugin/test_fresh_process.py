"""A fresh process has the plugins of the run that starts it, and leaves that run's files alone."""

import pytest

from gnnperf.gates.baselines import write_cases

from ..gates.records import baseline
from .test_gate_seeds import CONFTEST

TEST = "test_it.py::test_it"


@pytest.fixture
def suite(pytester):
    """A case, accepted at a ratio of 1, that now measures 1.2; call it with options of a gate."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it="def test_it(take): take(0.9, 1.2)")
    pytester.makeini("[pytest]\naddopts = --strict-config\n")
    write_cases(pytester.path / "baselines", {TEST: baseline()})
    return pytester.runpytest


@pytest.mark.parametrize(
    "off",
    [
        ("-p", "no:cacheprovider", "-p", "no:junitxml"),
        ("-pno:cacheprovider", "-pno:stepwise", "--junitxml=here.xml"),
    ],
)
def test_it_does_without_the_plugins_that_the_run_does_without(suite, pytester, off):
    result = suite("--gnnperf-gate", *off)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*cpu_ratio rose from 1.000 *, and a fresh process measured 1.200"]
    )


def test_the_cache_and_the_junit_file_are_those_of_the_run(suite, pytester):
    cache = pytester.path / ".pytest_cache" / "v" / "cache" / "lastfailed"
    result = suite("--gnnperf-gate", "--junitxml=j.xml", "--cache-clear")
    result.assert_outcomes(failed=1)
    assert 'failures="1"' in (pytester.path / "j.xml").read_text()
    assert TEST in cache.read_text()


def test_a_failure_of_the_fresh_process_is_told_in_its_own_words(suite, pytester):
    noisy = baseline(ratios=(1.0, 0.96, 1.0, 1.03, 1.05))
    write_cases(pytester.path / "baselines", {TEST: noisy})
    conftest = CONFTEST + (
        "\ndef pytest_configure(config):\n    if config.getoption('gnnperf_again'):\n"
        "        raise pytest.UsageError('there is no licence')\n"
    )
    pytester.makeconftest(conftest)
    result = suite("--gnnperf-gate")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "unconfirmed: *, and a fresh process could not measure it again: "
            "ERROR: there is no licence; a rise alone counts from *% on",
            "gate: 1 unconfirmed",
        ]
    )
    result = suite("--gnnperf-gate=strict")
    result.assert_outcomes(failed=1)

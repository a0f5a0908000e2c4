"""`--gnnperf-latency-seconds`, and what pytest-benchmark gets of rounds that stop early."""

import json

import pytest

SLOW = """
import time

def test_slow(latency):
    begin = time.perf_counter()
    ratio = latency(lambda: time.sleep(0.1), lambda: time.sleep(0.1))["wall_ratio"]
    print(f"took {time.perf_counter() - begin:.1f} s, {ratio.calls} rounds: {ratio.source}")
"""
QUICK = """
import time

def test_quick(latency):
    ratio = latency(lambda: sum(range(9000)), lambda: sum(range(3000)), limit=1.5)["cpu_ratio"]
    assert ratio.low > 1.5
    assert "clear of 1.5 at look" in ratio.source
    assert ratio.calls < 120
"""


def test_rounds_end_by_the_cap(pytester):
    pytester.makepyfile(SLOW)
    result = pytester.runpytest("--gnnperf-latency-seconds=0.9", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*took 0.[4-9] s, [1-3] rounds: *; the interval is their range;*"])


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "86400.1", "soon", "", "\u0663"])
def test_no_time_is_refused(pytester, seconds):
    result = pytester.runpytest(f"--gnnperf-latency-seconds={seconds}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --gnnperf-latency-seconds '*': name a time above zero, 86400 seconds at most"]
    )


@pytest.mark.parametrize("option", ["-q", "--benchmark-cprofile=cumtime"])
def test_pytest_benchmark_gets_every_round_of_the_candidate(pytester, option):
    pytester.makepyfile(QUICK)
    result = pytester.runpytest(option, "--benchmark-json=out.json", "--benchmark-save-data")
    result.assert_outcomes(passed=1)
    (case,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert case["stats"]["rounds"] in (20, 30, 45, 68, 102)
    assert 1e-6 < case["stats"]["median"] < 0.01


def test_in_the_timers_own_seconds(pytester):
    pytester.makepyfile(SLOW)
    options = ("--gnnperf-latency-seconds=0.9", "--benchmark-timer=time.process_time")
    result = pytester.runpytest(*options, "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    (case,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert case["stats"]["median"] < 0.05

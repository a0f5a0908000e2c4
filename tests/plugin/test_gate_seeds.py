"""Scores are judged over the seeds of a case, however the last of them ends."""

import time

import pytest

from gnnperf.gates.baselines import write_cases
from gnnperf.plugin.gate_seeds import Seeds

from ..gates.records import baseline, record

# Stands for measuring, which takes seconds.
CONFTEST = """
import pytest
from dataclasses import replace
from gnnperf.plugin.shared import RECORD
from gnnperf.records import Record, measured, unavailable

@pytest.fixture
def take(request):
    def take(accuracy, ratio=1.0):
        values = {
            "parameters": 100, "nonzeros": 50, "operations": 7, "macs": 1000,
            "stored_bytes": 500, "peak_heap_bytes": 10_000, "accuracy": accuracy,
            "cpu_ratio": ratio, "energy_ratio": 1.0,
        }
        readings = {
            name: unavailable("", "test", f"it is {value}") if value is None
            else measured(value, "", "test")
            for name, value in values.items()
        }
        provenance = {
            "machine": {"device_name": "CPU X", "instruction_set": "AVX2", "threads": 1},
            "versions": {"torch": "2.13"},
            "data": {"fingerprint": "f" * 64},
        }
        request.node.stash[RECORD] = Record(
            "w", "r", 0, "accuracy", readings, {}, {}, {}, provenance, "w", "real"
        )
    return take
"""
PROJECT = """
import pytest
{marks}
SCORES = {scores}

@pytest.mark.parametrize("seed", [
    pytest.param(n, marks=MARKS.get(n, ()), id=f"w-r-seed{{n}}") for n in range(len(SCORES))
])
def test_it(seed, take):
    take(SCORES[seed])
    {body}
"""


@pytest.fixture
def seeds(pytester):
    """Runs a gate on a case over seeds, accepted with 0.9 each."""

    def run(*options, scores=(0.8, 0.8), marks="MARKS = {}", body="pass"):
        pytester.makeconftest(CONFTEST)
        text = PROJECT.format(scores=scores, marks=marks, body=body)
        pytester.makepyfile(test_seeds=text)
        tests = [f"test_seeds.py::test_it[w-r-seed{n}]" for n in range(len(scores))]
        write_cases(pytester.path / "baselines", dict.fromkeys(tests, baseline()))
        return pytester.runpytest("-p", "no:cacheprovider", "-p", "no:randomly", *options)

    return run


FELL = "*regressed: *accuracy fell from 0.9000 to 0.8000, by 0.1000 over 1 seed; *"


def test_the_last_seed_is_judged_over_all(seeds):
    result = seeds("--gnnperf-gate")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*seed1?: accuracy fell * over 2 seeds; *"])


@pytest.mark.parametrize(
    ("marks", "body"),
    [
        ("MARKS = {1: pytest.mark.skip('why')}", "pass"),
        ("MARKS = {1: pytest.mark.xfail(run=False)}", "pass"),
        ("MARKS = {1: pytest.mark.xfail}", "pass"),
        ("MARKS = {}", "if seed: pytest.skip('late')"),
        ("MARKS = {}", "if seed: pytest.xfail('late')"),
        ("MARKS = {}", "assert not seed"),
    ],
)
@pytest.mark.parametrize("selection", [(), ("-k", "seed")])
def test_a_last_seed_that_is_skipped_or_fails_lets_nothing_through(seeds, marks, body, selection):
    result = seeds("--gnnperf-gate", *selection, marks=marks, body=body)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) >= 1
    result.stdout.fnmatch_lines(
        ["regressed: *accuracy fell from 0.9000 to 0.8000*", "gate: *regr*"]
    )


def test_what_was_deselected_or_never_came_is_not_waited_for(seeds):
    result = seeds("--gnnperf-gate", "-k", "seed0")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines([FELL])
    result = seeds("--gnnperf-gate", "-x", scores=(0.8, 0.9, 0.9), body="assert seed")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([FELL])


def test_a_run_that_was_stopped_still_judges_what_it_has(seeds):
    result = seeds("--gnnperf-gate", body="pytest.exit('enough', 0) if seed else None")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["regressed: *by 0.1000 over 2 seeds; *", "gate: 1 regressed, 1 ok"]
    )


@pytest.mark.parametrize(("gate", "failed"), [("--gnnperf-gate", 1), ("--gnnperf-gate=strict", 1)])
def test_a_score_that_became_nan_is_a_regression(seeds, gate, failed):
    result = seeds(gate, scores=(None,))
    result.assert_outcomes(failed=failed)
    result.stdout.fnmatch_lines(
        ["regressed: *accuracy was measured for the baseline, and now it is unavailable (it is *"]
    )


def test_what_is_expected_to_fail_is_excused_for_its_own_rules_alone(seeds):
    marks = "MARKS = {0: pytest.mark.xfail}"
    seeds("--gnnperf-gate", scores=(0.9,), marks=marks, body="assert 0").assert_outcomes(xfailed=1)
    result = seeds("--gnnperf-gate", scores=(0.8,), marks=marks, body="assert 0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([FELL])


def test_good_seeds_pass_however_the_last_ends(seeds):
    marks = "MARKS = {1: pytest.mark.skip('why')}"
    result = seeds("--gnnperf-gate", "-k", "seed", scores=(0.9, 0.9), marks=marks)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["gate: 1 ok"])


def test_a_gate_that_judged_nothing_says_so(pytester):
    pytester.makepyfile("def test_it(): ...")
    pytester.runpytest("--gnnperf-gate").stdout.fnmatch_lines(["gate: no case ran"])


def test_thousands_of_cases_take_time_that_grows_as_they_do():
    """Looking through all records for those of a group took 1.9 s at 2000 cases."""
    tests = [f"a.py::t[w-r{n // 5}-seed{n % 5}]" for n in range(4000)]
    measured, old = record(accuracy=0.8), baseline()
    seeds = Seeds(dict.fromkeys(tests, old))
    begin = time.process_time()
    seeds.expect(tests)
    found = []
    for test in tests:
        seeds.add(test, measured, {})
        found.append(seeds.close(test))
    assert time.process_time() - begin < 1.5
    assert [n for n, finding in enumerate(found) if finding] == list(range(4, 4000, 5))


def test_thousands_of_cases_that_are_gone_stand_behind_their_files(pytester):
    names = [f"test_{letter}.py::test_{n}" for letter in "abc" for n in range(1000)]
    for letter in "abc":
        pytester.makepyfile(**{f"test_{letter}": "def test_it(): ..."})
    write_cases(pytester.path / "baselines", dict.fromkeys(names, baseline()))
    options = ("--gnnperf-gate", "--gnnperf-preset=smoke", "-p", "no:randomly")
    begin = time.process_time()
    items = (
        pytester.inline_run("--collect-only", "-qq", "--gnnperf-data=real", *options)
        .getcalls("pytest_collection_modifyitems")[0]
        .items
    )
    assert time.process_time() - begin < 10
    ids = [item.nodeid for item in items]
    assert ids[:3] == ["test_a.py::test_it", "test_a.py::test_0", "test_a.py::test_1"]
    assert ids[1001:1003] == ["test_b.py::test_it", "test_b.py::test_0"]
    assert len(ids) == 3003

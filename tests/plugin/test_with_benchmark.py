"""pytest-benchmark's own options, what its JSON says of a case, and none of it."""

import json

import pytest


def test_disabled_cases_still_run_and_their_latency_is_unavailable(project):
    result = project("-v", "--benchmark-disable")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "cora_node~synthetic-spline-global@0.5-seed0 *accuracy *x *unavailable *",
            "unavailable: measuring is switched off; pytest-benchmark does it (cpu_ratio, *",
        ]
    )


def test_skipped(project):
    project("--benchmark-skip").assert_outcomes(skipped=1)


def test_only(project, pytester):
    pytester.makepyfile(test_other="def test_other(): pass")
    project("--benchmark-only").assert_outcomes(passed=1, skipped=1)


def test_its_parameters_are_plain_values(project, pytester):
    # It groups by them too, in the run and in what it saved.
    result = project(
        *("-v", "--benchmark-json=out.json", "--benchmark-group-by=param:recipe,param:seed")
    )
    result.stdout.fnmatch_lines(["*benchmark 'recipe=global@0.5 seed=0': 1 tests*"])
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    case = {"workload": "cora_node-spline", "recipe": "global@0.5", "seed": 0, "beside": []}
    assert bench["params"] == case


@pytest.mark.parametrize("options", [["-pno:benchmark"], ["-pno:benchmark", "--gnnperf-gate"]])
def test_without_it_cases_run_and_their_latency_is_unavailable(project, options):
    result = project(*options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["unavailable: measuring is switched off; pytest-benchmark does it (cpu_ratio, *"]
    )


def test_without_it_a_callable_is_called_once(pytester):
    pytester.makepyfile(
        """
        calls = []

        def test_it(latency):
            readings = latency(lambda: calls.append(1), lambda: None)
            assert calls == [1]
            assert readings["cpu_ratio"].status == "unavailable"
        """
    )
    pytester.runpytest("-pno:benchmark").assert_outcomes(passed=1)

"""pytest-benchmark's own options."""


def test_disabled_cases_still_run_and_their_latency_is_unavailable(project):
    result = project("--benchmark-disable")
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

"""`--gnnperf-seeds`."""

import pytest


@pytest.mark.parametrize(
    ("seeds", "found"), [("3", [3]), ("2,0", [2, 0]), ("0..2,7", [0, 1, 2, 7])]
)
def test_they_replace_the_presets(project, seeds, found):
    result = project("--gnnperf-seeds", seeds, "--collect-only", "-q")
    case = "test_project.py::test_pruning[[]cora_node~synthetic-spline-global@0.5-seed{}]"
    result.stdout.fnmatch_lines([case.format(seed) for seed in found])
    result.stdout.fnmatch_lines([f"{len(found)} test* collected *"])


def test_the_header_names_them(project):
    result = project("--gnnperf-seeds=3", "--collect-only")
    result.stdout.fnmatch_lines(["gnnperf: *, preset smoke, cache *, seeds 3"])


def test_seeds_of_the_marker_stay(project, pytester):
    pytester.makepyfile(
        test_wanted="""
        import pytest

        @pytest.mark.gnnperf_cases(
            workloads=["cora_node-spline"], recipes=["global@0.5"], seeds=[4]
        )
        def test_it(case): ...
        """
    )
    result = project("test_wanted.py", "--gnnperf-seeds=0,1", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*-seed4]", "1 test* collected *"])


@pytest.mark.parametrize(
    "seeds",
    [
        "",
        "one",
        "-1",
        "0,,1",
        "2..1",
        "0..1000",
        "0..99999999999999999999",
        str(1 << 32),
        "\u0663",
        "\udcff",
    ],
)
def test_nonsense_is_refused(project, seeds):
    result = project(f"--gnnperf-seeds={seeds}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --gnnperf-seeds {seeds!r} is no list like 0,1,2 or 0..9*"]
    )


def test_nonsense_is_cut(project):
    result = project(f"--gnnperf-seeds={'9' * 5000}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --gnnperf-seeds '{'9' * 37}...' is no list *"])


def test_a_case_over_seeds_gets_all_of_them(project, pytester):
    pytester.makepyfile(
        test_wanted="""
        import pytest

        @pytest.mark.gnnperf_cases(
            workloads=["cora_node-spline"], recipes=["global@0.5"], over_seeds=3
        )
        def test_it(case): ...
        """
    )
    for options, seeds in (["--gnnperf-seeds=7,8"], "7,8"), ([], "0,1,2"):
        result = project("test_wanted.py", *options, "--collect-only", "-q")
        result.stdout.fnmatch_lines([f"*-seeds{seeds}]", "1 test* collected *"])


def test_the_preset_fixture_has_them(project, pytester):
    pytester.makepyfile(
        test_wanted="""
        def test_it(preset):
            assert preset.seeds == (7, 8)
            assert preset.name == "smoke"
        """
    )
    project("test_wanted.py", "--gnnperf-seeds=7,8").assert_outcomes(passed=1)

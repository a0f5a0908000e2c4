"""`--gnnperf-resume`."""

import json

import pytest

from gnnperf.records import from_json
from gnnperf.study import results

STOPPED = """
import pytest
from gnnperf.recipes import compress

@pytest.mark.gnnperf_cases(
    workloads=["cora_node-spline"], recipes=["global@0.5", "layer@0.5", "layer@0.8"]
)
def test_it(case, trained, measure):
    if case.recipe == "layer@0.5" and {stop}:
        pytest.exit("stopped")
    measure(compress(trained(case.workload, case.seed), case.recipe))
"""


@pytest.fixture
def study(project, own_cache):
    """A project with a store of its own."""
    return lambda *options: project(f"--gnnperf-cache={own_cache}", *options)


def benchmarks(pytester, name):
    return json.loads((pytester.path / name).read_text())["benchmarks"]


def test_a_finished_case_comes_from_the_store(study, pytester):
    study("--benchmark-json=first.json", "--benchmark-save-data").assert_outcomes(passed=1)
    result = study("-v", "--gnnperf-resume", "--benchmark-json=again.json", "--benchmark-save-data")
    result.assert_outcomes(passed=1, warnings=0)
    result.stdout.fnmatch_lines(
        [
            "case * measured",
            "*",
            "cora_node~*-global@0.5-seed0 * before, 20??-*:??+*",
        ]
    )
    (first,), (again,) = benchmarks(pytester, "first.json"), benchmarks(pytester, "again.json")
    assert again["stats"] == first["stats"]
    one, two = (from_json(bench["extra_info"]["gnnperf"]) for bench in (first, again))
    assert two.readings == one.readings
    assert two.layers == one.layers
    assert two.provenance == {**one.provenance, "resumed": True}


def test_without_the_option_it_is_measured_again(study):
    study()
    result = study()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*before, *")
    result.stdout.no_fnmatch_line("*not resumed*")


def test_a_stopped_study_goes_on_where_it_was(study, pytester):
    pytester.makepyfile(test_study=STOPPED.format(stop=True))
    assert study("test_study.py").ret == pytest.ExitCode.INTERRUPTED
    pytester.makepyfile(test_study=STOPPED.format(stop=False))
    result = study("-v", "test_study.py", "--gnnperf-resume")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*-global@0.5-seed0 *before, *", "*-layer@0.5-seed0 * now", "*-layer@0.8-seed0 * now"]
    )


def test_after_a_change_it_is_measured_again_and_the_reason_is_said(study, monkeypatch):
    study()
    machine = results.describe_machine
    monkeypatch.setattr(
        results, "describe_machine", lambda device: machine(device) | {"threads": 2}
    )
    result = study("--gnnperf-resume", "--gnnperf-energy=off")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["1 case not resumed, measured again, as energy auto -> off, threads 1 -> 2"]
    )
    result.stdout.no_fnmatch_line("*before, *")


def test_a_damaged_result_is_measured_again_with_a_warning(study, own_cache):
    study()
    (path,) = (own_cache / "results").glob("*/*.result")
    path.write_bytes(path.read_bytes()[:-9])
    result = study("--gnnperf-resume")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*UserWarning: the stored result *.result is damaged and is measured again"]
    )
    assert path.read_bytes().endswith(b"]}")


def test_other_meters_are_another_case(study, pytester):
    study()
    pytester.makepyfile(
        test_scores="""
        import pytest
        from gnnperf.recipes import compress

        @pytest.mark.gnnperf_cases(workloads=["cora_node-spline"], recipes=["global@0.5"])
        def test_it(case, trained, measure):
            record = measure(compress(trained(case.workload, case.seed), case.recipe), ["scores"])
            assert "cpu_ratio" not in record.readings
        """
    )
    result = study("test_scores.py", "--gnnperf-resume")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*not resumed*")


def test_switched_off_benchmarks_neither_store_nor_resume(study, own_cache):
    study("--benchmark-disable", "--gnnperf-resume").assert_outcomes(passed=1)
    assert not (own_cache / "results").exists()

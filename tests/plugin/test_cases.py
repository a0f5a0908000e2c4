"""`@pytest.mark.gnnperf_cases` and what a run with it prints and saves."""

import json

import pytest

from gnnperf.records import from_json

CASE = "test_project.py::test_pruning[cora_node~synthetic-spline-global@0.5-seed0]"


def test_a_case_is_measured_and_shown(project):
    result = project("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: device cpu (*), threads 1, data synthetic, preset smoke, cache *",
            "gnnperf: cora_node~synthetic: synthetic stand-in: as asked with --gnnperf-data *",
            "test_project.py::test_pruning?cora_node~synthetic-spline-global@0.5-seed0? PASSED*",
            "*= gnnperf =*",
            "case *score *drop *stored *smaller *CPU time / twin *MACs",
            "cora_node~synthetic-spline-global@0.5-seed0 *accuracy *x *[[]*, *] *M",
        ]
    )


def test_the_record_lies_in_pytest_benchmarks_json(project, pytester):
    project("--benchmark-json=out.json")
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    record = from_json(bench["extra_info"]["gnnperf"])
    assert record.case == "cora_node~synthetic-spline-global@0.5-seed0"
    assert bench["stats"]["rounds"] in (20, 30, 45, 68, 102, 120)
    assert record.readings["cpu_ratio"].status == "measured"
    assert record.readings["cpu_ratio"].value == pytest.approx(1, abs=0.5)
    assert record.value("parameters") == 69_143
    assert record.layers["conv1.weight"].parameters == 2 * 1433 * 16
    assert record.value("nonzeros") == sum(layer.nonzeros for layer in record.layers.values())
    assert sum(changed for changed, _ in record.coverage.values()) == 34_560
    assert record.provenance["data"]["source"] == "synthetic"
    assert record.provenance["machine"]["threads"] == 1
    assert set(record.provenance["versions"]) > {"torch", "gnnperf", "python"}


def test_autosave(project, pytester):
    project("--benchmark-autosave")
    (saved,) = pytester.path.glob(".benchmarks/*/*.json")
    assert "gnnperf" in json.loads(saved.read_text())["benchmarks"][0]["extra_info"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("workloads=['cora'], recipes=['global@0.5']", "unknown workload 'cora'; there are *"),
        ("workloads=['cora_node-spline'], recipes=['prune@1']", "unknown recipe 'prune@1'; *"),
        ("workloads=['cora_node-spline'], recipes=['layer@1.2']", "recipe 'layer@1.2': '1.2' is *"),
        ("workloads=['cora_node-spline'], recipes=['layer@nan']", "recipe 'layer@nan': 'nan' is *"),
        (
            "workload='cora_node-spline'",
            "*gnnperf_cases takes workloads, recipes and perhaps seeds, *",
        ),
    ],
)
def test_a_wrong_marker_stops_collection_with_one_sentence(project, pytester, arguments, sentence):
    pytester.makepyfile(
        test_wrong=f"""
        import pytest

        @pytest.mark.gnnperf_cases({arguments})
        def test_it(case): ...
        """
    )
    result = project("test_wrong.py")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*plugin.py:*")


def test_several_markers_add_their_cases_up(project, pytester):
    pytester.makepyfile(
        test_two="""
        import pytest

        @pytest.mark.gnnperf_cases(workloads=["cora_node-spline"], recipes=["global@0.5"])
        @pytest.mark.gnnperf_cases(workloads=["bbbp-gin"], recipes=["layer@0.8", "layer@0.9"])
        @pytest.mark.gnnperf_cases(workloads=["bbbp-gin"], recipes=["layer@0.90"])
        def test_it(case): ...
        """
    )
    result = project("test_two.py", "--collect-only", "-q")
    found = [line.partition("[")[2] for line in result.outlines if "test_it[" in line]
    assert found == [
        "cora_node~synthetic-spline-global@0.5-seed0]",
        "bbbp~synthetic-gin-layer@0.8-seed0]",
        "bbbp~synthetic-gin-layer@0.9-seed0]",
    ]


def test_a_recipe_that_cannot_be_applied_fails_with_one_sentence(project, pytester):
    pytester.makepyfile(
        test_wrong="""
        from gnnperf.recipes import compress

        def test_it(trained):
            compress(trained("cora_node-spline"), "global@1e-9")
        """
    )
    result = project("test_wrong.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["recipe global@1e-09: sparsity 1e-09 removes none of the 69120 *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*test_wrong.py:*: *Error*")


def test_an_error_of_others_keeps_its_traceback(project, pytester):
    pytester.makepyfile(test_wrong="def test_it(trained):\n    1 / 0")
    result = project("test_wrong.py")
    result.stdout.fnmatch_lines(["*1 / 0", "E *ZeroDivisionError*"])


def test_a_second_measurement_in_a_test_is_refused(project, pytester):
    pytester.makepyfile(
        test_wrong="""
        from gnnperf.recipes import compress

        def test_it(trained, measure):
            for recipe in ("global@0.5", "layer@0.5"):
                measure(compress(trained("cora_node-spline"), recipe))
        """
    )
    result = project("test_wrong.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["test_it: measure() takes one case a test; parametrize the *"])


def test_a_run_without_gnnperf_is_left_alone(pytester):
    pytester.makepyfile("def test_it(): pass")
    script = "import pytest, sys; code = pytest.main(['-q']); print('torch' in sys.modules); "
    result = pytester.run("python", "-c", script + "sys.exit(code)")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["False"])
    result.stdout.no_fnmatch_line("*gnnperf:*")

"""`--gnnperf-data-root` and GNNPERF_DATA."""

import pytest

from gnnperf.datasets import SPECS

from ..datasets.mutations import small_cora, write


def refused(result, sentence):
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {sentence}"])
    assert "Traceback" not in f"{result.stdout}{result.stderr}"
    assert "INTERNALERROR" not in f"{result.stdout}{result.stderr}"


def test_real_data(project, real_data):
    result = project("--gnnperf-data=real", f"--gnnperf-data-root={real_data}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            f"gnnperf: cora_node: raw files under {real_data}",
            "cora_node-spline *global@0.5 *",
        ]
    )


def test_the_environment_names_it_too(project, real_data, monkeypatch):
    monkeypatch.setenv("GNNPERF_DATA", str(real_data))
    result = project("--gnnperf-data=real", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_pruning[[]cora_node-spline-global@0.5-seed0]"])


@pytest.mark.parametrize("mode", ["auto", "real"])
@pytest.mark.parametrize("name", ["mistyped", "x" * 300])
def test_a_root_without_the_files_is_refused_in_every_mode(project, tmp_path, mode, name):
    result = project(f"--gnnperf-data={mode}", f"--gnnperf-data-root={tmp_path}/{name}")
    refused(
        result,
        f"the data root {tmp_path}/{name} (--gnnperf-data-root or GNNPERF_DATA): {tmp_path}/{name}"
        "/Cora/raw lacks ind.cora.x, *; put cora_node's raw files there, or name another folder",
    )


def test_the_environment_is_refused_too(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GNNPERF_DATA", str(tmp_path))
    refused(project("--gnnperf-data=auto"), f"the data root {tmp_path} (*")
    project("--gnnperf-data=synthetic").assert_outcomes(passed=1)


def test_a_root_without_a_name_is_refused(project):
    result = project("--gnnperf-data=auto", "--gnnperf-data-root=")
    refused(result, "--gnnperf-data-root names no folder; name one, or leave it out")


TWO = """
import pytest

@pytest.mark.gnnperf_cases(
    workloads=["proteins-gin", "cora_node-spline"], recipes=["global@0.5"], seeds=[0]
)
def test_it(case, workbench):
    assert [dataset.name for dataset in workbench.datasets()] == ["cora_node"]

@pytest.mark.skip
@pytest.mark.gnnperf_cases(workloads=["bbbp-gin"], recipes=["global@0.5"], seeds=[0])
def test_skipped(case): ...
"""


@pytest.fixture
def cora_alone(tmp_path):
    write(tmp_path / "data", SPECS["cora_node"], small_cora())
    return ("--gnnperf-data=auto", f"--gnnperf-data-root={tmp_path}/data", "--gnnperf-jobs=1")


def test_what_no_selected_case_needs_is_not_loaded_and_may_be_missing(
    project, pytester, cora_alone
):
    pytester.makepyfile(test_two=TWO)
    options = (*cora_alone, "--gnnperf-data-version=small", "test_two.py")
    result = project(*options, "-v", "-k", "cora_node or skipped")
    result.assert_outcomes(passed=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: cora_node~small: raw files under *data, version small",
            "test_two.py::test_it?cora_node~small-spline-global@0.5-seed0? PASSED*",
            "test_two.py::test_skipped?bbbp~small-gin-global@0.5-seed0? SKIPPED*",
        ]
    )
    result.stdout.no_fnmatch_line("gnnperf: proteins*")
    refused(project(*options), "the data root *PROTEINS/raw lacks PROTEINS_A.txt, *")


def test_files_that_are_not_the_published_ones_are_refused(project, cora_alone):
    refused(
        project(*cora_alone),
        "*Cora/raw: ind.cora.x, *, ind.cora.test.index are not the published files, by their "
        "SHA-256; fetch the raw files again or, if another version is meant, name it with "
        "--gnnperf-data-version",
    )

"""`--gnnperf-data-version`."""

import json

import pytest

from gnnperf.datasets import SPECS

from ..datasets.mutations import small_proteins, write

TEST = """
import pytest
from gnnperf.recipes import compress

@pytest.mark.gnnperf_cases(workloads=["proteins-gin"], recipes=["global@0.5"], seeds=[0])
def test_it(case, trained, measure):
    measure(compress(trained(case.workload, case.seed), case.recipe), ["scores"])
"""


def test_it_stands_in_ids_and_records(project, pytester, tmp_path):
    write(tmp_path / "data", SPECS["proteins"], small_proteins(40))
    pytester.makepyfile(test_own=TEST)
    result = project(
        "--gnnperf-data=real",
        f"--gnnperf-data-root={tmp_path}/data",
        "--gnnperf-data-version=small.1",
        f"--gnnperf-cache={tmp_path}/cache",
        "--benchmark-json=out.json",
        "-v",
        "test_own.py",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            f"gnnperf: proteins~small.1: raw files under {tmp_path}/data, version small.1",
            "test_own.py::test_it?proteins~small.1-gin-global@0.5-seed0? PASSED*",
        ]
    )
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    record = bench["extra_info"]["gnnperf"]
    assert record["case"] == "proteins~small.1-gin-global@0.5-seed0"
    assert record["provenance"]["data"]["key"] == "proteins~small.1"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--gnnperf-data-version=a-b"],
            "--gnnperf-data-version 'a-b': name a version with 1 to *",
        ),
        (["--gnnperf-data-version=v2"], "--gnnperf-data-version 'v2' names raw files, of which -*"),
        (
            ["--gnnperf-data-version=v2", "--gnnperf-data=auto"],
            "--gnnperf-data-version 'v2': name the folder that holds this version with *",
        ),
    ],
)
def test_nonsense_is_refused_before_anything_runs(project, options, sentence):
    result = project(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {sentence}"])
    assert "Traceback" not in f"{result.stdout}{result.stderr}"

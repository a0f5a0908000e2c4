"""A project that registers a method and a meter, runs a chain, saves, and loads elsewhere."""

import subprocess
import sys

import pytest

from gnnperf.meters.registry import METERS
from gnnperf.recipes import METHODS
from gnnperf.workloads import WORKLOADS

from .shipping_project import BENCH, CONFTEST, ELSEWHERE, NETS


@pytest.fixture(autouse=True)
def _registries():
    yield
    for registry, name in ((WORKLOADS, "mine-net"), (METHODS, "topk"), (METERS, "answers")):
        registry.pop(name, None)


@pytest.fixture
def own(pytester, project, tmp_path):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(nets=NETS, test_bench=BENCH)
    return lambda *options: project("test_bench.py", f"--gnnperf-cache={tmp_path}", *options)


def test_a_method_a_meter_and_a_model_that_ships(own, pytester):
    result = own("--gnnperf-jobs=2")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: 2 bases are missing, 2 are trained at a time*",
            "gnnperf: 2 trainings after recipes are missing, 2 are trained at a time*",
        ]
    )
    result.stdout.no_fnmatch_line("*a training ahead failed*")
    result.stdout.fnmatch_lines(["*topk@0.5+finetune *"])
    loaded = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=pytester.path, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "Net torch.Size([300, 2])", loaded.stderr


@pytest.mark.parametrize(
    ("recipes", "found"),
    [("topk@0.250", 3), ("topk@*", 7), ("*+finetune", 3)],
)
def test_its_cases_are_chosen_by_name(own, recipes, found):
    result = own("--collect-only", "-q", f"--gnnperf-recipes={recipes}")
    assert len([line for line in result.outlines if line.startswith("test_bench.py::")]) == found


def test_an_argument_out_of_range_is_refused_in_its_words(own, pytester):
    pytester.makepyfile(test_bench=BENCH.replace("topk@0.25", "topk@1.25"))
    result = own("--collect-only")
    result.stdout.fnmatch_lines(
        ["*recipe 'topk@1.25': '1.25' is no argument for topk (the largest of a row; share in *"]
    )

"""A model that came trained, and one that was compressed elsewhere, as pytest cases."""

import json

from gnnperf.gates.acceptance import accepted
from gnnperf.gates.baselines import write_cases
from gnnperf.records import from_json

TEST = """
import copy
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
import gnnperf

torch.manual_seed(0)
X = torch.randn(400, 8)
DATA = Data(x=X, edge_index=torch.empty(2, 0, dtype=torch.long), y=(X[:, 0] > 0).long())
NET = gnnperf.Fields(nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2)), "x")


@pytest.fixture(scope="module")
def ready():
    return gnnperf.Trained.of(NET, test=[DATA], metric="accuracy", train=[DATA], name="mine")


@pytest.mark.gnnperf_gate(score=0.05)
@pytest.mark.parametrize("recipe", ["global@0.5", "ptq@int8"])
def test_ready(ready, measure, recipe):
    measure(ready, recipe=recipe)


def test_elsewhere(measure):
    other = copy.deepcopy(NET)
    with torch.no_grad():
        other.module[0].weight[:16] = 0.0
    measure(gnnperf.compared(NET, other, [DATA], "accuracy", name="mine", recipe="by-hand"))
"""


def run(pytester, shared_cache, *options):
    return pytester.runpytest(f"--gnnperf-cache={shared_cache}", *options)


def test_both_stand_in_the_table_and_the_record(pytester, shared_cache):
    pytester.makepyfile(test_mine=TEST)
    result = run(pytester, shared_cache, "--gnnperf-json=out.json")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "mine *global@0.5 *x *",
            "mine *ptq@int8 *x *",
            "mine *by-hand *x *",
        ]
    )
    records = json.loads((pytester.path / "out.json").read_text())["records"]
    record = records["test_mine.py::test_elsewhere"]
    assert record["coverage"] == {"module.0.weight": [128, 512]}


def test_the_gate_holds_them_to_their_baselines(pytester, shared_cache):
    pytester.makepyfile(test_mine=TEST.replace("recipe=recipe", 'recipe=recipe, meters=("size",)'))
    test = "test_mine.py::test_ready[global@0.5]"
    run(pytester, shared_cache, "--gnnperf-json=out.json", "-k", "global")
    record = from_json(json.loads((pytester.path / "out.json").read_text())["records"][test])
    case = accepted(test, [record] * 5, None, "quick")
    write_cases(pytester.path / "baselines", {test: case})
    content = json.loads((pytester.path / "baselines" / "mine.json").read_text())
    assert content["dataset"] == "given batches"
    run(pytester, shared_cache, "--gnnperf-gate", "-k", "global").assert_outcomes(
        passed=1, deselected=2
    )
    # None of the weights is removed any more.
    path = pytester.path / "test_mine.py"
    kept = 'pytest.param("global@0", id="global@0.5")'
    path.write_text(path.read_text().replace('"global@0.5"', kept))
    gate = run(pytester, shared_cache, "--gnnperf-gate", "-k", "global")
    gate.assert_outcomes(failed=1, deselected=2)
    gate.stdout.fnmatch_lines(["*stored bytes*"])


def test_what_is_no_case_is_one_sentence(pytester, shared_cache):
    pytester.makepyfile(
        test_mine=TEST
        + """

def test_no_recipe(ready, measure):
    measure(ready)

def test_two_recipes(ready, measure):
    measure(gnnperf.compress(ready, "global@0.5"), recipe="global@0.5")

def test_it_trains(ready, measure):
    measure(ready, recipe="qat@int8")
"""
    )
    result = run(pytester, shared_cache, "-k", "recipe or trains")
    result.assert_outcomes(failed=3, deselected=3)
    result.stdout.fnmatch_lines_random(
        [
            "measure was given a Trained and recipe=None; give a trained model with a recipe, *",
            "measure was given a Compressed and recipe='global@0.5'; give *",
            "mine was given ready trained (Trained.of), and this recipe trains; choose one that *",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")

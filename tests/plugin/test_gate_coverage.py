"""`gnnperf_gate(coverage=...)` holds a case to what its recipe took in hand."""

import json
from copy import deepcopy

import pytest
import torch

from gnnperf.compression import Changed, Compressed
from gnnperf.recipes import METHODS, Method
from gnnperf.workloads import WORKLOADS

from .own_project import CONFTEST, SIZES


def head_alone(trained, argument):
    """Takes 32 of 160 weights in hand."""
    model = deepcopy(trained.model)
    with torch.no_grad():
        model.head.weight.zero_()
    return Compressed(trained, model, {"head.weight": Changed(32, 32)})


@pytest.fixture
def run(pytester, shared_cache, monkeypatch):
    """Runs the case with a least coverage, by marker or by pyproject.toml."""
    monkeypatch.setitem(METHODS, "head", Method("the head", str, head_alone))
    pytester.makeconftest(CONFTEST)

    def run(*options, marker="", project=""):
        case = SIZES.replace("global@0.5", "head@all")
        mark = f"@pytest.mark.gnnperf_gate(coverage={marker!r})\n" if marker != "" else ""
        pytester.makepyfile(test_mine=case.replace("def test_sizes", f"{mark}def test_sizes"))
        (pytester.path / "pyproject.toml").write_text(project)
        WORKLOADS.pop("mine-net", None)
        return pytester.runpytest(f"--gnnperf-cache={shared_cache}", *options)

    yield run
    WORKLOADS.pop("mine-net", None)


FAILS = "*test_sizes*: head@all covers 0.2000 of the weights, and 0.2100 is the least; left out: *"


@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        ({}, True),
        ({"marker": 0.2}, True),
        ({"marker": "21%"}, False),
        ({"project": "[tool.gnnperf]\ncoverage = 0.21"}, False),
        ({"project": "[tool.gnnperf]\ncoverage = 0.21", "marker": 0.19}, True),
    ],
)
def test_the_least_coverage_holds_without_a_gate(run, limits, passes):
    result = run(**limits)
    result.assert_outcomes(passed=int(passes), failed=int(not passes))
    result.stdout.fnmatch_lines(
        ([] if passes else [FAILS])
        + [
            "workload *covered*",
            "mine-net *head@all * 0.200 *",
            "warning: mine-net-head@all-seed0 covers 0.200 of its weights; left out: hidden.w*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.stdout.str().count("warning: mine-net") == 1


@pytest.mark.parametrize("strict", ["", "=strict"])
def test_a_gate_tells_it_beside_its_other_verdicts(run, pytester, strict):
    result = run(f"--gnnperf-gate{strict}", "--gnnperf-json=out.json", marker=0.21)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gate*: 1 regressed"])
    assert "covers 0.2000 of the weights" in (pytester.path / "out.json").read_text()


def test_what_covers_too_little_is_not_accepted(run, pytester):
    result = run("--gnnperf-accept", marker=0.21)
    result.assert_outcomes(failed=1)
    assert not list((pytester.path / "baselines").glob("*.json"))


def test_a_limit_that_is_none_is_refused_before_anything_runs(run):
    result = run(marker="120%")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*coverage = '120%' is no share of the weights; write one from*"])


def test_the_record_says_what_was_left_out(run, pytester):
    run("--gnnperf-json=out.json")
    (record,) = json.loads((pytester.path / "out.json").read_text())["records"].values()
    assert list(record["uncovered"]) == ["hidden.weight"]
    assert record["coverage"] == {"head.weight": [32, 32]}
    assert record["readings"]["covered"]["value"] == 0.2

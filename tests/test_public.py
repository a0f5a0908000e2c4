"""What `gnnperf` itself offers."""

import subprocess
import sys

import pytest

import gnnperf
from gnnperf.workloads import WORKLOADS, register


@pytest.mark.parametrize("name", gnnperf.__all__)
def test_each_name_is_there_and_documented(name):
    assert getattr(gnnperf, name).__doc__
    assert name in dir(gnnperf)


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="no attribute 'prune'; it offers "):
        gnnperf.prune  # noqa: B018


@pytest.mark.parametrize("module", ["gnnperf", "gnnperf.plugin", "gnnperf.plugin.gate"])
def test_importing_it_is_cheap(module):
    heavy = ("torch", "numpy", "scipy", "torch_geometric")
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_model_is_measured_without_pytest(spline_base):
    record = gnnperf.measure(gnnperf.compress(spline_base, "global@0.5"), meters=("scores", "size"))
    assert record.value("size_ratio") > 1


def test_the_former_name_of_registering_warns_of_the_new_one(monkeypatch):
    workload = next(iter(WORKLOADS.values()))
    with pytest.warns(DeprecationWarning, match="is now gnnperf.register_workload"):
        register(workload)

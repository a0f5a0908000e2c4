"""A plan as a file for onnxruntime."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from gnnperf.deploy import EXACT, DeployError, agreement, broken_promise, deploy
from gnnperf.deploy.dead import without_dead
from gnnperf.deploy.lowering import lowered
from gnnperf.deploy.portable import PlanModule, inputs_of, runtime_missing
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.hgpsl import HGPSL
from gnnperf.training import seeded
from tests.deploy.test_lean import (
    ON_LINKS,
    ON_NODES,
    WIDTH,
    assert_close,
    graph,
    small_batch,
    trained,
)

needs_runtime = pytest.mark.skipif(
    runtime_missing() is not None, reason=f"deploy=onnx: {runtime_missing()}"
)

# Loads the file where gnnperf cannot be imported.
ALONE = """
import sys, numpy, onnxruntime
sys.modules["gnnperf"] = sys.modules["torch"] = None
session = onnxruntime.InferenceSession(sys.argv[1])
found, = session.run(None, {k: v for k, v in numpy.load(sys.argv[2]).items() if k != "expected"})
sys.exit(not numpy.allclose(found, numpy.load(sys.argv[2])["expected"], atol=1e-5))
"""


@needs_runtime
def test_graphs_of_all_sizes_and_a_process_without_gnnperf(tmp_path):
    with seeded(0):
        model = GNNNet(WIDTH, 2, hidden=16).eval()
    batch = small_batch(3, 7, 2, 12)
    deployed = deploy(model, "onnx", [batch])
    found = agreement(model, deployed, [batch, small_batch(1, 1), graph(0, 70)], EXACT)
    assert broken_promise(found, EXACT) is None
    torch.testing.assert_close(deployed(batch), model(batch))

    deployed.model.write(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size == deployed.deployed_bytes
    inputs = deployed.prepare(graph(1)).onnx_inputs[1]
    expected = model(graph(1)).detach().numpy()
    np.savez(tmp_path / "case.npz", expected=expected, **inputs)
    files = [str(tmp_path / name) for name in ("model.onnx", "case.npz")]
    assert subprocess.run([sys.executable, "-c", ALONE, *files], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("name", [*ON_NODES, *ON_LINKS, "gin", "sage"])
def test_every_plan_in_plain_operations(name):
    model, batch = trained(name), graph(1, 50)
    plan = without_dead(lowered(model))
    assert_close(PlanModule(plan)(inputs_of(plan, batch)), model(batch))


@needs_runtime
def test_a_model_without_a_plan_runs_as_it_is_and_says_so():
    with seeded(0):
        model = HGPSL(WIDTH, 2, hidden=8).eval()
    deployed = deploy(model, "onnx", [graph(0)])
    assert deployed.model is model
    assert deployed.left == "as it is: HGPSL has no plan that a file could hold"


def test_without_the_packages_it_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sentence = r"deploy=onnx: needs onnxruntime, onnx, onnxscript; pip install 'gnnperf\[onnx\]'"
    with pytest.raises(DeployError, match=sentence):
        deploy(GNNNet(WIDTH, 2), "onnx", [graph(0)])

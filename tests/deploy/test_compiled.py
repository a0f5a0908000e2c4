"""The model as it is, compiled; here by torch's `eager` backend, which needs no compiler."""

import pytest
import torch
from torch._inductor import exc

from gnnperf.deploy import EXACT, Deployed, DeployError, agreement, broken_promise, deploy
from gnnperf.deploy.compiled import Compiled
from gnnperf.models.gnnnet import GNNNet
from gnnperf.training import seeded
from tests.deploy.test_lean import WIDTH, graph, small_batch


@pytest.fixture
def model():
    torch._dynamo.reset()
    with seeded(0):
        yield GNNNet(WIDTH, 2, hidden=8).eval()
    torch._dynamo.reset()


def test_compiled_while_it_prepares_and_never_after(model):
    deployed = Deployed(Compiled(model, backend="eager"))
    batches = [graph(0), small_batch(1, 5, 9, 2), graph(2, 40)]
    prepared = [deployed.prepare(batch) for batch in batches]
    compiled = deployed.compilations
    assert compiled > 0
    with torch.inference_mode():
        for batch, before in zip(prepared, batches, strict=True):
            torch.testing.assert_close(deployed(batch), model(before))
    assert deployed.compilations == compiled
    found = agreement(model, deployed, batches, EXACT)
    assert broken_promise(found, EXACT) is None


def test_without_a_compiler_it_says_so(model, monkeypatch):
    def none():
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", none)
    with pytest.raises(DeployError, match=r"deploy=compile: .* install g\+\+ or clang\+\+"):
        deploy(model, "compile", [graph(0)])

"""From a file to what runs, in a process that knows neither the base nor its data."""

import json
import subprocess
import sys

import pytest
import torch

import gnnperf
from gnnperf.compression.shipped import ShippedError
from gnnperf.deploy import DeployError, agreement, broken_promise, find_deployment
from gnnperf.deploy.simulated import float_form
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from tests.compression.bases import FEATURES, base

MODELS = {"GNNNet": GNNNet, "GIN": GIN}
CASES = {
    "lean": ("GNNNet", "global@0.9+deploy=lean"),
    "width": ("GIN", "width@0.4+deploy=lean"),
    "bf16": ("GIN", "dense+deploy=bf16"),
    "sparse": ("GNNNet", "global@0.8+deploy=sparse"),
    "int8": ("GNNNet", "ptq@int8+deploy=int8"),
    "int8-gin": ("GIN", "ptq@int8+deploy=int8"),
    "compile": ("GNNNet", "global@0.5+deploy=compile"),
    "onnx": ("GNNNet", "global@0.5+deploy=onnx"),
}
# Names and files come as arguments.
FRESH = f"""
import json, sys, torch
import gnnperf
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
batches = torch.load("batches.pt", weights_only=False)
found, done = {{}}, {{}}
for name, kind in json.loads(sys.argv[1]).items():
    deployed = gnnperf.load_deployed(name + ".gnnz", globals()[kind]({FEATURES}, 2), batches[:1])
    found[name] = [deployed(deployed.prepare(batch)) for batch in batches]
    done[name] = list(deployed.done)
torch.save(found, "found.pt")
print(json.dumps(done))
"""


def trained(name):
    return base(lambda: MODELS[name](FEATURES, 2))


def runs_here(recipe):
    return find_deployment(recipe.rpartition("=")[2]).available() is None


class Recorded(torch.nn.Module):
    """What another process gave, batch by batch."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = iter(outputs)

    def forward(self, data):
        return next(self.outputs)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["width"], id="lean"),
        pytest.param(list(CASES), marks=pytest.mark.long, id="all"),
    ],
)
def test_files_run_deployed_in_a_fresh_process(tmp_path, names):
    cases = {name: CASES[name] for name in names if runs_here(CASES[name][1])}
    compressed = {name: gnnperf.compress(trained(k), recipe) for name, (k, recipe) in cases.items()}
    for name, case in compressed.items():
        case.save(tmp_path / f"{name}.gnnz")
    batches = next(iter(compressed.values())).twin.parts
    batches = [*batches.train, *batches.test]
    torch.save(batches, tmp_path / "batches.pt")
    kinds = json.dumps({name: kind for name, (kind, _) in cases.items()})
    command = [sys.executable, "-c", FRESH, kinds]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    done, found = json.loads(ran.stdout), torch.load(tmp_path / "found.pt")
    for name, case in compressed.items():
        promise = find_deployment(case.deployment).promise
        recorded = gnnperf.deploy.Deployed(Recorded(found[name]))
        kept = agreement(case.model, recorded, batches, promise)
        assert broken_promise(kept, promise) is None, name
        assert done[name], name
        if case.deployment == "int8":
            assert "codes of 8 bits between layers" in done[name]


def test_an_integer_model_is_the_float_form_of_the_simulated_one():
    compressed = gnnperf.compress(trained("GIN"), "ptq@int8")
    batch = compressed.twin.parts.test[0]
    simulated, loaded = (float_form(m)(batch) for m in (compressed.model, compressed.deployed))
    torch.testing.assert_close(loaded, simulated)


def test_a_file_without_a_deployment_asks_for_one(tmp_path):
    path = tmp_path / "model.gnnz"
    compressed = gnnperf.compress(trained("GNNNet"), "global@0.5")
    compressed.save(path)
    model, batches = GNNNet(FEATURES, 2), compressed.twin.parts.train
    with pytest.raises(DeployError, match=r"model\.gnnz says nothing of how it is run; name a"):
        gnnperf.load_deployed(path, model, batches)
    assert gnnperf.load_deployed(path, model, batches, "lean").done
    with pytest.raises(DeployError, match="unknown deployment 'lan'"):
        gnnperf.load_deployed(path, model, batches, "lan")
    with pytest.raises(ShippedError, match="does not fit the GNNNet"):
        gnnperf.load_deployed(path, GNNNet(FEATURES + 1, 2), batches, "lean")


def test_without_a_batch_it_asks_for_some(tmp_path):
    compressed = gnnperf.compress(trained("GNNNet"), "global@0.5+deploy=lean")
    compressed.save(tmp_path / "model.gnnz")
    with pytest.raises(DeployError, match="hand some of its training part over"):
        gnnperf.load_deployed(tmp_path / "model.gnnz", GNNNet(FEATURES, 2), [])

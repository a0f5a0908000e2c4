import copy
import math

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from gnnperf.compression import RecipeError
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.quantize import calibrate, quantized, quantizers
from gnnperf.compression.quantization.sites import linears, quantizable
from gnnperf.models.fields import Fields
from gnnperf.models.spline import SplineNet

from .models import MODELS, a_batch

EIGHT = QuantizerSettings(8)
SITES_OF = {
    "gin": {
        "convs.0.nn.3", "convs.1.nn.0", "convs.1.nn.3", "lin1", "lin2",
    },
    "gnnnet": {"gnn_layers.1.lin", "mlps.0"},
    "pyg-gcn": {"conv2.lin", "lin"},
    "pyg-gin": {"conv1.nn.2", "conv2.nn.0", "conv2.nn.2", "lin"},
    "pyg-sage": {"conv1.lin_r", "conv2.lin_l", "conv2.lin_r", "lin"},
    "pyg-gat": {"conv2.lin", "lin"},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_linear_layer_but_the_first_and_every_convolution(name):
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS[name](3).eval()
    before = copy.deepcopy(model.state_dict())
    changed, coverage = quantized(model, batch, EIGHT)
    assert {site.removesuffix(".weight") for site in coverage} == SITES_OF[name]
    for site, part in coverage.items():
        assert part.changed == part.total == changed.get_parameter(site).numel()
    kinds = {
        kind: sum(site.rpartition(".")[2] == kind for site in quantizers(changed))
        for kind in ("input", "kernel", "output", "message", "sum", "update")
    }
    layers = len(coverage)
    assert kinds == {
        "input": layers, "kernel": layers, "output": layers, "message": 2, "sum": 2, "update": 2,
    }  # fmt: skip
    assert [*model.state_dict()] == [*before]
    assert all(torch.equal(model.state_dict()[k], value) for k, value in before.items())
    assert not any(name.endswith(".quantizers") for name, _ in model.named_modules())


@pytest.mark.parametrize("name", MODELS)
def test_all_sites_see_data_and_eight_bits_stay_close(name):
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS[name](3).eval()
    changed, _ = quantized(model, batch, QuantizerSettings(8, range="abs"))
    with pytest.raises(QuantizationError, match="have seen no data"):
        changed.eval()(batch)
    calibrate(changed, [batch])
    assert all(int(part.batches) == 1 for part in quantizers(changed).values())
    with torch.no_grad():
        dense, simulated = model(batch), changed(batch)
    assert not torch.equal(dense, simulated)
    assert torch.allclose(dense, simulated, atol=0.1 * float(dense.abs().max()))


@pytest.mark.parametrize("name", MODELS)
def test_copies_and_checkpoints_stand_alone(name):
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS[name](3)
    changed, _ = quantized(model, batch, EIGHT, Protection(0.1, 0.1))
    calibrate(changed, [batch])
    twin = copy.deepcopy(changed)
    with torch.no_grad():
        for part in quantizers(twin).values():
            part.reach.mul_(0.25)
        assert not torch.equal(twin(batch), changed(batch))
        twin.load_state_dict(changed.state_dict())
        assert torch.equal(twin(batch), changed(batch))
    assert repr(twin) == repr(changed)
    assert "bits=8" in repr(changed)
    assert "low=0.1, change=0.1" in repr(changed)
    twin.train()(batch).sum().backward()
    copy.deepcopy(twin)
    assert all(int(part.batches) == 1 for part in quantizers(changed).values())


def test_training_rounds_as_evaluation_does():
    """The product of rounded numbers, and the exact product of levels scaled afterwards."""
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS["pyg-gin"](3)
    changed, _ = quantized(model, batch, EIGHT)
    calibrate(changed, [batch])
    with torch.no_grad():
        expected = changed(batch)
        changed.train()
        for part in quantizers(changed).values():
            part.eval()
        found = changed(batch)
    assert torch.allclose(found, expected, atol=2 * quantizers(changed)["lin.output"].grid().scale)


def test_a_bias_that_normalisation_takes_away_goes_into_its_mean():
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS["gin"](3)
    model.train()(batch)
    changed, _ = quantized(model.eval(), batch, EIGHT)
    assert not [name for name, _ in changed.named_parameters() if name.endswith("nn.0.bias")]
    assert changed.lin1.bias is not None


def test_a_spline_convolution_becomes_linear_and_computes_the_same():
    torch.manual_seed(0)
    batch = a_batch()
    model = SplineNet(3, 2).eval()
    changed, coverage = quantized(model, batch, QuantizerSettings(8, range="abs"))
    assert list(coverage) == ["conv2.lin.weight"]
    calibrate(changed, [batch])
    with torch.no_grad():
        dense, simulated = model(batch), changed(batch)
    assert torch.allclose(dense, simulated, atol=0.05 * float(dense.abs().max()))


class Unused(nn.Module):
    """Its second layer's weight is read past the layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, data):
        return self.first(data.x) @ self.second.weight.t()


@pytest.mark.parametrize(
    "model",
    [
        Unused(),
        nn.Sequential(Fields(nn.Linear(3, 2), "x")),
        Fields(GCNConv(3, 2), "x", "edge_index"),
        Fields(nn.Identity(), "x"),
    ],
)
def test_nothing_to_quantize_is_an_error(model):
    with pytest.raises(RecipeError, match=r"has nothing to quantize: of its [012] linear layers"):
        quantized(model, a_batch(), EIGHT)


def test_a_shared_layer_is_replaced_wherever_it_lies():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(Fields(nn.Linear(3, 4), "x"), shared, nn.ReLU(inplace=True), shared)
    changed, coverage = quantized(model, a_batch(), EIGHT)
    assert list(coverage) == ["1.weight"]
    assert changed[1] is changed[3]
    changed.train()(a_batch()).sum().backward()
    assert not linears(changed).keys() - {"0.module"}


def test_what_is_called_is_found_without_changing_the_mode():
    model = MODELS["gin"](3).train()
    quantizable(model, a_batch())
    assert model.training
    assert all(not part._forward_hooks for part in model.modules())


def test_nan_features_are_refused():
    batch, model = a_batch(), MODELS["gin"](3)
    changed, _ = quantized(model, batch, EIGHT)
    calibrate(changed, [batch])
    batch.x[0, 0] = math.nan
    for training in (True, False):
        with pytest.raises(QuantizationError, match="is NaN"):
            changed.train(training)(batch)

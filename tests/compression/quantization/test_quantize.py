import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from gnnperf.compression import RecipeError
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.quantize import Plan, calibrate, quantized, quantizers
from gnnperf.compression.quantization.raw import RawFeatures
from gnnperf.compression.quantization.sites import linears
from gnnperf.compression.quantization.weights import WeightSettings, weight_quantizers
from gnnperf.models.fields import Fields
from gnnperf.models.spline import SplineNet

from .models import MODELS, a_batch

EIGHT = Plan(WeightSettings(8), QuantizerSettings(8, range="abs"))
# What reads raw features stands first.
SITES_OF = {
    "gin": [
        "convs.0.nn.0", "convs.0.nn.3", "convs.1.nn.0", "convs.1.nn.3", "lin1", "lin2",
    ],
    "gnnnet": ["gnn_layers.0.lin", "gnn_layers.1.lin", "mlps.0"],
    "pyg-gcn": ["conv1.lin", "conv2.lin", "lin"],
    "pyg-gin": ["conv1.nn.0", "conv1.nn.2", "conv2.nn.0", "conv2.nn.2", "lin"],
    "pyg-sage": ["conv1.lin_l", "conv1.lin_r", "conv2.lin_l", "conv2.lin_r", "lin"],
    "pyg-gat": ["conv1.lin", "conv2.lin", "lin"],
}  # fmt: skip
RAW = {name: 2 if name == "pyg-sage" else 1 for name in SITES_OF}
FREE = {"pyg-gat": ["conv1.att_src", "conv1.att_dst", "conv2.att_src", "conv2.att_dst"]}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hidden", [False, True])
def test_every_weight_is_covered_but_the_first_where_hidden_is_asked_for(name, hidden):
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS[name](3).eval()
    before = copy.deepcopy(model.state_dict())
    made = quantized(model, batch, replace(EIGHT, hidden_only=hidden))
    layers = SITES_OF[name][RAW[name] :] if hidden else SITES_OF[name]
    expected = {*(f"{site}.weight" for site in layers), *FREE.get(name, [])}
    assert set(made.coverage) == set(weight_quantizers(made.model)) == expected
    for site, part in made.coverage.items():
        assert part.changed == part.total == made.model.get_parameter(site).numel()
    assert set(made.uncovered) == {
        f"{site}.weight" for site in (SITES_OF[name][: RAW[name]] if hidden else [])
    }
    kinds = {
        kind: sum(site.rpartition(".")[2] == kind for site in quantizers(made.model))
        for kind in ("input", "output", "message", "sum", "update")
    }
    assert kinds == {
        "input": len(layers), "output": len(layers), "message": 2, "sum": 2, "update": 2,
    }  # fmt: skip
    assert [*model.state_dict()] == [*before]
    assert all(torch.equal(model.state_dict()[k], value) for k, value in before.items())
    assert not any(name.endswith(".quantizers") for name, _ in model.named_modules())


@pytest.mark.parametrize("name", MODELS)
def test_raw_features_and_logits_have_eight_bits_whatever_the_others_have(name):
    """And the weights that make the logits are known."""
    torch.manual_seed(0)
    few = Plan(WeightSettings(2), QuantizerSettings(2))
    made = quantized(MODELS[name](3), a_batch(), few)
    sites = quantizers(made.model)
    raw = {site for site, part in sites.items() if isinstance(part, RawFeatures)}
    assert {f"{site}.input" for site in SITES_OF[name][: RAW[name]]} <= raw
    assert not [site for site in raw if not site.startswith(("conv1", "convs.0", "gnn_layers.0"))]
    wide = {site for site, part in sites.items() if part.settings.bits == 8}
    assert wide - raw == {f"{SITES_OF[name][-1]}.output"}
    assert all(part.settings.cut == 0 for site, part in sites.items() if site in wide)
    assert made.logits == {f"{SITES_OF[name][-1]}.weight"}


@pytest.mark.parametrize("name", MODELS)
def test_all_sites_see_data_and_eight_bits_stay_close(name):
    torch.manual_seed(0)
    batch, model = a_batch(), MODELS[name](3).eval()
    changed = quantized(model, batch, EIGHT).model
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
    changed = quantized(model, batch, replace(EIGHT, protection=Protection(0.1, 0.1))).model
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
    changed = quantized(model, batch, EIGHT).model
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
    changed = quantized(model.eval(), batch, EIGHT).model
    assert not [name for name, _ in changed.named_parameters() if name.endswith("nn.0.bias")]
    assert changed.lin1.bias is not None


def test_a_spline_convolution_becomes_linear_and_computes_the_same():
    torch.manual_seed(0)
    batch = a_batch()
    model = SplineNet(3, 2).eval()
    made = quantized(model, batch, EIGHT)
    assert list(made.coverage) == ["conv1.lin.weight", "conv2.lin.weight"]
    calibrate(made.model, [batch])
    with torch.no_grad():
        dense, simulated = model(batch), made.model(batch)
    assert torch.allclose(dense, simulated, atol=0.05 * float(dense.abs().max()))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Fields(nn.Identity(), "x"), "multiplies by none of its 0 weights"),
        (Fields(nn.Linear(3, 2), "x"), r"with :hidden: module\.weight read raw features"),
        (Fields(GCNConv(3, 2), "x", "edge_index"), r"module\.lin\.weight read raw features; leave"),
    ],
)
def test_nothing_to_quantize_is_an_error(model, why):
    with pytest.raises(RecipeError, match=f"has nothing to quantize.*{why}"):
        quantized(model, a_batch(), replace(EIGHT, hidden_only=True))


def test_a_shared_layer_is_replaced_wherever_it_lies():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(Fields(nn.Linear(3, 4), "x"), shared, nn.ReLU(inplace=True), shared)
    made = quantized(model, a_batch(), EIGHT)
    assert list(made.coverage) == ["0.module.weight", "1.weight"]
    assert made.model[1] is made.model[3]
    made.model.train()(a_batch()).sum().backward()
    assert not linears(made.model)


def test_nan_features_are_refused():
    batch, model = a_batch(), MODELS["gin"](3)
    changed = quantized(model, batch, EIGHT).model
    calibrate(changed, [batch])
    batch.x[0, 0] = math.nan
    for training in (True, False):
        with pytest.raises(QuantizationError, match="is NaN"):
            changed.train(training)(batch)

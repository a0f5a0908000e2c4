import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf import codec
from gnnperf.compression.quantization import export
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.linear import FloatLinear, IntegerLinear
from gnnperf.compression.quantization.quantize import Plan, calibrate, quantized
from gnnperf.compression.quantization.raw import RawFeatures, WholeFeatures
from gnnperf.compression.quantization.weights import WeightSettings
from gnnperf.models.spline import LinearSplineConv, SplineNet

from .models import MODELS, a_batch

EIGHT = Plan(WeightSettings(8), QuantizerSettings(8))
values = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=30).map(torch.tensor)


def seen(*batches):
    features = RawFeatures()
    features.rounds = False
    for batch in batches:
        assert torch.equal(features.train()(batch), batch)
    features.rounds = True
    return features


@given(values, values)
def test_they_pass_in_training_and_have_256_levels_between_the_extremes_after_it(first, second):
    features = seen(first, second)
    reach = features.reach.clone()
    assert torch.equal(features.train()(10 * first), 10 * first)
    assert torch.equal(features.reach, reach)
    found = features.eval()(torch.cat([first, second]))
    step = float(reach.sum()) / 255
    limit = 0 if features.whole else step / 2 * (1 + 1e-4) + 1e-6
    assert (found - torch.cat([first, second])).abs().max() <= limit


@pytest.mark.parametrize("whole", [[0.0, 1.0], [3.0, -2.0, 700.0], [0.0, 0.0]])
def test_whole_numbers_are_exact_and_nothing_is_stored_of_them(whole):
    features = seen(torch.tensor(whole)).eval()
    assert torch.equal(features(torch.tensor(whole)), torch.tensor(whole))
    frozen = features.frozen()
    assert isinstance(frozen, WholeFeatures)
    assert not frozen.state_dict()
    with pytest.raises(QuantizationError, match="is NaN"):
        features(torch.tensor([math.nan]))


def test_nan_in_whole_features_is_refused_after_the_first_product():
    batch = a_batch()
    batch.x = (batch.x > 0).float()
    made = quantized(MODELS["pyg-gcn"](3), batch, EIGHT).model
    calibrate(made, [batch])
    deployed = export(made)
    batch.x[0, 0] = math.nan
    with pytest.raises(QuantizationError, match="is NaN"):
        deployed(batch)


@pytest.mark.parametrize(("whole", "bits"), [([0.0, 1.0], 1), ([0.0, 2.0], 2), ([0.0, 0.5], 8)])
def test_their_bits(whole, bits):
    assert seen(torch.tensor(whole)).least_bits() == bits


def test_sparse_features_are_not_cut_to_nothing():
    """Of CiteSeer's, under 1 % are not zero: a cut of 1 % on each side would leave none."""
    batch, model = a_batch(), MODELS["pyg-gcn"](3)
    batch.x = torch.zeros_like(batch.x)
    batch.x[0, 0] = 1.0
    few = replace(EIGHT, activations=QuantizerSettings(4, range="per", cut=0.05))
    made = quantized(model, batch, few).model
    calibrate(made, [batch])
    assert torch.equal(made.conv1.lin.input(batch.x), batch.x)


@pytest.mark.parametrize("name", MODELS)
def test_the_first_layer_keeps_its_product_and_all_others_count_in_integers(name):
    batch = a_batch()
    made = quantized(MODELS[name](3), batch, EIGHT).model
    calibrate(made, [batch])
    deployed = export(made)
    first = [n for n, p in deployed.model.named_modules() if isinstance(p, FloatLinear)]
    others = [n for n, p in deployed.model.named_modules() if isinstance(p, IntegerLinear)]
    assert all(n.startswith(("conv1.", "convs.0.nn.0", "gnn_layers.0")) for n in first)
    assert first
    assert others


def test_a_sparse_product_stays_one():
    batch = a_batch()
    batch.x = (batch.x > 1.0).float()
    model = SplineNet(3, 2).eval()
    prepared = model.prepare(batch)
    made = quantized(model, prepared, EIGHT).model
    calibrate(made, [prepared])
    conv = export(made).model.conv1
    assert isinstance(conv, LinearSplineConv)
    assert isinstance(conv.lin, torch.nn.Linear)


@pytest.mark.parametrize("range_name", ["abs", "mom", "per"])
def test_which_batch_comes_first_changes_nothing_that_is_stored(range_name):
    torch.manual_seed(0)
    batches = [a_batch(graphs) for graphs in (3, 9, 5, 7)]
    plan = replace(EIGHT, activations=QuantizerSettings(4, range=range_name, cut=0.01))
    made = quantized(MODELS["gin"](3), batches[0], plan).model
    states = []
    for order in (batches, batches[::-1]):
        calibrate(made, order)
        states.append(export(made).state())
    for name, value in states[0].items():
        other = states[1][name]
        if isinstance(value, codec.QuantizedTensor):
            assert torch.equal(value.values, other.values)
        else:
            assert torch.allclose(value.float(), other.float(), rtol=1e-5), name

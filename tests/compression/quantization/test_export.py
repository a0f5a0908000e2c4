from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gnnperf import codec
from gnnperf.compression.quantization import export
from gnnperf.compression.quantization.agreement import agreement_readings
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.export import FoldedNorm
from gnnperf.compression.quantization.fake_quantize import FakeQuantize, QuantizerSettings
from gnnperf.compression.quantization.linear import IntegerLinear, QuantizedLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.quantize import Plan, calibrate, quantized
from gnnperf.compression.quantization.weights import (
    WeightQuantize,
    WeightSettings,
    weight_quantizers,
)

from .models import MODELS, a_batch


def simulated(name, bits, seed=0, steps=2, channels=False):
    """A model after some steps of training, in eval mode."""
    torch.manual_seed(seed)
    batch = a_batch()
    plan = Plan(
        WeightSettings(bits, channels),
        QuantizerSettings(bits, "gc", "abs"),
        protection=Protection(0.1, 0.1),
    )
    model = quantized(MODELS[name](3), batch, plan).model
    calibrate(model, [batch])
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(steps):
        nn.functional.cross_entropy(model.train()(batch), batch.y).backward()
        optimizer.step()
    return model.eval()


@settings(max_examples=25)
@given(st.sampled_from(sorted(MODELS)), st.integers(2, 8), st.integers(0, 1000), st.booleans())
def test_the_integer_model_gives_what_the_simulated_one_gives(name, bits, seed, channels):
    model = simulated(name, bits, seed, channels=channels)
    batches = [a_batch(), a_batch(graphs=11)]
    readings = agreement_readings(model, export(model), batches)
    assert readings["export_agreement"].value == 1
    assert readings["export_logit_difference_steps"].value == 0


@settings(max_examples=40)
@given(
    st.integers(1, 400),
    st.integers(1, 20),
    st.tuples(st.integers(2, 8), st.integers(2, 8)),
    st.booleans(),
    st.booleans(),
)
def test_a_linear_layer_of_any_size_is_exact(width, rows, bits, bias, channels):
    torch.manual_seed(width)
    quantizer = lambda: FakeQuantize(QuantizerSettings(bits[0]))  # noqa: E731  # one use, below
    kernel = WeightQuantize(WeightSettings(bits[1], channels))
    layer = QuantizedLinear(nn.Linear(width, 5, bias=bias), quantizer, kernel)
    layer(torch.randn(rows, width))
    probe = 2 * torch.randn(3, rows, width)
    assert torch.equal(layer.shipped()(input=probe), layer.eval()(probe))


@pytest.mark.parametrize("name", MODELS)
def test_it_holds_integers_and_is_made_again_from_its_file(name, tmp_path):
    model = simulated(name, 4)
    deployed, other = export(model), export(simulated(name, 4, seed=1))
    state = deployed.state()
    codes = {k: v for k, v in state.items() if isinstance(v, codec.QuantizedTensor)}
    assert codes.keys() == weight_quantizers(model).keys()
    assert any(isinstance(part, IntegerLinear) for part in deployed.modules())
    assert all(value.bits == 4 and value.values.dtype == torch.int8 for value in codes.values())
    assert not [part for part in deployed.modules() if isinstance(part, FakeQuantize)]
    codec.save(state, tmp_path / "model.gnnz")
    other.restore(codec.load(tmp_path / "model.gnnz").state)
    batch = a_batch()
    with torch.inference_mode():
        assert torch.equal(other(batch), model(batch))
    assert codec.same_state(other.state(), state)


@pytest.mark.parametrize("name", ["gin", "pyg-gat"])
def test_fewer_bits_are_never_more_bytes(name):
    sizes = [len(codec.encode(export(simulated(name, bits)).state())) for bits in (8, 4, 2)]
    assert sizes == sorted(sizes, reverse=True)


def test_normalisation_is_folded_into_what_its_kernel_computes():
    torch.manual_seed(0)
    for affine in (True, False):
        norm = nn.BatchNorm1d(37, affine=affine)
        norm(5 * torch.randn(99, 37) + 3)
        norm.eval()
        if affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
        values = 9 * torch.randn(201, 37)
        folded = FoldedNorm(norm)
        assert torch.equal(folded(values), norm(values))
        assert sorted(folded.state_dict()) == ["bias", "weight"]


def test_export_refuses_what_has_no_ranges_or_no_quantizers():
    batch, dense = a_batch(), MODELS["gin"](3)
    model = quantized(dense, batch, Plan(WeightSettings(8), QuantizerSettings(8))).model
    with pytest.raises(QuantizationError, match=r"have seen no data .* evaluated or exported"):
        export(model)
    with pytest.raises(QuantizationError, match="the GIN has no quantized layer; quantize it"):
        export(dense)


def test_another_models_file_is_refused():
    eight, four = export(simulated("gin", 8)), export(simulated("gin", 4))
    with pytest.raises(QuantizationError, match=r"has 8 bits at convs\.0\.nn\.3\.weight .* 4 bits"):
        four.restore(eight.state())
    dense = MODELS["gin"](3).state_dict()
    with pytest.raises(QuantizationError, match=r"has no codes at convs\.0\.nn\.3\.weight"):
        four.restore(dense)
    state = deepcopy(four.state())
    del state["lin1.bias"]
    with pytest.raises(QuantizationError, match=r"another model's: .*lin1\.bias"):
        four.restore(state)

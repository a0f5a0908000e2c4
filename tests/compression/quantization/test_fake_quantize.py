import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import (
    FakeQuantize,
    FrozenQuantize,
    QuantizerSettings,
    fake_quantize,
)
from gnnperf.compression.quantization.grid import Grid, affine_grid
from gnnperf.compression.quantization.protection import Spared
from gnnperf.compression.quantization.weights import WeightQuantize, WeightSettings

bits = st.integers(2, 8)
numbers = st.floats(-1e4, 1e4, width=32)
ranges = st.tuples(numbers, numbers).map(sorted)
many = st.lists(numbers, min_size=1, max_size=40).map(torch.tensor)
configurations = st.builds(
    QuantizerSettings,
    bits=bits,
    gradient=st.sampled_from(["ste", "gc"]),
    range=st.sampled_from(["abs", "mom", "per"]),
    signed=st.booleans(),
)


@given(many, ranges, bits)
def test_rounding_is_idempotent_monotone_exact_at_zero_and_of_few_values(values, limits, width):
    grid = affine_grid(*limits, width)
    rounded = fake_quantize(values, grid)
    assert torch.equal(fake_quantize(rounded, grid), rounded)
    assert (rounded[values.argsort()].diff() >= 0).all()
    assert (fake_quantize(torch.zeros(3), grid) == 0).all()
    everything = fake_quantize(torch.linspace(-2e4, 2e4, 5000), grid)
    assert len(everything.unique()) <= 2**width


@given(many, ranges, bits)
def test_the_error_is_at_most_half_a_step_inside_the_range(values, limits, width):
    grid = affine_grid(*limits, width)
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    inside = values.clamp(low, high)
    error = (fake_quantize(inside, grid) - inside).abs().max()
    assert error <= grid.scale / 2 * (1 + 1e-4)


@given(st.integers(1, 5), st.integers(1, 6), bits)
def test_a_channel_is_rounded_as_if_it_were_alone(channels, width, many_bits):
    torch.manual_seed(channels * 7 + width)
    weight = torch.randn(channels, width) * torch.arange(1.0, channels + 1).unsqueeze(1)
    found = WeightQuantize(WeightSettings(many_bits, channels=True))(weight)
    alone = WeightQuantize(WeightSettings(many_bits))
    for row, expected in zip(weight, found, strict=True):
        assert torch.equal(alone(row), expected)


@given(many, bits, st.booleans())
def test_a_weight_is_at_most_half_a_step_off_and_its_zeros_stay(values, width, channels):
    kernel = WeightQuantize(WeightSettings(width, channels))
    weight = torch.stack([values, values.flip(0) * 0.5])
    found, grid = kernel(weight), kernel.grid(weight)
    error = ((found - weight).abs() / grid.scale).max()
    assert error <= 0.5 * (1 + 1e-4)
    assert (found[weight == 0] == 0).all()
    codes = kernel.codes(weight)
    assert int(torch.as_tensor(codes.zero_point).abs().max()) == 0
    assert codes.values.int().abs().max() <= 2 ** (width - 1)
    assert torch.equal(codes.values.float() * codes.scale, found)


@given(many, configurations)
def test_signed_or_not_codes_stand_for_the_same_numbers(values, settings):
    quantizer = FakeQuantize(settings)
    rounded = quantizer(values)
    grid = quantizer.grid()
    for signed in (True, False):
        low = -(2 ** (settings.bits - 1)) if signed else 0
        codes = grid.levels(values) + grid.zero_point(signed)
        assert low <= codes.min()
        assert codes.max() < low + 2**settings.bits
        assert low <= grid.zero_point(signed) < low + 2**settings.bits
        assert torch.equal((codes - grid.zero_point(signed)) * grid.scale, rounded)


@given(configurations, st.integers(0, 1000))
def test_ranges_survive_a_checkpoint(settings, seed):
    torch.manual_seed(seed)
    quantizer = FakeQuantize(settings)
    for _ in range(3):
        quantizer(torch.randn(5, 4))
    other = FakeQuantize(settings)
    other.load_state_dict(copy.deepcopy(quantizer.state_dict()))
    probe = torch.randn(7, 4)
    assert torch.equal(other.eval()(probe), quantizer.eval()(probe))
    assert torch.equal(FrozenQuantize(quantizer)(probe), quantizer(probe))


@given(configurations, st.integers(0, 1000))
def test_permuting_nodes_commutes_with_it(settings, seed):
    torch.manual_seed(seed)
    x, order = torch.randn(9, 4), torch.randperm(9)
    first, second = FakeQuantize(settings), FakeQuantize(settings)
    assert torch.equal(first(x)[order], second(x[order]))
    assert torch.equal(first.eval()(x)[order], first(x[order]))


def test_clipped_gradient_passes_only_strictly_inside():
    grid = affine_grid(-1.0, 2.0, 2)  # levels -1 to 2, step 1
    values = torch.tensor([-3.0, -1.0, -0.6, -0.4, 0.0, 1.4, 1.6, 2.0, 5.0])
    inside = torch.tensor([0, 0, 0, 1, 1, 1, 0, 0, 0.0])
    for gradient, expected in (("gc", inside), ("ste", torch.ones(9))):
        leaf = values.clone().requires_grad_()
        (fake_quantize(leaf, grid, gradient) * 3).sum().backward()
        assert torch.equal(leaf.grad, 3 * expected)
    channelwise = affine_grid(torch.tensor([[-1.0]]), torch.tensor([[2.0]]), 2)
    leaf = values.view(1, -1).clone().requires_grad_()
    fake_quantize(leaf, channelwise).sum().backward()
    assert torch.equal(leaf.grad[0], inside)


@given(st.integers(-255, 0), bits, st.integers(-520, 520))
def test_halves_count_as_the_code_that_they_are_rounded_to(lowest, width, halves):
    grid = Grid(width, 0.5, float(max(lowest, 1 - 2**width)))
    leaf = torch.tensor([halves * 0.25], requires_grad=True)
    fake_quantize(leaf, grid).sum().backward()
    assert float(leaf.grad) == float(grid.lowest < float(grid.levels(leaf.detach())) < grid.highest)


@given(ranges, bits, st.floats(-3e4, 3e4, width=32))
def test_inside_the_gradient_is_the_slope_over_whole_steps(limits, width, value):
    """A finite difference over a whole step sees through the rounding."""
    grid = affine_grid(*limits, width)
    leaf = torch.tensor([value], requires_grad=True)
    fake_quantize(leaf, grid).sum().backward()
    level = float(grid.levels(leaf.detach()))
    inside = grid.lowest < level < grid.highest
    assert float(leaf.grad) == float(inside)
    if inside:
        middle = torch.tensor([(level - 1) * grid.scale, (level + 1) * grid.scale])
        down, up = fake_quantize(middle, grid).tolist()
        assert (up - down) / (2 * grid.scale) == pytest.approx(1, rel=1e-3)


def test_spared_rows_and_their_gradient_stay_and_do_not_widen_the_range():
    quantizer = FakeQuantize(QuantizerSettings(4, "gc", "abs"))
    x = torch.tensor([[0.1, -0.1], [100.0, 33.3], [0.5, 0.2]], requires_grad=True)
    spared = Spared(torch.tensor([1]), torch.tensor([0, 2]))
    rounded = quantizer(x, spared)
    assert torch.equal(rounded[1], x[1])
    assert quantizer.reach.tolist() == pytest.approx([0.1, 0.5])
    rounded.sum().backward()
    assert x.grad[1].tolist() == [1, 1]
    assert quantizer.eval()(x)[1].max() < 0.6


def test_no_range_no_result():
    quantizer = FakeQuantize(QuantizerSettings(8)).eval()
    with pytest.raises(QuantizationError, match=r"have seen no data .* train or calibrate"):
        quantizer(torch.ones(3))
    with pytest.raises(QuantizationError, match="have seen no data"):
        FrozenQuantize(quantizer)


@pytest.mark.parametrize("width", [1, 9, 0, -4])
def test_bits_out_of_range_are_refused(width):
    with pytest.raises(QuantizationError, match=rf"{width} bits: choose 2 to 8"):
        QuantizerSettings(width)


def test_unknown_names_and_shares_are_refused():
    with pytest.raises(QuantizationError, match="'tanh' is none of ste, gc"):
        QuantizerSettings(8, "tanh")
    with pytest.raises(QuantizationError, match="'max' is none of abs, mom, per"):
        QuantizerSettings(8, "gc", "max")
    with pytest.raises(QuantizationError, match=r"cut 0\.5: choose"):
        QuantizerSettings(8, cut=0.5)


@pytest.mark.parametrize("range_name", ["abs", "mom", "per"])
@pytest.mark.parametrize("training", [True, False])
def test_nan_is_refused_and_leaves_the_range(range_name, training):
    quantizer = FakeQuantize(QuantizerSettings(8, range=range_name))
    quantizer(torch.randn(50))
    before = quantizer.reach.clone()
    with pytest.raises(QuantizationError, match="is NaN; look for it in the data"):
        quantizer.train(training)(torch.tensor([1.0, math.nan]))
    assert torch.equal(quantizer.reach, before)


@pytest.mark.parametrize("constant", [0.0, 3.25, -1e-38, 1e30])
def test_constant_values_stay_what_they_are(constant):
    quantizer = FakeQuantize(QuantizerSettings(8, range="abs"))
    values = torch.full((4, 3), constant)
    expected = values if abs(constant) > 1e-37 else torch.zeros(4, 3)
    for training in (True, False):
        found = quantizer.train(training)(values)
        assert torch.allclose(found, expected, rtol=1e-6, atol=2e-38)
        assert torch.isfinite(found).all()
    assert torch.isfinite(quantizer(values + 5)).all()


def test_a_checkpoint_of_another_width_is_refused():
    eight, four = (FakeQuantize(QuantizerSettings(width)) for width in (8, 4))
    with pytest.raises(QuantizationError, match=r"holds 8-bit ranges \(bits\) .* has 4 bits"):
        four.load_state_dict(eight.state_dict())

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.nn import Linear as PygLinear

from gnnperf.compression.quantization.a2q.features import (
    GroupQuantizer,
    NodeQuantizer,
    hold_ranges,
    nearest_group,
)
from gnnperf.compression.quantization.a2q.function import effective_bits, magnitudes
from gnnperf.compression.quantization.a2q.linear import A2QLinear
from gnnperf.compression.quantization.a2q.memory import MemoryLoss
from gnnperf.compression.quantization.errors import QuantizationError


@given(
    st.lists(st.tuples(st.floats(2**-12, 4, width=32), st.integers(2, 8)), min_size=1, max_size=40),
    st.lists(st.floats(0, 300, width=32), min_size=1, max_size=30),
    st.booleans(),
)
def test_every_row_takes_the_nearest_group(groups, peaks, signed):
    step = torch.tensor([s for s, _ in groups])
    bits = torch.tensor([float(b) for _, b in groups])
    peak = torch.tensor(peaks)
    chosen = nearest_group(peak, step, bits, signed)
    top = (magnitudes(bits, signed) * step).double()
    away = (peak.double().unsqueeze(-1) - top).abs()
    best = away.min(-1).values
    found = away.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    # Midpoints are rounded to float32.
    assert bool((found <= best + 1e-6 * (peak + top.max())).all())


def trained_groups(x, count=50, bits=4):
    features = GroupQuantizer(count, bits)
    features(x)
    return features.eval()


@given(st.integers(0, 2**31), st.booleans())
def test_groups_commute_with_a_permutation_of_nodes(seed, signed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(30, 4, generator=generator)
    x = x if signed else x.relu()
    features = trained_groups(x)
    order = torch.randperm(30, generator=generator)
    assert torch.equal(features(x[order]), features(x)[order])
    assert bool(features.signed) == bool((x < 0).any())


def test_the_first_batch_sets_steps_that_cut_little_off():
    torch.manual_seed(0)
    x = torch.randn(2000, 8)
    features = trained_groups(x, count=1000)
    step, _ = features.rows(x)
    # The largest code is one step below the top, and far out the groups are few.
    assert bool(((features(x) - x).abs() <= 2 * step).all())
    nodes = NodeQuantizer(2000, 4)
    nodes(x)
    step, _ = nodes.rows(x)
    assert bool(((nodes(x) - x).abs() <= step * 0.5001).all())


@pytest.mark.parametrize("x", [torch.zeros(5, 3), torch.full((5, 3), 2.0)])
@pytest.mark.parametrize("kind", [GroupQuantizer, NodeQuantizer])
def test_constant_features_work(x, kind):
    features = kind(5, 4)
    features(x)
    error = (features.eval()(x) - x).abs()
    assert float(error.detach().max()) <= (
        x.max() / 15 if kind is GroupQuantizer else x.max() / 256
    )


def test_a_negative_value_gives_a_site_its_sign_for_good_and_keeps_its_reach():
    x = torch.rand(40, 4)
    features = trained_groups(x)
    assert not features.signed
    reach = features(x).detach().max()
    features.train()(torch.cat([x, -x]))
    assert features.signed
    features.train()(x)
    assert features.signed
    assert float(features.eval()(x).detach().max()) == pytest.approx(float(reach), rel=0.1)


def test_without_a_sign_a_negative_value_becomes_zero():
    features = trained_groups(torch.rand(40, 4))
    assert bool((features(torch.full((1, 4), -0.5)) == 0).all())


@pytest.mark.parametrize("kind", [GroupQuantizer, NodeQuantizer])
def test_before_training_there_is_nothing_to_evaluate(kind):
    with pytest.raises(QuantizationError, match="has no steps before its first training step"):
        kind(5, 4).eval()(torch.rand(5, 3))
    with pytest.raises(QuantizationError, match="before it is evaluated or exported"):
        A2QLinear(nn.Linear(3, 2), 4, kind(5, 4)).eval().shipped()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("training", [True, False])
def test_values_without_a_code_are_refused(value, training):
    x = torch.rand(10, 3)
    features = trained_groups(x).train(training)
    x[4, 1] = value
    with pytest.raises(QuantizationError, match="NaN or infinite"):
        features(x)


def test_steps_by_node_fit_no_other_graph():
    features = NodeQuantizer(5, 4)
    with pytest.raises(QuantizationError, match="steps for 5 nodes and was given 6 rows"):
        features(torch.rand(6, 3))


def test_the_task_moves_groups_that_are_used_and_the_error_moves_every_node():
    torch.manual_seed(0)
    x = torch.randn(20, 4) * 3
    groups = trained_groups(x, count=60).train()
    (groups(x) * torch.randn(20, 4)).sum().backward()
    used = groups.mask(groups.index(x.abs().amax(-1)))
    assert bool((groups.log2_steps.grad[~used] == 0).all())
    assert bool((groups.log2_steps.grad[used] != 0).any())
    nodes = NodeQuantizer(20, 4)
    (nodes(x) * 0.0).sum().backward()
    assert int((nodes.log2_steps.grad != 0).sum()) == 20


def test_state_is_whole_from_the_start_and_survives_copies():
    layer = A2QLinear(nn.Linear(4, 3), 4, GroupQuantizer(50, 4))
    deepcopy(layer)
    shapes = {name: value.shape for name, value in layer.state_dict().items()}
    x = torch.randn(30, 4)
    layer(x)
    copied = deepcopy(layer).eval()
    layer.eval()
    assert shapes == {name: value.shape for name, value in layer.state_dict().items()}
    other = A2QLinear(nn.Linear(4, 3), 4, GroupQuantizer(50, 4)).eval()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copied(x), layer(x))
    assert "weight_bits=4" in repr(layer)
    assert "GroupQuantizer(50)" in repr(layer)


def test_keeping_used_groups_changes_features_by_little():
    torch.manual_seed(0)
    x = torch.randn(100, 4)
    features = trained_groups(x, count=1000)
    before = features(x)
    features.settle(features.mask(features.index(x.abs().amax(-1))))
    assert len(features.log2_steps) == len(features.bits) == 1000
    stored = A2QLinear(nn.Linear(4, 2), 4, features).eval().shipped().input
    assert len(stored.steps) == len(stored.bits) <= 100
    assert stored.steps.dtype == torch.bfloat16
    step, _ = features.rows(x)
    assert bool(((features(x) - before).abs() <= 1.01 * step).all())


def test_a_checkpoint_of_another_width_is_refused():
    four, eight = (A2QLinear(nn.Linear(4, 3), bits, GroupQuantizer(5, 4)) for bits in (4, 8))
    with pytest.raises(QuantizationError, match=r"holds 4-bit weights \(weight\).* has 8 bits"):
        eight.load_state_dict(four.state_dict())


def test_bits_pushed_out_are_held_where_they_mean_something():
    layer = A2QLinear(nn.Linear(4, 3), 4, GroupQuantizer(3, 4))
    with torch.no_grad():
        layer.features.bits.copy_(torch.tensor([-3.0, 5.4, 20.0]))
        layer.features.log2_steps.copy_(torch.tensor([-50.0, 0.0, 1.0]))
    hold_ranges(layer)
    assert layer.features.bits.tolist() == [1, pytest.approx(5.4), 8]
    assert layer.features.log2_steps.tolist() == [-24, 0, 1]
    assert effective_bits(layer.features.bits).tolist() == [2, 5, 8]


@pytest.mark.parametrize("linear", [nn.Linear, PygLinear])
@pytest.mark.parametrize("bias", [True, False])
def test_training_and_evaluating_agree(linear, bias):
    torch.manual_seed(0)
    layer = A2QLinear(linear(6, 5, bias=bias), 4, GroupQuantizer(100, 4))
    x = torch.randn(40, 6)
    trained = layer(x)
    torch.testing.assert_close(layer.eval()(x), trained)
    assert layer.eval()(x.view(4, 10, 6)).shape == (4, 10, 5)
    assert layer(x[:0]).shape == (0, 5)


def test_the_memory_loss_is_the_formula():
    """Two layers of widths 64 and 32; the second sees the same group in every row."""
    wide = A2QLinear(nn.Linear(64, 32), 4, GroupQuantizer(10, 4))
    narrow = A2QLinear(nn.Linear(32, 8), 4, GroupQuantizer(10, 6))
    idle = A2QLinear(nn.Linear(8, 8), 4, GroupQuantizer(10, 6))
    loss = MemoryLoss([wide, narrow, idle], weight=1e-3, target_kib=0.1)
    x = torch.randn(500, 64)
    wide(x), narrow(torch.ones(7, 32))
    used = len(wide.features.index(x.abs().amax(-1)).unique())
    value = loss.auxiliary_loss()
    kib = (64 * 4 * used + 32 * 6) / 8192
    assert float(value.detach()) == pytest.approx(1e-3 * (kib - 0.1) ** 2, rel=1e-5)
    value.backward()
    assert int((wide.features.bits.grad > 0).sum()) == used
    assert int((narrow.features.bits.grad > 0).sum()) == 1
    assert wide.features.log2_steps.grad is None
    assert loss.auxiliary_loss() == 0.0


def test_below_its_target_the_memory_costs_nothing():
    layer = A2QLinear(nn.Linear(8, 8), 4, NodeQuantizer(10, 4))
    layer(torch.randn(10, 8))
    value = MemoryLoss([layer], weight=1.0, target_kib=8 * 40 / 8192).auxiliary_loss()
    assert float(value.detach()) == 0


@given(st.integers(0, 2**31), st.integers(2, 8), st.integers(1, 5), st.booleans(), st.booleans())
def test_the_integer_layer_gives_the_same_bits(seed, bits, width, signed, by_node):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(20, 3 * width, generator=generator) * 10
    x = x if signed else x.relu()
    linear = nn.Linear(3 * width, 4)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    features = NodeQuantizer(20, bits) if by_node else GroupQuantizer(15, bits)
    layer = A2QLinear(linear, bits, features)
    layer(x)
    with torch.no_grad():
        features.bits.add_(torch.randn(len(features.bits), generator=generator) * 3)
    hold_ranges(layer)
    integer = layer.eval().shipped()
    assert integer.weight.dtype == torch.int8
    assert torch.equal(integer(x), layer(x))

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.compression.quantization.fake_quantize import FakeQuantize, QuantizerSettings
from gnnperf.compression.quantization.observers import (
    SAMPLE_ABOVE,
    extreme_reach,
    percentile_reach,
)

batches = st.lists(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9), min_size=1, max_size=4
)


def watched(range_name, values, cut=0.0):
    quantizer = FakeQuantize(QuantizerSettings(8, range=range_name, cut=cut))
    for batch in values:
        quantizer.observe(torch.tensor(batch))
    assert int(quantizer.batches) == len(values)
    return [-float(quantizer.reach[0]), float(quantizer.reach[1])]


@given(batches)
def test_abs_is_the_range_of_everything_with_zero(values):
    everything = [0.0, *(value for batch in values for value in batch)]
    assert watched("abs", values) == [min(everything), max(everything)]


@given(batches)
def test_mom_is_the_moving_average_that_begins_with_the_first_batch(values):
    low, high = min(0, *values[0]), max(0, *values[0])
    for batch in values[1:]:
        low += 0.01 * (min(0, *batch) - low)
        high += 0.01 * (max(0, *batch) - high)
    assert watched("mom", values) == pytest.approx([low, high], abs=1e-4)


@given(batches)
def test_per_without_a_cut_is_abs(values):
    """Percentiles of a batch add up as extremes do, as in the public code."""
    assert watched("per", values) == watched("abs", values)


@given(batches, st.randoms(), st.sampled_from(["abs", "mom", "per"]))
def test_in_calibration_the_order_of_the_batches_does_not_matter(values, random, range_name):
    def calibrated(batches):
        quantizer = FakeQuantize(QuantizerSettings(8, range=range_name, cut=0.1))
        quantizer.rounds = False
        for batch in batches:
            assert torch.equal(quantizer(torch.tensor(batch)), torch.tensor(batch))
        return quantizer.reach.tolist()

    other = random.sample(values, len(values))
    assert calibrated(other) == pytest.approx(calibrated(values), abs=1e-4)
    if range_name == "mom":
        highs = [max(0, *batch) for batch in values]
        assert calibrated(values)[1] == pytest.approx(sum(highs) / len(highs), abs=1e-4)


def test_percentiles_ignore_so_many_on_each_side():
    values = torch.arange(-50.0, 50)[torch.randperm(100)]
    assert percentile_reach(values, 0.03).tolist() == [47, 46]
    assert percentile_reach(values, 0.0).tolist() == [50, 49] == extreme_reach(values).tolist()
    rows = torch.stack([values, 2 * values])
    assert percentile_reach(rows, 0.03).tolist() == [[47, 94], [46, 92]]


@pytest.mark.parametrize("width", [1, 2, 10, 64, 128])
def test_the_sample_sees_every_column(width):
    """A stride that divides the width would never look at most columns."""
    values = torch.randn(20 * SAMPLE_ABOVE // width, width) * torch.logspace(-2, 2, width)
    found, exact = percentile_reach(values.flatten(), 0.01), values.flatten().sort().values
    cut = int(0.01 * len(exact))
    assert found.tolist() == pytest.approx([-float(exact[cut]), float(exact[-1 - cut])], rel=0.15)


@pytest.mark.parametrize("extra", [0, 1])
def test_up_to_the_limit_percentiles_are_exact(extra):
    values = torch.zeros(SAMPLE_ABOVE + extra)
    values[1] = 7.0
    assert percentile_reach(values, 0.0)[1] == (0.0 if extra else 7.0)


def test_nothing_to_see_leaves_the_range():
    quantizer = FakeQuantize(QuantizerSettings(8))
    quantizer.observe(torch.empty(0, 5))
    assert int(quantizer.batches) == 0
    assert quantizer.reach.shape == (2,)

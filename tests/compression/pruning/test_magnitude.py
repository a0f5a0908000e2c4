import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gnnperf.compression import RecipeError, deployed_state, hold_masks, masked_names, prunable
from gnnperf.compression.pruning.magnitude import global_masks, keep_largest, layer_masks
from gnnperf.recipes import compress

sparsities = st.floats(0, 1, exclude_max=True)
weights = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=60)


@given(weights, sparsities)
def test_exactly_so_many_of_the_smallest_go(values, sparsity):
    weight = torch.tensor(values)
    mask = keep_largest(weight, sparsity)
    assert int((~mask).sum()) == round(sparsity * len(values))
    if 0 < int(mask.sum()) < len(values):
        assert weight[~mask].abs().max() <= weight[mask].abs().min()


def by_sorting(weight, removed):
    """What keep_largest means: a stable sort of the magnitudes, whose first ones go."""
    mask = torch.ones(len(weight), dtype=torch.bool)
    size = torch.where(weight.isnan(), math.inf, weight.abs())
    mask[torch.sort(size, stable=True).indices[:removed]] = False
    return mask


@given(
    st.one_of(
        st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, math.inf, -math.inf, math.nan])),
        st.lists(st.floats(width=32), max_size=60),
    ),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.data(),
)
def test_the_mask_is_that_of_a_stable_sort(values, dtype, data):
    weight = torch.tensor(values, dtype=dtype)
    removed = data.draw(st.integers(0, len(values)))
    mask = keep_largest(weight, removed / max(len(values), 1))
    assert mask.tolist() == by_sorting(weight, removed).tolist()


@pytest.mark.parametrize("removed", [0, 1, 499, 500, 501, 999, 1000])
def test_a_long_row_is_cut_where_a_stable_sort_cuts_it(removed):
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    weight[:200] = -0.0
    assert torch.equal(keep_largest(weight, removed / 1000), by_sorting(weight, removed))


def test_ties_go_in_the_order_of_their_index():
    mask = keep_largest(torch.tensor([1.0, -1.0, 1.0, 1.0]), 0.5)
    assert mask.tolist() == [False, False, True, True]


@given(sparsities)
def test_global_is_one_ranking_and_layer_is_one_each(sparsity):
    torch.manual_seed(0)
    parts = {"a": torch.randn(4, 5), "b": 10 * torch.randn(3, 7)}
    whole, each = global_masks(parts, sparsity), layer_masks(parts, sparsity)
    assert sum(int((~m).sum()) for m in whole.values()) == round(sparsity * 41)
    for name, weight in parts.items():
        assert int((~each[name]).sum()) == round(sparsity * weight.numel())
        assert whole[name].shape == each[name].shape == weight.shape


def test_biases_and_normalisation_are_not_prunable():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert list(prunable(model)) == ["0.weight", "2.weight"]


@pytest.mark.parametrize("recipe", ["global@0.5", "layer@0.9"])
def test_the_twin_stays_as_it_was(spline_base, recipe):
    before = deepcopy(spline_base.model.state_dict())
    compress(spline_base, recipe)
    assert all(torch.equal(before[k], v) for k, v in spline_base.model.state_dict().items())


def test_coverage_names_what_was_changed(spline_base):
    compressed = compress(spline_base, "layer@0.5")
    assert set(compressed.coverage) == {
        "conv1.weight", "conv1.lin.weight", "conv2.weight", "conv2.lin.weight",
    }  # fmt: skip
    for name, part in compressed.coverage.items():
        weight = compressed.model.get_parameter(name)
        assert part.total == weight.numel()
        assert part.changed == round(0.5 * part.total) == int((weight == 0).sum())
    assert bool((compressed.model.conv1.bias != 0).any())


def test_no_negative_zero(spline_base):
    trained = replace(spline_base, model=deepcopy(spline_base.model))
    with torch.no_grad():
        trained.model.conv1.weight[0, :100] = -0.0
        trained.model.conv1.weight[1, :100] = -1e-20
    for recipe in ("global@0.5", "global@0", "layer@0.9+finetune"):
        for name, value in compress(trained, recipe).state().items():
            assert not bool(((value == 0) & torch.signbit(value)).any()) or name.endswith("bias")


def test_masks_survive_deepcopy_checkpoints_and_steps(spline_base, tmp_path):
    model = compress(spline_base, "global@0.9").model
    copied = deepcopy(model)
    assert masked_names(copied) == masked_names(model) != []
    torch.save(model.state_dict(), tmp_path / "model.pt")
    copied.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    pattern = {name: copied.get_parameter(name) == 0 for name in masked_names(copied)}
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)
    hold_masks(copied)
    for name, zero in pattern.items():
        assert torch.equal(copied.get_parameter(name) == 0, zero)


def test_masks_are_no_part_of_what_is_shipped(spline_base):
    compressed = compress(spline_base, "global@0.5")
    assert list(compressed.state()) == list(spline_base.model.state_dict())
    assert deployed_state(spline_base.model).keys() == compressed.state().keys()


def test_finetuning_holds_the_masks_and_is_never_worse_on_validation(spline_base):
    plain = compress(spline_base, "layer@0.9")
    tuned = compress(spline_base, "layer@0.9+finetune")
    for name in masked_names(plain.model):
        zero = plain.model.get_parameter(name) == 0
        assert bool((tuned.model.get_parameter(name)[zero] == 0).all())
        assert not torch.equal(plain.model.get_parameter(name), tuned.model.get_parameter(name))
    task, parts = spline_base.task, spline_base.parts
    plain.model.eval()
    before = task.evaluate(plain.model, parts.validation)["accuracy"]
    assert tuned.finetuned.validation["accuracy"] >= before


def test_zero_is_the_control(spline_base):
    compressed = compress(spline_base, "global@0")
    assert sum(part.changed for part in compressed.coverage.values()) == 0
    state = spline_base.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in compressed.state().items())


def test_changing_nothing_is_an_error(spline_base):
    with pytest.raises(RecipeError, match=r"removes none of the 69120 weights .* raise it"):
        compress(spline_base, "global@1e-9")


def test_a_model_without_prunable_parameters_is_refused(spline_base):
    trained = replace(spline_base, model=nn.BatchNorm1d(3))
    with pytest.raises(RecipeError, match=r"recipe layer@0\.5: .* has no prunable parameter"):
        compress(trained, "layer@0.5")


def test_the_largest_sparsity_below_one(spline_base):
    compressed = compress(spline_base, f"global@{math.nextafter(1, 0)!r}")
    assert all(part.changed == part.total for part in compressed.coverage.values())


def test_cora_keeps_its_accuracy_and_loses_its_bytes(real_data, shared_cache):
    """Fine-tuned global@0.5 within 0.01 of its twin on the mean of 3 seeds (real data)."""
    from gnnperf.datasets import DataOptions
    from gnnperf.study.measure import score_readings
    from gnnperf.study.sizes import size_readings
    from gnnperf.study.workbench import Workbench, WorkbenchOptions

    options = DataOptions("real", real_data, shared_cache)
    bench = Workbench(WorkbenchOptions(options, torch.device("cpu"), 1))
    bases = [bench.trained("cora_node-spline", seed) for seed in range(3)]
    drops = [
        score_readings(compress(base, "global@0.5+finetune"))["accuracy_drop"].value
        for base in bases
    ]
    assert sum(drops) / len(drops) <= 0.01
    for recipe, ratio in (("global@0.5", 1.83), ("global@0.9", 6.8)):
        assert size_readings(compress(bases[0], recipe))["size_ratio"].value >= ratio

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch, Data

from gnnperf.compression import RecipeError
from gnnperf.compression.pruning.structured import importance, shrunk, width_of
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.spline import SplineNet
from gnnperf.recipes import compress
from gnnperf.study.measure import size_readings
from gnnperf.training import evaluate

MODELS = {
    "gnnnet": lambda: GNNNet(4, 2, hidden=6),
    "gin": lambda: GIN(4, 2, hidden=6, layers=2),
    "spline": lambda: SplineNet(4, 3, hidden=5),
    "hgpsl": lambda: HGPSL(4, 2, hidden=6),
}


def graphs():
    torch.manual_seed(3)
    ring = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])
    both = torch.cat([ring, ring.flip(0)], 1)
    return Batch.from_data_list([Data(x=torch.randn(5, 4), edge_index=both) for _ in range(3)])


GRAPHS = graphs()


def lively(name, seed):
    """A model in eval mode with statistics and biases that are not their initial 0 and 1."""
    torch.manual_seed(seed)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return model


@given(st.sampled_from(sorted(MODELS)), st.integers(0, 1000), st.data())
def test_without_dead_channels_the_model_computes_the_same(name, seed, data):
    model = lively(name, seed)
    groups = model.channel_groups()
    kept = []
    for group in groups:
        width = width_of(model, group)
        alive = data.draw(st.sets(st.integers(0, width - 1), min_size=1))
        kept.append(torch.tensor(sorted(alive)))
        dead = [channel for channel in range(width) if channel not in alive]
        with torch.no_grad():
            for entry, dim in group:
                # Biases and normalisations write too; a channel is dead when all of them are zero.
                tensor = model.state_dict()[entry]
                if not entry.endswith(("running_mean", "running_var")):
                    blocks = tensor.movedim(dim, 0).unflatten(0, (-1, width))
                    blocks[:, dead] = 0
    small = shrunk(model, groups, kept)
    with torch.no_grad():
        assert torch.allclose(small(GRAPHS), model(GRAPHS), atol=1e-5)
    for group, channels in zip(groups, kept, strict=True):
        assert width_of(small, group) == len(channels)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_keeping_all_channels_changes_nothing(name):
    model = lively(name, 0)
    groups = model.channel_groups()
    all_of_them = [torch.arange(width_of(model, group)) for group in groups]
    small = shrunk(model, groups, all_of_them)
    assert repr(small) == repr(model)
    for entry, value in model.state_dict().items():
        assert torch.equal(small.state_dict()[entry], value)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_shrunk_model_is_the_narrow_model(name):
    """Its layers know their shapes: it prints as the model that was made so narrow."""
    model = lively(name, 0)
    groups = model.channel_groups()
    if name == "hgpsl":
        kept = [torch.tensor([0, 3]), torch.tensor([1, 2]), torch.tensor([0])]
        narrow = HGPSL(4, 2, hidden=2)
    else:
        kept = [torch.tensor([1, 2])] * len(groups)
        narrow = {
            "gnnnet": lambda: GNNNet(4, 2, hidden=2),
            "gin": lambda: GIN(4, 2, hidden=2, layers=2),
            "spline": lambda: SplineNet(4, 3, hidden=2),
        }[name]()
    small = shrunk(model, groups, kept)
    assert repr(small) == repr(narrow)
    narrow.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(narrow.eval()(GRAPHS), small(GRAPHS))


def test_importance_is_the_norm_of_all_weights_that_touch_a_channel():
    model = lively("spline", 0)
    (group,) = model.channel_groups()
    state = model.state_dict()
    for channel, strength in enumerate(importance(model, group)):
        pieces = [
            state["conv1.weight"][:, :, channel],
            state["conv1.lin.weight"][channel],
            state["conv2.weight"][:, channel],
            state["conv2.lin.weight"][:, channel],
        ]
        assert strength == pytest.approx(sum(float(p.square().sum()) for p in pieces) ** 0.5)


def test_width_removes_the_least_channels_and_bytes(spline_base):
    compressed = compress(spline_base, "width@0.5")
    (group,) = spline_base.model.channel_groups()
    strength = importance(spline_base.model, group)
    kept = strength.topk(8).indices.sort().values
    bias = spline_base.model.conv1.bias[kept]
    assert torch.equal(compressed.model.conv1.bias, bias)
    sizes = size_readings(compressed)
    assert sizes["parameters"].value == 69143 - 8 * (3 * 1433 + 1 + 3 * 7)
    assert sizes["model_bytes"].value < 0.51 * sizes["dense_bytes"].value
    assert sizes["size_ratio"].value > 1.9
    assert compressed.coverage["conv1.weight"].changed == 2 * 1433 * 8
    assert spline_base.model.conv1.out_channels == 16


def test_fine_tuning_may_follow(spline_base):
    plain = compress(spline_base, "width@0.75")
    tuned = compress(spline_base, "width@0.75+finetune")
    before = evaluate(plain.model, spline_base.task, spline_base.parts.validation)["accuracy"]
    assert tuned.finetuned.validation["accuracy"] >= before
    assert tuned.model.conv1.out_channels == 4


@pytest.mark.parametrize(("share", "left"), [(0, 16), (0.9, 2), (0.9687, 1)])
def test_down_to_one_channel(spline_base, share, left):
    assert compress(spline_base, f"width@{share}").model.conv1.out_channels == left


@pytest.mark.parametrize("share", [0.96876, 0.999])
def test_a_layer_that_would_vanish_is_refused(spline_base, share):
    with pytest.raises(RecipeError) as caught:
        compress(spline_base, f"width@{share}")
    assert str(caught.value) == (
        f"recipe width@{share}: all 16 channels of conv1.weight of cora_node~synthetic-spline "
        "would go, and with them the layer; ask for less than 0.96875"
    )


def test_removing_no_channel_is_refused(spline_base):
    with pytest.raises(RecipeError, match=r"width@0\.03: 0\.03 removes none of at most 16"):
        compress(spline_base, "width@0.03")


def test_a_model_that_declares_nothing_is_refused(spline_base):
    with pytest.raises(RecipeError, match=r"does not say .* give it a method channel_groups\(\)"):
        compress(replace(spline_base, model=nn.Linear(3, 3)), "width@0.5")


def declaring(trained, groups):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model.channel_groups = lambda: groups
    return replace(trained, model=model)


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ([[("0.weight", 0), ("2.weight", 1)]], "names dimension 1 of 2.weight, and there is none"),
        ([[("0.weight", 0), ("0.bias", 1)]], "names dimension 1 of 0.bias, and there is none"),
        ([[("0.weight", 1), ("0.bias", 0)]], "0.bias with 4 entries into a group of 3 channels"),
    ],
)
def test_a_wrong_declaration_is_refused(spline_base, groups, complaint):
    with pytest.raises(RecipeError) as caught:
        compress(declaring(spline_base, groups), "width@0.5")
    assert complaint in str(caught.value)

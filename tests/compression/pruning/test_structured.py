from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch, Data

from gnnperf.compression import RecipeError
from gnnperf.compression.pruning.channels.groups import declared, found
from gnnperf.compression.pruning.channels.shrink import shrunk, staying
from gnnperf.compression.pruning.channels.trace import traced
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.spline import SplineNet
from gnnperf.recipes import compress
from gnnperf.study.sizes import size_readings
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


def groups_of(model):
    """The groups that a forward shows, in inference and in training."""
    return found(traced(model, {False: GRAPHS, True: GRAPHS}), model)


def linear(name, *readers):
    """Rows and bias of what writes, columns of what reads."""
    return [(f"{name}.weight", 0), (f"{name}.bias", 0), *((f"{r}.weight", 1) for r in readers)]


def gin_layer(layer, place, reader):
    norm = [(f"{layer}.{place + 1}.{leaf}", 0) for leaf in ("weight", "bias")]
    norm += [(f"{layer}.{place + 1}.running_{leaf}", 0) for leaf in ("mean", "var")]
    return [*linear(f"{layer}.{place}", reader), *norm]


def gcn_layer(conv, *readers):
    return [(f"{conv}.lin.weight", 0), (f"{conv}.bias", 0), *((f"{r}.weight", 1) for r in readers)]


BY_HAND = {
    "gnnnet": [
        gcn_layer("gnn_layers.0", "gnn_layers.1.lin"),
        gcn_layer("gnn_layers.1", "gnn_layers.2.lin"),
        gcn_layer("gnn_layers.2", "mlps.0"),
    ],
    "gin": [
        gin_layer("convs.0.nn", 0, "convs.0.nn.3"),
        gin_layer("convs.0.nn", 3, "convs.1.nn.0"),
        gin_layer("convs.1.nn", 0, "convs.1.nn.3"),
        gin_layer("convs.1.nn", 3, "lin1"),
        linear("lin1", "lin2"),
    ],
    "spline": [
        [
            *[("conv1.weight", 2), ("conv1.lin.weight", 0), ("conv1.bias", 0)],
            *[("conv2.weight", 1), ("conv2.lin.weight", 1)],
        ]
    ],
    # The readouts of all three levels are summed, so that they share their channels.
    "hgpsl": [
        gcn_layer("conv1", "conv2.lin", "lin1")
        + gcn_layer("conv2", "conv3.lin")
        + gcn_layer("conv3")
        + [("pool1.att", 1), ("pool2.att", 1)],
        linear("lin1", "lin2"),
        linear("lin2", "lin3"),
    ],
}


def plainly(groups):
    return {
        frozenset((m.name, m.dim, tuple(map(tuple, m.places.tolist()))) for m in group.members)
        for group in groups
    }


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_groups_that_are_found_are_those_written_by_hand(name):
    model = lively(name, 0)
    assert plainly(groups_of(model)) == plainly(declared(BY_HAND[name], model))


@given(st.sampled_from(sorted(MODELS)), st.integers(0, 1000), st.data())
@settings(max_examples=20)
def test_without_dead_channels_the_model_computes_the_same(name, seed, data):
    model = lively(name, seed)
    groups = declared(BY_HAND[name], model)
    kept = []
    for group in groups:
        alive = data.draw(st.sets(st.integers(0, group.width - 1), min_size=1))
        kept.append(torch.tensor(sorted(alive)))
        dead = [channel for channel in range(group.width) if channel not in alive]
        with torch.no_grad():
            for member in group.members:
                # Biases and normalisations write too; a channel is dead when all of them are zero.
                if not member.name.endswith(("running_mean", "running_var")):
                    tensor = model.state_dict()[member.name]
                    tensor.movedim(member.dim, 0)[member.places[dead].flatten()] = 0
    small = shrunk(model, staying(model, groups, kept))
    with torch.no_grad():
        assert torch.allclose(small(GRAPHS), model(GRAPHS), atol=1e-5)
    for group, channels in zip(groups, kept, strict=True):
        first = group.members[0]
        assert small.state_dict()[first.name].size(first.dim) == len(channels)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_keeping_all_channels_changes_nothing(name):
    model = lively(name, 0)
    groups = groups_of(model)
    all_of_them = [torch.arange(group.width) for group in groups]
    small = shrunk(model, staying(model, groups, all_of_them))
    assert repr(small) == repr(model)
    for entry, value in model.state_dict().items():
        assert torch.equal(small.state_dict()[entry], value)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_shrunk_model_is_the_narrow_model(name):
    """Its layers know their shapes: it prints as the model that was made so narrow."""
    model = lively(name, 0)
    groups = declared(BY_HAND[name], model)
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
    small = shrunk(model, staying(model, groups, kept))
    assert repr(small) == repr(narrow)
    narrow.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(narrow.eval()(GRAPHS), small(GRAPHS))


def test_importance_is_the_norm_of_all_weights_that_touch_a_channel():
    model = lively("spline", 0)
    (group,) = groups_of(model)
    state = model.state_dict()
    for channel, strength in enumerate(group.importance(model)):
        pieces = [
            state["conv1.weight"][:, :, channel],
            state["conv1.lin.weight"][channel],
            state["conv2.weight"][:, channel],
            state["conv2.lin.weight"][:, channel],
        ]
        assert strength == pytest.approx(sum(float(p.square().sum()) for p in pieces) ** 0.5)


def test_width_removes_the_least_channels_and_bytes(spline_base):
    compressed = compress(spline_base, "width@0.5")
    (group,) = declared(BY_HAND["spline"], spline_base.model)
    strength = group.importance(spline_base.model)
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
        f"recipe width@{share}: cora_node~synthetic-spline: all 16 channels of conv1.weight would "
        "go, and with them the layer; ask for less than 0.96875"
    )


def test_removing_no_channel_is_refused(spline_base):
    with pytest.raises(RecipeError, match=r"width@0\.03: .*: 0\.03 removes none of at most 16"):
        compress(spline_base, "width@0.03")


class OnFeatures(nn.Module):
    """A torch model on the nodes' features."""

    def __init__(self, model, groups=None):
        super().__init__()
        self.model = model
        if groups is not None:
            self.channel_groups = lambda: groups

    def forward(self, data):
        return self.model(data.x)


def test_a_model_without_hidden_channels_is_refused(spline_base):
    bare = replace(spline_base, model=OnFeatures(nn.Linear(1433, 7)))
    with pytest.raises(RecipeError) as caught:
        compress(bare, "width@0.5")
    assert str(caught.value) == (
        "recipe width@0.5: cora_node~synthetic-spline: none of the model's channels was found to "
        "be free to go; name its channels in a method channel_groups(), as in "
        "gnnperf.models.channels"
    )


def declaring(trained, groups):
    model = nn.Sequential(nn.Linear(1433, 4), nn.Linear(4, 7))
    return replace(trained, model=OnFeatures(model, groups))


def test_a_model_may_name_its_channels_itself(spline_base):
    """What it does not name stays."""
    groups = [[("model.0.weight", 0), ("model.0.bias", 0), ("model.1.weight", 1)]]
    small = compress(declaring(spline_base, groups), "width@0.25").model.model
    assert repr(small) == repr(nn.Sequential(nn.Linear(1433, 3), nn.Linear(3, 7)))


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ([], "channel_groups() names none"),
        ([[("model.0.weight", 0), ("2.weight", 1)]], "dimension 1 of 2.weight, and there is none"),
        ([[("model.0.weight", 0), ("model.0.bias", 1)]], "dimension 1 of model.0.bias, and there"),
        ([[("model.0.bias", 0), ("model.1.bias", 0)]], "bias with 7 entries into a group of 4"),
        # The columns that read the channels are missing.
        ([[("model.0.weight", 0), ("model.0.bias", 0)]], "is wrong, its forward fails (RuntimeE"),
        # The outputs are nobody's to remove.
        ([[("model.1.weight", 0), ("model.1.bias", 0)]], "output is (2708, 3) and not (2708, 7)"),
    ],
)
def test_a_wrong_declaration_is_refused(spline_base, groups, complaint):
    with pytest.raises(RecipeError) as caught:
        compress(declaring(spline_base, groups), "width@0.5")
    assert complaint in str(caught.value)

"""Models that ship: written, loaded into their own class, refused by another."""

import re
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.nn import BatchNorm, GCNConv, SAGEConv, TAGConv, global_mean_pool

import gnnperf
from gnnperf import codec
from gnnperf.compression import Compressed, RecipeError, masked_names
from gnnperf.compression.blueprint import BlueprintError
from gnnperf.compression.masks import masks_of
from gnnperf.compression.quantization.export import IntegerModel
from gnnperf.compression.shipped import ENTRY, ShippedError, save_safetensors
from gnnperf.errors import GnnperfError
from gnnperf.models.gin import GIN
from gnnperf.recipes import parse_recipe

from .bases import FEATURES, base


class Net(nn.Module):
    """Two convolutions of PyG's with a norm between, and a head."""

    def __init__(self, conv=GCNConv, hidden=8):
        super().__init__()
        self.first, self.norm = conv(FEATURES, hidden), BatchNorm(hidden)
        self.second, self.head = conv(hidden, hidden), nn.Linear(hidden, 2)

    def forward(self, data):
        x = self.norm(self.first(data.x, data.edge_index)).relu()
        x = self.second(x, data.edge_index).relu()
        return self.head(global_mean_pool(x, data.batch))


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.one, self.two = (nn.Linear(n, 6) for n in (FEATURES, 6, 6))
        self.two.weight, self.head = self.one.weight, nn.Linear(6, 2)

    def forward(self, data):
        x = self.two(self.one(self.first(data.x).relu()).relu()).relu()
        return self.head(global_mean_pool(x, data.batch))


class Past(nn.Module):
    """Weights that no linear layer of its own reads, between two that do."""

    def __init__(self):
        super().__init__()
        self.first, self.second = TAGConv(FEATURES, 6), nn.GRU(6, 6, batch_first=True)
        self.third, self.head = nn.Parameter(torch.randn(6, 6)), nn.Linear(6, 2)

    def forward(self, data):
        x = self.first(data.x, data.edge_index).relu()
        x = self.second(x.unsqueeze(1))[0].squeeze(1) @ self.third
        return self.head(global_mean_pool(x.relu(), data.batch))


MODELS = {
    "gcn": Net,
    "sage": partial(Net, SAGEConv),
    "gin": lambda: GIN(FEATURES, 2),
    "tied": Tied,
    "past": Past,
}
BASES = {name: base(make) for name, make in MODELS.items()}
STEPS = (
    *("global@0.5", "layer@0.6", "width@0.4", "gradual@0.7", "finetune", "l2@0.001", "dense"),
    *("lottery@0.5", "ptq@int8", "ptq@w4a8:hidden", "qat@w2a8:channels", "dq@int4", "a2q@4"),
    *("a2q@4:target=2", "mixed@3", "mixed@2.5:qat"),
)


def outputs(model, trained):
    return [model(batch) for batch in trained.parts.test]


def loads_equal(compressed, make, path):
    compressed.save(path)
    loaded = gnnperf.load(path, make())
    expected, found = (outputs(m, compressed.twin) for m in (compressed.shipped, loaded))
    assert all(map(torch.equal, expected, found))
    return loaded


@settings(max_examples=15)
@given(st.sampled_from(list(MODELS)), st.lists(st.sampled_from(STEPS), min_size=1, max_size=3))
def test_every_chain_keeps_its_promises_or_is_refused_in_one_sentence(
    tmp_path_factory, name, steps
):
    text, trained = "+".join(steps), BASES[name]
    try:
        compressed = gnnperf.compress(trained, text)
    except RecipeError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert re.fullmatch(r"recipe .*: .+", refusal)
        return
    assert compressed.twin.model is trained.model
    assert [step.text for step in compressed.steps] == text.split("+")
    for weight, mask in masks_of(compressed.model).items():
        gone = compressed.model.get_parameter(weight)[~mask]
        assert not gone.any()
        assert not torch.signbit(gone).any()
    assert text == "dense" or sum(part.total for part in compressed.coverage.values())
    loads_equal(compressed, MODELS[name], tmp_path_factory.mktemp("chain") / "model.gnnz")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "text",
    [
        *("width@0.4+global@0.5+finetune+ptq@int4", "a2q@4:target=2", "gradual@0.7+dq@w4a8"),
        "mixed@3:hidden",
    ],
)
def test_the_class_alone_gives_the_model_again(tmp_path, name, text):
    compressed = gnnperf.compress(BASES[name], text)
    own = MODELS[name]()
    before = {key: value.clone() for key, value in own.state_dict().items()}
    loaded = loads_equal(compressed, lambda: own, tmp_path / "model.gnnz")
    assert isinstance(loaded, IntegerModel)
    assert not loaded.training
    assert not masked_names(loaded.model)
    assert all(torch.equal(before[key], value) for key, value in own.state_dict().items())
    assert codec.first_difference(compressed.state(), loaded.state()) is None


def test_a_pruned_model_is_one_of_its_class_and_trains_on(tmp_path):
    compressed = gnnperf.compress(BASES["gcn"], "width@0.4+global@0.5")
    loaded = loads_equal(compressed, Net, tmp_path / "model.gnnz")
    assert type(loaded) is Net
    assert (
        loaded.head.in_features == loaded.head.weight.size(1) == compressed.model.head.in_features
    )
    loaded(BASES["gcn"].parts.train[0]).sum().backward()


@pytest.fixture
def shipped(tmp_path):
    """Files of two cases."""
    paths = tmp_path / "pruned.gnnz", tmp_path / "whole.gnnz"
    for path, text in zip(paths, ("width@0.4+ptq@int8", "global@0.5"), strict=True):
        gnnperf.compress(BASES["gcn"], text).save(path)
    return paths


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Net(hidden=9), r"first\.bias is \[9\] in the model and \[8\] in the file's"),
        (Net(SAGEConv), r"the model has first\.lin_l\.weight, which the file's has not"),
        (nn.Sequential(), r"the file's model has .*, which the model has not"),
        (Net().double(), r"is torch\.float64 in the model and torch\.float32 in the file"),
    ],
    ids=["width", "kind", "nothing", "dtype"],
)
def test_another_architecture_is_refused_with_the_first_name_that_differs(shipped, model, why):
    for path in shipped:
        with pytest.raises(ShippedError, match=why) as caught:
            gnnperf.load(path, model)
        assert str(caught.value).startswith(f"{path} does not fit the {type(model).__name__}: ")
        assert "\n" not in str(caught.value)


def test_what_is_no_shipped_model_is_refused(tmp_path):
    absent, state = tmp_path / "absent.gnnz", tmp_path / "state.gnnz"
    with pytest.raises(ShippedError, match=r"absent\.gnnz cannot be read \(No such file"):
        gnnperf.load(absent, Net())
    codec.save(Net().state_dict(), state)
    with pytest.raises(ShippedError, match=r"holds a state alone, which gnnperf\.codec\.load"):
        gnnperf.load(state, Net())
    with pytest.raises(ShippedError, match="give a model to load into, not a type"):
        gnnperf.load(state, Net)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda about: about.update(version=2), "it is of version 2, and this reads 1"),
        (lambda about: about.update(blueprint=[]), "cannot be read"),
        (lambda about: about["blueprint"].update(code="x"), "has the unknown 'code'"),
        (lambda about: about["blueprint"]["parts"][0].update(kind="Popen"), "a Popen at .*nothing"),
        (
            lambda about: about["blueprint"].update(attributes={"": {"forward": 3}}),
            r"no plain value \.forward",
        ),
        (
            lambda about: about["blueprint"]["parts"][0]["buffers"].update(
                weight={"dtype": "int8", "shape": [1 << 40], "fill": None}
            ),
            r"weight cannot be int8 \[1099511627776\]",
        ),
        (
            lambda about: about["blueprint"]["parts"][0]["buffers"].update(
                weight={"dtype": "load", "shape": [1], "fill": None}
            ),
            r"weight cannot be load \[1\]",
        ),
    ],
    ids=["version", "list", "unknown", "class", "method", "huge", "dtype"],
)
def test_a_file_made_by_hand_executes_nothing(shipped, change, why):
    decoded = codec.load(shipped[0])
    about = decoded.metadata[ENTRY]
    change(about)
    codec.save(decoded.state, shipped[0], metadata={ENTRY: about})
    with pytest.raises(ShippedError, match=why):
        gnnperf.load(shipped[0], Net())


class Halved(nn.Linear):
    """A layer that a method of one's own puts in."""


def replaced(trained, make):
    model = base(Net).model
    model.head = make(model.head)
    return Compressed(trained, model, recipe="mine")


def test_what_a_method_of_ones_own_puts_in_cannot_be_described(tmp_path):
    compressed = replaced(BASES["gcn"], lambda head: Halved(8, 2))
    with pytest.raises(BlueprintError, match="head is a Halved, and a file can say nothing of"):
        compressed.save(tmp_path / "model.gnnz")
    assert not list(tmp_path.iterdir())


def test_a_model_that_would_compute_other_numbers_is_not_written(tmp_path):
    compressed = replaced(BASES["gcn"], lambda head: head)
    compressed.model.head.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(ShippedError, match="mine: read back, the model computes other numbers"):
        compressed.save(tmp_path / "model.gnnz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["global@0.5", "ptq@int8"])
def test_safetensors_are_dense_and_without_masks(tmp_path, text):
    from safetensors.torch import load_file

    compressed = gnnperf.compress(BASES["tied"], text)
    size = save_safetensors(compressed, tmp_path / "model.safetensors")
    state = load_file(tmp_path / "model.safetensors")
    assert size == (tmp_path / "model.safetensors").stat().st_size
    assert set(state) == set(compressed.state())
    head = state["head.weight"]
    assert head.dtype == torch.float32
    assert (head - compressed.model.head.weight).abs().max() < 0.02


def test_errors_of_files_are_gnnperfs(tmp_path):
    with pytest.raises(GnnperfError):
        gnnperf.compress(BASES["gcn"], "global@0.5").save(tmp_path / "no" / "folder" / "x.gnnz")


def test_all_steps_are_steps():
    assert all(parse_recipe(s).text == s for s in STEPS if s != "finetune")

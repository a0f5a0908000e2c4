"""What was done is what is said: coverage from the tensors, for every method."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric import nn as gnn

from gnnperf import codec
from gnnperf.codec import QuantizedTensor
from gnnperf.compression import Changed, Compressed, Deployed, RecipeError, coverage
from gnnperf.compression.coverage import borne_out
from gnnperf.recipes import METHODS, Method, compress
from gnnperf.records import measured
from gnnperf.study.inference import LoadAndInfer
from gnnperf.study.measure import measure

from .bases import FEATURES, base, batch


class Net(nn.Module):
    """40 + 64 + 16 weights."""

    def __init__(self):
        super().__init__()
        self.conv, self.lin, self.head = gnn.GCNConv(FEATURES, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, data):
        x = self.conv(data.x, data.edge_index).relu()
        return self.head(self.lin(gnn.global_mean_pool(x, data.batch)).relu())


ALL = {"conv.lin.weight", "lin.weight", "head.weight"}
TRAINED = base(Net)


def proven(compressed):
    """As a recipe of one step is."""
    return coverage.proven(borne_out(compressed))


def by(change, **claims):
    """A method that changes a copy, and claims."""
    model = deepcopy(TRAINED.model)
    with torch.no_grad():
        change(model)
    return Compressed(TRAINED, model, {name.replace("_", "."): c for name, c in claims.items()})


def nothing(model):
    pass


def half_of_lin(model):
    model.lin.weight[:4] = 0.0


@pytest.mark.parametrize("changed", [31, 32])
def test_a_claim_up_to_what_the_tensors_show_is_covered(changed):
    result = proven(by(half_of_lin, lin_weight=Changed(changed, 64)))
    assert result.coverage == {"lin.weight": Changed(changed, 64)}
    assert result.readings["covered"].value == 64 / 120
    assert set(result.uncovered) == ALL - {"lin.weight"}
    assert result.uncovered["head.weight"].startswith("stays whole: no mask lies on it")


HALF, WHOLE = Changed(32, 64), Changed(64, 64, "quantized")


@pytest.mark.parametrize(
    ("change", "claims", "sentence"),
    [
        (half_of_lin, {"lin_weight": Changed(33, 64)}, "33 of 64 .* removed, .* 32 of 64 are;"),
        (half_of_lin, {"lin_weight": Changed(32, 65)}, "32 of 65 .* removed, .* 32 of 64 are;"),
        (half_of_lin, {"lin_weight": Changed(33, 64, "moved")}, "33 .* moved, .* 32 of 64 are;"),
        (half_of_lin, {"lin_weight": WHOLE}, "64 of 64 .* quantized, .* 0 of 64 are;"),
        (nothing, {"lin_weight": HALF}, "32 of 64 .* lin.weight are removed, .* 0 of 64 are;"),
        (nothing, {"post_weight": Changed(0, 64)}, "0 of 64 .* has no such parameter;"),
    ],
)
def test_a_claim_beyond_the_tensors_is_one_sentence(monkeypatch, change, claims, sentence):
    for_all = Method("lies", str, lambda *_: by(change, **claims))
    monkeypatch.setitem(METHODS, "lies", for_all)
    with pytest.raises(RecipeError, match=f"^recipe lies@1: it claims that {sentence}.*give back"):
        compress(TRAINED, "lies@1")


def test_no_method_reports_its_own_share():
    claimed = replace(
        by(half_of_lin, lin_weight=Changed(32, 64)),
        readings={"covered": measured(1.0, "fraction", "a method of mine")},
    )
    assert proven(claimed).readings["covered"].value == 64 / 120


def test_a_method_that_claims_nothing_is_counted_all_the_same():
    assert proven(by(half_of_lin)).coverage == {"lin.weight": Changed(32, 64)}
    idle = proven(by(nothing))
    assert (idle.coverage, idle.readings["covered"].value) == ({}, 0.0)


def test_zero_before_is_no_pruning():
    trained = replace(TRAINED, model=deepcopy(TRAINED.model))
    with torch.no_grad():
        half_of_lin(trained.model)
    untouched = Compressed(trained, deepcopy(trained.model))
    assert proven(untouched).readings["covered"].value == 0.0


def test_a_model_that_shares_tensors_with_its_twin_is_refused():
    shares = deepcopy(TRAINED.model)
    shares.lin.weight = nn.Parameter(TRAINED.model.lin.weight.detach())
    for model, name in ((TRAINED.model, "conv.bias"), (shares, "lin.weight")):
        with pytest.raises(RecipeError, match=f"shares {name} with .*; change copy\\.deepcopy"):
            proven(Compressed(TRAINED, model))


class Stored(Deployed):
    """Keeps one weight in codes of 4 bits, and another in half precision."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def state(self):
        state = dict(self.model.state_dict())
        codes = torch.zeros(8, 8, dtype=torch.int8)
        state["lin.weight"] = QuantizedTensor(codes + 3, 4, torch.tensor(0.1), torch.tensor(3))
        state["head.weight"] = state["head.weight"].half()
        return state


def test_bits_are_those_of_what_is_stored():
    model = deepcopy(TRAINED.model)
    result = proven(Compressed(TRAINED, model, deployed=Stored(model)))
    assert result.coverage == {
        "lin.weight": Changed(64, 64, "quantized"), "head.weight": Changed(16, 16, "quantized"),
    }  # fmt: skip
    # A code at the zero point is a weight that is zero.
    pruned = Compressed(TRAINED, model, {"lin.weight": Changed(64, 64)}, deployed=Stored(model))
    assert proven(pruned).readings["covered"].value == 80 / 120


def narrowed(model):
    model.lin.weight = nn.Parameter(model.lin.weight[:5, :6].clone())


def factored(model):
    model.lin = nn.Sequential(nn.Linear(8, 2, bias=False), nn.Linear(2, 8))


def rebuilt(model):
    model.lin = nn.Sequential(nn.Linear(8, 8))


@pytest.mark.parametrize(
    ("change", "coverage", "covered"),
    [
        (narrowed, {"lin.weight": Changed(34, 64)}, 64 / 120),
        # What gives way to fewer weights went; what gives way to as many was only renamed.
        (factored, {"lin.weight": Changed(64, 64)}, 64 / 120),
        (rebuilt, {}, 0.0),
    ],
)
def test_weights_that_are_gone_are_counted(change, coverage, covered):
    result = proven(by(change))
    assert result.coverage == coverage
    assert result.readings["covered"].value == covered


@pytest.mark.parametrize(
    ("recipe", "left_out"),
    [
        ("global@0.5", set()), ("global@0", set()), ("layer@0.9+finetune", set()),
        ("gradual@0.5", set()), ("lottery@0.5", set()), ("l2@0.01", set()), ("width@0.5", set()),
        ("width@0", ALL), ("a2q@4", set()), ("l2@0.01+layer@0.5", set()),
        ("layer@0.5+width@0.5+finetune", set()), ("width@0.5+layer@0.5+a2q@4", set()),
    ],
)  # fmt: skip
def test_every_method_names_what_it_leaves_out(recipe, left_out):
    result = compress(TRAINED, recipe)
    assert set(result.uncovered) == left_out
    sizes = {name: TRAINED.model.get_parameter(name).numel() for name in ALL}
    left = sum(sizes[name] for name in result.uncovered)
    assert result.readings["covered"].value == (120 - left) / 120
    record = measure(result, meters=())
    assert record.value("covered") == result.readings["covered"].value
    assert record.uncovered == result.uncovered


def test_the_dense_model_is_not_held_to_cover_anything():
    reading = compress(TRAINED, "dense").readings["covered"]
    assert (reading.status, reading.reason) == ("unavailable", "it leaves the model as it is")
    changed = replace(by(half_of_lin), readings={"covered": reading})
    assert proven(changed).readings["covered"].value == 64 / 120


def test_one_step_that_lies_is_named(monkeypatch):
    lies = Method("lies", str, lambda *_: by(nothing, lin_weight=Changed(1, 64)))
    monkeypatch.setitem(METHODS, "lies", lies)
    with pytest.raises(RecipeError, match=r"^recipe layer@0\.5\+lies@1: step lies@1: it claims"):
        compress(TRAINED, "layer@0.5+lies@1")


def test_a_step_that_claims_nothing_counts_after_one_that_does(monkeypatch):
    def thin(trained, name):
        model = deepcopy(trained.model)
        with torch.no_grad():
            model.get_parameter(name)[0] = 0.0
        claims = {name: Changed(8, 64)} if name == "lin.weight" else {}
        return Compressed(trained, model, claims)

    monkeypatch.setitem(METHODS, "thin", Method("one row", str, thin))
    result = compress(TRAINED, "thin@lin.weight+thin@head.weight")
    assert result.coverage == {"lin.weight": Changed(8, 64), "head.weight": Changed(8, 16)}
    assert result.readings["covered"].value == 80 / 120


def test_a_layer_that_a_step_renamed_is_covered_still(spline_base):
    result = compress(spline_base, "layer@0.5+ptq@int8")
    assert result.readings["covered"].value == 1.0
    names = {"conv1.lin.weight", "conv2.lin.weight"}
    assert set(result.coverage) == names
    sizes = {name: result.model.get_parameter(name).numel() for name in names}
    assert {name: part.total for name, part in result.coverage.items()} == sizes


def test_what_no_recipe_made_is_counted_when_it_is_measured():
    record = measure(by(half_of_lin), meters=())
    assert record.value("covered") == 64 / 120
    assert record.coverage == {"lin.weight": (32, 64)}


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions")
def test_sparse_and_quantized_tensors_are_counted():
    model = deepcopy(TRAINED.model)
    model.lin.weight = nn.Parameter(model.lin.weight.detach().clone())
    with torch.no_grad():
        half_of_lin(model)
    model.lin.weight = nn.Parameter(model.lin.weight.detach().to_sparse(), requires_grad=False)
    with torch.no_grad():
        codes = torch.quantize_per_tensor(model.head.weight, 0.1, 0, torch.qint8)
    model.head.weight = nn.Parameter(codes, requires_grad=False)
    assert proven(Compressed(TRAINED, model)).coverage == {
        "lin.weight": Changed(32, 64), "head.weight": Changed(16, 16, "quantized"),
    }  # fmt: skip


def test_what_is_measured_of_a_wrapped_pair_is_plain():
    compressed = by(half_of_lin)
    twin = replace(TRAINED, model=nn.DataParallel(deepcopy(TRAINED.model)))
    wrapped = replace(compressed, twin=twin, model=nn.DataParallel(compressed.model))
    record = measure(wrapped, meters=("scores", "size"))
    assert record.coverage == {"lin.weight": (32, 64)}
    assert set(record.layers) == set(dict(Net().named_parameters()))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = gnn.GCNConv(FEATURES, 8), nn.Linear(8, 2)
        self.pre, self.post, self.twice = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.post.weight = self.pre.weight

    def forward(self, data):
        x = gnn.global_mean_pool(self.conv(data.x, data.edge_index).relu(), data.batch)
        return self.head(self.twice(self.twice(self.post(self.pre(x).relu())).relu()))


@pytest.mark.parametrize(
    "recipe", ["global@0.5", "layer@0.5+finetune", "ptq@int8", "qat@int4", "a2q@4"]
)
def test_a_tied_weight_is_one(recipe, tmp_path):
    trained = base(Tied)
    result = compress(trained, recipe)
    assert "post.weight" not in result.coverage
    assert result.readings["covered"].source.endswith(
        "of 184 weights, biases apart, counted on the model's tensors"
    )
    model, shipped = result.model, result.shipped
    assert model.pre.weight is model.post.weight
    # Stored once: as large as without the second name.
    state = result.state()
    one = {name: value for name, value in state.items() if name != "post.weight"}
    assert len(codec.encode(state)) - len(codec.encode(one)) <= 40
    # Tied again after loading, and the same model.
    codec.save(state, tmp_path / "state.gnnz")
    again = deepcopy(shipped)
    LoadAndInfer(tmp_path / "state.gnnz", lambda path: codec.load(path).state, again, [batch(2)])()
    inner = getattr(again, "model", again)
    assert inner.pre.weight is inner.post.weight
    with torch.no_grad():
        assert torch.equal(again(batch(3)), shipped(batch(3)))


class Free(nn.Module):
    """Weights of every kind that is no linear layer, a layer used twice, one read by its weight."""

    def __init__(self):
        super().__init__()
        self.kinds, self.both = nn.Embedding(7, 4), nn.Bilinear(FEATURES, 4, 6)
        self.gru, self.lstm = nn.GRU(6, 6), nn.LSTM(6, 8)
        self.attention, self.cell = nn.MultiheadAttention(8, 2), nn.GRUCell(8, 8)
        self.conv, self.gated = gnn.RGCNConv(8, 8, 4, num_bases=2), gnn.GatedGraphConv(8, 2)
        self.twice, self.head = nn.Linear(8, 8), nn.Linear(8, 2)
        self.arma = gnn.ARMAConv(8, 8, num_stacks=2)

    def forward(self, data):
        x = self.both(data.x, self.kinds(data.kind))
        x = self.lstm(self.gru(x.unsqueeze(1))[0])[0]
        x = self.attention(x, x, x)[0].squeeze(1)
        x = self.gated(self.conv(x, data.edge_index, data.edge_type), data.edge_index)
        x = self.twice.forward(self.twice(input=self.arma(self.cell(x), data.edge_index)))
        return gnn.global_mean_pool(x, data.batch) @ self.head.weight.t() + self.head.bias


@pytest.mark.parametrize(
    "recipe", ["global@0.5", "layer@0.5+finetune", "gradual@0.5", "lottery@0.5"]
)
def test_free_parameters_and_cells_are_pruned_as_weights(recipe):
    result = compress(base(Free), recipe)
    wide = {n: p for n, p in result.model.named_parameters() if p.dim() >= 2 and n != "arma.bias"}
    assert set(result.coverage) == set(wide)
    assert result.readings["covered"].value == 1.0
    for name, weight in wide.items():
        assert int((weight == 0).sum()) >= result.coverage[name].changed
    assert (
        bool((result.model.arma.bias == result.twin.model.arma.bias).all())
        or "+" in recipe
        or "@" in recipe
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("recipe", ["global@0.5", "layer@0.9+finetune", "width@0.5", "l2@0.01"])
def test_other_dtypes_are_pruned(dtype, recipe):
    result = compress(base(Net, dtype), recipe)
    assert {p.dtype for p in result.model.parameters()} == {dtype}
    assert result.readings["covered"].value == 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("recipe", ["ptq@int8", "qat@int4", "dq@int8", "a2q@4"])
def test_other_dtypes_are_not_quantized_in_one_sentence(dtype, recipe):
    with pytest.raises(RecipeError, match=rf"^recipe {recipe}: \S+ is {dtype}, and quantization"):
        compress(base(Net, dtype), recipe)

"""Checkpoints as training loops write them."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gnnperf import Fields, codec, load_weights
from gnnperf.study.weights import WeightsError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)
        self.last.weight = self.first.weight


def seven():
    model = Net()
    nn.init.constant_(model.first.weight, 7.0)
    return model


STATE = seven().state_dict()


def prefixed(prefix, **others):
    return {**{prefix + name: value for name, value in STATE.items()}, **others}


def is_seven(model):
    return bool((model.first.weight == 7).all())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {}}},
            "taken from its state_dict",
        ),
        ({"model_state_dict": STATE, "loss": 0.1}, "taken from its model_state_dict"),
        ({"model": {"state_dict": STATE, "model_args": {}}}, "taken from its model/state_dict"),
        (prefixed("module."), r"prefix module\. taken off$"),
        (prefixed("model."), r"prefix model\. taken off$"),
        (prefixed("_orig_mod."), r"prefix _orig_mod\. taken off$"),
        (prefixed("model._orig_mod."), r"prefix _orig_mod\. taken off, prefix model\. taken off$"),
        (prefixed("module.net."), r"prefix module\.net\. taken off$"),
        (
            # Lightning: the module under its own name, its losses and metrics beside it.
            {
                "state_dict": prefixed("gnn.", **{"loss.weight": torch.ones(2)}),
                "pytorch-lightning_version": "2.5.0",
                "callbacks": {},
                "hyper_parameters": {"width": 4},
            },
            r"taken from its state_dict, prefix gnn\. taken off, loss\.weight left out$",
        ),
        # torch's average of weights.
        (
            prefixed("module.", n_averaged=torch.tensor(3)),
            r"prefix module\. taken off, n_averaged left out$",
        ),
    ],
)
@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: Fields(model, "x")])
def test_known_nests_and_prefixes_are_found_and_said(tmp_path, content, words, wrap):
    torch.save(content, tmp_path / "a.ckpt")
    model = Net()
    wrapped = wrap(model)
    with pytest.warns(UserWarning, match=r"checkpoint .*a\.ckpt: " + words):
        loaded = load_weights(wrapped, str(tmp_path / "a.ckpt"))
    assert loaded is wrapped
    assert is_seven(model)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a.gnnz"])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_each_kind_of_file_by_a_path_or_its_text(tmp_path, name, kind):
    path = tmp_path / name
    {"a.pt": torch.save, "a.safetensors": save_file, "a.gnnz": codec.save}[name](STATE, path)
    assert is_seven(load_weights(Net(), kind(path)))


@pytest.mark.filterwarnings("error")
def test_tied_weights_may_stand_once(tmp_path):
    path = tmp_path / "a.pt"
    state = Tied().state_dict()
    del state["last.weight"]
    torch.save(state, path)
    model = load_weights(Tied(), path)
    assert model.last.weight is model.first.weight
    assert torch.equal(model.last.weight, state["first.weight"])
    torch.save({f"net.{name}": value for name, value in state.items()}, path)
    with pytest.warns(UserWarning, match=r"prefix net\. taken off$"):
        load_weights(Tied(), path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Net(), r"is no state_dict file \(it holds Python objects \(.*Net\), which are not exec"),
        ({"state_dict": Net(), "epoch": 1}, r"it holds Python objects \(.*Net\)"),
        ({}, r"holds nothing, and no weights by their names"),
        (3, r"does not fit the workload's model: it holds a int, not weights by their names"),
        ({"a": {"b": {}}, "c": 1}, r"holds a, c, and no weights by their names, nor a state_dict"),
        (
            {**STATE, "extra.weight": torch.ones(1)},
            r"does not fit the workload's model: it holds besides extra\.weight$",
        ),
        (
            {name: value for name, value in STATE.items() if name != "last.bias"},
            r"does not fit the workload's model: it lacks last\.bias$",
        ),
        (
            {name.replace("first", "one"): value for name, value in STATE.items()},
            r"it lacks first\.weight, first\.bias; it holds besides one\.weight, one\.bias",
        ),
        ({**STATE, "last.bias": torch.ones(3)}, r"size mismatch for last\.bias"),
        ({**STATE, "last.bias": torch.full((2,), torch.nan)}, r"2 of 2 values of last\.bias are"),
        ({**prefixed("ema."), **prefixed("net.")}, r"under each of ema\., net\.; write a file"),
        (prefixed("a.", **{"a.more": torch.ones(1)}), r"it holds besides more"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "a.pt"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=words) as caught:
        load_weights(Net(), path)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.pt", lambda path: path.write_bytes(b"no checkpoint")),
        ("a.pt", lambda path: path.write_bytes(pickle.dumps(print))),
        ("a.safetensors", lambda path: path.write_bytes(b"\xff" * 40)),
        ("a.gnnz", lambda path: path.write_bytes(b"\xff" * 40)),
        ("a.pt", lambda path: None),
    ],
)
def test_what_is_no_file_of_weights_is_one_sentence(tmp_path, name, write):
    write(tmp_path / name)
    with pytest.raises(WeightsError, match=r"is no state_dict file \(.*; write one with") as caught:
        load_weights(Net(), tmp_path / name)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def tied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize("ending", ["pt", "gnnz"])
@pytest.mark.parametrize("left_out", ["", "0.weight", "1.weight"])
def test_tied_weights_stay_tied(tmp_path, ending, left_out):
    state = {name: value + 1 for name, value in tied().state_dict().items() if name != left_out}
    if not left_out:
        state["1.weight"] = state["0.weight"]
    path = tmp_path / f"weights.{ending}"
    torch.save(state, path) if ending == "pt" else codec.save(state, path)
    model = tied()
    load_weights(model, path)
    assert model[0].weight is model[1].weight
    assert torch.equal(model[0].weight, next(v for n, v in state.items() if n.endswith("weight")))


def test_two_values_for_one_weight_are_refused(tmp_path):
    state = tied().state_dict() | {"1.weight": torch.zeros(3, 3)}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"weights\.pt does not fit .*: the model ties 1"):
        load_weights(tied(), tmp_path / "weights.pt")

import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

from gnnperf.models.wrappers import WrapperError, folded, parametrized, unwrapped
from gnnperf.training.modules import copied

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


def compiled(model):
    return torch.compile(model, backend="eager")


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


@pytest.mark.parametrize(
    "wrap",
    [
        compiled, compiled_in_place, nn.DataParallel, AveragedModel,
        lambda model: compiled(nn.DataParallel(model)),
    ],
)  # fmt: skip
def test_a_model_comes_out_of_its_wrappers(wrap):
    plain = unwrapped(wrap(net()))
    assert type(plain) is nn.Sequential
    assert list(plain.state_dict()) == list(net().state_dict())
    assert plain._compiled_call_impl is None
    assert torch.equal(plain(X), net()(X))


def test_a_wrapper_deeper_down_is_replaced():
    model = net()
    model[0] = compiled(model[0])
    assert list(unwrapped(model).state_dict()) == list(net().state_dict())


@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, X)])
def test_scripted_modules_are_refused(make):
    scripted = make(net())
    for model in (scripted, nn.Sequential(scripted)):
        with pytest.raises(WrapperError, match=r"cannot be changed in place; hand over the eager"):
            unwrapped(model)


@pytest.fixture
def lightning(monkeypatch):
    """A LightningModule as far as it matters here."""

    class LightningModule(nn.Module):
        __module__ = "lightning.pytorch.core.module"
        __qualname__ = "LightningModule"

        def forward(self, *args):
            return super().forward(*args)

    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    return LightningModule


def test_of_a_lightning_module_the_network_is_taken(lightning):
    class Trains(lightning):
        def __init__(self, *networks):
            super().__init__()
            self.networks, self.loss = nn.ModuleList(networks), nn.CrossEntropyLoss()

    class Computes(Trains):
        def forward(self, x):
            return self.networks[0](x)

    inner = net()
    assert torch.equal(unwrapped(Trains(inner)).get_submodule("0")(X), inner(X))
    assert type(unwrapped(Computes(inner))) is Computes
    with pytest.raises(WrapperError, match="the Trains has no forward and holds 0 networks; give"):
        unwrapped(Trains())


def old_pruning(layer):
    return prune.l1_unstructured(layer, "weight", 0.5)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).t()


def of_ones_own(layer):
    square = nn.Linear(3, 3)
    parametrize.register_parametrization(square, "weight", Symmetric())
    return nn.Sequential(square, layer)


@pytest.mark.parametrize(
    "wrap",
    [
        parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal,
        weight_norm, spectral_norm, old_pruning, of_ones_own,
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
def test_computed_weights_become_parameters_and_compute_the_same(wrap):
    model = nn.Sequential(wrap(nn.Linear(3, 4)))
    model.train()(X).sum().backward()
    expected = model.eval()(X)
    assert parametrized(model)
    plain = folded(copied(model))
    assert parametrized(plain) == []
    assert {name.rpartition(".")[2] for name, _ in plain.named_parameters()} == {"weight", "bias"}
    assert torch.allclose(plain(X), expected, atol=1e-6)
    assert parametrized(model)
    assert parametrized(net()) == []

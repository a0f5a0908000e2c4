from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.training import NodeClassification, Parts, TrainSettings, fit
from gnnperf.training.optimizers.registry import OPTIMIZERS, find_optimizer
from gnnperf.training.optimizers.role_adam import HALVED_EVERY_EPOCHS, ROLE_RATES
from gnnperf.training.tasks.base import auxiliary_loss

SETTINGS = TrainSettings(epochs=1, learning_rate=0.01, weight_decay=0.5, optimizer="role-adam")


class Stepped(nn.Module):
    parameter_roles = {"steps": "feature_steps", "bits": "feature_bits"}  # noqa: RUF012  # as users write it

    def __init__(self):
        super().__init__()
        self.steps, self.bits = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.lin = nn.Linear(3, 2)

    def forward(self, data):
        return self.lin(data.x) * self.steps


def test_every_parameter_has_its_roles_rate_and_weights_alone_decay():
    model = Stepped()
    optimizer = find_optimizer("role-adam")(model, SETTINGS)
    rates = {
        id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]
    }
    assert len(rates) == len(list(model.parameters()))
    assert rates[id(model.steps)] == (ROLE_RATES["feature_steps"], 0) == (0.02, 0)
    assert rates[id(model.bits)] == (ROLE_RATES["feature_bits"], 0) == (0.008, 0)
    assert rates[id(model.lin.weight)] == rates[id(model.lin.bias)] == (0.01, 0.5)


@pytest.mark.parametrize(("epochs", "factor"), [(49, 1), (50, 2), (99, 2), (100, 4)])
def test_fit_halves_all_rates_every_fifty_epochs(monkeypatch, epochs, factor):
    assert HALVED_EVERY_EPOCHS == 50
    made = []
    factory = find_optimizer("role-adam")
    monkeypatch.setitem(
        OPTIMIZERS, "role-adam", lambda *args: made.append(factory(*args)) or made[-1]
    )
    graph = Data(x=torch.randn(6, 3), y=torch.tensor([0, 1] * 3), num_nodes=6)
    graph.target_index = torch.arange(6)
    parts = Parts([graph], [graph], [graph])
    fit(Stepped(), NodeClassification(), parts, replace(SETTINGS, epochs=epochs), seed=0)
    rates = [group["lr"] for group in made[0].param_groups]
    assert sorted(rates) == pytest.approx([0.008 / factor, 0.01 / factor, 0.02 / factor])


def test_without_roles_it_is_adamw():
    torch.manual_seed(0)
    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    two.load_state_dict(one.state_dict())
    for model, name in ((one, "role-adam"), (two, "adamw")):
        optimizer = find_optimizer(name)(model, SETTINGS)
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    assert torch.equal(one.weight, two.weight)


class Costly(nn.Module):
    def auxiliary_loss(self):
        return torch.tensor(2.0)


def test_the_losses_of_all_modules_add_up_in_every_task():
    model = nn.Sequential(nn.Linear(3, 2), Costly(), nn.Sequential(Costly()))
    assert float(auxiliary_loss(model)) == 4
    assert auxiliary_loss(nn.Linear(1, 1)) == 0

    class Net(Stepped):
        def __init__(self):
            super().__init__()
            self.costly = Costly()

    graph = Data(x=torch.randn(6, 3), y=torch.tensor([0, 1] * 3))
    graph.target_index = torch.arange(6)
    task, model = NodeClassification(), Net()
    plain = nn.functional.cross_entropy(model(graph), graph.y)
    assert float(task.loss(model, graph).detach()) == pytest.approx(float(plain.detach()) + 2)

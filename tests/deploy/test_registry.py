"""Deployments by name, and what each is held to."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.deploy import (
    DEPLOYMENTS,
    EXACT,
    Deployed,
    DeployError,
    Deployment,
    Promise,
    agreement,
    broken_promise,
    deploy,
    register_deployment,
)


class Scores(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, data):
        return data.x * self.weight


BATCH = Data(x=torch.tensor([[2.0, 1.0], [1.0, 2.0], [3.0, 3.0]]))


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setattr("gnnperf.deploy.registry.DEPLOYMENTS", DEPLOYMENTS | {})

    def register(**more):
        deployment = Deployment(
            "halved", lambda model, batches: Deployed(model, ["halved"]), **more
        )
        register_deployment("own", deployment)
        return deployment

    return register


def test_a_project_adds_its_own(own):
    own()
    deployed = deploy(Scores(1.0), "own", [BATCH])
    assert deployed.done == ("halved",)
    assert deployed.deploy_seconds > 0
    assert deployed.deployed_bytes == 4


def test_a_name_is_not_taken_twice(own):
    own()
    with pytest.raises(DeployError, match="'own' is registered already; give yours another name"):
        own()


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a@b"])
def test_a_name_that_no_recipe_can_hold_is_refused(name, own):
    with pytest.raises(DeployError, match="choose another"):
        register_deployment(name, own())


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(DeployError, match=r"unknown deployment 'lan'; there are .*lean"):
        deploy(Scores(1.0), "lan", [BATCH])


def test_one_that_cannot_be_had_says_why(own):
    own(available=lambda: "needs numba; pip install 'gnnperf[fast]'")
    with pytest.raises(DeployError, match=r"deploy=own: needs numba; pip"):
        deploy(Scores(1.0), "own", [BATCH])


def test_a_module_alone_needs_batches():
    with pytest.raises(DeployError, match="Scores comes without batches"):
        deploy(Scores(1.0), "lean")


@pytest.mark.parametrize(
    ("weight", "kept"), [([1.0, 1.0], True), ([1.0, 1.0000098], True), ([1.0, 1.0000102], False)]
)
def test_logits_are_held_to_the_promise(weight, kept):
    # The greatest logit is 3.
    found = agreement(Scores([1.0, 1.0]), Deployed(Scores(weight)), [BATCH], EXACT)
    assert found.rows == 3
    assert (broken_promise(found, EXACT) is None) == kept


@pytest.mark.parametrize(("promised", "kept"), [(0.66, True), (0.67, False)])
def test_classes_are_held_to_the_promise(promised, kept):
    # The third row is a tie, the first changes its class; nothing is said of logits.
    promise = Promise(promised)
    found = agreement(Scores([1.0, 1.0]), Deployed(Scores([1.0, 2.5])), [BATCH], promise)
    assert found.classes == pytest.approx(1 / 3)
    found = agreement(Scores([1.0, 1.0]), Deployed(Scores([2.5, 1.0])), [BATCH], promise)
    assert found.classes == pytest.approx(2 / 3)
    assert (broken_promise(found, promise) is None) == kept


def test_nan_keeps_no_promise():
    found = agreement(Scores([1.0, 1.0]), Deployed(Scores([1.0, float("nan")])), [BATCH], EXACT)
    assert broken_promise(found, EXACT) is not None


def test_a_tie_is_no_disagreement_where_logits_are_promised():
    found = agreement(Scores([1.0, 1.0]), Deployed(Scores([1.0, 1.000001])), [BATCH], EXACT)
    assert found.classes == 1.0
    links = Data(x=torch.tensor([1e-7, -1.0]))
    found = agreement(Scores(1.0), Deployed(Scores([-1.0, 1.0])), [links], EXACT)
    assert found.classes == 1.0
    found = agreement(Scores(1.0), Deployed(Scores([1.0, -1.0])), [links], EXACT)
    assert found.classes == 0.5


def test_other_shapes_are_an_error():
    other = Deployed(nn.Sequential())
    other.model = Scores([[1.0, 1.0]] * 3)
    other.model.forward = lambda data: data.x[:1]
    with pytest.raises(DeployError, match=r"gave \[1, 2\] for \[3, 2\]"):
        agreement(Scores([1.0, 1.0]), other, [BATCH], EXACT)

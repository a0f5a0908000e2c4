"""Recipes on models that are wrapped, or compute their weights."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from gnnperf.compression import RecipeError
from gnnperf.models.wrappers import unwrapped
from gnnperf.recipes import compress

from .bases import base, batch
from .test_coverage import Net


def around(norm):
    def make():
        model = Net()
        norm(model.lin)
        return model

    return make


NORMS = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "old weight_norm": weight_norm,
    "old spectral_norm": spectral_norm,
    "pruned before": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}
WRAPPERS = {
    "compiled": lambda: torch.compile(Net(), backend="eager"),
    "data parallel": lambda: nn.DataParallel(Net()),
}
RECIPES = ("global@0.5", "layer@0.9+finetune", "gradual@0.5", "width@0.5", "ptq@int8", "a2q@4")
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")


@pytest.mark.parametrize("kind", [*NORMS, *WRAPPERS])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_change_the_plain_weights(kind, recipe):
    make = WRAPPERS.get(kind) or around(NORMS[kind])
    trained = base(make)
    # Run uncompiled, as the first compilation of a process takes seconds.
    expected = unwrapped(trained.fresh().eval())(batch(2))
    names = list(trained.model.state_dict())
    result = compress(trained, recipe)
    assert set(result.coverage) <= set(dict(Net().named_parameters()))
    assert {"lin.weight", "head.weight"} <= set(result.coverage)
    assert torch.allclose(result.twin.model(batch(2)), expected, atol=1e-6)
    assert list(trained.model.state_dict()) == names
    deepcopy(result.model)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("recipe", ["l2@0.01", "lottery@0.5", "lottery@0.5:random-init"])
def test_what_trains_anew_is_refused_in_one_sentence(kind, recipe):
    with pytest.raises(RecipeError, match=r"computes lin\.weight from a parametrization .* take"):
        compress(base(around(NORMS[kind])), recipe)


@pytest.mark.parametrize("kind", WRAPPERS)
@pytest.mark.parametrize("recipe", ["l2@0.01", "lottery@0.5"])
def test_what_trains_anew_takes_the_wrappers_off(kind, recipe):
    assert compress(base(WRAPPERS[kind]), recipe).readings["covered"].value == 1.0


def test_a_scripted_model_is_refused_in_one_sentence():
    with pytest.raises(RecipeError, match=r"^recipe global@0\.5: mine-net: .* hand over the eager"):
        compress(base(lambda: nn.Sequential(torch.jit.script(nn.Linear(5, 2)))), "global@0.5")

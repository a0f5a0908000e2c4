"""A case under a deployment, beside its twin under the same."""

import pytest
import torch
from torch import nn

from gnnperf.compression import RecipeError
from gnnperf.deploy import Deployed, DeployError, Deployment, Promise
from gnnperf.deploy.registry import DEPLOYMENTS
from gnnperf.models.gnnnet import GNNNet
from gnnperf.recipes import compress
from gnnperf.records import from_json, to_json
from gnnperf.study.deployed import deploy_as, single_graphs
from gnnperf.study.measure import measure
from gnnperf.training import seeded

from ..compression.bases import FEATURES, batch


def briefly(pair):
    pair.rounds = 30
    pair.run(time_limit_seconds=0.2)


@pytest.fixture(scope="module")
def case(spline_base):
    return deploy_as(compress(spline_base, "global@0.9"), "lean")


def test_a_record_holds_what_deploying_gained_and_cost(case):
    plain = case.twin.model
    record = from_json(to_json(measure(case, briefly, eager=plain)))
    assert record.recipe == "global@0.9+deploy=lean"
    assert record.value("deployed_agreement") == 1.0
    assert record.value("deployed_logit_difference") < 1e-5
    assert record.value("deployed_bytes") < record.value("twin_deployed_bytes")
    assert record.value("deploy_seconds") > 0
    assert record.value("eager_ratio") < record.value("cpu_ratio") < 1.2
    assert record.readings["single_cpu_ratio"].reason.startswith("the test part is one graph")


def test_without_latency_nothing_is_timed(case):
    def never(pair):
        raise AssertionError

    readings = measure(case, never, meters=["scores"]).readings
    assert "accuracy" in readings
    assert "deployed_bytes" in readings
    assert "eager_ratio" not in readings


def test_without_the_eager_form_its_ratio_is_unavailable(case):
    reading = measure(case, briefly, meters=["latency"]).readings["eager_ratio"]
    assert "measure(eager=...)" in reading.reason


class Shifted(nn.Module):
    """Gives other logits than the model."""

    def __init__(self, model, by):
        super().__init__()
        self.model, self.by = model, by

    def forward(self, data):
        logits = self.model(data)
        return logits + self.by * torch.arange(logits.size(1))


@pytest.fixture
def shifting(monkeypatch):
    def register(by, promise, **more):
        deployment = Deployment("", lambda model, _: Deployed(Shifted(model, by)), promise)
        monkeypatch.setitem(DEPLOYMENTS, "shifted", deployment)

    return register


def test_a_broken_promise_is_a_failure(case, shifting):
    shifting(100.0, Promise(0.99))
    broken = deploy_as(compress(case.twin, "global@0.5"), "shifted")
    sentence = r"spline, global@0.5\+deploy=shifted: deploy=shifted broke its promise: 0\.\d+ of "
    with pytest.raises(DeployError, match=sentence):
        measure(broken, briefly, meters=[])


def test_scores_are_those_of_the_deployed_model(case, shifting):
    shifting(100.0, Promise(0.0))
    shifted = deploy_as(compress(case.twin, "global@0.5"), "shifted")
    record = measure(shifted, briefly, meters=["scores"])
    assert record.value("accuracy") < record.value("twin_accuracy") - 0.2


def test_compiling_while_timed_is_an_error(case, monkeypatch):
    class Compiling(Shifted):
        compilations = 0

        def forward(self, data):
            Compiling.compilations += 1
            return self.model(data)

    deployment = Deployment("", lambda model, _: Deployed(Compiling(model, 0)))
    monkeypatch.setitem(DEPLOYMENTS, "late", deployment)
    late = deploy_as(compress(case.twin, "global@0.5"), "late")
    with pytest.raises(DeployError, match="deploy=late compiled while it was timed"):
        measure(late, briefly, meters=["latency"])


@pytest.mark.parametrize("recipe", ["dense+deploy=lean", "global@0.9+deploy=lean"])
def test_a_recipe_ends_in_how_it_is_run(recipe, spline_base):
    compressed = compress(spline_base, recipe)
    assert compressed.recipe == recipe
    assert compressed.deployment == "lean"
    assert measure(compressed, briefly, meters=["scores"]).value("deployed_agreement") == 1.0


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ("dense+deploy=lan", r"recipe 'dense\+deploy=lan': unknown deployment 'lan'; there are "),
        ("deploy=lean", "begin with dense, or a method"),
        ("dense+deploy=lean+global@0.5", "put it last"),
    ],
)
def test_how_it_is_run_comes_last_and_is_known(recipe, sentence, spline_base):
    with pytest.raises(RecipeError, match=sentence):
        compress(spline_base, recipe)


def test_an_unknown_deployment_is_refused(case):
    with pytest.raises(DeployError, match="unknown deployment 'lan'"):
        deploy_as(case, "lan")


def test_graphs_one_at_a_time():
    batches = [batch(0, count=3), batch(1)]
    with seeded(0):
        model = GNNNet(FEATURES, 2, hidden=8).eval()
    singles = single_graphs(batches, 5)
    assert len(singles) == 5
    assert all(single.num_graphs == 1 for single in singles)
    with torch.no_grad():
        one_by_one = torch.cat([model(single) for single in singles])
        together = torch.cat([model(batch) for batch in batches])[:5]
    torch.testing.assert_close(one_by_one, together)

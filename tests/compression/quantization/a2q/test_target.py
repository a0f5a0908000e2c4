from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

from gnnperf.compression import RecipeError
from gnnperf.compression.quantization.a2q.features import GroupQuantizer, NodeQuantizer
from gnnperf.compression.quantization.a2q.linear import A2QLinear
from gnnperf.compression.quantization.a2q.target import (
    CHOICE,
    FIRST_WEIGHT,
    BitsTarget,
    WithinTarget,
    a2q_layers,
)
from gnnperf.compression.quantization.linear import RawLinear
from gnnperf.models.fields import Fields
from gnnperf.models.gcn import GCN
from gnnperf.recipes import compress, parse_recipe
from gnnperf.training import FitReport, NodeClassification, Trained, TrainSettings, seeded


@pytest.fixture(scope="module")
def base():
    """A narrow GCN on one graph of binary features."""
    with seeded(0):
        y = torch.arange(120) % 2
        x = (torch.rand(120, 10) < 0.2 + 0.4 * y.unsqueeze(1)).float()
        graph = Data(x=x, edge_index=torch.randint(120, (2, 300)), y=y)
        model = GCN(10, 2, hidden=8).eval()
    task = NodeClassification(held_out=60)
    settings = TrainSettings(epochs=60, learning_rate=0.01)
    parts = task.split([graph], 0)
    return Trained(
        workload="small-gcn",
        seed=0,
        model=model,
        task=task,
        split=lambda: parts,
        train=settings,
        finetune=settings,
        report=FitReport(0, 0, 0.0, {}),
        data={"fingerprint": "none"},
        fresh=lambda: model,
    )


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("a2q@4:target=2", "a2q@4:target=2"), ("a2q@2:target=1.50", "a2q@2:target=1.5")],
)
def test_canonical_spelling(text, canonical):
    assert parse_recipe(text).text == canonical


@pytest.mark.parametrize("bad", ["4:target=0.99", "4:target=8.1", "4:target=", "4:2", "4:target=x"])
def test_other_targets_are_refused(bad):
    with pytest.raises(RecipeError, match=f"'{bad}' is no argument for a2q"):
        parse_recipe(f"a2q@{bad}")


def test_the_target_is_met_and_binary_features_stay_what_they_are(base):
    compressed = compress(base, "a2q@4:target=2")
    readings = {name: reading.value for name, reading in compressed.readings.items()}
    assert readings["target_met"] == 1
    assert 1 <= readings["hidden_bits"] <= 2
    assert readings["input_bits"] == 1
    assert readings["export_agreement"] == 1
    assert readings["export_logit_difference_steps"] == 0
    assert list(a2q_layers(compressed.model)) == ["conv2.lin"]
    assert set(compressed.coverage) == {"conv1.lin.weight", "conv2.lin.weight"}
    assert CHOICE in compressed.finetuned.validation
    state = compressed.state()
    assert not [name for name in state if name.startswith("conv1.lin.input")]


def test_a_target_that_no_epoch_reaches_is_told(base):
    one = replace(base, train=replace(base.train, epochs=1))
    readings = compress(one, "a2q@8:target=1").readings
    assert readings["target_met"].value == 0
    assert readings["hidden_bits"].value > 1


def test_a_model_that_reads_raw_features_alone_is_refused(base):
    model = Fields(GCNConv(10, 2), "x", "edge_index").eval()
    with pytest.raises(RecipeError, match="calls no linear layer"):
        compress(replace(base, model=model), "a2q@4:target=2")


def test_without_a_target_raw_features_have_bits_to_learn(base):
    compressed = compress(replace(base, train=replace(base.train, epochs=2)), "a2q@4")
    assert list(a2q_layers(compressed.model)) == ["conv1.lin", "conv2.lin"]
    readings = compressed.readings
    assert readings["input_bits"].value == readings["bits_conv1.lin"].value
    assert readings["hidden_bits"].value == readings["bits_conv2.lin"].value
    assert "target_met" not in readings
    assert not any(isinstance(part, RawLinear) for part in compressed.model.modules())


@pytest.mark.parametrize("kind", [NodeQuantizer, GroupQuantizer])
def test_the_weight_rises_above_the_target_and_falls_below(kind):
    layer = A2QLinear(nn.Linear(4, 3), 4, kind(20, 4))
    target = BitsTarget([layer], 3.0)
    layer.train()(torch.rand(20, 4))
    loss = target.auxiliary_loss()
    assert loss.item() == pytest.approx(FIRST_WEIGHT * 1.0)
    loss.backward()
    assert float(layer.features.bits.grad.sum()) == pytest.approx(2 * FIRST_WEIGHT, rel=1e-4)
    assert target.auxiliary_loss() == 0.0
    target.end_epoch()
    assert float(target.weight) == pytest.approx(1.1 * FIRST_WEIGHT)
    with torch.no_grad():
        layer.features.bits.fill_(2.0)
    layer(torch.rand(20, 4))
    assert target.auxiliary_loss().item() == 0
    target.end_epoch()
    assert float(target.weight) == pytest.approx(FIRST_WEIGHT)


def test_any_epoch_within_the_target_beats_all_that_miss_it(base):
    model = compress(base, "a2q@4:target=2").model
    batches = base.parts.validation
    met, missed = (
        WithinTarget(base.task, target, "accuracy").evaluate(model, batches)
        for target in (2.0, 0.5)
    )
    assert met[CHOICE] == met["accuracy"]
    assert missed[CHOICE] < met[CHOICE] - 1000


def test_one_bit_is_for_what_has_no_sign():
    features = NodeQuantizer(3, 4)
    with torch.no_grad():
        features.bits.fill_(0.2)
    features.train()
    found = features(torch.tensor([[0.0, 1.0], [0.2, 2.0], [0.1, 0.9]]))
    assert features.whole_bits().tolist() == [1, 1, 1]
    assert all(len(row.unique()) == 2 for row in found)
    features(torch.tensor([[0.0, -1.0], [0.2, 2.0], [0.5, 0.9]]))
    assert features.whole_bits().tolist() == [2, 2, 2]


def test_groups_begin_at_quantiles_of_any_number_of_rows():
    features = GroupQuantizer(5, 4)
    peaks = torch.rand(1001)
    steps = features._first_steps(peaks, torch.tensor(1.0))
    assert torch.allclose(steps, torch.quantile(peaks, torch.linspace(0, 1, 5)), atol=1e-6)

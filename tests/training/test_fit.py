from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.errors import GnnperfError
from gnnperf.training import (
    NodeClassification,
    Parts,
    TrainSettings,
    evaluate,
    fit,
    prepared,
    seeded,
)

SETTINGS = TrainSettings(epochs=10, learning_rate=0.1)


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, data):
        self.seen.append(self.training)
        return self.slope * data.x


@dataclass(frozen=True)
class Regression:
    """Score is 1 - error, so that an epoch's worth is known."""

    metric: str = "closeness"

    def loss(self, model, batch):
        return (model(batch) - batch.y).pow(2).mean()

    def evaluate(self, model, batches):
        error = sum(float((model(b) - b.y).abs().mean()) for b in batches)
        return {"closeness": 1 - error, "loss": error}


def parts_of(slope, validation_slope=None):
    x = torch.arange(1.0, 5.0)
    train = Data(x=x, y=slope * x)
    validation = Data(x=x, y=(slope if validation_slope is None else validation_slope) * x)
    return Parts([train], [validation], [validation])


def test_the_best_validation_epoch_is_kept():
    model = Line()
    report = fit(model, Regression(), parts_of(1.0, 0.3), SETTINGS, seed=0)
    assert model.slope.item() == pytest.approx(0.3, abs=0.06)
    assert 1 <= report.best_epoch < 10
    assert report.epochs == 10
    assert not model.training


def test_an_average_of_the_weights_is_validated_and_kept():
    seen = []
    settings = replace(SETTINGS, average=0.5, validate_every=10)
    model = Line()
    fit(
        model,
        Regression(),
        parts_of(1.0),
        settings,
        seed=0,
        after_step=lambda m: seen.append(m.slope.item()),
    )
    expected = seen[0]
    for slope in seen[1:]:
        expected = 0.5 * expected + 0.5 * slope
    assert model.slope.item() == pytest.approx(expected)
    assert model.slope.item() != pytest.approx(seen[-1], rel=1e-3)


def test_the_start_may_win_when_it_competes():
    model = Line()
    report = fit(model, Regression(), parts_of(1.0, 0.0), SETTINGS, seed=0, keep_start=True)
    assert (report.best_epoch, model.slope.item()) == (0, 0.0)
    assert report.validation["closeness"] == 1.0


def test_only_epochs_from_the_first_that_counts_are_kept():
    model = Line()
    report = fit(model, Regression(), parts_of(1.0, 0.0), SETTINGS, seed=0, first_epoch=4)
    assert (report.best_epoch, report.epochs) == (4, 10)
    fit(again := Line(), Regression(), parts_of(1.0), replace(SETTINGS, epochs=4), seed=0)
    assert model.slope.item() == again.slope.item()


def test_patience_begins_with_the_first_epoch_that_counts():
    settings = replace(SETTINGS, patience=2)
    report = fit(Line(), Regression(), parts_of(1.0, 0.0), settings, seed=0, first_epoch=5)
    assert (report.best_epoch, report.epochs) == (5, 7)


def diverging_from(step):
    steps = iter(range(1, 100))

    def spoil(model):
        if next(steps) == step:
            model.slope.data.fill_(float("nan"))

    return spoil


def test_weights_that_are_not_finite_end_the_training():
    model = Line()
    report = fit(model, Regression(), parts_of(1.0), SETTINGS, seed=0, after_step=diverging_from(4))
    assert (report.best_epoch, report.epochs, report.diverged_epoch) == (3, 4, 4)
    assert report.kept == "epoch 3"
    assert model.slope.item() == pytest.approx(0.3, abs=0.06)


def test_a_training_without_usable_weights_says_so():
    model = Line()
    report = fit(model, Regression(), parts_of(1.0), SETTINGS, seed=0, after_step=diverging_from(1))
    assert (report.best_epoch, report.epochs, report.diverged_epoch) == (0, 1, 1)
    assert (report.validation, report.kept) == ({}, "none usable")
    assert model.slope.isnan().all()
    kept = fit(
        Line(),
        Regression(),
        parts_of(1.0),
        SETTINGS,
        seed=0,
        keep_start=True,
        after_step=diverging_from(1),
    )
    assert (kept.best_epoch, kept.kept) == (0, "start")


def test_patience_counts_validations_without_gain():
    settings = TrainSettings(epochs=50, learning_rate=0.1, patience=3, validate_every=2)
    report = fit(Line(), Regression(), parts_of(1.0, 0.0), settings, seed=0)
    assert (report.best_epoch, report.epochs) == (2, 8)


def test_the_loss_is_best_when_low():
    settings = TrainSettings(epochs=10, learning_rate=0.1, select="loss")
    model = Line()
    fit(model, Regression(), parts_of(1.0, 0.3), settings, seed=0)
    assert model.slope.item() == pytest.approx(0.3, abs=0.06)


def test_an_unknown_selection_is_refused_with_the_scores_there_are():
    settings = TrainSettings(epochs=10, learning_rate=0.1, select="lost")
    with pytest.raises(GnnperfError, match=r"select='lost': Regression .* closeness, loss"):
        fit(Line(), Regression(), parts_of(1.0), settings, seed=0)

    class Untrained(NodeClassification):
        def loss(self, model, batch):
            raise AssertionError("trained")

    task = Untrained(held_out=4)
    with pytest.raises(GnnperfError, match=r"select='lost': Untrained .* accuracy, majority"):
        fit(Line(), task, parts_of(1.0), settings, seed=0)


def test_clipped_gradients_move_all_the_same():
    settings = TrainSettings(epochs=1, learning_rate=0.1, clip_value=1e-3)
    model = Line()
    fit(model, Regression(), parts_of(1.0), settings, seed=0)
    assert abs(model.slope.grad.item()) == pytest.approx(1e-3)


def test_after_each_step_somebody_may_hold_on():
    model = Line()
    fit(
        model,
        Regression(),
        parts_of(1.0),
        SETTINGS,
        seed=0,
        after_step=lambda m: m.slope.data.zero_(),
    )
    assert model.slope.item() == 0


def test_the_same_seed_gives_the_same_bits(synthetic_bench):
    from gnnperf.workloads import find_workload

    workload = find_workload("cora_node-spline")
    dataset = synthetic_bench.dataset(workload.dataset)
    settings = TrainSettings(epochs=3, learning_rate=0.01)
    states = []
    for _ in range(2):
        with seeded(5):
            model = workload.model(dataset)
        parts = prepared(model, workload.task.split(dataset.graphs, 5))
        fit(model, workload.task, parts, settings, seed=5)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_seeding_leaves_the_callers_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(99):
        torch.rand(7)
    assert torch.equal(torch.rand(3), expected)


def test_evaluating_gives_the_mode_back():
    model = Line().train()
    evaluate(model, Regression(), parts_of(1.0).test)
    assert model.training
    assert model.seen == [False]

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.training import GraphClassification, TrainSettings, evaluate, fit, seeded
from gnnperf.training.tasks.splits import stratified
from gnnperf.training.tasks.views import OUTLIER


def make_graphs(count=60, seed=0, classes=2):
    """Graphs of 1 to 6 nodes, some without edges, whose label shows in their features."""
    generator = torch.Generator().manual_seed(seed)
    graphs = []
    for number in range(count):
        nodes = int(torch.randint(1, 7, (1,), generator=generator))
        label = number % classes
        graphs.append(
            Data(
                x=torch.randn(nodes, 3, generator=generator) + label,
                edge_index=torch.randint(nodes, (2, number % 3), generator=generator),
                y=torch.tensor([label]),
            )
        )
    return graphs


class MeanNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 2)

    def forward(self, data):
        count = torch.bincount(data.batch)[:, None]
        total = torch.zeros(len(count), 3).index_add(0, data.batch, data.x)
        return self.lin(total / count)


@given(st.lists(st.integers(0, 2), min_size=9, max_size=200), st.integers(0, 10_000))
def test_parts_are_disjoint_complete_and_stratified(labels, seed):
    label = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, *labels])
    size = torch.randint(50, (len(label),), generator=torch.Generator().manual_seed(seed))
    parts = stratified(label, size, seed)
    assert torch.cat(parts).sort().values.tolist() == list(range(len(label)))
    for part in parts[1:]:
        for name in range(3):
            expected = max(1, round(int((label == name).sum()) / 10))
            assert int((label[part] == name).sum()) == expected


def test_the_seed_decides_the_parts():
    label, size = torch.arange(100) % 2, torch.arange(100) // 10
    for mine, again in zip(stratified(label, size, 3), stratified(label, size, 3), strict=True):
        assert torch.equal(mine, again)
    assert not torch.equal(stratified(label, size, 3)[2], stratified(label, size, 4)[2])


@given(st.integers(0, 10_000))
def test_every_part_has_graphs_of_all_sizes(seed):
    label, size = torch.zeros(200, dtype=torch.long), torch.arange(200)
    for part in stratified(label, size, seed)[1:]:
        assert sorted((size[part] // 10).tolist()) == list(range(20))


def test_batches_are_even_and_no_larger_than_asked():
    parts = GraphClassification(batch_size=10).split(make_graphs(64), 0)
    sizes = [batch.num_graphs for batch in parts.train]
    assert sum(sizes) == 52
    assert max(sizes) <= 10
    assert max(sizes) - min(sizes) <= 1


def test_standardized_by_the_training_part_alone():
    graphs = make_graphs()
    graphs[0].x = graphs[0].x + 1e6
    parts = GraphClassification(batch_size=100).split(graphs, 0)
    x = torch.cat([batch.x for batch in parts.train])
    assert x.abs().max() <= OUTLIER
    plain = GraphClassification(batch_size=100, standardize=False).split(make_graphs(), 0)
    x = torch.cat([batch.x for batch in plain.train])
    mean, deviation = x.mean(0), x.std(0, correction=0)
    scaled = GraphClassification(batch_size=100).split(make_graphs(), 0)
    torch.testing.assert_close(
        scaled.test[0].x, (plain.test[0].x - mean) / deviation, atol=1e-5, rtol=1e-5
    )


def test_a_constant_feature_becomes_zero_and_the_graphs_stay_as_they_are():
    graphs = make_graphs()
    for graph in graphs:
        graph.x[:, 1] = 7.0
    parts = GraphClassification(batch_size=100).split(graphs, 0)
    assert parts.train[0].x[:, 1].abs().max() == 0
    assert graphs[0].x[0, 1] == 7


def test_first_feature():
    task = GraphClassification(batch_size=100, first_feature=1, standardize=False)
    assert task.split(make_graphs(), 0).train[0].x.size(1) == 2


def test_learns_and_reports_the_majority_beside_the_accuracy():
    task = GraphClassification(batch_size=16)
    parts = task.split(make_graphs(200), 0)
    with seeded(0):
        model = MeanNet()
    fit(model, task, parts, TrainSettings(epochs=30, learning_rate=0.05), seed=0)
    scores = evaluate(model, task, parts.test)
    assert set(scores) == {"accuracy", "majority", "loss"}
    assert scores["majority"] == 0.5
    assert scores["accuracy"] >= 0.8


def test_scores_do_not_depend_on_the_batches():
    graphs, model = make_graphs(100), MeanNet()
    one, many = (
        evaluate(model, task, task.split(graphs, 0).test)
        for task in (GraphClassification(batch_size=100), GraphClassification(batch_size=3))
    )
    assert one == pytest.approx(many)


def test_auxiliary_loss_is_added():
    class Penalised(MeanNet):
        def auxiliary_loss(self):
            return torch.tensor(2.0)

    task = GraphClassification(batch_size=100)
    batch = task.split(make_graphs(), 0).train[0]
    model = Penalised()
    plain = MeanNet()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(task.loss(model, batch), task.loss(plain, batch) + 2)


def broken(**changes):
    graphs = make_graphs()
    for name, value in changes.items():
        setattr(graphs[4], name, value)
    return graphs


@pytest.mark.parametrize(
    ("graphs", "words"),
    [
        ([], "no graphs"),
        (broken(y=None), "graph 4 has the label None"),
        (broken(y=torch.tensor([0.5])), "graph 4 has the label"),
        (broken(y=torch.tensor([-1])), "graph 4 has the label"),
        (broken(y=torch.tensor([[0.0]])), r"graph 4 has the label \[\[0.0\]\] .*long.*view\(1\)"),
        (broken(x=None, num_nodes=3), "graph 4 has no x and graph 0 has one"),
        (broken(x=torch.ones(9, 3, dtype=torch.long)), "graph 4 has x of torch.int64 and graph 0"),
        (broken(x=torch.empty(0, 3)), "graph 4 has no node; drop it"),
        (broken(x=torch.full((9, 3), float("nan"))), "graph 4 has a feature that is not finite"),
        (broken(x=torch.ones(9, 2)), "graph 4 has 2 features and graph 0 has 3"),
        (broken(edge_index=None), "graph 4 has no edge_index"),
        (broken(edge_index=torch.tensor([[0], [99]])), "graph 4 has an edge to a node outside"),
        (make_graphs(classes=1), "all 60 graphs are of class 0"),
    ],
)
def test_graphs_that_cannot_be_learned_from(graphs, words):
    with pytest.raises(DataError, match=words):
        GraphClassification(batch_size=8).split(graphs, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size=0: name at least one graph"),
        ({"label_smoothing": 1.1}, "label_smoothing=1.1: choose a share from 0 to 1"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1: choose a share from 0 to 1"),
        ({"first_feature": 3}, "first_feature=3 leaves none of 3 features"),
        ({"first_feature": -1}, "first_feature=-1 leaves none of 3 features"),
    ],
)
def test_settings_that_no_training_can_have(settings, words):
    with pytest.raises(GnnperfError, match=words):
        GraphClassification(**{"batch_size": 8, **settings}).split(make_graphs(), 0)


def test_a_class_too_small_for_three_parts():
    graphs = make_graphs()
    graphs[7].y, graphs[8].y = torch.tensor([2]), torch.tensor([2])
    with pytest.raises(DataError, match="class 2 has 2 graphs"):
        GraphClassification(batch_size=8).split(graphs, 0)


def test_no_batches_to_score():
    with pytest.raises(DataError, match="no graphs to score"):
        GraphClassification(batch_size=8).evaluate(MeanNet(), [])


def test_labels_may_have_any_shape_of_one():
    parts = GraphClassification(batch_size=100).split(broken(y=torch.tensor([[1]])), 0)
    assert parts.train[0].y.dim() == 1

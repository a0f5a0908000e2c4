"""Batches of nodes with sampled neighbours, and the one that is timed."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import SAGEConv

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.ops.edges import Edges
from gnnperf.ops.neighbours import drawn_neighbourhood
from gnnperf.training import NodeClassification, Prediction, Sampled, TrainSettings, evaluate, fit
from gnnperf.training.seeding import seeded
from gnnperf.training.tasks.sampled import SampledNodes

NODES = 120


def graph(seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(NODES) % 3
    source, target = torch.randint(NODES, (2, 2000), generator=generator)
    alike = y[source] == y[target]
    edges = torch.stack([source, target])[:, alike | (torch.arange(2000) % 5 == 0)]
    x = torch.randn(NODES, 8, generator=generator) + nn.functional.one_hot(y, 8)
    return Data(x=x, y=y, edge_index=edges, edge_attr=torch.arange(edges.size(1)).float())


class Sage(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = SAGEConv(8, 16), SAGEConv(16, 3)

    def forward(self, data):
        return self.second(self.first(data.x, data.edge_index).relu(), data.edge_index)


@pytest.mark.parametrize("fan_out", [(1,), (3, 2), (1000, 1000)])
def test_drawn_edges_are_edges_of_the_graph(fan_out):
    data = graph()
    edges = Edges.of(data.edge_index, 0, NODES)
    asked = torch.tensor([3, 50, 4])
    found = drawn_neighbourhood(edges, asked, fan_out, torch.Generator().manual_seed(1))
    assert torch.equal(found.nodes[:3], asked)
    assert len(found.nodes.unique()) == len(found.nodes)
    assert torch.equal(found.nodes[found.edge_index], data.edge_index[:, found.edges])
    assert len(found.edges.unique()) == len(found.edges)
    into = torch.bincount(found.edge_index[1], minlength=len(found.nodes))
    degree = torch.bincount(data.edge_index[1], minlength=NODES)[found.nodes]
    assert torch.equal(into[:3], degree[:3].clamp(max=fan_out[0]))
    assert bool((into <= degree.clamp(max=max(fan_out))).all())
    assert bool((found.edge_index[1].diff() >= 0).all())


def test_every_neighbour_is_drawn_alike_often():
    edges = Edges.of(torch.stack([torch.arange(1, 7), torch.zeros(6, dtype=torch.long)]), 0, 7)
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(6)
    for _ in range(600):
        drawn = drawn_neighbourhood(edges, torch.tensor([0]), (2,), generator).edges
        assert len(drawn) == 2
        counts[drawn] += 1
    # 200 each are expected, with a deviation of 12.
    assert bool(((counts - 200).abs() < 60).all())


def test_whole_neighbourhoods_give_the_whole_graphs_outputs():
    data, model = graph(), Sage().eval()
    loader = SampledNodes(data, torch.arange(NODES), Sampled(10, (10_000, 10_000)))
    asked = torch.tensor([7, 99, 3])
    batch = loader.batch(asked)
    with torch.no_grad():
        torch.testing.assert_close(model(batch)[:3], model(data)[asked])
    assert torch.equal(batch.edge_attr, data.edge_attr[loader_edges(data, batch, asked)])


def loader_edges(data, batch, asked):
    # Where an edge attribute is the edge's number, it names the edge.
    return batch.edge_attr.long()


@pytest.mark.parametrize(
    ("nodes", "sizes"), [(40, [40]), (39, [20, 20]), (20, [20, 20]), (41, [40])]
)
def test_sizes_of_batches(nodes, sizes):
    loader = SampledNodes(graph(), torch.arange(40), Sampled(nodes, (2,)))
    assert [batch.batch_size for batch in loader] == sizes
    assert len(loader) == len(sizes)


def test_training_draws_anew_and_scores_are_of_the_whole_graph():
    task = NodeClassification(
        held_out=60, sampled=Sampled(20, (4, 4)), timed=Sampled(8, (3, 2)), message_bytes=400
    )
    with seeded(0):
        model = Sage()
    parts = task.split([graph()], seed=0)
    first, second = (next(iter(parts.train.anew())) for _ in range(2))
    assert not torch.equal(first.x, second.x)
    fit(model, task, parts, TrainSettings(epochs=4, learning_rate=0.05), seed=0)
    scores = evaluate(model, task, parts.test)
    whole = NodeClassification(held_out=60, message_bytes=1 << 30)
    (expected,) = whole.split([graph()], seed=0).test
    assert scores == evaluate(model, whole, [expected])
    assert scores["accuracy"] > 0.6


def test_the_timed_batch_is_the_same_for_every_seed():
    task = NodeClassification(held_out=60, timed=Sampled(8, (3, 2)))
    one, other = (task.split([graph()], seed).timed for seed in (0, 1))
    assert one.name == "8 nodes, fan-out 3-2"
    assert torch.equal(one.batches[0].edge_index, other.batches[0].edge_index)
    assert torch.equal(one.batches[0].x, other.batches[0].x)
    assert task.split([graph()], 0).measured is not task.split([graph()], 0).test


@pytest.mark.parametrize(("nodes", "name"), [(29, 29), (30, 30), (31, 30)])
def test_the_name_says_how_many_nodes_there_are(nodes, name):
    task = NodeClassification(held_out=60, timed=Sampled(nodes, (3,)))
    timed = task.split([graph()], 0).timed
    assert timed.name == f"{name} nodes, fan-out 3"
    assert timed.batches[0].batch_size == name


@pytest.mark.parametrize("wrong", [(0, (1,)), (1, ()), (1, (2, 0))])
def test_less_than_one_is_refused(wrong):
    with pytest.raises(GnnperfError, match="at least one node"):
        Sampled(*wrong)


def test_only_nodes_of_one_kind_are_sampled():
    with pytest.raises(GnnperfError, match="are of nodes"):
        Prediction("graph", sampled=Sampled(1, (1,)))
    with pytest.raises(DataError, match="HeteroData cannot be sampled"):
        SampledNodes(HeteroData(), torch.arange(3), Sampled(1, (1,)))


def test_few_batches_are_held_of_an_epoch():
    task = NodeClassification(held_out=60, sampled=Sampled(5, (2,)))
    train = task.split([graph()], 0).train
    drawn = [batch.x for batch in train]
    assert torch.equal(train[0].x, drawn[0])
    assert torch.equal(train[5].x, drawn[5])
    assert torch.equal(train[-1].x, drawn[-1])
    assert len(train) == len(drawn) == 12
    with pytest.raises(IndexError):
        train[12]

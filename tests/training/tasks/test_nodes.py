import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.training import NodeClassification


class Fixed(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, data):
        return self.logits


EDGES = torch.empty(2, 0, dtype=torch.long)
GRAPH = Data(x=torch.zeros(10, 1), edge_index=EDGES, y=torch.tensor([0, 1, 0, 1, 0, 1, 1, 1, 0, 1]))


def targets(parts):
    return [part[0].target_index.tolist() for part in (parts.train, parts.validation, parts.test)]


def test_the_last_nodes_are_held_out():
    parts = NodeClassification(held_out=4).split([GRAPH], seed=0)
    indices = targets(parts)
    assert indices == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


def test_accuracy_stands_beside_the_majority():
    task = NodeClassification(held_out=8)
    parts = task.split([GRAPH], seed=0)
    logits = torch.tensor([[0.0, 1.0]]).repeat(10, 1)
    assert task.evaluate(Fixed(logits), parts.test) == {"accuracy": 0.75, "majority": 0.75}


def test_the_loss_looks_at_its_part_alone():
    task = NodeClassification(held_out=8)
    batch = task.split([GRAPH], seed=0).train[0]
    logits = torch.zeros(10, 2)
    expected = task.loss(Fixed(logits), batch)
    logits[5:] = torch.tensor([50.0, -50.0])
    assert task.loss(Fixed(logits), batch) == expected == pytest.approx(0.6931, abs=1e-4)


def test_the_graphs_own_masks_decide_without_held_out():
    graph = GRAPH.clone()
    node = torch.arange(10)
    graph.train_mask, graph.val_mask, graph.test_mask = node < 3, node == 5, node > 7
    parts = NodeClassification().split([graph], seed=0)
    indices = targets(parts)
    assert indices == [[0, 1, 2], [5], [8, 9]]


def without(**changes):
    graph = GRAPH.clone()
    for name, value in changes.items():
        graph[name] = value
    return [graph]


def masked(mask):
    return without(train_mask=mask, val_mask=mask, test_mask=mask)


@pytest.mark.parametrize("change", [lambda y: y.view(10, 1), lambda y: y.int(), lambda y: y > 0])
def test_labels_may_have_another_shape_or_whole_number(change):
    graph = GRAPH.clone()
    graph.y = torch.arange(10) % 2
    (part,) = NodeClassification(4).split(without(y=change(graph.y)), seed=0).train
    assert (part.y.dtype, part.y.tolist()) == (torch.long, graph.y.tolist())


@pytest.mark.parametrize(
    ("graphs", "held_out", "sentence"),
    [
        ([GRAPH, GRAPH], 4, "takes one graph, not 2"),
        ([], 4, "takes one graph, not 0"),
        (without(x=torch.full((10, 1), torch.nan)), 4, "has a feature that is not finite"),
        (without(edge_index=torch.tensor([[0], [10]])), 4, r"an edge to a node outside 0\.\.9"),
        (without(edge_index=torch.zeros(2, 3)), 4, "edge_index of torch.float32; make it int64"),
        (without(y=None), 4, "the label None, and 10 class numbers from 0 are needed"),
        (without(y=torch.tensor([1])), 4, "10 class numbers from 0 are needed; set graph.y"),
        (without(y=torch.full((10,), torch.nan)), 4, "float32, and 10 class numbers .*criterion"),
        (without(y=torch.ones(10)), 4, r"float32, and 10 class numbers .*long\(\).view\(-1\)"),
        (without(y=torch.eye(10)), 4, "10 class numbers from 0 are needed"),
        (without(y=torch.arange(10) % 2 - 1), 4, "has the label -1"),
        (without(y=torch.zeros(10).long()), 4, "all training nodes are of class 0"),
        (without(y=torch.tensor([0, 1] * 4 + [2, 0])), 4, "class 2 is in validation or test"),
        (masked(torch.arange(10)), None, "boolean train_mask, val_mask and test_mask"),
        (masked(torch.ones(9).bool()), None, "boolean train_mask, val_mask and test_mask"),
        (masked(torch.ones(10).bool()), None, "node 0 stands in both train and validation"),
        ([GRAPH], -2, "held_out=-2; name how many"),
        ([GRAPH], 10, "held_out=10 leaves none of 10 nodes to train"),
        ([GRAPH], 1, "train, validation or test part has no node"),
        ([GRAPH], None, "needs held_out=..., or a graph with boolean train_mask"),
    ],
)
def test_what_cannot_be_split_is_refused(graphs, held_out, sentence):
    with pytest.raises(DataError, match=sentence):
        NodeClassification(held_out).split(graphs, seed=0)

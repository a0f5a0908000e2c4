import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from gnnperf import GraphClassification, NodeClassification, Prediction
from gnnperf.datasets import DataError
from gnnperf.training import Parts
from gnnperf.training.tasks.splits import given_parts, indices

TRAIN, VALIDATION, TEST = [0, 1, 2, 3], [4, 5], [6, 7]
EXPECTED = [TRAIN, VALIDATION, TEST]
TENSORS = tuple(map(torch.tensor, EXPECTED))


def mask(part):
    return torch.tensor([i in part for i in range(8)])


def columns(part):
    """Masks of two seeds, of which the second holds nothing of the first."""
    return torch.stack([mask(part), mask([7 - i for i in part])], 1)


def function(graphs, seed):
    return TENSORS


@pytest.mark.parametrize(
    "given",
    [
        (TRAIN, VALIDATION, TEST),
        TENSORS,
        tuple(map(np.array, EXPECTED)),
        (range(4), range(4, 6), range(6, 8)),
        tuple(map(mask, EXPECTED)),
        tuple(map(columns, EXPECTED)),
        dict(zip(("train", "valid", "test"), TENSORS, strict=True)),
        dict(zip(("train", "val", "test"), EXPECTED, strict=True)),
        dict(zip(("train", "validation", "test"), TENSORS, strict=True)),
        Parts(*EXPECTED),
        function,
        lambda graphs, seed: {"train": TRAIN, "valid": VALIDATION, "test": mask(TEST)},
    ],
)
def test_forms_of_a_given_split(given):
    parts = given_parts(given, [None] * 8, 0, "task")
    found = indices(parts, 8, 0, "task", "graph")
    assert [part.tolist() for part in found] == EXPECTED


def test_a_column_a_seed():
    parts = tuple(map(columns, EXPECTED))
    assert indices(parts, 8, 1, "task", "graph")[2].tolist() == [0, 1]
    with pytest.raises(DataError, match=r"2 columns, .*seed 2 has none; choose seeds 0\.\.1"):
        indices(parts, 8, 2, "task", "graph")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((TRAIN, VALIDATION), "parts is a tuple; give .train, validation, test."),
        (7, "parts is a int"),
        ({"train": TRAIN, "test": TEST}, "the parts are named train, test; name train, validation"),
        ((TRAIN, VALIDATION, [7, 8]), r"the test part names graph 8, outside 0\.\.7"),
        ((TRAIN, [-1], TEST), "the validation part names graph -1; number from 0"),
        ((TRAIN, [3, 4], TEST), "graph 3 stands in both train and validation"),
        ((TRAIN, [4], [4]), "graph 4 stands in both validation and test"),
        ((TRAIN, [], TEST), "part has no graph"),
        ((TRAIN, [4.5], TEST), "the validation part is .* give int indices"),
        ((mask(TRAIN)[:5], mask(TEST), mask(TEST)), r"the train mask is \[5\] for 8 graphs"),
        ((TRAIN, "45", TEST), "give all three parts as indices or masks, or|loaders are given"),
    ],
)
def test_splits_that_are_none(given, words):
    with pytest.raises(DataError, match=words):
        indices(given_parts(given, [None] * 8, 0, "task"), 8, 0, "task", "graph")


def graphs():
    edges = torch.zeros(2, 1, dtype=torch.long)
    return [
        Data(x=torch.full((2, 1), float(i)), edge_index=edges, y=torch.tensor([i % 2]))
        for i in range(8)
    ]


def test_given_parts_of_graphs_are_kept_whatever_the_seed():
    for seed in (0, 1):
        task = GraphClassification(batch_size=4, standardize=False, parts=TENSORS)
        parts = task.split(graphs(), seed)
        assert parts.test[0].x.view(-1).tolist() == [6, 6, 7, 7]
    assert task.test_part() == "tested on the given part"
    assert "split anew by the seed" in GraphClassification(batch_size=4).test_part()
    assert "function gives" in GraphClassification(4, parts=function).test_part()


@pytest.mark.parametrize(
    ("train", "words"),
    [([0, 2, 4], "all training graphs are of class 0; two"), ([0, 2, 7], "class 1 is in valid")],
)
def test_a_given_part_with_a_class_that_is_not_trained_is_refused(train, words):
    some = graphs()
    some[7].y[0] = 2
    with pytest.raises(DataError, match=words):
        GraphClassification(4, parts=(train, [1], [3])).split(some, 0)


def node_graph():
    edges = torch.zeros(2, 0, dtype=torch.long)
    return Data(x=torch.ones(8, 1), edge_index=edges, y=torch.arange(8) % 2)


def target(parts):
    return [p[0].target_index.tolist() for p in (parts.train, parts.validation, parts.test)]


@pytest.mark.parametrize("task", [NodeClassification(), Prediction("node")])
def test_columns_of_a_graphs_own_masks_are_the_seeds(task):
    graph = node_graph()
    names = ("train_mask", "val_mask", "test_mask")
    for name, part in zip(names, EXPECTED, strict=True):
        graph[name] = columns(part)
    assert target(task.split([graph], 0)) == EXPECTED
    assert target(task.split([graph], 1))[2] == [0, 1]
    with pytest.raises(DataError, match="seed 2 has none"):
        task.split([graph], 2)
    assert task.test_part().startswith("tested on the graph's own test_mask")


def test_given_parts_of_nodes_stand_before_masks():
    task = NodeClassification(parts=lambda graphs, seed: TENSORS)
    assert target(task.split([node_graph()], 5)) == EXPECTED
    assert NodeClassification(held_out=5).test_part() == "tested on the last 3 nodes"


def test_without_masks_nodes_are_split_by_the_seed():
    graph = node_graph()
    graph.x, graph.y = torch.ones(60, 1), torch.arange(60) % 2
    one, same, other = (target(Prediction("node").split([graph], s)) for s in (0, 0, 1))
    assert one == same != other
    assert sorted(i for part in one for i in part) == list(range(60))

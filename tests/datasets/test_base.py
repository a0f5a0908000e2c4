import torch
from torch_geometric.data import Data, HeteroData

from gnnperf.datasets.base import Dataset, fingerprint


def dataset(*graphs):
    return Dataset("mine", graphs, "real", "made here", fingerprint(graphs))


def graph(pairs, nodes=4, **more):
    index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t()
    return Data(torch.zeros(nodes, 3), index, num_nodes=nodes, **more)


def test_sizes_are_counted_over_all_graphs():
    two = dataset(
        graph([(0, 1), (1, 0), (1, 2), (2, 1)], y=torch.tensor([0])),
        graph([(0, 1), (1, 0)], nodes=2, y=torch.tensor([4])),
    )
    assert two.sizes == {"graphs": "2", "nodes": "6", "edges": "3", "features": "3", "labels": "5"}


def test_a_pair_of_nodes_is_one_edge_whatever_is_stored_of_it():
    assert dataset(graph([(2, 1)])).sizes["edges"] == "1"
    assert dataset(graph([(2, 1), (1, 2), (2, 1), (3, 3)])).sizes["edges"] == "2"
    assert dataset(graph([])).sizes["edges"] == "0"


def test_what_is_not_numbered_is_left_out():
    assert "labels" not in dataset(graph([(0, 1)], y=torch.tensor([0.5]))).sizes
    assert "edges" not in dataset(Data(torch.zeros(2, 3))).sizes
    types = HeteroData()
    types["paper"].x, types["author"].x = torch.zeros(2, 3), torch.zeros(5, 4)
    assert dataset(types).sizes == {"graphs": "1", "nodes": "7"}

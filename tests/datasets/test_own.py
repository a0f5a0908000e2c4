import pytest
import torch
from torch_geometric.data import Data

from gnnperf.datasets import DataError, DataOptions, OwnDataset

OPTIONS = DataOptions("synthetic", None, None)
GRAPH = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([1]))


@pytest.mark.parametrize("graphs", [[GRAPH], (GRAPH,), lambda: [GRAPH]])
def test_lists_and_functions(graphs):
    dataset = OwnDataset("mine", graphs).load(OPTIONS)
    assert OwnDataset("mine", graphs).key(OPTIONS) == dataset.key
    assert (dataset.key, dataset.origin) == ("mine", "the project's own")
    assert (dataset.features, dataset.classes) == (3, 2)


def test_no_graph_is_refused():
    with pytest.raises(DataError, match="dataset mine holds no graph; give at least one"):
        OwnDataset("mine", []).load(OPTIONS)


def test_what_is_no_graph_is_refused():
    with pytest.raises(DataError, match="dataset mine: item 1 is a Tensor, not a PyG Data"):
        OwnDataset("mine", [GRAPH, torch.ones(3)]).load(OPTIONS)

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from gnnperf.datasets import DataError, DataOptions, OwnDataset, fingerprint

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
    with pytest.raises(
        DataError, match="dataset mine: item 1 is a Tensor, not a PyG Data or HeteroData"
    ):
        OwnDataset("mine", [GRAPH, torch.ones(3)]).load(OPTIONS)


def hetero(value=1.0):
    data = HeteroData()
    data["paper"].x = torch.full((3, 2), value)
    data["author", "writes", "paper"].edge_index = torch.tensor([[0], [1]])
    data["author"].num_nodes = 1
    data.y = torch.tensor([1])
    return data


X = torch.tensor([[0.0, 1.0], [2.0, 0.0]])


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: {"x": X.bfloat16()}, lambda: {"x": 2 * X.bfloat16()}),
        (lambda: {"x": X.bfloat16()}, lambda: {"x": X.half()}),
        (lambda: {"x": X.to_sparse()}, lambda: {"x": (2 * X).to_sparse()}),
        (lambda: {"x": X.to_sparse()}, lambda: {"x": X.t().to_sparse()}),
        (lambda: {"x": X.to_sparse()}, lambda: {"x": X}),
        (lambda: {"x": X.to_sparse_csr()}, lambda: {"x": X.to_sparse()}),
        (lambda: {"x": X.to_sparse_csc()}, lambda: {"x": X.t().to_sparse_csc()}),
        (lambda: {"x": X.t()}, lambda: {"x": X}),
        (lambda: {"x": X.clone().requires_grad_()}, lambda: {"x": X + 1}),
        (lambda: {"size": torch.tensor(3)}, lambda: {"size": torch.tensor(4)}),
    ],
)
def test_fingerprints_of_every_kind_of_tensor(make, other):
    assert fingerprint([Data(**make())]) == fingerprint([Data(**make())])
    assert fingerprint([Data(**make())]) != fingerprint([Data(**other())])


def test_a_fingerprint_copies_no_tensor(tmp_path):
    memray = pytest.importorskip("memray")
    graphs = [Data(x=torch.rand(1 << 16, 16))]
    fingerprint(graphs)
    with memray.Tracker(tmp_path / "trace.bin"):
        fingerprint(graphs)
    with memray.FileReader(tmp_path / "trace.bin") as reader:
        assert reader.metadata.peak_memory < 0.1 * graphs[0].x.nbytes


def test_an_empty_tensor_has_a_fingerprint():
    empty, other = (Data(x=torch.ones(2, 3), e=torch.ones(size)) for size in ((0,), (0, 4)))
    assert fingerprint([empty]) != fingerprint([other])


def test_a_sparse_tensors_entries_may_come_in_any_order():
    index, value = torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 2.0])
    one = torch.sparse_coo_tensor(index, value, (2, 2))
    same = torch.sparse_coo_tensor(index.flip(1), value.flip(0), (2, 2))
    assert fingerprint([Data(x=one)]) == fingerprint([Data(x=same)])


def test_graphs_of_types():
    dataset = OwnDataset("mine", [hetero()]).load(OPTIONS)
    assert dataset.fingerprint == fingerprint([hetero()]) != fingerprint([hetero(2.0)])
    assert dataset.classes == 2
    with pytest.raises(DataError, match=r"node types have .* features; take them from dataset.gr"):
        assert dataset.features


@pytest.mark.parametrize("y", [None, torch.tensor([0.5]), torch.tensor([[torch.nan, 1.0]])])
def test_targets_that_number_no_classes(y):
    with pytest.raises(DataError, match=r"y is .* and numbers no classes; write how many outputs"):
        assert OwnDataset("mine", [Data(x=X, y=y)]).load(OPTIONS).classes
    assert OwnDataset("mine", [Data(y=y, num_nodes=1)]).load(OPTIONS).features == 0

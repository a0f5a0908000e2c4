"""OGB's datasets: their stand-ins, and what is read through the package `ogb`."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gnnperf.datasets import DataError, DataOptions
from gnnperf.datasets.base import MissingPackageError
from gnnperf.datasets.ogbn import ARXIV, PRODUCTS, stand_in
from gnnperf.workloads import find_workload

NODES = 12


def options(tmp_path, mode="auto", root=None, version=None):
    return DataOptions(mode, root, tmp_path / "cache", version)


@pytest.mark.parametrize("dataset", [ARXIV, PRODUCTS])
def test_the_stand_in_has_the_published_shape_and_says_what_it_is(dataset, tmp_path):
    found = dataset.load(options(tmp_path, "synthetic"))
    assert found.key == dataset.key(options(tmp_path, "synthetic")) == f"{dataset.name}~synthetic"
    assert found.origin.startswith("synthetic stand-in of ogbn-")
    assert (found.features, found.classes) == (dataset.features, dataset.classes)
    (graph,) = found.graphs
    assert graph.is_undirected()
    assert not graph.has_self_loops()
    assert graph.is_coalesced() or len(graph.edge_index.unique(dim=1)[0]) == graph.num_edges
    assert dataset.degree * 0.75 < graph.num_edges / graph.num_nodes <= dataset.degree
    masks = torch.stack([graph.train_mask, graph.val_mask, graph.test_mask])
    assert bool((masks.sum(0) == 1).all())
    share = float(graph.train_mask.float().mean())
    assert share == pytest.approx(dataset.shares[0], abs=0.001)


def test_without_a_root_nothing_is_fetched(tmp_path):
    found = ARXIV.load(options(tmp_path))
    assert found.source == "synthetic"
    assert "--gnnperf-data real fetches" in found.origin


def test_a_stand_in_is_the_same_for_its_seed():
    one, same, other = (stand_in(200, 2000, 8, 3, (0.5, 0.2), seed) for seed in (0, 0, 1))
    assert torch.equal(one.edge_index, same.edge_index)
    assert torch.equal(one.x, same.x)
    assert not torch.equal(one.x, other.x)


class Published:
    """What ogb's NodePropPredDataset gives."""

    def __init__(self, name, root):
        assert name == "ogbn-arxiv"

    def __getitem__(self, index):
        graph = {
            "edge_index": np.array([[0, 1, 2, 3], [1, 2, 3, 0]]),
            "node_feat": np.ones((NODES, 5), dtype=np.float32),
            "num_nodes": NODES,
        }
        return graph, np.arange(NODES)[:, None] % 4

    def get_idx_split(self):
        names = ("train", "valid", "test")
        return dict(zip(names, np.split(np.arange(NODES), [6, 9]), strict=True))


@pytest.fixture
def root(tmp_path, monkeypatch):
    module = SimpleNamespace(NodePropPredDataset=Published)
    monkeypatch.setitem(sys.modules, "ogb", SimpleNamespace(nodeproppred=module))
    monkeypatch.setitem(sys.modules, "ogb.nodeproppred", module)
    (tmp_path / "ogbn_arxiv").mkdir()
    return tmp_path


def test_published_files_come_with_their_own_split(root):
    found = ARXIV.load(options(root, root=root))
    assert (found.key, found.source) == ("ogbn_arxiv", "real")
    (graph,) = found.graphs
    assert graph.num_edges == 8
    assert graph.y.tolist() == [0, 1, 2, 3] * 3
    parts = find_workload("ogbn_arxiv-sage").task.split([graph], 0)
    assert parts.test[0].target_index.tolist() == [9, 10, 11]
    assert parts.validation[0].target_index.tolist() == [6, 7, 8]
    assert parts.timed.name == "3 nodes, fan-out 15-10"
    assert sum(batch.batch_size for batch in parts.train) == 6


def test_a_root_without_the_folder_is_an_error(root):
    with pytest.raises(DataError, match="has no folder ogbn_products"):
        PRODUCTS.load(options(root, root=root))


def test_what_ogb_cannot_read_is_one_sentence(root, monkeypatch):
    def broken(self, index):
        raise ValueError("truncated\nfile")

    monkeypatch.setattr(Published, "__getitem__", broken)
    with pytest.raises(DataError, match=r"ogb cannot read it \(truncated file\); fetch it again"):
        ARXIV.load(options(root, root=root))


def test_a_missing_package_is_named_with_its_remedy(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "ogb.nodeproppred", None)
    with pytest.raises(MissingPackageError, match=r"pip install gnnperf\[ogb\]"):
        ARXIV.load(options(root, root=root))


def test_another_version_there_is_not(root):
    with pytest.raises(DataError, match="has OGB's version alone"):
        ARXIV.key(options(root, root=root, version="v2"))

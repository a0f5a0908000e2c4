import time

import pytest
import torch
from torch_geometric.data import Batch

from gnnperf.datasets import SPECS, DataError, DataOptions, fingerprint, load_dataset
from gnnperf.datasets.proteins import stand_in
from gnnperf.models.gin import GIN
from gnnperf.training import GraphClassification, TrainSettings, evaluate, fit, prepared, seeded

from .mutations import small_proteins, write


@pytest.fixture(scope="module")
def graphs():
    return stand_in(0)


def sizes(graphs):
    return torch.tensor([graph.num_nodes for graph in graphs]).float()


def test_stand_in_has_the_statistics_of_proteins(graphs):
    batch = Batch.from_data_list(list(graphs))
    size = sizes(graphs)
    assert torch.bincount(batch.y).tolist() == [663, 450]
    assert batch.x.size(1) == 4
    assert size.mean().item() == pytest.approx(39.06, rel=0.1)
    assert size.median().item() == pytest.approx(26, abs=3)
    assert size.min() >= 4
    assert 300 < size.max() <= 620
    assert size[batch.y == 0].mean() > 1.8 * size[batch.y == 1].mean()
    assert batch.num_edges / batch.num_nodes == pytest.approx(3.73, rel=0.05)
    assert batch.is_undirected()
    assert not batch.has_self_loops()
    torch.testing.assert_close(
        batch.x[:, 1:].mean(0), torch.tensor([0.487, 0.482, 0.032]), atol=0.03, rtol=0
    )
    assert torch.equal(batch.x[:, 1:].sum(1), torch.ones(batch.num_nodes))
    assert batch.x[:, 0].mean().item() == pytest.approx(7.9, rel=0.1)


def test_stand_in_is_decided_by_its_seed(graphs):
    again, other = stand_in(0), stand_in(1)
    assert torch.equal(again[5].x, graphs[5].x)
    assert torch.equal(again[5].edge_index, graphs[5].edge_index)
    assert not torch.equal(sizes(other), sizes(graphs))


def test_stand_in_is_made_in_time():
    started = time.process_time()
    stand_in(3)
    assert time.process_time() - started < 2


def test_stand_in_is_learnable_but_not_trivial(graphs):
    task = GraphClassification(batch_size=64, first_feature=1)
    with seeded(0):
        model = GIN(3, 2)
    parts = prepared(model, task.split(graphs, 0))
    fit(model, task, parts, TrainSettings(epochs=6, learning_rate=0.005, select="loss"), seed=0)
    scores = evaluate(model, task, [*parts.validation, *parts.test])
    assert scores["majority"] + 0.07 < scores["accuracy"] < 0.95


def test_real_proteins(real_data, tmp_path):
    dataset = load_dataset(SPECS["proteins"], DataOptions("real", real_data, tmp_path))
    assert (dataset.key, len(dataset.graphs)) == ("proteins", 1113)
    assert (dataset.features, dataset.classes) == (4, 2)
    assert sizes(dataset.graphs).sum() == 43_471


def cut_line(content):
    return content[: content.rindex(b"\n", 0, -1) + 1]


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("graph_labels", cut_line, "graph_labels.txt has 7 rows, and the file .* speaks of 8"),
        ("node_labels", cut_line, "node_labels.txt has 51 rows, and the file .* speaks of 52"),
        ("node_attributes", cut_line, "node_attributes.txt has 51 rows, and .* speaks of 52"),
        ("node_attributes", lambda c: b"nan\n" * 52, "line 1 of the file PROTEINS_node_attributes"),
        ("node_labels", lambda c: b"\x00\x01 no numbers", "line 1 of the file PROTEINS_node_label"),
        ("node_labels", lambda c: c.replace(b"2", b"3"), "node_labels.txt leaves out some labels"),
        ("A", lambda c: c + b"1, 53\n", "joins no two nodes of one graph"),
        ("A", lambda c: c + b"0, 1\n", "joins no two nodes of one graph"),
        ("A", lambda c: c + b"1, 52\n", "joins no two nodes of one graph"),
        ("A", lambda c: c + b"1, 2, 3\n", "is '1, 2, 3' and not 2 whole numbers"),
        ("graph_labels", lambda c: b"1\n" * 8, "does not hold two classes"),
        ("graph_labels", lambda c: c + b"5\n", "has 9 rows"),
        ("graph_indicator", lambda c: b"2\n" + c, "does not count the graphs from 1 on"),
        ("graph_indicator", lambda c: c + b"10\n", "does not count the graphs from 1 on"),
        ("graph_indicator", lambda c: c + b"7\n", "does not count the graphs from 1 on"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, damage, words):
    files = small_proteins()
    files[f"PROTEINS_{name}.txt"] = damage(files[f"PROTEINS_{name}.txt"])
    write(tmp_path / "data", SPECS["proteins"], files)
    options = DataOptions("real", tmp_path / "data", tmp_path / "cache", "small")
    with pytest.raises(DataError, match=words):
        load_dataset(SPECS["proteins"], options)


def test_it_reads_what_pyg_reads(tmp_path):
    from torch_geometric.datasets import TUDataset

    write(tmp_path, SPECS["proteins"], small_proteins())
    options = DataOptions("real", tmp_path, tmp_path / "cache", "small")
    ours = load_dataset(SPECS["proteins"], options)
    theirs = TUDataset(str(tmp_path), "PROTEINS", use_node_attr=True)
    assert ours.fingerprint == fingerprint(list(theirs))

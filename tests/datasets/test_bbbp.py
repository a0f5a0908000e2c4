import time
import warnings

import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.utils import degree

from gnnperf.datasets import SPECS, DataError, DataOptions, bbbp, load_dataset
from gnnperf.datasets.bbbp import stand_in
from gnnperf.models.gin import GIN
from gnnperf.training import GraphClassification, TrainSettings, evaluate, fit, prepared, seeded

from .mutations import small_bbbp, write


@pytest.fixture(scope="module")
def graphs():
    return stand_in(0)


def test_stand_in_has_the_statistics_of_bbbp(graphs):
    batch = Batch.from_data_list(list(graphs))
    size = torch.bincount(batch.batch).float()
    assert torch.bincount(batch.y).tolist() == [479, 1560]
    assert batch.x.size(1) == 9
    assert size.mean().item() == pytest.approx(24.06, rel=0.05)
    assert size.min() >= 2
    assert size.max() <= 132
    assert size[batch.y == 0].mean().item() == pytest.approx(30.3, rel=0.05)
    assert batch.num_edges / batch.num_nodes == pytest.approx(2.157, rel=0.02)
    assert batch.is_undirected()
    assert not batch.has_self_loops()
    bonds = degree(batch.edge_index[0], batch.num_nodes)
    torch.testing.assert_close(
        torch.bincount(bonds.long())[:4] / len(bonds),
        torch.tensor([0.003, 0.207, 0.452, 0.308]),
        atol=0.1,
        rtol=0,
    )
    carbon = (batch.x[:, 0] == 6).float().mean().item()
    assert carbon == pytest.approx(0.75, abs=0.03)
    assert batch.x[:, 7].mean().item() == pytest.approx(0.33, abs=0.08)


def test_stand_in_is_decided_by_its_seed(graphs):
    again, other = stand_in(0), stand_in(1)
    assert torch.equal(again[5].x, graphs[5].x)
    assert torch.equal(again[5].edge_index, graphs[5].edge_index)
    assert [g.num_nodes for g in other] != [g.num_nodes for g in graphs]


def test_stand_in_is_made_in_time():
    started = time.process_time()
    stand_in(3)
    assert time.process_time() - started < 2


def test_stand_in_is_learnable_but_not_trivial(graphs):
    task = GraphClassification(batch_size=128)
    with seeded(0):
        model = GIN(9, 2)
    parts = prepared(model, task.split(graphs, 0))
    fit(model, task, parts, TrainSettings(epochs=8, learning_rate=0.005, select="loss"), seed=0)
    scores = evaluate(model, task, [*parts.validation, *parts.test])
    assert scores["majority"] + 0.01 < scores["accuracy"] < 0.95


def test_real_bbbp_counts_what_rdkit_rejects(real_data, tmp_path, capfd):
    pytest.importorskip("rdkit")
    options = DataOptions("real", real_data, tmp_path)
    dataset = load_dataset(SPECS["bbbp"], options)
    assert (dataset.key, len(dataset.graphs)) == ("bbbp", 2039)
    assert (dataset.features, dataset.classes) == (9, 2)
    assert "11 of 2050" in dataset.origin
    again = load_dataset(SPECS["bbbp"], options)
    assert (again.fingerprint, again.origin) == (dataset.fingerprint, dataset.origin)
    assert capfd.readouterr() == ("", "")


def write_raw(tmp_path, rows, header="BBBP,smiles"):
    write(tmp_path, SPECS["bbbp"], {"BBBP.csv": "\n".join([header, *rows, ""]).encode()})
    return DataOptions("real", tmp_path, tmp_path / "cache", "small")


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([], "BBBP,smiles", "BBBP.csv holds no molecule that RDKit can read"),
        (["1,C(C"], "BBBP,smiles", "BBBP.csv holds no molecule that RDKit can read"),
        (["1,CCO"], "1,CCO", "the first line of the file BBBP.csv names no last column smiles"),
        (["1,CCO", "1,"], "BBBP,smiles", "line 3 of the file BBBP.csv does not end in a label"),
        (["garbage"], "BBBP,smiles", "line 2 of the file BBBP.csv does not end in a label"),
        (["7,CCO"], "BBBP,smiles", "line 2 of the file BBBP.csv does not end in a label"),
        (["1,CCO", "", "1,CCO"], "BBBP,smiles", "line 3 of the file BBBP.csv does not end in"),
        (["1,CC\N{LATIN SMALL LETTER O WITH DIAERESIS}"], "BBBP,smiles", "line 2 of the file"),
        (["1,[Xe+9]"], "BBBP,smiles", "line 2 of the file BBBP.csv has a molecule that PyG's"),
        (["1," + "C" * 2001], "BBBP,smiles", "line 2 of the file BBBP.csv does not end in a label"),
    ],
)
def test_damaged_files_are_named(tmp_path, rows, header, words):
    pytest.importorskip("rdkit")
    with pytest.raises(DataError, match=words):
        load_dataset(SPECS["bbbp"], write_raw(tmp_path, rows, header))


def test_bad_utf_8_is_refused(tmp_path):
    pytest.importorskip("rdkit")
    options = write_raw(tmp_path, [])
    write(tmp_path, SPECS["bbbp"], {"BBBP.csv": b"BBBP,smiles\n1,CC\xff\n"})
    with pytest.raises(DataError, match=r"line 2 of the file BBBP\.csv does not end in a label"):
        load_dataset(SPECS["bbbp"], options)


def test_without_rdkit(tmp_path, monkeypatch):
    monkeypatch.setattr(bbbp, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"RDKit, which is missing: install gnnperf\[molecules\]$"):
        load_dataset(SPECS["bbbp"], write_raw(tmp_path, ["1,CCO"]))


def test_labels_are_whole_numbers_and_features_floating_point(tmp_path):
    pytest.importorskip("rdkit")
    options = write_raw(tmp_path, ["0,CCO", "1,C(C", "1,c1ccccc1"])
    dataset = load_dataset(SPECS["bbbp"], options)
    assert (dataset.key, len(dataset.graphs)) == ("bbbp~small", 2)
    assert "1 of 3" in dataset.origin
    graph = dataset.graphs[-1]
    assert (graph.x.dtype, graph.y.dtype) == (torch.float, torch.long)
    assert graph.x.shape == (6, 9)


def test_it_reads_what_pyg_reads(tmp_path):
    pytest.importorskip("rdkit")
    from torch_geometric.datasets import MoleculeNet

    write(tmp_path, SPECS["bbbp"], small_bbbp())
    ours = load_dataset(SPECS["bbbp"], DataOptions("real", tmp_path, tmp_path / "cache", "small"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping molecule")
        theirs = MoleculeNet(str(tmp_path), "BBBP")
    assert len(ours.graphs) == len(theirs) == 10
    for mine, other in zip(ours.graphs, theirs, strict=True):
        assert torch.equal(mine.x, other.x.float())
        assert torch.equal(mine.edge_index, other.edge_index)
        assert mine.y.item() == other.y.item()


def test_what_counts_of_a_file_are_labels_and_molecules():
    canonical = SPECS["bbbp"].canonical
    content = canonical(small_bbbp()["BBBP.csv"])
    short = b"BBBP,smiles\n" + content + b"\n"
    assert canonical(short) == content
    for old, new in ((b"1,", b"0,"), (b"CCO", b"CCN"), (b"\n0", b"\n\n0")):
        assert canonical(short.replace(old, new)) != content

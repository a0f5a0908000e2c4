import pickle

import numpy as np
import pytest
import torch

from gnnperf.datasets import DataError
from gnnperf.datasets.planetoid import read_planetoid

from .mutations import small_cora


@pytest.mark.parametrize("protocol", [2, 4])
def test_it_reads_what_pyg_reads(tmp_path, protocol):
    from torch_geometric.io import read_planetoid_data

    files = small_cora(protocol)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    ours = read_planetoid(files, "ind.cora")
    # PyG validates on 500 papers, of which there are not so many here.
    last = (torch.arange(60) >= 10).nonzero().view(-1)
    theirs = _pyg(read_planetoid_data, tmp_path, last)
    for name in ("x", "edge_index", "y", "train_mask", "test_mask"):
        assert torch.equal(ours[name], theirs[name]), name
        assert ours[name].dtype == theirs[name].dtype
    assert torch.equal(ours.val_mask.nonzero().view(-1), last)


def _pyg(read, folder, last):
    from torch_geometric.io import planetoid

    def masked(index, size):
        mask = torch.zeros(size, dtype=torch.bool)
        mask[index[index < size]] = True
        return mask

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planetoid, "index_to_mask", masked)
        return read(str(folder), "cora")


def changed(**changes):
    files = small_cora()
    for name, change in changes.items():
        key = f"ind.cora.{name}"
        files[key] = pickle.dumps(change(pickle.loads(files[key])), 4)
    return files


def poked(value):
    def change(matrix):
        dense = np.array(matrix.todense() if hasattr(matrix, "todense") else matrix, np.float64)
        dense[0, 0] = value
        return dense

    return change


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"allx": lambda m: m[:, :11]}, r"ind\.cora\.\*x differ in their columns"),
        ({"tx": lambda m: m[:19]}, r"ind\.cora\.\*x and ind\.cora\.\*y differ in their rows"),
        ({"x": poked(7)}, r"ind\.cora\.x contradicts ind\.cora\.allx"),
        ({"x": lambda m: 7}, r"ind\.cora\.x holds no table of numbers"),
        ({"tx": poked(np.nan)}, r"ind\.cora\.tx holds a number that is not finite"),
        ({"tx": poked(1e300)}, r"ind\.cora\.tx holds a number that is not finite"),
        ({"ty": lambda m: m * 2}, r"ind\.cora\.\*y do not hold one subject for each paper"),
        ({"ty": lambda m: m * 0}, r"ind\.cora\.\*y do not hold one subject for each paper"),
        ({"graph": lambda g: [[]] * 60}, r"graph does not name the neighbours of papers 0\.\.59"),
        ({"graph": lambda g: {**g, 60: []}}, r"does not name the neighbours of papers 0\.\.59"),
        ({"graph": lambda g: {**g, 5: [60]}}, r"graph names a neighbour outside 0\.\.59"),
        ({"graph": lambda g: {**g, 5: [-1]}}, r"graph names a neighbour outside 0\.\.59"),
        ({"graph": lambda g: {**g, 5: [1.0]}}, r"graph names a neighbour outside 0\.\.59"),
        ({"graph": lambda g: {**g, 5: 3}}, r"graph does not list the neighbours of a paper"),
    ],
)
def test_files_that_contradict_one_another_are_refused(changes, words):
    with pytest.raises(DataError, match=words):
        read_planetoid(changed(**changes), "ind.cora")


@pytest.mark.parametrize("index", [range(40, 59), range(41, 61), [40, *range(40, 59)], range(20)])
def test_the_tested_papers_are_named_each_once(index):
    files = small_cora()
    files["ind.cora.test.index"] = b"".join(b"%d\n" % paper for paper in index)
    with pytest.raises(DataError, match=r"test\.index does not name the papers 40\.\.59, each onc"):
        read_planetoid(files, "ind.cora")


@pytest.mark.parametrize("name", ["x", "allx", "ty", "graph"])
def test_a_truncated_file_is_named(name):
    files = small_cora()
    files[f"ind.cora.{name}"] = files[f"ind.cora.{name}"][:-20]
    with pytest.raises(DataError, match=rf"the file ind\.cora\.{name} is damaged \("):
        read_planetoid(files, "ind.cora")

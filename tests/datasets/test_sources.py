import hashlib
import pickle
import warnings
import zipfile
from dataclasses import replace

import pytest
import torch
from torch_geometric import datasets as pyg
from torch_geometric.data import Data

from gnnperf.datasets import SPECS, DataError, DataOptions, DatasetSpec, load_dataset, sources
from gnnperf.datasets.base import fingerprint
from gnnperf.datasets.processed import Reading

from .mutations import DATASETS, SMALL, published, small_cora, write

GRAPH = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.tensor([0, 1, 0]))


def read_tiny(files):
    if not files["tiny.txt"].endswith(b"nodes"):
        raise DataError("the file tiny.txt is damaged")
    return Reading((GRAPH,))


TINY = DatasetSpec(
    name="tiny",
    folder="Tiny",
    raw_files={"tiny.txt": hashlib.sha256(b"3 nodes").hexdigest()},
    read=read_tiny,
    download=lambda raw: None,
    stand_in=lambda seed: [GRAPH],
)


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "root", TINY, {"tiny.txt": b"3 nodes"})
    return tmp_path / "root"


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(sources, "_download", lambda spec, raw: "there is no network")


def test_real_files_are_read_and_the_root_stays_as_it_was(root, tmp_path):
    before = sorted(root.rglob("*"))
    dataset = load_dataset(TINY, DataOptions("auto", root, tmp_path / "cache"))
    assert (dataset.key, dataset.source) == ("tiny", "real")
    assert sorted(root.rglob("*")) == before


def test_a_read_only_root_serves(root, tmp_path):
    for path in [*root.rglob("*"), root]:
        path.chmod(0o555)
    assert load_dataset(TINY, DataOptions("real", root, tmp_path / "cache")).source == "real"


@pytest.mark.parametrize("name", ["root", "no such folder"])
def test_synthetic_is_another_dataset_and_looks_at_no_root(root, tmp_path, name):
    dataset = load_dataset(TINY, DataOptions("synthetic", tmp_path / name, tmp_path))
    assert (dataset.key, dataset.source) == ("tiny~synthetic", "synthetic")


def test_auto_falls_back_and_says_why(tmp_path, no_network):
    dataset = load_dataset(TINY, DataOptions("auto", None, tmp_path / "cache"))
    assert dataset.key == "tiny~synthetic"
    assert dataset.origin == ("synthetic stand-in: no data root is set, and there is no network")


@pytest.mark.parametrize("mode", ["auto", "real"])
@pytest.mark.parametrize("name", ["empty", "x" * 300])
def test_a_root_that_is_named_and_lacks_the_files_is_refused(tmp_path, monkeypatch, mode, name):
    monkeypatch.setattr(sources, "_download", None)  # Not even tried.
    options = DataOptions(mode, tmp_path / name, tmp_path / "cache")
    with pytest.raises(DataError, match=r"lacks tiny\.txt; put tiny's raw files there, or name"):
        load_dataset(TINY, options)


def test_real_without_a_root_and_a_network_is_refused(tmp_path, no_network):
    with pytest.raises(DataError, match="no data root is set and there is no network; name a fol"):
        load_dataset(TINY, DataOptions("real", None, tmp_path))


def test_keys_are_known_without_loading(tmp_path, no_network, monkeypatch):
    def key(mode, root, version=None):
        return TINY.key(DataOptions(mode, root, tmp_path / "cache", version))

    monkeypatch.setattr(sources, "load_dataset", None)
    nowhere = tmp_path / "nowhere"
    assert key("auto", None) == key("synthetic", nowhere) == "tiny~synthetic"
    assert key("auto", nowhere) == key("real", None) == "tiny"
    assert key("auto", nowhere, "v2") == "tiny~v2"
    write(tmp_path / "cache" / "downloads", TINY, {"tiny.txt": b"3 nodes"})
    assert key("auto", None) == "tiny"


@pytest.mark.parametrize("mode", ["auto", "real"])
def test_other_files_than_the_published_ones_are_refused(root, tmp_path, mode):
    write(root, TINY, {"tiny.txt": b"4 nodes"})
    options = DataOptions(mode, root, tmp_path / "cache")
    with pytest.raises(DataError, match=r"Tiny/raw: tiny\.txt is not the published file, by its S"):
        load_dataset(TINY, options)
    assert not (tmp_path / "cache").exists()


def test_another_version_is_read_and_named(root, tmp_path):
    write(root, TINY, {"tiny.txt": b"4 nodes"})
    dataset = load_dataset(TINY, DataOptions("auto", root, tmp_path / "cache", "v2.1"))
    assert (dataset.key, dataset.source, dataset.version) == ("tiny~v2.1", "real", "v2.1")
    assert dataset.origin == f"raw files under {root}, version v2.1"


def test_another_version_may_be_damaged_too(root, tmp_path):
    write(root, TINY, {"tiny.txt": b"4 no"})
    options = DataOptions("auto", root, tmp_path / "cache", "v2")
    with pytest.raises(DataError, match=r"raw: the file tiny\.txt is damaged; mend or replace it"):
        load_dataset(TINY, options)
    write(root, TINY, {"tiny.txt": b"4 nodes"})
    assert load_dataset(TINY, options).key == "tiny~v2"


@pytest.mark.parametrize(
    ("mode", "root", "version", "words"),
    [
        ("auto", "here", "", "'': name a version with 1 to 40 letters"),
        ("auto", "here", "v-2", "'v-2': name a version"),
        ("auto", "here", "synthetic", "'synthetic': name a version"),
        ("auto", "here", "x" * 41, "'x*': name a version"),
        ("auto", "here", "\x1b[2J", r"'\\x1b\[2J': name a version"),
        ("synthetic", "here", "v2", "'v2' names raw files, of which --gnnperf-data synthetic"),
        ("auto", None, "v2", "'v2': name the folder that holds this version with --gnnperf-data-r"),
    ],
)
def test_a_version_that_cannot_be_meant(tmp_path, mode, root, version, words):
    with pytest.raises(DataError, match=rf"--gnnperf-data-version {words}"):
        DataOptions(mode, root and tmp_path, tmp_path, version)
    assert DataOptions("auto", tmp_path, tmp_path, "x" * 40).version == "x" * 40


def test_a_file_that_cannot_be_read(root, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MOST_RAW_BYTES", 7)
    options = DataOptions("real", root, tmp_path / "cache")
    load_dataset(TINY, options)
    monkeypatch.setattr(sources, "_MOST_RAW_BYTES", 6)
    with pytest.raises(DataError, match=r"tiny\.txt is larger than 6 bytes; it is none of tiny's"):
        load_dataset(TINY, options)
    with pytest.raises(DataError, match=r"raw cannot be read \(Is a directory\); mend it"):
        sources.raw_contents(replace(TINY, raw_files={"../raw": ""}), root / "Tiny" / "raw")


def processed_file(cache):
    (path,) = (cache / "datasets").iterdir()
    return path


def test_a_processed_file_serves_and_a_damaged_one_is_made_again(root, tmp_path):
    options = DataOptions("auto", root, tmp_path)
    first = load_dataset(TINY, options)
    path = processed_file(tmp_path)
    whole = path.read_bytes()
    served = load_dataset(replace(TINY, read=None), options)
    assert served.fingerprint == first.fingerprint
    for position in (0, 31, 32, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[position] ^= 4
        path.write_bytes(changed)
        with pytest.warns(UserWarning, match=r"\.graphs is damaged and is made again from the raw"):
            assert load_dataset(TINY, options).fingerprint == first.fingerprint
        assert path.read_bytes() == whole


def test_a_processed_file_stands_for_its_raw_files_and_readers(root, tmp_path, monkeypatch):
    load_dataset(TINY, DataOptions("auto", root, tmp_path))
    write(root, TINY, {"tiny.txt": b"4 nodes"})
    load_dataset(TINY, DataOptions("auto", root, tmp_path, "v2"))
    monkeypatch.setattr(sources, "version", lambda package: "another")
    load_dataset(TINY, DataOptions("auto", root, tmp_path, "v2"))
    assert len(list((tmp_path / "datasets").iterdir())) == 3


@pytest.mark.parametrize("blocked", ["datasets", "file"])
def test_what_cannot_be_kept_is_read_all_the_same(root, tmp_path, blocked):
    options = DataOptions("auto", root, tmp_path)
    if blocked == "datasets":
        (tmp_path / "datasets").touch()
    else:
        load_dataset(TINY, options)
        path = processed_file(tmp_path)
        path.unlink()
        path.mkdir()
    with pytest.warns(UserWarning, match=r"\.graphs cannot be kept \("):
        assert load_dataset(TINY, options).source == "real"


def test_a_download_that_hangs_is_given_up_and_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "DOWNLOAD_TIMEOUT_SECONDS", 0.01)
    options = DataOptions("auto", None, tmp_path)
    origin = load_dataset(SPECS["cora_node"], options).origin
    assert "the download took more than 0.01 s" in origin
    assert not (tmp_path / "downloads" / "Cora").exists()
    monkeypatch.setattr(sources, "_download", None)
    assert load_dataset(SPECS["cora_link"], options).origin == origin


def test_a_download_that_fails_says_why(tmp_path, monkeypatch):
    # Its process first imports torch, which takes as long as the machine is busy.
    monkeypatch.setattr(sources, "DOWNLOAD_TIMEOUT_SECONDS", 300)
    spec = replace(TINY, name="no such dataset")
    assert (
        "the download failed (KeyError"
        in load_dataset(spec, DataOptions("auto", None, tmp_path)).origin
    )


def test_a_download_that_cannot_be_kept_says_why(tmp_path):
    (tmp_path / "downloads").touch()
    dataset = load_dataset(TINY, DataOptions("auto", None, tmp_path))
    assert "the download cannot be kept (File exists)" in dataset.origin


@pytest.mark.parametrize("name", DATASETS)
def test_downloads_are_laid_out_as_a_data_root_is(tmp_path, monkeypatch, name):
    files, source, raw = SMALL[name](), tmp_path / "source", tmp_path / "new" / "raw"
    source.mkdir()
    raw.parent.mkdir()
    for file, content in files.items():
        (source / file).write_bytes(content)
    with zipfile.ZipFile(source / "PROTEINS.zip", "w") as archive:
        for file in files:
            archive.write(source / file, f"PROTEINS/{file}")
    monkeypatch.setattr(pyg.Planetoid, "url", source.as_uri())
    monkeypatch.setattr(pyg.TUDataset, "url", source.as_uri())
    monkeypatch.setattr(pyg.MoleculeNet, "url", source.as_uri() + "/{}")
    SPECS[name].download(raw)
    assert sources.raw_contents(SPECS[name], raw) == files
    assert sources.published_complaint(published(name, files), files) is None
    assert sources.published_complaint(SPECS[name], files) is not None


def test_downloaded_files_are_kept(tmp_path):
    write(tmp_path / "downloads", TINY, {"tiny.txt": b"3 nodes"})
    dataset = load_dataset(TINY, DataOptions("auto", None, tmp_path))
    assert (dataset.source, dataset.origin) == ("real", "downloaded")
    write(tmp_path / "downloads", TINY, {"tiny.txt": b"4 nodes"})
    with pytest.raises(DataError, match=r"tiny\.txt is not the published file"):
        load_dataset(TINY, DataOptions("auto", None, tmp_path))


def test_fingerprint_sees_every_bit():
    other = GRAPH.clone()
    other.x[0, 0] = -0.0
    assert fingerprint([GRAPH]) == fingerprint([GRAPH.clone()])
    assert fingerprint([GRAPH]) != fingerprint([other])


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_is_executed_that_lies_in_a_data_root_or_in_the_cache(tmp_path):
    files, sign = small_cora(), tmp_path / "executed"
    spec = published("cora_node", files)
    options = DataOptions("auto", tmp_path / "root", tmp_path / "cache")
    write(tmp_path / "root", spec, files)
    load_dataset(spec, options)
    planted = pickle.dumps(Planted(sign), 2)
    path = processed_file(tmp_path / "cache")
    for content in (planted, hashlib.sha256(planted).digest() + planted):
        path.write_bytes(content)
        (path.parent / "pre_transform.pt").write_bytes(planted)
        with pytest.warns(UserWarning, match="is made again"):
            load_dataset(spec, options)
    write(tmp_path / "root", spec, {"ind.cora.x": planted})
    for version in (None, "v2"):
        with pytest.raises(DataError, match=r"ind\.cora\.x"):
            load_dataset(spec, replace(options, version=version))
    assert not sign.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The file is left open, as anything may be.
        pickle.loads(planted)
    assert sign.exists()

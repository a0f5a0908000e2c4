import os
import time

from gnnperf.system import leftovers

SUFFIX = ".0123456789abcdef.tmp"


def aged(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if path.name.startswith("tmp") else path.touch()
    if path.is_dir():
        (path / "content").touch()
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_old_leftovers_go_and_all_else_stays(tmp_path, monkeypatch):
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    pyg = "torch_geometric.nn.conv.gcn_conv_GCNConv_propagate_abcd12_x.py"
    gone = [
        aged(cache / f".a{SUFFIX}", 3700),
        aged(cache / "checkpoints" / f".a.ckpt{SUFFIX}", 3700),
        aged(cache / "results" / "case" / f".a.result{SUFFIX}", 3700),
        aged(cache / "datasets" / "tmpab12cd_x", 3700),
        aged(cache / "downloads" / "tmpab12cd_x", 3700),
        aged(temporary / pyg, 90_000),
    ]
    stays = [
        aged(cache / "checkpoints" / f".b.ckpt{SUFFIX}", 3500),
        aged(cache / "checkpoints" / "a.ckpt", 90_000),
        aged(cache / "checkpoints" / ".a.ckpt.lock", 90_000),
        aged(cache / "datasets" / "tmpab12cd_y", 3500),
        aged(cache / "tmpab12cd_x", 90_000),
        # A folder of more than a cache: the user's own.
        aged(cache / ".notes.tmp", 90_000),
        aged(cache / "src" / f".a{SUFFIX}", 90_000),
        aged(cache / "datasets" / "tmp-results", 90_000),
        aged(temporary / pyg.replace("_x", "_y"), 86_000),
        aged(temporary / f".a{SUFFIX}", 90_000),
    ]
    leftovers.sweep(cache)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []


def test_links_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    kept = aged(tmp_path / "elsewhere" / f".a{SUFFIX}", 3700)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "checkpoints").symlink_to(kept.parent)
    leftovers.sweep(cache)
    leftovers.sweep(tmp_path / "no cache")
    assert kept.exists()

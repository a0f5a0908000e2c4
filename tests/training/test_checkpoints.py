import hashlib
import os
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch

from gnnperf.system.files import FileError
from gnnperf.system.store import DamagedFileError
from gnnperf.training.checkpoints import (
    cached,
    load_checkpoint,
    save_checkpoint,
)

CHECKPOINT = {"state": {"w": torch.arange(4.0)}, "report": {"epochs": 3}}


def damage(path, at=100):
    blob = bytearray(path.read_bytes())
    blob[at] ^= 1
    path.write_bytes(blob)


def test_what_is_saved_comes_back(tmp_path):
    save_checkpoint(tmp_path / "a.ckpt", CHECKPOINT)
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(loaded["state"]["w"], CHECKPOINT["state"]["w"])
    assert loaded["report"] == {"epochs": 3}


def test_reading_holds_the_tensors_once(tmp_path):
    memray = pytest.importorskip("memray")
    state = {f"layer{n}": torch.rand(1 << 19) for n in range(4)}
    tensor_bytes = sum(tensor.nbytes for tensor in state.values())
    save_checkpoint(tmp_path / "a.ckpt", {"state": state})
    load_checkpoint(tmp_path / "a.ckpt")
    with memray.Tracker(tmp_path / "trace.bin"):
        loaded = load_checkpoint(tmp_path / "a.ckpt")
    with memray.FileReader(tmp_path / "trace.bin") as reader:
        peak_bytes = reader.metadata.peak_memory
    assert all(torch.equal(loaded["state"][name], state[name]) for name in state)
    assert tensor_bytes <= peak_bytes <= 1.1 * tensor_bytes


def test_made_once_and_then_read(tmp_path):
    made = []
    for _ in range(2):
        cached(tmp_path / "a.ckpt", lambda: made.append(1) or CHECKPOINT)
    assert made == [1]


@pytest.mark.parametrize("at", [0, 40, 300, -1])
def test_any_flipped_bit_is_seen(tmp_path, at):
    path = tmp_path / "a.ckpt"
    save_checkpoint(path, CHECKPOINT)
    damage(path, at)
    with pytest.raises(DamagedFileError, match=r"a\.ckpt is damaged; delete it"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 1000])
def test_a_damaged_file_is_made_again_with_a_warning(tmp_path, content):
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"a\.ckpt is damaged and is trained again"):
        cached(path, lambda: CHECKPOINT)
    assert load_checkpoint(path)["report"] == {"epochs": 3}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickles_are_not_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    for content in (pickle.dumps(Bomb()), pickle.dumps({"a": 1})):
        path = tmp_path / "a.ckpt"
        path.write_bytes(hashlib.sha256(content).digest() + content)
        with pytest.raises(DamagedFileError):
            load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_an_interrupted_making_leaves_no_file(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path / "a.ckpt", interrupted)
    assert not (tmp_path / "a.ckpt").exists()
    assert cached(tmp_path / "a.ckpt", lambda: CHECKPOINT) is CHECKPOINT


def test_two_processes_make_it_once(tmp_path):
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from gnnperf.training.checkpoints import cached
        def make():
            with open({str(tmp_path / "made")!r}, "a") as log: log.write("x")
            time.sleep(1)
            return {{"report": 1}}
        cached(Path({str(tmp_path / "a.ckpt")!r}), make)
    """)
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", script]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_what_cannot_be_saved_is_used_all_the_same(tmp_path, monkeypatch):
    def full(path, content):
        raise FileError("No space left on device")

    monkeypatch.setattr("gnnperf.training.checkpoints.write_checked", full)
    with pytest.warns(UserWarning, match=r"cannot be kept: No space left on device"):
        assert cached(tmp_path / "a.ckpt", lambda: CHECKPOINT) == CHECKPOINT


def test_what_is_there_needs_no_lock(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "a.ckpt", CHECKPOINT)
    monkeypatch.setattr("gnnperf.training.checkpoints.locked", None)
    assert cached(tmp_path / "a.ckpt", lambda: None)["report"] == {"epochs": 3}

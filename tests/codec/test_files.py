import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gnnperf.codec import CodecError, encode, inspect, load, same_state, save
from gnnperf.codec.errors import TruncatedError
from gnnperf.codec.listing import TensorInfo
from gnnperf.system.files import FileError

from . import states

STATE = {"w": torch.randn(300, 20), "b": torch.zeros(20)}


def test_save_returns_the_size_and_load_the_state(tmp_path: Path) -> None:
    path = tmp_path / "model.gnnz"
    stored_bytes = save(STATE, path, metadata={"recipe": "global@0.5"})
    assert (
        stored_bytes == path.stat().st_size == len(encode(STATE, metadata={"recipe": "global@0.5"}))
    )
    decoded = load(path)
    assert same_state(STATE, decoded.state)
    assert decoded.metadata == {"recipe": "global@0.5"}
    assert os.listdir(tmp_path) == ["model.gnnz"]


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gnnz"
    save(STATE, path)
    path.write_bytes(path.read_bytes()[:-5])
    for read in (load, inspect):
        with pytest.raises(TruncatedError, match=r"model\.gnnz: the streams end at byte"):
            read(path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gnnz"
    save(STATE, path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space"):
        save({"w": torch.ones(5)}, path)
    assert same_state(STATE, load(path).state)
    assert os.listdir(tmp_path) == ["model.gnnz"]


def test_a_link_is_followed_and_a_mode_kept_plain(tmp_path: Path) -> None:
    target, link = tmp_path / "target.gnnz", tmp_path / "link.gnnz"
    link.symlink_to(target)
    save(STATE, link)
    assert link.is_symlink()
    assert same_state(STATE, load(target).state)
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


SAVER = """
import sys, torch
from gnnperf.system.files import FileError
from gnnperf.codec import save
path, seed = sys.argv[1], 1
torch.set_num_threads(1)
states = [{"w": torch.full((500_000,), float(s)) * torch.arange(500_000)} for s in range(4)]
print("ready", flush=True)
while True:
    save(states[seed % 4], path, metadata={"seed": seed % 4}, level="fast")
    seed += 1
"""


def test_killing_a_saving_process_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gnnz"
    save({"w": torch.zeros(500_000)}, path, metadata={"seed": 0})
    command = [sys.executable, "-c", SAVER, str(path)]
    for delay_seconds in (0.01, 0.11):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay_seconds)
            process.send_signal(signal.SIGKILL)
        decoded = load(path)
        expected = torch.full((500_000,), float(decoded.metadata["seed"])) * torch.arange(500_000)
        assert same_state({"w": expected}, decoded.state)


def test_killed_between_writing_and_replacing(tmp_path: Path) -> None:
    path = tmp_path / "model.gnnz"
    save(STATE, path)
    program = (
        "import os, signal, sys, torch, gnnperf.codec as codec\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "codec.save({'w': torch.ones(5)}, sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert same_state(STATE, load(path).state)


def test_inspect_reads_no_stream_and_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "model.gnnz"
    state = states.quantized(states.pruned(states.trained(states.SHAPES["spline"]), 0.9), 4)
    tied = torch.randn(30, 90)
    save(
        {**state, "tied": tied, "tied.t": tied.t(), "zero": torch.zeros(9, 9)},
        path,
        metadata={"epoch": 1},
    )
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)
    listing = inspect(path)
    with pytest.raises(CodecError):
        load(path)
    infos = {info.name: info for info in listing.tensors}
    assert listing.metadata == {"epoch": 1}
    assert listing.file_bytes == len(blob)
    total = listing.header_bytes + sum(info.stored_bytes for info in listing.tensors)
    assert total == pytest.approx(len(blob))
    assert infos["tied.t"].encoding == "view of tied"
    assert infos["zero"].encoding == "zero"
    assert infos["conv1.weight"].dtype == "int8 (4 bits)"
    assert infos["conv1.bias"].is_apportioned
    assert infos["tied"] == TensorInfo(
        "tied",
        "float32",
        (30, 90),
        infos["tied"].encoding,
        10_800,
        infos["tied"].stored_bytes,
        False,
    )
    assert "conv1.weight (zero point)" in infos

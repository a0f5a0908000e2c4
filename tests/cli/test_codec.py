import argparse
import os
import threading
from pathlib import Path

import pytest
import torch

from gnnperf.cli import codec as commands
from gnnperf.codec import CodecError, load, same_state, save
from gnnperf.errors import GnnperfError
from gnnperf.system.files import FileError

from ..codec import states


def run(*words: object) -> None:
    parser = argparse.ArgumentParser()
    commands.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args([str(word) for word in words])
    arguments.run(arguments)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    torch.save(states.pruned(states.trained(states.SHAPES["ness"]), 0.9), path)
    return path


def test_pack_and_unpack(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, again = model.with_suffix(".gnnz"), model.with_name("again.pt")
    run("pack", model, packed, "--level", "fast")
    assert "read back and equal" in capsys.readouterr().out
    run("unpack", packed, again)
    assert same_state(torch.load(model), torch.load(again, weights_only=True))
    assert sorted(path.name for path in model.parent.iterdir()) == [
        "again.pt",
        "model.gnnz",
        "model.pt",
    ]


def test_quantized_tensors_go_to_torch_and_back(tmp_path: Path) -> None:
    state = states.quantized(states.trained(states.SHAPES["ness"]), 4)
    first, torch_file, second = (tmp_path / name for name in ("a.gnnz", "b.pt", "c.gnnz"))
    save(state, first)
    run("unpack", first, torch_file)
    run("pack", torch_file, second)
    assert same_state(state, load(second).state)


def test_inspect_prints_a_table(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = model.with_suffix(".gnnz")
    save(torch.load(model), packed, metadata={"recipe": "global@0.9"})
    run("inspect", packed)
    out = capsys.readouterr().out
    assert "32 x 1433" in out
    assert "pco-rot" in out
    assert "recipe: global@0.9" in out
    assert f"{packed.stat().st_size} bytes for 183552 bytes of tensors" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {"w": torch.ones(1)}},
            "'state_dict' is a dict, not a tensor; .* checkpoint",
        ),
        ({"w": torch.ones(1), "epoch": 3}, "'epoch' is a int, not a tensor"),
        ([torch.ones(1)], "holds a list, not a state_dict"),
        (torch.nn.Linear(2, 2), "weights_only=True refuses it .*save a plain state_dict"),
    ],
)
def test_torch_files_that_are_no_state(tmp_path: Path, content: object, message: str) -> None:
    source, target = tmp_path / "model.pt", tmp_path / "model.gnnz"
    torch.save(content, source)
    with pytest.raises(CodecError, match=f"model.pt: .*{message}"):
        run("pack", source, target)
    assert not target.exists()


def test_files_that_are_none_or_nothing(tmp_path: Path, model: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    target = tmp_path / "out"
    for words, message in (
        (("pack", junk, target), "junk: torch.load"),
        (("unpack", junk, target), "junk: the file begins with '6a756e6b'"),
        (("inspect", junk), "junk: the file begins"),
        (("pack", tmp_path / "absent.pt", target), "absent.pt: No such file"),
        (("unpack", tmp_path / "absent", target), "absent: No such file"),
        (("inspect", tmp_path), "Is a directory"),
        (("pack", model, tmp_path / "no" / "x.gnnz"), r"x.gnnz cannot be written \(No such file"),
    ):
        with pytest.raises(GnnperfError, match=message) as caught:
            run(*words)
        assert "\n" not in str(caught.value)
    assert not target.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junk", "model.pt"]


def test_unpack_says_what_torch_cannot_save(tmp_path: Path) -> None:
    packed, target = tmp_path / "model.gnnz", tmp_path / "model.pt"
    words = torch.ones(4)
    save({"w": words, "bits": words.view(torch.int32)}, packed)
    with pytest.raises(CodecError, match=r"model.pt: torch.save refuses it .* gnnperf.codec.load"):
        run("unpack", packed, target)
    assert not target.exists()


def test_unpack_leaves_nothing_half_written(tmp_path: Path) -> None:
    packed = tmp_path / "model.gnnz"
    save({"w": torch.ones(3)}, packed)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(FileError, match="is a folder, and would not be replaced"):
        run("unpack", packed, folder)
    with pytest.raises(CodecError, match="max_bytes"):
        run("unpack", packed, tmp_path / "x.pt", "--max-bytes", 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "model.gnnz"]


def test_packing_into_a_pipe_leaves_a_pipe(tmp_path: Path, model: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    run("pack", model, pipe)
    reader.join(10)
    run("pack", model, tmp_path / "file")
    assert read == [(tmp_path / "file").read_bytes()]
    assert pipe.is_fifo()


def test_names_cannot_move_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save({"w\x1b]0;title\x07\nforged": torch.ones(3)}, tmp_path / "a", metadata={"k\x9b": "\u202e"})
    run("inspect", tmp_path / "a")
    out = capsys.readouterr().out
    assert "w\\x1b]0;title\\x07\\nforged" in out
    assert "k\\x9b: \\u202e" in out


def test_a_file_is_not_written_over_itself(tmp_path: Path, model: Path) -> None:
    packed, link, hard = (tmp_path / name for name in ("a.gnnz", "link", "hard"))
    save({"w": torch.ones(3)}, packed)
    link.symlink_to(model)
    os.link(packed, hard)
    for words in (
        ("pack", model, model),
        ("pack", model, link),
        ("pack", link, model),
        ("unpack", packed, packed),
        ("unpack", packed, hard),
        ("unpack", packed, tmp_path / "." / "a.gnnz"),
    ):
        before = {path: path.read_bytes() for path in (model, packed)}
        with pytest.raises(CodecError, match="source and target are the same file; name another"):
            run(*words)
        assert {path: path.read_bytes() for path in (model, packed)} == before


def test_limits_and_threads_are_options(tmp_path: Path, model: Path) -> None:
    packed = tmp_path / "a.gnnz"
    run("pack", model, packed, "--threads", 2)
    for command in (("unpack", packed, tmp_path / "b.pt"), ("inspect", packed)):
        with pytest.raises(CodecError, match="2 tensors, at most 1 are allowed"):
            run(*command, "--max-tensors", 1)
        with pytest.raises(CodecError, match="at most 3 are allowed"):
            run(*command, "--max-header-bytes", 3)
    run("unpack", packed, tmp_path / "b.pt", "--threads", 2)
    with pytest.raises(CodecError, match="threads is 0"):
        run("unpack", packed, tmp_path / "b.pt", "--threads", 0)

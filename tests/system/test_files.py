import os
import stat
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from gnnperf.system.files import (
    FileError,
    FolderError,
    atomic_write,
    host_lock,
    locked,
    make_folder,
    sweep,
    usable_path,
    writable_folder,
)


def test_written_whole(tmp_path):
    atomic_write(tmp_path / "a", [b"old"])
    atomic_write(tmp_path / "a", [b"n", b"ew"])
    assert (tmp_path / "a").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_process_killed_in_the_middle_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from gnnperf.system import files
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        files.atomic_write(Path({str(tmp_path / "a")!r}), [b"new"] * 100000)
    """)
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        atomic_write(tmp_path / "a", [b"new"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        FolderError, match=r"--cache .*file/x cannot be written \(Not a directory\)"
    ):
        writable_folder(tmp_path / "file" / "x", "--cache")


def test_a_pipe_is_written_through(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    atomic_write(pipe, [b"a", b"b"])
    reader.join(10)
    assert read == [b"ab"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def node(path, kind):
    """A device node of our own, with the numbers of the one that is always full."""
    try:
        os.mknod(path, kind | 0o600, os.makedev(1, 7))
        with open(path, "rb"):
            pass
    except OSError as error:
        pytest.skip(f"no device node can be made here ({error})")
    return path


def test_a_full_character_device_is_one_sentence_and_stays(tmp_path):
    full = node(tmp_path / "full", stat.S_IFCHR)
    with pytest.raises(FileError, match=r"full cannot be written \(No space left on device\)"):
        atomic_write(full, [b"a"])
    assert stat.S_ISCHR(full.stat().st_mode)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="is a folder, and would not be replaced"):
        atomic_write(tmp_path, [b"a"])


def test_a_link_keeps_pointing_where_it_did(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("a")
    atomic_write(tmp_path / "link", [b"new"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"new"


def test_links_in_a_circle_are_one_sentence(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileError, match=r"a cannot be written \("):
        atomic_write(tmp_path / "a", [b"x"])
    with pytest.raises(FolderError, match=r"--cache .*a/x cannot be written \("):
        writable_folder(tmp_path / "a" / "x", "--cache")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o666])
def test_a_file_keeps_its_mode(tmp_path, bits):
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(bits)
    atomic_write(tmp_path / "a", [b"new"])
    assert mode(tmp_path / "a") == bits


@pytest.mark.parametrize("bits", [0o700, 0o770])
def test_what_is_new_in_a_shared_folder_is_the_groups_too(tmp_path, bits):
    tmp_path.chmod(bits)
    make_folder(tmp_path / "x" / "y")
    atomic_write(tmp_path / "x" / "y" / "a", [b"new"])
    with locked(tmp_path / "x" / "y" / "a"):
        made = [tmp_path / "x", tmp_path / "x" / "y", *(tmp_path / "x" / "y").iterdir()]
        assert len(made) == 4
        assert {bool(mode(path) & stat.S_IWGRP) for path in made} == {bits == 0o770}


def test_where_no_lock_can_be_made_none_is_held(tmp_path, monkeypatch):
    def refused(lock, **options):
        raise PermissionError

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    entered = []
    with locked(tmp_path / "a"):
        entered.append(1)
    assert entered


def test_a_lock_of_the_host_is_held_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    order = []

    def second():
        with host_lock("test", lambda: order.append("waits")):
            order.append("second")

    with host_lock("test"):
        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            time.sleep(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["waits", "first", "second"]


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "victim").touch()
    (tmp_path / "gnnperf-test.lock").symlink_to("victim")
    with pytest.raises(FileError, match=r"gnnperf-test\.lock cannot be locked"), host_lock("test"):
        pass


def test_old_leftovers_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    names = ("checkpoints/.a.0f.tmp", "system/torch_geometric.nn.conv.x_propagate_ab.py", "b.ckpt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "datasets" / "tmpabc" / "deep").mkdir(parents=True)
    sweep(tmp_path)
    assert all((tmp_path / name).exists() for name in names)
    old = time.time() - 3700
    for path in tmp_path.rglob("*"):
        os.utime(path, (old, old))
    sweep(tmp_path)
    assert [name for name in names if (tmp_path / name).exists()] == ["b.ckpt"]
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.parametrize("text", ["a" * 256, "ä" * 128, "a/" * 3000, "a\0b"])
def test_no_path_at_all_is_refused(text):
    with pytest.raises(FolderError, match=r"--json .* is no path that a file system takes"):
        usable_path(text, "--json")


@pytest.mark.parametrize("text", ["a" * 255, "ä" * 127, "a b/c"])
def test_a_path_is_a_path(text):
    assert str(usable_path(text, "--json")) == text

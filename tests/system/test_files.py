import subprocess
import sys
import textwrap

import pytest

from gnnperf.system.files import FolderError, atomic_write, writable_folder


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

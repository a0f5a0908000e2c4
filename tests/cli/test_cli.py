import os
import signal
import subprocess
import sys

import pytest

import gnnperf
from gnnperf.cli import commands, main


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"gnnperf {gnnperf.__version__}\n"


def test_list(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "cora_node-spline" in out
    assert "global@...: magnitude pruning over the whole model; sparsity in [0, 1)" in out


def test_no_command_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "COMMAND" in capsys.readouterr().err


IMPORTING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            os.kill(os.getpid(), signal.{0})

sys.meta_path.insert(0, Interrupts())
from gnnperf.cli import main
sys.exit(main(["list"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("name", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]
)
def test_a_signal_amid_imports_ends_in_a_sentence(name, status, word):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(name)], capture_output=True, text=True
    )
    sentence = f"gnnperf: {word}; what was finished is kept\n"
    assert (done.returncode, done.stdout, done.stderr) == (status, "", sentence)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_open_blocks(monkeypatch, capsys, number, status):
    ended = []

    def run(options):
        try:
            os.kill(os.getpid(), number)
        finally:
            ended.append(number)

    monkeypatch.setattr(commands, "_list", run)
    monkeypatch.setattr("signal.SIG_IGN", object())  # Even where the shell ignores interrupts.
    before = signal.getsignal(number)
    assert main(["list"]) == status
    assert ended == [number]
    assert capsys.readouterr().err.count("\n") == 1
    assert signal.getsignal(number) == before

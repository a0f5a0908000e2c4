import pytest

import gnnperf
from gnnperf.cli import main


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

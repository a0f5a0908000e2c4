import os
import signal
import subprocess
import sys
import time

from gnnperf.cli import main
from gnnperf.datasets import SPECS

from ..datasets.mutations import small_proteins, write

MAIN = "import sys; from gnnperf.cli import main; sys.exit(main())"


def test_interrupted_and_started_again(tmp_path, capsys):
    """Ctrl-C reaches the whole process group, as from a terminal."""
    command = ["train", "cora_node-spline", "--seeds", "0..3", "--gnnperf-data", "synthetic"]
    command += ["--gnnperf-cache", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *command, "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (done := list(tmp_path.glob("checkpoints/*.ckpt"))) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert error.strip().splitlines() == ["gnnperf: interrupted; what was finished is kept"], error

    written = {path: path.stat().st_mtime_ns for path in done}
    assert main([*command, "--jobs", "1"]) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert (row[0], row[-1]) == ("cora_node~synthetic-spline", "4")
    assert len(list(tmp_path.glob("checkpoints/*.ckpt"))) == 4
    assert written == {path: path.stat().st_mtime_ns for path in done}


def test_another_version_of_the_data_is_named(tmp_path, capsys):
    write(tmp_path, SPECS["proteins"], small_proteins(40))
    command = ["train", "proteins-gin", "--jobs", "1", "--gnnperf-data-root", str(tmp_path)]
    command += ["--gnnperf-cache", str(tmp_path / "cache")]
    assert main([*command, "--gnnperf-data-version", "small"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[0] == "proteins~small-gin"
    assert main(command) == 2
    assert "are not the published files, by their SHA-256" in capsys.readouterr().err
    assert main([*command, "--gnnperf-data-version", "a-b"]) == 2
    assert "--gnnperf-data-version 'a-b': name a version" in capsys.readouterr().err

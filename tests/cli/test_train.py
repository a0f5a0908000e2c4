import os
import signal
import subprocess
import sys
import time

from gnnperf.cli import main

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

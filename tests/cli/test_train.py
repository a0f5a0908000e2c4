import os
import signal
import subprocess
import sys
import time

import psutil

from gnnperf.cli import main
from gnnperf.cli.train import BaseReport, report_table
from gnnperf.datasets import SPECS

from ..datasets.mutations import small_proteins, write

# A shell script's background jobs are born deaf to Ctrl-C.
MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from gnnperf.cli import main
sys.exit(main())
"""


def test_what_a_deviation_rests_on_is_said_beside_it():
    def report(workload, seed, note):
        return BaseReport(
            workload, workload, seed, 5, "accuracy", {"accuracy": 0.5 + seed}, 1.0, note
        )

    notes = {"graphs": "over narrow splits", "nodes": "", "others": "over two", "more": "over two"}
    table = report_table([report(n, s, note) for n, note in notes.items() for s in (0, 1)])
    _, _, *rows, first, second = table.splitlines()
    deviations = [row.split("accuracy")[1].split("  -")[0].strip() for row in rows]
    assert deviations == ["1.000 +- 0.707" + tail for tail in (" *", "", " **", " **")]
    assert (first, second) == ("* over narrow splits", "** over two")


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


def test_nothing_outlives_a_termination(tmp_path):
    command = ["train", "cora_node-spline", "--seeds", "0..19", "--gnnperf-data", "synthetic"]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *command, "--gnnperf-cache", str(tmp_path), "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob("checkpoints/*.ckpt")) and process.poll() is None:
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(timeout=20) == -signal.SIGTERM
    _, alive = psutil.wait_procs(family, timeout=2)
    assert family
    assert not alive


def test_an_interrupt_during_the_imports_is_one_sentence():
    code = MAIN.replace(
        "sys.exit",
        "import builtins, os\nfind = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'torch': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return find(name, *rest)\n"
        "builtins.__import__ = interrupted\nsys.exit",
        1,
    )
    done = subprocess.run([sys.executable, "-c", code, "list"], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "gnnperf: interrupted; what was finished is kept\n"


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

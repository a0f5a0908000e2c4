import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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


def small(folder, *more):
    """`gnnperf train` on 40 proteins, on which a training takes no time."""
    write(folder / "data", SPECS["proteins"], small_proteins(40))
    return (
        *("train", "proteins-gin", "--gnnperf-data-root", str(folder / "data")),
        *("--gnnperf-data-version", "small", "--gnnperf-cache", str(folder), *more),
    )


def started(command, **options):
    """A process in which side by side the first training is done, and others are on their way."""
    process = subprocess.Popen([sys.executable, "-c", MAIN, *command], **options)
    (folder,) = (Path(command[n + 1]) for n, o in enumerate(command) if o == "--gnnperf-cache")
    while not list(folder.glob("checkpoints/*.ckpt")) and process.poll() is None:
        time.sleep(0.01)
    return process


def test_interrupted_and_started_again(tmp_path, capsys):
    """Ctrl-C reaches the whole process group, as from a terminal."""
    command = small(tmp_path, "--seeds", "0..199", "--jobs", "2")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = started(command, text=True, start_new_session=True, **pipes)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "")
    assert error.strip().splitlines() == ["gnnperf: interrupted; what was finished is kept"], error

    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("checkpoints/*.ckpt")}
    seeds = sorted(int(path.name.split("-seed")[1].split("-")[0]) for path in written)
    wanted = [*seeds, 200]
    assert main(small(tmp_path, "--seeds", ",".join(map(str, wanted)), "--jobs", "1")) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert (row[0], row[-1]) == ("proteins~small-gin", str(len(wanted)))
    assert len(list(tmp_path.glob("checkpoints/*.ckpt"))) == len(wanted)
    assert written == {path: path.stat().st_mtime_ns for path in written}


@pytest.mark.long
def test_nothing_outlives_a_termination(tmp_path):
    """As tests/system/test_parallel_ends.py has it, here with trainings."""
    none = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = started(small(tmp_path, "--seeds", "0..999", "--jobs", "2"), **none)
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(timeout=300) == 143
    _, alive = psutil.wait_procs(family, timeout=300)
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

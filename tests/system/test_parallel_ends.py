"""Processes side by side end with the one that started them, whatever ends it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")

ALONE = """
import time
from gnnperf.system.parallel import side_by_side, workers_end
def run(options=None):
    with workers_end(2):
        for _ in side_by_side(time.sleep, [(0,), (0,), (60,), (60,)], 2):
            print("one is done", flush=True)
"""
COMMAND = """
import sys
from gnnperf.cli import commands, main
commands._list = run
sys.exit(main(["list"]))
"""


@pytest.mark.parametrize(
    ("script", "number", "status"),
    [
        (ALONE + "run()", signal.SIGKILL, -signal.SIGKILL),
        (ALONE + COMMAND, signal.SIGTERM, 143),
    ],
    ids=["killed", "the command, terminated"],
)
def test_workers_and_trackers_end_within_two_seconds(script, number, status):
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"one is done\n"
    others = psutil.Process(process.pid).children(recursive=True)
    assert len(others) >= 2
    os.kill(process.pid, number)
    # Two seconds, and as much longer as others want the cores as well.
    end = time.monotonic() + 2 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert process.wait(timeout=20) == status
    _, alive = psutil.wait_procs(others, timeout=max(0.0, end - time.monotonic()))
    process.stdout.close()
    # Where nobody asks for them, the dead stay listed.
    left = [other for other in alive if other.status() != psutil.STATUS_ZOMBIE]
    for other in left:
        other.kill()
    assert not left

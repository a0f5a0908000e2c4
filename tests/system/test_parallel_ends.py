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
from types import SimpleNamespace
from gnnperf.cli import main
# In place of all commands, whose imports take seconds.
sys.modules["gnnperf.cli.commands"] = SimpleNamespace(run=run)
sys.exit(main([]))
"""


def slowness():
    """How many times as long as alone a process takes now, as others want the cores too."""
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() < cpu + 0.05:
        pass
    seconds = time.process_time() - cpu
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return max(1.0, load, (time.perf_counter() - wall) / seconds)


def lives(process):
    """Where nobody asks for them, the dead stay listed."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


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
    slower = slowness()
    begin = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(timeout=60) == status
    while (left := [other for other in others if lives(other)]) and time.monotonic() < begin + 60:
        time.sleep(0.01)
    seconds = time.monotonic() - begin
    process.stdout.close()
    for other in left:
        other.kill()
    # As much longer as others want the cores as well.
    assert seconds < 2 * max(slower, slowness())

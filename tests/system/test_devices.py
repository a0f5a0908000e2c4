"""GPUs shared out, with a made-up number of them."""

import subprocess
import sys

import pytest

from gnnperf.system.devices import free_gpu


@pytest.fixture(autouse=True)
def _locks(monkeypatch, tmp_path):
    monkeypatch.setattr("gnnperf.system.devices.HOST_FOLDER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_without_a_gpu_there_is_nothing_to_wait_for():
    with free_gpu(0) as first, free_gpu(0) as second:
        assert (first, second) == (None, None)


def test_each_has_one_of_its_own_and_gives_it_back():
    with free_gpu(2) as first:
        with free_gpu(2) as second:
            assert {first, second} == {0, 1}
        with free_gpu(2) as third:
            assert third == second


def test_processes_that_see_the_same_gpu_under_other_numbers_share_it(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with free_gpu(2) as first:
        assert first == 0
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
        with free_gpu(2) as second:
            assert second == 1


HELD = """
import sys, time
from pathlib import Path
from gnnperf.system import devices
devices.HOST_FOLDER = Path(sys.argv[1])
with devices.free_gpu(1) as number:
    print(number, flush=True)
    time.sleep(60)
"""


def test_a_process_that_dies_gives_its_own_back(tmp_path):
    command = [sys.executable, "-c", HELD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"0\n"
        process.kill()
    with free_gpu(1) as number:
        assert number == 0

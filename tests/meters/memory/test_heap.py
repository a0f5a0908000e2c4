import functools
import os
import tempfile
import threading
from pathlib import Path

import pytest
import torch

from gnnperf.meters.memory.cuda import CudaMemoryMeter
from gnnperf.meters.memory.heap import HeapMeter, LoadHeapMeter

memray = pytest.importorskip("memray")

MEBIBYTE = 2**20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where temporary files go; empty again when a meter let go of everything."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def zeros(mebibytes):
    return lambda: torch.zeros(mebibytes * MEBIBYTE, dtype=torch.uint8)


# Of an importable module, as an isolated call must be.
FIFTY_MEBIBYTES = functools.partial(torch.zeros, 50 * MEBIBYTE, dtype=torch.uint8)


def test_a_tensor_of_known_size_and_twice_the_same_bytes(folder):
    meter = HeapMeter()
    first, second = meter.measure(zeros(50)), meter.measure(zeros(50))
    assert first.value == pytest.approx(50 * MEBIBYTE, rel=0.01)
    assert first.value == second.value
    assert (first.unit, first.status, first.calls) == ("bytes", "measured", 1)
    assert list(folder.iterdir()) == []


def test_the_peak_is_not_the_sum():
    def work():
        for _ in range(3):
            torch.zeros(20 * MEBIBYTE, dtype=torch.uint8)

    assert HeapMeter().measure(work).value == pytest.approx(20 * MEBIBYTE, rel=0.01)


def test_what_was_alive_before_does_not_count():
    before = torch.zeros(30 * MEBIBYTE, dtype=torch.uint8)
    reading = HeapMeter().measure(lambda: before.clone())
    assert reading.value == pytest.approx(30 * MEBIBYTE, rel=0.01)


def test_a_forward_repeats_within_one_per_cent():
    net = torch.nn.Sequential(torch.nn.Linear(300, 200), torch.nn.ReLU(), torch.nn.Linear(200, 9))
    batch = torch.randn(500, 300)
    with torch.inference_mode():
        peaks = [HeapMeter().measure(lambda: net(batch)).value for _ in range(3)]
    assert max(peaks) == pytest.approx(min(peaks), rel=0.01)
    # Two layers' activations live at once.
    assert min(peaks) == pytest.approx(2 * 500 * 200 * 4, rel=0.05)


def test_under_another_tracker_the_answer_is_clear(folder):
    with memray.Tracker(folder / "outer.bin"):
        reading = HeapMeter().measure(zeros(1))
    assert reading.status == "unavailable"
    assert "pytest-memray; run without --memray, or measure isolated" in reading.reason
    assert [f.name for f in folder.iterdir()] == ["outer.bin"]


def test_the_other_tracker_goes_on(folder):
    with memray.Tracker(folder / "outer.bin"):
        HeapMeter().measure(zeros(1))
        zeros(20)()
    with memray.FileReader(folder / "outer.bin") as reader:
        assert reader.metadata.peak_memory > 20 * MEBIBYTE


def test_an_interrupt_while_tracking_begins(folder, monkeypatch):
    class Interrupted(memray.Tracker):
        def __enter__(self):
            super().__enter__()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(memray, "Tracker", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            HeapMeter().measure(zeros(1))
    assert list(folder.iterdir()) == []
    assert HeapMeter().measure(zeros(1)).status == "measured"


def test_isolated_even_under_another_tracker(folder):
    with memray.Tracker(folder / "outer.bin"):
        reading = HeapMeter(isolated=True).measure(FIFTY_MEBIBYTES)
    assert reading.value == pytest.approx(50 * MEBIBYTE, rel=0.01)
    assert [f.name for f in folder.iterdir()] == ["outer.bin"]


def test_a_call_that_cannot_be_sent():
    reading = LoadHeapMeter(isolated=True).measure(zeros(1))
    assert "cannot go to a fresh process" in reading.reason


def test_a_call_that_fails_over_there(folder):
    reading = HeapMeter(isolated=True).measure(functools.partial(os.stat, folder / "nowhere"))
    assert "the fresh process failed (FileNotFoundError" in reading.reason
    assert list(folder.iterdir()) == []


def test_with_cannot_be_isolated():
    with HeapMeter(isolated=True) as meter:
        pass
    assert "use measure(call)" in meter.reading.reason


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_stopped_in_the_middle_nothing_is_left(folder, error):
    calls = []

    def work():
        calls.append(1)
        if len(calls) == 2:
            raise error

    threads = threading.enumerate()
    with pytest.raises(error):
        HeapMeter().measure(work)
    assert list(folder.iterdir()) == []
    assert threading.enumerate() == threads
    assert HeapMeter().measure(zeros(1)).status == "measured"


def test_a_file_lost_in_the_middle(folder):
    with HeapMeter() as meter:
        for file in folder.glob("*/*"):
            Path(file).unlink()
    assert meter.reading.status == "unavailable"
    assert HeapMeter().measure(zeros(1)).status == "measured"


def test_under_pytest_memray(pytester):
    pytest.importorskip("pytest_memray")
    pytester.makepyfile(
        """
        from gnnperf.meters.memory.heap import HeapMeter

        def test_it():
            print(HeapMeter().measure(list).reason)
        """
    )
    result = pytester.runpytest_subprocess("--memray", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*run without --memray, or measure isolated"])


def test_cuda_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    reading = CudaMemoryMeter().measure(lambda: None)
    assert "torch sees no CUDA device; measure with a GPU" in reading.reason


def test_cuda_reads_the_allocators_peak_above_what_was_alive(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda ordinal: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda ordinal: 1000)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda ordinal: 5000)
    assert CudaMemoryMeter().measure(lambda: None).value == 4000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_cuda_for_real():
    work = functools.partial(torch.zeros, 50 * MEBIBYTE, dtype=torch.uint8, device="cuda")
    assert CudaMemoryMeter().measure(work).value == pytest.approx(50 * MEBIBYTE, rel=0.01)

"""NVML against a fake library of its calls, and for real where a GPU is."""

import sys
from types import SimpleNamespace

import pytest
import torch

from gnnperf.meters.energy.nvml import NvmlMeter


class NvmlError(Exception):
    pass


class FakeNvml:
    """GPUs as (UUID, name) and their counters in millijoules."""

    NVMLError = NvmlError

    def __init__(self, *gpus):
        self.gpus = gpus or (("GPU-aaaa-1", "H200"), ("GPU-aabb-2", "H200"))
        self.millijoules = dict.fromkeys(range(len(self.gpus)), 1_000_000)
        self.users, self.broken = 0, ""

    def _call(self):
        if self.broken:
            raise NvmlError(self.broken)

    def nvmlInit(self):  # noqa: N802
        self._call()
        self.users += 1

    def nvmlShutdown(self):  # noqa: N802
        self.users -= 1
        self._call()

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return self.gpus[handle][0]

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return self.gpus[handle][1]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        self._call()
        return self.millijoules[handle]


@pytest.fixture
def nvml():
    return FakeNvml()


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def meter(nvml, *ordinals):
    return NvmlMeter(ordinals or (0,), idle_seconds=0, library=lambda: nvml)


def joules(nvml, *ordinals):
    """The reading of a window in which GPU 0 spends 3 J and GPU 1 spends 5 J."""
    used = meter(nvml, *ordinals)
    with used:
        for gpu, amount in ((0, 3000), (1, 5000)):
            nvml.millijoules[gpu] += amount
    assert nvml.users == 0
    return used.reading


def test_the_gpu_in_use_alone(nvml):
    assert joules(nvml).value == pytest.approx(3)
    assert joules(nvml, 1).value == pytest.approx(5)
    assert joules(nvml, 1).source == "NVML total energy, gpu1"


def test_several_gpus(nvml):
    assert joules(nvml, 0, 1).value == pytest.approx(8)


@pytest.mark.parametrize(
    ("visible", "ordinal", "value"),
    [
        ("1", 0, 5),
        ("1,0", 1, 3),
        ("GPU-aabb-2", 0, 5),
        ("GPU-aab", 0, 5),
        ("GPU-aabb-2, GPU-aaaa-1", 1, 3),
        ("0,7,1", 0, 3),
    ],
)
def test_cuda_visible_devices(nvml, monkeypatch, visible, ordinal, value):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert joules(nvml, ordinal).value == pytest.approx(value)


@pytest.mark.parametrize("visible", ["", "-1", "9", "0,7,1", "GPU-aa", "GPU-0"])
def test_a_gpu_that_is_not_visible(nvml, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert "is in use, but CUDA_VISIBLE_DEVICES shows NVML" in joules(nvml, 1).reason


def test_a_slice(nvml, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-aaaa/1/0")
    assert "no energy counter of its own; measure on a whole GPU" in joules(nvml).reason


def test_mixed_models_need_the_order_of_slots(monkeypatch):
    nvml = FakeNvml(("GPU-1", "H200"), ("GPU-2", "T4"))
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID" in joules(nvml).reason
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert joules(nvml).value == pytest.approx(3)


def test_no_driver(nvml):
    nvml.broken = "Driver Not Loaded"
    with meter(nvml) as used:
        pass
    assert used.reading.status == "unavailable"
    assert "NVML does not start (Driver Not Loaded); install or load" in used.reading.reason


def test_a_gpu_lost_in_the_middle(nvml):
    used = meter(nvml)
    with used:
        nvml.broken = "GPU is lost"
    assert "NVML gives no energy (GPU is lost)" in used.reading.reason
    assert nvml.users == 0


def test_a_driver_reset_in_the_middle(nvml):
    used = meter(nvml)
    with used:
        nvml.millijoules[0] = 0
    assert "went back: the driver was reset" in used.reading.reason


def test_an_interrupt_lets_go(nvml):
    def work():
        if nvml.users:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meter(nvml).measure(work)
    assert nvml.users == 0


def test_the_window_is_two_seconds(nvml, monkeypatch):
    now = [0.0]

    def work():
        now[0] += 0.7
        nvml.millijoules[0] += 7000

    monkeypatch.setattr("gnnperf.meters.base.time", SimpleNamespace(perf_counter=lambda: now[0]))
    reading = meter(nvml).measure(work)
    assert (reading.calls, reading.value) == (3, pytest.approx(7))


def test_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with NvmlMeter() as used:
        pass
    assert "pip install 'gnnperf[gpu]'" in used.reading.reason


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_for_real():
    matrix = torch.ones(4096, 4096, device="cuda")

    def work():
        matrix @ matrix
        torch.cuda.synchronize()

    used = NvmlMeter()
    assert used.measure(work).status == "measured"
    watts = used.reading.value * used.reading.calls / used.reading.window_seconds
    assert 20 < watts < 2000

"""What a result depends on besides the code: versions, machine, threads, allocator."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from gnnperf.errors import GnnperfError

PACKAGES = ("gnnperf", "torch", "torch-geometric", "numpy", "pytest-benchmark")

_MALLOPT = {"M_TRIM_THRESHOLD": (-1, 1 << 30), "M_MMAP_THRESHOLD": (-3, 1 << 30)}


def tune_allocator() -> dict[str, int]:
    """Keep glibc from giving big temporaries back to the kernel at every forward.

    Else a forward pays page faults that a slightly smaller model does not, which looks like a
    speed-up of up to 3 times. Returns the settings that the C library took; empty where it has
    no `mallopt`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return {}
    return {name: size for name, (code, size) in _MALLOPT.items() if mallopt(code, size)}


def settle_threads(threads: int) -> None:
    """Compute with so many threads; waiting threads sleep, as spinning disturbs their neighbours.

    The waiting policy only takes hold where torch's thread pool has not started yet.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    torch.set_num_threads(threads)


def find_device(name: str) -> torch.device:
    """`auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`; raises GnnperfError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise GnnperfError(f"unknown device {name!r}; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise GnnperfError(
            f"device {name} is asked for, but torch sees {torch.cuda.device_count()} CUDA devices; "
            "choose auto or cpu"
        )
    return device


def device_name(device: torch.device) -> str:
    """The processor's or GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()


@functools.cache
def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def versions() -> dict[str, str]:
    """Of Python and of the packages that decide results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


@functools.cache
def git_commit(folder: str) -> str | None:
    """The commit of the checkout that holds `folder`, `-dirty` when changed; None outside one."""
    command = ["git", "-C", folder, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe_machine(device: torch.device) -> dict[str, object]:
    """Where a reading was taken: processor, instruction set, threads, waiting policy, system."""
    return {
        "device": str(device),
        "device_name": device_name(device),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
        "system": platform.platform(),
    }

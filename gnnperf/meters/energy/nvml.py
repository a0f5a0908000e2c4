"""Energy of NVIDIA GPUs from NVML's total-energy counter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from gnnperf.meters.base import MeterError
from gnnperf.meters.energy.counter import CounterMeter, Joules

WINDOW_SECONDS = 2.0


def _library() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise MeterError(
            "nvidia-ml-py is not installed; pip install 'gnnperf[gpu]' to read GPU energy"
        ) from error
    return pynvml


class NvmlMeter(CounterMeter):
    """Joules a call of the GPUs in use, each the whole board with its memory.

    The counter steps every 20 to 100 ms, hence the window of at least 2 s; the call should wait
    for its device work (`torch.cuda.synchronize`).

    Args:
        ordinals: the GPUs in use, numbered as CUDA does in this process: after
            CUDA_VISIBLE_DEVICES.
        library: gives the module with NVML's calls.
    """

    units: ClassVar = {"gpu_energy_joules": "joules", "gpu_energy_above_idle_joules": "joules"}
    prefix = "gpu_energy"
    source = "NVML total energy"
    window_seconds = WINDOW_SECONDS

    def __init__(
        self,
        ordinals: Sequence[int] = (0,),
        idle_seconds: float = WINDOW_SECONDS,
        library: Callable[[], Any] = _library,
    ) -> None:
        super().__init__(idle_seconds)
        self._ordinals, self._load = ordinals, library
        self._nvml: Any = None
        self._handles: dict[str, Any] = {}

    def open(self) -> None:
        """Start NVML and find the GPUs in use."""
        nvml = self._load()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise MeterError(
                f"NVML does not start ({error}); install or load the NVIDIA driver, or measure on "
                "a machine with an NVIDIA GPU"
            ) from error
        self._nvml = nvml
        visible = _visible(nvml, os.environ)
        for ordinal in self._ordinals:
            if ordinal >= len(visible):
                raise MeterError(
                    f"GPU {ordinal} is in use, but CUDA_VISIBLE_DEVICES shows NVML "
                    f"{len(visible)} GPUs; make them agree"
                )
            self._handles[f"gpu{ordinal}"] = visible[ordinal]

    def read(self) -> Joules:
        """Every GPU's counter, which is in millijoules."""
        try:
            return {
                name: self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
                for name, handle in self._handles.items()
            }
        except self._nvml.NVMLError as error:
            raise MeterError(
                f"NVML gives no energy ({error}); it needs a Volta or newer GPU, whole and not "
                "a MIG slice"
            ) from error

    def spent(self, before: Joules, after: Joules) -> Joules:
        """Differences; raises MeterError when the driver was reloaded and counts from zero."""
        found = super().spent(before, after)
        for name, joules in found.items():
            if joules < 0:
                raise MeterError(
                    f"the energy counter of {name} went back: the driver was reset in the window; "
                    "measure again"
                )
        return found

    def abandon(self) -> None:
        """Let go of NVML, which counts its users."""
        nvml, self._nvml, self._handles = self._nvml, None, {}
        if nvml is not None:
            with suppress(nvml.NVMLError):
                nvml.nvmlShutdown()


def _visible(nvml: Any, environment: Any) -> list[Any]:
    """NVML's handles in CUDA's order; raises MeterError."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    by_uuid = listed is not None and "GPU-" in listed
    names = {nvml.nvmlDeviceGetName(handle) for handle in handles}
    if not by_uuid and len(names) > 1 and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise MeterError(
            "GPUs of several models, which CUDA numbers by speed and NVML by slot; "
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )
    if listed is None:
        return handles
    found: list[Any] = []
    for entry in (part.strip() for part in listed.split(",")):
        handle = _named(nvml, handles, entry)
        # CUDA, too, stops at the first entry that names no GPU.
        if handle is None:
            break
        found.append(handle)
    return found


def _named(nvml: Any, handles: Sequence[Any], entry: str) -> Any:
    if entry.startswith("MIG-"):
        raise MeterError(
            f"CUDA_VISIBLE_DEVICES names the MIG slice {entry}, which has no energy counter of its "
            "own; measure on a whole GPU"
        )
    if entry.startswith("GPU-"):
        # A UUID may be shortened as long as it names one GPU.
        matches = [h for h in handles if str(nvml.nvmlDeviceGetUUID(h)).startswith(entry)]
        return matches[0] if len(matches) == 1 else None
    return handles[int(entry)] if entry.isdigit() and int(entry) < len(handles) else None

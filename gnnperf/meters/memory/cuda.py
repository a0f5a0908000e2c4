"""Peak GPU memory of a callable, from the CUDA allocator."""

from __future__ import annotations

from typing import ClassVar

from gnnperf.meters.base import Meter, MeterError, Readings
from gnnperf.records import measured


class CudaMemoryMeter(Meter):
    """Most bytes of tensors that one call held at once on a GPU, above those alive before it.

    Source: `torch.cuda.max_memory_allocated`; what libraries take beside torch's allocator is
    not in it.
    """

    units: ClassVar = {"peak_gpu_bytes": "bytes"}
    source = "CUDA allocator's peak"
    window_seconds = 0.0

    def __init__(self, ordinal: int = 0) -> None:
        super().__init__()
        self._ordinal = ordinal

    def start(self) -> None:
        """Forget the peak of earlier work."""
        import torch

        if not torch.cuda.is_available():
            raise MeterError("torch sees no CUDA device; measure with a GPU and torch built for it")
        torch.cuda.synchronize(self._ordinal)
        torch.cuda.reset_peak_memory_stats(self._ordinal)
        self._before_bytes = torch.cuda.memory_allocated(self._ordinal)

    def stop(self, calls: int, window_seconds: float) -> Readings:
        """Read the peak."""
        import torch

        torch.cuda.synchronize(self._ordinal)
        peak_bytes = torch.cuda.max_memory_allocated(self._ordinal) - self._before_bytes
        return {"peak_gpu_bytes": measured(peak_bytes, "bytes", self.source, calls=calls)}

"""Calls that meters measure: an inference, and one that loads the stored model first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf import codec
from gnnperf.compression import Deployed
from gnnperf.errors import GnnperfError
from gnnperf.models.ties import tie, ties
from gnnperf.training import Parts
from gnnperf.training.ready import device_of


@dataclass(frozen=True)
class Inference:
    """A call that computes the model on all batches once.

    Attributes:
        synchronized: whether it waits for the device.
    """

    model: nn.Module
    batches: Sequence[Data]
    synchronized: bool = False

    def __call__(self) -> None:
        """Compute; the results are thrown away."""
        # torch's compressed rows do not compute in inference mode.
        sparse = any(p.layout != torch.strided for p in self.model.parameters())
        with torch.no_grad() if sparse else torch.inference_mode():
            for batch in self.batches:
                self.model(batch)
        device = device_of(self.model)
        if self.synchronized and device.type == "cuda":
            torch.cuda.synchronize(device)


def inference(model: nn.Module, parts: Parts) -> Inference:
    """A call that computes the model once, on the test part or on what stands for it."""
    return Inference(model, parts.measured)


@dataclass(frozen=True)
class LoadAndInfer:
    """A call that reads a state from its file into the model, and computes it once."""

    path: Path
    read: Callable[[Path], dict[str, Tensor]]
    model: nn.Module
    batches: Sequence[Data]

    def __call__(self) -> None:
        """Load and compute; raises GnnperfError for a state that is not the model's."""
        device = device_of(self.model)
        state = self.read(self.path)
        if isinstance(self.model, Deployed):
            self.model.restore(state)
        else:
            self._load(state)
        self.model.to(device)
        Inference(self.model, self.batches, synchronized=True)()

    def _load(self, state: dict[str, Tensor]) -> None:
        # Masks are no part of what is stored; everything stored must find its place.
        tied = ties(self.model)
        found = self.model.load_state_dict(state, strict=False, assign=True)
        tie(self.model, tied)
        if found.unexpected_keys:
            raise GnnperfError(f"the model has no place for {found.unexpected_keys}")


def read_stored(path: Path) -> dict[str, Any]:
    """A state from its file."""
    return codec.load(path).state


def read_dense(path: Path) -> dict[str, Any]:
    """A state that torch wrote."""
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def read_any(path: Path) -> dict[str, Any]:
    """What this process wrote itself, of whatever classes it holds."""
    state: dict[str, Any] = torch.load(path, weights_only=False)
    return state

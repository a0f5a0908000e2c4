"""A project's own trained weights, from torch's files or the codec's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gnnperf import codec
from gnnperf.compression.finite import weights_fault
from gnnperf.errors import GnnperfError
from gnnperf.models.fields import Fields
from gnnperf.models.ties import whole_state


class WeightsError(GnnperfError):
    """A weights file that is absent, damaged, or another model's."""


def weights_digest(path: Path | str) -> str:
    """SHA-256 of the file; raises WeightsError when it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"checkpoint {path} cannot be read ({error.strerror})") from error


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load a state_dict file into the model without executing pickles; raises WeightsError.

    Files that end in .gnnz are the codec's, all others torch's.
    """
    path = Path(path)
    try:
        state: Any = (
            codec.load(path).state
            if path.suffix == ".gnnz"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # torch.load raises whatever its reader stumbled over.
        reason = str(error).partition("\n")[0]
        raise WeightsError(
            f"checkpoint {path} is no state_dict file ({reason}); "
            "write one with torch.save(model.state_dict(), path)"
        ) from error
    # A state saved from the module itself knows nothing of what wraps it.
    target = model.module if isinstance(model, Fields) else model
    try:
        target.load_state_dict(whole_state(target, state))
    except (RuntimeError, TypeError, ValueError, AttributeError, GnnperfError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"checkpoint {path} does not fit the workload's model: {reason}"
        ) from error
    if fault := weights_fault(target):
        raise WeightsError(
            f"checkpoint {path}: {fault}, and such a model has no score; train it with a lower "
            "learning rate, and save it again"
        )

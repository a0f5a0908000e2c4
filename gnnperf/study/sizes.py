"""What a compressed model takes on disk, beside its dense twin."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gnnperf import codec
from gnnperf.codec.errors import UnsupportedValueError
from gnnperf.compression import Compressed, deployed_state
from gnnperf.meters.base import Readings
from gnnperf.meters.cost import parameter_readings
from gnnperf.ops.values import dense_values
from gnnperf.records import Reading, measured, unavailable


def size_readings(compressed: Compressed) -> dict[str, Reading]:
    """Parameters, non-zeros, and bytes of the file that was read back and compared bit for bit."""
    dense_bytes = len(torch_bytes(compressed.twin.model.state_dict()))
    return {
        **parameter_readings(map(dense_values, compressed.model.parameters())),
        "model_bytes": measured(
            len(torch_bytes(deployed_state(compressed.model))),
            "bytes",
            "torch.save of the case's state, without masks",
        ),
        "dense_bytes": measured(dense_bytes, "bytes", "torch.save of the twin's state"),
        **stored_readings(compressed.state(), dense_bytes),
    }


def stored_readings(state: codec.State, dense_bytes: int) -> Readings:
    """Bytes of the state's file, and by the paper's algorithm; of torch.save's where need be.

    The codec holds dense tensors and codes. What a model of another library keeps besides is
    written by torch, and the reading says so.
    """

    def ratio(stored_bytes: int) -> Reading:
        return measured(dense_bytes / stored_bytes, "ratio", "dense_bytes / stored_bytes")

    try:
        stored_bytes = verified_bytes(state)
        algorithm1_bytes = codec.algorithm1_bytes(state)
    except UnsupportedValueError as error:
        whole, written = (
            f"torch.save, as the codec cannot hold it: {error}",
            len(torch_bytes(state)),
        )
        return {
            "stored_bytes": measured(written, "bytes", whole),
            "algorithm1_bytes": unavailable("bytes", "the paper's Algorithm 1", str(error)),
            "size_ratio": ratio(written),
        }
    return {
        "stored_bytes": measured(stored_bytes, "bytes", "file, read back, equal bit for bit"),
        "algorithm1_bytes": measured(
            algorithm1_bytes, "bytes", "the paper's Algorithm 1, not decodable"
        ),
        "size_ratio": ratio(stored_bytes),
    }


def torch_bytes(state: Mapping[str, Any]) -> bytes:
    """What `torch.save` writes for a state."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def verified_bytes(state: codec.State) -> int:
    """Bytes on disk of the sparse model state file; raises CodecError unless it decodes equal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.gnnz"
        codec.save(state, path)
        difference = codec.first_difference(state, codec.load(path).state)
        if difference is not None:
            raise codec.CodecError(f"the stored state does not come back: {difference}")
        return path.stat().st_size

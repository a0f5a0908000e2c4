"""Models that ship: one file, from which the user's own class gives the compressed model again."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnperf import codec
from gnnperf.compression.blueprint import Blueprint, BlueprintError, blueprint
from gnnperf.compression.compressed import Compressed
from gnnperf.compression.masks import take_masks
from gnnperf.compression.plain import plain_module
from gnnperf.compression.quantization.export import IntegerModel
from gnnperf.compression.rebuilding import rebuilt
from gnnperf.errors import GnnperfError
from gnnperf.models.ties import whole_state
from gnnperf.ops.bounded import bounded_messages
from gnnperf.records import plain, structured
from gnnperf.system.files import atomic_write

ENTRY, VERSION = "gnnperf_model", 1
"""Where a file's metadata says how its model is made, and in which form."""
_CHECKED_BATCHES = 2


class ShippedError(GnnperfError):
    """A file that holds no model, or another one than is asked for."""


def save(compressed: Compressed, path: str | os.PathLike[str]) -> int:
    """Write a compressed model for `load`, and give the file's bytes.

    Before it is written the file is loaded into an emptied copy of the twin, which has to compute
    the same numbers bit for bit. Raises ShippedError where it does not, BlueprintError for a model
    that a file cannot describe, FileError.
    """
    blob = encoded(compressed)
    atomic_write(Path(path), [blob])
    return len(blob)


def encoded(compressed: Compressed) -> bytes:
    """The bytes that `save` writes; raises likewise."""
    state = compressed.state()
    shipped, integers = compressed.shipped, isinstance(compressed.deployed, IntegerModel)
    if isinstance(shipped, IntegerModel):
        shipped = shipped.model
    elif compressed.deployed is not None:
        raise ShippedError(
            f"a {type(shipped).__name__} cannot be made again from a file; store "
            "compressed.state() with gnnperf.codec.save instead"
        )
    shipped = deepcopy(shipped)
    take_masks(shipped)
    plan = blueprint(deepcopy(compressed.twin.model), shipped, state, integers=integers)
    about = {
        "version": VERSION,
        "recipe": compressed.recipe,
        "workload": compressed.twin.workload,
        "blueprint": _as_json(plan),
    }
    blob = codec.encode(state, metadata={ENTRY: about})
    _require_equal(compressed, _filled(codec.decode(blob), _hollow(compressed.twin.model)))
    return blob


def _as_json(plan: Blueprint) -> dict[str, Any]:
    """Without what is empty: small files are to stay small."""
    content: dict[str, Any] = json.loads(json.dumps(plain(plan)))
    return {name: value for name, value in content.items() if value}


@torch.no_grad()
def _hollow(model: nn.Module) -> nn.Module:
    """A copy without its numbers, which then can only come from the file."""
    empty = deepcopy(model)
    for tensor in (*empty.parameters(), *empty.buffers()):
        tensor.zero_()
    return empty


@torch.no_grad()
def _require_equal(compressed: Compressed, loaded: nn.Module) -> None:
    for batch in list(compressed.twin.parts.test)[:_CHECKED_BATCHES]:
        with bounded_messages(compressed.shipped), bounded_messages(loaded):
            expected, found = (tree_leaves(m.eval()(batch)) for m in (compressed.shipped, loaded))
        if len(expected) != len(found) or not all(map(_same, expected, found)):
            raise ShippedError(
                f"{compressed.twin.workload}, {compressed.recipe}: read back, the model computes "
                "other numbers; keep in buffers or plain attributes all that a method changes"
            )


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return bool(one == other)
    return isinstance(other, Tensor) and one.equal(other)


def load(path: str | os.PathLike[str], model: nn.Module) -> nn.Module:
    """The compressed model of a file that `Compressed.save` wrote, in eval mode.

    Args:
        path: the file; nothing in it is executed.
        model: of the class that was compressed, with the same arguments. Its weights do not count,
            and it stays as it is; the result lies on its device.

    Raises ShippedError for a file that is none, and for another architecture, with the first name
    that differs; CodecError for a damaged one.
    """
    if not isinstance(model, nn.Module):
        raise ShippedError(f"{path}: give a model to load into, not a {type(model).__name__}")
    try:
        decoded = codec.load(path)
    except OSError as error:
        raise ShippedError(f"{path} cannot be read ({error.strerror or error})") from error
    try:
        return _filled(decoded, deepcopy(model))
    except GnnperfError as error:
        raise ShippedError(
            f"{path} does not fit the {type(model).__name__}: {error}; give a model as the one "
            "that was compressed"
        ) from error


def _filled(decoded: codec.Decoded, model: nn.Module) -> nn.Module:
    """Make the model that a file describes out of this one, which is used up."""
    about = decoded.metadata.get(ENTRY)
    if not isinstance(about, dict):
        raise BlueprintError("it holds a state alone, which gnnperf.codec.load reads")
    if about.get("version") != VERSION:
        raise BlueprintError(f"it is of version {about.get('version')}, and this reads {VERSION}")
    try:
        plan = structured(about.get("blueprint"), Blueprint)
    except ValueError as error:
        raise BlueprintError(f"how its model is made cannot be read ({error})") from None
    model = rebuilt(plain_module(model, "the model"), plan, decoded.state)
    if plan.integers:
        return IntegerModel.of_state(model.requires_grad_(False), decoded.state).eval()
    try:
        model.load_state_dict(whole_state(model, decoded.state))
    except RuntimeError as error:
        raise BlueprintError(" ".join(str(error).split())) from None
    return model.eval()


def dense_state(compressed: Compressed) -> dict[str, Tensor]:
    """What is shipped as plain tensors, each with memory of its own: codes as their numbers."""
    state = compressed.state()
    return {name: _numbers(value).detach().clone().contiguous() for name, value in state.items()}


def _numbers(value: codec.Value) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return (value.values.int() - value.zero_point) * value.scale


def save_safetensors(compressed: Compressed, path: str | os.PathLike[str]) -> int:
    """Write `dense_state` as a safetensors file, and give its bytes; nothing in it is smaller.

    Raises ShippedError where that library is not installed.
    """
    try:
        from safetensors.torch import save as packed
    except ImportError:
        raise ShippedError(
            "--format safetensors needs a package: pip install safetensors"
        ) from None
    about = {"recipe": compressed.recipe, "workload": compressed.twin.workload}
    blob: bytes = packed(dense_state(compressed), metadata=about)
    atomic_write(Path(path), [blob])
    return len(blob)

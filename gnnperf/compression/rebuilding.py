"""A model made again from its user's class and a blueprint."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gnnperf.codec import State
from gnnperf.compression.blueprint import (
    ABSENT,
    PARTS,
    Blueprint,
    BlueprintError,
    Buffer,
    Part,
    inside_parts,
    is_plain,
    stored_shape,
    tensors_of,
)
from gnnperf.compression.quantization.quantize import with_linears
from gnnperf.models.ties import tie, ties


def _unpacked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(_unpacked(item) for item in value["tuple"])
    return [_unpacked(item) for item in value] if isinstance(value, list) else value


def rebuilt(model: nn.Module, plan: Blueprint, state: State) -> nn.Module:
    """The model that a blueprint describes, of the right shapes, without its numbers.

    Args:
        model: of the user's class; changed in place.
        plan: from the file.
        state: from the file.

    Raises BlueprintError with the first name that differs from the class that was shipped.
    """
    if plan.linears:
        model = with_linears(model)
    _require_alike(model, plan, state)
    device = next((t.device for t in chain(model.parameters(), model.buffers())), None)
    _reshape(model, plan, state)
    modules = dict(model.named_modules())
    for name, changed in plan.attributes.items():
        for attribute, value in changed.items():
            if name not in modules or not is_plain(getattr(modules[name], attribute, ABSENT)):
                raise BlueprintError(f"the model has no plain value {name}.{attribute}")
            setattr(modules[name], attribute, _unpacked(value))
    most = sum(_size(value) for value in state.values())
    for part in plan.parts:
        _put(model, part, device, most)
    tie(model, plan.ties)
    return model


def _size(value: Any) -> int:
    tensor = value if isinstance(value, Tensor) else value.values
    return tensor.numel() + 1


def _require_alike(model: nn.Module, plan: Blueprint, state: State) -> None:
    """Compare what the class has with what the shipped one had."""
    inside = inside_parts(plan.parts)
    had: dict[str, Any] = {
        name: stored_shape(value) for name, value in state.items() if not name.startswith(inside)
    }
    had |= {name: tuple(shape) for name, shape in plan.shapes.items()}
    # What the file keeps under one name alone.
    tied = ties(model)
    has = {n: t for n, t in tensors_of(model).items() if n in had or tied.get(n) not in had}
    for name, tensor in has.items():
        if is_lazy(tensor):
            raise BlueprintError(f"{name} of the model has no size yet; call the model once")
        if name not in had:
            raise BlueprintError(f"the model has {name}, which the file's has not")
        if tuple(tensor.shape) != had[name]:
            raise BlueprintError(
                f"{name} is {list(tensor.shape)} in the model and {list(had[name])} in the file's"
            )
        stored = state.get(name)
        if isinstance(stored, Tensor) and stored.dtype != tensor.dtype:
            raise BlueprintError(
                f"{name} is {tensor.dtype} in the model and {stored.dtype} in the file"
            )
    for name in had:
        if name not in has and name not in tied:
            raise BlueprintError(f"the file's model has {name}, which the model has not")


def _reshape(model: nn.Module, plan: Blueprint, state: State) -> None:
    """Give tensors the stored shapes, those with several names one tensor still."""
    changed: dict[int, Tensor | None] = {}
    inside = inside_parts(plan.parts)
    for name, tensor in tensors_of(model).items():
        if name in plan.dropped:
            changed[id(tensor)] = None
        elif name.startswith(inside) or name not in state:
            continue
        elif (shape := stored_shape(state[name])) != tuple(tensor.shape):
            empty = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
            parameter = isinstance(tensor, nn.Parameter)
            changed[id(tensor)] = nn.Parameter(empty) if parameter else empty
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for leaf, owned in list(held.items()):
                if id(owned) in changed:
                    held[leaf] = changed[id(owned)]  # type: ignore[assignment]  # of the same kind


def _put(model: nn.Module, part: Part, device: torch.device | None, most: int) -> None:
    kind = PARTS.get(part.kind)
    owner, _, leaf = part.name.rpartition(".")
    if kind is None:
        raise BlueprintError(f"a {part.kind} at {part.name} is nothing that this gnnperf knows")
    try:
        home = model.get_submodule(owner)
    except AttributeError:
        raise BlueprintError(f"the file's model has {owner}, which the model has not") from None
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    for attribute, value in part.attributes.items():
        setattr(made, attribute, _unpacked(value))
    for name, buffer in part.buffers.items():
        tensor = None if buffer is None else _made(part, name, buffer, device, most)
        made.register_buffer(name, tensor, persistent=buffer is None or buffer.fill is None)
    # A convolution's sites hang on hooks.
    attach = getattr(made, "attach", None)
    if attach is None:
        home.register_module(leaf, made) if leaf not in vars(home) else setattr(home, leaf, made)
    else:
        attach(home)


def _made(part: Part, name: str, buffer: Buffer, device: torch.device | None, most: int) -> Tensor:
    dtype = getattr(torch, buffer.dtype, None)
    count = 1
    for size in buffer.shape:
        count *= max(size, 0)
    if not isinstance(dtype, torch.dtype) or count > most or min(buffer.shape, default=0) < 0:
        raise BlueprintError(f"{part.name}.{name} cannot be {buffer.dtype} {list(buffer.shape)}")
    return torch.full(buffer.shape, buffer.fill or 0, dtype=dtype, device=device)

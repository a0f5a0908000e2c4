"""How a model that is shipped is made from its user's own class, as plain data.

What recipes do to a model's shape: tensors get smaller, counts that layers keep follow, biases
go, and layers of gnnperf's take the place of linear ones. Nothing else can be written down, and
nothing of it is code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gnnperf.codec import State
from gnnperf.compression.quantization.a2q.linear import IntegerFeatures
from gnnperf.compression.quantization.convolution import (
    MessagePassingSites,
    QuantizedAggregate,
    UpdateSite,
)
from gnnperf.compression.quantization.export import FoldedNorm
from gnnperf.compression.quantization.fake_quantize import FrozenQuantize
from gnnperf.compression.quantization.linear import IntegerLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.quantize import with_linears
from gnnperf.errors import GnnperfError
from gnnperf.models.ties import tie, ties

PARTS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(FoldedNorm, FrozenQuantize, IntegerFeatures, IntegerLinear, MessagePassingSites),
        *(QuantizedAggregate, UpdateSite, nn.Identity),
    )
}
"""The modules that a file may put into a model; each is made of plain attributes, buffers, and
modules that are such again."""


class BlueprintError(GnnperfError):
    """A model that cannot be written down, or that is not the one that was."""


@dataclass(frozen=True)
class Buffer:
    """A part's tensor: `fill` of one that no state holds."""

    dtype: str
    shape: tuple[int, ...]
    fill: float | None = None


@dataclass(frozen=True)
class Part:
    """A module of gnnperf's that stands in the model.

    Attributes:
        name: where.
        kind: its class, in PARTS.
        attributes: plain values.
        buffers: by name; None where it has none of that name.
    """

    name: str
    kind: str
    attributes: Mapping[str, Any]
    buffers: Mapping[str, Buffer | None]


@dataclass(frozen=True)
class Blueprint:
    """What turns a model of the user's class into the one that is shipped.

    Attributes:
        shapes: of the class's tensors, where the state has another under that name, or none.
        dropped: tensors that went.
        attributes: plain values that changed, by module and attribute.
        linears: whether modules with a method `with_linear` gave way to its result.
        integers: whether the parts are those of an integer model.
        parts: in the order in which they are put in.
        ties: further names of one tensor -> its first.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    linears: bool = False
    integers: bool = False
    parts: tuple[Part, ...] = ()
    ties: Mapping[str, str] = field(default_factory=dict)


def blueprint(own: nn.Module, shipped: nn.Module, state: State, *, integers: bool) -> Blueprint:
    """Write down how `shipped`, without masks, is made from a model of the user's class.

    Args:
        own: such a model; changed.
        shipped: what is stored; of an integer model what is inside.
        state: what is stored.
        integers: whether it is an integer model's.

    Raises BlueprintError for what a method put in and that is none of PARTS.
    """
    if integers:
        own = with_linears(own)
    found = _Differences()
    found.between("", own, shipped)
    theirs = _tensors(own)
    return Blueprint(
        {n: tuple(t.shape) for n, t in theirs.items() if not _is_stored(state, n, t)},
        tuple(found.dropped),
        found.attributes,
        integers,
        integers,
        tuple(found.parts),
        {n: first for n, first in ties(shipped).items() if ties(own).get(n) != first},
    )


def _is_stored(state: State, name: str, tensor: Tensor) -> bool:
    stored = state.get(name)
    return isinstance(stored, Tensor) and stored.shape == tensor.shape


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """What a state of the model holds, by every name."""
    return {n: value for n, value in model.state_dict(keep_vars=True).items() if _is_tensor(value)}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


class _Differences:
    """Walks both models side by side."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.attributes: dict[str, dict[str, Any]] = {}
        self.parts: list[Part] = []

    def between(self, name: str, theirs: nn.Module, mine: nn.Module) -> None:
        if type(mine) is not type(theirs):
            self._put_in(name, mine)
            return
        changed = {
            attribute: _packed(value)
            for attribute, value in _own_attributes(mine)
            if _is_plain(value) and _differs(vars(theirs).get(attribute, _ABSENT), value)
        }
        if changed:
            self.attributes[name] = changed
        self._tensors_between(name, theirs, mine)
        for leaf, child in mine._modules.items():
            other = theirs._modules.get(leaf)
            if child is not None and other is not None:
                self.between(_joined(name, leaf), other, child)
            elif child is not None and not isinstance(child, Protection):
                self._put_in(_joined(name, leaf), child)
            elif child is None and other is not None:
                raise _unknown(_joined(name, leaf), "is gone")
        if gone := [leaf for leaf in theirs._modules if leaf not in mine._modules]:
            raise _unknown(_joined(name, gone[0]), "is gone")

    def _tensors_between(self, name: str, theirs: nn.Module, mine: nn.Module) -> None:
        before = {**theirs._parameters, **theirs._buffers}
        after = {**mine._parameters, **mine._buffers}
        for leaf, tensor in after.items():
            if tensor is not None and before.get(leaf) is None:
                raise _unknown(_joined(name, leaf), "is a tensor that the model's class has not")
        gone = (leaf for leaf, tensor in before.items() if tensor is not None)
        self.dropped += [_joined(name, leaf) for leaf in gone if after.get(leaf) is None]

    def _put_in(self, name: str, part: nn.Module) -> None:
        kind = type(part).__name__
        if PARTS.get(kind) is not type(part) or part._parameters:
            raise _unknown(name, f"is a {kind}")
        plain = dict(_own_attributes(part))
        plain |= dict.fromkeys(
            (n for n, child in part._modules.items() if isinstance(child, Protection)), None
        )
        if odd := [n for n, value in plain.items() if not _is_plain(value)]:
            raise _unknown(name, f"is a {kind} whose {odd[0]} is no plain value")
        self.parts.append(
            Part(
                name,
                kind,
                {n: _packed(value) for n, value in plain.items()},
                {n: _buffer(part, n, tensor) for n, tensor in part._buffers.items()},
            )
        )
        for leaf, child in part._modules.items():
            if child is not None and not isinstance(child, Protection):
                self._put_in(_joined(name, leaf), child)


def _unknown(name: str, what: str) -> BlueprintError:
    return BlueprintError(
        f"{name} {what}, and a file can say nothing of what a method of one's own puts in; "
        f"there are {', '.join(PARTS)}: store compressed.state() with gnnperf.codec.save instead"
    )


def _joined(name: str, leaf: str) -> str:
    return f"{name}.{leaf}" if name else leaf


_ABSENT = object()
_OF_ANY_MODULE = frozenset(vars(nn.Module()))


def _own_attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for attribute, value in vars(module).items():
        if attribute not in _OF_ANY_MODULE and not attribute.endswith("_hooks"):
            yield attribute, value


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _differs(before: Any, after: Any) -> bool:
    return type(before) is not type(after) or bool(before != after)


def _packed(value: Any) -> Any:
    """As JSON, in which a tuple has a form of its own."""
    if isinstance(value, tuple):
        return {"tuple": [_packed(item) for item in value]}
    return [_packed(item) for item in value] if isinstance(value, list) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(_unpacked(item) for item in value["tuple"])
    return [_unpacked(item) for item in value] if isinstance(value, list) else value


def _buffer(part: nn.Module, name: str, tensor: Tensor | None) -> Buffer | None:
    if tensor is None:
        return None
    fill = None
    if name in part._non_persistent_buffers_set:
        fill = float(tensor.flatten()[0]) if tensor.numel() else 0.0
        if not bool((tensor == fill).all()):
            raise _unknown(name, f"is a buffer of a {type(part).__name__} that no state holds")
    return Buffer(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), fill)


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
            if name not in modules or not _is_plain(getattr(modules[name], attribute, _ABSENT)):
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
    inside = tuple(f"{part.name}." for part in plan.parts)
    had: dict[str, Any] = {
        name: tuple(value.shape)
        for name, value in state.items()
        if isinstance(value, Tensor) and not name.startswith(inside)
    }
    had |= {name: tuple(shape) for name, shape in plan.shapes.items()}
    # What the file keeps under one name alone.
    tied = ties(model)
    has = {n: t for n, t in _tensors(model).items() if n in had or tied.get(n) not in had}
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
    inside = tuple(f"{part.name}." for part in plan.parts)
    for name, tensor in _tensors(model).items():
        stored = state.get(name)
        if name in plan.dropped:
            changed[id(tensor)] = None
        elif isinstance(stored, Tensor) and not name.startswith(inside):
            if stored.shape != tensor.shape:
                empty = torch.empty(stored.shape, dtype=tensor.dtype, device=tensor.device)
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

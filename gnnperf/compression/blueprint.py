"""How a model that is shipped is made from its user's own class, as plain data.

What recipes do to a model's shape: tensors get smaller, counts that layers keep follow, biases
go, and layers of gnnperf's take the place of linear ones. Nothing else can be written down, and
nothing of it is code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from gnnperf.codec import State, Value
from gnnperf.compression.quantization.a2q.linear import IntegerFeatures
from gnnperf.compression.quantization.convolution import (
    MessagePassingSites,
    QuantizedAggregate,
    UpdateSite,
)
from gnnperf.compression.quantization.export import FoldedNorm
from gnnperf.compression.quantization.fake_quantize import FrozenQuantize
from gnnperf.compression.quantization.linear import FloatLinear, IntegerLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.quantize import with_linears
from gnnperf.compression.quantization.raw import WholeFeatures
from gnnperf.errors import GnnperfError
from gnnperf.models.ties import ties

PARTS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(FloatLinear, FoldedNorm, FrozenQuantize, IntegerFeatures, IntegerLinear),
        *(MessagePassingSites, QuantizedAggregate, UpdateSite, WholeFeatures, nn.Identity),
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
    theirs, inside = tensors_of(own), inside_parts(found.parts)
    return Blueprint(
        {n: tuple(t.shape) for n, t in theirs.items() if not _is_stored(state, n, t, inside)},
        tuple(found.dropped),
        found.attributes,
        integers,
        integers,
        tuple(found.parts),
        {
            name: first
            for name, first in ties(shipped).items()
            if name.startswith(inside) or ties(own).get(name) != first
        },
    )


def inside_parts(parts: Iterable[Part]) -> tuple[str, ...]:
    """What the names of tensors in these parts begin with."""
    return tuple(f"{part.name}." for part in parts)


def _is_stored(state: State, name: str, tensor: Tensor, inside: tuple[str, ...]) -> bool:
    kept = name in state and stored_shape(state[name]) == tuple(tensor.shape)
    # A part's tensors are not the class's, whatever they are called.
    return kept and not name.startswith(inside)


def stored_shape(value: Value) -> tuple[int, ...]:
    """Of a tensor, or of a weight that is stored as codes."""
    return tuple((value if isinstance(value, Tensor) else value.values).shape)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
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
            if is_plain(value) and _differs(vars(theirs).get(attribute, ABSENT), value)
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
        if odd := [n for n, value in plain.items() if not is_plain(value)]:
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


ABSENT = object()
"""No value at all, which is not plain."""
_OF_ANY_MODULE = frozenset(vars(nn.Module()))


def _own_attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for attribute, value in vars(module).items():
        if attribute not in _OF_ANY_MODULE and not attribute.endswith("_hooks"):
            yield attribute, value


def is_plain(value: Any) -> bool:
    """Whether a value can be written down: None, a bool, number or text, or a list of such."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _differs(before: Any, after: Any) -> bool:
    return type(before) is not type(after) or bool(before != after)


def _packed(value: Any) -> Any:
    """As JSON, in which a tuple has a form of its own."""
    if isinstance(value, tuple):
        return {"tuple": [_packed(item) for item in value]}
    return [_packed(item) for item in value] if isinstance(value, list) else value


def _buffer(part: nn.Module, name: str, tensor: Tensor | None) -> Buffer | None:
    if tensor is None:
        return None
    fill = None
    if name in part._non_persistent_buffers_set:
        fill = float(tensor.flatten()[0]) if tensor.numel() else 0.0
        if not bool((tensor == fill).all()):
            raise _unknown(name, f"is a buffer of a {type(part).__name__} that no state holds")
    return Buffer(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), fill)

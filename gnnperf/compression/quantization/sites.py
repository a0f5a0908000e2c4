"""Where a model is quantized: its linear layers, and putting others in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear as PygLinear

from gnnperf.compression.compressed import Changed, RecipeError

# PyG's Linear is no nn.Linear: a search for the latter alone finds nothing in a PyG model.
LINEARS = (nn.Linear, PygLinear)


def linears(model: nn.Module) -> dict[str, nn.Module]:
    """All linear layers by name, in the order in which the model holds them."""
    return {name: part for name, part in model.named_modules() if isinstance(part, LINEARS)}


Call = Callable[..., Any]


def require_float32(model: nn.Module) -> None:
    """Raise RecipeError for weights of another floating-point dtype: ranges and codes are of it."""
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            raise RecipeError(
                f"{name} is {parameter.dtype}, and quantization computes in torch.float32; convert "
                "model and graphs with .float() before"
            )


@contextmanager
def around(parts: Mapping[str, nn.Module], do: Callable[..., Any]) -> Iterator[None]:
    """Inside, `do(name, forward, value)` stands for the forward of each part.

    However that is called: the part itself, its `forward`, with the value by place or by name.
    """

    def instead(name: str, forward: Call) -> Call:
        def call(*values: Any, **named: Any) -> Any:
            return do(name, forward, *values, *named.values())

        return call

    own: dict[str, Any] = {name: part.__dict__.get("forward") for name, part in parts.items()}
    for name, part in parts.items():
        part.forward = instead(name, part.forward)
    try:
        yield
    finally:
        for name, part in parts.items():
            del part.forward
            if own[name] is not None:
                part.forward = own[name]


@contextmanager
def watching(
    model: nn.Module, parts: Mapping[str, nn.Module], note: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Inside, the model is in eval mode, and each part that is called goes to `note`.

    `note(name, value)` is told before the part computes; the model's mode is given back.
    """

    def noted(name: str, forward: Call, value: Tensor) -> Any:
        note(name, value)
        return forward(value)

    training = model.training
    model.eval()
    try:
        with around(parts, noted):
            yield
    finally:
        model.train(training)


def replace_module(model: nn.Module, part: nn.Module, other: nn.Module) -> None:
    """Put another module wherever the model holds this part."""
    for parent in list(model.modules()):
        # named_children would name a part once that a parent holds twice.
        for name, child in list(parent._modules.items()):
            if child is part:
                setattr(parent, name, other)


def weight_coverage(model: nn.Module, names: Iterable[str]) -> dict[str, Changed]:
    """Coverage of weights by name: every entry of them is quantized."""
    return {
        name: Changed(count, count, "quantized")
        for name in names
        for count in [model.get_parameter(name).numel()]
    }

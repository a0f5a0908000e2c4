"""Where a model is quantized: its linear layers, and putting others in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn.dense import Linear as PygLinear

from gnnperf.compression.compressed import Changed, RecipeError

# PyG's Linear is no nn.Linear: a search for the latter alone finds nothing in a PyG model.
LINEARS = (nn.Linear, PygLinear)


def linears(model: nn.Module) -> dict[str, nn.Module]:
    """All linear layers by name, in the order in which the model holds them."""
    return {name: part for name, part in model.named_modules() if isinstance(part, LINEARS)}


def require_float32(model: nn.Module) -> None:
    """Raise RecipeError for weights of another floating-point dtype: ranges and codes are of it."""
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            raise RecipeError(
                f"{name} is {parameter.dtype}, and quantization computes in torch.float32; convert "
                "model and graphs with .float() before"
            )


@contextmanager
def watching(
    model: nn.Module, parts: Mapping[str, nn.Module], note: Callable[..., None]
) -> Iterator[None]:
    """Inside, the model is in eval mode, and each part that is called goes to `note`.

    `note(name, *inputs)` is told before the part computes; the model's mode is given back.
    """
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs, name=name: note(name, *inputs))
        for name, part in parts.items()
    ]
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def called(model: nn.Module, parts: Mapping[str, nn.Module], batch: Data) -> set[str]:
    """Names of the parts that one forward in eval mode calls."""
    seen: set[str] = set()
    with watching(model, parts, lambda name, *_: seen.add(name)):
        model(batch)
    return seen


def quantizable(model: nn.Module, batch: Data) -> dict[str, nn.Module]:
    """The linear layers that are quantized, by name: all that a forward calls but the first.

    The first is the one that the model holds first; it reads the raw features. A layer whose
    weight is read past its `forward`, as PyG's attention and sparse inputs do, cannot be replaced.
    Raises RecipeError when none is left.
    """
    found = linears(model)
    seen = called(model, found, batch)
    left = {name: part for name, part in list(found.items())[1:] if name in seen}
    if not left:
        raise RecipeError(
            f"the {type(model).__name__} has nothing to quantize: of its {len(found)} linear "
            "layers (torch's or PyG's) none is called but the first, which stays fp32; "
            "quantize a model with at least two"
        )
    return left


def replace_module(model: nn.Module, part: nn.Module, other: nn.Module) -> None:
    """Put another module wherever the model holds this part."""
    for parent in list(model.modules()):
        # named_children would name a part once that a parent holds twice.
        for name, child in list(parent._modules.items()):
            if child is part:
                setattr(parent, name, other)


def weight_coverage(parts: Mapping[str, nn.Module]) -> dict[str, Changed]:
    """Coverage of layers by name: every entry of their weights is quantized."""
    return {
        f"{name}.weight": Changed(count, count, "quantized")
        for name, part in parts.items()
        for count in [part.get_parameter("weight").numel()]
    }

"""Whole torch modules to a file and back, beside `save` and `load` for states."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from gnnperf.codec.effort import Level
from gnnperf.codec.errors import CodecError
from gnnperf.codec.files import DEFAULT, load, save
from gnnperf.codec.sources import StrPath, naming
from gnnperf.codec.state import QuantizedTensor


def save_model(
    model: torch.nn.Module,
    path: StrPath,
    *,
    metadata: Mapping[str, Any] | None = None,
    level: Level = "auto",
    threads: int = 1,
) -> int:
    """Write a module's state as `save` does; tied weights are stored once and come back tied.

    Raises as `save` does, and TypeError if it is no module.
    """
    return save(_checked(model).state_dict(), path, metadata=metadata, level=level, threads=threads)


def load_model(
    model: torch.nn.Module,
    path: StrPath,
    *,
    strict: bool = True,
    max_bytes: int | None = DEFAULT.max_bytes,
    max_tensors: int = DEFAULT.max_tensors,
    max_header_bytes: int = DEFAULT.max_header_bytes,
    threads: int = 1,
) -> tuple[list[str], list[str]]:
    """Put a file's tensors into a module; quantized ones as the values that they stand for.

    Returns the names that the file lacks and those that the module lacks. Raises as `load` does,
    TypeError if it is no module, and CodecError for other shapes or, if `strict`, for any such
    name; the module is then as it was.
    """
    own = _checked(model).state_dict()
    decoded = load(
        path,
        max_bytes=max_bytes,
        max_tensors=max_tensors,
        max_header_bytes=max_header_bytes,
        threads=threads,
    )
    with naming(path):
        state = {
            name: value.dequantized() if isinstance(value, QuantizedTensor) else value
            for name, value in decoded.state.items()
        }
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        if strict and (missing or unexpected):
            raise CodecError(
                f"the file lacks {_some(missing)} of the model, and the model {_some(unexpected)} "
                "of the file; pass strict=False to load the others"
            )
        for name, value in state.items():
            _check_shape(name, value, own.get(name))
        try:
            model.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise CodecError(f"the model refuses it: {' '.join(str(error).split())}") from None
    return missing, unexpected


def _checked(model: torch.nn.Module) -> torch.nn.Module:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"a model is a torch.nn.Module, not a {type(model).__name__}")
    return model


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return f"{len(names)} names ({shown}{', ...' if len(names) > 3 else ''})" if names else "none"


def _check_shape(name: str, value: torch.Tensor, own: object) -> None:
    if isinstance(own, torch.Tensor) and not is_lazy(own) and value.shape != own.shape:
        raise CodecError(
            f"tensor {name!r} is {list(value.shape)} in the file and {list(own.shape)} in the model"
        )

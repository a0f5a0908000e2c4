"""Calling a model that somebody brought, with one sentence where it cannot take the batch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.errors import GnnperfError

_OF_DATA = re.compile(r"not (\w*Data|\w*Batch)\b|'(GlobalStorage|\w*Data|\w*Batch)' object")


def output_of(model: nn.Module, batch: Data, task: str) -> Any:
    """What the model gives for a batch; raises GnnperfError where its forward takes no `Data`.

    And where model and data differ in dtype. Other errors of the model pass as they are.
    """
    try:
        return model(batch)
    except GnnperfError:
        raise
    except (TypeError, AttributeError, RuntimeError, ValueError, NotImplementedError) as error:
        if complaint := _takes_tensors(model, error) or _dtypes_differ(model, batch):
            raise GnnperfError(f"{task}: {complaint}") from error
        raise


def tensor_of(output: Any, task: str, needed: str) -> Tensor:
    """The output as a tensor; raises GnnperfError for tuples and the like."""
    if isinstance(output, Tensor):
        return output
    kind = type(output).__name__
    if isinstance(output, (tuple, list)):
        inside = ", ".join(_shape(item) for item in output)
        kind = f"{kind} of {len(output)} ({inside})"
    raise GnnperfError(
        f"{task}: the model gave a {kind}, and {needed} is needed; let forward return that tensor "
        "alone"
    )


def _shape(item: Any) -> str:
    return str(list(item.shape)) if isinstance(item, Tensor) else type(item).__name__


def _takes_tensors(model: nn.Module, error: Exception) -> str | None:
    name = type(model).__name__
    needed = _required(model)
    wrapped = f"wrap it: gnnperf.Fields({name}(...), {{}})"
    if len(needed) != 1 and isinstance(error, TypeError):
        fields = ", ".join(repr(field) for field in needed) or "'x'"
        return (
            f"the model {name} takes {', '.join(needed) or 'nothing'}, not one Data; "
            + wrapped.format(fields)
        )
    if isinstance(error, (TypeError, AttributeError)) and _OF_DATA.search(str(error)):
        reason = str(error).partition("\n")[0]
        return (
            f"the model {name} cannot work on a Data ({reason}); set that field of the graphs, or "
            "where forward takes tensors " + wrapped.format("'x', 'edge_index'")
        )
    return None


def _required(model: nn.Module) -> list[str]:
    """Names of the arguments that forward cannot do without."""
    return [
        parameter.name
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def _dtypes_differ(model: nn.Module, batch: Data) -> str | None:
    mine = {p.dtype for p in model.parameters() if p.is_floating_point()}
    theirs = {tensor.dtype for tensor in _floats(batch)}
    if not mine or theirs <= mine:
        return None
    model_dtype, data_dtype = min(mine, key=str), min(theirs - mine, key=str)
    return (
        f"the model computes in {model_dtype} and the data is {data_dtype}; write "
        f"model.to({data_dtype}), or convert the graphs with graph.apply(lambda t: "
        f"t.to({model_dtype}) if t.is_floating_point() else t)"
    )


def _floats(batch: Data) -> Iterator[Tensor]:
    """The floating-point inputs of a batch; its targets may be of any dtype."""
    for store in batch.stores:
        for name, value in store.items():
            if isinstance(value, Tensor) and value.is_floating_point() and name not in _TARGETS:
                yield value


_TARGETS = ("y", "edge_label", "train_mean")


def of_any_float(tensor: Tensor) -> Tensor:
    """In double precision on the processor, from half and bfloat16 too."""
    return tensor.detach().to("cpu", torch.float64)

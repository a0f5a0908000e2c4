"""Whether a model's numbers are numbers: NaN passes through scores and sizes as if it were one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.ops.bounded import bounded_messages
from gnnperf.ops.values import dense_values


def weights_fault(model: nn.Module) -> str:
    """The first stored tensor that holds NaN or infinity, in words; empty where none does."""
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor) and (bad := _not_finite(value)):
            return f"{bad} of {value.numel()} values of {name} are NaN or infinite"
    return ""


@torch.no_grad()
def logits_fault(model: nn.Module, batches: Sequence[Data]) -> str:
    """How many outputs in eval mode are NaN or infinite, in words; empty where none is.

    Outputs may be tensors, or lists, tuples and dictionaries of them.
    """
    training = model.training
    model.eval()
    try:
        with bounded_messages(model):
            outputs = [value for batch in batches for value in tensors_in(model(batch))]
    finally:
        model.train(training)
    bad = sum(map(_not_finite, outputs))
    total = sum(value.numel() for value in outputs)
    return f"{bad} of {total} logits are NaN or infinite" if bad else ""


def _not_finite(value: Tensor) -> int:
    if not (value.is_floating_point() or value.is_complex()):
        return 0
    values = dense_values(value)
    return values.numel() - int(values.isfinite().sum())


def tensors_in(output: Any) -> Iterator[Tensor]:
    """What a model gives, of lists, tuples and dictionaries each tensor in turn."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (Mapping, list, tuple)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from tensors_in(part)

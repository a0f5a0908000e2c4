"""Whether a narrowed model computes what the full one does with the same channels at zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data

from gnnperf.ops.bounded import bounded_messages
from gnnperf.training.modules import copied

TOLERANCE = 1e-5
"""Of the largest output, or of 1 where that is less."""


def disagreement(small: nn.Module, masked: nn.Module, batches: Sequence[Data]) -> str | None:
    """What is wrong with the narrowed model, or None: both run on every batch, in eval mode."""
    # A forward may keep what it computed of a graph, which is not the narrowed model's to ship.
    small, masked = copied(small).eval(), masked.eval()
    for batch in batches:
        try:
            found = _apart(_outputs(small, batch), _outputs(masked, batch))
        except Exception as error:  # whatever a model raises
            return f"its forward fails ({type(error).__name__}: {one_line(error)})"
        if found is not None and not _agree_in_double(small, masked, batch):
            return found
    return None


def _agree_in_double(small: nn.Module, masked: nn.Module, batch: Data) -> bool:
    """A model that chooses nodes may choose another where two are equal up to rounding."""
    try:
        small, masked = copied(small).double(), copied(masked).double()
        batch = batch.clone().apply(_double)
        return _apart(_outputs(small, batch), _outputs(masked, batch)) is None
    except Exception:  # not every model runs in double; what single precision says then counts
        return False


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    # What a model's `prepare` adds moves as tensors do.
    return value.to(torch.float64) if hasattr(value, "to") else value


def _apart(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> str | None:
    for narrow, full in zip(ours, theirs, strict=True):
        if narrow.shape != full.shape:
            return f"its output is {tuple(narrow.shape)} and not {tuple(full.shape)}"
        largest = float(full.nan_to_num().abs().max()) if full.numel() else 0.0
        limit = TOLERANCE * max(1.0, largest)
        if not torch.allclose(narrow, full, rtol=0, atol=limit, equal_nan=True):
            apart = float((narrow - full).abs().max())
            return f"its output is up to {apart:.2g} off what the channels at zero give"
    return None


def _outputs(model: nn.Module, batch: Data) -> list[Tensor]:
    with torch.no_grad(), bounded_messages(model):
        leaves = tree_leaves(model(batch))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def one_line(error: Exception) -> str:
    """An error's text, short enough for a sentence."""
    return " ".join(str(error).split())[:200]

"""Whether a narrowed model computes what the full one does with the same channels at zero."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data

TOLERANCE = 1e-5
"""Of the largest output, or of 1 where that is less."""


def disagreement(small: nn.Module, masked: nn.Module, batches: Sequence[Data]) -> str | None:
    """What is wrong with the narrowed model, or None: both run on every batch, in eval mode."""
    for batch in batches:
        try:
            ours = _outputs(small, batch)
        except Exception as error:  # whatever a model raises
            return f"its forward fails ({type(error).__name__}: {one_line(error)})"
        for narrow, full in zip(ours, _outputs(masked, batch), strict=True):
            if narrow.shape != full.shape:
                return f"its output is {tuple(narrow.shape)} and not {tuple(full.shape)}"
            limit = TOLERANCE * max(1.0, float(full.nan_to_num().abs().max()))
            if not torch.allclose(narrow, full, rtol=0, atol=limit, equal_nan=True):
                apart = float((narrow - full).abs().max())
                return f"its output is up to {apart:.2g} off what the channels at zero give"
    return None


def _outputs(model: nn.Module, batch: Data) -> list[Tensor]:
    model = deepcopy(model).eval()
    with torch.no_grad():
        leaves = tree_leaves(model(batch))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def one_line(error: Exception) -> str:
    """An error's text, short enough for a sentence."""
    return " ".join(str(error).split())[:200]

"""A model that was compressed elsewhere, beside the dense one that it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from gnnperf.compression.compressed import Changed, Compressed, Coverage, RecipeError
from gnnperf.training import Task, Trained, evaluate
from gnnperf.training.modules import copied
from gnnperf.training.ready import device_of, named_after
from gnnperf.training.tasks.given import Score


def compared(
    dense: nn.Module,
    compressed: nn.Module,
    test: Iterable[Any],
    metric: str | Task | Score,
    *,
    name: str | None = None,
    recipe: str = "given",
    higher_is_better: bool = True,
) -> Compressed:
    """A model compressed elsewhere (torchao, Torch-Pruning, by hand) beside its dense twin.

    Copies of both are measured. Masks of `torch.nn.utils.prune` become part of the weights, as
    `prune.remove` does it: until then the file holds all that was pruned. Coverage counts the
    numbers of each of the dense model's parameters that the other one computes otherwise with.

    Args:
        dense: the model before.
        compressed: the model after; it takes the same batches, on the same device.
        test, metric, higher_is_better: as in `Trained.of`.
        name: in ids and records; None: the dense model's class.
        recipe: what was done, in a word, as it shall stand in the record.

    Raises RecipeError where the two differ in no weight, and GnnperfError as `Trained.of` does.
    """
    twin = Trained.of(
        dense, test, metric, name=name or named_after(dense), higher_is_better=higher_is_better
    )
    model = _without_masks(copied(compressed).eval())
    if device_of(model) != device_of(twin.model):
        raise RecipeError(
            f"{recipe}: the compressed model lies on {device_of(model)} and the dense one on "
            f"{device_of(twin.model)}; move one of them"
        )
    coverage = differing(twin.model, model)
    if not coverage:
        raise RecipeError(
            f"{recipe}: the compressed model has the dense one's weights, every one of them; what "
            "compressed it found no layer that it knows (PyG's Linear is no nn.Linear)"
        )
    evaluate(model, twin.task, twin.parts.test[:1])
    return Compressed(twin, model, coverage, recipe=recipe)


def differing(dense: nn.Module, other: nn.Module) -> Coverage:
    """How many numbers are others, or are held otherwise, of each parameter that has such."""
    return {
        name: Changed(count, parameter.numel())
        for name, parameter in dense.named_parameters()
        if (count := _changed(parameter.detach(), _at(other, name)))
    }


def _changed(before: Tensor, after: Any) -> int:
    alike = isinstance(after, Tensor) and type(after) in (Tensor, nn.Parameter)
    if not alike or (after.dtype, after.shape) != (before.dtype, before.shape):
        return before.numel()
    if after.layout != before.layout:
        return before.numel()
    return int((after.detach() != before).sum())


def _at(model: nn.Module, path: str) -> Any:
    """What the model computes with under the name, perhaps no parameter any more; None: nothing."""
    found: Any = model
    for part in path.split("."):
        found = getattr(found, part, None)
    return found() if callable(found) and not isinstance(found, (nn.Module, Tensor)) else found


@torch.no_grad()
def _without_masks(model: nn.Module) -> nn.Module:
    for module in model.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)
    return model

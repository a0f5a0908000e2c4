"""A model that was compressed elsewhere, beside the dense one that it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from gnnperf.compression.compressed import Changed, Compressed, Coverage, RecipeError
from gnnperf.compression.coverage import borne_out, proven
from gnnperf.models.wrappers import folded, unwrapped
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
    model = folded(unwrapped(copied(compressed)))
    if device_of(model) != device_of(twin.model):
        raise RecipeError(
            f"{recipe}: the compressed model lies on {device_of(model)} and the dense one on "
            f"{device_of(twin.model)}; move one of them"
        )
    if not differing(twin.model, model):
        raise RecipeError(
            f"{recipe}: the compressed model has the dense one's weights, every one of them; what "
            "compressed it found no layer that it knows (PyG's Linear is no nn.Linear)"
        )
    evaluate(model, twin.task, twin.parts.test[:1])
    return proven(borne_out(Compressed(twin, model, moved(twin.model, model), recipe=recipe)))


def differing(dense: nn.Module, other: nn.Module) -> list[str]:
    """Names of the parameters that are others, or are held otherwise, or are gone."""
    names, same = dict(dense.named_parameters()), moved(dense, other)
    return [n for n, p in names.items() if n in same or not _alike(p, _at(other, n))]


def moved(dense: nn.Module, other: nn.Module) -> Coverage:
    """How many numbers are others, of each parameter that has such and is held alike in both.

    Of the others, narrower ones and those in fewer bits, the tensors speak for themselves.
    """
    return {
        name: Changed(count, before.numel(), "moved")
        for name, before in dense.named_parameters()
        if _alike(before, after := _at(other, name))
        and (count := int((after.detach() != before).sum()))
    }


def _alike(before: Tensor, after: Any) -> bool:
    plain = isinstance(after, Tensor) and type(after) in (Tensor, nn.Parameter)
    return plain and (after.dtype, after.shape, after.layout) == (
        *(before.dtype, before.shape, before.layout),
    )


def _at(model: nn.Module, path: str) -> Any:
    """What the model computes with under the name, perhaps no parameter any more; None: nothing."""
    found: Any = model
    for part in path.split("."):
        found = getattr(found, part, None)
    return found() if callable(found) and not isinstance(found, (nn.Module, Tensor)) else found

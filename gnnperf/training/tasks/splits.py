"""Which graphs, nodes or edges train, validate and test: as they were given, or by the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.data import BaseData

from gnnperf.datasets import DataError
from gnnperf.training.tasks.base import Parts

Three: TypeAlias = tuple[Any, Any, Any]
Given: TypeAlias = (
    "Parts | Sequence[Any] | Mapping[str, Any] | Callable[[Sequence[Data], int], Any] | None"
)
"""Train, validation and test, as a tuple or by those names (`valid` and `val` too, as OGB's
`get_idx_split` gives them), or a function (graphs, seed) -> such. A part is

    indices: a list or int tensor;
    a mask: bool [n], or [n, k], of which seed s takes column s;
    batches: a list of them, or a loader; these by a function only.
"""

NAMES = ("train", "validation", "test")
_ALIASES = {"validation": ("valid", "val")}
MASKS = ("train_mask", "val_mask", "test_mask")


def given_parts(given: Given, graphs: Sequence[Data], seed: int, task: str) -> Three | None:
    """The three parts as they were given, a function's result in its place; None: by the seed."""
    if given is None:
        return None
    made = given(graphs, seed) if callable(given) else given
    parts = _three(made, task)
    if not callable(given) and any(map(_is_batches, parts)):
        raise DataError(
            f"{task}: loaders are given by a function, parts=lambda graphs, seed: (train, "
            "validation, test), whose source counts where a training is kept"
        )
    if len({_is_batches(part) for part in parts}) > 1:
        raise DataError(f"{task}: give all three parts as indices or masks, or all as batches")
    return parts


def _three(made: Any, task: str) -> Three:
    if isinstance(made, Parts):
        return made.train, made.validation, made.test
    if isinstance(made, Mapping):
        found = [
            next((made[n] for n in (name, *_ALIASES.get(name, ())) if n in made), None)
            for name in NAMES
        ]
        if any(part is None for part in found):
            raise DataError(
                f"{task}: the parts are named {', '.join(map(str, made))}; name train, validation "
                "and test"
            )
        return found[0], found[1], found[2]
    if isinstance(made, (tuple, list)) and len(made) == 3:
        return made[0], made[1], made[2]
    raise DataError(
        f"{task}: parts is a {type(made).__name__}; give (train, validation, test), a dictionary "
        "of them, or a function (graphs, seed) that gives one"
    )


def _is_batches(part: Any) -> bool:
    if isinstance(part, (Tensor, np.ndarray, range, Mapping)):
        return False
    if isinstance(part, (list, tuple)):
        return bool(part) and isinstance(part[0], BaseData)
    return isinstance(part, Iterable)


def holds_batches(parts: Three | None) -> bool:
    """Whether the parts are batches already, or loaders of them."""
    return parts is not None and _is_batches(parts[0])


def indices(parts: Three, count: int, seed: int, task: str, what: str) -> list[Tensor]:
    """Three int64 tensors into `count` things; raises DataError for what does not fit."""
    found = [
        _index(part, name, count, seed, task, what) for part, name in zip(parts, NAMES, strict=True)
    ]
    for (one, mine), (other, theirs) in combinations(zip(NAMES, found, strict=True), 2):
        if bool((both := mine[torch.isin(mine, theirs)]).numel()):
            raise DataError(
                f"{task}: {what} {int(both[0])} stands in both {one} and {other}; make them "
                "disjoint"
            )
    return found


def _index(part: Any, name: str, count: int, seed: int, task: str, what: str) -> Tensor:
    try:
        index = torch.as_tensor(list(part) if isinstance(part, range) else part).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{task}: the {name} part is a {type(part).__name__}; give indices, a mask or batches"
        ) from error
    if index.dtype == torch.bool:
        index = _masked(index, name, count, seed, task, what)
    if not index.numel():
        raise DataError(f"{task}: train, validation or test part has no {what}")
    if index.is_floating_point() or index.is_complex() or index.dim() != 1:
        raise DataError(
            f"{task}: the {name} part is {list(index.shape)} of {index.dtype}; give int indices "
            f"[n], or a bool mask [{count}] or [{count}, seeds]"
        )
    if int(index.min()) < 0 or int(index.max()) >= count:
        raise DataError(
            f"{task}: the {name} part names {what} {int(index.max())}, outside 0..{count - 1}"
            if int(index.min()) >= 0
            else f"{task}: the {name} part names {what} {int(index.min())}; number from 0"
        )
    return index.long()


def _masked(mask: Tensor, name: str, count: int, seed: int, task: str, what: str) -> Tensor:
    if mask.dim() not in (1, 2) or len(mask) != count:
        raise DataError(
            f"{task}: the {name} mask is {list(mask.shape)} for {count} {what}s; make it "
            f"[{count}], or [{count}, seeds]"
        )
    if mask.dim() == 2:
        mask = column_of(mask, seed, task)
    return mask.nonzero().view(-1)


def column_of(mask: Tensor, seed: int, task: str) -> Tensor:
    """The column [n] of masks [n, k] that belongs to the seed; raises DataError beyond the last."""
    if seed >= mask.size(1):
        raise DataError(
            f"{task}: the masks have {mask.size(1)} columns, a column a seed, and seed {seed} has "
            f"none; choose seeds 0..{mask.size(1) - 1}"
        )
    return mask[:, seed]


def stratified(label: Tensor, size: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of train, validation and test, a tenth of each class in the latter two.

    A class is ordered by `size` [graphs] and cut into blocks of about ten, of which each gives
    one graph to validation and one to test: with parts of a hundred graphs, chance would else
    make one of them large and another small, and so the scores of a split easy or hard.
    Raises DataError when a class is too small to be in all three.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: tuple[list[Tensor], ...] = ([], [], [])
    for name in label.unique().tolist():
        members = (label == name).nonzero().view(-1)
        if len(members) < 3:
            raise DataError(
                f"class {name} has {len(members)} graphs, and train, validation and test need "
                "one each; add graphs or drop the class"
            )
        # Drawn before ordered, so that of equal sizes none comes first by its place.
        members = members[torch.randperm(len(members), generator=generator)]
        members = members[torch.argsort(size[members], stable=True)]
        for block in members.tensor_split(max(1, round(len(members) / 10))):
            block = block[torch.randperm(len(block), generator=generator)]
            for part, piece in zip(parts, (block[2:], block[:1], block[1:2]), strict=True):
                part.append(piece)
    train, validation, test = (torch.cat(part) for part in parts)
    return train[torch.randperm(len(train), generator=generator)], validation, test

"""What is predicted: classes, labels of 0 and 1, or numbers; its checks, its loss, its scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.training.metrics import Array, Kind, Metric, score
from gnnperf.training.tasks.calls import of_any_float

CRITERIA: dict[str, Kind] = {
    "cross_entropy": "classes",
    "binary_cross_entropy": "labels",
    "mse": "values",
    "mae": "values",
    "huber": "values",
}
"""The losses there are, by name, and what they are of."""

DEFAULT_METRICS: dict[Kind, tuple[str, ...]] = {
    "classes": ("accuracy",),
    "labels": ("auc",),
    "values": ("mae", "rmse"),
}

_OF_VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}


def as_target(kind: Kind, y: Tensor) -> Tensor:
    """Class numbers int64 [n], or [n, k] with NaN where a label or value is unknown."""
    if kind == "classes":
        return y.view(-1).long()
    y = y.unsqueeze(-1) if y.dim() == 1 else y
    return y if y.is_floating_point() else y.to(torch.get_default_dtype())


def label_complaint(kind: Kind, y: Tensor | None, count: int) -> str | None:
    """What is wrong with the targets of `count` things and how to mend it, or None."""
    if kind == "classes":
        shown = y.tolist() if isinstance(y, Tensor) and y.numel() <= 4 else _described(y)
        if not isinstance(y, Tensor) or y.numel() != count or (count == 1 and bool((y < 0).all())):
            return f"has the label {shown}, and {_numbers(count)} needed; set graph.y"
        if y.is_floating_point():
            whole = "graph.y = graph.y.long().view(1)" if count == 1 else "graph.y.long().view(-1)"
            if bool((y == y.round()).all()):
                return f"has the label {shown} of {y.dtype}, and {_numbers(count)} needed; {whole}"
            return (
                f"has the label {shown} of {y.dtype}, and {_numbers(count)} needed; set graph.y, "
                "or predict numbers with gnnperf.Prediction(..., criterion='mse')"
            )
        return None
    if not isinstance(y, Tensor) or not y.numel() or (count != 1 and len(y) != count):
        return f"has the target {_described(y)}, and a number for each of {count} is needed"
    if kind == "labels" and not bool(((y == 0) | (y == 1) | y.isnan()).all()):
        return "has a label that is not 0, 1 or NaN (unknown); mend graph.y"
    if kind == "values" and bool(y.isinf().any()):
        return "has an infinite target; mend graph.y, NaN stands for an unknown one"
    return None


def _numbers(count: int) -> str:
    return "one class number from 0 is" if count == 1 else f"{count} class numbers from 0 are"


def _described(y: object) -> str:
    return f"{list(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else str(y)


def check_classes(parts: Sequence[Tensor], task: str, what: str) -> None:
    """Raise DataError unless training can learn the classes [n] that the other parts ask for."""
    classes = [part.unique().tolist() for part in parts]
    train, *others = classes
    if not all(classes):
        raise DataError(f"{task}: train, validation or test part has no {what}")
    if lowest := min(0, *(label for part in classes for label in part)):
        raise DataError(
            f"{task}: a {what} of train, validation or test has the label {lowest}; "
            f"number classes from 0, and leave {what}s without a label out of the parts"
        )
    if len(train) < 2:
        raise DataError(f"{task}: all training {what}s are of class {train[0]}; two are needed")
    if unknown := sorted({label for part in others for label in part}.difference(train)):
        raise DataError(
            f"{task}: class {unknown[0]} is in validation or test and has no "
            f"training {what}; choose other parts, masks or held_out"
        )


def fitted(kind: Kind, output: Tensor, target: Tensor, task: str, what: str) -> Tensor:
    """The output as the target needs it: logits [n, classes], or [n, k].

    One logit of two classes becomes two, of which the first is 0. Raises GnnperfError that names
    the shape found and the one needed.
    """
    count = len(target)
    if kind == "classes":
        highest = int(target.max()) if count else 0
        needed = f"[{count}, {max(2, highest + 1)}]"
        if output.shape in ((count,), (count, 1)) and highest <= 1:
            one = output.view(-1, 1)
            return torch.cat([torch.zeros_like(one), one], 1)
        fits = output.dim() == 2 and len(output) == count and output.size(1) > highest
        fits = fits and output.size(1) > 1
        needed += ", or one logit [n, 1]" if highest <= 1 else ""
    else:
        needed = str(list(target.shape))
        if target.size(1) == 1 and output.shape == (count,):
            output = output.unsqueeze(-1)
        fits = output.shape == target.shape
    if fits:
        return output
    raise GnnperfError(
        f"{task}: the model gave {list(output.shape)}, and {needed} is needed, a row for each of "
        f"{count} {what}s" + ("; pool its nodes first" if what == "graph" else "")
    )


def loss_of(criterion: str, output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The scalar loss of fitted outputs; unknown targets count for nothing."""
    if criterion == "cross_entropy":
        return functional.cross_entropy(output, target, label_smoothing=label_smoothing)
    known = ~target.isnan()
    if not bool(known.any()):
        return output.sum() * 0.0
    output, target = output[known], target[known].to(output.dtype)
    if criterion == "binary_cross_entropy":
        smooth = target * (1 - label_smoothing) + label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(output, smooth)
    return _OF_VALUES[criterion](output, target)


def scores_of(
    criterion: str, metrics: Sequence[Metric], output: Tensor, target: Tensor
) -> dict[str, float]:
    """The metrics of fitted outputs, and what the commonest answer would get of classes or labels.

    `majority` is the rate that always naming the commonest class gets, of labels each the commoner
    of its two.
    """
    kind = CRITERIA[criterion]
    truth = target.cpu().numpy() if kind == "classes" else of_any_float(target).numpy()
    answer = of_any_float(output).numpy()
    found = {
        metric.name: float(loss_of(criterion, output, target))
        if metric.name == "loss"
        else score(metric, kind, truth, answer)
        for metric in metrics
    }
    if kind == "values":
        return found
    headline, *others = found.items()
    return dict([headline, ("majority", majority(kind, truth)), *others])


def majority(kind: Kind, target: Array) -> float:
    """The rate that the commonest class gets; of labels, each the commoner of its two."""
    if kind == "classes":
        return int(np.bincount(target).max()) / len(target)
    known = ~np.isnan(target)
    ones = np.where(known, target, 0).sum(0)
    count = known.sum()
    return float(np.maximum(ones, known.sum(0) - ones).sum() / count) if count else math.nan


def mean_of(target: Tensor) -> Tensor:
    """The mean [1, k] of known values [n, k]; 0 where none is known."""
    return target.nanmean(0, keepdim=True).nan_to_num()

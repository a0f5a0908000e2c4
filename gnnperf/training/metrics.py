"""What a score is: its name, its direction, its unit and range, and scikit-learn's way to it.

scikit-learn takes scores as they are, where torchmetrics squeezes logits through a sigmoid first
and so makes ties of high ones; and all that it needs but one small package is needed here anyway.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_softmax, softmax
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

from gnnperf.errors import GnnperfError

Array = npt.NDArray[Any]
Kind = Literal["classes", "labels", "values"]
"""One class of several; labels that are 0 or 1 each, some perhaps unknown; numbers."""
Compute = Callable[[Array, Array], float]


@dataclass(frozen=True)
class Metric:
    """A score that a model can have on a part.

    Attributes:
        name: as it stands in tasks, records and tables.
        higher_is_better: whether a gain is a rise.
        unit: `fraction`, `nats`, or `target`: the unit of what is predicted.
        range: the lowest and the highest value that it can have.
        compute: by kind of target: (target, output) -> value. Classes: int64 [n] and logits
            [n, classes]; labels: [n, k] of 0, 1 or NaN (unknown) and logits [n, k]; values:
            [n, k], NaN unknown, and the like. NaN where it is not defined.
        decides: whether a label is called 1 where its logit is above 0.
    """

    name: str
    higher_is_better: bool = True
    unit: str = "fraction"
    range: tuple[float, float] = (0.0, 1.0)
    compute: Mapping[Kind, Compute] = field(default_factory=dict, repr=False)
    decides: bool = False

    def worse_by(self, reference: float, value: float) -> float:
        """How much worse `value` is than `reference`; below zero where it is better."""
        return reference - value if self.higher_is_better else value - reference


def of_binary(score: Callable[..., float]) -> dict[Kind, Compute]:
    """Of (0 or 1 [n], its score [n]): the mean over the classes, each against the rest, or labels.

    Two classes are one question. What has only zeros or only ones in the part is left out.
    """

    def columns(target: Array, output: Array) -> float:
        known = ~np.isnan(target)
        found = [
            float(score(target[rows, column], output[rows, column]))
            for column, rows in enumerate(known.T)
            if len(np.unique(target[rows, column])) == 2
        ]
        return math.fsum(found) / len(found) if found else math.nan

    def classes(target: Array, logits: Array) -> float:
        if logits.shape[1] == 2:
            return columns((target == 1.0)[:, None].astype(float), logits[:, 1:] - logits[:, :1])
        one_hot = (target[:, None] == np.arange(logits.shape[1])).astype(float)
        return columns(one_hot, log_softmax(logits, axis=1))

    return {"classes": classes, "labels": columns}


def _decided(score: Callable[..., float]) -> Compute:
    """Of the class with the highest logit."""
    return lambda target, logits: float(score(target, logits.argmax(-1)))


def _pooled(score: Callable[..., float], answer: Callable[[Array], Array]) -> Compute:
    """Of all known entries together."""

    def compute(target: Array, output: Array) -> float:
        known = ~np.isnan(target)
        return float(score(target[known], answer(output[known]))) if known.any() else math.nan

    return compute


def _positive(logits: Array) -> Array:
    return (logits > 0).astype(float)


def _itself(output: Array) -> Array:
    return output


def _log_loss(target: Array, logits: Array) -> float:
    return float(sk.log_loss(target, softmax(logits, axis=1), labels=np.arange(logits.shape[1])))


def _r2(target: Array, output: Array) -> float:
    known = ~np.isnan(target)
    columns = [
        sk.r2_score(target[rows, column], output[rows, column])
        for column, rows in enumerate(known.T)
        if rows.sum() > 1
    ]
    return float(np.mean(columns)) if columns else math.nan


# The mean recall, which needs no warning about classes that a part lacks.
_balanced = partial(sk.recall_score, average="macro", zero_division=np.nan)
_macro_f1 = partial(sk.f1_score, average="macro", zero_division=0)
_error = (0.0, math.inf)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            decides=True,
            compute={
                "classes": _decided(sk.accuracy_score),
                "labels": _pooled(sk.accuracy_score, _positive),
            },
        ),
        Metric(
            "balanced_accuracy",
            decides=True,
            compute={
                "classes": _decided(_balanced),
                "labels": of_binary(lambda t, s: _balanced(t, _positive(s)))["labels"],
            },
        ),
        Metric(
            "macro_f1",
            decides=True,
            compute={
                "classes": _decided(_macro_f1),
                "labels": of_binary(lambda t, s: sk.f1_score(t, _positive(s), zero_division=0))[
                    "labels"
                ],
            },
        ),
        Metric(
            "micro_f1",
            decides=True,
            compute={
                "classes": _decided(partial(sk.f1_score, average="micro")),
                "labels": _pooled(partial(sk.f1_score, zero_division=0), _positive),
            },
        ),
        Metric("auc", compute=of_binary(sk.roc_auc_score)),
        Metric("average_precision", compute=of_binary(sk.average_precision_score)),
        Metric(
            "log_loss",
            higher_is_better=False,
            unit="nats",
            range=_error,
            compute={
                "classes": _log_loss,
                "labels": _pooled(partial(sk.log_loss, labels=[0.0, 1.0]), expit),
            },
        ),
        Metric(
            "mae",
            higher_is_better=False,
            unit="target",
            range=_error,
            compute={"values": _pooled(sk.mean_absolute_error, _itself)},
        ),
        Metric(
            "rmse",
            higher_is_better=False,
            unit="target",
            range=_error,
            compute={"values": _pooled(sk.root_mean_squared_error, _itself)},
        ),
        Metric("r2", range=(-math.inf, 1.0), compute={"values": _r2}),
        # Of no kind: a task computes it with its own criterion.
        Metric("loss", higher_is_better=False, unit="loss", range=_error),
    )
}
"""The scores there are, by name; a project's own is an entry here."""


def metric_named(name: str) -> Metric:
    """The metric; what is no entry of METRICS is taken for a share of which more is better.

    A task of one's own may give scores under names of its own.
    """
    return METRICS.get(name) or Metric(name, range=(-math.inf, math.inf))


def require_metric(name: str, kind: Kind) -> Metric:
    """The metric; raises GnnperfError that lists those that there are for the kind of target."""
    metric = METRICS.get(name)
    if metric is None or (kind not in metric.compute and name != "loss"):
        known = ", ".join(m.name for m in METRICS.values() if kind in m.compute)
        of = {"classes": "classes", "labels": "labels of 0 and 1", "values": "numbers"}[kind]
        problem = "unknown metric" if metric is None else f"no metric of {of} is"
        raise GnnperfError(f"{problem} {name!r}; for {of} there are {known} and loss")
    return metric


def score(metric: Metric, kind: Kind, target: Array, output: Array) -> float:
    """The value of a metric of a kind; NaN where an output is NaN, or where it is not defined."""
    if np.isnan(output).any():
        return math.nan
    with warnings.catch_warnings():
        # Where it is not defined NaN says so.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return metric.compute[kind](target, np.nan_to_num(output))

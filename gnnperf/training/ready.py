"""A model that came trained, made what recipes start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, NoReturn

import torch
from torch import nn

from gnnperf.datasets import DataError, fingerprint
from gnnperf.errors import GnnperfError
from gnnperf.models.wrappers import folded, unwrapped
from gnnperf.training.fit import FitReport, evaluate, prepared
from gnnperf.training.modules import copied, lazy_names, materialize
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Parts, Task
from gnnperf.training.tasks.given import Score, check_targets, given_task, ready_batches
from gnnperf.training.trained import Trained, no_training

_NO_EPOCH = TrainSettings(epochs=0, learning_rate=0.0)
DATA = "given batches"
"""What the dataset of a model that was given ready is called."""


def ready(
    model: nn.Module,
    test: Iterable[Any],
    metric: str | Task | Score,
    train: Iterable[Any] | None = None,
    name: str | None = None,
    higher_is_better: bool = True,
) -> Trained:
    """See `Trained.of`."""
    if not isinstance(model, nn.Module):
        raise GnnperfError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    called = name or named_after(model)
    scored, shown = _batches(test, "test"), [] if train is None else _batches(train, "train")
    task = given_task(metric, scored, higher_is_better)
    check_targets(task, scored)
    model = unwrapped(copied(model)).eval()
    device = device_of(model)
    parts = Parts(
        ready_batches(task, shown, device, "train_mask"),
        [],
        ready_batches(task, scored, device, "test_mask"),
    )
    if not parts.test:
        raise DataError(f"{called}: no test batch has a target of its part; mend test_mask")
    if lazy_names(model):
        materialize(model, parts.test[0])
    model = folded(model)
    parts = prepared(model, parts)
    parts = replace(parts, train=Shown(parts.train, called))
    # What cannot be scored is said now, and not by the recipe that is tried first.
    evaluate(model, task, parts.test[:1])

    def fresh(draw: int = 0) -> NoReturn:
        raise no_training(called)

    return Trained(
        workload=called,
        seed=0,
        model=model,
        task=task,
        split=lambda: parts,
        train=_NO_EPOCH,
        finetune=_NO_EPOCH,
        report=FitReport(0, 0, 0.0, {}),
        data={
            "dataset": DATA,
            "key": DATA,
            "source": "real",
            "origin": f"{len(scored)} test batches that were given",
            "fingerprint": fingerprint([_Tensors(batch) for batch in scored]),
        },
        fresh=fresh,
        trainable=False,
    )


def named_after(model: nn.Module) -> str:
    """The class's name in lower case; of a wrapper, such as `gnnperf.Fields`, its module's."""
    inner = getattr(model, "module", None)
    return type(inner if isinstance(inner, nn.Module) else model).__name__.lower()


def device_of(model: nn.Module) -> torch.device:
    """Where a model lies; the processor where it has neither parameters nor buffers."""
    return next((t.device for t in chain(model.parameters(), model.buffers())), torch.device("cpu"))


def _batches(given: Iterable[Any], name: str) -> list[Any]:
    if not isinstance(given, Iterable) or hasattr(given, "edge_index"):
        raise GnnperfError(
            f"{name} is one {type(given).__name__}; give a list of batches, {name}=[data], or a "
            "loader"
        )
    found = list(given)
    if not found:
        raise DataError(f"{name} holds no batch; give at least one")
    return found


class Shown(list[Any]):
    """The batches to calibrate on; where there are none, asking for the first says the remedy."""

    def __init__(self, batches: Iterable[Any], name: str) -> None:
        super().__init__(batches)
        self._name = name

    def __getitem__(self, index: Any) -> Any:
        if not self and isinstance(index, int):
            raise GnnperfError(
                f"{self._name} was given without training batches, on which this recipe calibrates "
                "or trains; give Trained.of(..., train=batches) for what calibrates alone, such as "
                "ptq@int8, or register a workload for what trains"
            )
        return super().__getitem__(index)


class _Tensors:
    """Whatever a batch is, as what `fingerprint` takes."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def to_dict(self) -> dict[str, Any]:
        """Its tensors by name, as deep as they lie."""
        plain = _plain(self._batch)
        return plain if isinstance(plain, dict) else {"": plain}


_DEEPEST = 8
"""What holds itself would else never end."""


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        return None
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, (torch.Tensor, str, bytes, type)) or hasattr(value, "coo"):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, depth + 1) for inner in value]
    return (
        _plain(vars(value), depth + 1)
        if hasattr(value, "__dict__") and not callable(value)
        else value
    )

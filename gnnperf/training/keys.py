"""Everything that a training's result depends on, as plain data for a checkpoint's key."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnnperf.system.machine import versions
from gnnperf.system.sources import code_digest, module_of
from gnnperf.training.metrics import metric_named
from gnnperf.training.optimizers.registry import find_optimizer
from gnnperf.training.own_fit import OwnFit
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Task


def training_decides(
    model: nn.Module,
    task: Task,
    settings: TrainSettings,
    seed: int,
    data_fingerprint: str,
    code: Iterable[Any] = (),
    own_fit: OwnFit | None = None,
) -> dict[str, Any]:
    """What decides how a training ends that begins with the model as it is now.

    Args:
        model: on the device that it is trained on.
        task: gives loss and scores.
        settings: epochs, rates, patience.
        seed: of split and training.
        data_fingerprint: of the whole dataset.
        code: what else takes part: names of modules, functions that the training calls.
        own_fit: what trains in place of `fit`.
    """
    taking_part = [
        "gnnperf.training.fit",
        type(task),
        find_optimizer(settings.optimizer),
        *callables_of(task),
        *metric_code(task, settings),
        *model_classes(model),
        *code,
    ]
    own = {}
    if own_fit is not None:
        taking_part += [own_fit, "gnnperf.training.own_fit"]
        own["fit"] = described(own_fit)
    return {
        **own,
        "task": described(task),
        "settings": asdict(settings),
        "model": repr(model),
        "attributes": attributes_of(model),
        "code": code_digest(taking_part),
        "initial_weights": state_digest(model),
        "seed": seed,
        "data": data_fingerprint,
        "torch": versions()["torch"],
        "torch_geometric": versions()["torch-geometric"],
        "device": next(model.parameters()).device.type,
        "threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
    }


def described(value: Any) -> str:
    """A task or what is in it as text that is the same in every process, and says all of it."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        return f"tensor {tensors_digest({'': value})}"
    if isinstance(value, functools.partial):
        return f"{described(value.func)}({described(value.args)}, {described(value.keywords)})"
    if is_dataclass(value) and not isinstance(value, type):
        inside = ", ".join(f"{f.name}={described(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__qualname__}({inside})"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{described(k)}: {described(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(described, value))})"
    if isinstance(value, FunctionType):
        # Functions of one file differ in their line, those of one line in what they hold.
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        kept = [described(v) if isinstance(v, Tensor) else _plain(v) for v in held]
        line = value.__code__.co_firstlineno
        return f"{value.__module__}.{value.__qualname__} in line {line} with {kept}"
    is_code = callable(value) and hasattr(value, "__qualname__")
    return f"{value.__module__}.{value.__qualname__}" if is_code else repr(value)


def callables_of(task: Task) -> list[Any]:
    """The functions that a task was given, which take part in what it does."""
    if not is_dataclass(task):
        return []
    return [value for f in fields(task) if callable(value := getattr(task, f.name))]


def metric_code(task: Task, settings: TrainSettings) -> list[Any]:
    """What computes the scores that choose an epoch, where a project brought it."""
    names = dict.fromkeys((task.metric, settings.select or task.metric))
    computes = [compute for name in names for compute in metric_named(name).compute.values()]
    return [compute for compute in computes if not module_of(compute).startswith("gnnperf.")]


def model_classes(model: nn.Module) -> set[type]:
    """The classes of a model and its modules that are not torch's or PyG's own."""
    classes = {type(module) for module in model.modules()}
    libraries = ("torch", "torch_geometric")
    return {kind for kind in classes if module_of(kind).partition(".")[0] not in libraries}


def attributes_of(model: nn.Module) -> dict[str, str]:
    """Plain values that modules keep beside their state, a rate of dropout say, by name."""
    return {
        f"{name}.{attribute}": text
        for name, module in model.named_modules()
        for attribute, value in sorted(vars(module).items())
        # Hooks are numbered over the whole process.
        if attribute not in _OF_ANY_MODULE and not attribute.endswith("_hooks")
        if (text := _plain(value)) is not None
    }


_OF_ANY_MODULE = frozenset(vars(nn.Module()))


def _plain(value: Any) -> str | None:
    """The value as text; None for what has no text that is the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str, torch.dtype)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(str, map(_plain, value)))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_plain(key)}: {_plain(item)}' for key, item in value.items())}}}"
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return None


def state_digest(model: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of a model's state."""
    return tensors_digest(model.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, value in tensors.items():
        if not _is_plain(value):
            # What another library's layers keep: packed weights, tensors of its own classes.
            buffer = io.BytesIO()
            torch.save(value, buffer)
            digest.update(f"{name} {type(value).__qualname__}".encode() + buffer.getvalue())
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(
            value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def _is_plain(value: Any) -> bool:
    kinds = (Tensor, nn.Parameter, nn.Buffer)
    return type(value) in kinds and value.layout == torch.strided and not value.is_quantized

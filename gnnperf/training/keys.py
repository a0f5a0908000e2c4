"""Everything that a training's result depends on, as plain data for a checkpoint's key."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from gnnperf.system.machine import versions
from gnnperf.training.fit import TRAINING_VERSION
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Task


def what_decides(
    model: nn.Module,
    task: Task,
    settings: TrainSettings,
    seed: int,
    data_fingerprint: str,
    *,
    hooks: Iterable[Callable[..., object]] = (),
) -> dict[str, Any]:
    """What decides how a training ends that begins with the model as it is now.

    Args:
        model: on the device that it is trained on.
        task: gives loss and scores.
        settings: epochs, rates, patience.
        seed: of split and training.
        data_fingerprint: of the whole dataset.
        hooks: functions that the training calls; their source files count.
    """
    return {
        "training_version": TRAINING_VERSION,
        "task": repr(task),
        "settings": asdict(settings),
        "model": repr(model),
        "code": code_digest([type(task), *map(type, model.modules()), *hooks]),
        "initial_weights": state_digest(model),
        "seed": seed,
        "data": data_fingerprint,
        "torch": versions()["torch"],
        "torch_geometric": versions()["torch-geometric"],
        "device": next(model.parameters()).device.type,
        "threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
    }


def state_digest(model: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of a model's state."""
    return tensors_digest(model.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, value in tensors.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(
            value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def code_digest(parts: Iterable[type | Callable[..., object]]) -> str:
    """SHA-256 over source files of classes and functions, torch's and PyG's left to versions."""
    modules = {part.__module__ for part in parts}
    digest = hashlib.sha256()
    for name in sorted(modules):
        if name.partition(".")[0] not in ("torch", "torch_geometric"):
            try:
                digest.update(inspect.getsource(sys.modules[name]).encode())
            except (KeyError, OSError, TypeError):  # Typed into a prompt: nothing to read.
                digest.update(name.encode())
    return digest.hexdigest()

"""Trainings on other machines: what goes out, what is done there, and what comes back.

Checkpoints travel as the bytes of their files, so that machines need no disk in common. Their names
are the keys of all that decided them, and are computed on both sides: what a machine trained that
differs in any of it would never be found here, and is not trained there at all.
"""

from __future__ import annotations

import functools
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gnnperf.datasets import DataError
from gnnperf.recipes import METHODS, compress
from gnnperf.study.sending import Training, sentence
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.cluster import worker_folder
from gnnperf.system.devices import free_gpu
from gnnperf.system.files import atomic_write, make_folder
from gnnperf.system.fleet import Unfit, absent, unreadable
from gnnperf.system.store import is_checked
from gnnperf.training.checkpoints import NotCachedError, only_cached
from gnnperf.workloads import WORKLOADS

ALONE = threading.Lock()
"""Held while a process trains: threads share random numbers, and torch's number of threads."""


@dataclass(frozen=True)
class Parcel:
    """A training that goes out.

    Attributes:
        run: which run asks; what a worker keeps in memory is kept for one alone.
        options: the asking machine's.
        training: what is wanted.
        wanted: name of the first checkpoint that is missing, computed where it is wanted.
        decides: what decides the base, in words, likewise.
        given: checkpoints that the training goes on from, by name.
    """

    run: str
    options: WorkbenchOptions
    training: Training
    wanted: str
    decides: Mapping[str, Any]
    given: Mapping[str, bytes]


@dataclass(frozen=True)
class Returned:
    """What comes back: files by name, or why there are none."""

    files: Mapping[str, bytes]
    failure: str = ""


def first_missing(workbench: Workbench, training: Training) -> str | None:
    """Name of the first checkpoint that the cache lacks for a training; None where none is missing.

    Raises what the workload or the recipe raises.
    """
    name, seed, recipe = training
    if recipe is None:
        path = workbench.base(name, seed)[0]
        return None if path.is_file() else path.name
    try:
        with only_cached():
            compress(workbench.trained(name, seed), recipe)
    except NotCachedError as error:
        return Path(str(error)).name
    return None


def parcel(run: str, workbench: Workbench, training: Training) -> Parcel | None:
    """The training as it goes out; None where nothing is missing. Raises as `first_missing`."""
    name, seed, recipe = training
    wanted = first_missing(workbench, training)
    if wanted is None:
        return None
    base, decides = workbench.base(name, seed)
    given = {}
    if recipe is not None and base.is_file():
        given[base.name] = base.read_bytes()
    return Parcel(run, workbench.options, training, wanted, decides, given)


def receive(checkpoints: Path, wanted: str, returned: Returned) -> str:
    """Keep what came back; says what is wrong with it, nothing where it is what was wanted.

    Raises FileError where it cannot be kept.
    """
    make_folder(checkpoints)
    for name, content in returned.files.items():
        path = checkpoints / name
        if path.parent != checkpoints or path.suffix != _ENDING or not is_checked(content):
            return f"a worker sent {name[:80]!r}, which is no whole checkpoint; it is not kept"
        if not path.exists():
            atomic_write(path, (content,))
    return "" if wanted in returned.files else "a worker sent other checkpoints than was asked for"


_ENDING = ".ckpt"


def train_away(sent: Parcel, workload: bytes, methods: bytes) -> Returned | Unfit:
    """On a worker: train, and give every checkpoint that was made; raises nothing.

    Args:
        sent: what is to be trained.
        workload, methods: pickled, as a worker may not know what a project registered.
    """
    with ALONE:
        if module := _changed_module():
            return Unfit(f"workers run {module} as it was before it was changed; restart them")
        try:
            return _trained(sent, workload, methods)
        except ModuleNotFoundError as error:
            return absent(error.name or str(error))
        except DataError as error:
            return Unfit(
                f"workers lack the data ({sentence(error)}): set GNNPERF_DATA there to a folder "
                "that has it"
            )
        except Exception as error:  # The case meets the same, and reports it.
            return Returned({}, sentence(error))


def _trained(sent: Parcel, workload: bytes, methods: bytes) -> Returned | Unfit:
    name, seed, recipe = sent.training
    try:
        registered, own = pickle.loads(workload), pickle.loads(methods)
    except ModuleNotFoundError as error:
        return absent(error.name or str(error))
    except Exception as error:  # Whatever a project's code raises when it is loaded.
        return unreadable(sentence(error))
    WORKLOADS[name] = registered
    METHODS.update(own)
    _changed_module()  # As they are now that they are loaded.
    gpus = torch.cuda.device_count()
    if sent.options.device.type == "cuda" and not gpus:
        return Unfit("workers have no GPU, and this machine trains on one")
    with free_gpu(gpus if sent.options.device.type == "cuda" else 0) as number:
        device = sent.options.device if number is None else torch.device("cuda", number)
        workbench, _ = _workbench(sent.run, sent.options, device)
        checkpoints = workbench.options.cache / "checkpoints"
        checkpoints.mkdir(exist_ok=True)
        try:
            for given, content in sent.given.items():
                (checkpoints / given).write_bytes(content)
            if why := differences(sent.decides, workbench.base(name, seed)[1]):
                return Unfit(why)
            if first_missing(workbench, sent.training) != sent.wanted:
                return Unfit(_OTHER_CODE)
            trained = workbench.trained(name, seed)
            if recipe is not None:
                compress(trained, recipe)
            return Returned(
                {
                    path.name: path.read_bytes()
                    for path in checkpoints.glob(f"*{_ENDING}")
                    if path.name not in sent.given
                }
            )
        finally:
            # Others of this run are given what they need, and the rest would fill the disk.
            for path in checkpoints.iterdir():
                path.unlink()


@functools.lru_cache(maxsize=2)
def _workbench(
    run: str, options: WorkbenchOptions, device: torch.device
) -> tuple[Workbench, tempfile.TemporaryDirectory[str]]:
    """With its cache, which is there as long as it is."""
    folder = tempfile.TemporaryDirectory(prefix="gnnperf-", dir=worker_folder())
    root = os.environ.get("GNNPERF_DATA")
    data = replace(
        options.data, cache=Path(folder.name), root=Path(root) if root else options.data.root
    )
    return Workbench(replace(options, data=data, device=device), show_progress=False), folder


_NAMES = {
    "instruction_set": "instruction set",
    "torch": "torch",
    "torch_geometric": "torch-geometric",
    "device": "device",
    "threads": "threads",
}
_REMEDIES = {
    "instruction_set": "set the same ATEN_CPU_CAPABILITY everywhere",
    "torch": "install the same everywhere",
    "torch_geometric": "install the same everywhere",
}
_UNUSED = "their trainings could not be used here"
_OTHER_CODE = (
    f"workers have other code of gnnperf or of the project than this machine: {_UNUSED}; install "
    "the same everywhere, and restart them"
)


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """In what a worker differs from the machine that asks, as a sentence; empty where in nothing.

    Args:
        here: what decides the base on the machine that asks.
        there: the same on the worker.
    """
    named = [name for name in _NAMES if here.get(name) != there.get(name)]
    if named:
        pairs = [(_NAMES[name], there.get(name), here.get(name)) for name in named]
        remedies = dict.fromkeys(_REMEDIES[name] for name in named if name in _REMEDIES)
        return (
            f"workers have {', '.join(f'{what} {value}' for what, value, _ in pairs)}, this "
            f"machine {', '.join(str(value) for _, _, value in pairs)}: {_UNUSED}"
            + "".join(f"; {remedy}" for remedy in remedies)
        )
    if here["data"] != there["data"]:
        return (
            f"workers have other data of {here['workload']} than this machine: {_UNUSED}; set "
            "GNNPERF_DATA there to a folder with the same raw files"
        )
    if here["code"] != there["code"]:
        return _OTHER_CODE
    others = [name for name in here if here[name] != there.get(name)]
    if others:
        what = ", ".join(others).replace("_", " ")
        return f"workers begin {here['workload']} with other {what} than this machine: {_UNUSED}"
    return ""


_LOADED: dict[str, tuple[int, int]] = {}


def _changed_module() -> str | None:
    """A module whose file is another than when it was first seen: it runs as it was before.

    Keys are made of sources on disk, and would call what an old one trains new.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        with suppress(OSError):
            status = os.stat(file)
            found = (status.st_mtime_ns, status.st_size)
            if _LOADED.setdefault(name, found) != found:
                return name
    return None

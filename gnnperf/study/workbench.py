"""Trained models for a run: datasets loaded once, bases trained once and kept in the cache."""

from __future__ import annotations

import functools
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
import torch
from torch import nn

from gnnperf.compression.finite import weights_fault
from gnnperf.datasets import DataError, DataOptions, Dataset, DatasetSource, Mode
from gnnperf.errors import GnnperfError
from gnnperf.models.wrappers import folded, unwrapped
from gnnperf.study.weights import load_weights, weights_digest
from gnnperf.system import MOST_THREADS
from gnnperf.system.files import FolderError, usable_path, writable_folder
from gnnperf.system.leftovers import sweep
from gnnperf.system.machine import find_device, settle_threads, tune_allocator
from gnnperf.system.store import key_of
from gnnperf.training import FitReport, Parts, Trained, evaluate, fit, prepared, seeded
from gnnperf.training.keys import described, training_decides
from gnnperf.training.modules import copied, lazy_names, materialize
from gnnperf.training.own_fit import fit_by
from gnnperf.training.trained import cached_training
from gnnperf.workloads import Workload, find_workload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class WorkbenchOptions:
    """Where data comes from, where results are kept, and what computes."""

    data: DataOptions
    device: torch.device
    threads: int

    @property
    def cache(self) -> Path:
        """The folder for everything that can be made again."""
        return self.data.cache


def workbench_options(
    *,
    mode: Mode = "auto",
    data_root: str | None = None,
    data_version: str | None = None,
    cache: str | None = None,
    device: str = "auto",
    threads: int = 1,
) -> WorkbenchOptions:
    """What the user chose, with GNNPERF_DATA and the user's cache folder where they did not.

    Raises GnnperfError for an unknown device or no thread, DataError for a data root without a name
    or a version that cannot be meant.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise GnnperfError(f"{threads} threads: name 1 to {MOST_THREADS}")
    if data_root == "":
        raise DataError("--gnnperf-data-root names no folder; name one, or leave it out")
    root = data_root or os.environ.get("GNNPERF_DATA")
    folder = usable_path(cache or platformdirs.user_cache_dir("gnnperf"), "--gnnperf-cache")
    data = DataOptions(mode, Path(root) if root else None, folder, data_version)
    return WorkbenchOptions(data, find_device(device), threads)


class Workbench:
    """Hands out trained models; one a run. Settles threads and allocator for the whole process."""

    def __init__(self, options: WorkbenchOptions, *, show_progress: bool = True) -> None:
        _prepare(options.cache)
        settle_threads(options.threads)
        self.allocator = tune_allocator()
        self.options, self._show_progress = options, show_progress
        self._datasets: dict[str, Dataset] = {}
        self._asked: dict[str, Workload] = {}
        self._keys: dict[str, str] = {}
        self._bases: OrderedDict[tuple[str, int], Trained] = OrderedDict()
        # Architectures on one dataset share what a task makes of it for a seed.
        self._splits: OrderedDict[tuple[str, str, int], Parts] = OrderedDict()

    def dataset(self, source: DatasetSource) -> Dataset:
        """The dataset, loaded at the first call; raises DataError."""
        if source.name not in self._datasets:
            self._datasets[source.name] = source.load(self.options.data)
        return self._datasets[source.name]

    def datasets(self) -> list[Dataset]:
        """Those loaded so far."""
        return list(self._datasets.values())

    def dataset_keys(self) -> Mapping[str, str]:
        """Of the datasets that ids were asked on so far, `cora_node` to `cora_node~synthetic`."""
        return self._keys

    def workload_id(self, name: str) -> str:
        """The workload's id with the data's source, told without loading the data.

        Raises GnnperfError for an unknown workload.
        """
        workload = find_workload(name)
        source = workload.dataset
        if source.name not in self._keys:
            self._keys[source.name] = source.key(self.options.data)
        workload_id = workload.id_on(self._keys[source.name])
        self._asked[workload_id] = workload
        return workload_id

    def test_parts(self) -> list[str]:
        """A line for each workload with a checkpoint: what its test part is, or that it re-splits.

        Of those whose id was asked for; no data is loaded.
        """
        return [
            f"{name}: checkpoint {workload.checkpoint}, {_test_part(workload)}"
            for name, workload in self._asked.items()
            if workload.checkpoint is not None
        ]

    def trained(self, name: str, seed: int = 0) -> Trained:
        """The dense base of a workload and seed, from the cache or trained now.

        Its model is the caller's own copy. Raises GnnperfError for an unknown workload, DataError
        for data that cannot be had.
        """
        base = _kept(self._bases, (name, seed), lambda: self._base(find_workload(name), seed))
        return replace(base, model=copied(base.model))

    def is_trained(self, name: str, seed: int) -> bool:
        """Whether the cache has the base; nothing is split or trained. Raises as `trained`."""
        return self.base(name, seed)[0].is_file()

    def base(self, name: str, seed: int) -> tuple[Path, Mapping[str, Any]]:
        """Where the trained base lies, or will, and all that decides it, as plain data."""
        start = self._start(find_workload(name), seed)
        return start.checkpoint, start.decides

    def _base(self, workload: Workload, seed: int) -> Trained:
        start = self._start(workload, seed)
        model = start.fresh()

        def train() -> FitReport:
            parts = start.split()
            if workload.checkpoint is not None:
                load_weights(model, workload.checkpoint)
                return FitReport(0, 0, 0.0, evaluate(model, workload.task, parts.validation))
            task, settings = workload.task, workload.train
            if workload.fit is not None:
                return fit_by(workload.fit, model, task, parts, settings, seed=seed)
            bar = start.name if self._show_progress else ""
            return fit(model, task, parts, settings, seed=seed, progress=bar)

        report = cached_training(start.checkpoint, model, train)
        if fault := weights_fault(model):
            raise GnnperfError(
                f"{start.name}, seed {seed}: {fault} in the dense model; lower the learning rate "
                "of its training, or mend its data or its checkpoint"
            )
        # Another one than was trained, which may keep what it computed: the same from the cache.
        ready = start.fresh().eval()
        ready.load_state_dict(model.state_dict())
        ready = folded(ready)
        dataset = start.dataset
        return Trained(
            workload=start.name,
            seed=seed,
            model=ready,
            task=workload.task,
            split=start.split,
            train=workload.train,
            finetune=workload.finetune_settings(),
            report=report,
            data={
                "dataset": dataset.name,
                "key": dataset.key,
                "source": dataset.source,
                "origin": dataset.origin,
                "fingerprint": dataset.fingerprint,
                **dataset.sizes,
            },
            fresh=start.fresh,
            checkpoints=start.checkpoint.parent,
            own_fit=workload.fit,
        )

    def _start(self, workload: Workload, seed: int) -> _Start:
        dataset = self.dataset(workload.dataset)
        device = self.options.device

        shared = (dataset.key, described(workload.task), seed)

        def split() -> Parts:
            return workload.task.split([graph.to(device) for graph in dataset.graphs], seed)

        def parts() -> Parts:
            return _kept(self._splits, shared, split)

        def fresh(draw: int = seed) -> nn.Module:
            if draw != seed and not workload.draws(dataset):
                raise GnnperfError(
                    f"{workload.name}: its model is an object, whose weights cannot be drawn anew; "
                    "let `model` be a function that makes one"
                )
            with seeded(draw):
                made = unwrapped(workload.build(dataset)).to(device)
            if lazy_names(made):
                batch = parts().train[0]
                with seeded(draw):
                    materialize(made, batch)
            return made

        model, name, given = fresh(), workload.id_on(dataset.key), workload.checkpoint
        decides = training_decides(
            model,
            workload.task,
            workload.train,
            seed,
            dataset.fingerprint,
            own_fit=workload.fit,
        )
        decides |= {
            "workload": workload.name,
            "checkpoint": None if given is None else weights_digest(given),
        }
        return _Start(
            name,
            dataset,
            fresh,
            functools.cache(lambda: prepared(model, parts())),
            self.options.cache / "checkpoints" / f"{name}-seed{seed}-{key_of(decides)}.ckpt",
            decides,
        )


@dataclass(frozen=True)
class _Start:
    """A base before it is trained.

    Attributes:
        name: the workload's id on the data at hand.
        dataset: loaded.
        fresh: gives the untrained model, of this seed or of the one that it is given.
        split: gives the prepared batches; done once.
        checkpoint: where the trained weights lie, or will.
        decides: what the checkpoint's name stands for.
    """

    name: str
    dataset: Dataset
    fresh: Callable[..., nn.Module]
    split: Callable[[], Parts]
    checkpoint: Path
    decides: Mapping[str, Any]


def _prepare(cache: Path) -> None:
    """Make the folder, and sweep it; one that can only be read serves what it holds."""
    try:
        writable_folder(cache, "--gnnperf-cache")
    except FolderError as error:
        if not (cache.is_dir() and os.access(cache, os.R_OK | os.X_OK)):
            raise
        warnings.warn(f"{error}: what it holds is used, and nothing is kept", stacklevel=3)
        return
    sweep(cache)


def _test_part(workload: Workload) -> str:
    said: Callable[[], str] | None = getattr(workload.task, "test_part", None)
    return f"tested on what {type(workload.task).__name__} splits off" if said is None else said()


_KEPT = 4
"""How many bases, and how many splits of datasets, stay in memory."""


def _kept(store: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """The value of a key, made where it is absent; those not used for longest go."""
    if key not in store:
        store[key] = make()
    store.move_to_end(key)
    while len(store) > _KEPT:
        store.popitem(last=False)
    return store[key]

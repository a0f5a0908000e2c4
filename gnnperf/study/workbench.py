"""Trained models for a run: datasets loaded once, bases trained once and kept in the cache."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import platformdirs
import torch
from torch import nn

from gnnperf.datasets import DataOptions, Dataset, DatasetSource, Mode
from gnnperf.errors import GnnperfError
from gnnperf.study.weights import load_weights, weights_digest
from gnnperf.system.files import writable_folder
from gnnperf.system.machine import find_device, settle_threads, tune_allocator
from gnnperf.training import FitReport, Trained, evaluate, fit, prepared, seeded
from gnnperf.training.checkpoints import Checkpoint, cached, key_of
from gnnperf.training.keys import what_decides
from gnnperf.workloads import Workload, find_workload


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
    cache: str | None = None,
    device: str = "auto",
    threads: int = 1,
) -> WorkbenchOptions:
    """What the user chose, with GNNPERF_DATA and the user's cache folder where they did not.

    Raises GnnperfError for an unknown device or no thread.
    """
    if threads < 1:
        raise GnnperfError(f"{threads} threads: name at least one")
    root = data_root or os.environ.get("GNNPERF_DATA")
    folder = Path(cache or platformdirs.user_cache_dir("gnnperf"))
    data = DataOptions(mode, Path(root) if root else None, folder)
    return WorkbenchOptions(data, find_device(device), threads)


class Workbench:
    """Hands out trained models; one a run. Settles threads and allocator for the whole process."""

    def __init__(self, options: WorkbenchOptions, *, show_progress: bool = True) -> None:
        writable_folder(options.cache, "--gnnperf-cache")
        settle_threads(options.threads)
        self.allocator = tune_allocator()
        self.options, self._show_progress = options, show_progress
        self._datasets: dict[str, Dataset] = {}
        self._trained: dict[tuple[str, int], Trained] = {}

    def dataset(self, source: DatasetSource) -> Dataset:
        """The dataset, loaded at the first call; raises DataError."""
        if source.name not in self._datasets:
            self._datasets[source.name] = source.load(self.options.data)
        return self._datasets[source.name]

    def datasets(self) -> list[Dataset]:
        """Those loaded so far."""
        return list(self._datasets.values())

    def workload_id(self, name: str) -> str:
        """The workload's id with the data's source; raises GnnperfError for an unknown one."""
        workload = find_workload(name)
        return workload.id_on(self.dataset(workload.dataset).key)

    def trained(self, name: str, seed: int = 0) -> Trained:
        """The dense base of a workload and seed, from the cache or trained now.

        Its model is the caller's own copy. Raises GnnperfError for an unknown workload, DataError
        for data that cannot be had.
        """
        if (name, seed) not in self._trained:
            self._trained[name, seed] = self._base(find_workload(name), seed)
        base = self._trained[name, seed]
        return replace(base, model=deepcopy(base.model))

    def _base(self, workload: Workload, seed: int) -> Trained:
        dataset = self.dataset(workload.dataset)
        device = self.options.device

        def fresh(draw: int = seed) -> nn.Module:
            with seeded(draw):
                return workload.model(dataset).to(device)

        model = fresh()
        graphs = [graph.to(device) for graph in dataset.graphs]
        parts = prepared(model, workload.task.split(graphs, seed))
        name = workload.id_on(dataset.key)
        given = workload.checkpoint
        key = key_of(
            {
                **what_decides(model, workload.task, workload.train, seed, dataset.fingerprint),
                "workload": workload.name,
                "checkpoint": None if given is None else weights_digest(given),
            }
        )

        def train() -> Checkpoint:
            if given is None:
                bar = name if self._show_progress else ""
                report = fit(model, workload.task, parts, workload.train, seed=seed, progress=bar)
            else:
                load_weights(model, given)
                report = FitReport(0, 0, 0.0, evaluate(model, workload.task, parts.validation))
            return {"state": model.state_dict(), "report": asdict(report)}

        checkpoints = self.options.cache / "checkpoints"
        checkpoint = cached(checkpoints / f"{name}-seed{seed}-{key}.ckpt", train)
        model.load_state_dict(checkpoint["state"])
        return Trained(
            workload=name,
            seed=seed,
            model=model.eval(),
            task=workload.task,
            parts=parts,
            train=workload.train,
            finetune=workload.finetune_settings(),
            report=FitReport(**checkpoint["report"]),
            data={
                "dataset": dataset.name,
                "source": dataset.source,
                "origin": dataset.origin,
                "fingerprint": dataset.fingerprint,
            },
            fresh=fresh,
            checkpoints=checkpoints,
        )

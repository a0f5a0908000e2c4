"""A study's trainings, done ahead and side by side, so that its cases find them in the cache.

A case then only measures, and nothing else runs while it does.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm

from gnnperf.recipes import METHODS, compress, parse_recipe
from gnnperf.study import sending
from gnnperf.study.away import ALONE, first_missing
from gnnperf.study.cases import Training
from gnnperf.study.dispatch import trained_away
from gnnperf.study.durations import (
    Expected,
    keep_durations,
    read_durations,
    told,
    training_key,
)
from gnnperf.study.sending import Failure, Pickled, failures_told, received, sentence
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.cluster import connected
from gnnperf.system.devices import free_gpu
from gnnperf.system.parallel import side_by_side
from gnnperf.workloads import WORKLOADS


def train_ahead(
    workbench: Workbench,
    trainings: Iterable[Training],
    jobs: int,
    announce: Callable[[str], None],
    cluster: str | None = None,
) -> None:
    """Train what is asked for and the cache lacks, `jobs` processes side by side.

    One training alone is left to the case that needs it: starting processes would only delay it.
    So are trainings that fail: their reasons are announced, each once, and the case meets the same
    error and reports it. The processes live on for the next call until `workers_end`. Raises
    WorkersDiedError when one died, UnreachableError where nobody answers at the cluster's address,
    ClusterError where the cluster is gone.

    Args:
        workbench: whose cache is filled; it learns the bases.
        trainings: in the order that they will be needed in.
        jobs: processes at a time.
        announce: told in a line what is trained, and what failed.
        cluster: address of the machines that train; what none of them is fit for is trained here.
    """
    wanted = list(dict.fromkeys(trainings))
    bases: list[sending.Training] = [(*base, None) for base in dict.fromkeys(t[:2] for t in wanted)]
    after = [training for training in wanted if parse_recipe(training[2]).trains]
    with ExitStack() as stack:
        client, once = None, functools.cache(announce)
        # A recipe waits for its base: side by side, two processes would wait for the same one.
        for what, asked in (("bases", bases), ("trainings after recipes", after)):
            missing = [training for training in asked if not _cached(workbench, training)]
            if missing and cluster is not None:
                client = client or stack.enter_context(connected(cluster))
                announce(f"{len(missing)} {what} are missing, {cluster} is asked to train them")
                missing = trained_away(workbench, missing, client, once)
            if len(missing) > 1 and jobs > 1:
                processes = min(jobs, len(missing))
                text = f"{len(missing)} {what} are missing, {processes} are trained at a time"
                seconds = _expected_seconds(workbench.options.cache, missing)
                announce(text if seconds is None else f"{text}, {told(seconds / processes)}")
                for line in failures_told(_train(workbench.options, missing, jobs)):
                    announce(line)


def _cached(workbench: Workbench, training: sending.Training) -> bool:
    """Whether nothing needs to be trained, or nothing can be."""
    try:
        return first_missing(workbench, training) is None
    except Exception:  # A project's own model raises anything; the case itself reports it.
        return True


def _expected_seconds(cache: Path, missing: Sequence[sending.Training]) -> float | None:
    """Of all, by those that were trained before; None where most are unlike any of them."""
    keys = [training_key(*training) for training in missing]
    seconds, unknown = Expected(read_durations(cache)).total(keys)
    known = len(keys) - unknown
    return None if known < unknown else seconds * len(keys) / known


def _train(
    options: WorkbenchOptions, trainings: Sequence[sending.Training], jobs: int
) -> Iterator[Failure]:
    """Fill the cache; gives what did not work, as it comes."""
    with TemporaryDirectory(prefix="gnnperf-") as folder:
        pickled, tasks = Pickled(Path(folder)), []
        for training in trainings:
            files = pickled.of(training)
            if isinstance(files, str):
                yield training, files
            else:
                tasks.append((options, training, *files))
        # disable=None: only where stderr is a terminal.
        with tqdm(total=len(tasks), unit="training", disable=None) as bar:
            for failure in side_by_side(_train_one, tasks, jobs):
                bar.update()
                if failure is not None:
                    yield failure


def _train_one(
    options: WorkbenchOptions, training: sending.Training, workload: Path, methods: Path
) -> Failure | None:
    """In a process of its own: fill the cache."""
    name, seed, recipe = training
    try:
        WORKLOADS[name] = received(workload, f"workload {name}")
        METHODS.update(received(methods, f"method of {recipe}"))
        with ALONE, free_gpu(gpus_to_share(options.device)) as number:
            device = options.device if number is None else torch.device("cuda", number)
            workbench = _workbench(replace(options, device=device))
            started = time.perf_counter()
            trained = workbench.trained(name, seed)
            if recipe is not None:
                started = time.perf_counter()
                compress(trained, recipe)
            seconds = time.perf_counter() - started
        keep_durations(options.cache, {training_key(name, seed, recipe): seconds})
    except Exception as error:  # The case trains and meets the error again, where it is reported.
        return training, sentence(error)
    return None


def gpus_to_share(device: torch.device) -> int:
    """How many GPUs trainings may go to: all, where none was named; 0 without any."""
    anywhere = device.type == "cuda" and device.index is None
    return torch.cuda.device_count() if anywhere else 0


@functools.cache
def _workbench(options: WorkbenchOptions) -> Workbench:
    return Workbench(options, show_progress=False)

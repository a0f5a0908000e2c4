"""A study's trainings, done ahead and side by side, so that its cases find them in the cache.

A case then only measures, and nothing else runs while it does.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import cloudpickle
from tqdm import tqdm

from gnnperf.recipes import compress, parse_recipe
from gnnperf.study.cases import Training
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.parallel import side_by_side, workers_end
from gnnperf.training.checkpoints import NotCachedError, only_cached
from gnnperf.workloads import WORKLOADS, find_workload

_Training = tuple[str, int, str | None]
"""Workload, seed and recipe; without a recipe, the dense base."""


def train_ahead(
    workbench: Workbench,
    trainings: Iterable[Training],
    jobs: int,
    announce: Callable[[str], None],
) -> None:
    """Train what is asked for and the cache lacks, `jobs` processes side by side.

    One training alone is left to the case that needs it: starting processes would only delay it.
    So are trainings that fail, whose case then meets the same error and reports it. Raises
    WorkersDiedError when a process died.

    Args:
        workbench: whose cache is filled; it learns the bases.
        trainings: in the order that they will be needed in.
        jobs: processes at a time.
        announce: told in one line what is trained.
    """
    wanted = list(dict.fromkeys(trainings))
    bases: list[_Training] = [(*base, None) for base in dict.fromkeys(t[:2] for t in wanted)]
    after = [training for training in wanted if parse_recipe(training[2]).trains]
    with workers_end(jobs):
        # A recipe waits for its base: side by side, two processes would wait for the same one.
        for what, asked in (("bases", bases), ("trainings after recipes", after)):
            missing = [training for training in asked if not _cached(workbench, *training)]
            if len(missing) > 1:
                processes = min(jobs, len(missing))
                announce(f"{len(missing)} {what} are missing, {processes} are trained at a time")
                _train(workbench.options, missing, jobs)


def _cached(workbench: Workbench, workload: str, seed: int, recipe: str | None) -> bool:
    """Whether nothing needs to be trained, or nothing can be."""
    try:
        with only_cached():
            trained = workbench.trained(workload, seed)
            if recipe is not None:
                compress(trained, recipe)
    except NotCachedError:
        return False
    except Exception:  # A project's own model raises anything; the case itself reports it.
        return True
    return True


def _train(options: WorkbenchOptions, trainings: Sequence[_Training], jobs: int) -> None:
    pickled = {name: _pickled(name) for name, _, _ in trainings}
    tasks = [
        (options, workload, seed, recipe)
        for name, seed, recipe in trainings
        if (workload := pickled[name]) is not None
    ]
    # disable=None: only where stderr is a terminal.
    with tqdm(total=len(tasks), unit="training", disable=None) as bar:
        for _ in side_by_side(_train_one, tasks, jobs):
            bar.update()


def _pickled(name: str) -> bytes | None:
    """The workload for another process, which may not know a project's own; None: it cannot go."""
    with suppress(Exception):  # Whatever a project's objects raise when they are pickled.
        content: bytes = cloudpickle.dumps(find_workload(name))
        return content
    return None


def _train_one(options: WorkbenchOptions, workload: bytes, seed: int, recipe: str | None) -> None:
    """In a process of its own: fill the cache."""
    # The case trains and meets the error again, where it can be reported.
    with suppress(Exception):
        found = pickle.loads(workload)
        WORKLOADS[found.name] = found
        trained = _workbench(options).trained(found.name, seed)
        if recipe is not None:
            compress(trained, recipe)


@functools.cache
def _workbench(options: WorkbenchOptions) -> Workbench:
    return Workbench(options, show_progress=False)

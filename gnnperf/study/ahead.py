"""A study's trainings, done ahead and side by side, so that its cases find them in the cache.

A case then only measures, and nothing else runs while it does.
"""

from __future__ import annotations

import functools
import itertools
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cloudpickle
from tqdm import tqdm

from gnnperf.errors import GnnperfError
from gnnperf.recipes import METHODS, compress, own_methods, parse_recipe
from gnnperf.study.cases import Training
from gnnperf.study.durations import (
    Expected,
    keep_durations,
    read_durations,
    told,
    training_key,
)
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.parallel import side_by_side
from gnnperf.training.checkpoints import NotCachedError, only_cached
from gnnperf.workloads import WORKLOADS, find_workload

_Training = tuple[str, int, str | None]
"""Workload, seed and recipe; without a recipe, the dense base."""
_Failure = tuple[_Training, str]
"""What could not be trained, and why."""


def train_ahead(
    workbench: Workbench,
    trainings: Iterable[Training],
    jobs: int,
    announce: Callable[[str], None],
) -> None:
    """Train what is asked for and the cache lacks, `jobs` processes side by side.

    One training alone is left to the case that needs it: starting processes would only delay it.
    So are trainings that fail: their reasons are announced, each once, and the case meets the same
    error and reports it. The processes live on for the next call until `workers_end`. Raises
    WorkersDiedError when one died.

    Args:
        workbench: whose cache is filled; it learns the bases.
        trainings: in the order that they will be needed in.
        jobs: processes at a time.
        announce: told in a line what is trained, and what failed.
    """
    wanted = list(dict.fromkeys(trainings))
    bases: list[_Training] = [(*base, None) for base in dict.fromkeys(t[:2] for t in wanted)]
    after = [training for training in wanted if parse_recipe(training[2]).trains]
    # A recipe waits for its base: side by side, two processes would wait for the same one.
    for what, asked in (("bases", bases), ("trainings after recipes", after)):
        missing = [training for training in asked if not _cached(workbench, *training)]
        if len(missing) > 1:
            processes = min(jobs, len(missing))
            text = f"{len(missing)} {what} are missing, {processes} are trained at a time"
            seconds = _expected_seconds(workbench.options.cache, missing)
            announce(text if seconds is None else f"{text}, {told(seconds / processes)}")
            for line in _told(_train(workbench.options, missing, jobs)):
                announce(line)


def _cached(workbench: Workbench, workload: str, seed: int, recipe: str | None) -> bool:
    """Whether nothing needs to be trained, or nothing can be."""
    try:
        if recipe is None:
            return workbench.is_trained(workload, seed)
        with only_cached():
            compress(workbench.trained(workload, seed), recipe)
    except NotCachedError:
        return False
    except Exception:  # A project's own model raises anything; the case itself reports it.
        return True
    return True


def _expected_seconds(cache: Path, missing: Sequence[_Training]) -> float | None:
    """Of all, by those that were trained before; None where most are unlike any of them."""
    keys = [training_key(*training) for training in missing]
    seconds, unknown = Expected(read_durations(cache)).total(keys)
    known = len(keys) - unknown
    return None if known < unknown else seconds * len(keys) / known


def _train(
    options: WorkbenchOptions, trainings: Sequence[_Training], jobs: int
) -> Iterator[_Failure]:
    """Fill the cache; gives what did not work, as it comes."""
    names = dict.fromkeys(name for name, _, _ in trainings)
    recipes = dict.fromkeys(recipe for _, _, recipe in trainings)
    with TemporaryDirectory(prefix="gnnperf-") as folder:
        files = (Path(folder, f"{number}.pickle") for number in itertools.count())
        workloads = {name: _sent(find_workload(name), next(files)) for name in names}
        methods = {r: _sent({} if r is None else own_methods(r), next(files)) for r in recipes}
        tasks = []
        for name, seed, recipe in trainings:
            sent = {"workload": workloads[name], "recipe's method": methods[recipe]}
            for what, path in sent.items():
                if isinstance(path, Exception):
                    why = f"the {what} cannot be sent to another process: {_sentence(path)}"
                    yield (name, seed, recipe), why
                    break
            else:
                tasks.append((options, name, *sent.values(), seed, recipe))
        # disable=None: only where stderr is a terminal.
        with tqdm(total=len(tasks), unit="training", disable=None) as bar:
            for failure in side_by_side(_train_one, tasks, jobs):
                bar.update()
                if failure is not None:
                    yield failure


def _sent(part: Any, path: Path) -> Path | Exception:
    """In a file for other processes, which may not know what a project registered, or why not.

    A workload may hold its graphs: so they go once, and not with every task.
    """
    try:
        with path.open("wb") as file:
            cloudpickle.dump(part, file)
    except Exception as error:  # Whatever a project's objects raise when they are pickled.
        return error
    return path


def _received(path: Path, what: str) -> Any:
    """In a process of its own: what is in the file, read once and held until there is another."""
    if _HELD.get(what, (None, None))[0] != path:
        with path.open("rb") as file:
            _HELD[what] = path, pickle.load(file)
    return _HELD[what][1]


_HELD: dict[str, tuple[Path, Any]] = {}


def _train_one(
    options: WorkbenchOptions,
    name: str,
    workload: Path,
    methods: Path,
    seed: int,
    recipe: str | None,
) -> _Failure | None:
    """In a process of its own: fill the cache."""
    try:
        WORKLOADS[name] = _received(workload, f"workload {name}")
        METHODS.update(_received(methods, f"method of {recipe}"))
        workbench = _workbench(options)
        started = time.perf_counter()
        trained = workbench.trained(name, seed)
        if recipe is not None:
            started = time.perf_counter()
            compress(trained, recipe)
        seconds = time.perf_counter() - started
        keep_durations(options.cache, {training_key(name, seed, recipe): seconds})
    except Exception as error:  # The case trains and meets the error again, where it is reported.
        return (name, seed, recipe), _sentence(error)
    return None


def _sentence(error: Exception) -> str:
    """The first line of an error, with its kind where it is none of ours."""
    kind = "" if isinstance(error, GnnperfError) else f"{type(error).__name__}: "
    return kind + (str(error).strip().partition("\n")[0] or "no reason given")


def _told(failures: Iterable[_Failure]) -> Iterator[str]:
    """A line a reason, with the first training that failed so and how many others did."""
    by_reason: dict[str, list[_Training]] = {}
    for training, reason in failures:
        by_reason.setdefault(reason, []).append(training)
    for reason, ((name, seed, recipe), *others) in by_reason.items():
        first = f"{name}, seed {seed}" + f", {recipe}" * (recipe is not None)
        more = f" (so did {len(others)} more)" if others else ""
        yield f"a training ahead failed: {first}{more}: {reason}"


@functools.cache
def _workbench(options: WorkbenchOptions) -> Workbench:
    return Workbench(options, show_progress=False)

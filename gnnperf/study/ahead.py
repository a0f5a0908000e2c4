"""A study's trainings, done ahead and side by side, so that its cases find them in the cache.

A case then only measures, and nothing else runs while it does.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import cloudpickle
import torch
from tqdm import tqdm

from gnnperf.recipes import METHODS, compress, own_methods, parse_recipe
from gnnperf.study import away
from gnnperf.study.away import ALONE, sentence
from gnnperf.study.cases import Training
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.cluster import connected
from gnnperf.system.devices import free_gpu
from gnnperf.system.fleet import Task, sent_out
from gnnperf.system.parallel import side_by_side, workers_end
from gnnperf.workloads import WORKLOADS, find_workload

if TYPE_CHECKING:
    from distributed import Client

_Training = away.Training
_Failure = tuple[_Training, str]
"""What could not be trained, and why."""


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
    error and reports it. Raises WorkersDiedError when a process died, ClusterError when the cluster
    cannot be reached or is gone.

    Args:
        workbench: whose cache is filled; it learns the bases.
        trainings: in the order that they will be needed in.
        jobs: processes at a time.
        announce: told in a line what is trained, and what failed.
        cluster: address of the machines that train; what none of them can is trained here.
    """
    wanted = list(dict.fromkeys(trainings))
    bases: list[_Training] = [(*base, None) for base in dict.fromkeys(t[:2] for t in wanted)]
    after = [training for training in wanted if parse_recipe(training[2]).trains]
    with workers_end(jobs), ExitStack() as stack:
        client = None
        # A recipe waits for its base: side by side, two processes would wait for the same one.
        for what, asked in (("bases", bases), ("trainings after recipes", after)):
            missing = [training for training in asked if not _cached(workbench, training)]
            if missing and cluster is not None:
                client = client or stack.enter_context(connected(cluster))
                announce(f"{len(missing)} {what} are missing, {cluster} is asked to train them")
                missing = _trained_away(workbench, missing, client, announce)
            if len(missing) > 1 and jobs > 1:
                processes = min(jobs, len(missing))
                announce(f"{len(missing)} {what} are missing, {processes} are trained at a time")
                for line in _told(_train(workbench.options, missing, jobs)):
                    announce(line)


def _cached(workbench: Workbench, training: _Training) -> bool:
    """Whether nothing needs to be trained, or nothing can be."""
    try:
        return away.first_missing(workbench, training) is None
    except Exception:  # A project's own model raises anything; the case itself reports it.
        return True


def _trained_away(
    workbench: Workbench,
    missing: Sequence[_Training],
    client: Client,
    announce: Callable[[str], None],
) -> list[_Training]:
    """Have them trained on the cluster; gives what no worker there is fit for."""
    checkpoints = workbench.options.cache / "checkpoints"
    sent = _Sending(workbench, missing)
    failures: list[_Failure] = []
    unfit: list[_Failure] = []
    with tqdm(total=len(missing), unit="training", disable=None) as bar:
        for answer in sent_out(client, sent.tasks(), announce):
            bar.update()
            training = missing[answer.number]
            if answer.value is None:
                (unfit if answer.unfit else failures).append((training, answer.failure))
            elif answer.value.failure:
                failures.append((training, answer.value.failure))
            else:
                wrong = away.receive(checkpoints, sent.wanted[answer.number], answer.value)
                if wrong:
                    unfit.append((training, wrong))
    for reason in dict.fromkeys(reason for _, reason in unfit):
        announce(reason)
    for line in _told([*sent.failures, *failures]):
        announce(line)
    return [training for training, _ in unfit]


@dataclass
class _Sending:
    """Trainings on their way out.

    Attributes:
        workbench: what it lacks is sent.
        trainings: by their numbers.
        wanted: names of the checkpoints that are waited for, by number.
        failures: of those that cannot be sent.
    """

    workbench: Workbench
    trainings: Sequence[_Training]
    wanted: dict[int, str] = field(default_factory=dict)
    failures: list[_Failure] = field(default_factory=list)

    def tasks(self) -> Iterator[Task[away.Returned]]:
        """What is still missing when it is its turn."""
        run, pickled = uuid4().hex, _Pickled()
        for number, training in enumerate(self.trainings):
            parts = pickled.of(training)
            if isinstance(parts, str):
                self.failures.append((training, parts))
                continue
            parcel = away.parcel(run, self.workbench, training, *parts)
            if parcel is not None:
                self.wanted[number] = parcel.wanted
                yield Task(number, away.train_away, (parcel,), kind=training[0])


def _train(
    options: WorkbenchOptions, trainings: Sequence[_Training], jobs: int
) -> Iterator[_Failure]:
    """Fill the cache; gives what did not work, as it comes."""
    pickled, tasks = _Pickled(), []
    for training in trainings:
        parts = pickled.of(training)
        if isinstance(parts, str):
            yield training, parts
        else:
            tasks.append((options, training, *parts))
    # disable=None: only where stderr is a terminal.
    with tqdm(total=len(tasks), unit="training", disable=None) as bar:
        for failure in side_by_side(_train_one, tasks, jobs):
            bar.update()
            if failure is not None:
                yield failure


class _Pickled:
    """Workloads and methods for other processes, which may not know what a project registered."""

    def __init__(self) -> None:
        self._contents: dict[tuple[str, str | None], bytes | str] = {}

    def of(self, training: _Training) -> tuple[bytes, bytes] | str:
        """The workload and the recipe's own methods, or why one of them cannot go."""
        name, _, recipe = training
        workload = self._content("workload", name, lambda: find_workload(name))
        own = self._content(
            "recipe's method", recipe, lambda: {} if recipe is None else own_methods(recipe)
        )
        if isinstance(workload, str):
            return workload
        return own if isinstance(own, str) else (workload, own)

    def _content(self, what: str, name: str | None, part: Callable[[], Any]) -> bytes | str:
        key = (what, name)
        if key not in self._contents:
            try:
                self._contents[key] = cloudpickle.dumps(part())
            except Exception as error:  # Whatever a project's objects raise when they are pickled.
                self._contents[key] = (
                    f"the {what} cannot be sent to another process: {sentence(error)}"
                )
        return self._contents[key]


def _train_one(
    options: WorkbenchOptions, training: _Training, workload: bytes, methods: bytes
) -> _Failure | None:
    """In a process of its own: fill the cache."""
    name, seed, recipe = training
    try:
        WORKLOADS[name] = pickle.loads(workload)
        METHODS.update(pickle.loads(methods))
        with ALONE, free_gpu(gpus_to_share(options.device)) as number:
            device = options.device if number is None else torch.device("cuda", number)
            trained = _workbench(replace(options, device=device)).trained(name, seed)
            if recipe is not None:
                compress(trained, recipe)
    except Exception as error:  # The case trains and meets the error again, where it is reported.
        return training, sentence(error)
    return None


def gpus_to_share(device: torch.device) -> int:
    """How many GPUs trainings may go to: all, where none was named; 0 without any."""
    anywhere = device.type == "cuda" and device.index is None
    return torch.cuda.device_count() if anywhere else 0


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

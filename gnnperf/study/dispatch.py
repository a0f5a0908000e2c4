"""Trainings sent to a cluster, and their checkpoints kept as they come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from tqdm import tqdm

from gnnperf.study.away import Returned, parcel, receive, train_away
from gnnperf.study.sending import Failure, Pickled, Training, failures_told
from gnnperf.study.workbench import Workbench
from gnnperf.system.fleet import Task, sent_out

if TYPE_CHECKING:
    from distributed import Client


def trained_away(
    workbench: Workbench,
    missing: Sequence[Training],
    client: Client,
    announce: Callable[[str], None],
) -> list[Training]:
    """Have them trained on the cluster; gives what no worker there is fit for.

    Raises ClusterError where it is gone, FileError where a checkpoint cannot be kept.

    Args:
        workbench: whose cache is filled.
        missing: from its cache.
        client: of the cluster.
        announce: told in a line, each reason once, what failed and in what workers differ.
    """
    failures: list[Failure] = []
    unfit: list[Failure] = []
    checkpoints = workbench.options.cache / "checkpoints"
    with (
        TemporaryDirectory(prefix="gnnperf-") as folder,
        # disable=None: only where stderr is a terminal.
        tqdm(total=len(missing), unit="training", disable=None) as bar,
    ):
        sending = _Sending(workbench, missing, Pickled(Path(folder)))
        for answer in sent_out(client, sending.tasks(), announce):
            bar.update()
            training, returned = missing[answer.number], answer.value
            if returned is None:
                (unfit if answer.unfit else failures).append((training, answer.failure))
            elif returned.failure:
                failures.append((training, returned.failure))
            elif wrong := receive(checkpoints, sending.wanted[answer.number], returned):
                unfit.append((training, wrong))
    for reason in dict.fromkeys(reason for _, reason in unfit):
        announce(reason)
    for line in failures_told([*sending.failures, *failures]):
        announce(line)
    return [training for training, _ in unfit]


@dataclass
class _Sending:
    """Trainings on their way out.

    Attributes:
        workbench: what it lacks is sent.
        trainings: by their numbers.
        pickled: what goes with them.
        wanted: names of the checkpoints that are waited for, by number.
        failures: of those that cannot be sent.
    """

    workbench: Workbench
    trainings: Sequence[Training]
    pickled: Pickled
    wanted: dict[int, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def tasks(self) -> Iterator[Task[Returned]]:
        """What is still missing when it is its turn."""
        run = uuid4().hex
        for number, training in enumerate(self.trainings):
            files = self.pickled.of(training)
            if isinstance(files, str):
                self.failures.append((training, files))
                continue
            sent = parcel(run, self.workbench, training)
            if sent is not None:
                self.wanted[number] = sent.wanted
                yield Task(number, train_away, (sent,), shared=files, kind=training[0])

"""A Dask cluster of real processes, a project with one tiny workload, and a run that asks them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NET = """
import os, time
import torch
from torch import nn
from torch_geometric.data import Data
from gnnperf.datasets import OwnDataset
from gnnperf.training import NodeClassification, TrainSettings
from gnnperf.workloads import Workload, register

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(8, 16), nn.Linear(16, 2)

    def forward(self, data):
        return self.head(self.hidden(data.x).relu())

def graphs():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    return [Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=(x[:, 0] > 0).long())]

def own_fit(model, parts, settings, seed):
    with open(os.environ["FLEET_LOG"], "a") as log:
        log.write(f"{seed} by {os.getpid()}\\n")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(20):
        for batch in parts.train:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch), batch.y).backward()
            optimizer.step()
    time.sleep(float(os.environ.get("FLEET_SECONDS", "0")))

register(Workload(OwnDataset("fleet", graphs), "net", NodeClassification(held_out=100),
    lambda data: Net(), TrainSettings(epochs=20, learning_rate=0.05), fit=own_fit))
"""

DRIVER = """
import sys
from pathlib import Path
import torch
import fleet_net
from gnnperf.datasets import DataOptions
from gnnperf.errors import GnnperfError
from gnnperf.study.ahead import train_ahead
from gnnperf.study.workbench import Workbench, WorkbenchOptions

cache, address, seeds, *recipes = sys.argv[1:]
options = WorkbenchOptions(DataOptions("synthetic", None, Path(cache)), torch.device("cpu"), 1)
wanted = [("fleet-net", seed, recipe) for seed in range(int(seeds)) for recipe in recipes]
try:
    tell = lambda line: print(line, flush=True)
    train_ahead(Workbench(options), wanted, 1, tell, address)
except GnnperfError as error:
    print(f"error: {error}", flush=True)
"""


@dataclass
class Fleet:
    """Processes that end with the test.

    Attributes:
        folder: of the project, its log of trainings and its cache.
        stack: ends them.
    """

    folder: Path
    stack: ExitStack
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    scheduler: subprocess.Popen[str] | None = None
    address: str = ""

    def environment(self, **others: str) -> dict[str, str]:
        here = os.environ.get("PYTHONPATH", "")
        paths = os.pathsep.join(filter(None, [str(self.folder / "project"), here]))
        log = {"PYTHONPATH": paths, "FLEET_LOG": str(self.folder / "log")}
        return {**os.environ, **log, "OMP_NUM_THREADS": "1", **others}

    def start(self, *command: str, **others: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(**others),
            cwd=self.folder,
        )
        self.stack.callback(end, process)
        return process

    def start_scheduler(self) -> None:
        where = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.scheduler = self.start("-m", "distributed.cli.dask_scheduler", *where)
        line = said(self.scheduler, "Scheduler at:")
        self.address = line.split()[-1]

    def start_worker(self, **others: str) -> subprocess.Popen[str]:
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "30")
        worker = self.start(
            *("-m", "distributed.cli.dask_worker", self.address, *options),
            *("--local-directory", str(self.folder / "scratch")),
            **others,
        )
        said(worker, "Registered to:")
        self.workers.append(worker)
        return worker

    def drive(self, seeds: int, *recipes: str, **others: str) -> subprocess.Popen[str]:
        """A run that asks for so many seeds under the recipes."""
        cache = str(self.folder / "cache")
        return self.start("-c", DRIVER, cache, self.address, str(seeds), *recipes, **others)

    def trained(self) -> list[str]:
        """A line a training, wherever it was."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def checkpoints(self) -> list[str]:
        """Names of those in the cache of the run."""
        return sorted(p.name for p in (self.folder / "cache" / "checkpoints").glob("*.ckpt"))


@contextmanager
def fleet_in(folder: Path) -> Iterator[Fleet]:
    """A project and a scheduler; workers are the test's to start."""
    (folder / "project").mkdir()
    (folder / "project" / "fleet_net.py").write_text(NET)
    with ExitStack() as stack:
        fleet = Fleet(folder, stack)
        fleet.start_scheduler()
        yield fleet


def said(process: subprocess.Popen[str], text: str) -> str:
    """The next line with the text in it; what came before is part of the error without."""
    assert process.stdout is not None
    before = []
    for line in process.stdout:
        if text in line:
            return line
        before.append(line)
    raise AssertionError(f"{text!r} was not said in:\n{''.join(before)}")


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process brings about while it runs."""
    while not holds():
        assert process.poll() is None
        time.sleep(0.02)


def end(process: subprocess.Popen[str]) -> None:
    """With all that it started."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    for one in children:
        one.kill()
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()

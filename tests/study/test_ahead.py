import pickle
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Data

from gnnperf.datasets import DataOptions, OwnDataset
from gnnperf.study import ahead
from gnnperf.study.ahead import train_ahead
from gnnperf.study.sending import received
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.workloads import WORKLOADS


@pytest.fixture
def workbench(tmp_path, monkeypatch):
    """Of a workload with graphs of its own, 4 MB of them."""
    graphs = [Data(x=torch.rand(1000, 10), y=torch.tensor([0])) for _ in range(100)]
    own = replace(WORKLOADS["bbbp-gin"], dataset=OwnDataset("mine", graphs))
    monkeypatch.setitem(WORKLOADS, "mine-gin", own)
    options = WorkbenchOptions(DataOptions("synthetic", None, tmp_path), torch.device("cpu"), 1)
    return Workbench(options, show_progress=False)


def test_graphs_go_into_a_file_and_not_into_every_task(workbench, monkeypatch):
    taken, read = [], []

    def side_by_side(work, tasks, jobs):
        for task in tasks:
            taken.append(len(pickle.dumps(task)))
            path = task[2]
            assert path.stat().st_size > 4e6
            read.append(received(path))
            yield None
        read.append(path)

    monkeypatch.setattr(ahead, "side_by_side", side_by_side)
    train_ahead(workbench, [("mine-gin", seed, "global@0") for seed in range(5)], 2, print)
    assert len(taken) == 5
    assert max(taken) < 2000
    # Each worker reads it once, and nothing is left behind.
    *workloads, path = read
    assert all(workload is workloads[0] for workload in workloads)
    assert torch.equal(workloads[0].dataset.graphs[7].x, WORKLOADS["mine-gin"].dataset.graphs[7].x)
    assert not path.parent.exists()

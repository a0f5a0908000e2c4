import pickle
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Data

from gnnperf.datasets import DataOptions, OwnDataset
from gnnperf.study import ahead
from gnnperf.study.ahead import train_ahead
from gnnperf.study.durations import keep_durations, training_key
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
            read.append(received(path, "workload"))
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


@pytest.mark.parametrize(
    ("missing", "seconds"),
    [
        ([("w", 1, None)], 60),
        ([("w", 1, "l2@1")], 300),
        ([("w", 1, None), ("w", 2, "l2@0.1")], 360),
        # As long as those that are known, where those are half of them.
        ([("w", 1, None), ("v", 1, None)], 120),
        ([("w", 1, None), ("v", 1, None), ("v", 2, None)], None),
    ],
)
def test_the_time_of_trainings_is_told_by_those_before(tmp_path, missing, seconds):
    keep_durations(
        tmp_path, {training_key("w", 0, None): 60.0, training_key("w", 0, "l2@1"): 300.0}
    )
    assert ahead._expected_seconds(tmp_path, missing) == seconds


def test_nothing_is_told_of_the_first(tmp_path):
    assert ahead._expected_seconds(tmp_path, [("w", 0, None)]) is None

"""What goes to another machine and comes back, with that machine played by this process."""

import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.datasets import DataOptions, OwnDataset
from gnnperf.errors import GnnperfError
from gnnperf.study import ahead, away, dispatch
from gnnperf.study.away import Returned, differences, receive, train_away
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.fleet import Answer, Unfit
from gnnperf.system.store import write_checked
from gnnperf.training import NodeClassification, TrainSettings
from gnnperf.workloads import WORKLOADS, Workload

TRAININGS = [("away-net", seed, "layer@0.5+finetune") for seed in (0, 1)]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(8, 16), nn.Linear(16, 2)

    def forward(self, data):
        return self.head(self.hidden(data.x).relu())


@pytest.fixture
def workbench(tmp_path, monkeypatch):
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    edges = torch.empty(2, 0, dtype=torch.long)
    graphs = [Data(x=x, edge_index=edges, y=(x[:, 0] > 0).long())]
    task, settings = NodeClassification(held_out=20), TrainSettings(epochs=2, learning_rate=0.05)
    own = Workload(OwnDataset("away", graphs), "net", task, lambda data: Net(), settings)
    monkeypatch.setitem(WORKLOADS, "away-net", own)
    options = DataOptions("synthetic", None, tmp_path / "cache")
    return Workbench(WorkbenchOptions(options, torch.device("cpu"), 1), show_progress=False)


@pytest.fixture
def cluster(monkeypatch):
    """This process as a cluster; gives what it was sent, and takes what it shall do instead."""
    sent, changes = [], []

    @contextmanager
    def connected(address):
        yield address

    def sent_out(client, tasks, announce):
        for task in tasks:
            parcel, *others = task.arguments
            sent.append(parcel)
            for change in changes:
                parcel = change(parcel)
            value = task.work(parcel, *others, *(path.read_bytes() for path in task.shared))
            if isinstance(value, Unfit):
                yield Answer(task.number, None, value.reason, unfit=True)
            else:
                yield Answer(task.number, value)

    monkeypatch.setattr(ahead, "connected", connected)
    monkeypatch.setattr(dispatch, "sent_out", sent_out)
    return sent, changes


def checkpoints(workbench):
    return sorted(path.name for path in (workbench.options.cache / "checkpoints").glob("*.ckpt"))


def test_bases_go_before_recipes_which_are_given_them_and_all_come_back(workbench, cluster):
    sent, _ = cluster
    said = []
    ahead.train_ahead(workbench, TRAININGS, 1, said.append, "local:1")
    assert said == [
        "2 bases are missing, local:1 is asked to train them",
        "2 trainings after recipes are missing, local:1 is asked to train them",
    ]
    assert [len(parcel.given) for parcel in sent] == [0, 0, 1, 1]
    assert checkpoints(workbench) == sorted(parcel.wanted for parcel in sent)
    ahead.train_ahead(workbench, TRAININGS, 1, said.append, "local:1")
    assert len(sent) == 4


def test_another_machines_difference_is_told_once_and_it_trains_nothing(workbench, cluster):
    _, changes = cluster
    changes.append(lambda p: replace(p, decides={**p.decides, "instruction_set": "AVX512"}))
    said = []
    ahead.train_ahead(workbench, TRAININGS, 1, said.append, "local:1")
    here = torch.backends.cpu.get_cpu_capability()
    (told,) = [line for line in said if "asked to train" not in line]
    assert told == (
        f"workers have instruction set {here}, this machine AVX512: their trainings could not be "
        "used here; set the same ATEN_CPU_CAPABILITY everywhere"
    )
    assert checkpoints(workbench) == []


def test_what_no_worker_is_fit_for_is_trained_here(workbench, cluster, monkeypatch):
    _, changes = cluster
    changes.append(lambda p: replace(p, wanted="another.ckpt"))
    here = []
    monkeypatch.setattr(ahead, "_train", lambda *asked: here.append(asked[1]) or ())
    said = []
    ahead.train_ahead(workbench, TRAININGS, 2, said.append, "local:1")
    assert [seed for _, seed, _ in here[0]] == [0, 1]
    assert said[1].startswith("workers have other code of gnnperf or of the project than this")
    assert said[2] == "2 bases are missing, 2 are trained at a time"


DECIDES = {
    "workload": "w",
    "instruction_set": "AVX2",
    "torch": "2.9",
    "torch_geometric": "2.7",
    "device": "cpu",
    "threads": 1,
    "data": "d",
    "code": "c",
    "initial_weights": "i",
}


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ({}, ""),
        ({"torch": "2.8"}, "workers have torch 2.8, this machine 2.9: their trainings could not"),
        (
            {"instruction_set": "AVX512", "threads": 4, "code": "x", "initial_weights": "x"},
            "workers have instruction set AVX512, threads 4, this machine AVX2, 1: their",
        ),
        ({"data": "e", "code": "x"}, "workers have other data of w than this machine: their"),
        ({"code": "x", "initial_weights": "x"}, "workers have other code of gnnperf or of the"),
        ({"initial_weights": "x"}, "workers begin w with other initial weights than this machine"),
    ],
)
def test_a_difference_is_named_by_what_it_comes_from(there, sentence):
    found = differences(DECIDES, {**DECIDES, **there})
    assert found.startswith(sentence)
    assert bool(found) == bool(there)


def test_files_that_are_no_whole_checkpoints_are_not_kept(tmp_path):
    write_checked(tmp_path / "x", b"content")
    whole = (tmp_path / "x").read_bytes()
    kept = tmp_path / "kept"
    assert receive(kept, "a.ckpt", Returned({"a.ckpt": whole})) == ""
    assert (kept / "a.ckpt").read_bytes() == whole
    for name, content in (
        ("b.ckpt", whole[:-1]),
        ("b.ckpt", b""),
        ("../b.ckpt", whole),
        ("b.txt", whole),
        ("/b.ckpt", whole),
    ):
        assert "is no whole checkpoint" in receive(kept, "b.ckpt", Returned({name: content}))
    assert "other checkpoints than" in receive(kept, "b.ckpt", Returned({"c.ckpt": whole}))
    assert sorted(path.name for path in tmp_path.rglob("*.ckpt")) == ["a.ckpt", "c.ckpt"]


def test_code_that_changed_since_it_was_loaded_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(away, "_LOADED", {})
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_once.py").write_text("a = 1\n")
    import mine_once

    assert away._changed_module() is None
    assert away._changed_module() is None
    (tmp_path / "mine_once.py").write_text("a = 1\nb = 2\n")
    assert away._changed_module() == mine_once.__name__
    del sys.modules["mine_once"]
    assert away._changed_module() is None


def test_failures_come_back_in_a_sentence(workbench, cluster, monkeypatch):
    def fails(*_):
        raise GnnperfError("it has no edges\nat all")

    monkeypatch.setattr(Net, "forward", fails)
    said = []
    ahead.train_ahead(workbench, TRAININGS, 1, said.append, "local:1")
    assert said[1] == "a training ahead failed: away-net, seed 0 (so did 1 more): it has no edges"
    assert checkpoints(workbench) == []


def test_what_cannot_be_read_is_the_workers_fault(workbench):
    parcel = away.parcel("run", workbench, ("away-net", 0, None))
    assert parcel is not None
    lacking = b"cnowhere_to_be_found\nNet\n."
    assert "cannot import 'nowhere_to_be_found'" in train_away(parcel, lacking, b"").reason
    assert "cannot read what they are sent" in train_away(parcel, b"no pickle", b"").reason


@pytest.mark.parametrize(("device", "shared"), [("cuda", 4), ("cuda:1", 0), ("cpu", 0)])
def test_as_many_gpus_are_shared_as_there_are_unless_one_is_named(monkeypatch, device, shared):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert ahead.gpus_to_share(torch.device(device)) == shared


def test_a_worker_without_a_gpu_is_unfit_for_a_machine_that_trains_on_one(workbench, monkeypatch):
    import cloudpickle

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    parcel = away.parcel("run", workbench, ("away-net", 0, None))
    assert parcel is not None
    options = replace(parcel.options, device=torch.device("cuda"))
    workload = cloudpickle.dumps(WORKLOADS["away-net"])
    found = train_away(replace(parcel, options=options), workload, cloudpickle.dumps({}))
    assert found == Unfit("workers have no GPU, and this machine trains on one")

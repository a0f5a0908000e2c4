from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import MLP

from gnnperf import Fields, NodeClassification, OwnDataset, TrainSettings, Workload, compress
from gnnperf.compression.masks import masks_of
from gnnperf.errors import GnnperfError
from gnnperf.training import Parts, seeded
from gnnperf.training.keys import described, training_decides
from gnnperf.training.own_fit import fit_by
from gnnperf.training.tasks.loaders import Drawn
from gnnperf.workloads import WORKLOADS

CALLS = []


def graphs():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    return [Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=(x[:, 0] > 0).long())]


def own(model, parts, settings, seed):
    """Learns by plain SGD, and says that it was called."""
    CALLS.append((settings.epochs, seed, model.training))
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
    for _ in range(settings.epochs):
        for batch in parts.train:
            optimizer.zero_grad()
            index = batch.target_index
            nn.functional.cross_entropy(model(batch)[index], batch.y[index]).backward()
            optimizer.step()


def other(model, parts, settings, seed):
    own(model, parts, settings, seed)


WORKLOAD = Workload(
    OwnDataset("own_fit", graphs),
    "mlp",
    NodeClassification(held_out=100),
    lambda dataset: Fields(MLP([8, 16, 2], norm=None), "x"),
    TrainSettings(40, 0.5),
    fit=own,
)


@pytest.fixture
def trained(synthetic_bench, monkeypatch):
    monkeypatch.setitem(WORKLOADS, WORKLOAD.name, WORKLOAD)
    CALLS.clear()
    return synthetic_bench.trained(WORKLOAD.name, 3)


def test_base_and_fine_tuning_are_trained_by_it_and_masks_held(trained, tmp_path):
    assert trained.test_scores()["accuracy"] > 0.8
    assert trained.report.kept == "what the workload's own fit left"
    # Another folder, so that the training is done now.
    compressed = compress(replace(trained, checkpoints=tmp_path), "global@0.5+finetune")
    assert CALLS[-1] == (20, 3, True)
    masks = masks_of(compressed.model)
    assert masks
    for name, mask in masks.items():
        assert compressed.model.get_parameter(name)[~mask].abs().sum() == 0
        assert compressed.model.get_parameter(name)[mask].abs().sum() > 0
    calls = len(CALLS)
    compress(replace(trained, checkpoints=tmp_path), "global@0.5+finetune")
    assert len(CALLS) == calls


def test_a_fit_that_spoils_the_weights_leaves_the_start(trained):
    def spoils(model, parts, settings, seed):
        for parameter in model.parameters():
            parameter.data.neg_()

    def breaks(model, parts, settings, seed):
        next(model.parameters()).data.fill_(torch.nan)

    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    for fit in (spoils, breaks):
        options = {"seed": 0, "keep_start": True}
        report = fit_by(
            fit, trained.model, trained.task, trained.parts, trained.train, **options
        )  # fmt: skip
        assert (report.best_epoch, report.kept) == (0, "start")
        assert all(torch.equal(v, before[n]) for n, v in trained.model.state_dict().items())
    report = fit_by(breaks, trained.model, trained.task, trained.parts, trained.train, seed=0)
    assert report.kept == "none usable"


def test_masks_that_cannot_be_held_are_an_error(trained):
    with pytest.raises(GnnperfError, match=r"stepped no torch.optim optimizer, .*train with one"):
        compress(replace(trained, own_fit=lambda *_: None, checkpoints=None), "global@0.5+finetune")


def test_it_draws_anew_each_time():
    seen = []

    def looks(model, parts, settings, seed):
        for _ in range(2):
            seen.append([int(batch.y[0]) for batch in parts.train])

    some = [Data(x=torch.ones(1, 8), y=torch.tensor([i])) for i in range(20)]
    drawn = Drawn(DataLoader(some, 1, shuffle=True), lambda batch: batch, 0)

    class Task:
        metric = "accuracy"

        def evaluate(self, model, batches):
            return {"accuracy": 1.0}

    fit_by(looks, nn.Linear(1, 1), Task(), Parts(drawn, [], []), TrainSettings(1, 0.1), seed=0)
    assert seen[0] != seen[1]
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(20))


def test_the_key_knows_the_fit_and_the_parts():
    with seeded(0):
        model = nn.Linear(2, 2)

    def key(fit=None, parts=None):
        task = NodeClassification(parts=parts)
        return training_decides(model, task, TrainSettings(1, 0.1), 0, "f", own_fit=fit)

    def holding(size):
        return lambda graphs, seed: (range(size), [size], [size + 1])

    given = [
        (torch.arange(2000), torch.tensor([2000]), torch.tensor([2001])),
        (torch.arange(2000).flip(0), torch.tensor([2000]), torch.tensor([2001])),
        holding(3),
        holding(4),
        None,
    ]
    keys = [key(), key(own), key(other), *(key(parts=parts) for parts in given[:4])]
    assert all(one != two for i, one in enumerate(keys) for two in keys[:i])
    assert key(own) == key(own)
    assert key(parts=given[0]) == key(parts=tuple(part.clone() for part in given[0]))
    plain = (
        "NodeClassification(held_out=7, metric='accuracy', parts=None, sampled=None, timed=None, "
        "message_bytes=67108864)"
    )
    assert described(NodeClassification(7)) == plain

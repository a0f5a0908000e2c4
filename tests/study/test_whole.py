"""A large graph: one named batch is timed, and the whole where it fits."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv

from gnnperf.deploy import deploy
from gnnperf.records import measured
from gnnperf.study import whole
from gnnperf.study.inference import inference
from gnnperf.training import NodeClassification, Parts, Sampled, seeded

NODES, EDGES, WIDTH = 60, 400, 8


class Sage(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = SAGEConv(WIDTH, 16), SAGEConv(16, 3)

    def forward(self, data):
        return self.second(self.first(data.x, data.edge_index).relu(), data.edge_index)


@pytest.fixture
def parts():
    with seeded(0):
        graph = Data(
            x=torch.randn(NODES, WIDTH),
            edge_index=torch.randint(NODES, (2, EDGES)),
            y=torch.arange(NODES) % 3,
        )
    return NodeClassification(held_out=30, timed=Sampled(5, (3, 2))).split([graph], 0)


@pytest.fixture
def model():
    with seeded(1):
        return Sage().eval()


def free(monkeypatch, size_bytes):
    said = SimpleNamespace(available=size_bytes)
    monkeypatch.setattr(whole.psutil, "virtual_memory", lambda: said)


def test_the_timed_batch_is_what_an_inference_computes(parts, model):
    (batch,) = inference(model, parts).batches
    assert batch.batch_size == 5
    assert inference(model, Parts([], [], parts.test)).batches is parts.test


def test_sources_name_the_batch(parts):
    readings = whole.on_batch(
        {"cpu_ratio": reading(), "whole_graph_wall_seconds": reading()}, parts
    )
    assert readings["cpu_ratio"].source == "rounds; 5 nodes, fan-out 3-2"
    assert readings["whole_graph_wall_seconds"].source == "rounds"
    untimed = whole.on_batch({"cpu_ratio": reading()}, Parts([], [], []))
    assert untimed["cpu_ratio"].source == "rounds"


def reading():
    return measured(1.0, "ratio", "rounds")


@pytest.mark.parametrize(("more", "status"), [(0, "measured"), (-2, "unavailable")])
def test_a_whole_graph_is_computed_where_its_messages_fit(parts, model, monkeypatch, more, status):
    # The second layer sends rows of 16 numbers, and half of the memory is to stay free.
    free(monkeypatch, 2 * 2 * EDGES * 16 * 4 + more)
    found = whole.whole_graph({"": model}, parts)["whole_graph_wall_seconds"]
    assert found.status == status
    if status == "unavailable":
        assert "deploy=lean" in found.reason


def test_a_deployment_without_messages_always_fits(parts, model, monkeypatch):
    free(monkeypatch, 1000)
    deployed = deploy(model, "lean", parts.test)
    found = whole.whole_graph({"twin_": deployed}, parts)
    assert found["twin_whole_graph_wall_seconds"].status == "measured"


def test_without_a_timed_batch_nothing_is_added(model):
    assert whole.whole_graph({"": model}, Parts([], [], [])) == {}

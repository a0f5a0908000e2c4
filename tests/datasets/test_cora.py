import time

import pytest
import torch

from gnnperf.datasets import SPECS, DataOptions, load_dataset
from gnnperf.datasets.cora import stand_in
from gnnperf.models.spline import SplineNet
from gnnperf.training import fit, prepared, seeded
from gnnperf.training.fit import evaluate
from gnnperf.workloads import find_workload


@pytest.fixture(scope="module")
def graph():
    return stand_in(0)[0]


def test_stand_in_has_coras_shape(graph):
    source, target = graph.edge_index
    assert graph.x.shape == (2708, 1433)
    assert set(graph.x.unique().tolist()) == {0.0, 1.0}
    assert graph.x.mean().item() == pytest.approx(0.0127, abs=0.0003)
    assert torch.bincount(graph.y).tolist() == [351, 217, 418, 818, 426, 298, 180]
    assert graph.num_edges == 2 * 5278
    assert graph.is_undirected()
    assert not graph.has_self_loops()
    assert (graph.y[source] == graph.y[target]).float().mean().item() == pytest.approx(
        0.81, abs=0.01
    )


def test_stand_in_is_decided_by_its_seed(graph):
    again, other = stand_in(0)[0], stand_in(1)[0]
    assert torch.equal(again.x, graph.x)
    assert torch.equal(again.edge_index, graph.edge_index)
    assert not torch.equal(other.x, graph.x)


def test_stand_in_is_made_in_time():
    started = time.process_time()
    stand_in(3)
    assert time.process_time() - started < 2


def test_stand_in_is_learnable_but_not_trivial(spline_base):
    accuracy = spline_base.test_scores()["accuracy"]
    assert 0.75 <= accuracy <= 0.95


def test_stand_in_needs_the_edges(spline_base):
    dataset_graph = spline_base.parts.train[0].clone()
    del dataset_graph.spline_inputs
    dataset_graph.edge_index = dataset_graph.edge_index[:, :0]
    workload = find_workload("cora_node-spline")
    with seeded(0):
        model = SplineNet(1433, 7)
    parts = prepared(model, workload.task.split([dataset_graph], 0))
    fit(model, workload.task, parts, workload.train, seed=0)
    without = evaluate(model, workload.task, parts.test)["accuracy"]
    assert without < spline_base.test_scores()["accuracy"] - 0.1


def test_real_cora(real_data, tmp_path):
    dataset = load_dataset(SPECS["cora_node"], DataOptions("real", real_data, tmp_path))
    graph = dataset.graphs[0]
    assert (dataset.key, dataset.features, dataset.classes) == ("cora_node", 1433, 7)
    assert (graph.num_nodes, graph.num_edges) == (2708, 10556)

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data

from gnnperf.datasets import SPECS, DataError, DataOptions, load_dataset
from gnnperf.errors import GnnperfError
from gnnperf.ops.pairs import pair_number
from gnnperf.training import LinkPrediction, evaluate, fit, prepared, seeded
from gnnperf.training.tasks.links import best_threshold
from gnnperf.workloads import WORKLOADS


def _graph(edges, nodes):
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return Data(x=torch.eye(nodes), edge_index=edge_index)


def _keys(pairs):
    return pair_number(pairs).tolist()


@st.composite
def graphs(draw):
    nodes = draw(st.integers(14, 30))
    node = st.integers(0, nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), min_size=30, max_size=40, unique=True))
    loopless = {tuple(sorted(edge)) for edge in edges if edge[0] != edge[1]}
    return (
        _graph(edges, nodes) if len(loopless) >= 20 else _graph([(i, i + 1) for i in range(25)], 26)
    )


@given(graphs(), st.integers(0, 1000), st.sampled_from([1, 3]), st.sampled_from([None, 5]))
@settings(max_examples=30)
def test_a_split_leaks_nothing(graph, seed, subgraphs, pairs_per_batch):
    task = LinkPrediction(subgraphs=subgraphs, pairs_per_batch=pairs_per_batch)
    parts = task.split([graph], seed)
    edges = set(_keys(graph.edge_index[:, graph.edge_index[0] != graph.edge_index[1]]))
    (validation,), (test,) = parts.validation, parts.test
    asked = [(b.edge_label_index, b.edge_label > 0.5) for b in parts.train]
    asked.append((validation.edge_label_index, validation.edge_label > 0.5))
    asked.append((test.edge_label_index[:, test.scored], test.edge_label[test.scored] > 0.5))
    positive = [key for pairs, label in asked for key in _keys(pairs[:, label])]
    negative = [key for pairs, label in asked for key in _keys(pairs[:, ~label])]
    assert sorted(positive) == sorted(edges)  # Every edge is in exactly one part.
    assert len(set(negative)) == len(negative) == len(positive)
    assert not set(negative) & edges
    trained = {k for p, label in asked[:-2] for k in _keys(p[:, label])}
    for batch in (*parts.train, validation, test):
        assert set(_keys(batch.edge_index)) == trained
        assert batch.edge_index.size(1) == 2 * len(trained)
        assert batch.edge_attr is None
        part = dict(zip(map(tuple, batch.edge_index.t().tolist()), batch.edge_part, strict=True))
        assert all(part[u, v] == part[v, u] for u, v in part)
        assert set(batch.edge_part.tolist()) == set(range(subgraphs))


@given(graphs(), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_test_batch_carries_the_validation_pairs_for_its_threshold(graph, seed):
    parts = LinkPrediction().split([graph], seed)
    (validation,), (test,) = parts.validation, parts.test
    chosen = test.sets_threshold
    assert torch.equal(chosen, ~test.scored)
    assert torch.equal(test.edge_label_index[:, chosen], validation.edge_label_index)
    assert torch.equal(test.edge_label[chosen], validation.edge_label)
    assert validation.scored.all()
    assert validation.sets_threshold.all()


def test_a_seed_decides_the_split():
    graph = _graph([(i, i + 1) for i in range(40)], 41)
    first, again, other = (LinkPrediction().split([graph], seed) for seed in (0, 0, 1))
    for one, same in zip(first.train + first.test, again.train + again.test, strict=True):
        assert torch.equal(one.edge_label_index, same.edge_label_index)
        assert torch.equal(one.edge_index, same.edge_index)
    assert not torch.equal(first.test[0].edge_label_index, other.test[0].edge_label_index)


class _Recorder(nn.Module):
    """Gives each pair the logit that `score` says and remembers what it was asked."""

    def __init__(self, score):
        super().__init__()
        self.score, self.asked = score, []

    def forward(self, data):
        self.asked.append(data.edge_label_index)
        return self.score(data)


def test_fresh_negatives_are_drawn_anew_from_the_training_graphs_non_edges():
    graph = _graph([(i, i + 1) for i in range(40)], 41)
    (batch,) = LinkPrediction().split([graph], 0).train
    model = _Recorder(lambda data: torch.zeros(data.edge_label_index.size(1)))
    with seeded(0):
        LinkPrediction().loss(model, batch)
        LinkPrediction().loss(model, batch)
        LinkPrediction(fresh_negatives=False).loss(model, batch)
    first, second, fixed = model.asked
    positive = batch.edge_label > 0.5
    assert torch.equal(first[:, positive], second[:, positive])
    assert not torch.equal(first[:, ~positive], second[:, ~positive])
    assert torch.equal(fixed, batch.edge_label_index)
    assert not set(_keys(first[:, ~positive])) & set(_keys(batch.edge_index))


def test_the_loss_is_the_mean_over_views_and_adds_what_the_model_adds():
    graph = _graph([(i, i + 1) for i in range(40)], 41)
    task = LinkPrediction(fresh_negatives=False)
    (batch,) = task.split([graph], 0).train
    views = torch.randn(3, len(batch.edge_label))
    model = _Recorder(lambda data: views)
    single = [task.loss(_Recorder(lambda data, view=view: view), batch) for view in views]
    assert task.loss(model, batch) == pytest.approx(float(torch.stack(single).mean()))
    model.auxiliary_loss = lambda: torch.tensor(2.0)
    assert task.loss(model, batch) == pytest.approx(2 + float(torch.stack(single).mean()))


def test_the_threshold_comes_from_validation_alone():
    graph = _graph([(i, i + 1) for i in range(100)], 101)
    task = LinkPrediction()
    (test,) = task.split([graph], 0).test
    # On validation 5 parts the pairs; on test the scores lie lower, where 5 calls none an edge.
    logit = torch.where(test.sets_threshold, 10 * test.edge_label, 2 * test.edge_label)
    scores = evaluate(_Recorder(lambda data: logit), task, [test])
    assert scores == {"auc": 1.0, "average_precision": 1.0, "accuracy": 0.5, "majority": 0.5}


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda pairs: len({positive for _, positive in pairs}) == 2
    )
)
def test_no_threshold_is_more_accurate(pairs):
    # Few different scores: ties are the rule.
    score, positive = (np.array(c) for c in zip(*pairs, strict=True))

    def right(threshold):
        return int(((score > threshold) == positive).sum())

    best = max(right(level - 0.5) for level in range(-4, 6))
    assert right(best_threshold(score.astype(float), positive)) == best


@pytest.mark.parametrize("metric", ["log_loss", "macro_f1", "balanced_accuracy"])
def test_another_metric_heads_the_report(metric):
    graph = _graph([(i, i + 1) for i in range(100)], 101)
    task = LinkPrediction(metric=metric)
    (test,) = task.split([graph], 0).test
    logit = torch.where(test.sets_threshold, 10 * test.edge_label, 2 * test.edge_label)
    scores = evaluate(_Recorder(lambda data: logit), task, [test])
    assert list(scores) == list(task.score_names)
    # The mean of log(2) for a logit of 0 and of log(1 + e^-2) for one of 2.
    expected = {"log_loss": 0.41, "macro_f1": 0.0, "balanced_accuracy": 0.5}
    assert scores[task.metric] == pytest.approx(expected[metric], abs=1e-2)


def test_logits_that_are_no_numbers_have_no_scores():
    (test,) = LinkPrediction().split([_graph([(i, i + 1) for i in range(40)], 41)], 0).test
    scores = evaluate(_Recorder(lambda d: d.edge_label * torch.nan), LinkPrediction(), [test])
    assert all(score != score for score in scores.values())


@pytest.mark.parametrize("edges", [[], [(0, 0), (1, 1)], [(0, 1)], [(i, i + 1) for i in range(19)]])
def test_too_few_edges_are_refused_in_a_sentence(edges):
    with pytest.raises(GnnperfError, match=r"has \d+ edges .* too few .* give a graph with more"):
        LinkPrediction().split([_graph(edges, 30)], 0)


def test_too_few_non_edges_are_refused_in_a_sentence():
    complete = [(i, j) for i in range(10) for j in range(i)]
    with pytest.raises(DataError, match=r"has 45 edges but only 0 pairs .* give a sparser graph"):
        LinkPrediction().split([_graph(complete, 10)], 0)


@pytest.mark.parametrize("count", [0, 2])
def test_any_other_number_of_graphs_than_one_is_refused(count):
    with pytest.raises(DataError, match=f"takes one graph, not {count}"):
        LinkPrediction().split([_graph([(0, 1)], 2)] * count, 0)


def test_attributes_of_edges_do_not_tell_of_held_out_ones():
    graph = _graph([(i, i + 1) for i in range(40)], 41)
    graph.edge_attr, graph.edge_time = torch.rand(40, 3), torch.arange(40)
    parts = LinkPrediction().split([graph], 0)
    assert "edge_attr" not in parts.train[0]
    assert "edge_time" not in parts.train[0]
    assert "edge_time" in graph


def _scores(options):
    workload = WORKLOADS["cora_link-ness"]
    dataset = load_dataset(workload.dataset, options)
    with seeded(0):
        model = workload.model(dataset)
    parts = prepared(model, workload.task.split(dataset.graphs, 0))
    settings = replace(workload.train, epochs=100)
    fit(model, workload.task, parts, settings, seed=0)
    return evaluate(model, workload.task, parts.test)


def test_links_of_the_stand_in_can_be_learnt(tmp_path):
    assert 0.75 < _scores(DataOptions("synthetic", None, tmp_path))["auc"] < 0.97


def test_links_of_cora_are_learnt(real_data, tmp_path):
    scores = _scores(DataOptions("real", real_data, tmp_path))
    assert scores["auc"] > 0.93
    assert scores["average_precision"] > 0.93
    assert scores["accuracy"] > 0.85


def test_cora_link_reads_what_cora_node_reads(real_data, tmp_path):
    options = DataOptions("real", real_data, tmp_path)
    links, nodes = (load_dataset(SPECS[name], options) for name in ("cora_link", "cora_node"))
    assert links.fingerprint == nodes.fingerprint

"""Channels that decide nothing, taken out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from gnnperf.deploy import dead
from gnnperf.deploy.dead import without_dead
from gnnperf.deploy.plan import Layer, Maximum, Normalize, Plan, Propagate, raw_features
from gnnperf.deploy.program import Program
from gnnperf.ops.graphs import gcn_adjacency

NODES, WIDTH = 12, 5


@pytest.fixture(autouse=True)
def _every_width(monkeypatch):
    monkeypatch.setattr(dead, "LANES", 1)


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES, (2, 40), generator=generator)
    return Data(x=torch.randn(NODES, WIDTH, generator=generator), edge_index=edges)


def plan(*steps):
    return Plan(
        steps,
        raw_features,
        lambda data: {"A": gcn_adjacency(data.edge_index, data.num_nodes)},
    )


def run(of, batch=None):
    batch = batch or data()
    return Program(of, batch)(batch)


def widths(of):
    return [step.out_channels for step in of.steps if isinstance(step, Layer)]


def layer(weight, bias=None, activation="none", operator=None):
    return Layer(torch.tensor([weight]), bias and torch.tensor(bias), activation, operator)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.3, 0.8, 0.95, 1.0]))
def test_what_is_left_computes_the_same(seed, share):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        value = torch.randn(*shape, generator=generator)
        return value.masked_fill(torch.rand(*shape, generator=generator) < share, 0.0)

    def choose(*of):
        return of[int(torch.randint(len(of), (1,), generator=generator))]

    steps, before = [], WIDTH
    for number in range(4):
        after = choose(3, 6)
        operator = choose(None, "A")
        bias = choose(None, drawn(after), -drawn(after).abs())
        activation = choose("relu", "elu", "none")
        steps.append(Layer(drawn(1, after, before), bias, activation, operator))
        steps += choose([], [], [Propagate("A")], [Normalize(1.5)]) if number < 3 else []
        before = after
    if steps[-1].operator is None:
        steps.insert(-1, Maximum())
    full = plan(*steps)
    thin = without_dead(full)
    torch.testing.assert_close(run(thin, data(seed)), run(full, data(seed)), atol=1e-5, rtol=1e-5)
    assert sum(widths(thin)) <= sum(widths(full))
    assert min(widths(thin)) >= 1


def test_a_channel_that_nothing_reads_goes_and_so_does_what_it_alone_read():
    steps = (
        layer([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]], activation="relu", operator="A"),
        layer([[1.0, 0], [0, 1.0]], activation="relu"),
        layer([[1.0, 0], [2.0, 0]]),
    )
    thin = without_dead(plan(*steps))
    assert widths(thin) == [1, 1, 2]
    assert thin.columns.tolist() == [0]
    assert thin.done == ("2 of 4 channels out", "4 of 5 inputs out")


@pytest.mark.parametrize(
    ("bias", "operator", "left"),
    [(0.0, "A", 1), (-1.0, "A", 1), (0.5, "A", 2), (0.5, None, 1), (-1.0, None, 1)],
)
def test_a_channel_that_nothing_writes_goes_at_zero_or_into_a_bias(bias, operator, left):
    # Aggregation makes another of a constant in each row.
    steps = (
        layer([[1.0, 1, 1, 1, 1], [0.0, 0, 0, 0, 0]], [0.1, bias], "relu"),
        layer([[1.0, 2.0]], [0.3], operator=operator),
    )
    full = plan(*steps)
    thin = without_dead(full)
    assert widths(thin) == [left, 1]
    torch.testing.assert_close(run(thin), run(full))


def test_without_relu_a_negative_constant_stays():
    steps = (
        layer([[1.0, 1, 1, 1, 1], [0.0, 0, 0, 0, 0]], [0.1, -1.0]),
        layer([[1.0, 2.0]], operator="A"),
    )
    assert widths(without_dead(plan(*steps))) == [2, 1]


def test_rows_of_one_length_read_every_channel():
    steps = (layer([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]]), Normalize(1.0), layer([[1.0, 0]]))
    assert widths(without_dead(plan(*steps))) == [2, 1]


@pytest.mark.parametrize(("alive", "left"), [(0, 8), (7, 8), (8, 8), (9, 16), (17, 20)])
def test_widths_stay_multiples_of_the_lanes(alive, left, monkeypatch):
    monkeypatch.setattr(dead, "LANES", 8)
    reader = torch.zeros(1, 2, 20)
    reader[:, :, 20 - alive :] = 1
    full = plan(Layer(torch.rand(1, 20, WIDTH), torch.rand(20), "relu"), Layer(reader))
    thin = without_dead(full)
    assert widths(thin) == [left, 2]
    torch.testing.assert_close(run(thin), run(full))


def test_nan_is_no_zero():
    steps = (layer([[float("nan"), 0, 0, 0, 0], [1.0, 0, 0, 0, 0]]), layer([[1.0, 0.0]]))
    thin = without_dead(plan(*steps))
    assert bool(run(thin).isnan().all())

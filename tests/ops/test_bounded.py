"""PyG's convolutions without a row for every edge."""

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.nn import aggr
from torch_geometric.utils import to_torch_csr_tensor

from gnnperf.ops.bounded import bounded_messages
from gnnperf.training import seeded

NODES, EDGES, WIDTH = 40, 300, 6
MESSAGE = WIDTH * 4
ALL = EDGES * MESSAGE


def graph(seed=0):
    """With self-loops, duplicate edges, a hub, and nodes that nothing leads to."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES - 3, (2, EDGES), generator=generator)
    edges[:, :4] = 5
    edges[:, 4:8] = torch.tensor([[1], [2]])
    edges[1, 10:110] = 7
    return Data(
        x=torch.randn(NODES, WIDTH, generator=generator),
        edge_index=edges,
        edge_attr=torch.rand(EDGES, WIDTH, generator=generator),
        edge_weight=torch.rand(EDGES, generator=generator),
    )


def mlp(before, after):
    return nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Linear(after, after))


DEGREES = torch.bincount(graph().edge_index[1], minlength=NODES).bincount()
COPIES = {
    "gcn": lambda: pyg.GCNConv(WIDTH, 5),
    "gcn-back": lambda: pyg.GCNConv(WIDTH, 5, flow="target_to_source"),
    "sage": lambda: pyg.SAGEConv(WIDTH, 5),
    "sage-sum": lambda: pyg.SAGEConv(WIDTH, 5, aggr="sum"),
    "graph": lambda: pyg.GraphConv(WIDTH, 5),
    "gin": lambda: pyg.GINConv(mlp(WIDTH, 5), train_eps=True),
    "cheb": lambda: pyg.ChebConv(WIDTH, 5, K=2),
    "tag": lambda: pyg.TAGConv(WIDTH, 5),
    "sg": lambda: pyg.SGConv(WIDTH, 5, K=2),
    "appnp": lambda: pyg.APPNP(2, 0.1),
    "gat": lambda: pyg.GATConv(WIDTH, 5, heads=3),
}
COMPUTED = {
    "sage-max": lambda: pyg.SAGEConv(WIDTH, 5, aggr="max"),
    "sage-median": lambda: pyg.SAGEConv(WIDTH, 5, aggr="median"),
    "sage-softmax": lambda: pyg.SAGEConv(WIDTH, 5, aggr=aggr.SoftmaxAggregation(learn=True)),
    "gatv2": lambda: pyg.GATv2Conv(WIDTH, 5, heads=2),
    "transformer": lambda: pyg.TransformerConv(WIDTH, 5, heads=2),
    "edge": lambda: pyg.EdgeConv(mlp(2 * WIDTH, 5)),
    "resgated": lambda: pyg.ResGatedGraphConv(WIDTH, 5),
    "pna": lambda: pyg.PNAConv(WIDTH, 5, ["mean", "std", "max"], ["identity"], DEGREES),
    "gen": lambda: pyg.GENConv(WIDTH, 5),
}
WITH_EDGES = {
    "gine": lambda: pyg.GINEConv(mlp(WIDTH, 5)),
    "gatv2-edge": lambda: pyg.GATv2Conv(WIDTH, 5, edge_dim=WIDTH, add_self_loops=False),
    "gen-edge": lambda: pyg.GENConv(WIDTH, 5, edge_dim=WIDTH),
}
EVERY = {**COPIES, **COMPUTED, **WITH_EDGES}


def made(name):
    with seeded(1):
        return EVERY[name]()


def called(name, conv, data):
    args = (data.edge_attr,) if name in WITH_EDGES else ()
    return conv(data.x, data.edge_index, *args)


class Widest:
    """Notes the most rows that `message` and `edge_update` of a convolution give at once."""

    def __init__(self, conv):
        self.rows = 0
        for name in ("message", "edge_update"):
            function = getattr(conv, name)
            setattr(conv, name, self._noting(function))

    def _noting(self, function):
        def noting(*args, **kwargs):
            result = function(*args, **kwargs)
            first = result[0] if isinstance(result, tuple) else result
            self.rows = max(self.rows, len(first))
            return result

        return noting


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("limit", [0, 25 * MESSAGE])
def test_scores_are_those_of_all_edges_at_once(name, limit):
    conv, data = made(name).eval(), graph()
    with torch.no_grad():
        expected = called(name, conv, data)
        with bounded_messages(conv, limit):
            found = called(name, conv, data)
        assert torch.equal(called(name, conv, data), expected)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted({*COMPUTED} - {"sage-max"}))
def test_no_more_messages_than_fit_are_held(name):
    conv, data = made(name).eval(), graph()
    data.edge_index = data.edge_index[:, torch.arange(EDGES) >= 110]
    widest = Widest(conv)
    with torch.no_grad(), bounded_messages(conv, 50 * MESSAGE):
        called(name, conv, data)
    # Of the narrowest, 20 bytes, 60 fit; 64 are tried to find out what a message is.
    assert 0 < widest.rows <= 64


@pytest.mark.parametrize("name", COPIES)
def test_training_sees_the_same_gradients(name):
    data = graph()
    gradients = []
    for limit in (ALL * 100, 0):
        conv = made(name).train()
        x = data.x.clone().requires_grad_()
        with bounded_messages(conv, limit):
            conv(x, data.edge_index).square().sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in conv.parameters())])
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["sage", "gcn", "gat"])
def test_copies_are_never_rows_of_edges(name, monkeypatch):
    conv, data = made(name).train(), graph()

    def refuse(self, *args, **kwargs):
        raise AssertionError("messages of all edges")

    monkeypatch.setattr(pyg.MessagePassing, "aggregate", refuse)
    with pytest.raises(AssertionError):
        called(name, conv, data)
    with bounded_messages(conv, 0):
        called(name, conv, data).sum().backward()


def test_messages_within_the_limit_go_pygs_own_way():
    conv, data = made("sage").eval(), graph()
    expected = called("sage", conv, data)
    with bounded_messages(conv, ALL):
        assert torch.equal(called("sage", conv, data), expected)
    calls = []
    conv.register_message_forward_hook(lambda *_: calls.append(1))
    for limit in (ALL, ALL - 1):
        with bounded_messages(conv, limit):
            called("sage", conv, data)
    # With a hook that says nothing of rows the messages stay whole in either case.
    assert calls == [1, 1]


def test_a_limit_of_one_byte_less_changes_the_way(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "gnnperf.ops.bounded.product", lambda edges, x, weight, mode: asked.append(1) or x
    )
    conv, data = made("sage").eval(), graph()
    for limit in (ALL, ALL - 1):
        with bounded_messages(conv, limit):
            called("sage", conv, data)
    assert asked == [1]


def test_edges_that_changed_in_place_are_sorted_again():
    conv, data = made("sage").eval(), graph()
    with torch.no_grad(), bounded_messages(conv, 0):
        called("sage", conv, data)
        data.edge_index[1] = data.edge_index[1].flip(0)
        found = called("sage", conv, data)
    torch.testing.assert_close(found, called("sage", conv, data))


def test_a_sparse_adjacency_is_left_to_pyg():
    conv, data = made("sage").eval(), graph()
    adjacency = to_torch_csr_tensor(data.edge_index.flip(0), size=(NODES, NODES))
    expected = conv(data.x, adjacency)
    with bounded_messages(conv, 0):
        assert torch.equal(conv(data.x, adjacency), expected)


def test_two_kinds_of_nodes():
    conv = pyg.SAGEConv((WIDTH, 4), 5).eval()
    data, targets = graph(), torch.randn(NODES, 4)
    with torch.no_grad():
        expected = conv((data.x, targets), data.edge_index)
        with bounded_messages(conv, 0):
            found = conv((data.x, targets), data.edge_index)
    torch.testing.assert_close(found, expected)


def test_a_model_is_as_it_was_afterwards():
    conv = made("gat")
    before = dict(vars(conv))
    with pytest.raises(ZeroDivisionError), bounded_messages(conv, 0):
        raise ZeroDivisionError
    assert vars(conv).keys() == before.keys()

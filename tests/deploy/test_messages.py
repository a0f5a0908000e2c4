"""Unchanged models of PyG's convolutions, with scatter replaced."""

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.data import Batch, Data
from torch_geometric.utils import add_self_loops, degree

from gnnperf.deploy import EXACT, agreement, broken_promise, deploy
from gnnperf.models.fields import Fields
from gnnperf.training import seeded

NODES, EDGES, WIDTH = 30, 150, 6


def graph(seed=0):
    """With self-loops, duplicate edges, nodes that nothing leads to, and edge weights."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES - 3, (2, EDGES), generator=generator)
    edges[:, :4] = 5
    edges[:, 4:8] = torch.tensor([[1], [2]])
    return Data(
        x=torch.randn(NODES, WIDTH, generator=generator),
        edge_index=edges,
        edge_weight=torch.rand(EDGES, generator=generator),
        edge_attr=torch.rand(EDGES, 1, generator=generator),
    )


class Two(nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.first, self.second = conv(WIDTH, 8), conv(8, 3)

    def forward(self, x, edge_index, *weight):
        hidden = self.first(x, edge_index, *weight).relu()
        return self.second(hidden, edge_index, *weight)


class Own(pyg.MessagePassing):
    """A convolution of a project's own."""

    def __init__(self, before, after):
        super().__init__(aggr="add")
        self.lin = nn.Linear(before, after)

    def forward(self, x, edge_index):
        edge_index, _ = add_self_loops(edge_index, num_nodes=len(x))
        norm = degree(edge_index[1], len(x)).rsqrt()
        norm = norm[edge_index[0]] * norm[edge_index[1]]
        return self.propagate(edge_index, x=self.lin(x), norm=norm)

    def message(self, x_j, norm):
        return norm.view(-1, 1) * x_j


class Almost(Own):
    """Its messages are copies of small values alone."""

    def message(self, x_j, norm):
        return norm.view(-1, 1) * x_j.clamp(max=1)


def mlp(before, after):
    return nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Linear(after, after))


CONVS = {
    "gcn": pyg.GCNConv,
    "gcn-improved": lambda i, o: pyg.GCNConv(i, o, improved=True),
    "gcn-plain": lambda i, o: pyg.GCNConv(i, o, normalize=False),
    "gcn-no-loops": lambda i, o: pyg.GCNConv(i, o, add_self_loops=False),
    "gcn-back": lambda i, o: pyg.GCNConv(i, o, flow="target_to_source"),
    "graph": pyg.GraphConv,
    "graph-mean": lambda i, o: pyg.GraphConv(i, o, aggr="mean"),
    "sage": pyg.SAGEConv,
    "sage-max": lambda i, o: pyg.SAGEConv(i, o, aggr="max"),
    "sage-project": lambda i, o: pyg.SAGEConv(i, o, project=True, normalize=True),
    "gin": lambda i, o: pyg.GINConv(mlp(i, o), train_eps=True),
    "tag": pyg.TAGConv,
    "cheb": lambda i, o: pyg.ChebConv(i, o, K=3),
    "gat": lambda i, o: pyg.GATConv(i, o, heads=2, concat=False),
    "gatv2": lambda i, o: pyg.GATv2Conv(i, o, heads=2, concat=False),
    "own": Own,
}
WEIGHTED = ("gcn", "gcn-improved", "gcn-plain", "gcn-no-loops", "gcn-back", "graph", "graph-mean")


def model_of(conv, *fields):
    with seeded(0):
        return Fields(Two(conv), "x", "edge_index", *fields).eval()


def assert_exact(model, deployed, *batches):
    found = agreement(model, deployed, batches, EXACT)
    assert broken_promise(found, EXACT) is None, found


@pytest.mark.parametrize(
    ("name", "fields"),
    [(name, ()) for name in CONVS]
    + [(name, ("edge_weight",)) for name in WEIGHTED]
    + [("gcn", ("edge_attr",)), ("graph", ("edge_attr",))],
)
def test_replaced_and_exact(name, fields):
    model = model_of(CONVS[name], *fields)
    deployed = deploy(model, "lean", [graph()])
    assert deployed.done == tuple(f"module.{n}: scatter replaced" for n in ("first", "second"))
    assert deployed.left == ""
    assert_exact(model, deployed, graph(), graph(1), Batch.from_data_list([graph(2), graph(3)]))
    # What was not prepared goes PyG's way.
    assert torch.equal(deployed(graph(1)), model(graph(1)))


@pytest.mark.parametrize("conv", [pyg.TransformerConv, Almost, pyg.ARMAConv])
def test_what_computes_its_messages_stays_and_says_so(conv):
    model = model_of(conv)
    deployed = deploy(model, "lean", [graph()])
    assert deployed.done == ()
    assert deployed.left.startswith("as it is: ")
    assert "module.first" in deployed.left
    prepared = deployed.prepare(graph())
    assert torch.equal(deployed(prepared), model(graph()))


def test_a_convolution_with_hooks_stays():
    model = model_of(pyg.SAGEConv)
    model.module.first.register_message_forward_hook(lambda conv, inputs, messages: messages * 2)
    deployed = deploy(model, "lean", [graph()])
    assert deployed.done == ("module.second: scatter replaced",)
    assert deployed.left == "module.first has hooks"
    assert_exact(model, deployed, graph())


@pytest.mark.parametrize("name", ["gcn", "sage", "own"])
def test_edges_that_change_after_they_were_prepared_are_seen(name):
    model = model_of(CONVS[name])
    deployed = deploy(model, "lean", [graph()])
    prepared = deployed.prepare(graph())
    prepared.edge_index[0, :20] = 0
    torch.testing.assert_close(deployed(prepared), model(prepared))
    prepared.edge_index = graph(1).edge_index
    torch.testing.assert_close(deployed(prepared), model(prepared))
    prepared.x = graph(1).x
    torch.testing.assert_close(deployed(prepared), model(prepared))


def test_weights_that_change_after_they_were_prepared_are_seen():
    model = model_of(pyg.GCNConv, "edge_weight")
    deployed = deploy(model, "lean", [graph()])
    prepared = deployed.prepare(graph())
    prepared.edge_weight.mul_(torch.linspace(0.1, 2, EDGES))
    torch.testing.assert_close(deployed(prepared), model(prepared))


def test_nothing_is_kept_of_what_comes_after_preparing():
    class Drawn(Two):
        def forward(self, x, edge_index):
            drawn = torch.randint(NODES, (2, 40))
            return super().forward(x, drawn)

    with seeded(0):
        model = Fields(Drawn(pyg.SAGEConv), "x", "edge_index").eval()
    deployed = deploy(model, "lean", [graph()])
    prepared = deployed.prepare(graph())
    before = len(prepared.lean_messages.edges)
    for seed in range(3):
        with seeded(seed):
            expected = model(graph())
        with seeded(seed):
            torch.testing.assert_close(deployed(prepared), expected)
    assert len(prepared.lean_messages.edges) == before


def test_the_model_stays_as_it_is():
    model = model_of(pyg.GCNConv)
    deploy(model, "lean", [graph()])
    assert type(model.module.first) is pyg.GCNConv
    assert model.module.first._cached_edge_index is None


def test_edges_between_nodes_of_two_kinds():
    class Bipartite(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = pyg.SAGEConv((4, 5), 3)

        def forward(self, data):
            return self.conv((data.x, data.target), data.edge_index, size=data.get("sizes"))

    with seeded(0):
        model = Bipartite().eval()
    edges = torch.tensor([[0, 8, 2, 2], [1, 1, 0, 1]])
    for size in (None, (9, 3)):
        data = Data(
            x=torch.randn(9, 4),
            target=torch.randn(3, 5),
            edge_index=edges,
            **({} if size is None else {"sizes": size}),
        )
        deployed = deploy(model, "lean", [data])
        assert deployed.done
        assert_exact(model, deployed, data)

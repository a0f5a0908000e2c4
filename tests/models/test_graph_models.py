"""What every model of whole graphs must keep to, on small random graphs."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.graph_baselines import gcn, negatives, sage, supergat
from gnnperf.models.hgpsl import HGPSL
from gnnperf.training import GraphClassification, seeded

MODELS = {"gin": GIN, "gnnnet": GNNNet, "hgpsl": HGPSL, "gcn": gcn, "sage": sage, "gat": supergat}
all_models = pytest.mark.parametrize("name", MODELS)


def make_model(name, seed=0):
    with seeded(seed):
        return MODELS[name](4, 2).eval()


def random_graph(seed, nodes=None, edges=None):
    generator = torch.Generator().manual_seed(seed)
    nodes = nodes or int(torch.randint(1, 25, (1,), generator=generator))
    edges = 2 * nodes if edges is None else edges
    pair = torch.randint(nodes, (2, edges), generator=generator)
    pair = pair[:, pair[0] != pair[1]]
    pair = torch.unique(torch.cat([pair, pair.flip(0)], 1), dim=1)
    x = torch.randn(nodes, 4, generator=generator)
    return Data(x=x, edge_index=pair, y=torch.tensor([seed % 2]))


def batch_of(*graphs):
    return Batch.from_data_list(list(graphs))


@pytest.mark.parametrize(
    ("name", "features", "parameters"),
    [("hgpsl", 4, 75_458), ("gnnnet", 9, 34_562), ("gin", 3, 43_271), ("gin", 9, 43_271 + 64 * 6)],
)
def test_parameter_count(name, features, parameters):
    assert sum(p.numel() for p in MODELS[name](features, 2).parameters()) == parameters


@all_models
@settings(max_examples=15)
@given(seed=st.integers(0, 100_000))
def test_invariant_under_node_permutation(name, seed):
    model, graph = make_model(name), random_graph(seed)
    order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(seed))
    moved = Data(x=graph.x[order], edge_index=torch.argsort(order)[graph.edge_index])
    with torch.no_grad():
        torch.testing.assert_close(model(moved), model(graph), atol=1e-4, rtol=1e-4)


@all_models
@settings(max_examples=15)
@given(seed=st.integers(0, 100_000))
def test_a_batch_gives_what_single_graphs_give(name, seed):
    model = make_model(name)
    graphs = [random_graph(seed + i) for i in range(5)]
    with torch.no_grad():
        single = torch.cat([model(graph) for graph in graphs])
        torch.testing.assert_close(model(batch_of(*graphs)), single, atol=1e-4, rtol=1e-4)


@all_models
def test_graphs_without_edges_and_single_nodes(name):
    model = make_model(name)
    odd = [random_graph(1, nodes=1), random_graph(2, nodes=3, edges=0), random_graph(3, nodes=1)]
    with torch.no_grad():
        assert torch.isfinite(model(batch_of(*odd))).all()
        assert model(odd[0]).shape == (1, 2)
    loss = GraphClassification(batch_size=3).loss(model.train(), batch_of(*odd, random_graph(4)))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@all_models
def test_preparing_changes_nothing_but_the_time(name):
    model, batch = make_model(name), batch_of(random_graph(1), random_graph(2))
    keys = set(batch.keys())
    if hasattr(model, "prepare"):
        torch.testing.assert_close(model(model.prepare(batch).to("cpu")), model(batch))
    assert set(batch.keys()) == keys


@all_models
def test_dropout_only_in_training(name):
    model, batch = make_model(name), batch_of(*(random_graph(i) for i in range(8)))
    assert torch.equal(model(batch), model(batch))


@all_models
def test_every_parameter_learns(name):
    model = make_model(name).train()
    batch = batch_of(*(random_graph(i, nodes=12) for i in range(16)))
    GraphClassification(batch_size=16).loss(model, batch).backward()
    for n, p in model.named_parameters():
        # BatchNorm takes the bias in front of it out again, up to rounding.
        normalized = n.endswith(("nn.0.bias", "nn.3.bias"))
        assert normalized or p.grad.abs().max() > 0, n


@all_models
def test_can_be_copied_after_a_training_step(name):
    model = make_model(name).train()
    GraphClassification(batch_size=2).loss(model, batch_of(random_graph(1), random_graph(2)))
    copied = copy.deepcopy(model).state_dict()
    assert all(torch.equal(value, copied[n]) for n, value in model.state_dict().items())


@given(st.integers(0, 10_000))
def test_negatives_stay_inside_their_graph_and_join_no_edge(seed):
    batch = batch_of(*(random_graph(seed + i) for i in range(4)))
    with seeded(seed):
        source, target = negatives(batch.edge_index, batch.ptr, 200)
    assert torch.equal(batch.batch[source], batch.batch[target])
    edges = set(zip(*batch.edge_index.tolist(), strict=True))
    assert not edges & set(zip(source.tolist(), target.tolist(), strict=True))
    assert (source != target).all()


def test_pygs_layers_give_the_same():
    from torch_geometric.nn import GCNConv, GINConv

    graph = random_graph(5, nodes=20)
    ours = make_model("gnnnet")
    x = graph.x
    for layer in ours.gnn_layers:
        theirs = GCNConv(layer.in_channels, layer.out_channels)
        theirs.load_state_dict(layer.state_dict())
        x = theirs(x, graph.edge_index).relu()
    torch.testing.assert_close(ours.mlps[0](x.amax(0, True)), ours(graph), atol=1e-4, rtol=1e-4)

    gin = make_model("gin")
    x = graph.x
    for conv in gin.convs:
        theirs = GINConv(copy.deepcopy(conv.nn), train_eps=True)
        theirs.load_state_dict(conv.state_dict())
        x = theirs.eval()(x, graph.edge_index)
    logits = gin.lin2(gin.lin1(x.sum(0, True) / (6 * 20**0.5)).relu())
    torch.testing.assert_close(logits, gin(graph), atol=1e-4, rtol=1e-4)

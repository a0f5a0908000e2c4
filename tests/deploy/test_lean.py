"""Our own models, lean: the same to rounding."""

import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from gnnperf.compression import attach_masks
from gnnperf.deploy import EXACT, agreement, broken_promise, deploy
from gnnperf.deploy.lowering import LOWERINGS, register_lowering
from gnnperf.deploy.operators import DENSE_NODES, Segments
from gnnperf.deploy.plan import Plan, raw_features
from gnnperf.models.gcn import GCN
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.graph_baselines import gcn, sage, supergat
from gnnperf.models.graphconv import GraphConvNet
from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.ness import ContrastiveNess, Ness
from gnnperf.models.sage import SageLinks
from gnnperf.models.spline import SplineNet
from gnnperf.ops.graphs import readout
from gnnperf.training import seeded

WIDTH = 6
ON_GRAPHS = {"gnnnet": GNNNet, "gin": GIN, "hgpsl": HGPSL, "gcn": gcn, "sage": sage}
ON_NODES = {"spline": SplineNet, "gcn-nodes": GCN, "graphconv": GraphConvNet}
ON_LINKS = {
    "ness": lambda width, _: Ness(width),
    "ness-linear": lambda width, _: Ness(width, encoder="linear"),
    "contrastive": lambda width, _: ContrastiveNess(width),
    "sage-links": lambda width, _: SageLinks(width),
}
EVERY = {**ON_GRAPHS, **ON_NODES, **ON_LINKS}


def graph(seed, nodes=20, *, sparse=False):
    """Undirected, with isolated nodes."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(max(1, nodes - 3), (2, 2 * nodes), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]]
    pairs = torch.unique(torch.cat([pairs, pairs.flip(0)], 1), dim=1)
    x = torch.randn(nodes, WIDTH, generator=generator)
    if sparse:
        x = (x > 1.3).float()
    links = torch.randint(nodes, (2, 30), generator=generator)
    # Both directions of an edge are in one view.
    part = (pairs[0] + pairs[1]) % 3
    return Data(x=x, edge_index=pairs, edge_label_index=links, edge_part=part)


def small_batch(seed, *sizes):
    graphs = [graph(seed + number, nodes) for number, nodes in enumerate(sizes)]
    return Batch.from_data_list([Data(x=g.x, edge_index=g.edge_index) for g in graphs])


def trained(name):
    """As after training: statistics and weights of all sizes."""
    with seeded(0):
        model = EVERY[name](WIDTH, 2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.4)
        for part in model.modules():
            if isinstance(part, nn.BatchNorm1d):
                nn.init.uniform_(part.running_mean, -1, 1)
                nn.init.uniform_(part.running_var, 0.2, 2)
    return model.eval()


def assert_exact(model, deployed, *batches):
    found = agreement(model, deployed, batches, EXACT)
    assert broken_promise(found, EXACT) is None, found
    for batch in batches:
        assert_close(deployed(batch), model(batch))


def assert_close(found, expected):
    limit = 1e-5 * max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(found, expected, atol=limit, rtol=0)


@pytest.mark.parametrize("name", ON_GRAPHS)
def test_graphs_of_all_sizes(name):
    model = trained(name)
    many = small_batch(7, *range(1, 16))
    deployed = deploy(model, "lean", [many])
    assert deployed.done
    assert deployed.left == ""
    at_the_limit = [small_batch(3, DENSE_NODES + more) for more in (-1, 0, 1)]
    wide = small_batch(11, 90, 1, 2, 1, 1, 2, 1)
    assert_exact(model, deployed, many, small_batch(5, 1), *at_the_limit, wide, graph(2))


@pytest.mark.parametrize("name", [*ON_NODES, *ON_LINKS])
@pytest.mark.parametrize("sparse", [False, True])
def test_one_graph(name, sparse):
    model = trained(name)
    batches = [graph(seed, nodes, sparse=sparse) for seed, nodes in ((0, 30), (1, 100))]
    deployed = deploy(model, "lean", batches)
    assert deployed.done
    # What was dense where it was made may be sparse elsewhere.
    assert_exact(model, deployed, *batches, graph(2, 40, sparse=not sparse))


@pytest.mark.parametrize("name", EVERY)
def test_pruned_to_almost_nothing(name):
    model = trained(name)
    generator = torch.Generator().manual_seed(0)
    matrices = {n: p for n, p in model.named_parameters() if p.dim() > 1}
    attach_masks(
        model, {n: torch.rand(p.shape, generator=generator) < 0.05 for n, p in matrices.items()}
    )
    batch = graph(0, 70)
    deployed = deploy(model, "lean", [batch])
    assert_exact(model, deployed, batch, graph(1, 30))
    dense = deploy(trained(name), "lean", [batch])
    if name in ("gnnnet", "gin", "spline", "gcn"):
        assert deployed.deployed_bytes < dense.deployed_bytes


@pytest.mark.parametrize("name", EVERY)
def test_other_data_in_a_prepared_batch_is_seen(name):
    model = trained(name)
    deployed = deploy(model, "lean", [graph(0)])
    prepared = deployed.prepare(graph(0))
    prepared.x = graph(1).x
    assert_close(deployed(prepared), model(prepared))


@pytest.mark.parametrize("name", ["gnnnet", "hgpsl"])
def test_what_another_model_prepared_is_not_taken(name):
    model, other = trained(name), trained(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter[..., :1] = 0
    deployed, batch = deploy(model, "lean", [graph(0)]), graph(0, 40)
    prepared = deploy(other, "lean", [batch]).prepare(batch)
    assert_close(deployed(prepared), model(batch))


@pytest.mark.parametrize("name", EVERY)
def test_the_model_stays_as_it_is_and_a_copy_works(name):
    model = trained(name)
    before = copy.deepcopy(model.state_dict())
    deployed = copy.deepcopy(deploy(model, "lean", [graph(0)]))
    prepared = deployed.prepare(graph(0))
    expected = deployed(prepared)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key])
    assert torch.equal(deployed(deployed.prepare(prepared)), expected)


def test_what_has_no_lowering_runs_as_it_is_and_says_so():
    model = supergat(WIDTH, 2).eval()
    deployed = deploy(model, "lean", [graph(0)])
    assert deployed.model is model
    assert deployed.left.startswith("as it is: there is no lowering for SuperGATNet; convs.0 ")


def hooked(model):
    model.lin1.register_forward_hook(lambda part, inputs, output: output * 2)


def rewritten(model):
    model.lin1.forward = lambda x: x[:, :64] * 2


def replaced(model):
    class Doubling(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model.lin1 = Doubling(64, 64)


def training(model):
    model.convs[0].nn[1].train()


@pytest.mark.parametrize("change", [hooked, rewritten, replaced, training])
def test_a_changed_part_is_never_lowered(change):
    model = trained("gin")
    change(model)
    deployed = deploy(model, "lean", [graph(0)])
    assert deployed.done == ()
    assert deployed.left.startswith("as it is: ")


def test_a_project_lowers_its_own(monkeypatch):
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(WIDTH, 3)

        def forward(self, data):
            return self.lin(data.x).relu()

    monkeypatch.setattr("gnnperf.deploy.lowering.LOWERINGS", LOWERINGS | {})

    @register_lowering(Mine)
    def mine(model):
        from gnnperf.deploy.lowering import linear

        return Plan((linear(model.lin, "relu"),), raw_features, lambda data: {}, done=("mine",))

    model = Mine().eval()
    deployed = deploy(model, "lean", [graph(0)])
    assert deployed.done == ("mine",)
    assert_exact(model, deployed, graph(1))
    with pytest.raises(Exception, match="Mine has a lowering already"):
        register_lowering(Mine)(lambda model: model)


@pytest.mark.parametrize("sizes", [[3, 1, 0, 5], [0, 0], [1], [0], [40, 1, 1, 1, 1, 1], [2, 2]])
def test_the_maximum_of_each_graph(sizes):
    start = torch.tensor([0, *sizes]).cumsum(0)
    x = torch.randn(int(start[-1]), 5) - 10
    if len(x):
        assert torch.equal(Segments.of(start).maximum(x), readout(x, start, "max"))
    else:
        assert torch.equal(Segments.of(start).maximum(x), torch.zeros(len(sizes), 5))

"""Nets as users build them of PyG's layers: narrowed, each is the net that was made narrower."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch_geometric import nn as gnn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import models

from gnnperf.compression.pruning.structured import narrowed

pytestmark = pytest.mark.long

FEATURES, EDGE_FEATURES, CLASSES, HIDDEN = 5, 3, 2, 16


def batch(seed):
    """Three graphs of 6 to 8 nodes."""
    graphs, generator = [], torch.Generator().manual_seed(seed)
    for nodes in (6, 7, 8):
        edges = torch.randint(0, nodes, (2, 3 * nodes), generator=generator)
        graphs.append(
            Data(
                x=torch.randn(nodes, FEATURES, generator=generator),
                edge_index=edges,
                edge_attr=torch.rand(3 * nodes, EDGE_FEATURES, generator=generator),
                edge_type=torch.randint(0, 4, (3 * nodes,), generator=generator),
            )
        )
    return Batch.from_data_list(graphs)


FOLLOW = {False: batch(0), True: batch(1)}
CHECKS = [batch(2)]


class Stack(nn.Module):
    """Two convolutions and a linear layer on the nodes, or on a readout."""

    def __init__(self, make, hidden, more=(), readout=gnn.global_mean_pool, wide=1):
        super().__init__()
        self.a, self.b = make(FEATURES, hidden), make(wide * hidden, hidden)
        self.head = nn.Linear(wide * hidden, CLASSES)
        self.more, self.readout = more, readout

    def forward(self, data):
        more = [data[name] for name in self.more]
        x = self.a(data.x, data.edge_index, *more).relu()
        x = functional.dropout(self.b(x, data.edge_index, *more).relu(), 0.5, self.training)
        return self.head(x if self.readout is None else self.readout(x, data.batch))


class Residual(nn.Module):
    """A projection, convolutions that are added to what they read, a norm each, and an MLP."""

    def __init__(self, hidden, norm):
        super().__init__()
        self.project = nn.Linear(FEATURES, hidden)
        self.convs = nn.ModuleList(gnn.GCNConv(hidden, hidden) for _ in range(2))
        self.norms = nn.ModuleList(norm(hidden) for _ in range(2))
        self.head = gnn.MLP([3 * hidden, 2 * hidden, CLASSES], dropout=0.5)

    def forward(self, data):
        x = self.project(data.x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            normed = norm(x, data.batch) if isinstance(norm, gnn.GraphNorm) else norm(x)
            x = x + conv(normed.relu(), data.edge_index)
        pools = (gnn.global_mean_pool, gnn.global_max_pool, gnn.global_add_pool)
        return self.head(torch.cat([pool(x, data.batch) for pool in pools], 1))


class Deep(nn.Module):
    """DeepGCN layers."""

    def __init__(self, hidden, block, norm, conv=gnn.GENConv):
        super().__init__()
        self.project = nn.Linear(FEATURES, hidden)
        widths = [hidden, 2 * hidden] if block == "dense" else [hidden, hidden]
        self.layers = nn.ModuleList(
            models.DeepGCNLayer(
                conv(width, hidden),
                norm(width if block == "res+" else hidden),
                nn.ReLU(),
                block,
                0.1,
            )
            for width in widths
        )
        self.head = nn.Linear(3 * hidden if block == "dense" else hidden, CLASSES)

    def forward(self, data):
        x = self.project(data.x)
        for layer in self.layers:
            x = layer(x, data.edge_index)
        return self.head(x)


class Basic(nn.Module):
    """One of PyG's ready models on a node or a graph task."""

    def __init__(self, model, head=None):
        super().__init__()
        self.model, self.head = model, head

    def forward(self, data):
        x = self.model(data.x, data.edge_index)
        return x if self.head is None else self.head(gnn.global_add_pool(x, data.batch))


class Plain(nn.Module):
    """A torch model without a graph."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data):
        return self.model(data.x)


def mlp(*widths):
    layers = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.PReLU(after)]
    return nn.Sequential(*layers)


def pna(before, after, **options):
    return gnn.PNAConv(
        before,
        after,
        ["mean", "min", "max", "std"],
        ["identity", "amplification", "attenuation"],
        torch.tensor([0, 2, 6, 8, 4]),
        **options,
    )


def basic(model, **options):
    if model is models.PNA:
        options |= {
            "aggregators": ["mean", "max"],
            "scalers": ["identity", "amplification"],
            "deg": torch.tensor([0, 2, 6, 8, 4]),
        }
    return lambda h: Basic(model(FEATURES, h, 3, CLASSES, dropout=0.1, **options))


STACKS = {
    "gcn": gnn.GCNConv,
    "sage": gnn.SAGEConv,
    "sage-max-normalised": lambda i, o: gnn.SAGEConv(
        i, o, aggr="max", normalize=True, project=True
    ),
    "graphconv": gnn.GraphConv,
    "gat-mean": lambda i, o: gnn.GATConv(i, o, heads=4, concat=False),
    "gatv2-mean": lambda i, o: gnn.GATv2Conv(i, o, heads=4, concat=False, share_weights=True),
    "transformer-mean": lambda i, o: gnn.TransformerConv(i, o, heads=2, concat=False),
    "gin": lambda i, o: gnn.GINConv(mlp(i, o, o), train_eps=True),
    "pna": pna,
    "pna-towers": lambda i, o: pna(i, o, towers=2, pre_layers=2),
    "edgeconv": lambda i, o: gnn.EdgeConv(mlp(2 * i, o, o)),
    "tag": gnn.TAGConv,
    "cheb": lambda i, o: gnn.ChebConv(i, o, K=2),
    "resgated": gnn.ResGatedGraphConv,
    "arma": lambda i, o: gnn.ARMAConv(i, o, num_stacks=2, num_layers=2),
    "leconv": gnn.LEConv,
    "supergat": lambda i, o: gnn.SuperGATConv(i, o, heads=2, concat=False, is_undirected=True),
}
WITH_EDGES = {
    "gat-edges": (lambda i, o: gnn.GATConv(i, o // 4, heads=4, edge_dim=3), ("edge_attr",)),
    "gatv2-edges": (lambda i, o: gnn.GATv2Conv(i, o // 4, heads=4, edge_dim=3), ("edge_attr",)),
    "transformer-edges": (
        lambda i, o: gnn.TransformerConv(i, o // 4, heads=4, edge_dim=3, beta=True),
        ("edge_attr",),
    ),
    "gine": (lambda i, o: gnn.GINEConv(mlp(i, o, o), edge_dim=3), ("edge_attr",)),
    "pna-edges": (lambda i, o: pna(i, o, edge_dim=3), ("edge_attr",)),
    "general": (lambda i, o: gnn.GeneralConv(i, o, in_edge_channels=3), ("edge_attr",)),
    "rgcn": (lambda i, o: gnn.RGCNConv(i, o, 4, num_bases=2), ("edge_type",)),
    "film": (gnn.FiLMConv, ()),
}
BASIC = {
    "gcn": models.GCN,
    "sage": models.GraphSAGE,
    "gin": models.GIN,
    "gat": models.GAT,
    "pna": models.PNA,
    "edgecnn": models.EdgeCNN,
}
NETS = {
    **{name: lambda h, m=make: Stack(m, h) for name, make in STACKS.items()},
    **{name: lambda h, m=m: Stack(m[0], h, m[1], readout=None) for name, m in WITH_EDGES.items()},
    "gat-concat": lambda h: Stack(lambda i, o: gnn.GATConv(i, o, heads=4), h, wide=4),
    "gatv2-concat": lambda h: Stack(lambda i, o: gnn.GATv2Conv(i, o, heads=4), h, wide=4),
    "transformer-concat": lambda h: Stack(
        lambda i, o: gnn.TransformerConv(i, o, heads=4), h, wide=4
    ),
    **{
        f"residual-{name}": lambda h, n=norm: Residual(h, n)
        for name, norm in {
            "batch": gnn.BatchNorm,
            "layer": gnn.LayerNorm,
            "node": nn.LayerNorm,
            "graph": gnn.GraphNorm,
            "rms": nn.RMSNorm,
            "pair": lambda h: gnn.PairNorm(),
        }.items()
    },
    **{
        f"deep-{block}-{norm.__name__}": lambda h, b=block, n=norm: Deep(h, b, n)
        for block, norm in [
            ("res+", nn.LayerNorm),
            ("res+", gnn.BatchNorm),
            ("res", gnn.GraphNorm),
            ("dense", nn.LayerNorm),
            ("dense", gnn.BatchNorm),
            ("plain", nn.LayerNorm),
        ]
    },
    **{
        f"{name}-{norm}-{jk}": basic(model, norm=norm, jk=jk)
        for name, model in BASIC.items()
        for norm, jk in zip(
            (None, "batch_norm", "layer_norm", None, "batch_norm"),
            (None, "last", "cat", "max", "lstm"),
            strict=True,
        )
    },
    "mlp": lambda h: Plain(nn.Sequential(mlp(FEATURES, h, 2 * h), nn.Linear(2 * h, CLASSES))),
}


def lively(make, hidden, seed=0):
    """A net in eval mode whose biases and statistics are not their initial 0 and 1."""
    torch.manual_seed(seed)
    net = make(hidden).eval()
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return net


def shapes(net):
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def require_the_made_ones_widths(make, share, hidden=HIDDEN):
    """Narrowed, a net has the shapes of the one that was made so narrow, and can be trained."""
    net = lively(make, hidden)
    before = {entry: value.clone() for entry, value in net.state_dict().items()}
    small = narrowed(net, share, FOLLOW, CHECKS)
    whole, made = shapes(net), shapes(make(round((1 - share) * hidden)))
    for entry, shape in shapes(small).items():
        for ours, theirs, full in zip(shape, made[entry], whole[entry], strict=True):
            # Widths that do not follow the hidden one: an MLP's of as many as there are features.
            assert ours == theirs or (theirs == full and ours < full), entry
    assert all(torch.equal(value, before[entry]) for entry, value in net.state_dict().items())
    small.train()(FOLLOW[True]).square().sum().backward()


@pytest.mark.parametrize("name", NETS)
def test_half_as_wide_is_the_net_made_half_as_wide(name):
    require_the_made_ones_widths(NETS[name], 0.5)


@pytest.mark.parametrize("share", [0.25, 0.75])
@pytest.mark.parametrize("name", list(NETS)[::10])
def test_so_is_any_other_share(name, share):
    require_the_made_ones_widths(NETS[name], share)

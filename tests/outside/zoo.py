"""Models as others bring them, small: of PyG's zoo, of torch's layers, and put together oddly."""

from functools import partial

import torch
from torch import nn
from torch_geometric import nn as gnn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import global_add_pool, global_mean_pool, models
from torch_geometric.utils import sort_edge_index, to_dense_batch

from gnnperf import Fields

FEATURES, EDGE_FEATURES, CLASSES, HIDDEN, TYPES = 5, 3, 2, 12, 4
DEGREES = torch.tensor([0, 2, 6, 8, 8, 6, 4])


def graph(seed):
    """6 to 10 nodes on a ring with chords, and all that a model may want to know of them."""
    draw, nodes = torch.Generator().manual_seed(seed), 6 + seed % 5
    ring = torch.arange(nodes)
    chords = torch.randint(0, nodes, (2, nodes), generator=draw)
    along = torch.stack([ring, ring.roll(1)])
    # By their targets, as LSTMs over neighbours want them.
    edges = sort_edge_index(torch.cat([along, along.flip(0), chords], 1), sort_by_row=False)
    return Data(
        x=torch.randn(nodes, FEATURES, generator=draw) + seed % 2,
        edge_index=edges,
        edge_attr=torch.rand(3 * nodes, EDGE_FEATURES, generator=draw),
        edge_weight=torch.rand(3 * nodes, generator=draw),
        edge_type=torch.randint(0, TYPES, (3 * nodes,), generator=draw),
        pos=torch.randn(nodes, 3, generator=draw),
        z=torch.randint(1, 9, (nodes,), generator=draw),
        y=torch.tensor([seed % 2]),
    )


def batch(first):
    """Eight graphs."""
    return Batch.from_data_list([graph(first + i) for i in range(8)])


class Two(nn.Module):
    """Two convolutions and a linear layer on the mean of the nodes."""

    def __init__(self, make, more=(), wide=1, named=False):
        super().__init__()
        self.a, self.b = make(FEATURES, HIDDEN), make(wide * HIDDEN, HIDDEN)
        self.head, self.more, self.named = nn.Linear(wide * HIDDEN, CLASSES), more, named

    def forward(self, data):
        x = data.x
        for conv in (self.a, self.b):
            if self.named:
                x = conv(x=x, edge_index=data.edge_index, **{n: data[n] for n in self.more})
            else:
                x = conv(x, data.edge_index, *(data[name] for name in self.more))
            x = x.relu()
        return self.head(global_mean_pool(x, data.batch))


class Pooled(nn.Module):
    """A model of nodes, with a linear layer on their sum."""

    def __init__(self, model, *fields, width=HIDDEN):
        super().__init__()
        self.model, self.fields, self.head = model, fields, nn.Linear(width, CLASSES)

    def forward(self, data):
        x = self.model(*(data[name] for name in self.fields))
        return self.head(global_add_pool(x, data.batch))


class Projected(nn.Module):
    """Convolutions of equal widths behind a linear layer."""

    def __init__(self, *convs, norm=None, more=()):
        super().__init__()
        self.first, self.convs = nn.Linear(FEATURES, HIDDEN), nn.ModuleList(convs)
        self.norm, self.last, self.more = norm, nn.Linear(HIDDEN, CLASSES), more

    def forward(self, data):
        x = self.first(data.x).relu()
        for conv in self.convs:
            x = x + conv(x, data.edge_index, *(data[name] for name in self.more))
        x = x if self.norm is None else self.norm(x)
        return self.last(global_mean_pool(x, data.batch))


class Gps(nn.Module):
    def __init__(self):
        super().__init__()
        self.node, self.edge = nn.Linear(FEATURES, HIDDEN), nn.Linear(EDGE_FEATURES, HIDDEN)
        self.conv = gnn.GPSConv(HIDDEN, gnn.GINEConv(mlp(HIDDEN, HIDDEN)), heads=4)
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, data):
        x, edges = self.node(data.x), self.edge(data.edge_attr)
        x = self.conv(x, data.edge_index, data.batch, edge_attr=edges)
        return self.head(global_mean_pool(x, data.batch))


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = gnn.GCNConv(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        self.pre, self.post = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.post.weight = self.pre.weight

    def forward(self, data):
        x = global_mean_pool(self.conv(data.x, data.edge_index).relu(), data.batch)
        return self.head(self.post(self.pre(x).relu()).relu())


class HeadFirst(nn.Module):
    """Registers its head before its convolutions."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(HIDDEN, CLASSES)
        self.a, self.b = gnn.GCNConv(FEATURES, HIDDEN), gnn.GCNConv(HIDDEN, HIDDEN)

    def forward(self, data):
        x = self.b(self.a(data.x, data.edge_index).relu(), data.edge_index).relu()
        return self.head(global_mean_pool(x, data.batch))


class Atoms(nn.Module):
    """Numbers of atoms, embedded, and a layer that is used twice."""

    def __init__(self):
        super().__init__()
        self.table, self.lin = nn.Embedding(10, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.conv, self.head = gnn.GCNConv(HIDDEN, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, data):
        x = self.lin(self.lin(self.table(data.z)).relu())
        x = self.conv(x, data.edge_index).relu()
        return self.head(global_add_pool(x, data.batch))


class Functional(nn.Module):
    """Weights that it multiplies by itself: of a layer, and one of no layer."""

    def __init__(self):
        super().__init__()
        self.lin, self.head = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        self.mix = nn.Parameter(torch.randn(HIDDEN, HIDDEN) / 4)

    def forward(self, data):
        x = nn.functional.linear(data.x, self.lin.weight, self.lin.bias).relu() @ self.mix
        return self.head(global_add_pool(x, data.batch))


class Recurrent(nn.Module):
    """Reads a graph's nodes one after the other."""

    def __init__(self, cell):
        super().__init__()
        self.conv, self.read = gnn.GCNConv(FEATURES, HIDDEN), cell(HIDDEN, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, data):
        x = self.conv(data.x, data.edge_index).relu()
        dense, _ = to_dense_batch(x, data.batch)
        return self.head(self.read(dense)[0][:, -1])


class Pairs(nn.Module):
    """Two readouts, joined by a bilinear form."""

    def __init__(self):
        super().__init__()
        self.conv, self.join = gnn.SAGEConv(FEATURES, HIDDEN), nn.Bilinear(HIDDEN, HIDDEN, CLASSES)

    def forward(self, data):
        x = self.conv(data.x, data.edge_index).relu()
        return self.join(global_mean_pool(x, data.batch), global_add_pool(x, data.batch))


class Choosing(nn.Module):
    """Drops nodes between its convolutions."""

    def __init__(self, pool):
        super().__init__()
        self.a, self.pool = gnn.GCNConv(FEATURES, HIDDEN), pool(HIDDEN, ratio=0.5)
        self.b, self.head = gnn.GCNConv(HIDDEN, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, data):
        x = self.a(data.x, data.edge_index).relu()
        x, edges, _, batch, *_ = self.pool(x, data.edge_index, batch=data.batch)
        return self.head(global_mean_pool(self.b(x, edges).relu(), batch))


class Points(nn.Module):
    """Reads positions and no features."""

    def __init__(self):
        super().__init__()
        self.conv = gnn.PointNetConv(mlp(3, HIDDEN), mlp(HIDDEN, HIDDEN))
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, data):
        return self.head(global_mean_pool(self.conv(None, data.pos, data.edge_index), data.batch))


def mlp(before, after):
    return nn.Sequential(nn.Linear(before, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, after))


def gin(before, after):
    layers = (nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(), nn.Linear(after, after))
    return gnn.GINConv(nn.Sequential(*layers))


def basic(kind, **options):
    return Pooled(kind(FEATURES, HIDDEN, 2, **options), "x", "edge_index")


def pna(before, after):
    return gnn.PNAConv(
        before, after, ["mean", "max", "std"], ["identity", "amplification"], DEGREES
    )


EDGES, TYPED, WEIGHTED = ("edge_attr",), ("edge_type",), ("edge_weight",)

ZOO = {
    # Convolutions of PyG's, twice.
    "gcn": partial(Two, gnn.GCNConv),
    "gcn-weighted": partial(Two, gnn.GCNConv, WEIGHTED),
    "sage": partial(Two, gnn.SAGEConv),
    "sage-lstm": partial(Two, partial(gnn.SAGEConv, aggr="lstm")),
    "gat": partial(Two, gnn.GATConv),
    "gat-heads": partial(Two, partial(gnn.GATConv, heads=2), wide=2),
    "gatv2": partial(Two, partial(gnn.GATv2Conv, edge_dim=EDGE_FEATURES), EDGES),
    "supergat": partial(Two, gnn.SuperGATConv),
    "gin": partial(Two, gin),
    "gine": partial(Two, lambda i, o: gnn.GINEConv(mlp(i, o), edge_dim=EDGE_FEATURES), EDGES),
    "graph": partial(Two, gnn.GraphConv),
    "tag": partial(Two, gnn.TAGConv),
    "cheb": partial(Two, lambda i, o: gnn.ChebConv(i, o, 2)),
    "arma": partial(Two, partial(gnn.ARMAConv, num_stacks=2)),
    "sg": partial(Two, gnn.SGConv),
    "le": partial(Two, gnn.LEConv),
    "transformer": partial(Two, partial(gnn.TransformerConv, edge_dim=EDGE_FEATURES), EDGES),
    "resgated": partial(Two, gnn.ResGatedGraphConv),
    "rgcn": partial(Two, lambda i, o: gnn.RGCNConv(i, o, TYPES), TYPED),
    "rgcn-bases": partial(Two, lambda i, o: gnn.RGCNConv(i, o, TYPES, num_bases=2), TYPED),
    "film": partial(Two, lambda i, o: gnn.FiLMConv(i, o, TYPES), TYPED),
    "gmm": partial(Two, lambda i, o: gnn.GMMConv(i, o, EDGE_FEATURES, 2), EDGES),
    "nnconv": partial(Two, lambda i, o: gnn.NNConv(i, o, mlp(EDGE_FEATURES, i * o)), EDGES),
    "pna": partial(Two, pna),
    "mf": partial(Two, partial(gnn.MFConv, max_degree=4)),
    "gen": partial(Two, gnn.GENConv),
    "edgeconv": partial(Two, lambda i, o: gnn.EdgeConv(mlp(2 * i, o))),
    "cluster": partial(Two, gnn.ClusterGCNConv),
    "feast": partial(Two, partial(gnn.FeaStConv, heads=2)),
    "eg": partial(Two, partial(gnn.EGConv, num_heads=4, num_bases=2)),
    "named-arguments": partial(Two, gnn.GCNConv, WEIGHTED, named=True),
    "lazy": partial(Two, lambda i, o: gnn.SAGEConv(-1, o)),
    # Convolutions of equal widths.
    "gated": lambda: Projected(gnn.GatedGraphConv(HIDDEN, 2)),
    "cg": lambda: Projected(gnn.CGConv(HIDDEN, EDGE_FEATURES), more=EDGES),
    "appnp": lambda: Projected(gnn.APPNP(2, 0.1), norm=gnn.LayerNorm(HIDDEN)),
    "gcn2-norm": lambda: Projected(
        gnn.GCNConv(HIDDEN, HIDDEN), gnn.GCNConv(HIDDEN, HIDDEN), norm=gnn.BatchNorm(HIDDEN)
    ),
    "antisymmetric": lambda: Projected(gnn.AntiSymmetricConv(HIDDEN)),
    # Ready models of PyG's.
    "model-gcn": lambda: basic(models.GCN, norm="batch", jk="cat"),
    "model-sage": lambda: basic(models.GraphSAGE, jk="max"),
    "model-gat": lambda: basic(models.GAT, v2=True, heads=2),
    "model-gin": lambda: basic(models.GIN),
    "model-edgecnn": lambda: basic(models.EdgeCNN),
    "attentivefp": lambda: Fields(
        models.AttentiveFP(FEATURES, HIDDEN, CLASSES, EDGE_FEATURES, 2, 2),
        *("x", "edge_index", "edge_attr", "batch"),
    ),
    "unet": lambda: Pooled(
        models.GraphUNet(FEATURES, HIDDEN, HIDDEN, 2), "x", "edge_index", "batch"
    ),
    # Put together of torch's and PyG's.
    "gps": Gps,
    "tied": Tied,
    "head-first": HeadFirst,
    "atoms": Atoms,
    "functional": Functional,
    "lstm": partial(Recurrent, nn.LSTM),
    "gru": partial(Recurrent, nn.GRU),
    "bilinear": Pairs,
    "topk": partial(Choosing, gnn.TopKPooling),
    "sag": partial(Choosing, gnn.SAGPooling),
    "points": Points,
    "mlp": lambda: Pooled(mlp(FEATURES, HIDDEN), "x"),
}
"""By name: what makes one."""

import pytest
import torch
from torch import nn
from torch_geometric import nn as gnn

from gnnperf.compression.weights import weight_names

from .bases import FEATURES, batch


class Net(nn.Module):
    """Two convolutions of a kind, with further fields of the data, and a head."""

    def __init__(self, make, *more):
        super().__init__()
        self.a, self.b, self.head, self.more = make(FEATURES, 8), make(8, 8), nn.Linear(8, 2), more

    def forward(self, data):
        more = [data[name] for name in self.more]
        x = self.a(data.x, data.edge_index, *more).relu()
        x = self.b(x, data.edge_index, *more).relu()
        return self.head(gnn.global_mean_pool(x, data.batch))


class Antisymmetric(nn.Module):
    """Multiplies by W - W.t() - gamma, and by a sum of two weights."""

    def __init__(self, before, after):
        super().__init__()
        self.lin, self.conv = nn.Linear(before, after), gnn.AntiSymmetricConv(after)
        self.left, self.right = (nn.Parameter(torch.randn(after, after)) for _ in range(2))

    def forward(self, x, edge_index):
        x = self.conv(self.lin(x), edge_index)
        return x @ (0.5 * (self.left + self.right) / 3)


class Hetero(nn.Module):
    """A linear layer for each type, with a bias [types, channels] each."""

    def __init__(self, before, after):
        super().__init__()
        self.lin = gnn.HeteroLinear(before, after, 4)

    def forward(self, x, edge_index, edge_type):
        return self.lin(x, edge_type[:1].expand(len(x)))


CONVOLUTIONS = {
    "arma": (lambda i, o: gnn.ARMAConv(i, o, num_stacks=2, num_layers=2), [], {"bias"}),
    "gmm": (lambda i, o: gnn.GMMConv(i, o, 3, 4), ["edge_attr"], {"mu", "sigma"}),
    "rgcn": (lambda i, o: gnn.RGCNConv(i, o, 4), ["edge_type"], set()),
    "rgcn of bases": (lambda i, o: gnn.RGCNConv(i, o, 4, num_bases=2), ["edge_type"], set()),
    "gated": (lambda i, o: gnn.GatedGraphConv(8, 2), [], set()),
    "gat": (lambda i, o: gnn.GATConv(i, o, heads=1, edge_dim=3), ["edge_attr"], set()),
    "gatv2": (lambda i, o: gnn.GATv2Conv(i, o), [], set()),
    "supergat": (lambda i, o: gnn.SuperGATConv(i, o), [], set()),
    "feast": (lambda i, o: gnn.FeaStConv(i, o, heads=2), [], set()),
    "eg": (lambda i, o: gnn.EGConv(i, o, num_heads=4), [], set()),
    "antisymmetric": (lambda i, o: Antisymmetric(i, o), [], set()),
    "hetero": (lambda i, o: Hetero(i, o), ["edge_type"], {"bias"}),
    "cheb": (lambda i, o: gnn.ChebConv(i, o, 3), [], set()),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_the_weights_of_a_convolution_are_what_it_multiplies_by(kind):
    torch.manual_seed(0)
    make, more, no_weights = CONVOLUTIONS[kind]
    model = Net(make, *more)
    wide = {name for name, parameter in model.named_parameters() if parameter.dim() >= 2}
    expected = {name for name in wide if name.rpartition(".")[2] not in no_weights}
    assert set(weight_names(model, batch(0))) == expected
    assert len(wide) - len(expected) == 2 * len(no_weights)


class Parts(nn.Module):
    """Parameters of every use, on x [nodes, 5]."""

    def __init__(self):
        super().__init__()
        self.kinds, self.both = nn.Embedding(7, 4), nn.Bilinear(FEATURES, 4, 6)
        self.gru, self.lstm = nn.GRU(6, 6), nn.LSTM(6, 6, proj_size=4)
        self.attention = nn.MultiheadAttention(4, 2, add_bias_kv=True)
        self.norm, self.head = nn.LayerNorm([1, 4]), nn.Linear(4, 2)
        self.shift = nn.Parameter(torch.randn(1, 4))
        self.gate = nn.Parameter(torch.randn(4, 4))
        self.scores = nn.Parameter(torch.randn(1, 4))
        self.unused = nn.Parameter(torch.randn(3, 3))

    def forward(self, data):
        x = self.both(data.x, self.kinds(data.kind))
        x = self.lstm(self.gru(x.unsqueeze(1))[0])[0]
        x = self.norm(self.attention(x, x, x)[0]).squeeze(1)
        x = x @ torch.cat([self.gate[:2], self.gate[2:]]) + self.shift.expand(len(x), -1)
        return self.head(x * self.scores.softmax(-1))


def test_what_is_added_or_scales_a_norm_is_no_weight():
    model = Parts()
    assert set(weight_names(model, batch(0))) == {
        "kinds.weight", "both.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "lstm.weight_ih_l0",
        "lstm.weight_hh_l0", "lstm.weight_hr_l0", "attention.in_proj_weight",
        "attention.out_proj.weight", "head.weight", "gate", "unused",
    }  # fmt: skip
    # Names and modules alone tell less.
    assert set(weight_names(model)) - set(weight_names(model, batch(0))) == {"shift", "scores"}


def test_looking_leaves_the_model_and_the_random_numbers_as_they_were():
    model = Parts().train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    weight_names(model, batch(0))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_does_not_take_the_batch_is_known_by_its_names():
    model = Net(lambda i, o: gnn.GCNConv(i, o), "nothing of the kind")
    assert weight_names(model, batch(0)) == ["a.lin.weight", "b.lin.weight", "head.weight"]

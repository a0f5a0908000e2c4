"""Every weight that is multiplied by is seen, however it is called."""

import pytest
import torch
from torch import nn
from torch_geometric.nn import (
    ARMAConv,
    ChebConv,
    GATConv,
    GatedGraphConv,
    GMMConv,
    RGCNConv,
    TAGConv,
    TransformerConv,
    global_add_pool,
)

from gnnperf.compression.quantization import export
from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.flow import read_weights, weights_of
from gnnperf.compression.quantization.quantize import Plan, calibrate, quantized
from gnnperf.compression.quantization.weights import WeightSettings, weight_quantizers
from gnnperf.training import seeded

from .models import a_batch


class Convolved(nn.Module):
    """Two convolutions and a head, registered before them."""

    def __init__(self, conv, more=lambda data: ()):
        super().__init__()
        self.head, self.more = nn.Linear(4, 2), more
        self.first, self.second = conv(3), conv(4)

    def forward(self, data):
        x = self.first(data.x, data.edge_index, *self.more(data)).relu()
        x = self.second(x, data.edge_index, *self.more(data)).relu()
        return self.head.forward(input=global_add_pool(x, data.batch))


class Sequence(nn.Module):
    """A recurrent layer or attention between two linear ones."""

    def __init__(self, layer, call):
        super().__init__()
        self.before, self.layer, self.after, self.call = (
            nn.Linear(3, 4), layer, nn.Linear(4, 2), call,
        )  # fmt: skip

    def forward(self, data):
        hidden = self.call(self.layer, self.before(data.x).unsqueeze(0))
        return global_add_pool(self.after(hidden.squeeze(0)), data.batch)


class Free(nn.Module):
    """Weights in no layer, one of them tied to a layer, an embedding, a bilinear layer."""

    def __init__(self):
        super().__init__()
        self.project = nn.Parameter(torch.randn(3, 4))
        self.same = nn.Linear(4, 4)
        self.same_again = nn.Parameter(torch.zeros(1, 1))
        self.same_again = self.same.weight
        self.kinds = nn.Embedding(5, 4)
        self.pair = nn.Bilinear(4, 4, 2)
        self.bias = nn.Parameter(torch.zeros(1, 2))
        self.unused = nn.Linear(4, 4)

    def forward(self, data):
        x = data.x @ self.project + self.kinds(data.edge_index.new_zeros(len(data.x)))
        x = self.same(x).relu() @ self.same_again
        x = global_add_pool(x, data.batch)
        return self.pair(x, x) + self.bias


def types(data):
    return (torch.arange(data.edge_index.size(1)) % 3,)


def coordinates(data):
    return (torch.ones(data.edge_index.size(1), 1),)


MODELS = {
    "tag": lambda: Convolved(lambda i: TAGConv(i, 4)),
    "cheb": lambda: Convolved(lambda i: ChebConv(i, 4, 2)),
    "gat": lambda: Convolved(lambda i: GATConv(i, 4)),
    "transformer": lambda: Convolved(lambda i: TransformerConv(i, 4)),
    "arma": lambda: Convolved(lambda i: ARMAConv(i, 4, 2, 2)),
    "gated": lambda: Convolved(lambda i: GatedGraphConv(4, 2)),
    "rgcn": lambda: Convolved(lambda i: RGCNConv(i, 4, 3, num_bases=2), types),
    "gmm": lambda: Convolved(lambda i: GMMConv(i, 4, 1, 2), coordinates),
    "gru": lambda: Sequence(nn.GRU(4, 4, batch_first=True), lambda layer, x: layer(x)[0]),
    "lstm": lambda: Sequence(nn.LSTM(4, 4, batch_first=True), lambda layer, x: layer(x)[0]),
    "attention": lambda: Sequence(
        nn.MultiheadAttention(4, 2, batch_first=True), lambda layer, x: layer(x, x, x)[0]
    ),
    "free": Free,
}
FIRST = {
    **dict.fromkeys(("gru", "lstm", "attention"), "before.weight"),
    "free": ("project", "kinds"),
}
LAST = {
    **dict.fromkeys(("gru", "lstm", "attention"), "after.weight"),
    "free": "pair.weight",
}


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_rounded_trained_and_shipped(name):
    with seeded(0):
        model, batch = MODELS[name]().eval(), a_batch()
    every = set(weights_of(model, batch)) - {"unused.weight"}
    made = quantized(model, batch, Plan(WeightSettings(3), QuantizerSettings(8, range="abs")))
    assert set(made.coverage) == set(weight_quantizers(made.model)) == every
    assert set(made.uncovered) == {"unused.weight"} & set(weights_of(model))
    assert made.logits == {LAST.get(name, "head.weight")}
    calibrate(made.model, [batch])
    for _ in range(2):
        made.model.train()(batch).square().sum().backward()
        for parameter in made.model.parameters():
            if parameter.grad is not None:
                parameter.data -= 1e-3 * parameter.grad
    used = [n for n in every if made.model.get_parameter(n).grad is not None]
    assert set(used) == every
    deployed = export(made.model.eval())
    with torch.no_grad():
        expected = made.model(batch)
        assert torch.equal(deployed(batch), expected)
        other = export(made.model)
        for value in other.state_dict().values():
            value.zero_()
        other.restore(deployed.state())
        assert torch.equal(other(batch), expected)
        before = {n: p.clone() for n, p in made.model.named_parameters()}
        assert all(torch.equal(before[n], p) for n, p in made.model.named_parameters())
    for name_, codes in deployed.state().items():
        assert (name_ in every) == hasattr(codes, "bits"), name_
        if name_ in every:
            assert codes.bits == 3


@pytest.mark.parametrize("name", MODELS)
def test_what_reads_raw_features_is_found_whatever_is_registered_first(name):
    with seeded(0):
        model, batch = MODELS[name]().eval(), a_batch()
    reads = read_weights(model, weights_of(model), batch)
    raw = {weight for weight, read in reads.items() if read.raw}
    firsts = {weight for weight in reads if weight.startswith(FIRST.get(name, "first"))}
    # A recurrent convolution reads raw features in its first step alone.
    assert raw <= firsts
    assert raw or name == "gated"


def test_a_forward_that_fails_leaves_the_parameters_where_they_were():
    model, batch = Free(), a_batch()
    made = quantized(model, batch, Plan(WeightSettings(3), QuantizerSettings(8))).model
    calibrate(made, [batch])
    before = dict(made.named_parameters())
    batch.batch = None
    batch.x = batch.x[:, :1]
    with pytest.raises(RuntimeError):
        made(batch)
    assert all(p is before[n] for n, p in made.named_parameters())
    assert not made.quantized_weights._set_aside

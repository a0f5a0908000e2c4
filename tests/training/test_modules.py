"""Copies of models as their owners leave them, and lazy layers."""

import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv, SuperGATConv

from gnnperf.errors import GnnperfError
from gnnperf.training.modules import copied, lazy_names, materialize

DATA = Data(x=torch.randn(6, 5), edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]))


class Net(nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv, self.head = conv, nn.Linear(8, 2)

    def forward(self, data):
        return self.head(self.conv(data.x, data.edge_index))


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_what_a_forward_kept_is_copied_without_its_graph():
    model = Net(SuperGATConv(5, 8))
    expected = model(DATA)
    copy = copied(model)
    assert equal(copy, model)
    assert torch.equal(copy.eval()(DATA), expected)
    assert all(a is not b for a, b in zip(copy.parameters(), model.parameters(), strict=True))


def test_tensors_in_lists_tuples_and_dictionaries_too():
    model = nn.Linear(2, 2)
    model.kept = [{"a": (model(torch.ones(1, 2)),)}]
    kept = copied(model).kept[0]["a"][0]
    assert torch.equal(kept, model.kept[0]["a"][0])
    assert kept.grad_fn is None


def test_a_model_with_masks_of_torchs():
    model = nn.Linear(4, 4)
    prune.l1_unstructured(model, "weight", 0.5)
    copy = copied(model)
    x = torch.randn(3, 4)
    assert torch.equal(copy(x), model(x))
    with torch.no_grad():
        model.weight_orig.zero_()
    assert copy(x).abs().sum() > 0


def test_what_cannot_be_copied_is_said():
    model = nn.Linear(2, 2)
    model.lock = threading.Lock()
    with pytest.raises(GnnperfError, match=r"the model Linear cannot be copied, .*lock.*; give it"):
        copied(model)


def test_lazy_layers_get_their_sizes_and_the_mode_comes_back():
    model = Net(SAGEConv(-1, 8)).train()
    assert lazy_names(model) == ["conv.lin_l.weight", "conv.lin_r.weight"]
    materialize(model, DATA)
    assert not lazy_names(model)
    assert model.conv.lin_l.weight.shape == (8, 5)
    assert model.training


def test_a_lazy_layer_that_no_forward_reaches_is_named():
    model = Net(SAGEConv(5, 8))
    model.idle = nn.LazyLinear(3)
    with pytest.raises(GnnperfError, match=r"idle\.weight of the model Net has no size, .* reach"):
        materialize(model, DATA)

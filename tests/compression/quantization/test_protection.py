import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.protection import (
    Protection,
    degree_shares,
    with_degree_shares,
)
from gnnperf.compression.quantization.quantize import Plan, calibrate, quantized, quantizers
from gnnperf.compression.quantization.weights import WeightSettings

from .models import MODELS, a_batch


def star(leaves):
    """Every leaf points at node 0; with no leaf, a node alone."""
    edges = torch.stack([torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.int64)])
    return Data(x=torch.randn(leaves + 1, 3), edge_index=edges, y=torch.tensor([0]))


def test_the_share_counts_nodes_of_the_same_graph_with_at_most_the_same_degree():
    batch = Batch.from_data_list([star(3), star(0), star(1)])
    assert degree_shares(batch).tolist() == [1, 0.75, 0.75, 0.75, 1, 1, 0.5]
    assert degree_shares(star(3)).tolist() == [1, 0.75, 0.75, 0.75]
    assert torch.equal(with_degree_shares(batch).degree_shares, degree_shares(batch))
    assert "degree_shares" not in batch


def test_nodes_are_spared_as_often_as_their_degree_asks_for():
    torch.manual_seed(0)
    protection = Protection(0.1, 0.2)
    batch = with_degree_shares(Batch.from_data_list([star(3)] * 2000))
    protection(None, (batch,))
    often = protection.spared.view(2000, 4).double().mean(0)
    assert often.tolist() == pytest.approx([0.3, 0.25, 0.25, 0.25], abs=0.04)


def test_rows_are_nodes_or_several_a_node_or_something_else():
    protection = Protection(0, 0)
    assert protection.among(4) is None
    protection(None, (star(3),))
    protection.spared = torch.tensor([True, False, False, True])
    assert protection.among(4).rows.tolist() == [0, 3]
    assert protection.among(8).rows.tolist() == [0, 1, 6, 7]
    assert protection.among(8).others.tolist() == [2, 3, 4, 5]
    assert protection.among(6) is None
    assert protection.among(0) is None
    assert protection.of_sources(torch.tensor([3, 1, 0])).rows.tolist() == [0, 2]


@pytest.mark.parametrize("name", MODELS)
def test_one_draw_a_forward_that_every_convolution_shares(name):
    torch.manual_seed(0)
    batch = a_batch()
    plan = Plan(WeightSettings(4), QuantizerSettings(4), protection=Protection(0.5, 0.0))
    model = quantized(MODELS[name](3), batch, plan).model
    calibrate(model, [batch])
    rows = {}
    for site, part in quantizers(model).items():
        part.register_forward_pre_hook(
            lambda part, inputs, site=site: rows.__setitem__(site, inputs[1:])
        )
    model.train()(batch)
    spared = model.protection.spared
    assert 0 < int(spared.sum()) < len(spared)
    for site, given in rows.items():
        kind = site.rpartition(".")[2]
        if kind in ("sum", "update"):
            assert given[0].rows.tolist() == spared.nonzero().view(-1).tolist()
        elif kind == "message":
            assert given[0] is not None
        else:
            assert given == ()  # Linear layers spare nothing, nor do rows after the readout.
    first = spared.clone()
    model(batch)
    assert not torch.equal(first, model.protection.spared)
    model.eval()(batch)
    assert model.protection.spared is None
    assert all(given in ((), (None,)) for given in rows.values())

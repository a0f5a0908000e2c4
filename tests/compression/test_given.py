"""Models that were compressed elsewhere, beside their dense twins."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCNConv, global_mean_pool

import gnnperf
from gnnperf.compression import RecipeError
from gnnperf.compression.given import differing, moved
from gnnperf.errors import GnnperfError
from gnnperf.meters.registry import MeterOptions
from gnnperf.study.results import record_decides

SIZES = ("scores", "size", "cost")


class Net(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.mid = GCNConv(5, hidden), nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, 2)

    def forward(self, data):
        x = self.conv(data.x, data.edge_index).relu()
        return self.head(self.mid(global_mean_pool(x, data.batch)).relu())


def graph(seed):
    draw = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 6, (2, 18), generator=draw)
    return Data(x=torch.randn(6, 5, generator=draw), edge_index=edges, y=torch.tensor([seed % 2]))


TEST = [Batch.from_data_list([graph(i) for i in range(8)])]


def by_torchs_prune(model):
    prune.l1_unstructured(model.mid, "weight", 0.5)
    prune.l1_unstructured(model.conv.lin, "weight", 0.5)
    return model


def by_hand(model):
    with torch.no_grad():
        model.mid.weight[::2] = 0.0
    return model


def narrower(model):
    return Net(8)


def half(model):
    return HalfNet(model.half())


class HalfNet(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data):
        data = data.clone()
        data.x = data.x.half()
        return self.model(data)


def by_torchs_quantization(model):
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)


def sparse(model):
    model.mid.weight = nn.Parameter(by_hand(model).mid.weight.detach().to_sparse_csr())
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("compress", "smaller"),
    [
        (by_torchs_prune, 1.2),
        (by_hand, 1.2),
        (narrower, 1.5),
        (half, 1.2),
        (by_torchs_quantization, 0.5),
        (sparse, 0.5),
    ],
)
def test_each_way_of_compressing(compress, smaller):
    dense = Net()
    other = compress(deepcopy(dense))
    compressed = gnnperf.compared(dense, other, TEST, "accuracy", recipe=compress.__name__)
    record = gnnperf.measure(compressed, meters=SIZES)
    assert (record.workload, record.recipe) == ("net", compress.__name__)
    assert record.value("size_ratio") > smaller
    assert record.value("accuracy") == pytest.approx(
        float((other.eval()(TEST[0]).argmax(1) == TEST[0].y).double().mean())
    )
    # It loads what is stored, which each of these has in a form of its own.
    if compress in (narrower, by_torchs_quantization, sparse):
        gnnperf.measure(compressed, meters=("memory",))
    assert record_decides(compressed, SIZES, MeterOptions(), {})["the compressed model"]


@pytest.mark.filterwarnings("ignore")
def test_what_the_codec_cannot_hold_is_measured_by_torch_and_says_so():
    dense = Net()
    for compress, words in ((by_torchs_quantization, "_packed_params"), (sparse, "mid.weight")):
        compressed = gnnperf.compared(dense, compress(deepcopy(dense)), TEST, "accuracy")
        readings = gnnperf.measure(compressed, meters=SIZES).readings
        assert readings["stored_bytes"].source.startswith("torch.save, as the codec cannot hold it")
        assert words in readings["stored_bytes"].source
        assert readings["algorithm1_bytes"].status == "unavailable"
        assert readings["size_ratio"].status == "measured"


def test_masks_of_torchs_become_part_of_the_weights_that_are_measured():
    dense = Net()
    masked = by_torchs_prune(deepcopy(dense))
    compressed = gnnperf.compared(dense, masked, TEST, "accuracy")
    assert set(compressed.coverage) == {"mid.weight", "conv.lin.weight"}
    assert compressed.coverage["mid.weight"].changed == 128
    assert compressed.coverage["mid.weight"].total == 256
    record = gnnperf.measure(compressed, meters=("size",))
    zeros = sum(int((p == 0).sum()) for p in dense.parameters()) + 128 + 40
    assert record.value("nonzeros") == record.value("parameters") - zeros
    assert not any("mask" in name or "orig" in name for name in compressed.state())
    assert prune.is_pruned(masked)


def test_the_models_given_stay_as_they_are():
    dense, other = Net().train(), by_hand(Net()).train()
    compressed = gnnperf.compared(dense, other, TEST, "accuracy")
    assert dense.training
    assert other.training
    assert compressed.model is not other


def test_what_is_computed_otherwise_is_counted():
    dense = Net()
    other = by_hand(deepcopy(dense))
    assert {n: c.changed for n, c in moved(dense, other).items()} == {"mid.weight": 128}
    assert differing(dense, other) == ["mid.weight"]
    other.head = nn.Linear(16, 3)
    assert differing(dense, other) == ["mid.weight", "head.weight", "head.bias"]
    del other.head
    assert differing(dense, other) == ["mid.weight", "head.weight", "head.bias"]
    half = deepcopy(dense)
    half.mid.half()
    assert differing(dense, half) == ["mid.weight", "mid.bias"]


class Pooled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, data):
        return self.inner(data)[:4]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Net(), r"given: the compressed model has the dense one's weights, every one of them"),
        (Pooled(by_hand(Net())), r"the model gave \[4, 2\], and \[8, 2\], or one"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(other, words):
    with pytest.raises(GnnperfError, match=words):
        gnnperf.compared(Net(), other, TEST, "accuracy")


def test_a_library_that_found_nothing_is_an_error():
    class Convs(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = GCNConv(5, 2)

        def forward(self, data):
            return global_mean_pool(self.conv(data.x, data.edge_index), data.batch)

    with pytest.warns(DeprecationWarning, match="torch.ao"):
        other = by_torchs_quantization(Convs())
    with pytest.raises(RecipeError, match=r"found no layer that it knows \(PyG's Linear is no nn"):
        gnnperf.compared(Convs(), other, TEST, "accuracy")

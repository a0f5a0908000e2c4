from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import Linear as PygLinear

from gnnperf import codec
from gnnperf.compression import RecipeError
from gnnperf.compression.quantization.a2q import recipe as room
from gnnperf.compression.quantization.a2q.features import (
    GroupQuantizer,
    NodeQuantizer,
    hold_ranges,
)
from gnnperf.compression.quantization.a2q.linear import A2QLinear
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.export import export
from gnnperf.models.gcn import GCN
from gnnperf.models.gin import GIN
from gnnperf.recipes import compress, parse_recipe
from gnnperf.study.sizes import verified_bytes
from gnnperf.training import (
    GraphClassification,
    NodeClassification,
    Parts,
    Trained,
    TrainSettings,
    seeded,
)


def graphs(count=24, features=5, seed=0):
    """Small random graphs of two classes that differ in one feature's mean."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        nodes = int(torch.randint(3, 9, (1,), generator=generator))
        label = number % 2
        x = torch.randn(nodes, features, generator=generator)
        x[:, 0] += 2.0 * label
        edges = torch.randint(nodes, (2, 2 * nodes), generator=generator)
        found.append(Data(x=x, edge_index=edges, y=torch.tensor([label])))
    return found


@pytest.fixture(scope="module")
def gin_base(synthetic_bench):
    """An untrained narrow GIN on 24 small graphs, as a base; training from it takes a moment."""
    batches = [Batch.from_data_list(graphs(8, seed=s)) for s in range(3)]
    with seeded(0):
        model = GIN(5, 2, hidden=8, layers=2).eval()
    brief = TrainSettings(epochs=4, learning_rate=0.01, select="loss")
    return Trained(
        workload="small-gin",
        seed=0,
        model=model,
        task=GraphClassification(batch_size=8),
        split=lambda: Parts(batches[:1] * 2, batches[1:2], batches[2:]),
        train=brief,
        finetune=brief,
        report=None,
        data={"fingerprint": "none"},
        fresh=lambda: deepcopy(model),
    )


def test_every_linear_layer_of_a_graph_model_gets_groups(gin_base):
    compressed = compress(gin_base, "a2q@4")
    layers = room.a2q_layers(compressed.model)
    assert set(compressed.coverage) == {f"{name}.weight" for name in layers}
    assert len(layers) == 2 * 2 + 2
    for name, layer in layers.items():
        assert isinstance(layer.features, GroupQuantizer)
        assert len(layer.features.log2_steps) == room.GROUPS
        part = compressed.coverage[f"{name}.weight"]
        assert part.changed == part.total == layer.weight.numel()
    assert compressed.finetuned.epochs == 4
    assert not hasattr(compressed.model, room.MEMORY)


def test_the_record_holds_the_mean_bits_and_those_of_each_layer(gin_base):
    compressed = compress(gin_base, "a2q@4")
    layers = room.a2q_layers(compressed.model)
    readings = {name: reading.value for name, reading in compressed.readings.items()}
    assert {f"bits_{name}" for name in layers} < set(readings)
    each = [readings[f"bits_{name}"] for name in layers]
    assert min(each) <= readings["mean_bits"] <= max(each)
    assert 2 <= min(each) <= max(each) <= 8
    # Rows of one width of one batch share bytes: less than one is lost for each width.
    size = readings["feature_bytes"]
    features = size * readings["feature_size_ratio"] / 4
    assert 0 <= size - features * readings["mean_bits"] / 8 < 7 * len(layers)


def test_the_same_seed_gives_the_same_bits_and_the_base_stays(gin_base):
    before = deepcopy(gin_base.model.state_dict())
    one, two = (compress(gin_base, "a2q@4").model.state_dict() for _ in range(2))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(before[k], v) for k, v in gin_base.model.state_dict().items())


def test_a_repeated_recipe_comes_from_the_cache(gin_base, tmp_path):
    base = replace(gin_base, checkpoints=tmp_path)
    first = compress(base, "a2q@4")
    assert len(list(tmp_path.glob("*.ckpt"))) == 1
    again = compress(base, "a2q@4")
    assert len(list(tmp_path.glob("*.ckpt"))) == 1
    one, two = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    compress(base, "a2q@3")
    assert len(list(tmp_path.glob("*.ckpt"))) == 2


def test_what_is_shipped_is_what_was_simulated_read_back_from_its_file(gin_base):
    compressed = compress(gin_base, "a2q@4")
    assert compressed.readings["export_agreement"].value == 1
    assert compressed.readings["export_logit_difference_steps"].value == 0
    state = compressed.state()
    decoded = codec.decode(codec.encode(state)).state
    assert codec.first_difference(state, decoded) is None
    weight = decoded["convs.0.nn.0.weight"]
    assert (weight.bits, weight.values.dtype) == (4, torch.int8)
    steps, bits = (decoded[f"convs.0.nn.0.input.{name}"] for name in ("steps", "bits"))
    assert (steps.dtype, bits.dtype) == (torch.bfloat16, torch.uint8)
    # No group is stored that training did not use.
    nodes = sum(batch.num_nodes for batch in gin_base.parts.train)
    assert len(steps) == len(bits) <= nodes
    shipped = deepcopy(compressed.deployed)
    for value in shipped.state_dict().values():
        value.zero_()
    shipped.restore(decoded)
    batch = gin_base.parts.test[0]
    assert torch.equal(shipped(batch), compressed.model(batch))


def test_fewer_bits_never_take_more_bytes(gin_base):
    sizes = [verified_bytes(compress(gin_base, f"a2q@{bits}").state()) for bits in (8, 4, 2)]
    assert sizes == sorted(sizes, reverse=True)


class Mixed(nn.Module):
    """A torch linear that is called, PyG's, and one whose weight alone is read."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(3, width), PygLinear(width, 2)
        self.read = nn.Linear(3, 2)

    def forward(self, data):
        return self.second(self.first(data.x).relu()) + data.x @ self.read.weight.t()


@given(st.integers(0, 2**31), st.integers(2, 8), st.integers(1, 6), st.booleans())
@settings(max_examples=30)
def test_the_integer_model_of_any_model_gives_the_same_bits(seed, bits, width, by_node):
    with seeded(seed):
        model, data = Mixed(width), Data(x=torch.randn(30, 3) * 5)
        data = data if by_node else Batch.from_data_list([data])
        layers = room.quantize_linears(model, room.row_counts(model, [data]), bits)
        assert set(layers) == {"first", "second"}
        kind = NodeQuantizer if by_node else GroupQuantizer
        model.train()(data)
        for layer in layers.values():
            assert type(layer.features) is kind
            with torch.no_grad():
                layer.features.bits.add_(torch.randn_like(layer.features.bits) * 2)
                layer.log2_weight_steps.add_(torch.rand_like(layer.log2_weight_steps) - 0.5)
        hold_ranges(model)
        room.settle(model, [data])
        deployed = export(model.eval())
        assert torch.equal(deployed(data), model(data))


def test_a_fixed_graph_has_steps_by_node(gin_base):
    """PyG's GCNConv, whose linear layer is PyG's own, on one graph of all the others."""
    graph = Batch.from_data_list(graphs(8))
    graph = Data(x=graph.x, edge_index=graph.edge_index, y=graph.y[graph.batch])
    nodes = graph.num_nodes
    task = NodeClassification(held_out=20)
    with seeded(0):
        model = GCN(5, 2, hidden=4).eval()
    base = replace(gin_base, model=model, task=task, split=lambda: task.split([graph], 0))
    base = replace(base, train=TrainSettings(epochs=3, learning_rate=0.01))
    compressed = compress(base, "a2q@4")
    layers = room.a2q_layers(compressed.model)
    assert [len(layer.features.log2_steps) for layer in layers.values()] == [nodes, nodes]
    assert all(isinstance(layer.features, NodeQuantizer) for layer in layers.values())
    assert compressed.readings["export_agreement"].value == 1
    state = compressed.state()
    assert len(state["conv1.lin.input.steps"]) == nodes
    assert not any(
        isinstance(value, torch.Tensor) and value.shape == graph.x.shape for value in state.values()
    )


@pytest.mark.parametrize("bad", ["1", "9", "x", "", "4.0", "04", "-4", "int4"])
def test_bits_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"a2q@{bad}")
    assert f"recipe 'a2q@{bad}': '{bad}' is no argument for a2q" in str(caught.value)
    assert "bits 2 to 8" in str(caught.value)


def test_it_trains_by_itself():
    with pytest.raises(RecipeError, match=r"a2q@4 quantizes, and training comes before"):
        parse_recipe("a2q@4+finetune")


def test_a_model_without_a_linear_layer_is_refused(gin_base):
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, data):
            return data.x[:, :2] * self.scale

    with pytest.raises(RecipeError, match=r"recipe a2q@4: .*small-gin calls no linear layer"):
        compress(replace(gin_base, model=Sums().eval()), "a2q@4")


def test_nothing_is_exported_before_training(gin_base):
    model = deepcopy(gin_base.model)
    room.quantize_linears(model, room.row_counts(model, gin_base.parts.train), 4)
    with pytest.raises(QuantizationError, match="no steps before its first training step"):
        export(model)
    with pytest.raises(QuantizationError, match="no steps before its first training step"):
        model.eval()(gin_base.parts.test[0])


def test_nan_features_are_refused_and_nothing_is_lost(gin_base, tmp_path):
    batch = deepcopy(gin_base.parts.train[0])
    batch.x[0, 0] = float("nan")
    parts = replace(gin_base.parts, train=[batch])
    with pytest.raises(QuantizationError, match="NaN or infinite"):
        compress(replace(gin_base, split=lambda: parts, checkpoints=tmp_path), "a2q@4")
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_model_of_several_layers_can_be_copied_and_shown(gin_base):
    model = deepcopy(gin_base.model)
    room.quantize_linears(model, room.row_counts(model, gin_base.parts.train), 4)
    loss = gin_base.task.loss(model.train(), gin_base.parts.train[0])
    loss.backward()
    copied = deepcopy(model)
    assert repr(copied) == repr(model)
    assert "MemoryLoss(weight=0.001, target_kib=1.0)" in repr(model)
    memory = copied.get_submodule(room.MEMORY)
    memory.target_kib = 0.0
    copied(gin_base.parts.train[0])
    memory.auxiliary_loss().backward()
    grads = [layer.features.bits.grad for layer in room.a2q_layers(copied).values()]
    assert any(bool((grad > 0).any()) for grad in grads)
    assert isinstance(copied.lin1, A2QLinear)
